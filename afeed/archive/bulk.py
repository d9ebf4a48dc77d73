"""The archive as a whole, for backups: read at one moment, or filled in one step.

Everything here blocks, and fails with :class:`~afeed.core.errors.ArchiveUnavailable` or
:class:`~afeed.core.errors.ArchiveUnusable`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Executable, func, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from afeed.archive import kept, queries, schema, transactions
from afeed.archive.backends import POSTGRESQL, SQLITE, Role, display, make_engine, parse_url
from afeed.archive.engine import explain
from afeed.archive.tables import changes, epochs, holes, positions, restore, search_events
from afeed.core.backup import Beginning, Hole, Row
from afeed.core.change import Change
from afeed.core.cursor import Ancestor
from afeed.core.errors import ArchiveUnavailable
from afeed.core.straining import fold
from afeed.interfaces import Head, Lineage

#: How many changes are read or written at a time.
PAGE = 1000

T = TypeVar("T")


@contextmanager
def _transaction(url: str, role: Role) -> Iterator[Connection]:
    """One transaction, with errors in afeed's words."""
    parsed, backend = parse_url(url)
    engine = make_engine(parsed, backend, role)
    try:
        with engine.connect() as connection, connection.begin():
            begin = backend.begin[role]
            if begin is not None:
                connection.execute(text(begin))
            yield connection
    except SQLAlchemyError as error:
        raise ArchiveUnavailable(f"the archive {display(parsed)} cannot be used: {explain(error)}") from error
    finally:
        engine.dispose()


@contextmanager
def reading(url: str) -> Iterator[Callable[[Executable], list[Any]]]:
    """What executes a statement on the archive at ``url``, in a transaction of its own, and gives all rows."""
    parsed, backend = parse_url(url)
    engine = make_engine(parsed, backend, "read")
    try:
        with engine.connect() as connection:

            def rows(statement: Executable) -> list[Any]:
                with connection.begin():
                    return list(connection.execute(statement))

            yield rows
    except SQLAlchemyError as error:
        raise ArchiveUnavailable(f"the archive {display(parsed)} cannot be used: {explain(error)}") from error
    finally:
        engine.dispose()


@contextmanager
def writing(url: str, table: str) -> Iterator[tuple[Connection | None, queries.Insert]]:
    """One transaction that writes to the archive at ``url``, and ``INSERT`` as it says it; None in place of the
    transaction where there is no such ``table``.  Nothing is made or migrated."""
    parsed, backend = parse_url(url)
    path = Path(parsed.database or "")
    if backend is SQLITE and not (path.exists() and path.stat().st_size):
        yield None, backend.insert
        return
    with _transaction(url, "write") as connection:
        yield connection if inspect(connection).has_table(table) else None, backend.insert


class Snapshot:
    """What an archive held at one moment; ``connection`` is None for one that was never made."""

    def __init__(self, connection: Connection | None) -> None:
        self._connection = connection

    def _rows(self, statement: Executable) -> list[Any]:
        return [] if self._connection is None else list(self._connection.execute(statement))

    def events(self) -> list[str]:
        """The slugs of all events, in order."""
        return [slug for (slug,) in self._rows(select(positions.c.event).order_by(positions.c.event))]

    def position(self, event: str) -> Head | None:
        """The last change that was copied."""
        found = self._rows(queries.position(event))
        return Head(*found[0]) if found else None

    def ancestors(self, event: str) -> tuple[Ancestor, ...]:
        return tuple(Ancestor(epoch, shared) for epoch, shared in self._rows(queries.ancestors(event)))

    def holes(self, event: str) -> list[Hole]:
        """Ranges that were lost before they reached the archive, in order."""
        columns = (holes.c.first_seq, holes.c.last_seq, holes.c.epoch, holes.c.noticed_at)
        found = select(*columns).where(holes.c.event == event).order_by(holes.c.first_seq)
        return [Hole(*row) for row in self._rows(found)]

    def pages(self, event: str) -> Iterator[list[Change]]:
        """All changes, in order."""
        after = 0
        while rows := self._rows(queries.read(event, after, PAGE)):
            yield [Change.decode(seq, stored) for seq, stored in rows]
            after = rows[-1][0]

    def rows(self) -> Iterator[Row]:
        """What only the archive has, beside the log."""
        if self._connection is not None:
            yield from kept.rows(self._connection)


