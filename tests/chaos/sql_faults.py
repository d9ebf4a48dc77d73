"""Everything that can happen to the archive's database, under load: the feed does not notice, health tells of
it, and afterwards log and archive agree, change by change."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from random import Random
from typing import NamedTuple

import psycopg

from afeed.archive.schema import LOCK_KEY
from tests.chaos.kills import Witnesses
from tests.chaos.promises import DELIVERY_S, HEALTH_S, within
from tests.chaos.table import Row, scenario
from tests.chaos.watch import Sight, Watch, complaint, unsaid
from tests.servers.afeed import AfeedServer
from tests.servers.postgresql import PostgreSQL
from tests.servers.process import wait_until

RATE = 100.0

#: What health says of the archive and of who fills it.
CHECKS = ("archive", "strainer")

#: What is said of a server that is not there.
REFUSED = ("refused", "connection", "server closed", "terminat", "did not answer")
#: What is said of one that does not answer.
HANGING = ("did not answer", "timeout")
#: What the log says of every outage: what afeed does about it, and that it is over.
AWAY = ("Nothing is archived", "the live log keeps everything", "follows the live log again")
PASSWORD = "correct-horse-battery"


class Fault(NamedTuple):
    """``inject`` breaks something for as long as its block lasts; ``seen`` are words of a health check of which
    one has to be told, None where the fault is over before anybody need be; ``logs`` is what the process has to
    say meanwhile and at the end: what happened, and what helps."""

    name: str
    inject: Callable[[], AbstractContextManager[object]]
    seen: tuple[str, ...] | None
    logs: tuple[str, ...] = ()
    #: How long it lasts at least, in seconds, in the short form and in the long one.
    short_s: float = 2.0
    long_s: float = 60.0


def well(sight: Sight) -> bool:
    """Whether the archive is there and is followed."""
    return all(sight.state(name) == "ok" for name in CHECKS)


def told(sight: Sight, words: tuple[str, ...]) -> bool:
    """Whether a check is not ok and says one of ``words``."""
    details = [sight.detail(name).lower() for name in CHECKS if sight.state(name) != "ok"]
    return any(word in detail for word in words for detail in details)


class Run:
    """One node under load, to which one fault after the other happens; ``broken`` are the promises that were
    not kept."""

    def __init__(self, server: AfeedServer, stack: ExitStack, long: bool) -> None:
        self.server = server
        self.broken: list[str] = []
        self.faults = 0
        self.slowest = self.red = self.green = 0.0
        self._witnesses = stack.enter_context(Witnesses(server, RATE))
        self.watch = stack.enter_context(Watch(server, long, archive=False))
        self._long = long
        self._health_s = within(HEALTH_S, long)
        self._delivery_s = within(DELIVERY_S, long)
        self._probes = 0

    def endure(self, fault: Fault) -> None:
        """Let ``fault`` happen, and see what is promised."""
        self.faults += 1
        said = len(self.server.output())
        began = time.monotonic()
        with fault.inject():
            if fault.seen is not None:
                words = fault.seen
                red = self._sight(fault, began, lambda sight: told(sight, words), "did not name it")
                self.red = max(self.red, red)
            self.probe(fault)
            while time.monotonic() < began + (fault.long_s if self._long else fault.short_s):
                time.sleep(0.5)
                self.probe(fault)
        green = self._sight(fault, time.monotonic(), well, "did not become well again")
        self.green = max(self.green, green)
        self.broken += [f"{fault.name}: {one}" for one in unsaid(self.server, fault.logs, said)]

    def _sight(self, fault: Fault, since: float, seen: Callable[[Sight], bool], complaint: str) -> float:
        """How long after ``since`` health was ``seen`` to be as it should."""
        found = self.watch.first(since, seen, self._health_s)
        if found is not None:
            return found.at - since
        last = {name: self.watch.sights[-1].checks[name] for name in CHECKS}
        self.broken.append(f"{fault.name}: health {complaint} within {self._health_s:g} s ({last})")
        return self._health_s

    def probe(self, fault: Fault) -> None:
        """Publish one item and see when all have it."""
        began = time.monotonic()
        self._probes += 1
        [result] = self.server.push({"id": f"probe-{self._probes}", "text": "probe"})
        seq = result["seq"]
        wait_until(lambda: all(one.seq >= seq for one in self._witnesses.followers), "a delivery", 60)
        delay = time.monotonic() - began
        self.slowest = max(self.slowest, delay)
        if delay > self._delivery_s:
            self.broken.append(f"{fault.name}: an item took {delay:.1f} s to its viewers")

    def row(self, name: str, seed: int) -> Row:
        """Judge; the server goes on running."""
        verdict = self._witnesses.verdict()
        row = verdict.row(name, seed, self.faults)
        broken = [*self.broken, *self.watch.trouble[:3], *complaint(self.server.output())]
        return row._replace(
            remark="; ".join(filter(None, [row.remark, *broken])),
            red_s=self.red,
            green_s=self.green,
            note=f"an item took {self.slowest:.2f} s at most, an answer {self.watch.slowest:.2f} s",
        )


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
            Fault("PostgreSQL stopped", self.stopped, REFUSED, (*AWAY, "start it, or"), 15.0, 600.0),
            Fault("PostgreSQL killed", self.killed, None, (*AWAY, "its own log says why")),
            Fault("its connections ended", self.terminated, None, (*AWAY, "somebody ended")),
            Fault(
                "no connection granted", self.full, ("too many connections",), (*AWAY, "its CONNECTION LIMIT")
            ),
            Fault("all connections taken", self.crowded, ("slots", "clients"), (*AWAY, "max_connections")),
            # Others who write may wait first, for some seconds each; the strainer speaks in its turn.
            Fault(
                "PostgreSQL frozen", self.cluster.frozen, HANGING, (*AWAY, "see whether it hangs"), short_s=15.0
            ),
            Fault("database read-only", self.read_only, ("read-only",), (*AWAY, "is it a standby")),
            Fault("password changed", self.password_changed, ("password",), (*AWAY, "the new one")),
            Fault("table locked", self.locked, ("lock timeout", *HANGING), (*AWAY, "pg_locks")),
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
        run = Run(server, stack, long)
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
        run = Run(server, stack, long)

        @contextmanager
        def coming() -> Iterator[None]:
            yield
            archive.cluster.start()

        @contextmanager
        def migrating() -> Iterator[None]:
            with archive.migrating():
                with run.watch.looks_away():
                    server.stop()
                    server.start()
                yield

        run.endure(Fault("PostgreSQL away at start", coming, REFUSED, AWAY[-1:]))
        waited_for = ("is not there yet", "another program", "The archive can be used")
        run.endure(Fault("migrated by another at start", migrating, ("another program",), waited_for))
        return run.row("PostgreSQL away at start", seed)


def sqlite_row(long: bool, seed: int) -> Row:
    """Another program has the SQLite archive locked."""
    with ExitStack() as stack:
        server = AfeedServer()
        stack.callback(server.close)
        server.start()
        run = Run(server, stack, long)
        path = server.directory / "var" / "archive.sqlite3"
        wait_until(path.exists, "the archive")

        @contextmanager
        def locked() -> Iterator[None]:
            with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as other:
                other.execute("BEGIN EXCLUSIVE")
                yield
                other.execute("ROLLBACK")

        for _ in range(2):
            run.endure(Fault("SQLite locked", locked, ("locked",), (*AWAY, "let it come to its end")))
        return run.row("SQLite locked by another", seed)


@scenario("sql", "PostgreSQL stopped, killed, frozen, full, locked, read-only; SQLite locked: under load")
def sql(long: bool, seed: int) -> list[Row]:
    return [postgresql_row(long, seed), start_row(long, seed), sqlite_row(long, seed)]
