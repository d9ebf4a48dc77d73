"""What a run finds out about the promises: those that were broken, and how long things took."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from tests.chaos.promises import within
from tests.chaos.table import Row

#: How soon is what is told a moment later, such as a line in a log (seconds).
SOON_S = 20.0

#: What is awaited is given up after so long (seconds), however late it may come.
PATIENCE_S = 60.0

Measure = Literal["back", "red", "green"]


class Account:
    """``long`` is whether this is the long form, in which nothing may take longer than was promised.

    :ivar broken: what was not as promised, in sentences; :ivar notes: what else is worth telling.
    """

    def __init__(self, long: bool) -> None:
        self.long = long
        self.broken: list[str] = []
        self.notes: list[str] = []
        self._longest: dict[Measure, float] = {}

    def holds(self, kept: bool, otherwise: str) -> None:
        """Note ``otherwise``, a sentence, unless ``kept``."""
        if not kept:
            self.broken.append(otherwise)

    def settles(self, kept: Callable[[], bool], otherwise: Callable[[], str]) -> None:
        """The same with what may not be so yet: what ``otherwise()`` says when it never was."""
        deadline = time.monotonic() + SOON_S
        while not kept():
            if time.monotonic() > deadline:
                self.broken.append(otherwise())
                return
            time.sleep(0.02)

    def awaited(
        self,
        condition: Callable[[], bool],
        what: str,
        promised_s: float,
        *,
        since: float | None = None,
        measure: Measure | None = None,
    ) -> float:
        """Return as soon as ``condition()`` holds; the seconds since ``since`` (monotonic; None: now).

        They are noted as late when they are more than ``promised_s``, and :class:`AssertionError` is raised
        when it does not hold for much longer.  ``measure`` is the column of the table that has the longest.
        """
        began = time.monotonic() if since is None else since
        while not condition():
            if time.monotonic() - began > promised_s + PATIENCE_S:
                raise AssertionError(f"waited {promised_s + PATIENCE_S:g} s in vain for {what}")
            time.sleep(0.02)
        took = time.monotonic() - began
        if measure is not None:
            self._longest[measure] = max(took, self._longest.get(measure, 0.0))
        limit = within(promised_s, self.long)
        self.holds(took <= limit, f"it took {took:.1f} s, not {limit:g}, for {what}")
        return took

    def row(self, row: Row) -> Row:
        """``row`` with all of this in it."""
        return row._replace(
            remark="; ".join(filter(None, (*self.broken, row.remark))),
            note="; ".join(filter(None, (*self.notes, row.note))),
            recovery_s=self._longest.get("back"),
            red_s=self._longest.get("red"),
            green_s=self._longest.get("green"),
        )
