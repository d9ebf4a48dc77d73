"""Model viewers: cut, moved between transports and nodes, paused until their history is in the archive alone,
while items are posted, edited and removed and nodes are restarted and killed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from random import Random
from typing import NamedTuple

import msgspec

from tests.chaos.crowd import Crowd, Habits
from tests.chaos.load import Load, write_recording
from tests.chaos.model import Statement
from tests.chaos.table import Row, scenario
from tests.servers.afeed import AfeedServer
from tests.servers.postgresql import PostgreSQL
from tests.servers.redis import Redis

#: So few changes are held in memory that a pause of two seconds is answered from the log or the archive.
WINDOW = 400
#: Items a second in the recording, which has the removals.
RECORDED_RATE = 10.0
RECORDING = '[[events.sources]]\ntype = "replay"\nfile = "recording.jsonl"\n'
#: How long nothing may come to anybody before what they do not have is lost.
CATCH_UP_S = 60.0
#: Answers that a viewer may get instead of changes: not now.
UNAVAILABLE = "503"


class Extent(NamedTuple):
    """How long and how many: for at least ``seconds``, and until ``deliveries`` were checked or ``most_s`` are
    over."""

    viewers: int
    rate: float
    seconds: float
    deliveries: int
    most_s: float
    restart_every_s: float


SHORT = Extent(viewers=60, rate=120, seconds=18, deliveries=20_001, most_s=180, restart_every_s=6)
#: Two of them make the ten million that are promised.
LONG = Extent(viewers=300, rate=200, seconds=300, deliveries=5_200_000, most_s=1800, restart_every_s=20)


@contextmanager
def nodes(count: int, seconds: float, seed: int) -> Iterator[list[AfeedServer]]:
    """One node with an embedded log, or several on one Redis and one PostgreSQL, with a recording that lasts so
    long."""
    with ExitStack() as stack:
        live_log, archive = "embedded", "sqlite:///var/archive.sqlite3"
        if count > 1:
            redis, postgresql = Redis(), PostgreSQL()
            for store in (redis, postgresql):
                stack.callback(store.close)
                store.start()
            live_log, archive = redis.url, postgresql.create_database()
        servers = []
        for _ in range(count):
            server = AfeedServer(live_log=live_log, archive=archive, sources=RECORDING)
            stack.callback(server.close)
            text = server.config_path.read_text("utf-8")
            server.config_path.write_text(
                text.replace("[store]\n", f"[store]\nwindow = {WINDOW}\n", 1), "utf-8"
            )
            write_recording(server.directory / "recording.jsonl", seconds, RECORDED_RATE, seed)
            servers.append(server)
        for server in servers:
            server.start()
        yield servers


class Restarts(threading.Thread):
    """Stops or kills one node after the other and starts it again, every so many seconds.

    :ivar count: how often; :ivar failure: what went wrong, None if nothing did.
    """

    def __init__(self, servers: Sequence[AfeedServer], every_s: float, seed: int) -> None:
        super().__init__(name="restarts", daemon=True)
        self.count = 0
        self.failure: Exception | None = None
        self._servers = servers
        self._every_s = every_s
        self._rng = Random(f"restarts/{seed}")
        self._stopping = threading.Event()

    def run(self) -> None:
        try:
            while not self._stopping.wait(self._every_s * (0.5 + self._rng.random())):
                server = self._rng.choice(self._servers)
                end = self._rng.choice((server.stop, server.kill))
                end()
                server.start()
                self.count += 1
        except Exception as error:  # told at the end, in the thread that judges
            self.failure = error

    def stop(self) -> None:
        """Restart nothing more; all nodes run when this returns."""
        self._stopping.set()
        self.join(300)
        if self.failure is not None:
            raise self.failure


def statements(server: AfeedServer) -> list[Statement]:
    """The whole log as ``server`` tells it now."""
    found: list[Statement] = []
    cursor, more = "0", True
    while more:
        _, _, body = server.request(f"/{server.slug}/updates?since={cursor}&wait=0")
        answer = msgspec.json.decode(body, type=_Answer)
        found += [Statement.read(bytes(raw)) for raw in answer.changes]
        cursor, more = answer.cursor, answer.more
    return found


class _Answer(msgspec.Struct):
    cursor: str
    changes: list[msgspec.Raw]
    more: bool


def watch(name: str, node_count: int, extent: Extent, seed: int) -> Row:
    """Let a crowd live with ``node_count`` nodes, and judge everything that anybody was told."""
    with ExitStack() as stack:
        servers = stack.enter_context(nodes(node_count, extent.most_s, seed))
        ports = [server.port for server in servers]
        habits = Habits(from_start=0.002)
        crowd = Crowd(ports, servers[0].slug, extent.viewers, seed, habits)
        stack.callback(crowd.close)
        load = Load(servers, extent.rate, batch=max(1, int(extent.rate / 10)), seed=seed)
        restarts = Restarts(servers, extent.restart_every_s, seed)
        load.start()
        restarts.start()
        try:
            crowd.run(extent.seconds)
            crowd.run(extent.most_s - extent.seconds, lambda: crowd.tally.deliveries >= extent.deliveries)
        finally:
            restarts.stop()
            load.stop()
        log = at_rest(servers)
        crowd.catch_up(log[-1].seq, CATCH_UP_S)
        wrong = [*remarks(crowd, log), *too_few(crowd, extent.deliveries)]
        return row(name, seed, crowd, load, restarts.count, wrong, log)


def too_few(crowd: Crowd, goal: int) -> list[str]:
    """A remark where less was checked than a run has to check to prove anything."""
    found = crowd.tally.deliveries
    return [] if found >= goal else [f"only {found:,} of {goal:,} deliveries were checked"]


def at_rest(servers: Sequence[AfeedServer]) -> list[Statement]:
    """Start all nodes again without the recording, so that nothing more is added; the whole log."""
    for server in servers:
        server.stop()
        text = server.config_path.read_text("utf-8").replace(RECORDING, "")
        server.config_path.write_text(text, "utf-8")
    for server in servers:
        server.start()
    return statements(servers[0])


def remarks(crowd: Crowd, log: Sequence[Statement]) -> list[str]:
    """What was wrong with what viewers were told, in sentences."""
    crowd.tally.compare(log)
    found = [*crowd.tally.details]
    if [one.seq for one in log] != list(range(1, len(log) + 1)):
        found.append("the log itself is not 1, 2, 3 and so on")
    strange = {status: count for status, count in crowd.refusals.items() if status != UNAVAILABLE}
    if strange:
        found.append(f"viewers were refused: {strange}")
    return found


def row(
    name: str,
    seed: int,
    crowd: Crowd,
    load: Load,
    restarts: int,
    wrong: Sequence[str],
    log: Sequence[Statement],
) -> Row:
    """The row of a run: what the crowd was told, and what became of what was accepted.

    A fault is a connection that a viewer cut or that broke, a viewer who stopped reading, and each of
    ``restarts``; not that viewers come, leave and come back."""
    posted = {one.item_id: one.seq for one in reversed(log) if one.type == b"item.posted"}
    vanished = [item_id for item_id, seq in load.accepted.items() if posted.get(f'"{item_id}"'.encode()) != seq]
    if vanished:
        wrong = [*wrong, f"{len(vanished)} accepted items are not in the log, such as {vanished[:3]}"]
    faults = crowd.tally.faults
    return Row(
        name,
        seed,
        crowd.cuts + crowd.pauses + crowd.breaks + restarts,
        crowd.tally.deliveries,
        faults["lost"] + len(vanished),
        faults["repeated"],
        faults["reordered"],
        "; ".join(wrong),
    )


@scenario("clients", "viewers cut, paused and moved between four transports; one node, restarted and killed")
def one_node(long: bool, seed: int) -> Row:
    return watch("viewers, one node", 1, LONG if long else SHORT, seed)


@scenario("clients-nodes", "the same, and moved between two nodes on one Redis and one PostgreSQL")
def two_nodes(long: bool, seed: int) -> Row:
    return watch("viewers, two nodes", 2, LONG if long else SHORT, seed)
