"""What is done now and then for the file of the embedded log, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.errors import LogUnavailable
from afeed.livelog.chores import LOOK_SECONDS, PROBE_SECONDS, TIDY_SECONDS, Chores
from afeed.livelog.database import Database

#: How soon removed content is gone (docs/protocol.rst), in seconds; here from the files as well.
GONE_S = 5.0


class FakeWriter:
    """Answers at once; ``tidied`` has what becomes of each tidying up, in order, and of the others nothing is
    wrong."""

    stuck = False

    def __init__(self, clock: Clock) -> None:
        self.tidied: list[bool | Exception] = []
        self.moments: dict[str, list[float]] = {}
        self._clock = clock

    def read(self, work: Callable[[Database], Any]) -> Deferred[Any]:
        self.moments.setdefault(work.__name__, []).append(self._clock.seconds())
        if work is Database.tidy and self.tidied:
            result = self.tidied.pop(0)
            return fail(result) if isinstance(result, Exception) else succeed(result)
        return succeed(work is Database.tidy or None)

    write = read


class ChoresTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.writer = FakeWriter(self.clock)
        self.chores = Chores(self.writer, self.clock)  # type: ignore[arg-type]
        self.chores.start()
        self.addCleanup(self.chores.stop)

    def let_pass(self, seconds: float) -> None:
        self.clock.pump([0.25] * round(4 * seconds))

    def test_removals_of_a_second_share_a_tidying_up_well_within_what_is_promised(self) -> None:
        self.let_pass(2)
        for _ in range(3):
            self.chores.tidy_soon()
            self.let_pass(TIDY_SECONDS / 4)
        self.let_pass(10)
        self.assertEqual(self.writer.moments["tidy"], [2 + TIDY_SECONDS])
        self.assertLess(TIDY_SECONDS, GONE_S / 2)

    def test_while_it_cannot_be_done_it_is_tried_again(self) -> None:
        self.writer.tidied = [False, LogUnavailable("the disk hangs"), True]
        self.chores.tidy_soon()
        self.let_pass(10)
        self.assertEqual(self.writer.moments["tidy"], [TIDY_SECONDS * times for times in (1, 2, 3)])

    def test_a_file_that_is_gone_is_noticed_and_a_disk_that_hangs_is_not_asked_again(self) -> None:
        self.let_pass(10)
        looks = len(self.writer.moments["absence"])
        self.assertEqual(looks, 10 / LOOK_SECONDS)
        self.writer.stuck = True
        self.let_pass(10)
        self.assertEqual(len(self.writer.moments["absence"]), looks)
        self.writer.stuck = False
        self.let_pass(2 * LOOK_SECONDS)
        self.assertGreater(len(self.writer.moments["absence"]), looks)

    def test_the_end_of_trouble_is_looked_for(self) -> None:
        self.chores.probe_soon()
        self.let_pass(2 * PROBE_SECONDS)
        self.assertEqual(self.writer.moments["touch"], [PROBE_SECONDS])

    def test_nothing_is_begun_after_the_end(self) -> None:
        self.chores.tidy_soon()
        self.chores.stop()
        self.chores.tidy_soon()
        self.let_pass(10)
        self.assertEqual((self.writer.moments, self.clock.getDelayedCalls()), ({}, []))
