"""An accepted item survives ``kill -9`` at any moment, and nobody sees anything twice.

``AFEED_KILLS`` makes the runs longer; ``AFEED_SEED`` repeats one.
"""

from __future__ import annotations

import os
import sys
from random import SystemRandom

from twisted.trial.unittest import TestCase

from tests.chaos.kills import run_kills
from tests.chaos.verdict import Verdict, judge
from tests.servers.afeed import AfeedServer
from tests.servers.redis import Redis

KILLS = int(os.environ.get("AFEED_KILLS", "8"))


class KillTests(TestCase):
    timeout = 240 + 10 * KILLS

    def endure(self, server: AfeedServer, name: str) -> None:
        self.addCleanup(server.close)
        seed = int(os.environ.get("AFEED_SEED", SystemRandom().randrange(10**6)))
        verdict = run_kills(server, KILLS, seed)
        print(f"{name}: {KILLS} kills, seed {seed}: {verdict}", file=sys.stderr)
        self.assertTrue(verdict.clean, f"seed {seed}: {verdict}")
        self.assertGreater(verdict.accepted, 20 * KILLS)
        self.assertGreaterEqual(verdict.deliveries, 3 * verdict.accepted)

    def test_the_embedded_log_loses_and_repeats_nothing(self) -> None:
        self.endure(AfeedServer(), "embedded")

    def test_the_log_in_redis_loses_and_repeats_nothing(self) -> None:
        redis = Redis()
        self.addCleanup(redis.close)
        redis.start()
        self.endure(AfeedServer(live_log=redis.url), "redis")


class VerdictTests(TestCase):
    """A judge that cannot find fault is none."""

    def test_every_kind_of_fault_is_found(self) -> None:
        class Witness:
            transport = "poll"
            gaps = ()

            def __init__(self, *seqs: int) -> None:
                self.given = [("e", seq, "item.posted", f"push:{seq}") for seq in seqs]

        log = [{"seq": seq, "type": "item.posted", "item": {"id": f"push:{seq}"}} for seq in (1, 2, 3)]
        accepted = {"push:1": 1, "push:3": 3}

        def judged(*seqs: int, more: dict[str, int] | None = None) -> Verdict:
            return judge(log, {**accepted, **(more or {})}, [Witness(*seqs)])  # type: ignore[list-item]

        self.assertTrue(judged(1, 2, 3).clean)
        self.assertEqual(judged(1, 3).lost, 1)
        self.assertEqual(judged(1, 2, 3, 3).repeated, 1)
        self.assertEqual(judged(2, 1, 3).reordered, 1)
        self.assertEqual(judged(1, 2, 3, more={"push:9": 4}).lost, 1)
