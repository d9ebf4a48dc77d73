"""The fuzzers as rows of the long run's table."""

from __future__ import annotations

from tests.chaos.table import Row, scenario
from tests.fuzz.engine import MAX_GROWTH_KB, Result, run
from tests.fuzz.table import TARGETS

#: For each parser; the long ones take about an hour together.
LONG, SHORT = 1_000_000, 500


@scenario("fuzz", "bad input to every parser: no crash, no growth")
def fuzz(long: bool, seed: int) -> list[Row]:
    """One row for each parser; a fault is a case."""
    return [_row(run(target, LONG if long else SHORT, seed), seed) for target in TARGETS.values()]


def _row(result: Result, seed: int) -> Row:
    remarks = [f"case {crash.case} ({crash.kept}): {crash.error.splitlines()[-1]}" for crash in result.crashes]
    if result.grown_kb > MAX_GROWTH_KB:
        remarks.append(f"memory grew by {result.grown_kb} KB")
    return Row(f"fuzz {result.name}", seed, result.cases, 0, 0, 0, 0, "; ".join(remarks), counted=False)
