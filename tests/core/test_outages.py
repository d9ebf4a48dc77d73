"""Outages stand where the feed first spoke of them and say what is known by now."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.change import GAP, Change, compose
from afeed.core.draft import SourceGap, prepare
from afeed.core.outages import KEPT, Outage, Outages


def a_gap(minute: int, to: str | None = None, state: str = "open", fetched: int = 0) -> SourceGap:
    """What the log says of an outage of X that began in ``minute``."""
    return SourceGap(
        source="x",
        from_=f"2026-11-22T{minute // 60:02}:{minute % 60:02}:00Z",
        to=to,
        state=state,  # type: ignore[arg-type]
        fetched=fetched,
        reason="outage",
    )


def a_change(seq: int, gap: SourceGap) -> Change:
    return Change.decode(seq, compose(prepare(gap), GAP, "2026-11-22T12:00:00.000Z"))


OVER = "2026-11-22T00:09:00Z"


class OutagesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.outages = Outages()

    def add(self, seq: int, gap: SourceGap) -> None:
        self.outages.add(a_change(seq, gap))

    def test_later_words_replace_earlier_ones_and_leave_the_mark_where_it_is(self) -> None:
        self.add(3, a_gap(1))
        self.add(9, a_gap(1, OVER, "closed", 5))
        self.assertEqual(self.outages.shown(None, 0, 10), [Outage(3, a_gap(1, OVER, "closed", 5))])

    def test_the_latest_comes_first(self) -> None:
        for seq in (3, 5, 4):
            self.add(seq, a_gap(seq, OVER))
        self.assertEqual([outage.seq for outage in self.outages.shown(None, 0, 10)], [5, 4, 3])

    def test_every_page_has_its_own(self) -> None:
        for seq in (10, 20, 30):
            self.add(seq, a_gap(seq, OVER))
        found = [
            [outage.seq for outage in self.outages.shown(before, after, 40)]
            for before, after in ((None, 25), (25, 20), (20, 0))
        ]
        self.assertEqual(found, [[30], [], [10]])

    def test_one_that_lasts_is_at_the_top_of_the_newest_page_however_long_ago_it_began(self) -> None:
        self.add(2, a_gap(2))
        self.add(3, a_gap(3, OVER))
        self.assertEqual(self.outages.shown(None, 50, 90), [Outage(90, a_gap(2))])
        self.assertEqual(self.outages.shown(60, 50, 90), [])
        self.assertEqual([outage.seq for outage in self.outages.shown(60, 0, 90)], [3, 2])

    def test_the_archive_adds_what_is_no_longer_here(self) -> None:
        self.add(40, a_gap(4, OVER, "closed", 1))
        # The archive knows of the last words alone, and may be behind.
        self.outages.recall([(12, a_gap(1, OVER)), (38, a_gap(4)), (50, a_gap(5))])
        found = {outage.seq: outage.gap for outage in self.outages.shown(None, 0, 90)}
        self.assertEqual(found, {12: a_gap(1, OVER), 38: a_gap(4, OVER, "closed", 1), 50: a_gap(5)})

    def test_what_cannot_be_read_is_passed_over(self) -> None:
        stored = b'{"at":"2026-11-22T12:00:00.000Z","type":"source.gap","source":7}'
        self.outages.add(Change(1, "2026-11-22T12:00:00.000Z", GAP, None, None, stored))
        self.assertEqual(self.outages.shown(None, 0, 1), [])

    def test_the_earliest_are_forgotten_first(self) -> None:
        for seq in range(1, KEPT + 11):
            self.add(seq, a_gap(seq, OVER))
        found = self.outages.shown(None, 0, 1000)
        self.assertEqual((len(found), found[-1].seq), (KEPT, 11))
