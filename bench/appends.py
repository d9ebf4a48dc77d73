"""Whether recording an item costs more when there are many already.

The logs are filled and measured by a process of their own, which has nothing else to do:
``python -m bench.appends ROUNDS SIZE=STORE...``, where a store is a directory or the URL of a Redis.  It says
``begin`` and ``end`` around what is measured and goes on when it gets a line.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from twisted.internet.defer import Deferred

from afeed.core.draft import Posted
from afeed.core.item import Author, Item
from afeed.interfaces import ILiveLog
from afeed.livelog.embedded import EmbeddedLog
from afeed.livelog.redis import RedisLog
from bench.fan.machine import cpu_seconds
from bench.plan import Plan
from bench.table import Table, spread
from tests.servers.process import wait_until
from tests.servers.redis import Redis

SIZES = (1_000, 1_000_000)
#: How many are recorded one by one at each size, of which the first only warm up; how many at once to fill.
COUNTED, WARMING, PORTION = 2_000, 200, 20_000
EVENT = "bench"

PROJECT = Path(__file__).resolve().parents[1]


def _draft(number: int) -> Posted:
    text = f"{number} " + "x" * 120
    author = Author(name="Ann")
    created_at = "2026-11-21T17:00:05Z"
    item = Item(
        id=f"push:{number:019}",
        source="push",
        author=author,
        text=text,
        html=f"<p>{text}</p>",
        created_at=created_at,
    )
    return Posted(item, "1")


class _Filled:
    """A log with ``count`` items."""

    def __init__(self, log: ILiveLog) -> None:
        self.log = log
        self.count = 0

    def drafts(self, count: int) -> list[Posted]:
        """The next ones, in need of being recorded."""
        self.count += count
        return [_draft(number) for number in range(self.count - count, self.count)]

    async def fill(self, size: int) -> None:
        while self.count < size:
            await self.log.append(EVENT, None, self.drafts(min(PORTION, size - self.count)))

    async def cost(self) -> float:
        """CPU seconds of this process for an append, alone."""
        for draft in self.drafts(WARMING):
            await self.log.append(EVENT, None, [draft])
        drafts = self.drafts(COUNTED)
        _tell_and_wait("begin")
        used = _used()
        for draft in drafts:
            await self.log.append(EVENT, None, [draft])
        cost = (_used() - used) / COUNTED
        _tell_and_wait("end")
        return cost


async def _costs(logs: Mapping[int, ILiveLog], rounds: int) -> list[float]:
    """The cost of an append in each round at each size."""
    for log in logs.values():
        await log.start([EVENT], [])
    try:
        filled = [_Filled(log) for log in logs.values()]
        for log, size in zip(filled, logs, strict=True):
            await log.fill(size)
        return [await log.cost() for _ in range(rounds) for log in filled]
    finally:
        for log in logs.values():
            await log.stop()


def _used() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _tell_and_wait(word: str) -> None:
    print(word, flush=True)
    sys.stdin.readline()


def _open(store: str, reactor: Any) -> ILiveLog:
    limits = {"window": 10_000, "max_log_bytes": 10**12}
    if store.startswith("redis:"):
        return RedisLog(store, reactor, time.time, Random(1), **limits)
    return EmbeddedLog(Path(store), reactor, time.time, Random(1), **limits)


def _main(rounds: str, *sizes: str) -> None:
    from twisted.internet import reactor

    failures: list[Any] = []
    pairs = [size.partition("=") for size in sizes]
    logs = {int(size): _open(store, reactor) for size, _, store in pairs}
    done = Deferred.fromCoroutine(_costs(logs, int(rounds)))
    done.addCallback(lambda costs: print(json.dumps(costs), flush=True))
    done.addErrback(failures.append).addBoth(lambda _: reactor.stop())
    reactor.run()
    if failures:
        sys.exit(failures[0].getTraceback())


def _run(stores: Mapping[int, str], rounds: int, redis: Redis | None) -> list[list[float]]:
    """Microseconds for an append in each round, at each size; those of Redis included."""
    sizes = [f"{size}={store}" for size, store in stores.items()]
    command = [sys.executable, "-m", "bench.appends", str(rounds), *sizes]
    ours: list[float] = []
    theirs: list[float] = []
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=PROJECT, text=True, **pipes) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("["):
                    ours = json.loads(line)
                    break
                if redis is not None:
                    if line == "begin\n":
                        _wait_for_rewrite(redis)
                    theirs.append(cpu_seconds([redis.pid]))
                process.stdin.write("go\n")
                process.stdin.flush()
            assert process.wait(120) == 0, f"filling {', '.join(stores.values())} failed"
        finally:
            process.kill()
    beside = [(end - begin) / COUNTED for begin, end in zip(theirs[::2], theirs[1::2], strict=True)]
    costs = [1e6 * (mine + other) for mine, other in zip(ours, beside or [0.0] * len(ours), strict=True)]
    return [costs[at : at + len(stores)] for at in range(0, len(costs), len(stores))]


def _wait_for_rewrite(redis: Redis) -> None:
    """A Redis that writes its append-only file anew does it beside its work."""
    wait_until(
        lambda: "aof_rewrite_in_progress:0" in redis.cli("INFO", "persistence"),
        "Redis to end its rewriting",
        120,
    )


def _embedded(sizes: Sequence[int], rounds: int) -> list[list[float]]:
    with tempfile.TemporaryDirectory(prefix="afeed-bench-") as directory:
        places = {size: Path(directory, str(size)) for size in sizes}
        for place in places.values():
            place.mkdir()
        return _run({size: str(place) for size, place in places.items()}, rounds, None)


def _on_redis(sizes: Sequence[int], rounds: int) -> list[list[float]]:
    redis = Redis()
    try:
        redis.start()
        return _run({size: redis.url_of(number) for number, size in enumerate(sizes)}, rounds, redis)
    finally:
        redis.close()


def appends(plan: Plan) -> Table:
    """CPU for each append, to a short and to a long log."""
    small, large = SIZES[0], SIZES[1] // (10 if plan.short else 1)
    rows = []
    figures = {}
    for name, run in plan.among({"embedded": _embedded, "redis": _on_redis}).items():
        found = run((small, large), plan.rounds)
        few, many = zip(*found, strict=True)
        factors = [b / a for a, b in found]
        rows.append([name, spread(few, 0), spread(many, 0), spread(factors, 2)])
        figures[name] = {"few_us": median(few), "many_us": median(many), "factor": median(factors)}
    about = (
        f"CPU us for each of {COUNTED:,} items that are recorded one by one in a log that has so many already, "
        "none of them trimmed; the disk is waited for each time. With Redis its own time is included. "
        + plan.said()
    )
    columns = ("store", f"at {small:,} items", f"at {large:,} items", "growth")
    return Table("An item more", about, columns, rows, figures)


if __name__ == "__main__":
    _main(*sys.argv[1:])
