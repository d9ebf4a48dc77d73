"""What a measurement gives: a table for people, and its medians for the page of goals and for comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

#: Of one measurement: what was measured (a server, a store) -> the quantity -> its median.
Figures = Mapping[str, Mapping[str, float]]


class Table(NamedTuple):
    """One measurement: what was done, in a sentence, the names of the columns, the rows, and the medians."""

    title: str
    about: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    figures: Figures = {}  # noqa: RUF012  # a default of a named tuple, never written to


def rendered(table: Table) -> str:
    """The table in reStructuredText."""
    rows = [list(table.columns), *map(list, table.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.columns))]
    rule = "  ".join("=" * width for width in widths)

    def line(row: Sequence[str]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

    body = [rule, line(rows[0]), rule, *map(line, rows[1:]), rule]
    return "\n".join([table.title, "-" * len(table.title), "", table.about, "", *body, ""])


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that is at least as large as ``share`` of all."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def spread(values: Sequence[float], digits: int = 1) -> str:
    """The median, and the least and the most."""
    low, middle, high = (f"{value:,.{digits}f}" for value in (min(values), median(values), max(values)))
    return f"{middle} ({low} - {high})"
