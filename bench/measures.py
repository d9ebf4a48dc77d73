"""What is measured, each as a function that returns rows of a table."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from bench.setup import cpu_seconds, fed_server, metric, resident_mb, wait_for
from bench.viewers import Viewers
from tests.servers.afeed import SLUG, AfeedServer
from tests.servers.postgresql import PostgreSQL
from tests.servers.process import wait_until
from tests.servers.redis import Redis

VIEWERS, RATE, SECONDS = 100, 50, 20
BURST = 30_000
MANY = 100_000
STARTS = 5

SQLITE = "sqlite:///var/archive.sqlite3"


class Table(NamedTuple):
    """One measurement: what was done, in a sentence, the names of the columns, and the rows."""

    title: str
    about: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@contextmanager
def stores() -> Iterator[list[tuple[str, str, str]]]:
    """The name, the live log and the archive of each combination, on private servers, all of them empty."""
    with ExitStack() as stack:
        redis, postgresql = Redis(), PostgreSQL()
        for server in (redis, postgresql):
            stack.callback(server.close)
            server.start()
        yield [
            ("embedded, SQLite", "embedded", SQLITE),
            ("Redis, SQLite", redis.url_of(0), SQLITE),
            ("embedded, PostgreSQL", "embedded", postgresql.create_database()),
            ("Redis, PostgreSQL", redis.url_of(1), postgresql.create_database()),
        ]


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that is at least as large as ``share`` of all."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def _latencies(server: AfeedServer, sent: dict[int, int], viewers: Viewers) -> list[float]:
    """Milliseconds from before a post's bytes were written until each viewer had it; every viewer must have
    every post."""
    wait_for(server, len(sent), archived=False)
    time.sleep(1)  # what is on its way to the last viewer
    found: list[float] = []
    for received in viewers.finish():
        missing = sent.keys() - received.keys()
        assert not missing, f"a viewer missed {len(missing)} of {len(sent)} posts"
        found.extend((received[id_] - at) / 1e6 for id_, at in sent.items())
    return found


def latency() -> Table:
    """From the bytes of X's stream to a viewer's socket."""
    rows = []
    with stores() as combinations:
        for name, live_log, archive in combinations[:2]:
            with fed_server(live_log, archive) as (server, feeder):
                viewers = Viewers(server.port, f"/{SLUG}/ws?render=html", VIEWERS)
                used = cpu_seconds(server)
                sent = feeder.steady(RATE, RATE * SECONDS)
                share = (cpu_seconds(server) - used) / SECONDS
                found = _latencies(server, sent, viewers)
            values = [quantile(found, share) for share in (0.5, 0.99, 1.0)]
            rows.append([name, *(f"{value:.1f}" for value in values), f"{100 * share:.0f} %"])
    about = (
        f"{RATE} posts a second for {SECONDS} s, {VIEWERS} WebSocket viewers with fragments: milliseconds from "
        "just before the simulator writes a post until a viewer has read it. Every viewer had every post."
    )
    return Table(
        "From stream bytes to viewer", about, ("store", "p50 ms", "p99 ms", "most ms", "server CPU"), rows
    )


def throughput() -> Table:
    """Sustained posts a second."""
    rows = []
    with stores() as combinations:
        for name, live_log, archive in combinations:
            with fed_server(live_log, archive) as (server, feeder):
                began = feeder.burst(BURST)
                durable = wait_for(server, BURST, archived=False)
                archived = wait_for(server, BURST, archived=True)
                assert metric(server, "afeed_dropped_total") == 0, "posts were dropped"
                used = cpu_seconds(server)
            rates = [BURST / ((at - began) / 1e9) for at in (durable, archived)]
            rows.append([name, *(f"{rate:,.0f}" for rate in rates), f"{1e6 * used / BURST:,.0f}"])
    about = (
        f"{BURST:,} posts at once from the simulator: posts a second until all were durable in the live log, "
        "and until all were in the archive as well; the server's CPU time for each post, its start included. "
        "X sends at most 250 posts a second. The embedded log and Redis (appendfsync always) wait for disk; "
        "PostgreSQL runs with fsync=off, as in the tests."
    )
    columns = ("store", "durable /s", "archived /s", "CPU us a post")
    return Table("Posts a second", about, columns, rows)


def starting() -> Table:
    """From the start of the process to the first page."""
    rows = []
    with fed_server() as (server, feeder):
        for name, items in (("an empty event", 0), (f"{BURST:,} items", BURST)):
            if items:
                feeder.wait_until_read()  # the server was only just started again
                feeder.burst(items)
                wait_for(server, items, archived=True)
            times = []
            for _ in range(STARTS):
                server.stop()
                began = time.monotonic()
                server.launch()
                wait_until(lambda: _page(server), "the first page")
                times.append(time.monotonic() - began)
            rows.append([name, f"{statistics.median(times):.2f}", f"{max(times):.2f}"])
    about = f"Seconds from starting twistd until the event's page was answered, {STARTS} times."
    return Table("Start to first answer", about, ("with", "median s", "most s"), rows)


def _page(server: AfeedServer) -> bool:
    try:
        return server.request(f"/{SLUG}")[0] == 200
    except OSError:
        return False


def memory() -> Table:
    """Resident memory, idle and as items come in."""
    rows = []
    with fed_server() as (server, feeder):
        time.sleep(2)
        rows.append(["0", f"{resident_mb(server):.0f}"])
        for count in range(MANY // 5, MANY + 1, MANY // 5):
            feeder.burst(MANY // 5)
            wait_for(server, count, archived=True)
            rows.append([f"{count:,}", f"{resident_mb(server):.0f}"])
    about = "Megabytes of the server's resident memory, with the default window of 10,000 changes in memory."
    return Table("Memory", about, ("items so far", "MB"), rows)


MEASURES: dict[str, Callable[[], Table]] = {
    "latency": latency,
    "throughput": throughput,
    "starting": starting,
    "memory": memory,
}
