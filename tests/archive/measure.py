"""How fast the archive is: ``python -m tests.archive.measure [CHANGES]``, SQLite and a private PostgreSQL."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater, react

from afeed.archive.store import SqlArchive
from afeed.archive.strainer import Strainer
from afeed.core.draft import Posted
from afeed.livelog.embedded import EmbeddedLog
from tests.fakes import an_item
from tests.servers.postgresql import PostgreSQL

EVENT = "conf"


def a_draft(number: int) -> Posted:
    """A post of a usual size: a change of some 700 bytes."""
    item = an_item(number, f"Post {number} about the talk in room 2, with a few words more than needed. " * 2)
    return Posted(msgspec.structs.replace(item, url=f"https://example.org/ann/status/{number}"), "1")


async def strain(reactor: Any, log: EmbeddedLog, archive: SqlArchive, count: int) -> float:
    """Seconds from an empty archive to ``count`` changes in it, in batches of 500."""
    done: Deferred[None] = Deferred()

    def on_copied(event: str, seq: int) -> None:
        if seq >= count and not done.called:
            done.callback(None)

    strainer = Strainer(log, archive, [EVENT], reactor, Random(1), on_copied=on_copied)
    began = time.perf_counter()
    running = Deferred.fromCoroutine(strainer.run())
    running.addErrback(lambda failure: failure.trap(CancelledError))
    await done
    seconds = time.perf_counter() - began
    running.cancel()
    return seconds


async def page_ms(archive: SqlArchive, before: int | None) -> tuple[float, float]:
    """Median and 99th percentile of a page of 50 items, in milliseconds."""
    times = []
    for _ in range(500):
        began = time.perf_counter()
        await archive.items(EVENT, 50, before)
        times.append((time.perf_counter() - began) * 1000)
    times.sort()
    return times[250], times[495]


async def main(reactor: Any, count_text: str = "100000") -> None:
    count = int(count_text)
    server = PostgreSQL()
    server.start()
    try:
        with tempfile.TemporaryDirectory() as directory:
            log = EmbeddedLog(
                Path(directory), reactor, time.time, Random(1), window=count, max_log_bytes=1_000_000_000
            )
            await log.start([EVENT], [])
            for first in range(1, count + 1, 1000):
                await log.append(EVENT, None, [a_draft(n) for n in range(first, min(first + 1000, count + 1))])
            print(f"{'archive':12} {'changes/s':>10}  page of 50, ms: newest p50/p99, in the middle p50/p99")
            kinds: dict[str, Callable[[], str]] = {
                "sqlite": lambda: f"sqlite:///{directory}/archive.sqlite3",
                "postgresql": server.create_database,
            }
            for kind, make_url in kinds.items():
                archive = SqlArchive(make_url(), reactor, time.time)
                seconds = await strain(reactor, log, archive, count)
                await deferLater(reactor, 0.5)
                newest, middle = await page_ms(archive, None), await page_ms(archive, count // 2)
                print(
                    f"{kind:12} {count / seconds:10,.0f}  {newest[0]:.2f} / {newest[1]:.2f}, "
                    f"{middle[0]:.2f} / {middle[1]:.2f}"
                )
                await archive.stop()
            await log.stop()
    finally:
        server.close()


if __name__ == "__main__":
    react(main, sys.argv[1:])
