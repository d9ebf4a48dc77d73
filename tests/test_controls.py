"""Tests of the tests: without a protection the harness finds what that protects from; with it, nothing.

The runs are in :mod:`tests.chaos.negative`.  That nothing is shown twice with deduplication is in
:mod:`tests.test_fail_points`, at the same moment.
"""

from __future__ import annotations

import os
import sys
from random import SystemRandom

from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.chaos import negative
from tests.chaos.table import Row

SEED = int(os.environ.get("AFEED_SEED", SystemRandom().randrange(10**6)))


class ControlTests(TestCase):
    timeout = 300

    def judge(self, row: Row) -> None:
        print(row, file=sys.stderr)
        self.assertTrue(row.clean, f"seed {SEED}: {row}")

    def test_without_dedupe_the_embedded_log_shows_an_item_twice(self) -> None:
        self.judge(negative.dedupe_row("embedded", SEED))

    def test_without_dedupe_the_log_in_redis_shows_an_item_twice(self) -> None:
        self.judge(negative.dedupe_row("redis", SEED))

    def test_without_epochs_a_viewer_silently_lacks_what_took_old_numbers(self) -> None:
        self.judge(negative.epochs_row(SEED))

    def test_with_epochs_the_viewer_is_told_and_has_the_rest(self) -> None:
        self.judge(negative.told_row(SEED))

    def test_without_fencing_a_leader_that_was_paused_writes_into_the_term_of_another(self) -> None:
        self.judge(negative.fencing_row(SEED))

    def test_with_fencing_nothing_of_the_old_term_is_recorded(self) -> None:
        self.judge(negative.fenced_row(SEED))


class RowTests(SynchronousTestCase):
    def test_a_control_that_finds_nothing_is_broken_and_none_counts(self) -> None:
        for red in (True, False):
            row = negative.control("dedupe", 1, red, "0 repeated")
            self.assertEqual((row.clean, row.counted), (red, False))
