"""Everything that can happen to the archive's database, under load: the feed does not notice, health tells of
it, and afterwards log and archive agree, change by change."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from random import Random
from typing import Any, NamedTuple

import psycopg

from afeed.archive.schema import LOCK_KEY
from tests.chaos.kills import Witnesses
from tests.chaos.table import Row, scenario
from tests.servers.afeed import AfeedServer
from tests.servers.postgresql import PostgreSQL
from tests.servers.process import wait_until

#: What health is promised to tell within (docs/architecture.rst, promise 8), and what a busy machine adds.
HEALTH_S, SLACK_S = 10.0, 6.0

#: From pushing an item until every follower has it.  Usually some hundredths of a second; what a busy machine
#: makes of that is far from what waiting for a database would.
DELAY_S = 3.0

RATE = 100.0

#: What is said of a server that is not there.
REFUSED = ("refused", "connection", "server closed", "terminat", "did not answer")
PASSWORD = "correct-horse-battery"


class Fault(NamedTuple):
    """``inject`` breaks something for as long as its block lasts; ``seen`` are words of the health check that
    name it, None where the fault is over before anybody need be told."""

    name: str
    inject: Callable[[], AbstractContextManager[object]]
    seen: tuple[str, ...] | None
    #: How long it lasts at least, in seconds, in the short form and in the long one.
    short_s: float = 2.0
    long_s: float = 60.0


def health(server: AfeedServer) -> dict[str, tuple[str, str]]:
    """State and detail of the checks ``archive`` and ``strainer``."""
    checks: dict[str, Any] = json.loads(server.request("/healthz")[2])["checks"]
    return {name: (checks[name]["state"], checks[name]["detail"]) for name in ("archive", "strainer")}


def well(server: AfeedServer) -> bool:
    return all(state == "ok" for state, _ in health(server).values())


def told(server: AfeedServer, words: tuple[str, ...]) -> bool:
    """Whether a check is not ok and says one of ``words``."""
    return any(
        state != "ok" and any(word in detail.lower() for word in words)
        for state, detail in health(server).values()
    )


class Run:
    """One node under load, to which one fault after the other happens; ``broken`` are the promises that were
    not kept."""

    def __init__(self, server: AfeedServer, witnesses: Witnesses, long: bool) -> None:
        self.server = server
        self.broken: list[str] = []
        self.faults = 0
        self.slowest = 0.0
        self.recovery = 0.0
        self._witnesses = witnesses
        self._long = long
        self._probes = 0

    def endure(self, fault: Fault) -> None:
        """Let ``fault`` happen, and see what is promised."""
        self.faults += 1
        with fault.inject():
            began = time.monotonic()
            if fault.seen is not None:
                words = fault.seen
                self._within(lambda: told(self.server, words), f"{fault.name}: health did not name it")
            self.probe(fault)
            while time.monotonic() < began + (fault.long_s if self._long else fault.short_s):
                time.sleep(0.5)
                self.probe(fault)
        over = time.monotonic()
        self._within(lambda: well(self.server), f"{fault.name}: health did not become well again")
        self.recovery = max(self.recovery, time.monotonic() - over)

    def probe(self, fault: Fault) -> None:
        """Publish one item and see when all have it."""
        began = time.monotonic()
        self._probes += 1
        [result] = self.server.push({"id": f"probe-{self._probes}", "text": "probe"})
        seq = result["seq"]
        wait_until(lambda: all(one.seq >= seq for one in self._witnesses.followers), "a delivery", 60)
        delay = time.monotonic() - began
        self.slowest = max(self.slowest, delay)
        if delay > DELAY_S:
            self.broken.append(f"{fault.name}: an item took {delay:.1f} s to its viewers")

    def _within(self, condition: Callable[[], bool], complaint: str) -> None:
        try:
            wait_until(condition, complaint, HEALTH_S + SLACK_S)
        except AssertionError:
            self.broken.append(f"{complaint} within {HEALTH_S + SLACK_S:g} s ({health(self.server)})")

    def row(self, name: str, seed: int) -> Row:
        """Judge; the server goes on running."""
        verdict = self._witnesses.verdict()
        row = verdict.row(name, seed, self.faults)
        remark = "; ".join(filter(None, [row.remark, *self.broken]))
        return row._replace(remark=remark, recovery_s=self.recovery)


class _Archive:
    """A database of its own in a private cluster, to which access needs a password."""

    role = "feed"

    def __init__(self) -> None:
        self.cluster = PostgreSQL()
        self.cluster.require_password(self.role)
        self.cluster.start()
        self.name = self.cluster.create_database().rpartition("/")[2]
        self.sql(f"CREATE ROLE {self.role} LOGIN PASSWORD '{PASSWORD}'")
        self.sql(f"ALTER DATABASE {self.name} OWNER TO {self.role}")
        self.url = self.cluster.url_of(self.name).replace(f"//{self.cluster.user}@", f"//{self.role}@")

    def sql(self, statement: str) -> None:
        self.cluster.psql(self.name, statement)

    def disconnect(self) -> None:
        """End all of afeed's connections, as an administrator does."""
        self.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{self.role}'")

    @contextmanager
    def _session(self, *statements: str) -> Iterator[None]:
        """Another program's connection, in one transaction that began with ``statements``."""
        address = self.cluster.url_of(self.name).replace("+psycopg", "")
        with psycopg.connect(address) as connection:
            for statement in statements:
                connection.execute(statement.encode())
            yield
            connection.rollback()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        self.cluster.stop()
        yield
        self.cluster.start()

    @contextmanager
    def killed(self) -> Iterator[None]:
        for _ in range(3):
            self.cluster.kill()
            self.cluster.start()
            time.sleep(0.5)
        yield

    @contextmanager
    def terminated(self) -> Iterator[None]:
        for _ in range(10):
            self.disconnect()
            time.sleep(0.1)
        yield

    @contextmanager
    def full(self) -> Iterator[None]:
        """No connection is left for afeed."""
        self.sql(f"ALTER ROLE {self.role} CONNECTION LIMIT 0")
        self.disconnect()
        yield
        self.sql(f"ALTER ROLE {self.role} CONNECTION LIMIT -1")

    @contextmanager
    def crowded(self) -> Iterator[None]:
        """Others have taken every connection that the server grants."""
        address = self.cluster.url_of(self.name).replace("+psycopg", "")
        with ExitStack() as others, closing(psycopg.connect(address, autocommit=True)) as keeper:
            try:
                while True:
                    others.enter_context(closing(psycopg.connect(address)))
            except psycopg.OperationalError:
                pass
            keeper.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (self.role,)
            )
            # What that has freed is taken as well: an ordinary user gets none of those for super-users.
            yield

    @contextmanager
    def read_only(self) -> Iterator[None]:
        self.sql(f"ALTER DATABASE {self.name} SET default_transaction_read_only = on")
        self.disconnect()
        yield
        self.cluster.psql("postgres", f"ALTER DATABASE {self.name} RESET default_transaction_read_only")

    @contextmanager
    def password_changed(self) -> Iterator[None]:
        self.sql(f"ALTER ROLE {self.role} PASSWORD 'another'")
        self.disconnect()
        yield
        self.sql(f"ALTER ROLE {self.role} PASSWORD '{PASSWORD}'")

    @contextmanager
    def locked(self) -> Iterator[None]:
        with self._session("LOCK TABLE changes IN ACCESS EXCLUSIVE MODE"):
            yield

    @contextmanager
    def migrating(self) -> Iterator[None]:
        with self._session(f"SELECT pg_advisory_xact_lock({LOCK_KEY})"):
            yield

    def faults(self) -> list[Fault]:
        return [
            Fault("PostgreSQL stopped", self.stopped, REFUSED, short_s=15.0, long_s=600.0),
            Fault("PostgreSQL killed", self.killed, None),
            Fault("its connections ended", self.terminated, None),
            Fault("no connection granted", self.full, ("too many connections",)),
            Fault("all connections taken", self.crowded, ("connection", "slots", "too many clients")),
            Fault("PostgreSQL frozen", self.cluster.frozen, ("did not answer", "timeout", "no answer")),
            Fault("database read-only", self.read_only, ("read-only",)),
            Fault("password changed", self.password_changed, ("password",)),
            Fault("table locked", self.locked, ("lock timeout", "did not answer", "statement timeout")),
        ]

    def node(self) -> AfeedServer:
        server = AfeedServer(
            archive=self.url,
            store='archive_password_env = "AFEED_TEST_PASSWORD"',
            env={"AFEED_TEST_PASSWORD": PASSWORD},
        )
        # Where the tests look; what afeed was told stands in its configuration.
        server.archive = self.cluster.url_of(self.name)
        return server


