"""Reading the embedded live log from another process, while its owner works: for backups.

Everything here blocks.  Nothing is written, and the owner's writer waits for nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from afeed.core.change import Change
from afeed.core.cursor import Ancestor
from afeed.core.errors import LogUnavailable
from afeed.interfaces import HeldItem
from afeed.livelog.database_file import HELD_LAYOUT, examine
from afeed.livelog.entries import held_item
from afeed.livelog.taken import Taken

_ancestors = msgspec.json.Decoder(tuple[Ancestor, ...])


class EmbeddedReader:
    """The log in the file at ``path``.  Everything may fail with
    :class:`~afeed.core.errors.LogUnavailable`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def events(self) -> dict[str, int]:
        """The slug and the head of every event; empty when there is no file."""
        if not self._path.exists():
            return {}
        examine(self._path)
        with self._connected() as connection:
            return dict(connection.execute("SELECT slug, head FROM event WHERE slug IS NOT NULL"))

    def nodes(self) -> int:
        """See :meth:`afeed.livelog.taken.Reader.nodes`."""
        return 0

    def take(self, event: str, after: int, put: Callable[[Change], object]) -> Taken | None:
        """Give ``put`` every change above ``after``, in order, all as they are at one moment.  None when the
        log knows nothing of the event."""
        if not self._path.exists():
            return None
        with self._connected() as connection:
            # One snapshot; the owner goes on writing beside it.
            connection.execute("BEGIN")
            found = connection.execute(
                "SELECT id, epoch, ancestors, base, head FROM event WHERE slug=?", (event,)
            ).fetchone()
            if found is None:
                return None
            row, epoch, ancestors, base, head = found
            for seq, body in connection.execute(
                "SELECT seq, body FROM entry WHERE event=? AND seq>? ORDER BY seq", (row, after)
            ):
                put(Change.decode(seq, body))
            positions = dict(connection.execute("SELECT source, value FROM position WHERE event=?", (row,)))
            held = _held(connection, row)
        return Taken(epoch, _ancestors.decode(ancestors), max(base, after) + 1, head, positions, held)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10)) as connection:
                yield connection
        except sqlite3.Error as error:
            raise LogUnavailable(f"the live log in {self._path} cannot be read: {error}") from error


def _held(connection: sqlite3.Connection, row: int) -> tuple[HeldItem, ...]:
    """What the event in ``row`` holds back, in the order in which it came."""
    if connection.execute("PRAGMA user_version").fetchone()[0] < HELD_LAYOUT:
        return ()
    rows = connection.execute(
        "SELECT tail, reason, until, at, stopped FROM held WHERE event=? ORDER BY place", (row,)
    )
    return tuple(held_item(tail, reason, until, at, bool(stopped)) for tail, reason, until, at, stopped in rows)
