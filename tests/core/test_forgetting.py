"""Who is forgotten, and what of an item is theirs."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.draft import Posted, Removed
from afeed.core.errors import BadInput
from afeed.core.forgetting import EVERYWHERE, Forgotten, Part, author_hash, label, read_author
from afeed.core.item import Author, Quote
from tests.web.samples import make_item

SECRET = b"s" * 32
ANN, BOB = Author(name="Ann", handle="Ann"), Author(name="Bob", handle="bob")
QUOTE = Quote(author=ANN, text="her words", html="<p>her words</p>")


def forgotten(*known: tuple[str, str]) -> Forgotten:
    made = Forgotten()
    made.know(SECRET, [(event, author_hash(SECRET, key)) for event, key in known])
    return made


class AuthorTests(SynchronousTestCase):
    def test_authors_are_named_as_blocking_names_them(self) -> None:
        for typed, key in (
            ("x:@Ann", "x:@ann"),
            (" x:@ann ", "x:@ann"),
            ("push:Ann  Lee", "push:ann lee"),
            ("flickr:https://flickr.example/People/Ann", "flickr:https://flickr.example/People/Ann"),
        ):
            self.assertEqual(read_author(typed), key)

    def test_anything_else_is_refused(self) -> None:
        for typed in ("", "@ann", "ann", "x:", "x: ", ":@ann", "X:@ann", "x" * 40 + ":@ann", "x:@" + "a" * 600):
            self.assertRaises(BadInput, read_author, typed)

    def test_a_hash_tells_nothing_without_the_key(self) -> None:
        hash_ = author_hash(SECRET, "x:@ann")
        self.assertEqual(len(hash_), 16)
        self.assertNotEqual(hash_, author_hash(b"t" * 32, "x:@ann"))
        self.assertNotEqual(hash_, author_hash(SECRET, "x:@bob"))
        self.assertNotIn("ann", label(hash_))


class PartTests(SynchronousTestCase):
    def test_their_own_items_are_told_from_those_of_others_that_they_are_in(self) -> None:
        ann = forgotten(("conf", "push:@ann"))
        self.assertIs(ann.part("conf", make_item(1, author=ANN)), Part.AUTHOR)
        self.assertIs(ann.part("conf", make_item(1, author=BOB, shared_by=ANN)), Part.BESIDE)
        self.assertIs(ann.part("conf", make_item(1, author=BOB, quote=QUOTE)), Part.BESIDE)
        self.assertIsNone(ann.part("conf", make_item(1, author=BOB, text="@ann said")))
        self.assertIsNone(ann.part("conf", make_item(1, author=ANN, source="x")))
        self.assertIsNone(ann.part("other", make_item(1, author=ANN)))

    def test_everywhere_is_also_where_somebody_else_is_forgotten(self) -> None:
        both = forgotten((EVERYWHERE, "push:@ann"), ("conf", "push:@bob"))
        self.assertIs(both.part("conf", make_item(1, author=ANN)), Part.AUTHOR)
        self.assertIs(both.part("conf", make_item(1, author=BOB)), Part.AUTHOR)
        self.assertIs(both.part("other", make_item(1, author=ANN)), Part.AUTHOR)
        self.assertIsNone(both.part("other", make_item(1, author=BOB)))

    def test_an_item_of_somebody_else_stays_without_them(self) -> None:
        ann = forgotten(("conf", "push:@ann"))
        item = make_item(1, author=BOB, shared_by=ANN, quote=QUOTE)
        self.assertEqual(ann.cleaned("conf", item), make_item(1, author=BOB))
        self.assertEqual(ann.cleaned("other", item), item)

    def test_what_comes_in_is_turned_away_or_cleaned(self) -> None:
        ann = forgotten(("conf", "push:@ann"))
        theirs, mixed = (
            Posted(make_item(1, author=ANN), "1"),
            Posted(make_item(2, author=BOB, quote=QUOTE), "1"),
        )
        self.assertFalse(ann.admits("conf", theirs))
        self.assertTrue(ann.admits("conf", mixed))
        self.assertEqual(ann.prepare("conf", mixed), Posted(make_item(2, author=BOB), "1"))
        for draft in (Removed("push:1"), Posted(make_item(3, author=BOB), "1")):
            self.assertTrue(ann.admits("conf", draft))
            self.assertIs(ann.prepare("conf", draft), draft)

    def test_where_nobody_is_forgotten_nothing_is_hashed(self) -> None:
        nobody = Forgotten()
        self.assertTrue(nobody.admits("conf", Posted(make_item(1, author=ANN), "1")))
        self.assertEqual(nobody._hashes, {})

    def test_another_key_is_another_hash(self) -> None:
        ann = forgotten(("conf", "push:@ann"))
        self.assertIs(ann.part("conf", make_item(1, author=ANN)), Part.AUTHOR)
        ann.know(b"t" * 32, [("conf", author_hash(SECRET, "push:@ann"))])
        self.assertIsNone(ann.part("conf", make_item(1, author=ANN)))
