"""What is kept from the screen, in which order it is judged, and who is trusted."""

from __future__ import annotations

from random import Random
from typing import Any

import attrs
import msgspec
from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.filters import (
    Filters,
    Verdict,
    judge,
    muted_flaw,
    named_author,
    same_twice,
    texts,
    understood,
)
from afeed.core.item import Author, Item, Media, Quote
from tests.core import test_words
from tests.web.samples import make_item

BEN = Author(name="Ben", handle="ben")


class JudgeTests(SynchronousTestCase):
    def code(self, filters: Filters, **item: object) -> str | None:
        verdict = judge(filters, make_item(**item))
        return None if verdict is None else verdict.reason

    def test_nothing_is_kept_back_where_nothing_is_said(self) -> None:
        for item in (make_item(), make_item(sensitive=True, reply_to="push:2", shared_by=BEN)):
            self.assertIsNone(judge(Filters(), item))

    def test_muted_words_are_looked_for_in_all_that_people_read(self) -> None:
        filters = Filters(muted=("hello", "Bad word"))
        bad = "such a BAD word"
        quote = Quote(author=BEN, text="", html="")
        for fields in (
            {"text": bad},
            {"html": "<p>such a <b>b</b>ad<br>word</p>"},
            {"author": Author(name=bad)},
            {"author": Author(name="x", handle="bad_word")},
            {"shared_by": Author(name=bad)},
            {"media": (Media(type="photo", url="https://x.example/1.jpg", alt=bad),)},
            {"media": (Media(type="photo", url="https://x.example/1.jpg", owner=bad),)},
            {"quote": structs.replace(quote, text=bad)},
            {"quote": structs.replace(quote, html=f"<p>{bad}</p>")},
            {"quote": structs.replace(quote, author=Author(name=bad))},
        ):
            wanted = None if fields.get("author") == Author(name="x", handle="bad_word") else "muted:Bad word"
            self.assertEqual(self.code(filters, **fields), wanted, fields)
        self.assertEqual(self.code(Filters(muted=("@ben",)), author=BEN), "muted:@ben")
        self.assertEqual(self.code(Filters(muted=("ben",)), shared_by=BEN), "muted:ben")
        self.assertIsNone(self.code(filters, text="fine", url="https://x.example/bad-word"))

    def test_html_is_read_as_a_page_shows_it(self) -> None:
        for html, text in (
            ("<p>sp<b>a</b>m</p>", "spam"),
            ("one<br>two", "one two"),
            ("<ul><li>one</li><li>two</li></ul>", "one two"),
            ("a &lt;b&gt; &amp; c", "a <b> & c"),
            ("<" * 5, "<" * 5),
        ):
            self.assertEqual(list(texts(make_item(html=html)))[1].split(), text.split())

    def test_what_is_hidden_by_kind(self) -> None:
        self.assertEqual(self.code(Filters(hide_sensitive=True), sensitive=True), "sensitive")
        self.assertEqual(self.code(Filters(hide_replies=True), reply_to="x:1"), "reply")
        self.assertEqual(self.code(Filters(hide_reposts=True), shared_by=BEN), "repost")
        every = Filters(hide_sensitive=True, hide_replies=True, hide_reposts=True)
        self.assertIsNone(self.code(every))

    def test_modes(self) -> None:
        self.assertEqual(judge(Filters(mode="hold", hold_s=20), make_item()), Verdict("hold", wait_s=20))
        self.assertEqual(judge(Filters(mode="approve"), make_item()), Verdict("approve"))
        self.assertEqual(judge(Filters(mode="trusted", trusted=("@ben",)), make_item()), Verdict("untrusted"))
        self.assertIsNone(self.code(Filters(mode="trusted", trusted=("@ben",)), author=BEN))

    def test_the_order_of_reasons(self) -> None:
        everything = {"text": "bad", "sensitive": True, "reply_to": "x:1", "shared_by": BEN}
        filters = Filters(
            mode="hold", muted=("bad",), hide_sensitive=True, hide_replies=True, hide_reposts=True
        )
        order = []
        turned_off: tuple[dict[str, Any], ...] = (
            {"muted": ()},
            {"hide_sensitive": False},
            {"hide_replies": False},
            {"hide_reposts": False},
            {},
        )
        for off in turned_off:
            verdict = judge(filters, make_item(**everything))
            assert verdict is not None
            # What is kept back for its content waits for somebody, also where all else waits for a while.
            self.assertEqual(verdict.wait_s, 60.0 if verdict.code == "hold" else None)
            order.append(verdict.code)
            filters = attrs.evolve(filters, **off)
        self.assertEqual(order, ["muted", "sensitive", "reply", "repost", "hold"])

    def test_who_is_trusted_is_shown_whatever_it_is(self) -> None:
        filters = Filters(
            mode="approve",
            muted=("bad",),
            trusted=("@ben", "x:@zoe", "flickr:https://flickr.example/ann", "push:the desk"),
            hide_sensitive=True,
            hide_replies=True,
            hide_reposts=True,
        )
        bad = {"text": "bad", "sensitive": True, "reply_to": "x:1"}
        zoe, desk = Author(name="Zoe", handle="ZOE"), Author(name="The  Desk")
        page = Author(name="Ann", url="https://flickr.example/ann")
        for fields, trusted in (
            ({"author": BEN}, True),
            ({"author": Author(name="B", handle="BEN")}, True),
            ({"author": BEN, "source": "x"}, True),
            ({"author": zoe}, False),
            ({"author": zoe, "source": "x"}, True),
            ({"author": page}, False),
            ({"author": page, "source": "flickr"}, True),
            ({"author": desk}, True),
            ({"author": Author(name="ben")}, False),
            ({"author": Author(name="@ben")}, False),
            # It is who brings it that counts.
            ({"shared_by": BEN}, True),
            ({"author": BEN, "shared_by": zoe}, False),
        ):
            self.assertEqual(judge(filters, make_item(**bad | fields)) is None, trusted, fields)

    def test_how_somebody_trusted_is_written(self) -> None:
        for text, author in (
            ("@Ann", "@ann"),
            ("ann", "@ann"),
            (" @ann@social.example ", "@ann@social.example"),
            ("x:@Ann", "x:@ann"),
            ("push:The   Desk", "push:the desk"),
            ("flickr:https://flickr.example/Ann", "flickr:https://flickr.example/Ann"),
            ("", None),
            ("@", None),
            ("two words", None),
            ("x:", None),
            ("x:@", None),
            ("X Y:@ann", None),
            (":@ann", None),
        ):
            self.assertEqual(named_author(text), author, text)

    def test_reasons_are_read_back(self) -> None:
        for verdict in (Verdict("muted", "a:b"), Verdict("hold", wait_s=3), Verdict("approve")):
            self.assertEqual(understood(verdict.reason), (verdict.code, verdict.detail))

    def test_flaws_of_words(self) -> None:
        for good in ("ad", "#ad", "🍆", "漢", "c++", "x" * 100):
            self.assertIsNone(muted_flaw(good))
        for bad in ("", " ", "...", "#", "\u200b", "x" * 101):
            self.assertIsNotNone(muted_flaw(bad))
        self.assertEqual(same_twice(("Ad", "buy now", "BUY, NOW!")), "BUY, NOW!")
        self.assertIsNone(same_twice(("ad", "#ad")))

    def test_filters_are_written_and_read_as_json(self) -> None:
        filters = Filters(mode="hold", hold_s=2.5, muted=("a", "\0"), trusted=("@b",), per_author_per_minute=2)
        self.assertEqual(msgspec.json.decode(msgspec.json.encode(filters), type=Filters), filters)
        self.assertEqual(msgspec.json.decode(b"{}", type=Filters), Filters())


