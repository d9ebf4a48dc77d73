"""Several real nodes on one Redis and one PostgreSQL: one runs the sources, whoever is killed, paused or
restarted, and nobody misses or repeats anything.

``AFEED_SEED`` repeats what the clients did.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from random import SystemRandom

from twisted.trial.unittest import TestCase

from tests.chaos.forgetting import forgetting_row
from tests.chaos.leaders import leader_row
from tests.chaos.rolling import rolling_row
from tests.chaos.table import Row


class SeveralNodesTests(TestCase):
    timeout = 400

    def judge(self, run: Callable[[int, bool, int], Row]) -> Row:
        seed = int(os.environ.get("AFEED_SEED", SystemRandom().randrange(10**6)))
        row = run(1, False, seed)
        print(row, file=sys.stderr)
        self.assertTrue(row.clean, f"seed {seed}: {row}")
        return row

    def test_the_leader_is_killed_and_its_successor_paused_and_every_post_is_there_once(self) -> None:
        row = self.judge(leader_row)
        self.assertEqual(row.faults, 2)
        self.assertGreater(row.deliveries, 8 * 200)

    def test_a_rolling_restart_sends_everybody_on_and_a_killed_node_is_passed_over(self) -> None:
        row = self.judge(rolling_row)
        self.assertEqual(row.faults, 4)
        self.assertGreater(row.deliveries, 32 * 200)

    def test_what_two_living_nodes_remember_comes_back_whatever_redis_lost(self) -> None:
        row = self.judge(forgetting_row)
        self.assertEqual(row.faults, 2)
        self.assertGreater(row.deliveries, 4 * 100)
