"""Transactions on the archive's database without blocking the reactor: the one place that knows Alchimia.

A :class:`Database` holds one connection to write and a few to read, each with a thread of its own, opens them
when they are first needed and replaces those that failed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs
from sqlalchemy import Connection, Executable, text
from sqlalchemy.engine import strategies
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError
from twisted._threads import AlreadyQuit
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, succeed
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.logger import Logger

from afeed.archive.advice import advised
from afeed.archive.backends import Role, display, make_engine, parse_url
from afeed.archive.workers import Workers
from afeed.core.errors import ArchiveUnavailable


class DefaultEngineStrategy:
    """Stands in for a class that left SQLAlchemy in version 1.4; Alchimia derives one from it, which nobody
    uses."""


if not hasattr(strategies, "DefaultEngineStrategy"):
    strategies.DefaultEngineStrategy = DefaultEngineStrategy  # type: ignore[attr-defined]

from alchimia import wrap_engine  # noqa: E402

log = Logger()
T = TypeVar("T")
Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None


#: How many times as long as a read a write may take.  With the default of 5 s, health tells of a database that
#: hangs within the ten seconds that it has for that.
WRITE_SHARE = 1.5


class Transaction:
    """What the work of one transaction may do."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def execute(self, statement: Executable, parameters: Parameters = None) -> int:
        """Execute; the number of rows it touched."""
        result = await self._connection.execute(statement, parameters)
        return int(result.rowcount)

    async def rows(self, statement: Executable, parameters: Parameters = None) -> list[Any]:
        """Execute; all rows it gives, as tuples."""
        result = await self._connection.execute(statement, parameters)
        return list(await result.fetchall())

    async def at_once(self, work: Callable[[Connection], T]) -> T:
        """The result of ``work``, which is called in the connection's thread and may block there; the
        transaction stays this one's."""
        twisted = self._connection
        try:
            done: Deferred[T] = twisted._defer_to_cxn(work, twisted._connection)
        except AlreadyQuit:
            raise StatementError("this connection is closed", None, None, None) from None
        return await done


Work = Callable[[Transaction], Awaitable[T]]


class _Slot:
    """A place for one connection, empty until somebody needs it and after it failed."""

    def __init__(self) -> None:
        self.connection: Any = None


@attrs.define
class _Pool:
    """The connections of one role and their engine."""

    role: Role
    timeout: float
    engine: Any
    slots: list[_Slot]
    idle: list[_Slot]
    turn: DeferredSemaphore


