"""Viewers who stop reading: what they cost in memory, that they miss nothing, that nobody waits for them."""

from __future__ import annotations

import base64
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.feeder import Feeder
from bench.measures import quantile
from bench.setup import fed_server, metric
from bench.viewers import Viewers
from tests.chaos.clients import remarks, statements
from tests.chaos.crowd import STEADY, Crowd
from tests.chaos.table import Row, scenario
from tests.servers.afeed import SLUG, AfeedServer
from tests.servers.process import wait_until

#: What a viewer who stopped reading may cost (docs/protocol.rst): one message of 256 KB, and what a
#: connection takes anyway.
BOUND_KB = 300
#: What the server may take besides, or less, under the same load at another time.
SHARED_MB = 12
#: Characters of an item, which is stored as text and as HTML.
TEXT = 16_000
ITEMS_A_PUSH = 20
#: So many of them, and as many again, fill the 16 MB that an event's window may take.
FILL = 300
CATCH_UP_S = 90.0
#: Viewers, items, and seconds without reading.
SHORT = (16, 300, 3.0)
#: How much longer the others may wait, at the 99th percentile.
MOST_RATIO = 1.10


class Held(NamedTuple):
    """What so many viewers cost who had stopped reading while ``megabytes`` of changes came."""

    viewers: int
    megabytes: float
    kb_each: float


