"""Counts that need little memory, and what they promise."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.report.counting import Distinct, Top
from tests.properties import given


class DistinctTests(SynchronousTestCase):
    @given(st.lists(st.text(max_size=5), max_size=80))
    def test_few_are_counted_exactly(self, texts: list[str]) -> None:
        counted = Distinct(kept=80)
        for text in texts:
            counted.add(text)
        self.assertEqual((counted.count, counted.exact), (len(set(texts)), True))

    def test_many_are_estimated_within_two_percent(self) -> None:
        for total in (20_000, 100_000):
            counted = Distinct()
            for number in range(total):
                counted.add(f"x:@author{number}")
                counted.add(f"x:@author{number // 2}")  # seen before
            self.assertFalse(counted.exact)
            self.assertLess(abs(counted.count / total - 1), 0.02)
            self.assertEqual(len(counted._known), 10_000)

    def test_the_last_that_is_kept_is_still_counted_exactly(self) -> None:
        counted = Distinct(kept=3)
        for text in "abcabc":
            counted.add(text)
        self.assertEqual((counted.count, counted.exact), (3, True))
        counted.add("d")
        self.assertFalse(counted.exact)


class TopTests(SynchronousTestCase):
    def test_counts_are_never_too_high_and_too_low_by_what_it_says_at_most(self) -> None:
        rng = random.Random(7)
        top: Top[None] = Top(50)
        names = [f"word{int(rng.paretovariate(0.6)) % 5000}" for _ in range(30_000)]
        for name in names:
            top.add(name, 1, None)
            self.assertLessEqual(len(top), 100)
        self.assertGreater(top.most_missed, 0)
        for name, true in Counter(names).items():
            found = top[name].count if name in top else 0
            self.assertLessEqual(found, true)
            self.assertGreaterEqual(found, true - top.most_missed)

    def test_the_most_frequent_are_in_a_definite_order(self) -> None:
        top: Top[str] = Top(10)
        for name in ("b", "a", "c", "c"):
            top.add(name, 1, name.upper())
        self.assertEqual([(name, one.count) for name, one in top.most(2)], [("c", 2), ("a", 1)])

    def test_it_knows_what_several_authors_said(self) -> None:
        top: Top[str] = Top(10)
        for author in (1, 1, 2):
            top.add("both", author, f"first from {author}")
            top.add("one", 1, "")
        self.assertTrue(top["both"].several)
        self.assertFalse(top["one"].several)
        self.assertEqual(top["both"].value, "first from 1")
