"""What is measured, each as a function that returns rows of a table."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import NamedTuple

import attrs

from bench.bare import bare_cpu_us
from bench.fan.contenders import Target
from bench.fan.load import loaded
from bench.plan import Plan, in_turn
from bench.setup import cpu_seconds, fed_server, metric, resident_mb, wait_for
from bench.table import Table, quantile, spread
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


#: By the names that figures and the command line have for them.
STORES = {
    "embedded": "embedded, SQLite",
    "redis": "Redis, SQLite",
    "embedded-postgresql": "embedded, PostgreSQL",
    "redis-postgresql": "Redis, PostgreSQL",
}


@contextmanager
def stores(name: str) -> Iterator[tuple[str, str]]:
    """The live log and the archive of one of :data:`STORES`, on private servers, all of them empty."""
    live_log, archive = "embedded", SQLITE
    with ExitStack() as stack:
        if name.startswith("redis"):
            redis = Redis()
            stack.callback(redis.close)
            redis.start()
            live_log = redis.url
        if name.endswith("postgresql"):
            postgresql = PostgreSQL()
            stack.callback(postgresql.close)
            postgresql.start()
            archive = postgresql.create_database()
        yield live_log, archive


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


def latency(plan: Plan) -> Table:
    """From the bytes of X's stream to a viewer's socket."""
    rows = []
    figures = {}
    for name in plan.among({"embedded": None, "redis": None}):
        with stores(name) as (live_log, archive), fed_server(live_log, archive) as (server, feeder):
            viewers = Viewers(server.port, f"/{SLUG}/ws?render=html", VIEWERS)
            try:
                used = cpu_seconds(server)
                sent = feeder.steady(RATE, RATE * SECONDS)
                share = (cpu_seconds(server) - used) / SECONDS
                found = _latencies(server, sent, viewers)
            finally:
                viewers.close()
        values = [quantile(found, share) for share in (0.5, 0.99, 1.0)]
        rows.append([STORES[name], *(f"{value:.1f}" for value in values), f"{100 * share:.0f} %"])
        figures[name] = {"p50_ms": values[0], "p99_ms": values[1]}
    about = (
        f"{RATE} posts a second for {SECONDS} s, {VIEWERS} WebSocket viewers with fragments: milliseconds from "
        "just before the simulator writes a post until a viewer has read it. Every viewer had every post."
    )
    columns = ("store", "p50 ms", "p99 ms", "most ms", "server CPU")
    return Table("From stream bytes to viewer", about, columns, rows, figures)


class _Burst(NamedTuple):
    """Posts a second until all were durable, archived and with every viewer, and CPU us for each."""

    durable: float
    archived: float
    shown: float
    cpu_us: float

    @property
    def rate(self) -> float:
        """Posts a second to all three."""
        return min(self.durable, self.archived, self.shown)


def _burst(count: int, name: str) -> _Burst:
    with stores(name) as (live_log, archive), fed_server(live_log, archive) as (server, feeder):
        target = Target(server.port, {"ws": f"/{SLUG}/ws"}, publish="", body="", marker='"item":{"id":"x:')
        with loaded(target, "ws", clients=VIEWERS, expect=count, seconds=180) as viewers:
            used = cpu_seconds(server)
            viewers.go()
            began = feeder.burst(count)
            durable = wait_for(server, count, archived=False)
            archived = wait_for(server, count, archived=True)
            result = viewers.result()
            used = cpu_seconds(server) - used
            viewers.finish(result)
        assert metric(server, "afeed_dropped_total") == 0, "posts were dropped"
        assert result["complete"] == VIEWERS, f"{VIEWERS - result['complete']} viewers had not every post"
    rates = [count / ((at - began) / 1e9) for at in (durable, archived, result["ended_ns"])]
    return _Burst(*rates, 1e6 * used / count)


def throughput(plan: Plan) -> Table:
    """Sustained posts a second."""
    count = BURST // (3 if plan.short else 1)
    once = attrs.evolve(plan, rounds=1)
    found: dict[str, list[_Burst]] = {}
    bare = []
    for _ in range(plan.rounds):
        bare.append(bare_cpu_us(BURST))
        for name, bursts in in_turn(once, {name: name for name in STORES}, partial(_burst, count)).items():
            found.setdefault(name, []).extend(bursts)
    rows = []
    figures = {"bare": {"cpu_us": statistics.median(bare)}}
    for name, bursts in found.items():
        quantities = ("rate", "durable", "archived", "shown", "cpu_us")
        columns = {key: [getattr(burst, key) for burst in bursts] for key in quantities}
        rows.append([STORES[name], *(spread(column, 0) for column in columns.values())])
        figures[name] = {key: statistics.median(column) for key, column in columns.items()}
    rows.append(["a bare loop", "", "", "", "", spread(bare, 0)])
    about = (
        f"{count:,} posts at once from the simulator, {VIEWERS} WebSocket viewers: posts a second until all "
        "were durable in the live log, in the archive, and with every viewer, each in order; and the server's "
        "CPU time for each post. The bare loop decodes the same bytes and puts them into SQLite, 200 at a "
        "time, and does nothing else. X sends at most 250 posts a second. The embedded log and Redis "
        "(appendfsync always) wait for the disk; PostgreSQL runs with fsync=off, as in the tests. "
        + plan.said()
    )
    names = ("store", "to all three /s", "durable /s", "archived /s", "shown /s", "CPU us a post")
    return Table(f"Posts a second, to {VIEWERS} viewers", about, names, rows, figures)


def starting(plan: Plan) -> Table:
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


def memory(plan: Plan) -> Table:
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


MEASURES: dict[str, Callable[[Plan], Table]] = {
    "latency": latency,
    "throughput": throughput,
    "starting": starting,
    "memory": memory,
}
