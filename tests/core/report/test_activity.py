"""When people posted: bins and peaks."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.report.activity import MOST_BINS, Activity, Peak, moment, peaks, window
from tests.properties import given


class WindowTests(SynchronousTestCase):
    def test_a_talk_is_looked_at_by_the_minute(self) -> None:
        found = window(3_600 + 20, 3_600 * 2 + 20, 130)
        self.assertEqual((found.start, found.bin_s, found.bins), (3_600, 60, 61))

    @given(st.floats(-1e9, 4e9, allow_nan=False), st.floats(0, 4e8, allow_nan=False), st.integers(5, MOST_BINS))
    def test_there_are_never_too_many_bins(self, start: float, length: float, most: int) -> None:
        found = window(start, start + length, most)
        self.assertLessEqual(found.bins, most)
        self.assertGreaterEqual(found.bins, 1)
        self.assertLessEqual(found.start, start)

    def test_what_is_outside_is_counted_apart(self) -> None:
        activity = Activity(window(0, 600, 60))
        for at in (-1.0, 0.0, 59.9, 60.0, 1e6, None):
            activity.add(at, set())
        self.assertEqual(activity.counts[:2], [2, 1])
        self.assertEqual((activity.before, activity.after, activity.undated), (1, 1, 1))


class PeakTests(SynchronousTestCase):
    def test_a_quiet_talk_has_none(self) -> None:
        self.assertEqual(peaks([]), [])
        self.assertEqual(peaks([0] * 50), [])
        self.assertEqual(peaks([1, 0, 1, 0, 0, 1, 0] * 8), [])
        self.assertEqual(peaks([5] * 60), [])

    def test_one_that_rises_and_falls_is_one(self) -> None:
        counts = [1, 2, 1, 2, 1, 2, 9, 14, 6, 2, 1, 2, 1]
        self.assertEqual(peaks(counts), [Peak(6, 8, 7, 29)])

    def test_each_of_several_is_found_in_the_order_of_time(self) -> None:
        counts = [1] * 10 + [8, 12, 3] + [1] * 10 + [20, 9] + [1] * 10
        self.assertEqual([(peak.first, peak.top) for peak in peaks(counts)], [(10, 11), (23, 23)])

    def test_the_first_and_the_last_bin_may_be_one(self) -> None:
        self.assertEqual([peak.top for peak in peaks([12, 1, 1, 1, 1, 1, 1, 1, 1, 15])], [0, 9])

    def test_only_the_highest_are_reported(self) -> None:
        counts = ([1] * 12 + [10]) * 9 + [1] * 12 + [40]
        found = peaks(counts, most=2)
        self.assertEqual(len(found), 2)
        self.assertEqual(found[-1].top, len(counts) - 1)

    @given(st.lists(st.integers(0, 200), max_size=200))
    def test_they_are_within_the_bins_and_do_not_overlap(self, counts: list[int]) -> None:
        found = peaks(counts)
        self.assertLessEqual(len(found), 5)
        for peak in found:
            self.assertTrue(0 <= peak.first <= peak.top <= peak.last < len(counts))
            self.assertEqual(peak.posts, sum(counts[peak.first : peak.last + 1]))
        for one, other in pairwise(found):
            self.assertLess(one.last, other.first)


class MomentTests(SynchronousTestCase):
    def test_times_are_read_and_what_is_none_is_not(self) -> None:
        self.assertEqual(moment("1970-01-01T00:01:00Z"), 60)
        self.assertEqual(moment("1970-01-01T00:01:00.500+00:00"), 60.5)
        for text in ("", "soon", "2026-13-01T00:00:00Z"):
            self.assertIsNone(moment(text))
