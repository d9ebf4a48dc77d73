"""What the tests of the archive share: databases of their own, and changes to put into them."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from afeed.archive.store import SqlArchive
from afeed.archive.tables import REVISION_TABLE, SEARCH_TABLE, metadata
from afeed.core.change import Change
from afeed.core.draft import Draft
from afeed.interfaces import Lineage
from tests.fakes import MemoryLog
from tests.servers import postgresql

EVENT = "conf"
LINEAGE = Lineage("e1", ())
NOON = 1_800_000_000.0
#: The tables that archives of the first revision do not have yet.
YOUNGER_TABLES = sorted({*metadata.tables, SEARCH_TABLE} - {"changes", "items", "positions", "epochs", "holes"})
#: What makes the archive of the first version of one of this.
AS_AT_FIRST = (
    *(f"DROP TABLE {table}" for table in YOUNGER_TABLES),
    "DROP INDEX items_by_talk",
    "ALTER TABLE items DROP COLUMN talk",
    f"UPDATE {REVISION_TABLE} SET version_num = '0001'",
)


ROOT = Path(__file__).parents[2]


def child(*arguments: str) -> subprocess.Popen[bytes]:
    """A Python process that finds this checkout."""
    path = os.pathsep.join([str(ROOT), *sys.path])
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


async def until(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Let the reactor work until ``condition()`` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        await deferLater(reactor, 0.02)


class HandClock(Clock):
    """What an archive needs of a reactor; for its deadlines and pauses time passes by :meth:`advance` alone,
    however slow the machine is."""

    def callFromThread(self, function: Callable[..., object], *arguments: Any, **named: Any) -> None:
        reactor.callFromThread(function, *arguments, **named)


def logged(drafts: Sequence[Draft]) -> list[Change]:
    """The changes of a log that recorded ``drafts`` one after the other, each as it was before the next came:
    nothing is redacted yet."""
    log = MemoryLog([EVENT])
    found = []
    for draft in drafts:
        log.append(EVENT, None, [draft])
        found.append(log.events[EVENT].changes[-1])
    return found


class SQLiteDatabase:
    """A new SQLite file."""

    def __init__(self, directory: str) -> None:
        self.path = Path(directory, "archive.sqlite3")
        self.url = f"sqlite:///{self.path}"

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            found = connection.execute(sql).fetchall()
            connection.commit()
            return found

    def everything(self) -> bytes:
        """All bytes of the file and of those beside it."""
        files = sorted(self.path.parent.glob(self.path.name + "*"))
        return b"".join(file.read_bytes() for file in files)


class PostgreSQLDatabase:
    """A new database in the shared cluster."""

    def __init__(self, directory: str) -> None:
        self.server = postgresql.shared()
        self.url = self.server.create_database()
        self.name = self.url.rpartition("/")[2]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        lines = self.server.psql(self.name, sql).splitlines()
        return [tuple(int(part) if part.isdigit() else part for part in line.split("|")) for line in lines]

    def everything(self) -> bytes:
        """A dump, with the values of ``bytea`` columns as they are and not in hexadecimal."""
        tables = [name for (name,) in self.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        escaped = [
            self.server.psql(self.name, f"SET bytea_output = 'escape'; SELECT * FROM {table}")
            for table in tables
        ]
        # pg_dump frames its output with a random word.
        dump = [line for line in self.server.dump(self.name).splitlines() if "restrict" not in line]
        return "\n".join([*dump, *escaped]).encode()


class ArchiveTestCase(TestCase):
    """Makes archives and sees to it that each is stopped and leaves no thread."""

    timeout = 240
    database_class: type = SQLiteDatabase

    def setUp(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir(parents=True)
        self.directory = directory.absolute()
        self.database = self.database_class(str(self.directory))

    def make(self, clock: Any = reactor, **options: Any) -> SqlArchive:
        # A machine that is busy may be slow; what is too slow, tests of that say themselves.
        archive = SqlArchive(self.database.url, clock, lambda: NOON, **{"timeout": 60.0, **options})
        self.addCleanup(self.stop, archive)
        return archive

    async def open(self, clock: Any = reactor, **options: Any) -> SqlArchive:
        archive = self.make(clock, **options)
        await archive.start()
        return archive

    async def _stop(self, archive: SqlArchive) -> None:
        await archive.stop()
        # It does not wait for long itself.
        await until(lambda: archive._database.workers.alive == 0, "the threads of the archive to end")

    def stop(self, archive: SqlArchive) -> Deferred[None]:
        return Deferred.fromCoroutine(self._stop(archive))

    async def fill(self, archive: SqlArchive, drafts: Sequence[Draft], batch: int = 500) -> list[Change]:
        changes = logged(drafts)
        for first in range(0, len(changes), batch):
            await archive.store(EVENT, LINEAGE, first, changes[first : first + batch])
        return changes
