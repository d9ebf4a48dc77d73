"""The main ratios in two or three minutes, beside the published ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from bench.aims import TOLERANCE, Compared, compare, ratios
from bench.plan import Plan
from bench.results import figures
from bench.table import Table

Measure = Callable[[Plan], Table]

#: What is measured, and who takes part beside afeed.
PARTS: Mapping[str, Plan] = {
    "steady": Plan(1, frozenset({"afeed", "nchan"}), True),
    "lockstep": Plan(2, frozenset({"afeed", "c"}), True),
    "burst": Plan(1, frozenset({"afeed", "nchan"}), True),
    "sse": Plan(1, frozenset({"afeed", "nchan"}), True),
    "polls": Plan(1, frozenset({"afeed", "nchan"}), True),
    "connects": Plan(1, frozenset({"afeed", "nchan"}), True),
    "pages": Plan(1, None, True),
    "herd": Plan(1, None, True),
    "throughput": Plan(1, frozenset({"embedded"}), True),
}


def quick(measures: Mapping[str, Measure], before: Mapping[str, float], say: Callable[[str], None]) -> int:
    """Measure, compare with the ratios of ``before``, say so, and return 1 when one is much worse, else 0.

    What seems much worse is measured once more, and its better value counts: what is slower is slower every
    time, and what came between is not."""
    began = time.monotonic()
    tables: dict[str, Table] = {}
    for name, plan in PARTS.items():
        say(f"{name} ...")
        tables[name] = measures[name](plan)
    compared = compare(ratios(figures(tables)), before)
    suspects = {one.name.split()[0] for one in compared if one.alarming}
    again = [name for name in PARTS if name in suspects]
    if again:
        say(f"once more: {', '.join(again)} ...")
        repeated = {**tables, **{name: measures[name](PARTS[name]) for name in again}}
        compared = better(compared, compare(ratios(figures(repeated)), before))
    say(f"{report(compared)}\n({time.monotonic() - began:.0f} s)")
    return int(any(one.alarming for one in compared))


def better(first: list[Compared], second: list[Compared]) -> list[Compared]:
    """For each ratio the measurement that is less bad."""
    return [min(pair, key=lambda one: one.change) for pair in zip(first, second, strict=True)]


def report(compared: list[Compared]) -> str:
    """The table, and a loud word about each that is much worse."""
    lines = ["", f"{'':<62} {'now':>8} {'published':>10}", *map(str, compared), ""]
    alarms = [one for one in compared if one.alarming]
    if not alarms:
        return "\n".join(
            [*lines, f"No ratio is more than {100 * TOLERANCE:.0f} % worse than the published one."]
        )
    bar = "!" * 100
    return "\n".join([*lines, bar, *(f"!!! MUCH WORSE: {one}" for one in alarms), bar])
