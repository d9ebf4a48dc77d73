"""What is recorded of the outages of a source that asks again and again; a stream's ledger is in
``test_backfill.py``."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.change import timestamp
from afeed.core.ledger import PollLedger
from tests.properties import given

NOON = 1_772_355_600.0
STARTS = NOON - 86_400
TOLD_S = 780.0


def restored(stored: str | None, now: float = NOON, told_s: float = TOLD_S) -> PollLedger:
    return PollLedger.restored("flickr:conf", stored, now, starts=STARTS, told_s=told_s)


def answered(at: float = NOON) -> PollLedger:
    """A ledger whose last search that came to its end began ``at``."""
    return restored(json.dumps({"newest_id": "1", "live_at": timestamp(at)}), at)


class OutageTests(SynchronousTestCase):
    def test_an_outage_is_told_once_and_when_it_has_lasted(self) -> None:
        ledger = answered()
        self.assertEqual(ledger.tells_at(), NOON + TOLD_S)
        self.assertIsNone(ledger.outage(NOON + TOLD_S - 0.1))
        gap = ledger.outage(NOON + TOLD_S)
        assert gap is not None
        self.assertEqual(
            (gap.source, gap.from_, gap.to, gap.state, gap.fetched, gap.reason),
            ("flickr:conf", timestamp(NOON), None, "open", 0, "outage"),
        )
        self.assertEqual(ledger.tells_at(), math.inf)
        self.assertIsNone(ledger.outage(NOON + 86_400))

    def test_it_is_closed_with_what_is_from_its_time(self) -> None:
        ledger = answered(NOON + 0.5)
        told = ledger.outage(NOON + 3600)
        ledger.found([NOON - 1, NOON, NOON + 7])  # upstream times are whole seconds
        ledger.found([NOON + 9])
        gap = ledger.answered(NOON + 4000)
        assert gap is not None
        assert told is not None
        self.assertEqual((gap.from_, gap.to), (told.from_, timestamp(NOON + 4000)))
        self.assertEqual((gap.state, gap.fetched), ("closed", 3))
        self.assertEqual(ledger.live_at, NOON + 4000)
        ledger.found([NOON + 4001])
        ledger.outage(NOON + 9000)
        again = ledger.answered(NOON + 9001)
        assert again is not None
        self.assertEqual((again.from_, again.fetched), (timestamp(NOON + 4000), 1))

    def test_what_was_never_told_is_never_closed(self) -> None:
        ledger = answered()
        self.assertIsNone(ledger.answered(NOON + TOLD_S - 1))
        self.assertEqual(ledger.tells_at(), NOON + 2 * TOLD_S - 1)

    def test_one_that_outlasts_the_event_has_an_end_and_stays_open(self) -> None:
        ledger = answered()
        ledger.outage(NOON + 3600)
        gap = ledger.over(NOON + 7200)
        self.assertEqual(
            (gap.from_, gap.to, gap.state, gap.reason),
            (timestamp(NOON), timestamp(NOON + 7200), "open", "event-over"),
        )

    def test_a_clock_that_goes_back_ends_nothing_early(self) -> None:
        ledger = answered()
        ledger.answered(NOON - 50)
        self.assertEqual(ledger.live_at, NOON)


class PositionTests(SynchronousTestCase):
    def test_a_stop_that_lasted_is_an_outage_and_a_short_one_is_none(self) -> None:
        stored = answered().position("1772355000")
        for stopped, told in ((60, False), (TOLD_S - 1, False), (TOLD_S, True), (8 * 3600, True)):
            ledger = restored(stored, NOON + stopped)
            self.assertEqual(ledger.newest_id, "1772355000")
            gap = ledger.outage(NOON + stopped)
            self.assertEqual(gap is not None, told, stopped)
            closed = ledger.answered(NOON + stopped + 5)
            self.assertEqual(closed is not None, told, stopped)
            if gap is not None and closed is not None:
                self.assertEqual((gap.from_, closed.from_), (timestamp(NOON), timestamp(NOON)))

    def test_one_that_was_told_before_a_stop_is_closed_after_it_with_all_that_was_fetched(self) -> None:
        ledger = answered()
        ledger.outage(NOON + 3600)
        ledger.found([NOON + 1, NOON + 2])
        # With a larger threshold it would not be told any more, and has to be closed all the same.
        again = restored(ledger.position("1"), NOON + 3700, told_s=10_000)
        self.assertIsNone(again.outage(NOON + 3700))
        again.found([NOON + 3])
        gap = again.answered(NOON + 3701)
        assert gap is not None
        self.assertEqual((gap.from_, gap.state, gap.fetched), (timestamp(NOON), "closed", 3))

    def test_before_the_source_starts_there_is_no_outage(self) -> None:
        last_year = restored(json.dumps({"live_at": timestamp(STARTS - 86_400 * 365), "told": True}), STARTS)
        self.assertIsNone(last_year.outage(STARTS))
        self.assertIsNone(last_year.answered(STARTS + 1))
        late = restored(json.dumps({"live_at": timestamp(STARTS - 86_400 * 365)}), STARTS + 7200)
        gap = late.outage(STARTS + 7200)
        assert gap is not None
        self.assertEqual(gap.from_, timestamp(STARTS))

    def test_what_cannot_be_read_is_a_first_start(self) -> None:
        strange: list[Any] = [
            *({"live_at": at} for at in ("yesterday", 7, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9999Z")),
            {"live_at": timestamp(NOON), "told": "yes"},
            {"live_at": timestamp(NOON), "fetched": []},
            {},
            [],
            1772355600,
        ]
        for stored in (None, "", "nonsense", *map(json.dumps, strange)):
            ledger = restored(stored, NOON)
            self.assertEqual((ledger.live_at, ledger.told), (NOON, False), stored)
            self.assertIsNone(ledger.answered(NOON + 1), stored)

    def test_a_position_from_the_future_is_of_now(self) -> None:
        ledger = restored(answered(NOON + 500).position("1"), NOON)
        self.assertEqual(ledger.live_at, NOON)

    def test_it_fits_into_the_log(self) -> None:
        ledger = answered()
        ledger.outage(NOON + 3600)
        ledger.found([NOON + 1] * 10_000)
        self.assertLess(len(ledger.position("9" * 12)), 200)


class HistoryTests(SynchronousTestCase):
    @given(st.lists(st.tuples(st.floats(1, 5000), st.booleans(), st.booleans()), max_size=30))
    def test_whatever_is_told_is_closed_by_the_next_answer(
        self, rounds: list[tuple[float, bool, bool]]
    ) -> None:
        """The record of any history: every outage longer than the threshold, each once, from where the last
        answered search began to where the next one did."""
        ledger, now, last = answered(), NOON, NOON
        opened: list[str] = []
        closed: list[tuple[str, str | None]] = []
        expected: list[tuple[str, str]] = []
        for passed, good, restart in [*rounds, (1.0, True, False)]:
            now += passed
            if restart:
                ledger = restored(ledger.position("1"), now)
            gap = ledger.outage(now)
            if gap is not None:
                opened.append(gap.from_)
            if good:
                if ledger.told:
                    expected.append((timestamp(last), timestamp(now)))
                elif now - last > TOLD_S + 0.01:
                    self.fail("an outage was not told")
                gap = ledger.answered(now)
                last = now
                if gap is not None:
                    closed.append((gap.from_, gap.to))
        self.assertEqual(closed, expected)
        self.assertEqual(opened, [from_ for from_, _ in closed])
