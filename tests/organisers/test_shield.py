"""Work that goes on when whoever waits for it has left."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from afeed.organisers.shield import shielded


class ShieldTests(SynchronousTestCase):
    def test_who_waits_hears_what_came_of_it(self) -> None:
        done: Deferred[int] = Deferred()
        failed: Deferred[int] = Deferred()
        waiting = [shielded(done), shielded(failed)]
        done.callback(7)
        failed.errback(ValueError())
        self.assertEqual(self.successResultOf(waiting[0]), 7)
        self.failureResultOf(waiting[1], ValueError)

    def test_who_leaves_stops_nothing(self) -> None:
        told: list[str] = []
        observer = lambda event: told.append(formatEvent(event))  # noqa: E731
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        cancelled: list[object] = []
        for end in (lambda work: work.callback(7), lambda work: work.errback(ValueError("a reason"))):
            work: Deferred[int] = Deferred(cancelled.append)
            waiting = shielded(work)
            waiting.cancel()
            self.failureResultOf(waiting, CancelledError)
            end(work)
        self.assertEqual(cancelled, [])
        self.assertEqual(len([line for line in told if "a reason" in line]), 1)
