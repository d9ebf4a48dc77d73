"""What an archive holds, read past afeed."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import Any, LiteralString

import psycopg

from tests.servers.afeed import AfeedServer


def archived(server: AfeedServer) -> list[dict[str, Any]]:
    """The changes of the event in the archive of ``server``, as a client would be given them, in the order of
    their seq."""
    rows = _query(server, "SELECT seq, stored FROM changes WHERE event = {} ORDER BY seq")
    return [{"seq": seq, **json.loads(stored)} for seq, stored in rows]


def archived_gaps(server: AfeedServer) -> list[tuple[Any, ...]]:
    """The archive's gap ledger of the event, as (source, from, to, state, fetched, reason), in order."""
    columns = "source, from_at, to_at, state, fetched, reason"
    return _query(server, f"SELECT {columns} FROM source_gaps WHERE event = {{}} ORDER BY from_at, source")


def archived_count(server: AfeedServer) -> int:
    """How many changes of the event the archive holds; 0 while there is none."""
    try:
        ((count,),) = _query(server, "SELECT count(*) FROM changes WHERE event = {}")
    except (sqlite3.OperationalError, psycopg.Error):
        return 0
    return int(count)


def execute(server: AfeedServer, *statements: LiteralString) -> None:
    """Change the archive of ``server``, which must not be running."""
    path = server.archive.removeprefix("sqlite:///")
    if path != server.archive:
        with closing(sqlite3.connect(server.directory / path)) as writer, writer:
            for statement in statements:
                writer.execute(statement)
        return
    with psycopg.connect(server.archive.replace("+psycopg", "", 1)) as connection:
        for statement in statements:
            connection.execute(statement)


def _query(server: AfeedServer, sql: LiteralString) -> list[tuple[Any, ...]]:
    path = server.archive.removeprefix("sqlite:///")
    if path != server.archive:
        if server.within:
            return _query_within(server, path, sql)
        file = f"file:{server.directory / path}?mode=ro"
        with closing(sqlite3.connect(file, uri=True, timeout=20)) as reader:
            return reader.execute(sql.format("?"), (server.slug,)).fetchall()
    with psycopg.connect(server.archive.replace("+psycopg", "", 1)) as connection:
        return connection.execute(sql.format("%s"), (server.slug,)).fetchall()


_READER = """
import json, sqlite3, sys
path, sql, slug = sys.argv[1:]
reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)
rows = [(seq, *(body.decode() for body in more)) for seq, *more in reader.execute(sql, (slug,))]
print(json.dumps(rows))
"""


def _query_within(server: AfeedServer, path: str, sql: LiteralString) -> list[tuple[Any, ...]]:
    reader = [*server.within, sys.executable, "-c", _READER, path, sql.format("?"), server.slug]
    done = subprocess.run(reader, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise sqlite3.OperationalError(done.stderr.strip().rpartition("\n")[2])
    return [tuple(row) for row in json.loads(done.stdout)]
