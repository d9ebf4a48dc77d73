"""How fast the live logs are, and what deduplication costs: ``python -m tests.livelog.measure``.

600-byte items; one caller at a time, a hundred callers at a time, and batches of a hundred.  Redis runs with an
append-only file synced every second, as its own default is.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from afeed.core.draft import Posted
from afeed.core.item import encode_item
from afeed.livelog.embedded import FILE, EmbeddedLog
from afeed.livelog.redis import RedisLog
from tests.livelog.samples import MemoryWitness, post, posted
from tests.servers.redis import Redis

PADDING = "x" * ((600 - len(encode_item(post(1000000, text="").item))) // 2)


def _item(number: int) -> Posted:
    return post(number, text=PADDING)


async def _rate(what: str, count: int, work: Callable[[], Awaitable[None]]) -> None:
    began = time.perf_counter()
    await work()
    print(f"  {what:<40} {count / (time.perf_counter() - began):10,.0f} items/s", flush=True)


async def _measure(log: Any) -> None:
    await log.start(["e"], [])
    numbers = iter(range(10**6, 10**9))

    async def singly() -> None:
        for _ in range(2000):
            await log.append("e", None, [_item(next(numbers))])

    async def together() -> None:
        for _ in range(100):
            await gatherResults([log.append("e", None, [_item(next(numbers))]) for _ in range(100)])

    async def batches() -> None:
        for _ in range(300):
            await log.append("e", None, [_item(next(numbers)) for _ in range(100)])

    await _rate("one append at a time", 2000, singly)
    await _rate("100 callers, one item each", 10_000, together)
    await _rate("batches of 100", 30_000, batches)


async def _embedded() -> None:
    directory = Path(tempfile.mkdtemp(prefix="afeed-measure-"))
    log = EmbeddedLog(directory, reactor, time.time, Random(), window=10_000, max_log_bytes=10**9)
    print("embedded:")
    await _measure(log)
    await log.trim("e", 10**9)
    await log.stop()
    with sqlite3.connect(directory / FILE) as connection:
        connection.execute("VACUUM")
        (items,) = connection.execute("SELECT count(*) FROM item").fetchone()
        before = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute("DELETE FROM item")
        connection.commit()
        connection.execute("VACUUM")
        after = connection.execute("PRAGMA page_count").fetchone()[0]
    print(f"  keys, packed: {(before - after) * 4096 / items:.0f} bytes per item ({items} items)")
    connection.close()


async def _redis() -> None:
    server = Redis()
    try:
        server.start("--appendfsync", "everysec")
        log = RedisLog(server.url, reactor, time.time, Random(), window=10_000, max_log_bytes=10**9)
        print("redis:")
        await _measure(log)
        (key,) = server.cli("KEYS", "*items").split()
        size, items = int(server.cli("MEMORY", "USAGE", key, "SAMPLES", "0")), int(server.cli("HLEN", key))
        print(f"  keys: {size / items:.0f} bytes per item ({items} items)")
        await log.stop()
        server.restart("--appendfsync", "everysec", lose=True)
        archive = MemoryWitness("old", [posted(n) for n in range(1, 100_001)])
        log = RedisLog(server.url, reactor, time.time, Random(), window=10_000, max_log_bytes=10**9)
        began = time.perf_counter()
        await log.start(["e"], [archive])
        print(f"  refilled with 100,000 items in {time.perf_counter() - began:.1f} s")
        await log.stop()
    finally:
        server.close()


async def _main() -> None:
    await _embedded()
    await _redis()


if __name__ == "__main__":
    failures: list[Any] = []
    Deferred.fromCoroutine(_main()).addErrback(failures.append).addBoth(lambda _: reactor.stop())
    reactor.run()
    if failures:
        sys.exit(failures[0].getTraceback())
