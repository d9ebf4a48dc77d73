"""Latency when nothing else is going on, and what of it is the disk's."""

from __future__ import annotations

from functools import partial

from bench.fan.contenders import Afeed
from bench.fan.load import Run, measure, medians, started
from bench.plan import Plan, in_turn
from bench.table import Table, spread

ITEMS, PAUSE_MS = 1_000, 10

STORES = {
    "embedded": ("embedded, synchronous=FULL", Afeed),
    "redis": ("Redis, appendfsync everysec", partial(Afeed, redis="everysec")),
    "redis-always": ("Redis, appendfsync always", partial(Afeed, redis="always")),
}


def at_rest(plan: Plan) -> Table:
    """One viewer, one item at a time."""
    items = ITEMS // (4 if plan.short else 1)

    def run(afeed: Afeed) -> Run:
        with started(afeed) as target:
            sync = str(afeed.kept_in / "sync")
            return measure(afeed, target, "ws", clients=1, items=items, flight=1, pause=PAUSE_MS, sync=sync)

    makes = {name: make for name, (_, make) in STORES.items()}
    found = in_turn(plan, makes, lambda make: run(make()))
    rows = []
    for name, runs in found.items():
        rows.append(
            [
                STORES[name][0],
                spread([run.p50_ms for run in runs], 2),
                spread([run.p99_ms for run in runs], 2),
                spread([run.sync_p50_ms for run in runs], 2),
                spread([run.sync_p99_ms for run in runs], 2),
                spread([run.p50_ms - run.sync_p50_ms for run in runs], 2),
                spread([run.p99_ms - run.sync_p99_ms for run in runs], 2),
            ]
        )
    about = (
        f"One WebSocket viewer, {items:,} items, each {PAUSE_MS} ms after the viewer had the last: "
        "milliseconds from before POST is sent until the viewer has read the item. In the middle of each pause "
        "4 KB are written beside the log and confirmed by the disk (fdatasync), which is what the disk alone "
        f"takes. {plan.said()}"
    )
    columns = ("store", "p50 ms", "p99 ms", "disk p50 ms", "disk p99 ms", "above p50", "above p99")
    figures = {name: medians(runs) for name, runs in found.items()}
    return Table("Latency at rest", about, columns, rows, figures)
