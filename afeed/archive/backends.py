"""What differs between SQLite and PostgreSQL: one value each, so that nothing else asks which it is."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Literal, NamedTuple

import attrs
from sqlalchemy import (
    TIMESTAMP,
    URL,
    ColumnElement,
    Integer,
    Interval,
    case,
    cast,
    create_engine,
    event,
    false,
    func,
    literal,
    make_url,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Engine
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from afeed.archive.search_index import PostgresIndex, SearchIndex, SqliteIndex

Role = Literal["write", "read", "migrate"]

# psycopg tells of lost connections there, which come back as exceptions anyway; without a handler Python would
# print them between afeed's own messages.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

#: How long SQLite waits for another process's write, in milliseconds; and for another's read when it tidies up,
#: which is tried again and which the next write waits for.
_BUSY_MS = 5000
_TIDY_MS = 50


class Scrub(NamedTuple):
    """Statements to be said one after the other: ``statement`` gives a row that begins with whether readers
    were in the way, ``after`` makes the connection again what it was."""

    before: str
    statement: str
    after: str


@attrs.frozen(kw_only=True)
class Backend:
    """One kind of database.

    ``insert`` makes an INSERT that knows ON CONFLICT; ``begin`` is what has to be said to the driver at the
    start of a transaction (None: the driver does it); ``settings`` are the statements that prepare a new
    connection; ``late`` makes the condition that its first argument, an RFC 3339 time, is more than so many
    seconds after the second, false where one is no time; ``scrub`` is said, outside a transaction, after
    content was overwritten; ``search`` is the index of words; ``interrupt`` makes a driver connection that
    hangs in another thread return, and does not block.
    """

    name: str
    insert: Callable[..., Any]
    begin: Mapping[Role, str | None]
    settings: Mapping[Role, tuple[str, ...]]
    connect_args: Mapping[str, Any]
    late: Callable[[Any, Any, float], ColumnElement[bool]]
    scrub: Scrub | None
    search: SearchIndex
    interrupt: Callable[[Any], None]


def _late_in_sqlite(at: Any, written: Any, seconds: float) -> ColumnElement[bool]:
    # julianday() is null for what is no time; it counts in days, to some forty microseconds.
    passed = func.round((func.julianday(at) - func.julianday(written)) * 86400, 3)
    return func.coalesce(passed > seconds, false())


#: PostgreSQL raises an error for a time that is none, and the whole page would be lost for one odd post.
_TIME = r"^[12]\d{3}-(0[1-9]|1[0-2])-\d\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-](0\d|1[0-4]):[0-5]\d)$"


def _late_in_postgresql(at: Any, written: Any, seconds: float) -> ColumnElement[bool]:
    def moment(column: Any) -> Any:
        # By way of the first of the month, because there is no 31st of February.
        first = func.substr(column, 1, 8) + "01" + func.substr(column, 11)
        days = cast(func.substr(column, 9, 2), Integer) * literal(timedelta(days=1), Interval)
        return func.timezone("UTC", cast(first, TIMESTAMP(timezone=True))) + days

    late = moment(at) - moment(written) > literal(timedelta(seconds=seconds), Interval)
    # CASE, unlike AND, does not look at the rest when the first does not hold.
    return case((at.regexp_match(_TIME) & written.regexp_match(_TIME), late), else_=false())


def _interrupt_sqlite(driver: Any) -> None:
    driver.interrupt()


def _interrupt_postgresql(driver: Any) -> None:
    """Shut the socket down beneath libpq: a polite cancel would block, and not reach a server that is gone."""
    with socket.socket(fileno=os.dup(driver.fileno())) as beneath:
        beneath.shutdown(socket.SHUT_RDWR)


_SQLITE_COMMON = (
    f"PRAGMA busy_timeout = {_BUSY_MS}",
    "PRAGMA foreign_keys = ON",
    # The strainer trims the live log as soon as a commit returns: the commit must be durable by then.  (NORMAL
    # would let a power failure take back commits whose changes the log has already forgotten.)
    "PRAGMA synchronous = FULL",
    # A removal promises that the content is gone, not merely unlinked.
    "PRAGMA secure_delete = ON",
    "PRAGMA journal_size_limit = 67108864",
)

_POSTGRESQL_COMMON = ("SET client_encoding = 'UTF8'",)

SQLITE = Backend(
    name="sqlite",
    insert=sqlite.insert,
    # IMMEDIATE: a transaction that began as a reader could fail when it comes to write.
    begin={"write": "BEGIN IMMEDIATE", "migrate": "BEGIN IMMEDIATE", "read": "BEGIN"},
    settings={
        "write": _SQLITE_COMMON,
        "migrate": _SQLITE_COMMON,
        "read": (*_SQLITE_COMMON, "PRAGMA query_only = ON"),
    },
    connect_args={},
    late=_late_in_sqlite,
    scrub=Scrub(
        f"PRAGMA busy_timeout = {_TIDY_MS}",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        f"PRAGMA busy_timeout = {_BUSY_MS}",
    ),
    search=SqliteIndex(),
    interrupt=_interrupt_sqlite,
)

POSTGRESQL = Backend(
    name="postgresql",
    insert=postgresql.insert,
    begin={"write": None, "migrate": None, "read": None},
    settings={
        "write": (
            *_POSTGRESQL_COMMON,
            "SET statement_timeout = '10s'",
            "SET lock_timeout = '5s'",
            "SET idle_in_transaction_session_timeout = '30s'",
        ),
        "migrate": (*_POSTGRESQL_COMMON, "SET lock_timeout = '30s'"),
        "read": (
            *_POSTGRESQL_COMMON,
            "SET statement_timeout = '10s'",
            "SET default_transaction_read_only = on",
        ),
    },
    connect_args={
        "connect_timeout": 4,
        "application_name": "afeed",
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    },
    late=_late_in_postgresql,
    scrub=None,
    search=PostgresIndex(),
    interrupt=_interrupt_postgresql,
)


def parse_url(text: str) -> tuple[URL, Backend]:
    """The URL as SQLAlchemy understands it, and the kind of database.

    Raises :class:`ValueError`, with one sentence that does not repeat the URL's password, for anything that
    is not ``sqlite:///FILE`` or ``postgresql+psycopg://...``.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        raise ValueError("the archive must be a URL such as sqlite:///var/archive.sqlite3") from None
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
            raise ValueError("the archive must name a file, such as sqlite:///var/archive.sqlite3")
        return url, SQLITE
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg"), POSTGRESQL
    raise ValueError(
        f"{url.drivername} is not supported; use sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE"
    )


def display(url: URL) -> str:
    """The URL for logs and health: no password, and no query, which could hold one."""
    return url.set(query={}).render_as_string(hide_password=True)


def make_engine(url: URL, backend: Backend, role: Role) -> Engine:
    """An engine without a pool; its connections are prepared for ``role``."""
    arguments = {name: value for name, value in backend.connect_args.items() if name not in url.query}
    # Parameters are what people wrote: they stay out of errors and logs.
    engine = create_engine(url, poolclass=NullPool, connect_args=arguments, hide_parameters=True)

    def prepare(driver: Any, record: object) -> None:
        if backend is SQLITE:
            # The driver must not begin and commit by itself: see Backend.begin.
            driver.isolation_level = None
        cursor = driver.cursor()
        try:
            for statement in backend.settings[role]:
                cursor.execute(statement)
        finally:
            cursor.close()
        if backend is not SQLITE:
            driver.commit()

    event.listen(engine, "connect", prepare)
    return engine
