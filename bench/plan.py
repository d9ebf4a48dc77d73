"""How much of a measurement is made."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TypeVar

import attrs

T = TypeVar("T")
R = TypeVar("R")


@attrs.frozen
class Plan:
    """``rounds`` of every contender, in turn; ``names`` of those who take part, None for all.  ``short`` makes
    every round a fraction of its length, for a comparison with the published ratios."""

    rounds: int = 3
    names: frozenset[str] | None = None
    short: bool = False

    def among(self, contenders: Mapping[str, T]) -> dict[str, T]:
        """Those of ``contenders`` that take part, in their order."""
        return {name: value for name, value in contenders.items() if self.names is None or name in self.names}

    def said(self) -> str:
        """For the sentence about a table."""
        if self.rounds == 1:
            return "One run of each."
        return f"{self.rounds} runs of each, in turn: median (least - most)."


def in_turn(plan: Plan, contenders: Mapping[str, T], run: Callable[[T], R]) -> dict[str, list[R]]:
    """The runs of every contender that takes part, by name; they take turns, as the machine's speed moves.
    One that fails is told and made once more."""
    found: dict[str, list[R]] = {}
    for _ in range(plan.rounds):
        for name, contender in plan.among(contenders).items():
            try:
                came = run(contender)
            except (AssertionError, OSError) as error:
                print(f"{name} once more, because: {error}", file=sys.stderr, flush=True)
                came = run(contender)
            found.setdefault(name, []).append(came)
    return found