def resident_kb(pid: int) -> int:
    """The resident memory of process ``pid``."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text("ascii"))
    assert found is not None, "the kernel does not say how much memory is resident"
    return int(found[1])


def publish(server: AfeedServer, name: str, items: int) -> float:
    """Push so many large items; returns the megabytes that they take in the log."""
    taken = 0
    for start in range(0, items, ITEMS_A_PUSH):
        batch = [{"id": f"{name} {start + n}", "text": "x" * TEXT} for n in range(ITEMS_A_PUSH)]
        server.push(*batch)
        taken += 2 * TEXT * len(batch)
    return taken / 1e6


def hold(viewers: int, items: int, pause_s: float, seed: int) -> tuple[Row, Held]:
    """Let everybody stop reading for ``pause_s`` while so many large items come, and then read on.

    What that costs is the difference to the same load while everybody reads."""
    with ExitStack() as stack:
        server = AfeedServer()
        stack.callback(server.close)
        server.start()
        crowd = Crowd([server.port], server.slug, viewers, seed, STEADY._replace(narrow=1, rich=0), first=None)
        stack.callback(crowd.close)
        crowd.run(10, lambda: all(viewer.reader.seq is not None for viewer in crowd.viewers))
        _while_reading(crowd, server, "fill", FILL)
        _, usual = _while_reading(crowd, server, "read", items)
        crowd.run(CATCH_UP_S, lambda: at_head(crowd, server))
        for viewer in crowd.viewers:
            viewer.stop_reading(pause_s)
        megabytes, most = _while_reading(crowd, server, "unread", items, pause_s)
        held = Held(viewers, megabytes, max(0, most - usual) / viewers)
        crowd.run(CATCH_UP_S, lambda: at_head(crowd, server))
        log = statements(server)
        crowd.catch_up(log[-1].seq, CATCH_UP_S)
        wrong = remarks(crowd, log)
        if held.kb_each > BOUND_KB + SHARED_MB * 1000 / viewers:
            wrong.append(f"each viewer who stopped reading took {held.kb_each:.0f} KB")
        faults = crowd.tally.faults
        row = Row(
            f"{viewers} slow readers",
            seed,
            crowd.pauses,
            crowd.tally.deliveries,
            faults["lost"],
            faults["repeated"],
            faults["reordered"],
            "; ".join(wrong),
        )
        return row, held


def at_head(crowd: Crowd, server: AfeedServer) -> bool:
    """Whether everybody has everything."""
    head = metric(server, "afeed_log_head")
    return all(viewer.reader.seq == head for viewer in crowd.viewers)


def _while_reading(
    crowd: Crowd, server: AfeedServer, name: str, items: int, seconds: float = 0.0
) -> tuple[float, int]:
    """Publish while the crowd does what it does, for ``seconds`` or longer; the megabytes published, and the
    most memory in KB that the server took meanwhile."""
    published: list[float] = []
    thread = threading.Thread(target=lambda: published.append(publish(server, name, items)), daemon=True)
    thread.start()
    most, end = 0, crowd.now + seconds
    while thread.is_alive() or crowd.now < end:
        crowd.run(0.25)
        most = max(most, resident_kb(server.pid))
    thread.join()
    if not published:
        raise AssertionError("the items could not be published")
    return published[0], most


# -- what the others notice


@contextmanager
def sleepers(port: int, count: int) -> Iterator[None]:
    """So many viewers over WebSocket who never read a byte."""
    with ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", port))
            key = base64.b64encode(os.urandom(16)).decode("ascii")
            connection.sendall(
                f"GET /{SLUG}/ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
            )
        yield


def latencies(
    server: AfeedServer, feeder: Feeder, readers: int, slow: int, rate: float, count: int
) -> list[float]:
    """Milliseconds from before a post was written until each reader had it; ``slow`` others do not read."""
    with sleepers(server.port, slow):
        before = metric(server, "afeed_log_head")
        viewers = Viewers(server.port, f"/{SLUG}/ws", readers)
        try:
            sent = feeder.steady(rate, count)
            wait_until(
                lambda: metric(server, "afeed_log_head") >= before + count, "all posts to be recorded", 60
            )
            # Another connection is answered after all that was written before it.
            Viewers(server.port, f"/{SLUG}/ws", 1).close()
            received = viewers.finish()
        finally:
            viewers.close()
    found = []
    for one in received:
        missing = sent.keys() - one.keys()
        assert not missing, f"a reader missed {len(missing)} of {len(sent)} posts"
        found += [(one[id_] - at) / 1e6 for id_, at in sent.items()]
    return found


def compare(readers: int, slow: int, rounds: int, rate: float, count: int) -> tuple[float, float]:
    """The 99th percentile, in milliseconds, without and with slow readers, over rounds taken in turn."""
    without: list[float] = []
    with_them: list[float] = []
    with fed_server() as (server, feeder):
        latencies(server, feeder, readers, 0, rate, count // 2)  # warm
        for _ in range(rounds):
            without += (one := latencies(server, feeder, readers, 0, rate, count))
            with_them += (other := latencies(server, feeder, readers, slow, rate, count))
            print(f"p99 {quantile(one, 0.99):.1f} ms without, {quantile(other, 0.99):.1f} ms with", flush=True)
    return quantile(without, 0.99), quantile(with_them, 0.99)


@scenario("slow", "viewers who stop reading: their memory, what they miss, what the others notice")
def slow_readers(long: bool, seed: int) -> list[Row]:
    # In the long form they stop for longer than afeed waits for them, and are cut off.
    row, held = hold(100, 1000, 40.0, seed) if long else hold(*SHORT, seed)
    print(
        f"{held.viewers} viewers stopped reading while {held.megabytes:.0f} MB came: {held.kb_each:.0f} KB "
        f"each (at most {BOUND_KB}, and {SHARED_MB} MB for all)",
        flush=True,
    )
    if not long:
        return [row]
    without, with_them = compare(readers=400, slow=100, rounds=6, rate=50, count=500)
    ratio = with_them / without
    print(f"p99 of 400 readers: {without:.1f} ms, with 100 slow ones {with_them:.1f} ms, ratio {ratio:.3f}")
    wrong = "" if ratio <= MOST_RATIO else f"the others' p99 became {ratio:.2f} times as long"
    return [row, Row("the others meanwhile", seed, 6 * 100, 12 * 400 * 500, 0, 0, 0, wrong)]
