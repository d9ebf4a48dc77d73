"""A connection that is kept up."""

from __future__ import annotations

from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.errors import LogUnavailable
from afeed.livelog.link import CONNECT_SECONDS, MAX_WAIT_SECONDS, Link


class FakeConnection:
    """Ends when told to."""

    def __init__(self) -> None:
        self.greeted: Deferred[None] = Deferred()
        self.aborted = False
        self._ended: Deferred[None] = Deferred()

    def ended(self) -> Deferred[None]:
        return self._ended

    def abort(self) -> None:
        self.aborted = True
        self.end()

    def end(self) -> None:
        if not self._ended.called:
            self._ended.callback(None)


class LinkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.attempts: list[Deferred[FakeConnection]] = []
        self.losses = 0
        self.link: Link[FakeConnection] = Link(
            "Redis at test", self.connect, self.use, self.lost, self.clock, Random(1)
        )
        # One that was left running would end when it is collected as garbage, in the midst of another test.
        self.addCleanup(self.link.stop)

    async def connect(self) -> FakeConnection:
        attempt: Deferred[FakeConnection] = Deferred()
        self.attempts.append(attempt)
        return await attempt

    async def use(self, connection: FakeConnection) -> None:
        await connection.greeted

    def lost(self) -> None:
        self.losses += 1

    def accept(self) -> FakeConnection:
        connection = FakeConnection()
        self.attempts[-1].callback(connection)
        return connection

    def test_it_is_up_once_the_greeting_is_over(self) -> None:
        started = self.link.start()
        connection = self.accept()
        self.assertNoResult(started)
        self.assertFalse(self.link.up)
        connection.greeted.callback(None)
        self.successResultOf(started)
        self.assertTrue(self.link.up)
        self.assertIsNone(self.link.trouble)

    def test_who_hears_that_it_has_started_may_stop_it_at_once(self) -> None:
        stopped = self.link.start().addCallback(lambda _: self.link.stop())
        connection = self.accept()
        connection.greeted.callback(None)
        self.clock.advance(0)
        self.successResultOf(stopped)
        self.assertTrue(connection.aborted)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_start_fires_also_when_nobody_answers(self) -> None:
        started = self.link.start()
        self.attempts[-1].errback(ConnectionRefusedError("refused"))
        self.successResultOf(started)
        self.assertFalse(self.link.up)
        self.assertIn("refused", self.link.trouble or "")

    def test_what_another_program_says_ends_without_a_full_stop_of_its_own(self) -> None:
        self.link.start()
        self.attempts[-1].errback(ConnectionRefusedError(string="Connection refused"))
        self.assertTrue((self.link.trouble or "").endswith("Connection refused"), self.link.trouble)

    def test_a_server_that_does_not_accept_is_given_up_in_time(self) -> None:
        started = self.link.start()
        self.clock.advance(CONNECT_SECONDS)
        self.successResultOf(started)
        self.clock.advance(MAX_WAIT_SECONDS)
        self.assertEqual(len(self.attempts), 2)

    def test_a_connection_lost_during_the_greeting_is_made_again_for_ever(self) -> None:
        self.link.start()
        for attempt in range(1, 51):
            self.assertEqual(len(self.attempts), attempt)
            connection = self.accept()
            connection.end()
            connection.greeted.errback(LogUnavailable("the connection to Redis was lost"))
            self.assertTrue(connection.aborted)
            self.clock.advance(MAX_WAIT_SECONDS)
        self.accept().greeted.callback(None)
        self.assertTrue(self.link.up)

    def test_a_lost_connection_is_told_and_made_again(self) -> None:
        self.link.start()
        connection = self.accept()
        connection.greeted.callback(None)
        connection.end()
        self.assertFalse(self.link.up)
        self.assertEqual((self.losses, self.link.trouble), (1, "the connection was lost"))
        self.clock.advance(MAX_WAIT_SECONDS)
        self.accept().greeted.callback(None)
        self.assertTrue(self.link.up)

    def test_a_connection_that_is_dropped_says_why(self) -> None:
        self.link.start()
        connection = self.accept()
        connection.greeted.callback(None)
        self.link.abort("it has lost changes")
        self.assertTrue(connection.aborted)
        self.assertEqual(self.link.trouble, "it has lost changes")
        self.clock.advance(MAX_WAIT_SECONDS)
        second = self.accept()
        second.greeted.callback(None)
        second.end()
        self.assertEqual(self.link.trouble, "the connection was lost")

    def test_the_log_says_what_happened_what_afeed_does_and_what_the_operator_may_do_once_each(self) -> None:
        told: list[str] = []
        observer = told.append
        link: Link[FakeConnection] = Link(
            "Redis at test",
            self.connect,
            self.use,
            self.lost,
            self.clock,
            Random(1),
            meanwhile="Pushes wait",
            advise=lambda trouble: "Start it. " if "refused" in trouble else "",
        )
        self.addCleanup(link.stop)

        def note(event: LogEvent) -> None:
            if event["log_namespace"] == "afeed.livelog.link.Link":
                observer(formatEvent(event))

        globalLogPublisher.addObserver(note)
        self.addCleanup(globalLogPublisher.removeObserver, note)
        link.start()
        for why in ("refused", "no route", "refused", "no route"):
            self.attempts[-1].errback(LogUnavailable(why))
            self.clock.advance(MAX_WAIT_SECONDS)
        self.accept().greeted.callback(None)
        self.assertEqual(
            told,
            [
                "Redis at test cannot be used: refused. Start it. It is tried again every second. Pushes wait.",
                "Redis at test cannot be used: no route. It is tried again every second. Pushes wait.",
                "Redis at test can be used again, after 4.0 s.",
            ],
        )
        self.assertIsNone(link.since)

    def test_a_connection_that_ended_while_it_was_greeted_is_not_taken_for_usable(self) -> None:
        self.link.start()
        connection = self.accept()
        connection.end()
        connection.greeted.callback(None)
        self.assertFalse(self.link.up)
        self.assertEqual(self.losses, 0)

    def test_a_defect_in_the_greeting_does_not_end_the_attempts(self) -> None:
        self.link.start()
        self.accept().greeted.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.clock.advance(MAX_WAIT_SECONDS)
        self.assertEqual(len(self.attempts), 2)

    def test_stop_closes_the_connection_and_makes_no_other(self) -> None:
        self.link.start()
        connection = self.accept()
        connection.greeted.callback(None)
        self.successResultOf(self.link.stop())
        self.assertTrue(connection.aborted)
        self.clock.advance(60)
        self.assertEqual(len(self.attempts), 1)
        self.assertFalse(self.link.up)

    def test_stop_while_waiting_or_connecting_ends_at_once(self) -> None:
        started = self.link.start()
        self.successResultOf(self.link.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.attempts), 1)
        self.successResultOf(started)
