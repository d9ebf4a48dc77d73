"""Components that are started again when they break, and sources that keep to their days."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from afeed.core.calendar import Period
from afeed.core.errors import LeaseLost
from afeed.core.health import Check
from afeed.interfaces import ISink, ISource
from afeed.services import CALENDAR_S, RESTART_MOST_S, Scheduled, Supervised


class Component:
    """Runs until a test ends one of its ``runs``."""

    def __init__(self) -> None:
        self.runs: list[Deferred[None]] = []
        self.cancelled = 0

    def run(self, sink: object = None) -> Deferred[None]:
        run: Deferred[None] = Deferred(self._cancel)
        self.runs.append(run)
        return run

    def _cancel(self, run: Deferred[None]) -> None:
        self.cancelled += 1


class SupervisedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.component = Component()
        self.supervised = Supervised("x", self.component.run, self.clock, Random(7))
        self.supervised.start()

    def break_it(self, error: Exception | None = None) -> None:
        self.component.runs[-1].errback(error or ZeroDivisionError("a secret value"))

    def restarted_after(self) -> float:
        runs, waited = len(self.component.runs), 0.0
        while len(self.component.runs) == runs:
            self.clock.advance(0.1)
            waited += 0.1
        return waited

    def test_it_runs_from_the_start(self) -> None:
        self.assertEqual((len(self.component.runs), self.supervised.broken()), (1, None))

    def test_what_breaks_is_logged_told_and_started_again(self) -> None:
        self.break_it()
        broken = self.supervised.broken()
        assert broken is not None
        self.assertEqual((broken.name, broken.state), ("x", "failed"))
        self.assertIn("ZeroDivisionError", broken.detail)
        self.assertNotIn("secret", broken.detail)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.clock.advance(1.3)
        self.assertEqual((len(self.component.runs), self.supervised.broken()), (2, None))

    def test_what_ends_by_itself_is_started_again_too(self) -> None:
        self.component.runs[0].callback(None)
        broken = self.supervised.broken()
        assert broken is not None
        self.assertIn("ended by itself", broken.detail)
        self.clock.advance(1.3)
        self.assertEqual(len(self.component.runs), 2)

    def test_the_delay_doubles_up_to_a_minute_with_jitter(self) -> None:
        waits = []
        for _ in range(9):
            self.break_it()
            waits.append(self.restarted_after())
        self.flushLoggedErrors(ZeroDivisionError)
        for wait, base in zip(waits, (1, 2, 4, 8, 16, 32, 60, 60, 60), strict=True):
            self.assertTrue(base * 0.8 - 0.1 <= wait <= base * 1.2 + 0.1, (wait, base))
        self.assertGreater(len({round(wait, 3) for wait in waits[-3:]}), 1)

    def test_after_a_good_run_the_delay_begins_anew(self) -> None:
        for _ in range(5):
            self.break_it()
            self.restarted_after()
        self.clock.advance(RESTART_MOST_S + 1)
        self.break_it()
        self.assertLess(self.restarted_after(), 1.4)
        self.flushLoggedErrors(ZeroDivisionError)

    def test_stop_cancels_and_waits_for_the_end(self) -> None:
        ended = self.supervised.stop()
        self.successResultOf(ended)
        self.assertEqual(self.component.cancelled, 1)
        self.clock.advance(100)
        self.assertEqual(len(self.component.runs), 1)
        self.successResultOf(self.supervised.stop())

    def test_stop_while_it_waits_to_be_started_again(self) -> None:
        self.break_it()
        self.successResultOf(self.supervised.stop())
        self.flushLoggedErrors(ZeroDivisionError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_stop_while_it_waits_does_not_leave_it_red_for_the_next_term(self) -> None:
        self.break_it()
        self.successResultOf(self.supervised.stop())
        self.flushLoggedErrors(ZeroDivisionError)
        self.supervised.start()
        self.assertEqual((len(self.component.runs), self.supervised.broken()), (2, None))

    def test_stop_without_a_start(self) -> None:
        self.successResultOf(Supervised("y", self.component.run, self.clock, Random(7)).stop())

    def test_a_component_that_takes_its_time_to_end_is_waited_for(self) -> None:
        last: Deferred[None] = Deferred()

        async def run() -> None:
            try:
                await Deferred()
            finally:
                await last

        supervised = Supervised("y", run, self.clock, Random(7))
        supervised.start()
        ended = supervised.stop()
        self.assertNoResult(ended)
        last.callback(None)
        self.successResultOf(ended)

    def test_it_is_known_whether_it_has_ended(self) -> None:
        last: Deferred[None] = Deferred()

        async def run() -> None:
            try:
                await Deferred()
            finally:
                await last

        supervised = Supervised("y", run, self.clock, Random(7))
        self.assertFalse(supervised.ending)
        supervised.start()
        self.assertFalse(supervised.ending)
        supervised.stop()
        self.assertTrue(supervised.ending)
        last.callback(None)
        self.assertFalse(supervised.ending)

    def test_a_component_that_ends_quietly_when_it_is_stopped_is_not_started_again(self) -> None:
        runs = []

        async def run() -> None:
            runs.append(1)
            try:
                await Deferred()
            except CancelledError:
                return

        supervised = Supervised("y", run, self.clock, Random(7))
        supervised.start()
        self.successResultOf(supervised.stop())
        self.clock.advance(100)
        self.assertEqual(runs, [1])

    def test_a_cancellation_that_nobody_asked_for_is_a_defect_and_does_not_end_it_for_ever(self) -> None:
        self.break_it(CancelledError())
        self.assertEqual(len(self.flushLoggedErrors(CancelledError)), 1)
        self.assertIsNotNone(self.supervised.broken())
        self.clock.advance(1.3)
        self.assertEqual(len(self.component.runs), 2)

    def test_a_lost_lease_is_no_defect_and_it_rests_until_it_is_started_again(self) -> None:
        self.break_it(LeaseLost("another node runs the sources"))
        self.clock.advance(100)
        self.assertEqual((len(self.component.runs), self.supervised.broken()), (1, None))
        self.successResultOf(self.supervised.stop())
        self.supervised.start()
        self.assertEqual(len(self.component.runs), 2)
        self.break_it()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIsNotNone(self.supervised.broken())


@implementer(ISource)
class Source(Component):
    name = "x"

    def check(self) -> Check:
        return Check(name="x", state="degraded", detail="its own word")


@implementer(ISink)
class Sink:
    def offer(self, event: str, drafts: Any, position: Any = None) -> Deferred[Any]:
        return succeed([])

    def dropped(self, event: str, source: str, reason: str, count: int = 1) -> None:
        """Not counted."""


class ScheduledTests(SynchronousTestCase):
    START, END = 1000.0, 5000.0

    def setUp(self) -> None:
        self.clock = Clock()
        self.source = Source()
        self.sink = Sink()
        self.scheduled = Scheduled(
            self.source, self.sink, Period(self.START, self.END), self.clock, self.clock.seconds
        )

    def run_it(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.scheduled.run())

    def test_it_waits_for_its_days_and_says_since_when(self) -> None:
        self.run_it()
        self.clock.pump([CALENDAR_S] * 16)
        self.assertEqual(self.source.runs, [])
        check = self.scheduled.check()
        self.assertEqual((check.name, check.state, check.data), ("x", "ok", {"state": "resting"}))
        self.assertIn("starts on 1970-01-01T00:16", check.detail)
        self.clock.pump([CALENDAR_S] * 2)
        self.assertEqual(len(self.source.runs), 1)
        self.assertEqual(self.scheduled.check().detail, "its own word")

    def test_it_ends_with_its_days_and_rests(self) -> None:
        self.clock.advance(self.START)
        running = self.run_it()
        self.clock.advance(self.END - self.START)
        self.assertEqual(self.source.cancelled, 1)
        self.clock.pump([CALENDAR_S] * 10)
        self.assertEqual(len(self.source.runs), 1)
        self.assertIn("ended on", self.scheduled.check().detail)
        self.assertNoResult(running)

    def test_what_a_source_still_lacked_at_the_end_of_its_days_is_told(self) -> None:
        self.clock.advance(self.END)
        missing = ["photos are missing: Flickr was away"]
        own = Check(name="x", state="failed", detail="its own word", data={"missing": missing})
        self.patch(self.source, "check", lambda: own)
        check = self.scheduled.check()
        self.assertEqual((check.state, check.data), ("degraded", {"state": "resting", "missing": missing}))
        self.assertRegex(check.detail, "^It ended on .* after the event; photos are missing: Flickr was away.$")

    def test_cancelling_ends_the_source_and_leaves_no_timer(self) -> None:
        for moment in (0, self.START, self.END):
            self.clock.advance(moment - self.clock.seconds())
            running = self.run_it()
            running.cancel()
            self.failureResultOf(running, CancelledError)
            self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((len(self.source.runs), self.source.cancelled), (1, 1))

    def test_a_defect_leaves_for_the_supervisor(self) -> None:
        self.clock.advance(self.START)
        running = self.run_it()
        self.source.runs[0].errback(ZeroDivisionError())
        self.failureResultOf(running, ZeroDivisionError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_source_that_returns_at_once_does_not_spin(self) -> None:
        self.clock.advance(self.START)
        self.source.run = lambda sink: succeed(None)  # type: ignore[assignment,method-assign]
        self.assertIsNone(self.successResultOf(self.run_it()))
        self.assertEqual(self.clock.getDelayedCalls(), [])
