"""What X and Flickr do to afeed in ``make chaos``: some of it, and that it would be noticed.

The histories in memory are in :mod:`tests.sources.test_x_completeness` and
:mod:`tests.sources.test_flickr_outages`.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from random import Random, SystemRandom

from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.chaos.upstream import FLICKR_FAULTS, X_FAULTS, away_row, drawn, histories_row, outcome


class RealTests(TestCase):
    timeout = 400

    def test_what_was_posted_while_both_misbehave_comes_once(self) -> None:
        seed = int(os.environ.get("AFEED_SEED", SystemRandom().randrange(10**6)))
        row = away_row(1, False, seed)
        print(row, file=sys.stderr)
        self.assertTrue(row.clean, f"seed {seed}: {row}")
        self.assertEqual(row.faults, 2)
        self.assertGreater(row.deliveries, 3 * 100)


class DrawnTests(SynchronousTestCase):
    def test_every_fault_comes_before_any_comes_again(self) -> None:
        for faults in (X_FAULTS, FLICKR_FAULTS):
            names = [fault.name for fault in faults]
            found = [fault.name for fault in drawn(Random(1), faults, 2 * len(faults))]
            self.assertEqual(set(found[: len(faults)]), set(names))
            self.assertEqual(Counter(found), Counter(names * 2))
            self.assertEqual(len(drawn(Random(1), faults, 1)), 1)


class History(SynchronousTestCase):
    """Goes wrong with every third seed, in one of two ways."""

    def history(self, seed: int) -> Counter[str]:
        self.assertNotEqual(seed % 6, 0, f"seed {seed} lost a post")
        if seed % 3 == 0:
            raise ValueError("out of order")
        return Counter(cut=2, kill=1, posts=10)


class HistoriesTests(SynchronousTestCase):
    def test_what_a_history_amounts_to_and_what_was_wrong(self) -> None:
        self.assertEqual(outcome(History, 1), (Counter(cut=2, kill=1, posts=10), ""))
        counts, wrong = outcome(History, 6)
        self.assertEqual(counts, Counter())
        self.assertIn("seed 6 lost a post", wrong)
        self.assertIn("ValueError: out of order", outcome(History, 3)[1])

    def test_a_row_counts_faults_and_histories_that_went_wrong(self) -> None:
        row = histories_row("X", History, ("posts",), [1, 2], 7)
        self.assertEqual((row.faults, row.lost, row.clean, row.note), (6, 0, True, "20 posts"))
        self.assertFalse(row.counted)
        row = histories_row("X", History, ("posts",), [1, 3, 6], 7)
        self.assertEqual((row.faults, row.lost, row.clean), (3, 2, False))
        self.assertIn("seed 3: ", row.remark)
