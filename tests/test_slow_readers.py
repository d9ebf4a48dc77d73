"""A viewer who stops reading costs a bounded amount of memory and nobody else's time, and misses nothing."""

from __future__ import annotations

import os
import sys
from random import SystemRandom

from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.chaos.slow import BOUND_KB, BRIEF, SHARED_MB, SHORT, hold, interval, others_row


class SlowReaderTests(TestCase):
    timeout = 240

    def test_what_slow_readers_cost_is_bounded_and_they_go_on_without_loss(self) -> None:
        seed = int(os.environ.get("AFEED_SEED", SystemRandom().randrange(10**6)))
        row, held = hold(*SHORT, seed)
        print(f"{row}\n{held}", file=sys.stderr)
        self.assertTrue(row.clean, f"seed {seed}: {row}")
        self.assertGreaterEqual(row.faults, held.viewers)
        allowed_mb = held.viewers * BOUND_KB / 1000 + SHARED_MB
        self.assertLess(held.viewers * held.kb_each / 1000, allowed_mb)
        # Had all of it been held for each of them, this would have shown it.
        self.assertGreater(held.viewers * held.megabytes, 3 * allowed_mb)

    def test_the_others_do_not_wait_for_who_does_not_read(self) -> None:
        row = others_row(BRIEF, 0)
        print(row, file=sys.stderr)
        self.assertTrue(row.clean, row)


class IntervalTests(SynchronousTestCase):
    """The confidence that a ratio is told with."""

    def test_the_bounds_are_those_of_the_tables_of_the_sign_test(self) -> None:
        # The ranks for 95 %, as in any table of confidence intervals of a median.
        for count, rank in ((6, 1), (8, 1), (9, 2), (12, 3), (15, 4), (20, 6), (24, 7)):
            values = [float(n) for n in range(1, count + 1)]
            self.assertEqual(interval(values[::-1]), (rank, count + 1 - rank), count)

    def test_few_values_tell_nothing_more_than_their_extremes(self) -> None:
        self.assertEqual(interval([3.0]), (3.0, 3.0))
        self.assertEqual(interval([5.0, 1.0, 3.0]), (1.0, 5.0))
