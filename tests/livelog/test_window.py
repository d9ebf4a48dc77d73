"""The newest changes in memory."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.change import FILED, REDACTED, REMOVED, Change, compose
from afeed.core.draft import Filed, Removed, prepare
from afeed.window import Window
from tests.livelog.samples import AT, posted


def removed(seq: int, number: int) -> Change:
    return Change.decode(seq, compose(prepare(Removed(f"push:{number}")), REMOVED, AT))


class WindowTests(SynchronousTestCase):
    def seqs(self, window: Window, after: int, limit: int = 100) -> list[int] | None:
        found = window.slice(after, limit)
        return None if found is None else [change.seq for change in found.changes]

    def test_it_holds_at_most_limit_changes(self) -> None:
        window = Window("k3f9", 0, 3)
        window.extend(posted(seq) for seq in range(1, 11))
        self.assertEqual((window.base, window.head), (7, 10))
        self.assertEqual(self.seqs(window, 7), [8, 9, 10])
        self.assertIsNone(self.seqs(window, 6))

    def test_it_holds_at_most_so_many_bytes_but_always_the_newest(self) -> None:
        size = len(posted(1).stored)
        window = Window("k3f9", 0, 100, max_bytes=3 * size)
        window.extend(posted(seq) for seq in range(1, 10))
        self.assertEqual(self.seqs(window, window.base), [7, 8, 9])
        tiny = Window("k3f9", 0, 100, max_bytes=1)
        tiny.extend([posted(1), posted(2)])
        self.assertEqual(self.seqs(tiny, 1), [2])

    def test_a_removal_redacts_content_and_nothing_else(self) -> None:
        window = Window("k3f9", 0, 10)
        filed = Change.decode(2, compose(prepare(Filed("push:1", "t", "1")), FILED, AT))
        window.extend([posted(1), filed, removed(3, 1), removed(4, 1)])
        found = window.slice(0, 10)
        assert found is not None
        self.assertEqual([c.type for c in found.changes], [REDACTED, FILED, REMOVED, REMOVED])
        self.assertEqual(found.changes[1], filed)

    def test_a_slice_names_its_epoch_and_first_seq(self) -> None:
        window = Window("k3f9", 40, 10)
        window.extend([posted(41), posted(42)])
        self.assertEqual(window.slice(41, 5), ("k3f9", 42, [posted(42)]))
        self.assertEqual(window.slice(42, 5), ("k3f9", 43, []))
        self.assertEqual(window.slice(99, 5), ("k3f9", 100, []))

    def test_changes_must_follow_each_other(self) -> None:
        window = Window("k3f9", 40, 10)
        self.assertRaises(ValueError, window.extend, [posted(42)])
        self.assertRaises(ValueError, window.extend, [posted(40)])

    def test_a_removal_redacts_what_is_still_here_and_nothing_else(self) -> None:
        window = Window("k3f9", 0, 3)
        window.extend([posted(1, 7), posted(2, 7, "2"), posted(3, 8), removed(4, 7), removed(5, 99)])
        found = window.slice(2, 10)
        assert found is not None
        self.assertEqual(
            [change.type for change in found.changes], ["item.posted", "item.removed", "item.removed"]
        )
        window = Window("k3f9", 0, 10)
        window.extend([posted(1, 7), posted(2, 7, "2"), posted(3, 8), removed(4, 7)])
        found = window.slice(0, 10)
        assert found is not None
        self.assertEqual(
            [change.type for change in found.changes], ["redacted", "redacted", "item.posted", "item.removed"]
        )

    def test_it_forgets_what_it_drops(self) -> None:
        window = Window("k3f9", 0, 5)
        window.extend(posted(seq, seq % 7, str(seq)) for seq in range(1, 1001))
        window.extend(removed(seq, seq % 7) for seq in range(1001, 1101))
        self.assertEqual(len(window._changes), 5)
        self.assertLessEqual(len(window._seqs), 5)
        self.assertEqual(window._bytes, sum(len(change.stored) for change in window._changes.values()))
