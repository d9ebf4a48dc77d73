"""The file of the embedded live log as a whole: making one, and telling whether one may be used."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from pathlib import Path

from afeed.core.errors import LogUnavailable, LogUnusable

#: In the file's header: "this is a live log of afeed", and the layout below.  In layout 1 every entry about an
#: item had ``id_key``; now only those have it whose item has several, as an index of keys in no order is the
#: dearest part of a large log, and few items are ever edited.  Entries of both kinds are understood.  Before
#: layout 3 nothing was held.
APPLICATION_ID = 0xAFEED106 - 2**32
HELD_LAYOUT = LAYOUT = 3

#: A file up to this size is read through at start to find damage early; that takes a quarter of a second.
CHECKED_BYTES = 128 * 1024 * 1024

_SCHEMA = """
CREATE TABLE event (
    id INTEGER PRIMARY KEY, slug TEXT UNIQUE, epoch TEXT NOT NULL, ancestors BLOB NOT NULL,
    base INTEGER NOT NULL, head INTEGER NOT NULL, bytes INTEGER NOT NULL);
CREATE TABLE entry (
    event INTEGER NOT NULL, seq INTEGER NOT NULL, id_key BLOB, body BLOB NOT NULL,
    PRIMARY KEY (event, seq)) WITHOUT ROWID;
CREATE INDEX entry_by_id ON entry (event, id_key) WHERE id_key IS NOT NULL;
CREATE TABLE item (
    event INTEGER NOT NULL, id_key BLOB NOT NULL, version_key BLOB NOT NULL, rank INTEGER NOT NULL,
    seq INTEGER NOT NULL, removed INTEGER NOT NULL,
    PRIMARY KEY (event, id_key)) WITHOUT ROWID;
CREATE TABLE version (
    event INTEGER NOT NULL, version_key BLOB NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (event, version_key)) WITHOUT ROWID;
CREATE TABLE position (
    event INTEGER NOT NULL, source TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (event, source)) WITHOUT ROWID;
"""

#: What is held: ``place`` is the order in which it came, ``due`` is ``until`` in milliseconds since 1970, and
#: ``size`` what it counts towards ``max_log_bytes``; ``tail`` is as in :class:`~afeed.core.draft.Record`,
#: ``earlier`` has the keys of the versions before it, one after the other.
HELD_SCHEMA = """
CREATE TABLE IF NOT EXISTS held (
    place INTEGER PRIMARY KEY, event INTEGER NOT NULL, size INTEGER NOT NULL, stopped INTEGER NOT NULL,
    due INTEGER, id_key BLOB NOT NULL, version_key BLOB NOT NULL, rank INTEGER NOT NULL,
    at TEXT NOT NULL, until TEXT, reason TEXT NOT NULL, id TEXT NOT NULL, earlier BLOB NOT NULL,
    tail BLOB NOT NULL, UNIQUE (event, id_key));
