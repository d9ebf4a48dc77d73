"""The thread behind the embedded log."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from afeed.core.errors import LogDefect, LogUnavailable
from afeed.livelog.database import Database
from afeed.livelog.writer import PATIENCE_SECONDS, Writer
from tests.livelog.contract import eventually
from tests.livelog.patience import Patience


class PatienceTests(SynchronousTestCase):
    """What is done about a disk that does not answer; the thread is never started here."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.writer = Writer(self.clock, self.never, lambda: None)

    def never(self) -> Database:
        raise AssertionError("nobody starts the thread")

    def given_up(self, deferred: Deferred[Any]) -> None:
        self.failureResultOf(deferred, LogUnavailable)

    def test_who_repeats_at_once_what_was_given_up_does_not_keep_others_waiting(self) -> None:
        again: list[Deferred[Any]] = []
        first = self.writer.write(Database.touch)
        first.addErrback(lambda failure: again.append(self.writer.write(Database.touch)) or failure)
        second = self.writer.write(Database.touch)
        self.clock.advance(1)
        third = self.writer.write(Database.touch)
        self.clock.advance(PATIENCE_SECONDS - 1)
        self.given_up(first)
        self.given_up(second)
        self.assertNoResult(third)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1, "one look at a time")
        self.clock.advance(1)
        self.given_up(third)
        self.clock.advance(PATIENCE_SECONDS - 1)
        self.given_up(again[0])


class FaultTests(TestCase):
    """What goes wrong in the thread."""

    async def setUp(self) -> None:
        Patience(self)
        path = Path(self.mktemp()) / "live.sqlite3"
        self.database: Any = None

        def opened() -> Database:
            self.database = Database(path, window=10, max_bytes=10**9)
            return self.database

        self.writer = Writer(reactor, opened, lambda: None)
        await self.writer.start()
        self.addCleanup(self.writer.stop)

    async def refuse(self, method: str, error: Exception) -> None:
        """Let a write fail in ``method`` of the database, and see that the next one does not."""

        def fails(*args: Any) -> None:
            raise error

        setattr(self.database, method, fails)
        with self.assertRaises(LogUnavailable):
            await self.writer.write(Database.touch)
        self.assertIn(str(error), self.writer.trouble or "")
        delattr(self.database, method)
        await self.writer.write(lambda db: db.create("e", "epoch", ()))
        self.assertIsNone(self.writer.trouble)
        self.assertEqual((await self.writer.read(lambda db: db.state("e"))).epoch, "epoch")
        self.assertEqual(len(self.flushLoggedErrors(type(error))), 1)

    async def test_the_log_is_not_dead_after_an_unexpected_error_at_the_beginning_of_a_transaction(
        self,
    ) -> None:
        await self.refuse("begin", MemoryError("no memory to begin"))

    async def test_the_log_is_not_dead_after_an_unexpected_error_in_a_commit(self) -> None:
        await self.refuse("commit", MemoryError("no memory to commit"))

    async def test_what_could_not_be_undone_is_undone_before_the_next_write(self) -> None:
        def fails(*args: Any) -> None:
            raise MemoryError("no memory")

        self.database.commit = self.database._load = fails
        with self.assertRaises(LogUnavailable):
            await self.writer.write(lambda db: db.create("lost", "epoch", ()))
        del self.database.commit, self.database._load
        await self.writer.write(lambda db: db.create("e", "epoch", ()))
        states = await self.writer.read(lambda db: [db.state(slug) for slug in ("lost", "e")])
        self.assertEqual([state and state.slug for state in states], [None, "e"])
        self.assertEqual(len(self.flushLoggedErrors(MemoryError)), 1)

    async def test_a_defect_in_a_write_is_not_taken_for_a_log_that_is_away(self) -> None:
        def broken(database: Database) -> None:
            database.create("e", "epoch", ())
            raise ZeroDivisionError

        error = await self.assertFailure(self.writer.write(broken), LogDefect)
        self.assertNotIsInstance(error, LogUnavailable)
        self.assertIsNone(self.writer.trouble, "the log itself is sound")
        self.assertIsNone(await self.writer.read(lambda db: db.state("e")))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_stop_waits_for_what_runs(self) -> None:
        hanging = threading.Event()
        reading = self.writer.read(lambda db: hanging.wait(60))
        stopped = self.writer.stop()
        hanging.set()
        self.assertTrue(await reading)
        await stopped
        await eventually(lambda: self.writer.waiting == 0, "an empty queue")
