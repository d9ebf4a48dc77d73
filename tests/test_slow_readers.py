"""A viewer who stops reading costs a bounded amount of memory, and misses nothing."""

from __future__ import annotations

import os
import sys
from random import SystemRandom

from twisted.trial.unittest import TestCase

from tests.chaos.slow import BOUND_KB, SHARED_MB, SHORT, hold


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
