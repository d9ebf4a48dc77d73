"""How long filling an empty Redis from an archive takes: ``python -m tests.livelog.measure_refill [CHANGES]``.

600-byte items, a SQLite archive and a PostgreSQL one, Redis with an append-only file synced every second.
Seconds from the start of a node until appends may go, and the processor seconds of afeed and of Redis for it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.task import react

from afeed.archive.store import SqlArchive
from afeed.interfaces import Lineage
from afeed.livelog.redis import RedisLog
from tests.livelog.measure import PADDING
from tests.livelog.samples import posted
from tests.servers.postgresql import PostgreSQL
from tests.servers.redis import Redis

EVENT = "conf"
_LINEAGE = Lineage("old", ())
_BATCH = 1000


def _cpu_of(pid: int) -> float:
    """The processor seconds that a process has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        words = stat.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


async def fill(archive: SqlArchive, count: int) -> None:
    """Start ``archive`` and put changes 1 to ``count`` of :data:`EVENT` into it, each a post of its own."""
    await archive.start()
    for after in range(0, count, _BATCH):
        upto = min(count, after + _BATCH)
        changes = [posted(seq, text=PADDING) for seq in range(after + 1, upto + 1)]
        await archive.store(EVENT, _LINEAGE, after, changes)


async def main(reactor: Any, count_text: str = "100000") -> None:
    count = int(count_text)
    server, redis = PostgreSQL(), Redis()
    server.start()
    redis.start("--appendfsync", "everysec")
    print(f"{'archive':12} {'seconds':>8} {'cpu afeed':>10} {'cpu Redis':>10}   for {count} changes")
    try:
        with tempfile.TemporaryDirectory() as directory:
            kinds: dict[str, Callable[[], str]] = {
                "sqlite": lambda: f"sqlite:///{directory}/archive.sqlite3",
                "postgresql": server.create_database,
            }
            for kind, make_url in kinds.items():
                archive = SqlArchive(make_url(), reactor, time.time)
                await fill(archive, count)
                for _ in range(3):
                    redis.cli("FLUSHALL")
                    log = RedisLog(redis.url, reactor, time.time, Random(), window=10_000, max_log_bytes=10**9)
                    began, cpu, theirs = time.perf_counter(), time.process_time(), _cpu_of(redis.pid)
                    await log.start([EVENT], [archive])
                    if log.check().state == "failed" or (await log.head(EVENT)).seq != count:
                        raise AssertionError(log.check())
                    wall = time.perf_counter() - began
                    print(
                        f"{kind:12} {wall:8.2f} {time.process_time() - cpu:10.2f} "
                        f"{_cpu_of(redis.pid) - theirs:10.2f}",
                        flush=True,
                    )
                    await log.stop()
                await archive.stop()
    finally:
        redis.close()
        server.close()


if __name__ == "__main__":
    react(main, sys.argv[1:])
