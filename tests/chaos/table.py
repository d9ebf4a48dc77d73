"""The table of a long run: one row for each fault, and the scenarios that make the rows.

A scenario injects one kind of fault into real servers and judges what came of it::

    @scenario("kills", "kill -9 at random moments, under load")
    def kills(long: bool, seed: int) -> Row: ...

It returns one row or several, is bounded in time and count, ends what it started, and does the same again
when it is given the same seed. What goes wrong with the promises is in the row; it raises only when it could
not find out.
:func:`scenarios` finds all of them; ``python -m tests.chaos`` runs them.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import NamedTuple, TypeVar

#: Where scenarios are looked for: every module of these packages that is not a test itself.
PACKAGES = ("tests.chaos", "tests.fuzz")


class Row(NamedTuple):
    """What came of one fault."""

    name: str
    seed: int
    #: How many faults were injected.
    faults: int
    #: How many deliveries to clients were checked.
    deliveries: int
    lost: int
    repeated: int
    reordered: int
    #: What else was wrong, "" when nothing was.
    remark: str = ""
    #: The longest time from the end of a fault until everything was served again (seconds), None where there is
    #: nothing to recover from.
    recovery_s: float | None = None
    #: The longest that a check of ``/healthz`` took to turn red after a fault, and green after its end (s);
    #: None where no check has to.
    red_s: float | None = None
    green_s: float | None = None
    #: What was measured besides, in one line; "" when nothing was.
    note: str = ""
    #: False where no running system was put to the faults: cases given to one part of it in memory, and
    #: controls that have to fail.
    counted: bool = True

    @property
    def clean(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.repeated or self.reordered or self.remark)


class Totals(NamedTuple):
    """Sums over the rows that count."""

    faults: int
    deliveries: int
    lost: int
    repeated: int
    reordered: int
    broken: int

    def __str__(self) -> str:
        return (
            f"{self.faults:,} faults, {self.deliveries:,} deliveries checked: {self.lost:,} lost, "
            f"{self.repeated:,} repeated, {self.reordered:,} reordered"
        )


def totals(rows: Iterable[Row]) -> Totals:
    """``broken`` is the number of rows that broke a promise, also of those that do not count."""
    rows = list(rows)
    counted = [row for row in rows if row.counted]
    return Totals(
        faults=sum(row.faults for row in counted),
        deliveries=sum(row.deliveries for row in counted),
        lost=sum(row.lost for row in counted),
        repeated=sum(row.repeated for row in counted),
        reordered=sum(row.reordered for row in counted),
        broken=sum(not row.clean for row in rows),
    )


Run = Callable[[bool, int], Row | Sequence[Row]]
AnyRun = TypeVar("AnyRun", bound=Run)


class Scenario(NamedTuple):
    """``run(long, seed)``: the long form takes minutes, the short one is for every change."""

    name: str
    about: str
    run: Run

    def rows(self, long: bool, seed: int) -> list[Row]:
        """Run it; its rows, always as a list."""
        found = self.run(long, seed)
        return [found] if isinstance(found, Row) else list(found)


_registered: dict[str, Scenario] = {}


def scenario(name: str, about: str) -> Callable[[AnyRun], AnyRun]:
    """Register the decorated function as the scenario ``name``, said to be ``about`` in one line."""

    def register(run: AnyRun) -> AnyRun:
        known = _registered.get(name)
        if known is not None and known.run.__module__ != run.__module__:
            raise ValueError(f"both {known.run.__module__} and {run.__module__} call a scenario {name}")
        _registered[name] = Scenario(name, about, run)
        return run

    return register


def _imported(module: str) -> None:
    """Import ``module``; where that fails there is a scenario that fails, so that the others can be run."""
    try:
        import_module(module)
    except Exception as error:
        problem = error

        def fail(long: bool, seed: int) -> Row:
            raise problem

        name = module.replace(".", "-").replace("_", "-")
        _registered[name] = Scenario(name, f"{module} cannot be imported: {error!r}", fail)


def scenarios() -> dict[str, Scenario]:
    """Every scenario there is, by name, in the order of their names."""
    for package_name in PACKAGES:
        try:
            package = import_module(package_name)
        except ModuleNotFoundError as error:
            if error.name != package_name:
                raise
            continue
        for module in pkgutil.iter_modules(package.__path__, f"{package_name}."):
            short = module.name.rpartition(".")[2]
            if not short.startswith(("test_", "__")):
                _imported(module.name)
    return dict(sorted(_registered.items()))


COLUMNS = (
    "fault",
    "seed",
    "faults",
    "deliveries",
    "lost",
    "repeated",
    "reordered",
    "back s",
    "red s",
    "green s",
    "verdict",
)


def rendered(rows: Iterable[Row]) -> str:
    """The rows as a plain text table, and below it what was measured besides and what was wrong."""
    rows = list(rows)
    cells = [list(COLUMNS), *map(cells_of, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(COLUMNS))]
    lines = ["  ".join(_aligned(row, widths)).rstrip() for row in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    lines += [f"{row.name}: {row.note}" for row in rows if row.note]
    lines += [f"{row.name}, seed {row.seed}: {row.remark}" for row in rows if row.remark]
    return "\n".join(lines)


def cells_of(row: Row) -> list[str]:
    """The row's cells, one for each of :data:`COLUMNS`."""
    times = (row.recovery_s, row.red_s, row.green_s)
    counts = (row.faults, row.deliveries, row.lost, row.repeated, row.reordered)
    return [
        row.name,
        str(row.seed),
        *(f"{count:,}" for count in counts),
        *("" if time is None else f"{time:.1f}" for time in times),
        "kept" if row.clean else "BROKEN",
    ]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    last = len(row) - 1
    return [
        cell.ljust(width) if column in (0, last) else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
