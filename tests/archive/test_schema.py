"""Migrations, and databases that are not afeed's to change."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from msgspec import structs
from sqlalchemy import create_engine
from twisted.internet import reactor, threads
from twisted.trial.unittest import SynchronousTestCase

from afeed.archive.backends import display, parse_url
from afeed.archive.schema import APPLICATION_ID, examine
from afeed.archive.store import SqlArchive
from afeed.archive.tables import REVISION_TABLE, SEARCH_TABLE, metadata
from afeed.core.draft import Posted
from afeed.core.errors import ArchiveTooNew, ArchiveUnavailable, ArchiveUnusable
from tests.archive.support import (
    AS_AT_FIRST,
    EVENT,
    LINEAGE,
    ArchiveTestCase,
    PostgreSQLDatabase,
    SQLiteDatabase,
    child,
    logged,
)
from tests.fakes import a_post, an_item
from tests.servers import postgresql

#: What SQLAlchemy cannot describe: the index of words, which is several tables in SQLite.
BY_HAND = {SEARCH_TABLE, *(f"{SEARCH_TABLE}_{part}" for part in ("data", "idx", "config"))}

#: Migrates the database named on the command line; with a second argument it dies in the middle of it.
MIGRATOR = """
import os, signal, sys
from alembic import op
from afeed.archive.backends import parse_url
from afeed.archive.schema import prepare
if len(sys.argv) > 2:
    create_table, tables = op.create_table, []
    def create_and_die(name, *columns):
        tables.append(create_table(name, *columns))
        if len(tables) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
    op.create_table = create_and_die
