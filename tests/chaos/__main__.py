"""``python -m tests.chaos [NAME...]``: inject every fault, for minutes, and print one table of what came of it.

The exit status is 0 when every promise was kept, 1 when one was broken, 2 when a scenario could not be run to
its end.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from random import SystemRandom

from bench.surroundings import in_a_line
from tests.chaos import page
from tests.chaos.table import Row, Scenario, rendered, scenarios, totals

KEPT, BROKEN, UNFINISHED = 0, 1, 2


def main(arguments: Sequence[str]) -> int:
    known = scenarios()
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to run, all of it if nothing is given")
    parser.add_argument("--list", action="store_true", help="say what there is, and end")
    parser.add_argument("--short", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--seed", type=int, help="repeat what a run with this seed did")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="put what came of it on this page, in reStructuredText"
    )
    options = parser.parse_args(arguments)
    if options.write and options.short:
        parser.error("what the short form finds is not for a page")
    unknown = set(options.names) - known.keys()
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    chosen = [known[name] for name in options.names] or list(known.values())
    if options.list:
        width = max((len(one.name) for one in chosen), default=0)
        print("\n".join(f"{one.name.ljust(width)}  {one.about}" for one in chosen))
        return KEPT
    return run(chosen, not options.short, options.seed, options.write)


def run(chosen: Sequence[Scenario], long: bool, seed: int | None, path: Path | None = None) -> int:
    """Run the scenarios one after the other, each with a seed of its own unless one is given, and print their
    table; put each of them on the page ``path`` as soon as it has ended.  Returns the exit status."""
    rows: list[Row] = []
    measured = in_a_line() if path else ""
    unfinished = []
    for one in chosen:
        seed_here = SystemRandom().randrange(10**6) if seed is None else seed
        print(f"{one.name}, seed {seed_here}: {one.about}", flush=True)
        began = time.monotonic()
        try:
            found = one.rows(long, seed_here)
        except Exception as error:  # the others can still tell something
            traceback.print_exc()
            unfinished.append(f"{one.name} (seed {seed_here})")
            why = f"not run to its end: {type(error).__name__}: {error}".partition("\n")[0]
            found = [Row(one.name, seed_here, 0, 0, 0, 0, 0, why)]
        if path:
            page.add(path, page.Part(one.name, measured, found))
        rows += found
        print(f"{rendered(found)}\n({time.monotonic() - began:.0f} s)\n", flush=True)
    print(f"{rendered(rows)}\n{totals(rows)}")
    if unfinished:
        print(f"Not run to the end: {', '.join(unfinished)}")
        return UNFINISHED
    return KEPT if all(row.clean for row in rows) else BROKEN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
