"""The page that a long run leaves behind: reStructuredText, with the rows as JSON in a comment at its end, so
that a run of some scenarios replaces those and keeps the others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from tests.chaos.table import COLUMNS, Row, cells_of, totals

#: What begins a line of the comment.
_INDENT = "   "


class Part(msgspec.Struct):
    """What came of one scenario: ``measured`` says when, on which machine and with which versions."""

    scenario: str
    measured: str
    rows: list[Row]


def read(path: Path) -> dict[str, Part]:
    """The parts of the page, by scenario; none where there is no page yet."""
    if not path.exists():
        return {}
    lines = (line for line in path.read_text("utf-8").splitlines() if line.startswith(f"{_INDENT}{{"))
    parts = [msgspec.json.decode(line, type=Part) for line in lines]
    return {part.scenario: part for part in parts}


def add(path: Path, part: Part) -> None:
    """Write the page anew with ``part`` in it, in the place of what it had of that scenario."""
    parts = {**read(path), part.scenario: part}
    path.write_text(rendered([parts[name] for name in sorted(parts)]), "utf-8")


def rendered(parts: Sequence[Part]) -> str:
    """The whole page."""
    rows = [row for part in parts for row in part.rows]
    sums = totals(rows)
    sections = [
        "Faults",
        "======",
        "",
        "Made by ``make chaos``, which injects every fault into real servers under load and compares, change",
        "by change, what viewers were given with the log, and the log with the archive. ``make chaos",
        "CHAOS='SCENARIO --seed SEED'`` repeats a line.",
        "",
        f"**{sums}.** "
        + (f"Promises that were broken: {sums.broken}." if sums.broken else "Every promise was kept."),
        "",
        *_machines(parts),
        "",
        *_table(parts, counted=True),
    ]
    apart = _table(parts, counted=False)
    if apart:
        sections += [
            "Not counted above: cases that were given to one part of afeed, in memory, and controls, in which",
            "a protection is switched off and the comparison has to find what that does.",
            "",
            *apart,
        ]
    sections += _section("Figures", [f"* {_plain(row.name)}: {_plain(row.note)}" for row in rows if row.note])
    broken = [f"* {_plain(row.name)}, seed {row.seed}: {_plain(row.remark)}" for row in rows if row.remark]
    sections += _section("Broken promises", broken)
    sections += ["..", *(_INDENT + msgspec.json.encode(part).decode() for part in parts), ""]
    return "\n".join(sections)


def _section(title: str, bullets: list[str]) -> list[str]:
    return [title, "-" * len(title), "", *bullets, ""] if bullets else []


def _machines(parts: Iterable[Part]) -> list[str]:
    """Where it was measured, and which scenario where if that was not everywhere the same."""
    scenarios: dict[str, list[str]] = {}
    for part in parts:
        scenarios.setdefault(part.measured, []).append(part.scenario)
    if len(scenarios) == 1:
        return [_plain(measured) for measured in scenarios]
    return [f"* {', '.join(names)}: {_plain(measured)}" for measured, names in scenarios.items()]


def _table(parts: Iterable[Part], *, counted: bool) -> list[str]:
    body = [
        [part.scenario, *map(_plain, cells_of(row))]
        for part in parts
        for row in part.rows
        if row.counted == counted
    ]
    if not body:
        return []
    cells = [["scenario", *COLUMNS], *body]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    ]
    return [rule, lines[0], rule, *lines[1:], rule, ""]


def _plain(text: str) -> str:
    """``text`` in one line, without anything that reStructuredText would take for markup."""
    return re.sub(r"([\\*`|_])", r"\\\1", " ".join(text.split()))
