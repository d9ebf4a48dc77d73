"""The file of the embedded live log."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.change import EDITED, POSTED, REMOVED
from afeed.core.draft import Held, Removed, prepare
from afeed.livelog.database import Database
from afeed.livelog.database_file import LAYOUT, layout_of, passes
from afeed.livelog.embedded_reader import EmbeddedReader
from afeed.livelog.entries import entry
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


class LayoutTests(SynchronousTestCase):
    """A file that an older version has written."""

    def test_every_entry_of_an_item_is_found_in_a_file_of_the_first_layout(self) -> None:
        path = Path(self.mktemp()) / "live.sqlite3"
        database = Database(path, window=10, max_bytes=1_000_000)
        database.begin()
        row = database.create("conf", "e1", ())
        drafts = [a_post(1), a_post(2), a_post(1, version="2"), a_post(3)]
        records = [prepare(draft) for draft in drafts]
        database.append("conf", None, records, AT, None)
        for seq, record in enumerate(records, 1):
            database.connection.execute("UPDATE entry SET id_key=? WHERE seq=?", (record.id_key, seq))
        database.commit()
        database.connection.execute("PRAGMA user_version=1")
        database.close()

        database = Database(path, window=10, max_bytes=1_000_000)
        self.addCleanup(database.close)
        database.begin()
        removals = [prepare(Removed(draft.item.id)) for draft in drafts[:2]]
        database.append("conf", None, [prepare(a_post(3, version="2")), *removals], AT, None)
        database.commit()
        types = [change.type for change in database.read("conf", 0, 10).changes]
        self.assertEqual(types, ["redacted"] * 3 + [POSTED, EDITED, REMOVED, REMOVED])
        kept = sum(len(change.stored) for change in database.read("conf", 0, 10).changes)
        self.assertEqual(database.state("conf").bytes, kept)  # type: ignore[union-attr]
        # The older version would not find the entries of this one.
        self.assertEqual(database.connection.execute("PRAGMA user_version").fetchone(), (LAYOUT,))
        self.assertEqual(row, 1)

    def test_a_file_of_the_second_layout_has_room_for_what_is_held(self) -> None:
        path = Path(self.mktemp()) / "live.sqlite3"
        database = Database(path, window=10, max_bytes=1_000_000)
        database.begin()
        database.create("conf", "e1", ())
        database.append("conf", None, [prepare(a_post(1))], AT, None)
        database.connection.execute("DROP TABLE held")
        database.connection.execute("PRAGMA user_version=2")
        database.commit()
        database.close()
        self.assertEqual(EmbeddedReader(path).take("conf", 0, lambda change: None).held, ())  # type: ignore[union-attr]

        database = Database(path, window=10, max_bytes=1_000_000)
        self.addCleanup(database.close)
        database.begin()
        post = a_post(2)
        self.assertEqual(database.hold("conf", [entry(Held(post.item, "1", "word"))], AT), ([True], False))
        database.commit()
        self.assertEqual([one.item for one in database.held("conf", 9, None, False)], [post.item])
        taken = EmbeddedReader(path).take("conf", 0, lambda change: None)
        assert taken is not None
        self.assertEqual([one.item for one in taken.held], [post.item])

    def test_counting_what_is_held_does_not_read_it(self) -> None:
        """It is counted anew after every write that failed, such as those that a full log refuses."""
        database = Database(Path(self.mktemp()) / "live.sqlite3", window=10, max_bytes=1_000_000)
        self.addCleanup(database.close)
        asked: list[str] = []
        database.connection.set_trace_callback(asked.append)
        database.begin()
        database.rollback()
        database.connection.set_trace_callback(None)
        (count,) = [statement for statement in asked if "sum(size)" in statement]
        plan = database.connection.execute(f"EXPLAIN QUERY PLAN {count}").fetchall()
        self.assertEqual([step for *_, step in plan], ["SCAN held USING COVERING INDEX held_by_size"])

    def test_an_older_version_refuses_the_file_even_after_a_kill(self) -> None:
        """It looks at the file alone, and what was written last is not in there."""
        path = Path(self.mktemp()) / "live.sqlite3"
        Database(path, window=10, max_bytes=1_000_000).close()
        older = sqlite3.connect(path)
        older.execute("PRAGMA user_version=1")
        older.close()
        self.assertEqual(layout_of(path.read_bytes()[:100]), 1)
        database = Database(path, window=10, max_bytes=1_000_000)
        self.addCleanup(database.close)
        self.assertEqual(layout_of(path.read_bytes()[:100]), LAYOUT)


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
