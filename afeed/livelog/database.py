"""The SQLite file behind the embedded live log.

Everything here blocks and belongs to the one thread of :mod:`afeed.livelog.writer`.  Transactions are the
caller's: :meth:`Database.begin`, then any number of writes, then :meth:`Database.commit` or
:meth:`Database.rollback`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from afeed.core.errors import LogUnavailable, LogUnusable
from afeed.livelog.database_file import (
    HELD_SCHEMA,
    LAYOUT,
    Mark,
    create,
    examine,
    identity,
    layout_of,
    passes,
)
from afeed.livelog.database_held import HeldEvents

#: How long to wait for another program that has locked the file, in milliseconds; for tidying up, hardly.
_WAIT_MS = 5000
_TIDY_WAIT_MS = 50


class Database(HeldEvents):
    """The open file, with the events in it.  ``max_bytes`` bounds the bodies kept per event, ``window`` is what
    trimming must leave."""

    def __init__(self, path: Path, *, window: int, max_bytes: int) -> None:
        """Open ``path``, made if absent; raises :class:`~afeed.core.errors.LogUnusable`, or
        :class:`~afeed.core.errors.LogUnavailable` when that may be tried again."""
        try:
            if not path.exists():
                create(path)
            examine(path)
            self.connection = sqlite3.connect(path, isolation_level=None, cached_statements=64)
            self._path, self._identity = path, identity(path)
            self._mark = Mark(path)
            super().__init__(self.connection, window=window, max_bytes=max_bytes)
            for pragma in (
                "journal_mode=WAL",
                "synchronous=FULL",
                "cache_size=-8192",
                "journal_size_limit=67108864",
                "temp_store=MEMORY",
                # What was removed is overwritten, not only forgotten.
                "secure_delete=ON",
            ):
                self._run("PRAGMA " + pragma)
            self._doubtful = False
            self.begin()
            self.touch()
            for statement in HELD_SCHEMA.strip().split(";\n"):
                self._run(statement)
            # What a recovery had staged when the process died.
            for (staged,) in self._run("SELECT id FROM event WHERE slug IS NULL").fetchall():
                self._forget(staged)
            self.commit()
            with path.open("rb") as file:
                older = layout_of(file.read(100)) < LAYOUT
            if older:
                # An older afeed would not find all entries of an item.  It is refused from the first of them
                # on: by then the new layout is in the file and not only in the write-ahead log.
                self._run("PRAGMA wal_checkpoint(TRUNCATE)")
            self._load()
        except (sqlite3.Error, OSError) as error:
            kind = LogUnavailable if passes(error) else LogUnusable
            raise kind(f"the live log cannot be opened in {path.parent}: {error}") from error

    @property
    def unfinished(self) -> bool:
        """Whether the last process that recorded anything here did not come to its end."""
        return self._mark.found

    def absence(self) -> str | None:
        """Why the file that is open cannot be found again, None while it can."""
        try:
            found = identity(self._path)
        except OSError as error:
            return f"{self._path} cannot be looked at: {error.strerror}"
        return None if found == self._identity else f"{self._path} was removed or replaced while it was in use"

    # Transactions

    def begin(self) -> None:
        absence = self.absence()
        if absence is not None:
            # SQLite would go on writing to a file that no longer has a name, and nothing of that would last.
            raise sqlite3.OperationalError(absence)
        if self._doubtful:
            self.rollback()
        self._run("BEGIN IMMEDIATE")
        self._dirty.clear()

    def commit(self) -> None:
        if self._dirty:
            self._mark.make()
        self._save()
        self._run("COMMIT")

    def rollback(self) -> None:
        """Undo the open transaction, if SQLite has not done so by itself (it does on a full disk)."""
        # Until this succeeds the numbers in memory may be ahead of those in the file.
        self._doubtful = True
        if self.connection.in_transaction:
            self._run("ROLLBACK")
        self._load()
        self._doubtful = False

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A part of a transaction that fails alone: on an exception its writes, and only they, are undone."""
        before = dict(self._events), dict(self._rows), set(self._dirty), dict(self._holding)
        self._run("SAVEPOINT attempt")
        try:
            yield
        except BaseException:
            if self.connection.in_transaction:
                self._run("ROLLBACK TO attempt")
                self._run("RELEASE attempt")
                self._events, self._rows, self._dirty, self._holding = before
            raise
        self._run("RELEASE attempt")

    def tidy(self) -> bool:
        """Write everything back into the one file, so that removed text is in none; False while another
        program reads the file, which is not waited for.  Not within a transaction."""
        self._run(f"PRAGMA busy_timeout={_TIDY_WAIT_MS}")
        try:
            (busy, _, _) = self._run("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            self._run(f"PRAGMA busy_timeout={_WAIT_MS}")
        return not busy

    def conclude(self) -> bool:
        """After what was doubtful has been looked at: as :meth:`tidy`, and no doubt remains."""
        done = self.tidy()
        if done:
            self._mark.remove()
        return done

    def close(self) -> None:
        """Write everything back into the one file and close it."""
        (busy, _, _) = self._run("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self.connection.close()
        if not busy:
            self._mark.remove()

    def touch(self) -> None:
        """Write something of no consequence, to see whether that is possible."""
        self._run(f"PRAGMA user_version={LAYOUT}")
