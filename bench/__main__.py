"""``python -m bench [NAME...]``: measure and print.

Without names everything is measured, and with ``--write`` it is published: ``bench/results.rst`` for people,
``bench/results.json`` for ``--quick``, which measures the main ratios in short and compares them with those.
The status is 1 when one of them is much worse, and when something could not be measured.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from bench.appends import appends
from bench.fan.catching import connects, herd, pages
from bench.fan.contenders import CONTENDERS
from bench.fan.growth import growth
from bench.fan.machine import allow_files
from bench.fan.measures import EXERCISES, table
from bench.fan.nodes import NODES, nodes
from bench.fan.rest import at_rest
from bench.measures import MEASURES, STORES
from bench.plan import Plan
from bench.quick import quick
from bench.results import published, write
from bench.surroundings import surroundings
from bench.table import Table, rendered

ALL: dict[str, Callable[[Plan], Table]] = {
    **{name: partial(table, exercise) for name, exercise in EXERCISES.items()},
    "connects": connects,
    "pages": pages,
    "herd": herd,
    "growth": growth,
    "appends": appends,
    "rest": at_rest,
    "nodes": nodes,
    **MEASURES,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ALL)}; all if none is given")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contender, in turn (3)")
    contenders = ", ".join([*CONTENDERS, *STORES, *NODES])
    parser.add_argument("--only", metavar="NAME,...", help=f"who takes part, where it does: of {contenders}")
    parser.add_argument("--short", action="store_true", help="a fraction of each run, to see that it works")
    parser.add_argument("--write", action="store_true", help="publish what came of it")
    parser.add_argument("--quick", action="store_true", help="compare the main ratios with the published ones")
    return parser


def main(arguments: list[str]) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    unknown = set(options.names) - ALL.keys()
    if unknown:
        parser.error(f"there is no measurement {', '.join(sorted(unknown))}")
    only = None if options.only is None else frozenset(options.only.split(","))
    strangers = (only or frozenset()) - CONTENDERS.keys() - STORES.keys() - NODES.keys()
    if strangers:
        parser.error(f"nobody is called {', '.join(sorted(strangers))}")
    if options.rounds < 1:
        parser.error("at least one round")
    if options.write and (options.names or only):
        parser.error("what is published is a run of everything")
    allow_files()
    if options.quick:
        before = published()
        if not before:
            parser.error("nothing is published to compare with; `make bench` does that")
        return quick(ALL, before, partial(print, flush=True))
    plan = Plan(options.rounds, only, options.short)
    began = datetime.now(UTC)
    # First of all, because a program that is missing shows here.
    around = surroundings() if options.write else {}
    tables: dict[str, Table] = {}
    failed: list[str] = []
    for name, measure in ALL.items():
        if not options.names or name in options.names:
            started = time.monotonic()
            try:
                tables[name] = measure(plan)
            except Exception:
                # What was measured in half an hour is not lost because one thing could not be.
                failed.append(name)
                traceback.print_exc()
                continue
            print(rendered(tables[name]), flush=True)
            print(f"({name}: {time.monotonic() - started:.0f} s)\n", flush=True)
    if options.write:
        command = " ".join(["python -m bench", *arguments])
        written = write(tables, around, command, began)
        print(f"Written to {' and '.join(path.name for path in written)}.")
    if failed:
        print(f"Not measured: {', '.join(failed)}; above it says why.", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    # Whoever ends it by a signal lets it end what it has started, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sys.exit(main(sys.argv[1:]))
