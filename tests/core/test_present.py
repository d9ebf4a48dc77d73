"""What a page shows of a stretch of changes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.draft import Draft, Removed
from afeed.core.present import present
from tests.fakes import MemoryLog, a_post


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
