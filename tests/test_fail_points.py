"""Killed at every named moment, afeed loses nothing and shows nothing twice.

The moments are in :mod:`tests.chaos.failpoints`, what is done around them in :mod:`tests.chaos.circumstances`.
``AFEED_SEED`` repeats what was left to chance.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from random import Random, SystemRandom

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.chaos import sabotage
from tests.chaos.circumstances import AT_EACH, THROUGH_ALL, groups, verdict_on
from tests.chaos.failpoints import BY_NAME, POINTS, FailPoint, resolve
from tests.chaos.sabotage import armed
from tests.chaos.sabotaged import SabotagedServer

#: Of the moments that are left to chance.
SEED = int(os.environ.get("AFEED_SEED", SystemRandom().randrange(10**6)))


class FailPointTests(TestCase):
    """A test for each point, or for those that are gone through together, made below."""

    timeout = 400


def _test_of(points: Sequence[FailPoint]) -> Callable[[FailPointTests], None]:
    def test(self: FailPointTests) -> None:
        verdict = verdict_on(points, SEED)
        self.assertTrue(verdict.clean, f"seed {SEED}: {verdict}")

    test.__doc__ = "\n".join(f"{point.name} shows that {point.proves}." for point in points)
    return test


for _points in groups():
    _name = _points[0].name if len(_points) == 1 else _points[0].circumstances
    setattr(FailPointTests, f"test_{_name.replace('.', '_').replace('-', '_')}", _test_of(_points))


class TableTests(SynchronousTestCase):
    """The table itself."""

    def test_every_point_is_somewhere_in_afeed(self) -> None:
        for point in POINTS:
            _, _, target = resolve(point.target)
            self.assertTrue(callable(target), point)
            for constant in point.adjust:
                resolve(constant)

    def test_every_point_is_reached_by_a_test(self) -> None:
        self.assertEqual(len({point.name for point in POINTS}), len(POINTS))
        self.assertEqual({point.circumstances for point in POINTS}, AT_EACH.keys() | THROUGH_ALL.keys())
        self.assertEqual(sorted(p.name for points in groups() for p in points), sorted(p.name for p in POINTS))


class ArmedTests(SynchronousTestCase):
    """When a wrapped function ends the process."""

    def run_with(self, function: Callable[..., object], times: int = 4, **settings: object) -> list[str]:
        """What happened in ``times`` calls: "in" the function, "end" of the process."""
        happened: list[str] = []

        def target(*args: object) -> object:
            happened.append("in")
            return function()

        point = FailPoint(
            name="a.point",
            target="a:b",
            circumstances="load",
            proves="it works",
            **settings,  # type: ignore
        )
        wrapped = armed(point, target, Random(1), lambda: happened.append("end"))
        for number in range(times):
            result = wrapped(number)
            if inspect.iscoroutine(result):
                Deferred.fromCoroutine(result)
        return happened

    def test_before_and_after(self) -> None:
        before = self.run_with(lambda: None, when="before", passes=2)
        self.assertEqual(before, ["in", "end", "in", "in", "in"])
        after = self.run_with(lambda: None, when="after", passes=2)
        self.assertEqual(after, ["in", "in", "end", "in", "in"])

    def test_what_takes_time_is_over_when_it_has_succeeded(self) -> None:
        async def coroutine() -> None:
            await succeed(None)

        never: list[Deferred[None]] = []

        def unfinished() -> Deferred[None]:
            never.append(Deferred())
            return never[-1]

        self.assertEqual(self.run_with(lambda: succeed(None), when="after", passes=1)[:2], ["in", "end"])
        self.assertEqual(self.run_with(coroutine, when="after", passes=1)[:2], ["in", "end"])
        self.assertNotIn("end", self.run_with(unfinished, when="after", passes=1))

    def test_other_calls_are_passed_over(self) -> None:
        happened = self.run_with(lambda: None, when="before", passes=1, only=lambda number: number == 2)
        self.assertEqual(happened, ["in", "in", "end", "in", "in"])


class SeedTests(SynchronousTestCase):
    """What is left to chance is the same again with the same seed."""

    def drawn(self, *arguments: str) -> float:
        """The first number that decides, in a process with these arguments."""
        found: list[float] = []
        self.patch(sabotage, "arm", lambda point, rng: found.append(rng.random()))
        self.patch(sabotage, "run", lambda: None)
        self.patch(sys, "argv", [])
        sabotage.main(["--fail-point", "log.during-commit", *arguments, "--", "afeed"])
        return found[0]

    def test_the_moment_within_a_call_follows_from_the_seed(self) -> None:
        self.assertEqual(self.drawn("--seed", "7"), self.drawn("--seed", "7"))
        self.assertNotEqual(self.drawn("--seed", "7"), self.drawn("--seed", "8"))

    def test_a_server_hands_its_seed_on(self) -> None:
        started: list[list[str]] = []
        self.patch(SabotagedServer, "launch", lambda server: started.append(server._twistd))
        server = SabotagedServer(seed=7)
        self.addCleanup(server.close)
        server.doom(BY_NAME["log.during-commit"])
        options = started[0]
        self.assertEqual(options[options.index("--seed") + 1], "7")