class HostileItemTests(SynchronousTestCase):
    def test_no_item_makes_it_fail_and_each_has_the_same_verdict_twice(self) -> None:
        rng = Random(test_words.SEED)

        def text(most: int = 20) -> str:
            return "".join(rng.choices(test_words.HostileTests.ALPHABET + "<>&;:/", k=rng.randrange(most)))

        def author() -> Author:
            return Author(name=text() or "x", handle=text() or None, url=text() or None)

        for _ in range(2000):
            item = Item(
                id=text(),
                source=text(5),
                author=author(),
                text=text(),
                html=text(40),
                created_at=text(),
                media=tuple(
                    Media(type="photo", url=text(), alt=text() or None) for _ in range(rng.randrange(3))
                ),
                reply_to=text() or None,
                sensitive=rng.random() < 0.5,
                shared_by=author() if rng.random() < 0.5 else None,
                quote=Quote(author=author(), text=text(), html=text()) if rng.random() < 0.5 else None,
            )
            filters = Filters(
                mode=rng.choice(["everything", "hold", "approve", "trusted"]),
                muted=tuple(text() for _ in range(rng.randrange(4))),
                trusted=tuple(text() for _ in range(rng.randrange(4))),
                hide_sensitive=rng.random() < 0.5,
                hide_replies=rng.random() < 0.5,
                hide_reposts=rng.random() < 0.5,
            )
            verdict = judge(filters, item)
            self.assertEqual(judge(filters, item), verdict)
            if filters.mode == "approve" and not filters.trusted:
                self.assertIsNotNone(verdict)
