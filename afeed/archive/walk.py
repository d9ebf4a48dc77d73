"""The archive's items from first to last, for programs that are not in a reactor: exports and reports.

Each page is read in a transaction of its own, so that the archive's writer is never kept from tidying up behind
a removal.  What is removed while somebody reads is simply not there any more when its turn comes.

Everything here blocks, and fails with :class:`~afeed.core.errors.ArchiveUnavailable` or
:class:`~afeed.core.errors.ArchiveUnusable`.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Executable, func, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from afeed.archive import schema, searching, transactions
from afeed.archive.backends import SQLITE, Backend, display, make_engine, parse_url
from afeed.archive.engine import explain
from afeed.archive.searching import Found, Query
from afeed.archive.tables import items, media
from afeed.core.errors import ArchiveUnavailable
from afeed.interfaces import Head, PageItem

#: Items read at a time.
PAGE = 500

T = TypeVar("T")


class _AtOnce:
    """What the archive's questions need of a transaction, on a connection that blocks."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def rows(self, statement: Executable, parameters: Any = None) -> list[Any]:
        return list(self._connection.execute(statement, parameters))


def _done(question: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        question.send(None)
    except StopIteration as end:
        found: T = end.value
        return found
    raise AssertionError("a question to a connection that blocks has waited for something else")


class ItemReader:
    """Reads what is visible."""

    def __init__(self, connection: Connection | None, backend: Backend) -> None:
        self._connection = connection
        self._backend = backend

    def position(self, event: str) -> Head | None:
        """How far the archive is; None where it knows nothing of the event."""
        with self._transaction() as sql:
            return None if sql is None else _done(transactions.position(sql, event))

    def count(self, event: str, talk: str | None = None) -> int:
        """How many items there are, of the event or of one talk."""
        statement = select(func.count()).where(items.c.event == event, items.c.removed_seq.is_(None))
        if talk is not None:
            statement = statement.where(items.c.talk == talk)
        with self._transaction() as sql:
            return 0 if sql is None else int(_done(sql.rows(statement))[0][0])

    def pages(self, event: str, talk: str | None = None, size: int = PAGE) -> Iterator[list[PageItem]]:
        """All of them in their present state, in the order in which they came."""
        after = 0
        while True:
            with self._transaction() as sql:
                found = [] if sql is None else _done(searching.all_items(sql, event, after, size, talk))
            if not found:
                return
            yield found
            after = found[-1].seq

    def newest(self, event: str, talk: str, limit: int, before: int | None = None) -> Found:
        """The newest of a talk's items, of those first posted below ``before``."""
        with self._transaction() as sql:
            if sql is None:
                return Found([], None, None)
            index = self._backend.search
            return _done(searching.find(sql, index, event, Query(talk=talk), limit, before))

    def kept_picture(self, key: bytes) -> tuple[bytes, str] | None:
        """SHA-256 and kind of the file that afeed keeps of the picture with this
        :func:`~afeed.media.addresses.media_key`; None where it keeps none."""
        columns = (media.c.sha256, media.c.kind)
        statement = select(*columns).where(media.c.media_key == key, media.c.state == "kept")
        with self._transaction() as sql:
            found = [] if sql is None else _done(sql.rows(statement))
        return (bytes(found[0][0]), found[0][1]) if found else None

    @contextmanager
    def _transaction(self) -> Iterator[_AtOnce | None]:
        if self._connection is None:
            yield None
            return
        with self._connection.begin():
            begin = self._backend.begin["read"]
            if begin is not None:
                self._connection.execute(text(begin))
            yield _AtOnce(self._connection)


@contextmanager
def reading_items(url: str) -> Iterator[ItemReader]:
    """Read the archive at ``url``, beside whoever writes to it.  One that was never made has nothing in it;
    nothing is made or migrated."""
    parsed, backend = parse_url(url)
    path = Path(parsed.database or "")
    if backend is SQLITE and not (path.exists() and path.stat().st_size):
        yield ItemReader(None, backend)
        return
    schema.examine(parsed, backend, restoring=False)
    engine = make_engine(parsed, backend, "read")
    try:
        with engine.connect() as connection:
            with connection.begin():
                tables = inspect(connection).get_table_names()
                schema.refuse_unfinished(tables, display(parsed), False)
                known = schema.recognise(connection, display(parsed))
            yield ItemReader(connection if known else None, backend)
    except SQLAlchemyError as error:
        raise ArchiveUnavailable(f"the archive {display(parsed)} cannot be read: {explain(error)}") from error
    finally:
        engine.dispose()
