"""Prints the closing line of a run, ``123 passed, 0 failed, 0 skipped``, from what trial wrote.

Exits with 0 only if tests ran, trial and the linters ended well, and nothing failed.  Needs nothing but
Python itself, so that it also works where the installation broke.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import NamedTuple

_RESULT = re.compile(r"(?:PASSED|FAILED)(?: \(([a-zA-Z]+=\d+(?:, [a-zA-Z]+=\d+)*)\))?\s*")


class Totals(NamedTuple):
    """How many tests ended how.  An expected failure has passed, an unexpected success has failed."""

    passed: int
    failed: int
    skipped: int


def totals(output: str) -> Totals | None:
    """What the last summary line in ``output`` says; None when there is none, because trial never got to its
    end."""
    for line in reversed(output.splitlines()):
        match = _RESULT.fullmatch(line)
        if match:
            counts = {"successes": 0}
            for pair in (match[1] or "").split(", "):
                name, _, number = pair.partition("=")
                counts[name] = int(number or 0)
            return Totals(
                counts["successes"] + counts.get("expectedFailures", 0),
                sum(counts.get(name, 0) for name in ("failures", "errors", "unexpectedSuccesses")),
                counts.get("skips", 0),
            )
    return None


def close(output: str, tests_status: int, lint_status: int) -> tuple[str, int]:
    """The closing line and the exit status."""
    found = totals(output)
    passed, failed, skipped = found or Totals(0, 0, 0)
    if tests_status and not failed:
        failed = 1  # trial did not start, or died: nothing it counted says so
    if lint_status:
        failed += 1
    good = found is not None and passed > 0 and failed == 0
    return f"{passed} passed, {failed} failed, {skipped} skipped", 0 if good else 1


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Print the closing line of a test run.")
    parser.add_argument("--tests-status", type=int, required=True, help="exit status of `make test`")
    parser.add_argument("--lint-status", type=int, required=True, help="exit status of `make lint`")
    parser.add_argument("output", type=Path, help="what `make test` printed")
    given = parser.parse_args(arguments)
    line, status = close(given.output.read_text("utf-8", "replace"), given.tests_status, given.lint_status)
    if given.lint_status:
        print("make lint failed: see above.")
    print(line)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
