"""What an outage leaves to be fetched, and when it is complete."""

from __future__ import annotations

import json
import math

from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.backfill import (
    DEPTH_S,
    FIRST_S,
    HIDDEN_S,
    MARGIN_S,
    MAX_SPANS,
    OVERLAP_S,
    TOLD_S,
    Ledger,
    unsearchable,
)
from afeed.core.change import timestamp
from tests.properties import given

NOON = 1_772_355_600.0


def live(at: float = NOON) -> Ledger:
    """A ledger whose stream has been live for long and is so at ``at``."""
    ledger = Ledger.restored("x", json.dumps({"live_at": timestamp(at - 1)}), at)
    ledger.regained(at, at)
    ledger.spans.clear()
    return ledger


class SearchTests(SynchronousTestCase):
    def test_nothing_is_searched_for_while_the_stream_is_live(self) -> None:
        ledger = live()
        self.assertIsNone(ledger.search(NOON + 3600))
        self.assertEqual(ledger.next_at(), math.inf)

    def test_a_long_outage_is_searched_at_once_from_a_safe_distance_before_it(self) -> None:
        ledger = live()
        ledger.lost(NOON)
        self.assertIsNone(ledger.search(NOON + 80))
        ledger.regained(NOON + 90, NOON + 91)
        search = ledger.search(NOON + 91)
        assert search is not None
        self.assertEqual((search.start, search.end, search.cut), (NOON - OVERLAP_S, None, False))

    def test_it_is_searched_again_until_what_was_hidden_shows(self) -> None:
        ledger = live()
        ledger.lost(NOON)
        ledger.regained(NOON + 90, NOON + 90)
        first = ledger.search(NOON + 90)
        assert first is not None
        self.assertIsNone(ledger.searched(first, NOON + 90))
        complete = NOON + 90 + MARGIN_S + HIDDEN_S
        self.assertEqual(ledger.next_at(), complete)
        self.assertIsNone(ledger.search(complete - 1))
        second = ledger.search(complete)
        assert second is not None
        # What the first one could not see, and a little more; up to where the stream takes over.
        self.assertLessEqual(second.start, NOON + 90 - HIDDEN_S)
        self.assertEqual(second.end, NOON + 90 + MARGIN_S)
        gap = ledger.searched(second, complete)
        assert gap is not None
        self.assertEqual((gap.state, gap.from_, gap.to), ("closed", timestamp(NOON), timestamp(NOON + 90)))
        self.assertEqual(ledger.next_at(), math.inf)

    def test_a_hiccup_is_searched_once_and_leaves_no_record(self) -> None:
        ledger = live()
        ledger.lost(NOON)
        self.assertIsNone(ledger.outage(NOON + 1))
        self.assertIsNone(ledger.regained(NOON + 1, NOON + 1))
        self.assertIsNone(ledger.search(NOON + 1))
        search = ledger.search(ledger.next_at())
        assert search is not None
        self.assertEqual(search.start, NOON - OVERLAP_S)
        self.assertIsNone(ledger.searched(search, NOON + 1 + MARGIN_S + HIDDEN_S))
        self.assertEqual(ledger.spans, [])

    def test_a_hiccup_that_cannot_be_filled_in_is_recorded(self) -> None:
        ledger = live()
        ledger.lost(NOON)
        ledger.regained(NOON + 1, NOON + 1)
        search = ledger.search(NOON + 100)
        assert search is not None
        gap = ledger.failed(search.span, "search-failed", "HTTP 503", NOON + 105)
        assert gap is not None
        self.assertEqual((gap.state, gap.to, gap.reason), ("open", timestamp(NOON + 1), "search-failed"))
        self.assertIn("HTTP 503", ledger.problems()[0])
        again = ledger.search(NOON + 105)
        assert again is not None
        closed = ledger.searched(again, NOON + 105)
        assert closed is not None
        self.assertEqual((closed.state, closed.from_), ("closed", gap.from_))
        self.assertEqual(ledger.problems(), [])

    def test_outages_close_to_each_other_are_one(self) -> None:
        ledger = live()
        ledger.lost(NOON)
        ledger.regained(NOON + 1, NOON + 1)
        ledger.lost(NOON + 20)
        self.assertIsNone(ledger.search(NOON + 3600))  # not while it goes on
        ledger.regained(NOON + 22, NOON + 22)
        (span,) = ledger.spans
        self.assertEqual((span.from_, span.to, span.down), (NOON, NOON + 22, 3.0))
        self.assertEqual(ledger.next_at(), NOON + 22 + MARGIN_S + HIDDEN_S)

    def test_a_search_that_was_under_way_when_the_stream_was_lost_again_closes_nothing(self) -> None:
        ledger = live()
        ledger.lost(NOON)
        ledger.regained(NOON + 10, NOON + 10)
        late = NOON + 10 + MARGIN_S + HIDDEN_S
        search = ledger.search(late)
        assert search is not None
        ledger.lost(NOON + 40)  # silent since then, noticed only now
        self.assertIsNone(ledger.searched(search, late))
        ledger.regained(late + 100, late + 100)
        (span,) = ledger.spans
        self.assertLessEqual(span.start, NOON + 40 - OVERLAP_S)
        self.assertEqual((span.from_, span.to), (NOON, late + 100))

    def test_what_is_older_than_the_search_reaches_stays_open(self) -> None:
        ledger = live()
        ledger.lost(NOON)
        later = NOON + 9 * 86400
        ledger.regained(later, later)
        search = ledger.search(later)
        assert search is not None
        self.assertEqual((search.start, search.cut), (later - DEPTH_S, True))
        gap = ledger.searched(search, later)
        assert gap is not None
        self.assertEqual((gap.state, gap.reason), ("open", "too-old"))
        self.assertIn("seven days", ledger.problems()[0])
        self.assertIsNone(ledger.search(later + DEPTH_S + 1))
        self.assertEqual(ledger.problems(), [])


