"""Many rows in few statements.

Between two statements, and between two rows of one that is executed for many, the driver's thread lets go of
the interpreter and queues for it again, which beside a busy reactor takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, bindparam
from sqlalchemy.engine import Dialect

T = TypeVar("T")

#: How many rows share a statement, the most first: few sizes, because each has to be compiled.
SIZES = (100, 10, 1)


def put(connection: Connection, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Execute ``statement``, an INSERT without values, for ``rows``; blocks.

    All rows have the same columns in the same order.  The statement should be one that lives on: it is
    compiled when it is first seen.
    """
    for some in portions(rows):
        compiled = _compiled(statement, tuple(rows[0]), len(some), connection.dialect)
        values = dict(compiled.fixed)
        for names, row in zip(compiled.names, some, strict=True):
            values.update(zip(names, row.values(), strict=True))
        # By position where the driver wants it so, else by name.
        ordered = None if compiled.order is None else tuple(map(values.__getitem__, compiled.order))
        connection.exec_driver_sql(compiled.text, values if ordered is None else ordered)


def portions(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """``rows``, as many at a time as may share a statement."""
    start = 0
    for count in SIZES:
        while len(rows) - start >= count:
            yield rows[start : start + count]
            start += count


class _Compiled(NamedTuple):
    """A statement as the driver takes it: the names of each row's parameters, what the others are, and the
    order of all, None where they go by name."""

    text: str
    names: tuple[tuple[str, ...], ...]
    fixed: dict[str, Any]
    order: tuple[str, ...] | None


@lru_cache(maxsize=100)
def _compiled(statement: Any, columns: tuple[str, ...], count: int, dialect: Dialect) -> _Compiled:
    names = tuple(tuple(f"{column}_{n}" for column in columns) for n in range(count))
    types = statement.table.c
    rows = [
        {column: bindparam(name, type_=types[column].type) for column, name in zip(columns, own, strict=True)}
        for own in names
    ]
    compiled = statement.values(rows).compile(dialect=dialect)
    ours = {name for own in names for name in own}
    fixed = {name: value for name, value in compiled.params.items() if name not in ours}
    order = tuple(compiled.positiontup) if compiled.positional else None
    return _Compiled(str(compiled), names, fixed, order)
