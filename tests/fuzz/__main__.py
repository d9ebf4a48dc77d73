"""``python -m tests.fuzz [--cases N] [--minutes M] [--seed S] [NAME ...]``"""

from __future__ import annotations

import argparse
import sys
from math import inf
from random import SystemRandom

from tests.fuzz.engine import HEADING, run
from tests.fuzz.table import TARGETS


def main(arguments: list[str]) -> int:
    """0 when nothing was found, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Send bad input to every parser.")
    parser.add_argument("--cases", type=int, default=100_000, help="for each target (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="makes the same cases again (default: another one each time)")
    parser.add_argument("--minutes", type=float, default=inf, help="for each target at most")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TARGETS)}; all by default")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in TARGETS]
    if unknown or options.cases < 1:
        parser.error(f"there is no target {unknown[0]}" if unknown else "there must be at least one case")
    seed = options.seed if options.seed is not None else SystemRandom().randrange(2**32)
    print(f"seed {seed}\n{HEADING}", flush=True)
    sound = True
    for name in options.names or TARGETS:
        result = run(TARGETS[name], options.cases, seed, options.minutes * 60)
        print(result.row(), flush=True)
        for crash in result.crashes:
            print(f"  case {crash.case}, kept in {crash.kept}\n{crash.error}", flush=True)
        sound = sound and result.sound
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