class Database:
    """The database behind ``url``.  ``timeout`` bounds, in seconds, a read from the moment it is asked for; a
    write may take half as long again."""

    def __init__(self, url: str, reactor: Any, *, readers: int, timeout: float = 5.0) -> None:
        self.url, self.backend = parse_url(url)
        self.name = display(self.url)
        self.workers = Workers(reactor, "afeed-archive")
        self._reactor = reactor
        self._closed = False
        self._pools: dict[Role, _Pool] = {}
        self._shape: dict[Role, tuple[int, float]] = {
            "write": (1, WRITE_SHARE * timeout),
            "read": (readers, timeout),
        }

    def write(self, work: Work[T], committed: Callable[[T], object] | None = None) -> Deferred[T]:
        """Do ``work`` in a transaction that writes.  Fires with its result once that is durable;
        ``committed(result)`` is called then, even when nobody waits any more.

        Fails with :class:`~afeed.core.errors.ArchiveUnavailable` when the database does not do it in time, and
        with whatever else ``work`` raises, after a rollback.  Cancelling abandons the wait, not the work.
        """
        return self._transact("write", work, committed)

    def read(self, work: Work[T]) -> Deferred[T]:
        """Like :meth:`write`, for ``work`` that only reads."""
        return self._transact("read", work)

    def scrub(self) -> Deferred[bool]:
        """Make sure that content which was overwritten is gone from the database's files too, as far as the
        database offers that.  Fires with False when readers were in the way, who are hardly waited for: try
        again."""
        if self.backend.scrub is None:
            return succeed(True)
        before, statement, after = map(text, self.backend.scrub)

        async def work(sql: Transaction) -> bool:
            await sql.rows(before)
            busy, *_ = (await sql.rows(statement))[0]
            await sql.rows(after)  # not needed where that fails: the connection is given up then
            return not busy

        return self._transact("write", work, begin=False)

    async def close(self, patience: float = 2.0) -> None:
        """Let running transactions end, for ``patience`` seconds, then close all connections and threads.
        Harmless the second time."""
        if self._closed:
            return
        self._closed = True
        for pool in self._pools.values():
            try:
                for _ in pool.slots:
                    await pool.turn.acquire().addTimeout(patience, self._reactor)
            except DeferredTimeout:
                log.warn(
                    "A database operation of the archive did not end within {patience} s; it is abandoned.",
                    patience=patience,
                )
            for slot in pool.slots:
                if slot in pool.idle:
                    await self._close(slot, patience)
                else:
                    self._discard(slot)
        ended = self.workers.close()
        try:
            await ended.addTimeout(patience, self._reactor)
        except DeferredTimeout:
            log.warn(
                "{count} threads of the archive are still waiting for the database; they are left behind.",
                count=self.workers.alive,
            )

    def _transact(
        self,
        role: Role,
        work: Work[T],
        committed: Callable[[T], object] | None = None,
        *,
        begin: bool = True,
    ) -> Deferred[T]:
        outer: Deferred[T] = Deferred()
        pool = self._pool(role)
        inner = Deferred.fromCoroutine(self._in_turn(pool, work, begin))
        inner.addTimeout(pool.timeout, self._reactor, onTimeoutCancel=self._too_slow)
        if committed is not None:
            tell = committed

            def note(result: T) -> T:
                tell(result)
                return result

            inner.addCallback(note)

        def deliver(result: Any) -> None:
            # When the caller has cancelled, `outer` is called already: nobody waits for this any more.
            if not outer.called:
                outer.callback(result)

        inner.addBoth(deliver)
        return outer

    def _pool(self, role: Role) -> _Pool:
        if role not in self._pools:
            size, timeout = self._shape[role]
            engine = wrap_engine(
                self._reactor, make_engine(self.url, self.backend, role), create_worker=self.workers.create
            )
            # The wrapper makes a thread for methods that no longer exist in SQLAlchemy 2.
            if self.workers.newest is not None:
                self.workers.quit(self.workers.newest)
            slots = [_Slot() for _ in range(size)]
            self._pools[role] = _Pool(role, timeout, engine, slots, list(slots), DeferredSemaphore(size))
        return self._pools[role]

    async def _in_turn(self, pool: _Pool, work: Work[T], begin: bool) -> T:
        if self._closed:
            raise ArchiveUnavailable("the archive is closed")
        await pool.turn.acquire()
        slot = pool.idle.pop()
        # A connection that was idle may have died long ago, which says nothing about the database now.
        once_more = pool.role == "read" and slot.connection is not None
        try:
            try:
                return await self._on(slot, pool, work, begin)
            except DBAPIError as error:
                if self._closed or not (once_more and error.connection_invalidated):
                    raise
                self._discard(slot)
            return await self._on(slot, pool, work, begin)
        except SQLAlchemyError as error:
            self._discard(slot)
            raise ArchiveUnavailable(f"{self.name}: {explain(error)}") from error
        except CancelledError:
            self._discard(slot)
            raise
        finally:
            pool.idle.append(slot)
            pool.turn.release()

    async def _on(self, slot: _Slot, pool: _Pool, work: Work[T], begin: bool) -> T:
        if slot.connection is None:
            slot.connection = await self._connect(pool)
        connection = slot.connection
        transaction = await connection.begin()
        try:
            statement = self.backend.begin[pool.role]
            if begin and statement is not None:
                await connection.execute(text(statement))
            result = await work(Transaction(connection))
        except (SQLAlchemyError, CancelledError):
            raise
        except BaseException:
            await transaction.rollback()
            raise
        await transaction.commit()
        return result

    def _connect(self, pool: _Pool) -> Deferred[Any]:
        """A new connection; a failed one leaves no thread behind, a late one is closed."""
        outer: Deferred[Any] = Deferred()
        connecting = pool.engine.connect()
        worker = self.workers.newest
        assert worker is not None

        def connected(connection: Any) -> None:
            if outer.called:
                _close(connection)
            else:
                outer.callback(connection)

        def failed(failure: Any) -> None:
            self.workers.quit(worker)
            if not outer.called:
                outer.errback(failure)

        connecting.addCallbacks(connected, failed)
        return outer

    def _discard(self, slot: _Slot) -> None:
        """Give up a connection in an unknown state; its thread ends as soon as the driver lets go of it."""
        connection, slot.connection = slot.connection, None
        if connection is None:
            return
        try:
            self.backend.interrupt(_driver_connection(connection))
        except Exception as error:
            log.debug("A broken connection to the archive could not be interrupted: {error}", error=error)
        _close(connection)

    async def _close(self, slot: _Slot, patience: float) -> None:
        connection, slot.connection = slot.connection, None
        if connection is not None:
            try:
                await _close(connection).addTimeout(patience, self._reactor)
            except DeferredTimeout:
                log.warn("A connection to the archive does not close within {patience} s.", patience=patience)

    def _too_slow(self, result: object, timeout: float) -> Any:
        raise ArchiveUnavailable(advised(f"{self.name} did not answer within {timeout:g} s"))


def explain(error: BaseException) -> str:
    """The driver's own words on one line, without statement or parameters, and without the full stop or the
    question mark at their end: they become part of a sentence.  What helps follows, where that is known."""
    cause = getattr(error, "orig", None) or error
    return advised(" ".join(str(cause).split()).rstrip(" .?!:;,") or type(cause).__name__)


def _driver_connection(connection: Any) -> Any:
    """The connection of sqlite3 or psycopg beneath Alchimia's; it has no public name there."""
    return connection._connection.connection.dbapi_connection


def _close(connection: Any) -> Deferred[Any]:
    """Close what may be broken already, and let its thread end.  Fires when that is done, one way or the
    other."""

    def note(failure: Any) -> None:
        log.debug("Closing a connection to the archive: {error}", error=failure.value)

    try:
        closing: Deferred[Any] = connection.close()
    except AlreadyQuit:
        closing = succeed(None)
    return closing.addErrback(note)
