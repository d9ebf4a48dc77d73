"""What a page shows of a stretch of changes."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.change import POSTED, Change, compose
from afeed.core.draft import RESTORED, Draft, Filed, Posted, Removed, Rescheduled, prepare
from afeed.core.present import is_late, present
from tests.fakes import MemoryLog, a_post, an_item


class PresentTests(SynchronousTestCase):
    def look(self, drafts: list[Draft], limit: int = 10, before: int | None = None) -> list[tuple[int, str]]:
        log = MemoryLog(["e"])
        log.append("e", None, drafts)
        state = present(reversed(log.events["e"].changes), limit, before)
        return [(seq, item.text) for seq, change in state.posted if (item := change.item()) is not None]

    def test_items_come_newest_first(self) -> None:
        self.assertEqual(self.look([a_post(1, "a"), a_post(2, "b")]), [(2, "b"), (1, "a")])

    def test_an_edited_item_stands_where_it_was_posted_with_its_newest_text(self) -> None:
        drafts = [a_post(1, "a"), a_post(2, "b"), a_post(1, "a2", "2"), a_post(1, "a3", "3")]
        self.assertEqual(self.look(drafts), [(2, "b"), (1, "a3")])

    def test_a_removed_item_is_gone(self) -> None:
        self.assertEqual(self.look([a_post(1, "a"), a_post(2, "b"), Removed("push:1")]), [(2, "b")])

    def test_a_page_back_begins_below_a_position_and_still_knows_later_edits(self) -> None:
        drafts = [a_post(1, "a"), a_post(2, "b"), a_post(3, "c"), a_post(1, "a2", "2")]
        self.assertEqual(self.look(drafts, before=3), [(2, "b"), (1, "a2")])

    def test_no_more_than_asked_for(self) -> None:
        self.assertEqual(self.look([a_post(n) for n in range(1, 9)], limit=2), [(8, "hello"), (7, "hello")])

    def test_edits_and_removals_of_older_items_are_told(self) -> None:
        log = MemoryLog(["e"])
        log.append("e", None, [a_post(1), a_post(2), a_post(1, "new", "2"), Removed("push:2")])
        newest = reversed(log.events["e"].changes[2:])
        state = present(newest, 10)
        self.assertEqual((state.posted, list(state.edited), state.removed), ([], ["push:1"], {"push:2"}))


class FiledTests(SynchronousTestCase):
    """Under which talk a page shows an item."""

    def talks(self, *drafts: Draft, skip: int = 0) -> dict[str, str | None]:
        log = MemoryLog(["e"])
        log.append("e", None, drafts)
        state = present(reversed(log.events["e"].changes[skip:]), 10)
        items = [item for _, change in state.posted if (item := change.item()) is not None]
        items += [item for change in state.edited.values() if (item := change.item()) is not None]
        return {item.id: state.filed(item).talk for item in items}

    def post(self, number: int, talk: str | None, version: str = "1") -> Posted:
        return Posted(msgspec.structs.replace(an_item(number), talk=talk), version)

    def test_the_last_word_counts(self) -> None:
        told = self.talks(
            self.post(1, "a"),
            self.post(2, "a"),
            self.post(3, "a"),
            self.post(4, None),
            Filed("push:1", "b", "1"),
            Filed("push:2", "b", "1"),
            Filed("push:3", None, "1"),
            Filed("push:1", "c", "2"),
            self.post(2, "d", "2"),
        )
        self.assertEqual(told, {"push:1": "c", "push:2": "d", "push:3": None, "push:4": None})

    def test_an_edit_that_says_nothing_leaves_an_item_where_it_is_filed(self) -> None:
        told = self.talks(
            self.post(1, "a"),
            self.post(2, None),
            Filed("push:2", "b", "1"),
            self.post(1, None, "2"),
            self.post(2, None, "2"),
        )
        self.assertEqual(told, {"push:1": "a", "push:2": "b"})

    def test_what_was_said_before_a_removal_is_forgotten(self) -> None:
        told = self.talks(
            self.post(1, "a"),
            Filed("push:1", "b", "1"),
            Removed("push:1"),
            self.post(1, None, RESTORED + "x"),
        )
        self.assertEqual(told, {"push:1": None})

    def test_items_that_were_posted_earlier_are_told_of_too(self) -> None:
        drafts = [self.post(1, "a"), Filed("push:1", "b", "1"), self.post(1, None, "2")]
        self.assertEqual(self.talks(*drafts, skip=1), {"push:1": "b"})

    def test_changes_of_the_programme_are_no_items(self) -> None:
        self.assertEqual(self.talks(self.post(1, "a"), Rescheduled("m", "v", ())), {"push:1": "a"})


class LateTests(SynchronousTestCase):
    def posted(self, created_at: str, at: str = "2026-11-22T12:00:00.000Z") -> Change:
        item = msgspec.structs.replace(an_item(1), created_at=created_at)
        return Change.decode(1, compose(prepare(Posted(item, "1")), POSTED, at))

    def test_what_took_more_than_a_quarter_of_an_hour_is_late(self) -> None:
        self.assertFalse(is_late(self.posted("2026-11-22T11:45:00Z")))
        self.assertTrue(is_late(self.posted("2026-11-22T11:44:59Z")))
        self.assertTrue(is_late(self.posted("2026-11-22T06:44:59-05:00")))
        self.assertFalse(is_late(self.posted("2026-11-22T12:30:00Z")))

    def test_what_says_nothing_sensible_of_its_time_is_not(self) -> None:
        for created_at in ("", "yesterday", "0000-00-00T00:00:00Z", "2026-11-22", "1e9"):
            is_late(self.posted(created_at))
        self.assertFalse(is_late(self.posted("yesterday")))
        self.assertFalse(is_late(Change(1, "2026-11-22T12:00:00.000Z", POSTED, "x:1", "1", b"{}")))

    def test_what_is_left_out_is_not_counted(self) -> None:
        log = MemoryLog(["e"])
        log.append("e", None, [a_post(number) for number in range(1, 9)])
        newest = reversed(log.events["e"].changes)
        state = present(newest, 3, leave_out=lambda change: change.seq % 2 == 0)
        self.assertEqual([seq for seq, _ in state.posted], [7, 5, 3])