CREATE INDEX IF NOT EXISTS held_by_place ON held (event, stopped, place);
CREATE INDEX IF NOT EXISTS held_by_size ON held (event, size);
CREATE INDEX IF NOT EXISTS held_by_due ON held (event, due) WHERE due IS NOT NULL AND stopped = 0;
"""


#: What SQLite and the system say of a disk that may well work again: full, read-only, failing, locked.
_PASSING = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY,
}
_PASSING_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG, errno.EMFILE, errno.ENFILE}


def passes(error: sqlite3.Error | OSError) -> bool:
    """Whether it says nothing about the file, and trying again may help."""
    if isinstance(error, OSError):
        return error.errno in _PASSING_ERRNOS
    # The low byte is the primary code (sqlite.org/rescode.html).
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING


def unavailable(error: Exception) -> LogUnavailable:
    """What a caller is told of an SQLite error."""
    return LogUnavailable(
        f"the live log cannot be written or read ({error}): look at the disk that holds data_dir; afeed goes "
        "on trying with every append"
    )


def identity(path: Path) -> tuple[int, int] | None:
    """Which file ``path`` names at the moment; None when there is none."""
    try:
        found = os.stat(path)  # before every commit, and Path.stat is three times as much work
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


class Mark:
    """A file beside the log which says that there may be changes in the write-ahead log alone.

    It is there before a process records its first change, and goes when all of them are in the one file.  Where
    it is ``found`` at a start, the process before did not come to its end, and a disk that keeps less than it
    promised may have lost changes that were numbered and shown: nobody can tell from what is left.
    """

    def __init__(self, log: Path) -> None:
        self._path = log.with_suffix(".open")
        self.found = self._made = self._path.exists()

    def make(self) -> None:
        """Returns when it is durable; raises :class:`sqlite3.OperationalError`, like the write that it
        precedes."""
        if self._made:
            return
        try:
            for path, flags in ((self._path, os.O_WRONLY | os.O_CREAT), (self._path.parent, os.O_RDONLY)):
                descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        except OSError as error:
            raise sqlite3.OperationalError(f"{self._path} cannot be made: {error.strerror}") from error
        self._made = True

    def remove(self) -> None:
        """One that cannot be removed costs a new epoch at the next start and nothing else."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
            self._made = False


def layout_of(header: bytes) -> int:
    """The layout in the first 100 bytes of a file, which is what any version looks at before it opens one; a
    newer one may still be in the write-ahead log."""
    return int.from_bytes(header[60:64], "big")


def examine(path: Path) -> None:
    """Raise :class:`~afeed.core.errors.LogUnusable` unless the file at ``path`` is a sound live log that this
    version can use, :class:`~afeed.core.errors.LogUnavailable` when the disk does not let that be seen right
    now; no change is made to it."""
    try:
        with path.open("rb") as file:
            header = file.read(100)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        kind = LogUnavailable if passes(error) else LogUnusable
        raise kind(f"{path} cannot be read: {error.strerror}") from error
    remedy = "move it away to start an empty live log (what the archive holds is taken over)"
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        raise LogUnusable(f"{path} is not a live log of afeed, or is damaged: {remedy}")
    if int.from_bytes(header[68:72], "big", signed=True) != APPLICATION_ID:
        raise LogUnusable(f"{path} belongs to another program: give afeed another data_dir, or {remedy}")
    layout = layout_of(header)
    if layout > LAYOUT:
        raise LogUnusable(f"{path} was written by a newer afeed (layout {layout}; this one knows {LAYOUT})")
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        try:
            connection.execute("SELECT count(*) FROM event").fetchone()
            if size <= CHECKED_BYTES:
                (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
                if verdict != "ok":
                    raise LogUnusable(f"{path} is damaged ({' '.join(verdict.split())}): {remedy}")
        finally:
            connection.close()
    except sqlite3.Error as error:
        if passes(error):
            raise LogUnavailable(
                f"{path} cannot be read ({error}): look at the disk that holds data_dir"
            ) from error
        raise LogUnusable(f"{path} is damaged ({error}): {remedy}") from error


def create(path: Path) -> None:
    """Make an empty live log at ``path``: under another name first, so that there is a whole one or none.
    Nobody but this user may read it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_suffix(".new")
    # SQLite would apply what is left over beside a deleted file to the new one.
    leftovers = [path.with_name(path.name + end) for end in ("-wal", "-shm")]
    for stale in (unfinished, unfinished.with_name(unfinished.name + "-journal"), *leftovers):
        stale.unlink(missing_ok=True)
    # SQLite gives the files that it makes beside a database the mode of that database.
    unfinished.touch(mode=0o600, exist_ok=False)
    connection = sqlite3.connect(unfinished, isolation_level=None)
    try:
        connection.executescript(
            f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={LAYOUT}; PRAGMA synchronous=FULL;"
            f"BEGIN; {_SCHEMA} {HELD_SCHEMA} COMMIT;"
        )
    finally:
        connection.close()
    unfinished.replace(path)
