"""The file of the embedded live log."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.draft import prepare
from afeed.livelog.database import Database
from afeed.livelog.database_file import passes
from tests.fakes import a_post

AT = "2026-11-21T17:00:06.120Z"


class ModeTests(SynchronousTestCase):
    def test_other_users_of_the_machine_can_read_nothing_of_a_new_live_log(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        directory = Path(self.mktemp())
        with closing(Database(directory / "live.sqlite3", window=10, max_bytes=1_000_000).connection):
            modes = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
        self.assertEqual(modes, dict.fromkeys(("live.sqlite3", "live.sqlite3-wal", "live.sqlite3-shm"), 0o600))
        self.assertEqual(directory.stat().st_mode & 0o777, 0o700)


class MarkTests(SynchronousTestCase):
    """Whether the last process came to its end."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "live.sqlite3"
        self.mark = self.path.with_suffix(".open")

    def open(self) -> Database:
        database = Database(self.path, window=10, max_bytes=1_000_000)
        self.addCleanup(database.connection.close)
        return database

    def record(self, database: Database) -> None:
        database.begin()
        if database.state("conf") is None:
            database.create("conf", "e1", ())
        database.append("conf", None, [prepare(a_post(database.state("conf").head + 1))], AT, None)  # type: ignore
        database.commit()

    def test_it_is_there_before_the_first_change_is_durable(self) -> None:
        database = self.open()
        self.assertFalse(self.mark.exists())
        seen = []
        run = database._run
        database._run = lambda sql, *rest: seen.append((sql, self.mark.exists())) or run(sql, *rest)  # type: ignore
        self.record(database)
        self.assertIn(("COMMIT", True), seen)

    def test_it_goes_with_a_proper_end(self) -> None:
        database = self.open()
        self.record(database)
        database.close()
        self.assertFalse(self.mark.exists())
        self.assertFalse(self.open().unfinished)

    def test_after_a_death_it_stays_until_everything_is_in_the_one_file(self) -> None:
        self.record(self.open())
        again = self.open()
        self.assertTrue(again.unfinished)
        self.assertTrue(self.mark.exists())
        self.assertTrue(again.conclude())
        self.assertFalse(self.mark.exists())
        self.record(again)
        self.assertTrue(self.mark.exists(), "what came since is in doubt again")

    def test_it_stays_while_somebody_reads_the_file(self) -> None:
        database = self.open()
        self.record(database)
        with closing(sqlite3.connect(self.path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM entry").fetchone()
            self.record(database)
            self.assertFalse(database.conclude())
            self.assertTrue(self.mark.exists())

    def test_where_it_cannot_be_made_nothing_is_recorded(self) -> None:
        database = self.open()
        self.mark.symlink_to("nowhere/at/all")
        self.assertRaises(sqlite3.OperationalError, self.record, database)
        database.rollback()
        self.mark.unlink()
        self.record(database)
        self.assertEqual(database.state("conf").head, 1)  # type: ignore[union-attr]


class PassingTests(SynchronousTestCase):
    """What says something about the disk of today is not taken for damage."""

    def error(self, code: int) -> sqlite3.OperationalError:
        error = sqlite3.OperationalError("an error")
        error.sqlite_errorcode = code
        return error

    def test_a_disk_that_is_full_or_fails_may_work_again(self) -> None:
        for code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_READONLY_DBMOVED):
            self.assertTrue(passes(self.error(code)), code)
        self.assertTrue(passes(OSError(errno.ENOSPC, "No space left on device")))
        self.assertTrue(passes(OSError(errno.EROFS, "Read-only file system")))

    def test_damage_does_not_pass(self) -> None:
        for code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            self.assertFalse(passes(self.error(code)), code)
        self.assertFalse(passes(sqlite3.ProgrammingError("a defect")))
        self.assertFalse(passes(PermissionError(errno.EACCES, "Permission denied")))
