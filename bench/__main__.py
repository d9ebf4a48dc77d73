"""``python -m bench [NAME...]``: measure and print; without names also write ``bench/results.rst``."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from bench.fan.catching import catching_up, connects
from bench.fan.machine import clear
from bench.fan.measures import EXERCISES, table
from bench.measures import MEASURES, Table
from tests.servers.process import program

RESULTS = Path(__file__).with_name("results.rst")
ALL = {
    **MEASURES,
    **{name: partial(table, exercise) for name, exercise in EXERCISES.items()},
    "connects": connects,
    "catching-up": catching_up,
}
LIBRARIES = ("Twisted", "autobahn", "klein", "msgspec", "SQLAlchemy", "txredisapi", "psycopg")


def surroundings() -> str:
    """The machine and the versions, in one paragraph."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    redis = subprocess.run([program("redis-server"), "--version"], capture_output=True, text=True, check=True)
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; {os.cpu_count()} cores of {model}, Linux {platform.release()}; Python "
        f"{platform.python_version()}, {libraries}; Redis {redis.stdout.split()[2].removeprefix('v=')}. "
        "The server, the simulator, the viewers and the databases share the machine."
    )


def rendered(table: Table) -> str:
    """The table in reStructuredText."""
    rows = [list(table.columns), *map(list, table.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.columns))]
    rule = "  ".join("=" * width for width in widths)

    def line(row: Sequence[str]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

    body = [rule, line(rows[0]), rule, *map(line, rows[1:]), rule]
    return "\n".join([table.title, "-" * len(table.title), "", table.about, "", *body, ""])


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ALL)}; all if none is given")
    names = parser.parse_args(arguments).names
    unknown = set(names) - ALL.keys()
    if unknown:
        parser.error(f"there is no measurement {', '.join(sorted(unknown))}")
    sections = []
    for name, measure in ALL.items():
        if not names or name in names:
            sections.append(rendered(measure()))
            print(sections[-1], flush=True)
    if not names:
        head = ["Measurements", "============", "", "Made by ``make bench``.", "", surroundings(), "", ""]
        RESULTS.write_text("\n".join(head) + "\n".join(sections), "utf-8")
        print(f"Written to {RESULTS.name}.")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    finally:
        clear()
