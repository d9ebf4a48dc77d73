"""The table of outcomes is complete, and every test that it names exists."""

from __future__ import annotations

from collections import Counter
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from twisted.trial.unittest import SynchronousTestCase

TABLE = Path(__file__).with_name("table.tsv")

#: ``refused`` and ``accepted`` say what afeed does; ``differs``: something else than the list wants, by design;
#: ``absent``: afeed has nothing that could be given this.
KINDS = frozenset({"refused", "accepted", "differs", "absent"})
#: How many rows each surface has.
ROWS = {"upstream": 33, "http": 32, "ws": 29, "import": 29, "config": 28, "webhook": 32}
#: Rows that nothing is there to test for, although the surface exists: no code of ours takes part.
WITHOUT_TEST = frozenset({"config-44"})


class Row(NamedTuple):
    """One kind of hostile input: ``tests`` are full names, ``outcome`` is what they prove, or why there is
    none."""

    name: str
    becomes: str
    tests: tuple[str, ...]
    outcome: str


@cache
def rows() -> tuple[Row, ...]:
    """The table."""
    _, *lines = TABLE.read_text("utf-8").splitlines()
    cells = (line.split("\t") for line in lines)
    return tuple(
        Row(name, becomes, tuple(tests.split()) if tests != "-" else (), outcome)
        for name, becomes, tests, outcome in cells
    )


class TableTests(SynchronousTestCase):
    def test_every_row_is_there_once(self) -> None:
        names = [row.name for row in rows()]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(dict(Counter(name.partition("-")[0] for name in names)), ROWS)

    def test_every_row_says_what_becomes_of_it_and_what_proves_that(self) -> None:
        for row in rows():
            self.assertIn(row.becomes, KINDS, row.name)
            self.assertTrue(row.outcome, row.name)
            proven = bool(row.tests) or row.name in WITHOUT_TEST
            self.assertEqual(proven, row.becomes != "absent", row.name)

    def test_every_named_test_exists(self) -> None:
        for name in sorted({name for row in rows() for name in row.tests}):
            module, case, method = name.rsplit(".", 2)
            self.assertTrue(callable(getattr(getattr(import_module(module), case, None), method, None)), name)
