"""An accepted item survives ``kill -9`` at any moment, and nobody sees anything twice.

``AFEED_KILLS`` makes the runs longer; ``AFEED_SEED`` repeats one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from random import SystemRandom
from typing import Any, ClassVar, Literal

from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.chaos.kills import idle, kill_row
from tests.chaos.table import Row
from tests.chaos.verdict import Verdict, digest, judge

KILLS = int(os.environ.get("AFEED_KILLS", "8"))


class KillTests(TestCase):
    timeout = 240 + 10 * KILLS

    def endure(self, log: Literal["embedded", "redis"]) -> None:
        seed = int(os.environ.get("AFEED_SEED", SystemRandom().randrange(10**6)))
        row = kill_row(log, KILLS, seed)
        print(row, file=sys.stderr)
        self.assertTrue(row.clean, row)
        self.assertGreater(row.deliveries, 3 * 20 * KILLS)

    def test_the_embedded_log_loses_and_repeats_nothing(self) -> None:
        self.endure("embedded")

    def test_the_log_in_redis_loses_and_repeats_nothing(self) -> None:
        self.endure("redis")


def a_change(seq: int, text: str = "hello") -> dict[str, Any]:
    return {"seq": seq, "type": "item.posted", "item": {"id": f"push:{seq}", "text": text}}


class IdleTests(SynchronousTestCase):
    def test_kills_without_load_prove_nothing(self) -> None:
        kept = Row("kills", 1, 10, 5000, 0, 0, 0)
        self.assertEqual(idle(kept, 200), kept)
        self.assertEqual(idle(kept, 199).remark, "only 199 items were accepted during 10 kills")
        self.assertIn("gaps: 1; only 3", idle(kept._replace(remark="gaps: 1"), 3).remark)


class Witness:
    """Somebody who was given ``changes``."""

    transport = "poll"

    def __init__(self, *changes: dict[str, Any], gaps: Sequence[dict[str, Any]] = ()) -> None:
        self.seqs = [change["seq"] for change in changes]
        self.digests = [digest(change) for change in changes]
        self.gaps = gaps


class VerdictTests(TestCase):
    """A judge that cannot find fault is none."""

    log = (a_change(1), a_change(2), a_change(3))
    accepted: ClassVar = {"push:1": 1, "push:3": 3}

    def counts(self, verdict: Verdict) -> dict[str, int]:
        """What is wrong, by name."""
        names = ("lost", "repeated", "reordered", "differing", "gaps")
        wrong = {name: count for name in names if (count := getattr(verdict, name))}
        self.assertEqual(verdict.clean, not wrong)
        self.assertEqual(bool(verdict.details), bool(wrong))
        row = verdict.row("a run", 7, 1)
        self.assertEqual((row.clean, row.lost, row.repeated), (verdict.clean, verdict.lost, verdict.repeated))
        return wrong

    def given(self, *seqs: int) -> dict[str, int]:
        witness = Witness(*(a_change(seq) for seq in seqs))
        return self.counts(judge(self.log, self.accepted, [witness], archive=self.log))

    def test_what_a_follower_was_given(self) -> None:
        self.assertEqual(self.given(1, 2, 3), {})
        self.assertEqual(self.given(1, 3), {"lost": 1})
        self.assertEqual(self.given(1, 2, 2, 3), {"repeated": 1, "reordered": 1})
        self.assertEqual(self.given(2, 1, 3), {"reordered": 1})

    def test_what_was_accepted(self) -> None:
        elsewhere = {**self.accepted, "push:2": 3}
        self.assertEqual(self.counts(judge(self.log, elsewhere, [])), {"lost": 1})
        self.assertEqual(self.counts(judge(self.log, {**self.accepted, "push:9": 4}, [])), {"lost": 1})
        verdict = judge(self.log, self.accepted, [], text_of=lambda item_id: f"not {item_id}")
        self.assertEqual(self.counts(verdict), {"differing": 2})

    def test_a_log_that_is_not_whole(self) -> None:
        self.assertEqual(self.counts(judge((a_change(1), a_change(3)), {}, [])), {"lost": 1})
        twice = {**a_change(4), "item": a_change(3)["item"]}
        self.assertEqual(self.counts(judge((*self.log, twice), self.accepted, [])), {"repeated": 1})
        self.assertEqual(self.counts(judge((*self.log, self.log[-1]), {}, [])), {"repeated": 2})

    def test_other_content_under_the_same_number(self) -> None:
        other = Witness(a_change(1), a_change(2, "something else"), a_change(3))
        self.assertEqual(self.counts(judge(self.log, {}, [other])), {"differing": 1})
        archive = (a_change(1, "something else"), a_change(2), a_change(4))
        self.assertEqual(self.counts(judge(self.log, {}, [], archive=archive)), {"differing": 3})

    def test_a_gap_that_was_told(self) -> None:
        told = Witness(*self.log, gaps=[{"from": 2, "to": 2, "reason": "epoch"}])
        self.assertEqual(self.counts(judge(self.log, {}, [told])), {"gaps": 1})

    def test_what_was_redacted_since_counts_as_given(self) -> None:
        redacted = (a_change(1), {"seq": 2, "type": "redacted"}, a_change(3))
        witness = Witness(*self.log)
        self.assertEqual(self.counts(judge(redacted, {"push:2": 2}, [witness], archive=redacted)), {})

    def test_a_fragment_says_nothing(self) -> None:
        self.assertEqual(digest({**a_change(1), "fragment": "<p>"}), digest(a_change(1)))
