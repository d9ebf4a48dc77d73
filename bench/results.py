"""What was measured as a page for people and as a file for comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.aims import Results, goals, ratios
from bench.paper import paper
from bench.table import Table, rendered

HERE = Path(__file__).parent
PAGE, FILE = HERE / "results.rst", HERE / "results.json"

ABOUT = """\
Made by ``make bench`` in one run, all of it. How to read it, and what it means for an event, is in
`docs/performance.rst <../docs/performance.rst>`_; the same figures for programs are in
`results.json <results.json>`_.
"""


def page(tables: Mapping[str, Table], around: Mapping[str, str], command: str, began: datetime) -> str:
    """The whole page in reStructuredText."""
    minutes = (datetime.now(UTC) - began).total_seconds() / 60
    facts = {
        "date": f"{began:%Y-%m-%d %H:%M} UTC, {minutes:.0f} minutes",
        "command": f"``{command}``",
        **around,
    }
    told = "\n".join(f":{name}: {value}" for name, value in facts.items())
    head = f"Measurements\n============\n\n{ABOUT}\n{told}\n"
    found = figures(tables)
    sections = [rendered(table) for table in (goals(found), *tables.values(), *paper(found))]
    return "\n".join([head, *sections])


def figures(tables: Mapping[str, Table]) -> Results:
    """The medians of all tables."""
    return {name: table.figures for name, table in tables.items()}


def file(tables: Mapping[str, Table], around: Mapping[str, str], command: str, began: datetime) -> str:
    """The same in JSON: ``ratios`` by name, ``figures`` by measurement, row and quantity."""
    found = figures(tables)
    rounded = {
        name: {row: {key: _short(value) for key, value in values.items()} for row, values in rows.items()}
        for name, rows in found.items()
    }
    shown = {name: _short(value) for name, value in ratios(found).items()}
    told = {
        "date": f"{began:%Y-%m-%dT%H:%M:%SZ}",
        "command": command,
        **around,
        "ratios": shown,
        "figures": rounded,
    }
    return json.dumps(told, indent=2) + "\n"


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def write(
    tables: Mapping[str, Table], around: Mapping[str, str], command: str, began: datetime
) -> Sequence[Path]:
    """Write both; returns their paths."""
    PAGE.write_text(page(tables, around, command, began), "utf-8")
    FILE.write_text(file(tables, around, command, began), "utf-8")
    return PAGE, FILE


def published() -> dict[str, float]:
    """The ratios that were written last, none where nothing was."""
    if not FILE.exists():
        return {}
    found: dict[str, float] = json.loads(FILE.read_text("utf-8"))["ratios"]
    return found
