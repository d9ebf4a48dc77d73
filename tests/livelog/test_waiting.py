"""Waiting for something that comes and goes."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.errors import LogUnavailable
from afeed.livelog.waiting import Waiting


class WaitingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.here: set[str] = set()
        self.waiting = Waiting(self.clock, lambda: "it is away")

    def until(self, wanted: str, patience: float = 3) -> Deferred[str]:
        return self.waiting.until(lambda: wanted if wanted in self.here else None, patience)

    def come(self, *names: str) -> None:
        self.here.update(names)
        self.waiting.look()

    def refused(self, waiter: Deferred[Any]) -> None:
        self.assertEqual(str(self.failureResultOf(waiter, LogUnavailable).value), "it is away")

    def test_what_is_there_is_not_waited_for(self) -> None:
        self.come("a")
        self.assertEqual(self.successResultOf(self.until("a", 0)), "a")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_everyone_waits_for_their_own(self) -> None:
        one, other = self.until("a"), self.until("b")
        self.come("b")
        self.assertEqual(self.successResultOf(other), "b")
        self.assertNoResult(one)
        self.come("a")
        self.assertEqual(self.successResultOf(one), "a")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_patience_ends(self) -> None:
        self.refused(self.until("a", 0))
        waiter = self.until("a", 3)
        self.clock.advance(2.9)
        self.assertNoResult(waiter)
        self.clock.advance(0.2)
        self.refused(waiter)
        self.come("a")

    def test_who_leaves_while_others_are_told_is_not_told(self) -> None:
        first, second, third = self.until("a"), self.until("a"), self.until("a")
        first.addCallback(lambda _: second.cancel())
        self.come("a")
        self.failureResultOf(second, CancelledError)
        self.assertEqual(self.successResultOf(third), "a")

    def test_what_goes_away_while_some_are_told_is_waited_for_by_the_others(self) -> None:
        first, second = self.until("a"), self.until("a")
        first.addCallback(lambda _: self.here.clear())
        self.come("a")
        self.assertNoResult(second)
        self.come("a")
        self.assertEqual(self.successResultOf(second), "a")

    def test_all_are_refused_when_waiting_is_of_no_use(self) -> None:
        waiters = [self.until("a"), self.until("b")]
        waiters[0].addErrback(lambda failure: waiters[1].cancel() or failure)
        self.waiting.refuse()
        self.refused(waiters[0])
        self.failureResultOf(waiters[1], CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
