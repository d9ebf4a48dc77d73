"""A private PostgreSQL cluster: its own directory, a free port, one super-user whom it trusts."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import MissingProgram, ServerProcess, free_port, program, wait_until

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # Tests kill the server, never the machine: what the kernel has is safe.
    "fsync": "off",
    "synchronous_commit": "on",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "40",
    "autovacuum": "off",
}


def _binary(name: str) -> str:
    """PostgreSQL's server programs; Debian keeps them out of PATH, the newest version wins."""
    versions = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"),
        key=lambda path: [int(part) if part.isdigit() else 0 for part in path.parts[4].split(".")],
    )
    return program(*(str(path) for path in reversed(versions)), name)


def _ordinary_user() -> str | None:
    """PostgreSQL refuses to run as root; None when this process is somebody else already."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise MissingProgram("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")


class PostgreSQL(ServerProcess):
    """A cluster that is initialised once and may be started, stopped and killed any number of times.

    ``url`` names its first database; :meth:`create_database` makes fresh ones.  ``settings`` stand for those
    with which tests are quick.
    """

    user = "afeed"

    def __init__(self, **settings: str) -> None:
        super().__init__("postgresql")
        self.port = free_port()
        self._settings = {**_SETTINGS, **settings}
        self._owner = _ordinary_user()
        self._data = self.directory / "data"
        self._databases = 0
        if self._owner is not None:
            shutil.chown(self.directory, self._owner)
        self._run(
            [
                _binary("initdb"),
                *("--pgdata", str(self._data)),
                *("--username", self.user),
                *("--auth", "trust"),
                *("--encoding", "UTF8"),
                *("--locale", "C"),
                "--no-sync",
            ]
        )

    @property
    def url(self) -> str:
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgresql+psycopg://{self.user}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Return when it takes connections."""
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        self.spawn(
            [
                _binary("postgres"),
                *("-D", str(self._data)),
                *("-p", str(self.port)),
                *("-k", str(self.directory)),
                *settings,
            ],
            user=self._owner,
        )
        wait_until(self._ready, f"PostgreSQL to start: {self.output()}")

    def stop(self, seconds: float = 40.0) -> int | None:
        """SIGINT is PostgreSQL's fast shutdown: SIGTERM would wait for the clients."""
        if self.running:
            self.signal(signal.SIGINT)
        return super().stop(seconds)

    def kill(self) -> None:
        """SIGKILL for the postmaster; its children notice and end."""
        super().kill()
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def require_password(self, role: str) -> None:
        """From the next start on ``role`` needs its password; everybody else is trusted as before."""
        access = self._data / "pg_hba.conf"
        rule = f"host all {role} 127.0.0.1/32 scram-sha-256\n"
        access.write_text(rule + access.read_text("utf-8"), "utf-8")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all of its processes, as a machine that hangs would."""
        pids = [self.pid]
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == self.pid:
                pids.append(int(status.parent.name))
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def create_database(self, *, encoding: str = "UTF8") -> str:
        """The URL of a new, empty database."""
        self._databases += 1
        name = f"test{self._databases}"
        self.psql("postgres", f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0")
        return self.url_of(name)

    def psql(self, database: str, sql: str) -> str:
        """What psql prints for ``sql``, unaligned and without headers."""
        address = ["-h", "127.0.0.1", "-p", str(self.port), "-U", self.user, "-d", database]
        return self._run([_binary("psql"), "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", *address, "-c", sql])

    def dump(self, database: str) -> str:
        """The whole database as pg_dump writes it."""
        address = ["-h", "127.0.0.1", "-p", str(self.port), "-U", self.user]
        return self._run([_binary("pg_dump"), *address, "--inserts", database])

    def _ready(self) -> bool:
        if not self.running:
            raise AssertionError(f"PostgreSQL did not start:\n{self.output()}")
        address = ["-h", "127.0.0.1", "-p", str(self.port), "-U", self.user]
        return subprocess.run([_binary("pg_isready"), "-q", *address], check=False).returncode == 0

    def _run(self, arguments: list[str]) -> str:
        done = subprocess.run(
            arguments, cwd=self.directory, user=self._owner, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout


_shared: list[PostgreSQL] = []


def shared() -> PostgreSQL:
    """One running cluster for all tests of this process, stopped at its end: make a database each."""
    if not _shared:
        server = PostgreSQL()
        atexit.register(server.close)
        server.start()
        _shared.append(server)
    return _shared[0]
