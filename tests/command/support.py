"""What the tests of ``afeed`` commands share: running them, and stores of every kind to run them on."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from twisted.trial.unittest import SynchronousTestCase

from tests.servers import postgresql, redis
from tests.servers.afeed import PROJECT, SLUG, AfeedServer

_databases = iter(range(16, 64))


class Done(NamedTuple):
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def surroundings(**more: str) -> dict[str, str]:
    """The environment of a command: this source tree, and no secret but those in ``more``."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), *sys.path]), **more}


def afeed(*arguments: str | Path, seconds: float = 240, **more: str) -> Done:
    """Run ``afeed`` with ``arguments``."""
    done = subprocess.run(
        [sys.executable, "-m", "afeed.command", *map(str, arguments)],
        cwd="/",
        env=surroundings(**more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    return Done(done.returncode, done.stdout, done.stderr)


class CommandTestCase(SynchronousTestCase):
    """Makes nodes with stores of their own, and looks into those past afeed."""

    timeout = 300

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(parents=True)
        self.out = self.directory / "backup.jsonl.gz"

    def node(self, kind: str) -> AfeedServer:
        """A node that was not started: ``kind`` is ``files`` (embedded log, SQLite) or ``servers`` (Redis,
        PostgreSQL)."""
        return self.stocked(kind)

    def stocked(self, kind: str, **options: Any) -> AfeedServer:
        """The same with further ``options`` of :class:`AfeedServer`."""
        if kind == "servers":
            options["live_log"] = redis.shared().url_of(next(_databases))
            options["archive"] = postgresql.shared().create_database()
        server = AfeedServer(**options)
        self.addCleanup(server.close)
        return server

    def succeed(self, *arguments: str | Path, **more: str) -> Done:
        done = afeed(*arguments, **more)
        self.assertEqual(done.status, 0, done)
        return done

    def refuse(self, *arguments: str | Path, status: int = 1, **more: str) -> str:
        """What a command says that does not do it."""
        done = afeed(*arguments, **more)
        self.assertEqual((done.status, done.out), (status, ""), done)
        self.assertNotIn("Traceback", done.err)
        return done.err

    def backup(self, server: AfeedServer, *options: str) -> Any:
        return self.succeed("backup", "--config", server.config_path, "--json", *options, self.out).json

    def restore(self, server: AfeedServer) -> Any:
        return self.succeed("restore", "--config", server.config_path, "--json", self.out).json

    def lines(self) -> list[Any]:
        """The backup, line for line, by other means than afeed's."""
        text = subprocess.run(["gzip", "-dc", str(self.out)], capture_output=True, check=True).stdout
        return [json.loads(line) for line in text.splitlines()]


def read_log_file(server: AfeedServer, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Ask the file of an embedded log."""
    with closing(sqlite3.connect(server.directory / "var" / "live.sqlite3")) as connection:
        found = connection.execute(sql, values).fetchall()
        connection.commit()
        return found


def held_back(server: AfeedServer, what: str) -> list[list[Any]]:
    """Let :mod:`tests.command.held_back` do ``what`` in the log; the node must not run."""
    where = server.live_log if "://" in server.live_log else str(server.directory / "var")
    done = subprocess.run(
        [sys.executable, "-m", "tests.command.held_back", where, what],
        cwd=PROJECT,
        env=surroundings(),
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    found: list[list[Any]] = json.loads(done.stdout)
    return found


def set_position(server: AfeedServer, source: str, value: str) -> None:
    """As if ``source`` had read so far upstream; the node must not run."""
    if server.live_log.startswith("redis:"):
        database = int(server.live_log.rpartition("/")[2])
        redis.shared().cli("hset", f"afeed:{{{SLUG}}}:positions", source, value, db=database)
        return
    read_log_file(server, "INSERT INTO position SELECT id, ?, ? FROM event WHERE slug=?", source, value, SLUG)


def get_position(server: AfeedServer, source: str) -> str | None:
    """How far ``source`` has read upstream, as far as the log knows."""
    if server.live_log.startswith("redis:"):
        database = int(server.live_log.rpartition("/")[2])
        found = redis.shared().cli("hget", f"afeed:{{{SLUG}}}:positions", source, db=database)
        return found or None
    rows = read_log_file(
        server,
        "SELECT value FROM position JOIN event ON event = id WHERE slug=? AND source=?",
        SLUG,
        source,
    )
    return rows[0][0] if rows else None