def postgresql_row(long: bool, seed: int) -> Row:
    """All that may happen to PostgreSQL while afeed runs, in an order of chance."""
    with ExitStack() as stack:
        archive = _Archive()
        stack.callback(archive.cluster.close)
        server = archive.node()
        stack.callback(server.close)
        server.start()
        run = Run(server, stack.enter_context(Witnesses(server, RATE)), long)
        faults = archive.faults()
        Random(seed).shuffle(faults)
        for fault in faults:
            run.endure(fault)
        row = run.row("PostgreSQL misbehaves", seed)
        if PASSWORD in server.output():
            row = row._replace(remark=f"{row.remark}; the password is in the log")
        return row


def start_row(long: bool, seed: int) -> Row:
    """PostgreSQL is away, or another program migrates, when afeed starts."""
    with ExitStack() as stack:
        archive = _Archive()
        stack.callback(archive.cluster.close)
        server = archive.node()
        stack.callback(server.close)
        archive.cluster.stop()
        server.start()
        run = Run(server, stack.enter_context(Witnesses(server, RATE)), long)

        @contextmanager
        def coming() -> Iterator[None]:
            yield
            archive.cluster.start()

        @contextmanager
        def migrating() -> Iterator[None]:
            server.stop()
            with archive.migrating():
                server.start()
                yield

        run.endure(Fault("PostgreSQL away at start", coming, REFUSED))
        run.endure(Fault("migrated by another at start", migrating, ("another program",)))
        return run.row("PostgreSQL away at start", seed)


def sqlite_row(long: bool, seed: int) -> Row:
    """Another program has the SQLite archive locked."""
    with ExitStack() as stack:
        server = AfeedServer()
        stack.callback(server.close)
        server.start()
        run = Run(server, stack.enter_context(Witnesses(server, RATE)), long)
        path = server.directory / "var" / "archive.sqlite3"
        wait_until(path.exists, "the archive")

        @contextmanager
        def locked() -> Iterator[None]:
            with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as other:
                other.execute("BEGIN EXCLUSIVE")
                yield
                other.execute("ROLLBACK")

        for _ in range(2):
            run.endure(Fault("SQLite locked", locked, ("locked",)))
        return run.row("SQLite locked by another", seed)


@scenario("sql", "PostgreSQL stopped, killed, frozen, full, locked, read-only; SQLite locked: under load")
def sql(long: bool, seed: int) -> list[Row]:
    return [postgresql_row(long, seed), start_row(long, seed), sqlite_row(long, seed)]
