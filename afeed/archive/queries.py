"""The archive's SQL: statements without I/O.

Those by which changes are copied are made once: SQLAlchemy takes longer to put one together than SQLite to
execute it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Delete,
    Select,
    TextClause,
    Update,
    bindparam,
    case,
    delete,
    func,
    not_,
    select,
    text,
    update,
)

from afeed.archive.tables import changes, epochs, holes, items, positions, source_gaps
from afeed.core.change import EDITED, POSTED
from afeed.core.present import LATE_S

Insert = Callable[..., Any]
Late = Callable[[Any, Any, float], ColumnElement[bool]]


def position(event: str, *, lock: bool = False) -> Select[Any]:
    """(epoch, seq) of the last change copied; ``lock`` keeps other writers out until the transaction ends."""
    statement = select(positions.c.epoch, positions.c.seq).where(positions.c.event == event)
    return statement.with_for_update() if lock else statement


def first_position(insert: Insert, event: str, epoch: str, seq: int, at: str) -> Any:
    """Touches one row, or none when another writer was first."""
    return (
        insert(positions)
        .values(event=event, epoch=epoch, seq=seq, updated_at=at)
        .on_conflict_do_nothing(index_elements=[positions.c.event])
        .execution_options(preserve_rowcount=True)
    )


#: Touches one row, or none when the position is not the one in the parameters ``b_event``, ``b_epoch`` and
#: ``b_seq``; the others are columns.
advance = (
    update(positions)
    .where(
        positions.c.event == bindparam("b_event"),
        positions.c.epoch == bindparam("b_epoch"),
        positions.c.seq == bindparam("b_seq"),
    )
    .values(epoch=bindparam("epoch"), seq=bindparam("seq"), updated_at=bindparam("updated_at"))
)


def touch(event: str, at: str) -> Update:
    """A write that changes nothing of consequence, to see whether writing works."""
    return update(positions).where(positions.c.event == event).values(updated_at=at)


def ancestors(event: str) -> Select[Any]:
    """(epoch, shared), nearest first: what is nearer shares at least as much."""
    return (
        select(epochs.c.epoch, epochs.c.shared).where(epochs.c.event == event).order_by(epochs.c.shared.desc())
    )


def forget_ancestors(event: str) -> Delete:
    return delete(epochs).where(epochs.c.event == event)


def content_of(event: str, keys: Sequence[bytes]) -> Select[Any]:
    """(seq, stored) of all that was ever posted of these items."""
    return select(changes.c.seq, changes.c.stored).where(
        changes.c.event == event, changes.c.item_key.in_(keys), changes.c.type.in_((POSTED, EDITED))
    )


#: Parameters ``b_event``, ``b_seq`` and the columns of a redacted change.
redact_change = (
    update(changes)
    .where(changes.c.event == bindparam("b_event"), changes.c.seq == bindparam("b_seq"))
    .values(type=bindparam("b_type"), item_key=None, stored=bindparam("b_stored"))
)


@cache
def put_changes(insert: Insert) -> Any:
    """New changes."""
    return insert(changes)


@cache
def put_items(insert: Insert) -> Any:
    """Bring items to a newer state; an item that was removed stays so."""
    new = insert(items)
    return new.on_conflict_do_update(
        index_elements=[items.c.event, items.c.item_key],
        set_=_newer(new),
        where=items.c.removed_seq.is_(None),
    )


@cache
def restore_items(insert: Insert) -> Any:
    """Bring items to a newer state, also those that were removed: these are first posted there."""
    new = insert(items)
    there = items.c.removed_seq.is_(None)
    first = case((there, items.c.first_seq), else_=new.excluded.first_seq)
    newer = _newer(new)
    talk = case((there, newer["talk"]), else_=new.excluded.talk)
    return new.on_conflict_do_update(
        index_elements=[items.c.event, items.c.item_key],
        set_={**newer, "talk": talk, "first_seq": first, "removed_seq": None},
    )


def _newer(new: Any) -> dict[str, Any]:
    fresh = ("seq", "version", "source", "handle", "created_at", "content")
    # An edit that says nothing of the talk leaves the item where it is.
    talk = func.coalesce(new.excluded.talk, items.c.talk)
    return {**{name: new.excluded[name] for name in fresh}, "talk": talk}


@cache
def file_items(count: int) -> TextClause:
    """Bring the talks of ``count`` items up to date, if they are there.  Parameters: ``event`` and, from 0 on,
    ``key_0``, ``talk_0`` and ``seq_0``."""
    rows = ", ".join(f"(:key_{n}, :talk_{n}, :seq_{n})" for n in range(count))
    return text(
        f"WITH new (item_key, talk, seq) AS (VALUES {rows}) "  # noqa: S608 - nothing in it is from outside
        "UPDATE items SET talk = new.talk, seq = new.seq FROM new "
        "WHERE items.event = :event AND items.item_key = new.item_key AND items.removed_seq IS NULL"
    )


@cache
def remove_items(insert: Insert) -> Any:
    """Empty items, known or not."""
    new = insert(items)
    emptied: dict[str, Any] = {"seq": new.excluded.seq, "removed_seq": new.excluded.removed_seq}
    emptied.update(dict.fromkeys(("version", "source", "handle", "created_at", "content", "talk")))
    return new.on_conflict_do_update(
        index_elements=[items.c.event, items.c.item_key], set_=emptied, where=items.c.removed_seq.is_(None)
    )


@cache
def put_gaps(insert: Insert) -> Any:
    """Bring outages to a newer state."""
    new = insert(source_gaps)
    key = (source_gaps.c.event, source_gaps.c.source, source_gaps.c.from_at)
    fresh = ("to_at", "state", "fetched", "reason", "seq")
    return new.on_conflict_do_update(index_elements=key, set_={name: new.excluded[name] for name in fresh})


def gaps(event: str) -> Select[Any]:
    """(seq, source, from, to, state, fetched, reason), in the order in which they began."""
    table = source_gaps.c
    return (
        select(table.seq, table.source, table.from_at, table.to_at, table.state, table.fetched, table.reason)
        .where(table.event == event)
        .order_by(table.from_at, table.source)
    )


def read(event: str, after: int, limit: int) -> Select[Any]:
    """(seq, stored) in order."""
    return (
        select(changes.c.seq, changes.c.stored)
        .where(changes.c.event == event, changes.c.seq > after)
        .order_by(changes.c.seq)
        .limit(limit)
    )


def extent(event: str) -> Select[Any]:
    """(first seq, last seq, end of the last hole), nulls for none; look-ups in the indexes, not a scan."""
    first = select(func.min(changes.c.seq)).where(changes.c.event == event).scalar_subquery()
    last = select(func.max(changes.c.seq)).where(changes.c.event == event).scalar_subquery()
    skipped = select(func.max(holes.c.last_seq)).where(holes.c.event == event).scalar_subquery()
    return select(first, last, skipped)


def visible_items(event: str, limit: int, before: int | None, late: Late | None = None) -> Select[Any]:
    """(first_seq, content, talk), newest first; given ``late``, which compares times, without what was older
    than :data:`~afeed.core.present.LATE_S` when they were recorded."""
    statement = select(items.c.first_seq, items.c.content, items.c.talk).where(
        items.c.event == event, items.c.removed_seq.is_(None)
    )
    if before is not None:
        statement = statement.where(items.c.first_seq < before)
    if late is not None:
        posted = (changes.c.event == items.c.event) & (changes.c.seq == items.c.first_seq)
        statement = statement.join(changes, posted).where(not_(late(changes.c.at, items.c.created_at, LATE_S)))
    return statement.order_by(items.c.first_seq.desc()).limit(limit)


def hole(insert: Insert, event: str, first: int, last: int, epoch: str, at: str) -> Any:
    return insert(holes).values(event=event, first_seq=first, last_seq=last, epoch=epoch, noticed_at=at)