class RecordTests(SynchronousTestCase):
    def test_an_outage_is_told_once_and_after_a_moment(self) -> None:
        ledger = live()
        ledger.lost(NOON)
        self.assertEqual(ledger.next_at(), NOON + TOLD_S)
        self.assertIsNone(ledger.outage(NOON + TOLD_S - 0.1))
        gap = ledger.outage(NOON + TOLD_S)
        assert gap is not None
        self.assertEqual((gap.from_, gap.to, gap.state), (timestamp(NOON), None, "open"))
        self.assertIsNone(ledger.outage(NOON + 600))
        self.assertIsNone(ledger.regained(NOON + 700, NOON + 700))

    def test_a_stream_that_is_open_and_says_nothing_yet_is_no_outage(self) -> None:
        ledger = live()
        ledger.lost(NOON)
        ledger.opened()
        self.assertIsNone(ledger.outage(NOON + 20))
        self.assertEqual(ledger.next_at(), math.inf)
        ledger.lost(NOON + 20)  # it was barren
        gap = ledger.outage(NOON + 20)
        assert gap is not None
        self.assertEqual(gap.from_, timestamp(NOON))


class PositionTests(SynchronousTestCase):
    def test_a_first_start_looks_back_a_quarter_of_an_hour_and_records_nothing(self) -> None:
        ends = (
            '{"live_at":"0001-01-01T00:00:00Z"}',
            '{"live_at":"2026-11-21T17:00:05Z","open":[["2026-11-21T16:00:00Z","9999-12-31T23:59:59.9999Z",true]]}',
        )
        for stored in (None, "", "nonsense", "{}", "[]", '{"live_at":"yesterday"}', '{"live_at":7}', *ends):
            ledger = Ledger.restored("x", stored, NOON)
            self.assertIsNone(ledger.regained(NOON + 1, NOON + 1))
            search = ledger.search(NOON + 1)
            assert search is not None
            self.assertEqual(search.start, NOON - FIRST_S, stored)
            self.assertIsNone(ledger.failed(search.span, "search-failed", "HTTP 403", math.inf))

    def test_a_night_without_afeed_is_an_outage(self) -> None:
        ledger = Ledger.restored("x", live().position("7"), NOON + 36_000)
        gap = ledger.outage(NOON + 36_000)
        assert gap is not None
        self.assertEqual(gap.from_, timestamp(NOON))
        ledger.regained(NOON + 36_001, NOON + 36_001)
        search = ledger.search(NOON + 36_001)
        assert search is not None
        self.assertEqual(search.start, NOON - OVERLAP_S)

    def test_a_position_stored_before_the_fill_was_complete_knows_of_it(self) -> None:
        ledger = live()
        ledger.lost(NOON)
        ledger.regained(NOON + 90, NOON + 90)
        ledger.alive(NOON + 95)
        again = Ledger.restored("x", ledger.position(None), NOON + 5000)
        self.assertEqual(again.live_at, NOON + 95)
        again.regained(NOON + 5001, NOON + 5001)
        search = again.search(NOON + 9000)
        assert search is not None
        self.assertEqual(search.start, NOON - OVERLAP_S)
        again.searched(search, NOON + 9000)
        self.assertEqual(again.spans, [])

    def test_a_hiccup_that_was_recorded_before_a_stop_is_closed_after_it(self) -> None:
        ledger = live()
        ledger.lost(NOON)
        ledger.regained(NOON + 1, NOON + 1)
        search = ledger.search(NOON + 100)
        assert search is not None
        ledger.failed(search.span, "search-failed", "HTTP 503", NOON + 105)
        ledger.alive(NOON + 200)
        again = Ledger.restored("x", ledger.position(None), NOON + 300)
        again.regained(NOON + 301, NOON + 301)
        search = again.search(NOON + 400)
        assert search is not None
        gap = again.searched(search, NOON + 400)
        assert gap is not None
        self.assertEqual((gap.from_, gap.state), (timestamp(NOON), "closed"))

    def test_a_position_fits_into_the_log_however_often_the_stream_was_lost(self) -> None:
        ledger = live()
        for number in range(40):
            moment = NOON + 1000 * number
            ledger.lost(moment)
            ledger.regained(moment + 10, moment + 10)
        self.assertEqual(len(ledger.spans), MAX_SPANS)
        self.assertLess(len(ledger.position("1" * 19)), 1024)
        self.assertEqual(ledger.spans[-1].to, NOON + 39_010)


