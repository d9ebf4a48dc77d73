"""What one million viewers would take, computed from what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from bench.aims import NotMeasured, Results, figure
from bench.table import Table

VIEWERS = 1_000_000
RATES = (1, 10)
#: How busy a node may be, which leaves room for the viewers of one that fails; and how many it holds at most.
BUSY, MOST_PER_NODE = 0.7, 50_000
#: Bytes around a message: 4 of WebSocket, 52 of TCP and IP, 38 of Ethernet.
AROUND = 4 + 52 + 38
BEHIND = 500


def needed(results: Results, rate: float) -> list[str]:
    """One cell for each of the table's rows, for ``rate`` items a second; raises :class:`NotMeasured`."""
    deliveries = VIEWERS * rate
    cost = figure(results, "steady.afeed.cpu_us")
    size = figure(results, "steady.message.bytes")
    cores = deliveries * cost / 1e6
    nodes = max(ceil(cores / BUSY), ceil(VIEWERS / MOST_PER_NODE))
    gateway = deliveries * figure(results, "nodes.one-nginx.beside_us") / 1e6
    return [
        f"{deliveries:,.0f} /s",
        f"{cores:,.0f}",
        f"{nodes:,}",
        f"{deliveries * (size + AROUND) * 8 / 1e9:,.1f} Gbit/s",
        f"{VIEWERS * figure(results, 'connects.afeed.idle_kb') / 1e6:,.1f} GB",
        f"{2 * nodes * rate:,.0f} /s",
        f"{2 * nodes * rate * size / 1e6:,.2f} MB/s",
        f"{gateway:,.0f}",
        f"{VIEWERS / nodes / figure(results, 'connects.afeed.connects'):,.1f} s",
        f"{VIEWERS / nodes * BEHIND * figure(results, 'herd.afeed.cpu_us') / 1e6:,.1f} s",
        f"{VIEWERS / nodes / figure(results, 'pages.afeed.rate'):,.1f} s",
    ]


ROWS = (
    ("deliveries", "V x r"),
    ("cores that deliver", "V x r x CPU a delivery"),
    (f"nodes, one core each, {BUSY:.0%} busy", f"cores / {BUSY}, and at least V / {MOST_PER_NODE:,}"),
    ("bandwidth to viewers", f"V x r x (message + {AROUND} bytes)"),
    ("memory for connections, all nodes", "V x KB a client, without the kernel's"),
    ("hints and reads at Redis", "2 x nodes x r"),
    ("bandwidth of Redis, at most", "2 x nodes x r x message"),
    ("cores of nginx, where all goes through it", "V x r x nginx's CPU a delivery"),
    ("everybody connects at once", "V / nodes / connects a second"),
    (f"everybody is {BEHIND} items behind at once", f"V / nodes x {BEHIND} x CPU an item"),
    ("everybody asks for a page of 50 at once", "V / nodes / answers a second"),
)


def paper(results: Results) -> Sequence[Table]:
    """The table; nothing where something it needs was not measured."""
    try:
        columns = [needed(results, rate) for rate in RATES]
    except NotMeasured:
        return []
    rows = [[*row, *cells] for row, *cells in zip(ROWS, *columns, strict=True)]
    names = ("what", "how", *(f"r = {rate} item{'s' * (rate > 1)} a second" for rate in RATES))
    about = (
        f"V = {VIEWERS:,} WebSocket viewers of one event, r items a second, by the figures above. Nobody has "
        "tried it; docs/performance.rst says what it means and where the first wall is."
    )
    return [Table("One million viewers, on paper", about, names, rows)]
