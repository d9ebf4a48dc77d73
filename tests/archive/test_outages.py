"""Databases that stop, hang or are locked: the caller hears of it in time, and afterwards all is well."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from random import Random
from typing import Any

from twisted.internet import reactor, threads
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from afeed.archive.store import SqlArchive
from afeed.archive.strainer import Strainer
from afeed.core.errors import ArchiveUnavailable
from tests.archive.support import EVENT, LINEAGE, ArchiveTestCase, HandClock, logged, until
from tests.fakes import MemoryLog, a_post
from tests.servers.postgresql import PostgreSQL

#: How long a read and a write may take, in seconds.
READ_S, WRITE_S = 5.0, 7.5


class SQLiteOutageTests(ArchiveTestCase):
    async def test_a_file_that_somebody_else_has_locked_is_unavailable_in_time_and_works_again(self) -> None:
        clock = HandClock()
        archive = await self.open(clock, timeout=READ_S)
        await archive.scrub()  # behind that with which it starts
        changes = logged([a_post(1)])
        with closing(sqlite3.connect(self.database.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            storing = archive.store(EVENT, LINEAGE, 0, changes)
            clock.advance(WRITE_S)
            await self.assertFailure(storing, ArchiveUnavailable)
            self.assertEqual(await archive.read(EVENT, 0, 9), [], "reading goes on beside another's write")
            self.assertEqual(archive.check().state, "degraded", "but that is no reason to call it well")
            # A page must not wait for whoever has it locked: that would fail after a while.
            self.assertIsNone(await archive.position(EVENT))
            looking = archive.position(EVENT, to_write=True)
            clock.advance(WRITE_S)
            await self.assertFailure(looking, ArchiveUnavailable)
            self.assertEqual(archive.check().state, "degraded")
            other.execute("ROLLBACK")
        self.assertIsNone(await archive.position(EVENT, to_write=True))
        self.assertEqual(archive.check().state, "ok")
        await archive.store(EVENT, LINEAGE, 0, changes)
        self.assertEqual(await archive.read(EVENT, 0, 9), changes)
        await until(lambda: archive._database.workers.alive == 2, "the abandoned thread to end")

    async def test_a_folder_that_appears_later_is_found(self) -> None:
        folder = self.directory / "mounted"
        archive = SqlArchive(f"sqlite:///{folder}/archive.sqlite3", reactor, lambda: 0.0)
        self.addCleanup(self.stop, archive)
        log = MemoryLog([EVENT])
        log.append(EVENT, None, [a_post(1)])
        strainer = Strainer(log, archive, [EVENT], reactor, Random(1), on_copied=lambda event, seq: None)
        running = Deferred.fromCoroutine(strainer.run())
        running.addErrback(lambda failure: failure.trap(CancelledError))
        self.addCleanup(running.cancel)
        await until(lambda: strainer.check().state == "failed", "the fault to be told")
        folder.mkdir()
        await until(lambda: strainer.check().state == "ok", "the strainer to catch up")
        self.assertEqual(await archive.extent(EVENT), (1, 1))


class PostgreSQLOutageTests(ArchiveTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.server = PostgreSQL()
        self.addCleanup(self.server.close)
        self.server.start()
        self.log = MemoryLog([EVENT])

    def archive_of(self, clock: Any = reactor, timeout: float = 60.0) -> SqlArchive:
        archive = SqlArchive(self.server.url, clock, lambda: 0.0, timeout=timeout)
        self.addCleanup(self.stop, archive)
        return archive

    def strain(self, archive: SqlArchive) -> Strainer:
        strainer = Strainer(
            self.log, archive, [EVENT], reactor, Random(1), batch=20, on_copied=lambda event, seq: None
        )
        running = Deferred.fromCoroutine(strainer.run())
        running.addErrback(lambda failure: failure.trap(CancelledError))
        self.addCleanup(running.cancel)
        return strainer

    def append(self, first: int, last: int) -> None:
        self.log.append(EVENT, None, [a_post(number) for number in range(first, last + 1)])

    def copied(self, strainer: Strainer) -> int:
        return int(strainer.check().data[EVENT]["copied"])

    async def test_a_server_that_is_away_at_start_is_waited_for(self) -> None:
        await threads.deferToThread(self.server.stop)
        self.append(1, 50)
        archive = self.archive_of()
        strainer = self.strain(archive)
        await until(lambda: strainer.check().state == "degraded", "the fault to be told")
        await until(lambda: strainer.lag(EVENT).changes == 50, "the lag to be told")
        await threads.deferToThread(self.server.start)
        await until(lambda: strainer.lag(EVENT).changes == 0, "the strainer to catch up")
        self.assertEqual(await archive.extent(EVENT), (1, 50))
        self.assertEqual(archive.check().state, "ok")

    async def test_a_server_that_is_killed_under_load_loses_and_doubles_nothing(self) -> None:
        archive = self.archive_of()
        strainer = self.strain(archive)
        for first in (1, 2001, 4001):
            self.append(first, first + 1999)
            await until(lambda least=first + 200: self.copied(strainer) > least, "some progress")
            self.assertLess(self.copied(strainer), first + 1999)
            await archive.read(EVENT, 0, 5)
            await threads.deferToThread(self.server.kill)
            await threads.deferToThread(self.server.start)
        # The reader's connection died with the server; that is nobody's business any more.
        self.assertEqual(len(await archive.read(EVENT, 0, 5)), 5)
        await until(lambda: self.copied(strainer) == 6000, "the strainer to catch up", 120)
        self.assertEqual(await archive.read(EVENT, 0, 10_000), self.log.events[EVENT].changes)
        await until(lambda: strainer.check().state == "ok", "health to tell of the end")

    async def test_a_server_that_hangs_is_unavailable_in_time_and_works_again(self) -> None:
        clock = HandClock()
        archive = self.archive_of(clock, READ_S)
        await archive.start()
        changes = logged([a_post(1)])
        await archive.store(EVENT, LINEAGE, 0, changes)
        self.assertEqual(await archive.extent(EVENT), (1, 1))
        with self.server.frozen():
            await self.run_out(archive.read(EVENT, 0, 9), clock, READ_S)
            await self.run_out(archive.store(EVENT, LINEAGE, 1, []), clock, WRITE_S)
            # New connections hang as well.
            await self.run_out(archive.read(EVENT, 0, 9), clock, READ_S)
        self.assertEqual(await archive.read(EVENT, 0, 9), changes)
        await archive.store(EVENT, LINEAGE, 1, [])
        await until(lambda: archive._database.workers.alive == 2, "the abandoned threads to end")

    async def run_out(self, waiting: Deferred[Any], clock: HandClock, seconds: float) -> None:
        """Let the time be up for what is under way."""
        await deferLater(reactor, 0.1)  # so that the server has it, or would
        clock.advance(seconds)
        await self.assertFailure(waiting, ArchiveUnavailable)

    async def test_a_server_that_hangs_does_not_hold_up_the_end(self) -> None:
        clock = HandClock()
        archive = self.archive_of(clock, READ_S)
        await archive.start()
        await archive.position(EVENT)
        with self.server.frozen():
            reading = archive.read(EVENT, 0, 9)
            reading.addErrback(lambda failure: None)
            stopping = archive.stop()
            while not stopping.called:
                clock.advance(0.02)
                await deferLater(reactor, 0.01)
            await stopping
            self.assertLess(clock.seconds(), 4.5)

    async def test_errors_name_the_server_and_not_the_password(self) -> None:
        url = self.server.url.replace("afeed@", "afeed:hunter2@").replace("/postgres", "/nowhere")
        archive = SqlArchive(url, reactor, lambda: 0.0)
        error = await self.assertFailure(archive.start(), ArchiveUnavailable)
        self.assertIn(str(self.server.port), str(error))
        for told in (str(error), repr(error.__cause__), repr(archive.check())):
            self.assertNotIn("hunter2", told)
        await archive.stop()
