"""Whose database this is, and bringing it to the present schema.  Everything here blocks: it runs in a
thread."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, inspect, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from afeed.archive.backends import POSTGRESQL, SQLITE, Backend, display, make_engine
from afeed.archive.engine import explain
from afeed.archive.tables import REVISION_TABLE, metadata, restore
from afeed.core.errors import ArchiveTooNew, ArchiveUnavailable, ArchiveUnusable, RestoreUnfinished

#: In the header of an SQLite file: "afed", so that file(1) and other programs see whose it is.
APPLICATION_ID = 0x61666564

#: The key of the advisory lock under which PostgreSQL archives are migrated: any number will do.
LOCK_KEY = 0x6166656564

#: SQLite's primary result codes (sqlite.org/rescode.html) for files that are damaged or no database.
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

#: Alembic's ``context`` and ``op`` are global to the process.
_alembic = threading.Lock()


def prepare(
    url: URL,
    backend: Backend,
    *,
    restoring: bool = False,
    also: Callable[[Connection], None] = lambda connection: None,
) -> None:
    """Create or migrate the archive, and do ``also`` in the same transaction.  Nobody but this user may read an
    SQLite file that is made here.  One that a restore has left unfinished is refused unless that is what is
    ``restoring`` it.

    Raises :class:`~afeed.core.errors.ArchiveTooNew` or :class:`~afeed.core.errors.ArchiveUnusable` for one
    that is not this program's to change, and leaves that as it is; raises
    :class:`~afeed.core.errors.ArchiveUnavailable` when there is no telling right now.
    """
    examine(url, backend, restoring=restoring)
    if backend is SQLITE:
        _make_private(Path(url.database or ""))
    engine = make_engine(url, backend, "migrate")
    try:
        with engine.connect() as connection:
            if backend is SQLITE:
                _enter_wal(connection)
            with connection.begin():
                _migrate(connection, url, backend, restoring)
                also(connection)
    except SQLAlchemyError as error:
        raise ArchiveUnavailable(f"{display(url)}: {explain(error)}") from error
    finally:
        engine.dispose()


def examine(url: URL, backend: Backend, *, restoring: bool = False) -> None:
    """Raise what :func:`prepare` would raise about an SQLite file, without writing to it.  Other databases
    are examined when they are migrated."""
    if backend is not SQLITE:
        return
    path = Path(url.database or "")
    if not path.parent.is_dir():
        raise ArchiveUnusable(f"{path}: the folder {path.parent} does not exist")
    if not path.exists() or path.stat().st_size == 0:
        return
    options = "mode=ro"
    if not path.with_name(path.name + "-wal").exists():
        # Nobody has it open in WAL mode: reading need not even leave files for coordination beside it.
        options += "&immutable=1"
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?{options}", uri=True, timeout=5)) as reader:
            owner = reader.execute("PRAGMA application_id").fetchone()[0]
            tables = {name for (name,) in reader.execute("SELECT name FROM sqlite_master")}
            if owner not in (0, APPLICATION_ID) or (tables and REVISION_TABLE not in tables):
                raise ArchiveUnusable(f"{path} is another program's database; give `archive` a file of its own")
            revisions = (
                [name for (name,) in reader.execute(f"SELECT version_num FROM {REVISION_TABLE}")]  # noqa: S608
                if tables
                else []
            )
    except sqlite3.DatabaseError as error:
        if _primary_code(error) in _DAMAGED:
            raise ArchiveUnusable(
                f"{path} is damaged or not an SQLite database ({error}); restore it from a backup, or move it "
                "away and afeed starts a new one"
            ) from error
        raise ArchiveUnavailable(f"{path}: {error}") from error
    _refuse_unknown(revisions, str(path))
    refuse_unfinished(tables, str(path), restoring)


def _make_private(path: Path) -> None:
    """Make an empty file if there is none.  SQLite gives those that it makes beside it the same mode; that of
    a file which exists is its owner's choice."""
    try:
        if not path.exists():
            path.touch(mode=0o600)
    except OSError as error:
        raise ArchiveUnavailable(f"{path} cannot be made: {error.strerror}") from error


def _migrate(connection: Connection, url: URL, backend: Backend, restoring: bool) -> None:
    """In the open transaction, which the caller commits or, after an exception, rolls back as a whole."""
    begin = backend.begin["migrate"]
    if begin is not None:
        connection.execute(text(begin))
    if backend is POSTGRESQL:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
        encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
        if encoding != "UTF8":
            raise ArchiveUnusable(
                f"{display(url)} has the encoding {encoding}; create the database with ENCODING 'UTF8'"
            )
    tables = set(inspect(connection).get_table_names())
    refuse_unfinished(tables, display(url), restoring)
    if not recognise(connection, display(url)) and tables & set(metadata.tables):
        clash = ", ".join(sorted(tables & set(metadata.tables)))
        raise ArchiveUnusable(
            f"{display(url)} already has tables that are not afeed's ({clash}); give `archive` a database of "
            "its own"
        )
    config = _configuration()
    config.attributes["connection"] = connection
    with _alembic:
        command.upgrade(config, "head")
    if backend is SQLITE:
        connection.execute(text(f"PRAGMA application_id = {APPLICATION_ID}"))


def recognise(connection: Connection, name: str) -> bool:
    """Whether there is an archive of afeed; raises :class:`~afeed.core.errors.ArchiveTooNew` for one that this
    version does not know.  ``name`` is for the message."""
    if not inspect(connection).has_table(REVISION_TABLE):
        return False
    found = connection.execute(text(f"SELECT version_num FROM {REVISION_TABLE}"))  # noqa: S608
    _refuse_unknown([revision for (revision,) in found], name)
    return True


def refuse_unfinished(tables: Iterable[str], name: str, restoring: bool = False) -> None:
    """Raise :class:`~afeed.core.errors.RestoreUnfinished` if ``tables`` say that a restore is under way."""
    if restore.name in tables and not restoring:
        raise RestoreUnfinished(
            f"a restore into {name} has begun and did not come to its end; give `afeed restore` the same "
            "backup again, and it goes on where it was"
        )


def _refuse_unknown(revisions: list[str], name: str) -> None:
    with _alembic:
        known = {script.revision for script in ScriptDirectory.from_config(_configuration()).walk_revisions()}
    for revision in revisions:
        if revision not in known:
            raise ArchiveTooNew(
                f"{name} was written by a newer afeed (schema {revision}); install that version, or restore a "
                "backup made before the upgrade"
            )


def _configuration() -> Config:
    config = Config()
    # Resolved through importlib.resources: the same in a checkout and in an installed wheel.
    config.set_main_option("script_location", "afeed.archive:migrations")
    return config


def _enter_wal(connection: Connection) -> None:
    """Readers must not wait for the writer.  The mode stays with the file; changing it needs a moment alone
    with it, which SQLite does not wait for by itself."""
    deadline = time.monotonic() + 10
    while True:
        try:
            connection.execute(text("PRAGMA journal_mode = WAL"))
        except DBAPIError as error:
            connection.rollback()
            busy = isinstance(error.orig, sqlite3.Error) and _primary_code(error.orig) == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            connection.commit()
            return


def _primary_code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
