"""At most so many posts of one author in a minute."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.crowding import brought_by, uncrowded
from afeed.core.item import UNKNOWN_AUTHOR, Author, Item
from tests.web.samples import make_item

BEN = Author(name="Ben", handle="ben")


class CrowdingTests(SynchronousTestCase):
    def shown(self, most: int, *items: Item) -> list[int]:
        return uncrowded(list(enumerate(items)), most)

    def test_the_first_of_each_author_in_each_minute_are_shown(self) -> None:
        def at(second: int, **other: object) -> Item:
            return make_item(created_at=f"2026-11-22T11:{second // 60:02}:{second % 60:02}Z", **other)

        items = [at(0), at(1), at(2, author=BEN), at(59), at(60), at(61, author=BEN), at(62), at(63)]
        self.assertEqual(self.shown(1, *items), [0, 2, 4, 5])
        self.assertEqual(self.shown(2, *items), [0, 1, 2, 4, 5, 6])
        self.assertEqual(self.shown(9, *items), list(range(8)))
        # What comes later changes nothing about what was shown.
        for count in range(len(items)):
            self.assertEqual(self.shown(2, *items[:count]), [n for n in self.shown(2, *items) if n < count])

    def test_it_is_the_turn_of_who_brings_it(self) -> None:
        shared = [make_item(n, author=Author(name=f"Author {n}"), shared_by=BEN) for n in range(3)]
        self.assertEqual(self.shown(1, *shared), [0])
        self.assertEqual(brought_by(shared[0]), "push:@ben")
        self.assertEqual(self.shown(1, make_item(author=BEN), make_item(author=BEN, source="x")), [0, 1])

    def test_nobody_in_particular_has_no_limit(self) -> None:
        self.assertEqual(self.shown(1, *[make_item(n, author=UNKNOWN_AUTHOR) for n in range(3)]), [0, 1, 2])