prepare(*parse_url(sys.argv[1]))
"""


class SchemaSuite:
    """Mixed into a test case per database below."""

    async def test_a_fresh_database_has_exactly_the_tables_of_this_version(self) -> None:
        await self.open()
        engine = create_engine(parse_url(self.database.url)[0])
        self.addCleanup(engine.dispose)

        def differences() -> list[object]:
            with engine.connect() as connection:
                options = {
                    "version_table": REVISION_TABLE,
                    "compare_type": True,
                    "include_name": lambda name, kind, parents: kind != "table" or name not in BY_HAND,
                }
                return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

        self.assertEqual(await threads.deferToThread(differences), [])

    async def test_a_second_start_changes_nothing(self) -> None:
        archive = await self.open()
        changes = await self.fill(archive, [a_post(1)])
        await archive.stop()
        again = await self.open()
        self.assertEqual(await again.read(EVENT, 0, 9), changes)
        self.assertEqual(self.database.query(f"SELECT count(*) FROM {REVISION_TABLE}"), [(1,)])

    async def test_an_archive_of_an_older_afeed_is_brought_up_to_date(self) -> None:
        archive = await self.open()
        # The second came with a talk, as in a recording; the third only speaks of one.
        filed = Posted(structs.replace(an_item(2), talk="keynote"), "1")
        changes = await self.fill(archive, [a_post(1), filed, a_post(3, '"talk":"keynote"')])
        await archive.stop()
        for statement in AS_AT_FIRST:
            self.database.query(statement)
        again = await self.open()
        self.assertEqual(await again.read(EVENT, 0, 9), changes)
        self.assertEqual(await again.gaps(EVENT), [])
        self.assertEqual([one.item.talk for one in await again.items(EVENT, 9)], [None, "keynote", None])

    async def test_processes_that_migrate_at_once_wait_for_each_other(self) -> None:
        processes = [child("-c", MIGRATOR, self.database.url) for _ in range(3)]
        for process in processes:
            _, errors = await threads.deferToThread(process.communicate, timeout=120)
            self.assertEqual((process.returncode, errors), (0, b""))
        await self.open()
        self.assertEqual(self.database.query(f"SELECT count(*) FROM {REVISION_TABLE}"), [(1,)])

    async def test_a_migration_that_was_killed_half_way_is_done_again_from_the_start(self) -> None:
        process = child("-c", MIGRATOR, self.database.url, "die")
        await threads.deferToThread(process.communicate, timeout=120)
        self.assertEqual(process.returncode, -9)
        archive = await self.open()
        await archive.store(EVENT, LINEAGE, 0, logged([a_post(1)]))
        self.assertEqual(await archive.extent(EVENT), (1, 1))

    async def test_an_archive_of_a_newer_afeed_is_refused_and_left_alone(self) -> None:
        archive = await self.open()
        await self.fill(archive, [a_post(1)])
        await archive.stop()
        self.database.query(f"UPDATE {REVISION_TABLE} SET version_num = '9999'")
        before = self.database.everything()
        newer = self.make()
        failure = await self.assertFailure(newer.start(), ArchiveTooNew)
        self.assertIn("9999", str(failure))
        self.assertEqual(newer.check().state, "failed")
        self.assertEqual(self.database.everything(), before)

    async def test_tables_of_another_program_are_refused_and_left_alone(self) -> None:
        self.database.query("CREATE TABLE items (price integer)")
        before = self.database.everything()
        await self.assertFailure(self.make().start(), ArchiveUnusable)
        self.assertEqual(self.database.everything(), before)


class SQLiteSchemaTests(SchemaSuite, ArchiveTestCase):
    database_class = SQLiteDatabase

    async def test_other_users_of_the_machine_can_read_nothing_of_a_new_archive(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        await self.fill(await self.open(), [a_post(1)])
        names = ("archive.sqlite3", "archive.sqlite3-wal", "archive.sqlite3-shm")
        modes = {path.name: path.stat().st_mode & 0o777 for path in self.directory.iterdir()}
        self.assertEqual(modes, dict.fromkeys(names, 0o600))

    async def refused(self) -> str:
        """What an archive says about the present file, which it must leave as it is."""
        before = self.database.everything()
        archive = self.make()
        error = await self.assertFailure(archive.start(), ArchiveUnusable)
        self.assertEqual(archive.check().state, "failed")
        self.assertEqual(self.database.everything(), before)
        self.assertRaises(ArchiveUnusable, examine, *parse_url(self.database.url))
        return str(error)

    async def test_the_file_says_whose_it_is(self) -> None:
        await self.open()
        self.assertEqual(self.database.query("PRAGMA application_id"), [(APPLICATION_ID,)])

    async def test_an_empty_file_is_a_new_archive(self) -> None:
        self.database.path.touch()
        archive = await self.open()
        self.assertIsNone(await archive.position(EVENT))

    async def test_a_file_that_is_no_database_is_refused(self) -> None:
        self.database.path.write_bytes(b"Dear diary, today " * 500)
        self.assertIn("not an SQLite database", await self.refused())

    async def test_a_truncated_archive_is_refused(self) -> None:
        archive = await self.open()
        await self.fill(archive, [a_post(n, "long " * 100) for n in range(200)])
        await archive.stop()
        whole = self.database.path.read_bytes()
        self.database.path.write_bytes(whole[: len(whole) // 2 // 4096 * 4096])
        self.assertIn("damaged", await self.refused())

    async def test_a_database_of_another_program_is_refused(self) -> None:
        self.database.query("CREATE TABLE recipes (name text)")
        self.assertIn("another program", await self.refused())

    async def test_a_database_marked_as_another_programs_is_refused(self) -> None:
        self.database.query("PRAGMA application_id = 252006674")
        self.assertIn("another program", await self.refused())

    async def test_a_folder_that_does_not_exist_is_named(self) -> None:
        archive = SqlArchive("sqlite:////nowhere/at/all/archive.sqlite3", reactor, lambda: 0.0)
        error = await self.assertFailure(archive.start(), ArchiveUnusable)
        self.assertIn("/nowhere/at/all", str(error))
        await archive.stop()

    async def test_a_path_with_special_characters_works(self) -> None:
        folder = self.directory / "100% ünïcode #1"
        folder.mkdir()
        archive = SqlArchive(f"sqlite:///{folder}/a b.sqlite3", reactor, lambda: 0.0)
        await archive.start()
        await archive.stop()
        self.assertTrue(Path(folder, "a b.sqlite3").exists())
        with closing(sqlite3.connect(folder / "a b.sqlite3")) as connection:
            self.assertEqual(connection.execute("SELECT count(*) FROM changes").fetchone(), (0,))


class PostgreSQLSchemaTests(SchemaSuite, ArchiveTestCase):
    database_class = PostgreSQLDatabase

    async def test_other_tables_in_the_same_database_are_no_hindrance(self) -> None:
        self.database.query("CREATE TABLE recipes (name text)")
        archive = await self.open()
        self.assertIsNone(await archive.position(EVENT))

    async def test_a_database_that_cannot_hold_unicode_is_refused(self) -> None:
        url = postgresql.shared().create_database(encoding="LATIN1")
        archive = SqlArchive(url, reactor, lambda: 0.0)
        error = await self.assertFailure(archive.start(), ArchiveUnusable)
        self.assertIn("LATIN1", str(error))
        await archive.stop()

    async def test_a_database_that_does_not_exist_is_unavailable_not_unusable(self) -> None:
        archive = SqlArchive(postgresql.shared().url_of("nowhere"), reactor, lambda: 0.0)
        error = await self.assertFailure(archive.start(), ArchiveUnavailable)
        self.assertIn("nowhere", str(error))
        await archive.stop()


class UrlTests(SynchronousTestCase):
    def test_passwords_do_not_show(self) -> None:
        for url in ("postgresql://u:hunter2@h/db", "postgresql+psycopg://u@h/db?password=hunter2"):
            parsed, _ = parse_url(url)
            self.assertNotIn("hunter2", display(parsed))

    def test_what_is_not_supported_is_named_without_its_password(self) -> None:
        for url in ("mysql://u:hunter2@h/db", "not a url hunter2", "sqlite://", "sqlite:///:memory:"):
            error = self.assertRaises(ValueError, parse_url, url)
            self.assertNotIn("hunter2", str(error))