@contextmanager
def _present(url: str, restoring: bool) -> Iterator[Connection | None]:
    """A transaction that reads the archive as it is, None where there is none: nothing is made or migrated."""
    parsed, backend = parse_url(url)
    path = Path(parsed.database or "")
    if backend is SQLITE and not (path.exists() and path.stat().st_size):
        yield None
        return
    schema.examine(parsed, backend, restoring=restoring)
    with _transaction(url, "read") as connection:
        if backend is POSTGRESQL:
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        schema.refuse_unfinished(inspect(connection).get_table_names(), display(parsed), restoring)
        yield connection if schema.recognise(connection, display(parsed)) else None


@contextmanager
def snapshot(url: str) -> Iterator[Snapshot]:
    """Read the archive at ``url`` beside whoever writes to it."""
    with _present(url, False) as connection:
        yield Snapshot(connection)


class Standing(NamedTuple):
    """What is in an archive into which something is to be restored: how many changes of which event, how many
    rows of which table that the log knows nothing of, and the SHA-256 of the backup of which it has everything,
    from a restore that did not come to its end."""

    contents: dict[str, int]
    kept: dict[str, int]
    filled: str | None


def standing(url: str) -> Standing:
    """Look at the archive at ``url`` before a restore."""
    with _present(url, True) as connection:
        if connection is None:
            return Standing({}, {}, None)
        counted = select(changes.c.event, func.count()).group_by(changes.c.event)
        found = {event: int(count) for event, count in connection.execute(counted)}
        others = kept.counts(connection)
        if not inspect(connection).has_table(restore.name):
            return Standing(found, others, None)
        left = connection.execute(select(restore)).one()
        return Standing(found, others, left.backup if left.filled else None)


class Filling:
    """Fills an empty archive within one transaction: all of it is there afterwards, or nothing."""

    def __init__(self, connection: Connection, insert: queries.Insert, at: str) -> None:
        self._connection = connection
        self._insert = insert
        self._at = at

    def begin(self, found: Beginning) -> None:
        """Note where an event stands; its changes are added next."""
        lineage = Lineage(found.epoch, found.ancestors)
        for table in (positions, epochs, holes, search_events):
            # A fresh afeed may have noted its own first position.  Without a number the event is indexed when
            # afeed is started next.
            self._connection.execute(table.delete().where(table.c.event == found.event))
        if not found.head:
            # An archive that has nothing may follow any log.
            return
        transactions.advance(self._connection, self._insert, found.event, lineage, 0, found.head, self._at)
        for hole in found.holes:
            self._connection.execute(
                queries.hole(self._insert, found.event, hole.first, hole.last, hole.epoch, hole.at)
            )

    def add(self, event: str, page: Sequence[Change]) -> None:
        """The next changes of ``event``."""
        transactions.write(self._connection, self._insert, event, fold(page))

    def keep(self, row: Row) -> None:
        """What belongs to no log."""
        table, values = kept.read(row)
        self._connection.execute(table.insert(), values)


@contextmanager
def filling(url: str, backup: str, at: str) -> Iterator[Filling]:
    """Fill the archive at ``url``, made or migrated first, from the backup with the SHA-256 ``backup``; an
    exception leaves it empty.  ``at`` is an RFC 3339 time.

    From before the first row until :func:`finish`, however this ends, everybody else is kept out: what is not
    whole yet must be neither served nor added to.
    """
    parsed, backend = parse_url(url)

    def keep_out(connection: Connection) -> None:
        restore.create(connection, checkfirst=True)
        connection.execute(restore.delete())
        connection.execute(restore.insert(), {"backup": backup, "filled": False})

    schema.prepare(parsed, backend, restoring=True, also=keep_out)
    with _transaction(url, "write") as connection:
        yield Filling(connection, backend.insert, at)
        connection.execute(restore.update().values(filled=True))


def finish(url: str) -> None:
    """Let everybody in again: the restore is over."""
    with _transaction(url, "write") as connection:
        restore.drop(connection)
