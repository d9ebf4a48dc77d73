"""What the strainer decides."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.change import EDITED, POSTED, REMOVED, Change, compose, timestamp
from afeed.core.cursor import Ancestor, Cursor
from afeed.core.draft import RESTORED, Draft, Removed, SourceGap, key, prepare
from afeed.core.item import decode_item
from afeed.core.straining import LINGER_S, LONGEST_LINGER_S, WORTHWHILE, Refusal, fold, linger, starting_point
from tests.fakes import a_post


def changes(*drafts: tuple[str, Draft]) -> list[Change]:
    """What a log would hold, numbered from 1."""
    return [
        Change.decode(seq, compose(prepare(draft), type, timestamp(1_800_000_000 + seq)))
        for seq, (type, draft) in enumerate(drafts, 1)
    ]


class StartingPointTests(SynchronousTestCase):
    def test_an_empty_archive_begins_at_the_beginning(self) -> None:
        self.assertEqual(starting_point(None, "e2", (Ancestor("e1", 5),), 9), 0)

    def test_the_same_epoch_goes_on_where_the_archive_stands(self) -> None:
        self.assertEqual(starting_point(Cursor("e1", 5), "e1", (), 9), 5)
        self.assertEqual(starting_point(Cursor("e1", 9), "e1", (), 9), 9)

    def test_an_epoch_that_shares_what_is_archived_goes_on(self) -> None:
        lineage = (Ancestor("e2", 7), Ancestor("e1", 5))
        self.assertEqual(starting_point(Cursor("e1", 5), "e3", lineage, 9), 5)
        self.assertEqual(starting_point(Cursor("e2", 6), "e3", lineage, 9), 6)

    def test_an_epoch_that_shares_less_than_is_archived_is_refused(self) -> None:
        refusal = starting_point(Cursor("e1", 6), "e3", (Ancestor("e2", 7), Ancestor("e1", 5)), 9)
        assert isinstance(refusal, Refusal)
        self.assertIn("e1:6", refusal.reason)
        self.assertIn("e3", refusal.reason)

    def test_an_unknown_epoch_is_refused(self) -> None:
        self.assertIsInstance(starting_point(Cursor("other", 1), "e1", (), 9), Refusal)

    def test_a_log_that_ends_before_the_archive_is_refused(self) -> None:
        self.assertIsInstance(starting_point(Cursor("e1", 10), "e1", (), 9), Refusal)


class LingerTests(SynchronousTestCase):
    def settled(self, rate: float) -> tuple[float, float]:
        """The wait, and what it brings, when changes come ``rate`` a second for a while."""
        pause = LINGER_S
        for _ in range(20):
            pause = linger(pause, round(rate * pause))
        return pause, rate * pause

    def test_a_trickle_is_gathered_for_as_long_as_anybody_may_wait(self) -> None:
        self.assertEqual(self.settled(0)[0], LONGEST_LINGER_S)
        self.assertEqual(self.settled(100)[0], LONGEST_LINGER_S)

    def test_a_stream_is_gathered_until_a_transaction_is_worthwhile(self) -> None:
        for rate in (300, 500, 2000):
            pause, gathered = self.settled(rate)
            self.assertLess(pause, LONGEST_LINGER_S)
            self.assertAlmostEqual(gathered, WORTHWHILE, delta=WORTHWHILE / 10)

    def test_a_flood_is_not_waited_for(self) -> None:
        self.assertEqual(self.settled(10_000)[0], LINGER_S)
        self.assertEqual(linger(LONGEST_LINGER_S, 30_000), LINGER_S)

    def test_the_wait_grows_step_by_step(self) -> None:
        self.assertEqual(linger(LINGER_S, 1), 2 * LINGER_S)


class FoldTests(SynchronousTestCase):
    def test_an_edit_replaces_the_state_and_keeps_the_place(self) -> None:
        folded = fold(changes((POSTED, a_post(1, "old")), (POSTED, a_post(2)), (EDITED, a_post(1, "new", "2"))))
        first, second = folded.items
        self.assertEqual((first.id, first.first_seq, first.seq, first.version), ("push:1", 1, 3, "2"))
        self.assertEqual(decode_item(first.content).text, "new")
        self.assertEqual((second.id, second.first_seq, second.seq), ("push:2", 2, 2))
        self.assertEqual([row_key for _, row_key in folded.rows], [key("push:1"), key("push:2"), key("push:1")])

    def test_a_removal_redacts_what_the_batch_itself_brought(self) -> None:
        log = changes(
            (POSTED, a_post(1, "secret")), (EDITED, a_post(1, "secret", "2")), (REMOVED, Removed("push:1"))
        )
        folded = fold(log)
        self.assertEqual([change.type for change, _ in folded.rows], ["redacted", "redacted", REMOVED])
        self.assertEqual([change.at for change, _ in folded.rows], [change.at for change in log])
        self.assertEqual([row_key for _, row_key in folded.rows], [None, None, key("push:1")])
        self.assertNotIn(b"secret", b"".join(change.stored for change, _ in folded.rows))
        self.assertEqual(folded.items, [])
        self.assertEqual([(removal.id, removal.seq) for removal in folded.removals], [("push:1", 3)])

    def test_nothing_brings_a_removed_item_back(self) -> None:
        folded = fold(changes((REMOVED, Removed("push:1")), (POSTED, a_post(1))))
        self.assertEqual(folded.items, [])
        self.assertEqual([removal.seq for removal in folded.removals], [1])

    def test_being_restored_brings_it_back(self) -> None:
        again = a_post(1, "shown", RESTORED + "a")
        folded = fold(changes((POSTED, a_post(1, "secret")), (REMOVED, Removed("push:1")), (POSTED, again)))
        self.assertEqual([change.type for change, _ in folded.rows], ["redacted", REMOVED, POSTED])
        (state,) = folded.items
        self.assertEqual((state.first_seq, state.seq, state.restored), (3, 3, True))
        self.assertEqual([removal.seq for removal in folded.removals], [2])
        folded = fold(changes((POSTED, again), (EDITED, a_post(1, "edited", "7"))))
        (state,) = folded.items
        self.assertEqual((state.first_seq, state.version, state.restored), (1, "7", True))

    def test_what_is_removed_once_more_is_gone(self) -> None:
        again = a_post(1, "shown", RESTORED + "a")
        folded = fold(
            changes(
                (REMOVED, Removed("push:1")),
                (POSTED, again),
                (REMOVED, Removed("push:1")),
                (POSTED, a_post(1)),
            )
        )
        self.assertEqual(folded.items, [])
        self.assertEqual([removal.seq for removal in folded.removals], [3])
        self.assertEqual(folded.rows[1][0].type, "redacted")

    def test_what_is_no_item_is_only_a_row(self) -> None:
        gap = SourceGap(source="x", from_="a", to=None, state="open", fetched=0, reason="silence")
        asked = Change.decode(2, b'{"at":"2026-11-21T17:00:06.120Z","type":"question.asked","text":"why?"}')
        folded = fold([*changes(("source.gap", gap)), asked])
        self.assertEqual([row_key for _, row_key in folded.rows], [None, None])
        self.assertEqual((folded.items, folded.removals, folded.unreadable), ([], [], []))

    def test_an_item_that_cannot_be_read_is_kept_and_told(self) -> None:
        broken = Change.decode(
            1, b'{"at":"2026-11-21T17:00:06.120Z","type":"item.posted","version":"1","item":{"id":"push:1"}}'
        )
        folded = fold([broken])
        self.assertEqual([change for change, _ in folded.rows], [broken])
        self.assertEqual((folded.items, folded.unreadable), ([], [1]))
