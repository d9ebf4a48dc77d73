"""What happens within one transaction of the archive.

What copies changes blocks, and is done in one visit to the connection's thread: to go there and back for each
statement costs more than most of them do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, Executable

from afeed.archive import queries
from afeed.archive.several import portions, put
from afeed.core.change import REDACTED, redact
from afeed.core.cursor import Cursor
from afeed.core.errors import ArchiveConflict
from afeed.core.straining import Folded, ItemFiling, continues
from afeed.interfaces import Head, Lineage


class Statements(Protocol):
    """What these need of a transaction, such as :class:`afeed.archive.engine.Transaction`."""

    async def rows(self, statement: Executable, parameters: Any = None) -> list[Any]:
        """Execute; all rows it gives, as tuples."""
        ...


def advance(
    connection: Connection,
    insert: queries.Insert,
    event: str,
    lineage: Lineage,
    after: int,
    upto: int,
    at: str,
) -> None:
    """Move the position, or fail with :class:`ArchiveConflict`.  First of all, for it locks the event."""
    # The lock keeps other writers out until the end.
    found = connection.execute(queries.position(event, lock=True)).first()
    stored = None if found is None else Head(*found)
    touched = 0
    if stored is None:
        if after == 0:
            first = queries.first_position(insert, event, lineage.epoch, upto, at)
            touched = connection.execute(first).rowcount
    elif stored.seq == after and continues(Cursor(*stored), lineage.epoch, lineage.ancestors):
        parameters = {
            "b_event": event,
            "b_epoch": stored.epoch,
            "b_seq": stored.seq,
            "epoch": lineage.epoch,
            "seq": upto,
            "updated_at": at,
        }
        touched = connection.execute(queries.advance, parameters).rowcount
    if touched != 1:
        where = "empty" if stored is None else "at {}:{}".format(*stored)
        raise ArchiveConflict(f"the archive of {event} is {where}, not at {lineage.epoch}:{after}")
    if stored is None or stored.epoch != lineage.epoch:
        connection.execute(queries.forget_ancestors(event))
        if lineage.ancestors:
            rows = [
                {"event": event, "epoch": ancestor.epoch, "shared": ancestor.shared}
                for ancestor in lineage.ancestors
            ]
            connection.execute(insert(queries.epochs), rows)


def write(connection: Connection, insert: queries.Insert, event: str, folded: Folded) -> bool:
    """The rows and what follows from them; whether content was overwritten."""
    overwritten = []
    if folded.removals:
        keys = [removal.key for removal in folded.removals]
        overwritten = [
            {"b_event": event, "b_seq": seq, "b_type": REDACTED, "b_stored": redact(stored)}
            for seq, stored in connection.execute(queries.content_of(event, keys))
        ]
    if overwritten:
        connection.execute(queries.redact_change, overwritten)
    if folded.rows:
        rows = [
            {
                "event": event,
                "seq": change.seq,
                "type": change.type,
                "at": change.at,
                "item_key": item_key,
                "stored": change.stored,
            }
            for change, item_key in folded.rows
        ]
        put(connection, queries.put_changes(insert), rows)
    if folded.removals:  # before the items: some of these may have been restored since
        tombstones = [
            {
                "event": event,
                "item_key": removal.key,
                "item_id": _plain(removal.id),
                "first_seq": removal.seq,
                "seq": removal.seq,
                "removed_seq": removal.seq,
            }
            for removal in folded.removals
        ]
        put(connection, queries.remove_items(insert), tombstones)
    for statement, restored in ((queries.put_items, False), (queries.restore_items, True)):
        states = [
            {
                "event": event,
                "item_key": state.key,
                "item_id": _plain(state.id),
                "first_seq": state.first_seq,
                "seq": state.seq,
                "version": _plain(state.version),
                "source": _plain(state.source),
                "handle": _plain(state.handle),
                "created_at": _plain(state.created_at),
                "content": state.content,
                "talk": _plain(state.talk),
            }
            for state in folded.items
            if state.restored is restored
        ]
        if states:
            put(connection, statement(insert), states)
    _file(connection, event, folded.filings)
    if folded.gaps:
        outages = [
            {
                "event": event,
                "source": _plain(gap.source),
                "from_at": _plain(gap.from_),
                "to_at": _plain(gap.to),
                "state": gap.state,
                "fetched": gap.fetched,
                "reason": _plain(gap.reason),
                "seq": seq,
            }
            for seq, gap in folded.gaps
        ]
        put(connection, queries.put_gaps(insert), outages)
    return bool(overwritten)


def _file(connection: Connection, event: str, filings: Sequence[ItemFiling]) -> None:
    """Bring the talks of items up to date, after the items themselves."""
    for some in portions(filings):
        parameters: dict[str, Any] = {"event": event}
        for number, one in enumerate(some):
            parameters[f"key_{number}"] = one.key
            parameters[f"talk_{number}"] = _plain(one.talk)
            parameters[f"seq_{number}"] = one.seq
        connection.execute(queries.file_items(len(some)), parameters)


async def position(sql: Statements, event: str) -> Head | None:
    """The last position copied."""
    found = await sql.rows(queries.position(event))
    return Head(*found[0]) if found else None


async def extent(sql: Statements, event: str) -> tuple[int, int]:
    """First and last seq of what is held without a hole up to the end, ``(1, 0)`` for none."""
    first, last, skipped = (await sql.rows(queries.extent(event)))[0]
    if skipped is not None and first is not None:
        first = max(first, skipped + 1)
    return (1, 0) if first is None or first > last else (first, last)


def _plain(text: str | None) -> str | None:
    """Text that any database takes: PostgreSQL knows no NUL, and UTF-8 no half of a surrogate pair.  The
    item's JSON has it as it was."""
    if text is None:
        return None
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\0")
