"""What an item is found by, and what it counts for."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.item import Author, Media
from afeed.core.search.facets import ALL, author_value, filed, moment, word
from tests.web.samples import make_item

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


class FiledTests(SynchronousTestCase):
    def test_text_author_and_alternative_texts_are_words(self) -> None:
        item = make_item(
            1,
            text="Hello #Stage",
            author=Author(name="Ann Bé", handle="ann_b"),
            media=(Media(type="photo", url="https://p.example/1.jpg", alt="a red door"),),
        )
        found = filed(item, "t1", AMSTERDAM)
        for expected in ("hello", "stage", "#stage", "a", "red", "door", "ann", "be", "ann_b", "@ann_b", ALL):
            self.assertIn(expected, found.words)
        for facet, value in (("talk", "t1"), ("kind", "photo"), ("source", "push"), ("day", "2026-11-22")):
            self.assertIn(word(facet, value), found.words)
            self.assertIn((facet, value), [one[:2] for one in found.values])
        self.assertIn(("minute:t1", "2026-11-22T11:59", None), found.values)

    def test_days_and_hours_are_those_at_the_event(self) -> None:
        self.assertEqual(
            moment("2026-11-21T23:30:00Z", AMSTERDAM), ("2026-11-22", "2026-11-22T00", "2026-11-21T23:30")
        )

    def test_a_time_that_is_none_is_in_no_day(self) -> None:
        for created_at in ("", "soon", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
            found = filed(make_item(1, created_at=created_at), "t1", ZoneInfo("Pacific/Kiritimati"))
            self.assertEqual([one for one in found.values if one[0] == "hour"], [])

    def test_no_text_can_hold_the_word_of_a_facet(self) -> None:
        plain = set(filed(make_item(1, text="nothing"), None, AMSTERDAM).words)
        hostile = make_item(1, text="~tt1 ~ #~d2026 @~tt1 ~b0", author=Author(name="~kphoto", handle="~ta"))
        found = [one for one in filed(hostile, None, AMSTERDAM).words if one.startswith(ALL)]
        self.assertLessEqual(set(found) - {word("author", author_value(hostile) or "")}, plain)

    def test_values_that_could_not_be_words_are_hashed(self) -> None:
        for value in ("x:@ann", "a b", "é" * 500, "\ud800", "'\"", ""):
            found = word("author", value)
            self.assertTrue(found.isascii() and len(found) < 64, found)
        self.assertNotEqual(word("author", "a b"), word("author", "a c"))

    def test_an_author_of_whom_nothing_is_known_is_nobody(self) -> None:
        self.assertIsNone(author_value(make_item(1, author=Author(name="unknown"))))
