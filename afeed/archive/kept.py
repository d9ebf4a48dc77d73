"""What only the archive's database has, beside the log and what follows from it: what organisers did.  It goes
into a backup row by row.

Whatever is not named here is told by the log once more, or belongs to one installation: who is signed in, who
guessed passwords, which pictures are on a disk."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Integer, LargeBinary, Table, func, inspect, select

from afeed.archive import tables
from afeed.core.backup import Row
from afeed.core.draft import key
from afeed.core.errors import BadBackup
from afeed.core.item import decode_item

#: In the order in which a backup has them.
KEPT: tuple[Table, ...] = (
    tables.hidden_items,
    tables.blocked_authors,
    tables.event_filters,
    tables.organiser_actions,
    tables.filings,
    tables.report_links,
    tables.forgetting_secret,
    tables.forgotten_authors,
)
_BY_NAME = {table.name: table for table in KEPT}
#: Rows are read and written in pages of so many.
_PAGE = 500


def rows(connection: Connection) -> Iterator[Row]:
    """Everything in these tables, in order; those that the archive does not have yet are empty."""
    present = set(inspect(connection).get_table_names())
    for table in KEPT:
        if table.name in present:
            columns = _columns(table)
            order = list(table.primary_key.columns)
            found = connection.execution_options(yield_per=_PAGE).execute(select(*columns).order_by(*order))
            for values in found:
                pairs = zip(columns, values, strict=True)
                yield Row(
                    table=str(table.name), values={str(column.name): _out(value) for column, value in pairs}
                )


def counts(connection: Connection) -> dict[str, int]:
    """How many rows there are, by table, without those that have none."""
    present = set(inspect(connection).get_table_names())
    found = {
        str(table.name): int(connection.execute(select(func.count()).select_from(table)).scalar_one())
        for table in KEPT
        if table.name in present
    }
    return {name: count for name, count in found.items() if count}


def read(row: Row) -> tuple[Table, dict[str, Any]]:
    """Where ``row`` belongs, and its values; raises :class:`~afeed.core.errors.BadBackup` for what belongs
    nowhere."""
    table = _BY_NAME.get(row.table)
    if table is None:
        raise BadBackup(f"the backup has a table {row.table!r}, which this afeed does not know")
    columns = {column.name: column for column in _columns(table)}
    if set(row.values) != set(columns):
        raise BadBackup(f"a row of {row.table} does not have the columns that this afeed knows")
    values = {name: _in(columns[name], value) for name, value in row.values.items()}
    return table, _still_to_be_removed(values) if table is tables.hidden_items else values


def hidden(row: Row) -> tuple[str, str] | None:
    """The event and the id of an item that is hidden and that nobody was restoring; None for any other row."""
    table, values = read(row)
    if table is not tables.hidden_items or values["version"] is not None:
        return None
    return values["event"], decode_item(values["content"]).id


def _still_to_be_removed(values: dict[str, Any]) -> dict[str, Any]:
    """A hidden item as it has to be beside a log that may be older: the log is told of it once more."""
    try:
        item = decode_item(values["content"])
    except (ValueError, msgspec.MsgspecError) as error:
        raise BadBackup(f"a hidden item cannot be read: {error}") from error
    if key(item.id) != values["item_key"]:
        raise BadBackup("a hidden item is not the one that its key names")
    return {**values, "removed": False}


def _columns(table: Table) -> list[Column[Any]]:
    """All but numbers that the database gives by itself: a restored one would not know that they are taken."""
    return [column for column in table.columns if not _is_counted(table, column)]


def _is_counted(table: Table, column: Column[Any]) -> bool:
    return column is table.autoincrement_column


def _out(value: Any) -> str | int | float | bool | None:
    return b64encode(value).decode("ascii") if isinstance(value, bytes | memoryview) else value


def _in(column: Column[Any], value: object) -> object:
    if value is None and column.nullable:
        return None
    if isinstance(column.type, LargeBinary):
        try:
            return b64decode(str(value), validate=True)
        except ValueError as error:
            raise BadBackup(f"{column.name} is not base64") from error
    kind = int if isinstance(column.type, BigInteger | Integer) else column.type.python_type
    if type(value) is not kind:
        raise BadBackup(f"{column.name} is not what belongs there")
    return value
