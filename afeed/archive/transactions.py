"""What happens within one transaction of the archive."""

from __future__ import annotations

from typing import Any, Protocol

from sqlalchemy import Executable

from afeed.archive import queries
from afeed.core.change import REDACTED, redact
from afeed.core.cursor import Cursor
from afeed.core.errors import ArchiveConflict
from afeed.core.straining import Folded, continues
from afeed.interfaces import Head, Lineage


class Statements(Protocol):
    """What these need of a transaction, such as :class:`afeed.archive.engine.Transaction`."""

    async def execute(self, statement: Executable, parameters: Any = None) -> int:
        """Execute; the number of rows it touched."""
        ...

    async def rows(self, statement: Executable, parameters: Any = None) -> list[Any]:
        """Execute; all rows it gives, as tuples."""
        ...


async def advance(
    sql: Statements, insert: queries.Insert, event: str, lineage: Lineage, after: int, upto: int, at: str
) -> None:
    """Move the position, or fail with :class:`ArchiveConflict`.  First of all, for it locks the event."""
    stored = await position(sql, event, lock=True)
    touched = 0
    if stored is None:
        if after == 0:
            touched = await sql.execute(queries.first_position(insert, event, lineage.epoch, upto, at))
    elif stored.seq == after and continues(Cursor(*stored), lineage.epoch, lineage.ancestors):
        touched = await sql.execute(queries.advance(event, stored, (lineage.epoch, upto), at))
    if touched != 1:
        found = "empty" if stored is None else "at {}:{}".format(*stored)
        raise ArchiveConflict(f"the archive of {event} is {found}, not at {lineage.epoch}:{after}")
    if stored is None or stored.epoch != lineage.epoch:
        await sql.execute(queries.forget_ancestors(event))
        if lineage.ancestors:
            rows = [
                {"event": event, "epoch": ancestor.epoch, "shared": ancestor.shared}
                for ancestor in lineage.ancestors
            ]
            await sql.execute(insert(queries.epochs), rows)


async def write(sql: Statements, insert: queries.Insert, event: str, folded: Folded) -> bool:
    """The rows and what follows from them; whether content was overwritten."""
    overwritten = []
    if folded.removals:
        keys = [removal.key for removal in folded.removals]
        overwritten = [
            {"b_event": event, "b_seq": seq, "b_type": REDACTED, "b_stored": redact(stored)}
            for seq, stored in await sql.rows(queries.content_of(event, keys))
        ]
    if overwritten:
        await sql.execute(queries.redact_change, overwritten)
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
        await sql.execute(insert(queries.changes), rows)
    if folded.items:
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
            }
            for state in folded.items
        ]
        await sql.execute(queries.put_items(insert), states)
    if folded.removals:
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
        await sql.execute(queries.remove_items(insert), tombstones)
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
        await sql.execute(queries.put_gaps(insert), outages)
    return bool(overwritten)


async def position(sql: Statements, event: str, lock: bool = False) -> Head | None:
    """The last position copied; ``lock`` keeps other writers out until the end."""
    found = await sql.rows(queries.position(event, lock=lock))
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
