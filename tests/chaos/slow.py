"""Viewers who stop reading: what they cost in memory, that they miss nothing, that nobody waits for them."""

from __future__ import annotations

import math
import re
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import comb
from pathlib import Path
from random import Random
from typing import NamedTuple

from bench.feeder import Feeder
from bench.measures import quantile
from bench.setup import cpu_seconds, fed_server, metric
from bench.viewers import Viewers
from tests.chaos.clients import remarks, statements
from tests.chaos.crowd import STEADY, Crowd, narrow
from tests.chaos.table import Row, scenario
from tests.chaos.wire import SSE, WEBSOCKET, request
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
#: Of what came while they did not read, viewers may have taken so much before their connections were full.
MOST_TAKEN = 0.25
#: Viewers, items, and seconds without reading.
SHORT = (16, 300, 3.0)
#: Changes that afeed wrote to viewers who read, as it counts them.
DELIVERIES = "afeed_deliveries_total"


class Held(NamedTuple):
    """What so many viewers cost who had stopped reading while ``megabytes`` of changes came, of which they took
    the share ``taken`` at once."""

    viewers: int
    megabytes: float
    kb_each: float
    taken: float


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

    What that costs, connections included, is the difference to the same load while nobody is there."""
    with ExitStack() as stack:
        server = AfeedServer()
        stack.callback(server.close)
        server.start()
        _meanwhile(time.sleep, server, "fill", FILL)
        _, usual = _meanwhile(time.sleep, server, "alone", items)
        crowd = Crowd([server.port], server.slug, viewers, seed, STEADY._replace(narrow=1, rich=0), first=None)
        stack.callback(crowd.close)
        crowd.run(CATCH_UP_S, lambda: at_head(crowd, server))
        for viewer in crowd.viewers:
            viewer.stop_reading(math.inf)  # until all has been published, however long that takes here
        before = metric(server, DELIVERIES)
        megabytes, most = _meanwhile(crowd.run, server, "unread", items, pause_s)
        taken = (metric(server, DELIVERIES) - before) / (viewers * items)
        for viewer in crowd.viewers:
            viewer.read_on()
        held = Held(viewers, megabytes, max(0, most - usual) / viewers, taken)
        crowd.run(CATCH_UP_S, lambda: at_head(crowd, server))
        log = statements(server)
        crowd.catch_up(log[-1].seq, CATCH_UP_S)
        wrong = remarks(crowd, log)
        if held.kb_each > BOUND_KB + SHARED_MB * 1000 / viewers:
            wrong.append(f"each viewer who stopped reading took {held.kb_each:.0f} KB")
        if held.taken > MOST_TAKEN:
            wrong.append(f"who did not read took {held.taken:.0%} of it at once: nobody was slow")
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


def _meanwhile(
    live: Callable[[float], object], server: AfeedServer, name: str, items: int, seconds: float = 0.0
) -> tuple[float, int]:
    """Publish for ``seconds`` or longer, while ``live(seconds)`` lets time pass for whoever watches; the
    megabytes published, and the most memory in KB that the server took."""
    published: list[float] = []
    thread = threading.Thread(target=lambda: published.append(publish(server, name, items)), daemon=True)
    thread.start()
    most, end = 0, time.monotonic() + seconds
    while thread.is_alive() or time.monotonic() < end:
        live(0.25)
        most = max(most, resident_kb(server.pid))
    thread.join()
    if not published:
        raise AssertionError("the items could not be published")
    return published[0], most


# -- what the others notice

#: How much longer the others may wait, at the 99th percentile.
MOST_RATIO = 1.10
#: The chance that the interval given for a ratio does not contain it.
DOUBT = 0.05


class Extent(NamedTuple):
    """``readers`` who read and ``slow`` others who do not: a fifth of all.  A round is ``count`` posts, so many
    a second as ``rate`` says; it has to be over before afeed cuts the slow ones off, after fifteen seconds."""

    readers: int
    slow: int
    rate: float
    count: int
    #: How many rounds of each kind there are at least, and at most: it goes on until the interval is on one
    #: side of the limit.
    rounds: int
    most_rounds: int
    limit: float


LONG = Extent(readers=400, slow=100, rate=60, count=540, rounds=12, most_rounds=30, limit=MOST_RATIO)
#: So few posts show only whether the slow ones are slow, and whether the others wait for them.
BRIEF = Extent(readers=40, slow=10, rate=100, count=700, rounds=1, most_rounds=1, limit=100.0)


class Round(NamedTuple):
    """One round: the 99th percentile in milliseconds from before a post was written until a reader had it, how
    many posts readers missed, the server's processor seconds, and the share of the posts that were written to
    the slow viewers before their connections were full."""

    p99_ms: float
    missed: int
    cpu_s: float
    taken: float


class Pair(NamedTuple):
    """Two rounds, one straight after the other."""

    without: Round
    with_them: Round

    def __str__(self) -> str:
        one, other = self
        return (
            f"p99 {one.p99_ms:.1f} ms without, {other.p99_ms:.1f} ms with, ratio {self.ratio:.3f}; "
            f"processor {one.cpu_s:.2f} and {other.cpu_s:.2f} s; the slow ones took {other.taken:.0%}"
        )

    @property
    def ratio(self) -> float:
        return self.with_them.p99_ms / self.without.p99_ms

    @property
    def cpu_ratio(self) -> float:
        return self.with_them.cpu_s / self.without.cpu_s


@contextmanager
def sleepers(server: AfeedServer, count: int) -> Iterator[None]:
    """So many viewers, over WebSocket and server-sent events in turn, who never read a byte."""
    there = metric(server, "afeed_viewers")
    with ExitStack() as stack:
        for number in range(count):
            connection = stack.enter_context(socket.socket())
            narrow(connection)
            connection.connect(("127.0.0.1", server.port))
            transport = SSE if number % 2 else WEBSOCKET
            connection.sendall(request(transport, f"127.0.0.1:{server.port}", SLUG, ""))
        wait_until(lambda: metric(server, "afeed_viewers") == there + count, "the slow viewers to be seen")
        yield


def play(server: AfeedServer, feeder: Feeder, extent: Extent, slow: int) -> Round | None:
    """One round with ``slow`` viewers who do not read; None when it took so long that these were cut off."""
    readers, count = extent.readers, extent.count
    viewers = Viewers(server.port, f"/{SLUG}/ws", readers)
    try:
        with sleepers(server, slow):
            head, written = metric(server, "afeed_log_head"), metric(server, DELIVERIES)
            used = cpu_seconds(server)
            sent = feeder.steady(extent.rate, count)
            wait_until(lambda: metric(server, "afeed_log_head") >= head + count, "all posts to be recorded", 60)
            used = cpu_seconds(server) - used
            written = metric(server, DELIVERIES) - written
            cut_off = metric(server, "afeed_viewers") < readers + slow
            # Another connection is answered after all that was written before it.
            Viewers(server.port, f"/{SLUG}/ws", 1).close()
            received = viewers.finish()
    finally:
        viewers.close()
    if cut_off:
        return None
    found = [(one[id_] - at) / 1e6 for one in received for id_, at in sent.items() if id_ in one]
    missed = readers * count - len(found)
    taken = max(0.0, written - readers * count) / (slow * count) if slow else 0.0
    return Round(quantile(found, 0.99), missed, used, taken)


def interval(values: Sequence[float], doubt: float = DOUBT) -> tuple[float, float]:
    """Bounds of the median of what ``values`` are a sample of, whatever its distribution is: it is on either
    side of each value with the chance of a coin."""
    ordered, count = sorted(values), len(values)
    left, chance = 0, 0.0
    while left < (count - 1) // 2:
        chance += 2 * comb(count, left) / 2**count
        if chance > doubt:
            break
        left += 1
    outside = max(0, left - 1)
    return ordered[outside], ordered[-1 - outside]


def compare(extent: Extent, seed: int) -> list[Pair]:
    """Rounds without and with slow viewers in turn, in an order of chance within each pair; raises
    :class:`AssertionError` when the machine is so busy that half of them take too long."""
    rng = Random(seed)
    pairs: list[Pair] = []
    tried = 0
    with fed_server() as (server, feeder):
        play(server, feeder, extent._replace(count=extent.count // 4), 0)  # warm
        while len(pairs) < extent.rounds or (len(pairs) < extent.most_rounds and _undecided(pairs, extent)):
            order = [0, extent.slow]
            rng.shuffle(order)
            tried += 1
            rounds = {slow: play(server, feeder, extent, slow) for slow in order}
            without, with_them = rounds[0], rounds[extent.slow]
            if without is not None and with_them is not None:
                pairs.append(Pair(without, with_them))
                print(pairs[-1], flush=True)
            assert tried <= 2 * len(pairs) + 10, "a round takes too long on this machine at the moment"
    return pairs


def _undecided(pairs: Sequence[Pair], extent: Extent) -> bool:
    low, high = interval([pair.ratio for pair in pairs])
    return low <= extent.limit < high


def others_row(extent: Extent, seed: int) -> Row:
    """What the others notice of those who do not read, as a row of the table."""
    pairs = compare(extent, seed)
    ratio = statistics.median(pair.ratio for pair in pairs)
    low, high = interval([pair.ratio for pair in pairs])
    cpu = statistics.median(pair.cpu_ratio for pair in pairs)
    taken = max(pair.with_them.taken for pair in pairs)
    without = statistics.median(pair.without.p99_ms for pair in pairs)
    with_them = statistics.median(pair.with_them.p99_ms for pair in pairs)
    note = (
        f"p99 of {extent.readers} readers, medians of {len(pairs)} rounds of {extent.count} posts: "
        f"{without:.1f} ms, with {extent.slow} slow ones {with_them:.1f} ms; ratio {ratio:.3f}, with "
        f"{1 - DOUBT:.0%} confidence {low:.3f} to {high:.3f}; processor {cpu:.3f}"
    )
    wrong = []
    if ratio > extent.limit:
        wrong.append(f"the others' p99 became {ratio:.2f} times as long ({low:.2f} to {high:.2f})")
    if taken > MOST_TAKEN:
        wrong.append(f"who did not read was written {taken:.0%} of the posts: nobody was slow")
    missed = sum(one.missed for pair in pairs for one in pair)
    # Their ids alone are looked at, which is no check of a delivery; `clients` has that.
    faults = len(pairs) * extent.slow
    return Row("the others meanwhile", seed, faults, 0, missed, 0, 0, "; ".join(wrong), note=note)


@scenario("slow", "viewers who stop reading: their memory, what they miss, what the others notice")
def slow_readers(long: bool, seed: int) -> list[Row]:
    # In the long form they stop for longer than afeed waits for them, and are cut off.
    row, held = hold(100, 500, 40.0, seed) if long else hold(*SHORT, seed)
    note = (
        f"{held.viewers} viewers stopped reading while {held.megabytes:.0f} MB came, and took {held.taken:.0%} "
        f"at once: {held.kb_each:.0f} KB each (at most {BOUND_KB}, and {SHARED_MB} MB for all)"
    )
    return [row._replace(note=note), others_row(LONG if long else BRIEF, seed)]