class CompletenessTests(SynchronousTestCase):
    """Whatever happens: what the stream did not bring is in a search that was made late enough to show it."""

    @given(
        st.lists(st.tuples(st.floats(0.1, 400), st.floats(0.1, 400), st.booleans()), min_size=1, max_size=12)
    )
    def test_every_moment_of_every_outage_is_searched(self, rounds: list[tuple[float, float, bool]]) -> None:
        ledger = live()
        now = NOON
        outages: list[tuple[float, float]] = []
        seen: list[tuple[float, float]] = []

        def work(until: float) -> None:
            while (due := ledger.next_at()) <= until:
                moment = max(due, now)
                ledger.outage(moment)
                search = ledger.search(moment)
                if search is not None:
                    end = moment - 30 if search.end is None else min(search.end, moment - 30)
                    seen.append((search.start, end))
                    ledger.searched(search, moment)

        for up, down, restarted in rounds:
            work(now + up)
            now += up
            ledger.alive(now)
            ledger.lost(now)
            outages.append((now, now + down))
            if restarted:
                ledger = Ledger.restored("x", ledger.position(None), now + down)
            work(now + down)
            now += down
            ledger.regained(now, now)
        work(now + 1000)
        self.assertEqual(ledger.spans, [])
        for first, last in outages:
            moment = first - 50
            while moment <= last + 15:
                self.assertTrue(any(start <= moment <= end for start, end in seen), (moment, seen))
                moment += max(1.0, (last - first) / 50)


class UnsearchableTests(SynchronousTestCase):
    def test_operators_that_only_the_stream_knows(self) -> None:
        for rule in ("#aea sample:10", "bio:designer", "(#aea OR -bio_name:ann)", "BIO_LOCATION:seattle"):
            self.assertIsNotNone(unsearchable(rule), rule)
        for rule in ("#aea -is:retweet", '"bio: none" #aea', "url:sample", "from:bio", "#bio"):
            self.assertIsNone(unsearchable(rule), rule)
