"""A viewer who stops reading costs a bounded amount of memory and nobody else's time, and misses nothing."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from random import SystemRandom
from types import FrameType
from typing import Any

from twisted.trial.unittest import SynchronousTestCase, TestCase

from afeed.transports.audience import Viewer
from afeed.transports.outlet import DirectOutlet
from tests.chaos.slow import BOUND_KB, BRIEF, SHARED_MB, SHORT, hold, interval, others_row
from tests.transports.test_audience import Hall
from tests.transports.test_outlet import FakeTransport
from tests.transports.viewing import Pipe

TraceFunction = Callable[[FrameType, str, object], Any]


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


class EffortTests(SynchronousTestCase):
    """What a change costs, counted in steps, on which other programs of the machine have no influence."""

    def steps(self, slow: int) -> int:
        """How many lines are executed for one change, with three viewers who read and so many who do not."""
        hall = Hall(window=1000)
        self.addCleanup(hall.hub.stop)
        readers = [hall.watch() for _ in range(3)]
        for number in range(slow):
            if number % 2:
                hall.watch(room=60)
                continue
            transport = FakeTransport(1000, 30)
            viewer = Viewer(hall.audience, Pipe(), transport.unregisterProducer)
            viewer.outlet = DirectOutlet(transport, viewer._drained)
            viewer.start(None)
        hall.post(1)
        hall.post(1)
        self.assertEqual(len(hall.audience), 3 + slow)
        steps: list[str] = []

        def note(frame: FrameType, event: str, argument: object) -> TraceFunction:
            steps.append(event)
            return note

        before = sys.gettrace()
        # What other tests have left would be let go of in these steps.
        gc.collect()
        gc.disable()
        sys.settrace(note)
        try:
            hall.post(1)
        finally:
            sys.settrace(before)
            gc.enable()
        self.assertEqual([reader.seqs() for reader in readers], [[1, 2, 3]] * 3)
        self.assertEqual(hall.delivered[-1], (1, 3))
        return len(steps)

    def test_a_change_costs_the_same_however_many_do_not_read(self) -> None:
        self.assertEqual(self.steps(200), self.steps(0))
