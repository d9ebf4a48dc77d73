"""What the embedded live log holds back, in the same SQLite file (``HELD_SCHEMA`` of
:mod:`afeed.livelog.database_file`).

Everything here blocks, and happens in the transaction that is open (:mod:`afeed.livelog.database`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from afeed.core.change import Change, milliseconds
from afeed.core.cursor import Ancestor
from afeed.core.draft import KEY_BYTES, Record, key
from afeed.interfaces import HeldItem, Recorded
from afeed.livelog.database_events import Events, portions
from afeed.livelog.entries import OVERHEAD, Entry, held_item


class Standing(NamedTuple):
    """The ``bytes`` that an event has, the number of items that it holds, stopped ones among them, and how many
    of the bytes are theirs."""

    bytes: int
    held: int
    held_bytes: int


class Holding(NamedTuple):
    """How many items an event holds and what they count towards ``max_bytes``."""

    items: int
    bytes: int


NOTHING = Holding(0, 0)

#: What becomes of an item that is held in a newer version: it keeps its place, and the time since when.
_REPLACED = ("size", "due", "version_key", "rank", "until", "reason", "earlier", "tail")

_KEEP = (
    f"INSERT INTO held (event, id_key, id, at, {', '.join(_REPLACED)}, stopped) "  # noqa: S608
    f"VALUES (?, ?, ?, ?, {'?, ' * len(_REPLACED)}0) ON CONFLICT (event, id_key) DO UPDATE SET stopped=0, "
    + ", ".join(f"{name}=excluded.{name}" for name in _REPLACED)
)


class _Kept(NamedTuple):
    """What is held of one item."""

    size: int
    stopped: int
    version_key: bytes
    rank: int
    id: str
    earlier: bytes
    tail: bytes

    @property
    def versions(self) -> set[bytes]:
        """The keys of all versions that were held of it."""
        ends = range(0, len(self.earlier), KEY_BYTES)
        return {self.version_key, *(self.earlier[at : at + KEY_BYTES] for at in ends)}


class HeldEvents(Events):
    """The events, and what is held of each.  How much that is stays in memory, so that an event which holds
    nothing costs appends nothing."""

    def __init__(self, connection: sqlite3.Connection, *, window: int, max_bytes: int) -> None:
        super().__init__(connection, window=window, max_bytes=max_bytes)
        self._holding: dict[int, Holding] = {}

    def _load(self) -> None:
        super()._load()
        found = self._run("SELECT event, count(*), sum(size) FROM held GROUP BY event")
        self._holding = {row: Holding(count, size) for row, count, size in found}

    def standing(self, slug: str) -> Standing:
        """How much there is of the event."""
        row = self._rows[slug]
        held = self._holding.get(row, NOTHING)
        return Standing(self._events[row].bytes + held.bytes, held.items, held.bytes)

    def _size(self, row: int) -> int:
        return self._events[row].bytes + self._holding.get(row, NOTHING).bytes

    def _count(self, row: int, items: int, size: int) -> None:
        before = self._holding.get(row, NOTHING)
        self._holding[row] = Holding(before.items + items, before.bytes + size)
        # What was held is not to be lost more easily than what was recorded.
        self._dirty.add(row)

    def _kept(self, row: int, id_keys: Sequence[bytes]) -> dict[bytes, _Kept]:
        """What is held of the items whose keys these are."""
        kept: dict[bytes, _Kept] = {}
        if self._holding.get(row, NOTHING).items:
            for count, some in portions(list(dict.fromkeys(id_keys))):
                found = self._run(
                    "SELECT id_key, size, stopped, version_key, rank, id, earlier, tail FROM held "  # noqa: S608
                    f"WHERE event=? AND id_key IN ({','.join('?' * count)})",
                    (row, *some),
                )
                kept.update((id_key, _Kept(*rest)) for id_key, *rest in found)
        return kept

    # Changing

    def hold(self, slug: str, entries: Sequence[Entry], at: str) -> tuple[list[bool], bool]:
        """Hold what is new of ``entries``; returns which are, and whether one took the place of an older."""
        row = self._rows[slug]
        before = self._size(row)
        id_keys = [entry.record.id_key for entry in entries]
        adding, kept = self._adding(row, id_keys), self._kept(row, id_keys)
        new, replaced = [], False
        for entry in entries:
            known = kept.get(entry.record.id_key)
            fresh = self._decide(adding, entry.record)[1] is not None and (
                known is None
                or not (entry.record.version_key in known.versions or 0 < entry.record.order < known.rank)
            )
            if fresh:
                kept[entry.record.id_key] = self._keep(row, entry, known, at)
                replaced = replaced or known is not None
            new.append(fresh)
        self._fits(slug, before)
        return new, replaced

    def _keep(self, row: int, entry: Entry, known: _Kept | None, at: str) -> _Kept:
        """Hold ``entry``, in the place of what is ``known`` to be held of the item."""
        record = entry.record
        until, due, rank, earlier = entry.until, entry.due, record.order, b""
        if known is not None:
            rank, earlier = max(rank, known.rank), known.earlier + known.version_key
            if known.stopped:
                until = due = None
        size = OVERHEAD + len(record.tail) + len(earlier)
        place = (row, record.id_key, record.id, at)
        state = (size, due, record.version_key, rank, until, entry.reason, earlier, record.tail)
        self._run(_KEEP, place + state)
        self._count(row, known is None, size - (0 if known is None else known.size))
        return _Kept(size, 0, record.version_key, rank, record.id, earlier, record.tail)

    def release(self, slug: str, ids: Sequence[str], at: str) -> tuple[list[Recorded], list[Change]]:
        """Record what is held of ``ids``; returns what became of each, and the new changes."""
        row = self._rows[slug]
        before = self._size(row)
        id_keys = list(map(key, ids))
        kept = self._kept(row, id_keys)
        records = [
            (Record("post", one.id, id_key, one.version_key, one.rank, one.tail), at)
            for id_key in dict.fromkeys(id_keys)
            if (one := kept.get(id_key)) is not None
        ]
        recorded, changes = super().record(row, records)
        self._let_go(row, kept)
        self._fits(slug, before)
        outcomes = {record.id_key: result for (record, _), result in zip(records, recorded, strict=True)}
        return [outcomes.pop(id_key, Recorded(0, False)) for id_key in id_keys], changes

    def stop_held(self, slug: str, ids: Sequence[str]) -> None:
        """Keep ``ids`` from being due, where they are held."""
        row = self._rows[slug]
        for id_key in self._kept(row, list(map(key, ids))):
            self._run("UPDATE held SET stopped=1 WHERE event=? AND id_key=?", (row, id_key))
            self._dirty.add(row)

    def record(self, row: int, records: Sequence[tuple[Record, str]]) -> tuple[list[Recorded], list[Change]]:
        recorded, changes = super().record(row, records)
        if self._holding.get(row, NOTHING).items:
            self._supersede(row, [record for record, _ in records], recorded)
        return recorded, changes

    def _supersede(self, row: int, records: Sequence[Record], recorded: Sequence[Recorded]) -> None:
        """Let go of what was removed, or posted in a version that is not older."""
        decided = [
            record
            for record, result in zip(records, recorded, strict=True)
            if record.kind == "remove" or (result.new and record.kind in ("post", "restore"))
        ]
        kept = self._kept(row, [record.id_key for record in decided])
        gone = {
            record.id_key: kept[record.id_key]
            for record in decided
            if record.id_key in kept
            and (record.kind == "remove" or not 0 < record.order < kept[record.id_key].rank)
        }
        self._let_go(row, gone)

    def _let_go(self, row: int, kept: dict[bytes, _Kept]) -> None:
        for id_key, one in kept.items():
            self._run("DELETE FROM held WHERE event=? AND id_key=?", (row, id_key))
            self._count(row, -1, -one.size)

    # Looking

    def held(self, slug: str, limit: int, after: str | None, stopped: bool) -> list[HeldItem]:
        """Up to ``limit`` that wait or were ``stopped``, from the one behind ``after`` on."""
        row, place = self._rows[slug], 0
        if after is not None:
            found = self._run(
                "SELECT place FROM held WHERE event=? AND id_key=? AND stopped=?", (row, key(after), stopped)
            ).fetchone()
            place = 0 if found is None else found[0]
        rows = self._run(
            "SELECT tail, reason, until, at FROM held WHERE event=? AND stopped=? AND place>? ORDER BY place "
            "LIMIT ?",
            (row, stopped, place, limit),
        )
        return [held_item(tail, reason, until, at, stopped) for tail, reason, until, at in rows]

    def due(self, slug: str, at: str, limit: int) -> list[str]:
        """The ids of those that wait no longer than until ``at``."""
        found = self._run(
            "SELECT id FROM held WHERE event=? AND due IS NOT NULL AND stopped=0 AND due<=? "
            "ORDER BY due, place LIMIT ?",
            (self._rows[slug], milliseconds(at), limit),
        )
        return [item_id for (item_id,) in found]

    # Recovery

    def renew(self, row: int, epoch: str, ancestors: tuple[Ancestor, ...]) -> None:
        super().renew(row, epoch, ancestors)
        self._sweep(row)

    def publish(self, row: int, slug: str) -> None:
        """What is held is kept, as positions are."""
        old = self._rows.get(slug)
        if old is not None and old in self._holding:
            self._run("UPDATE held SET event=? WHERE event=?", (row, old))
            self._holding[row] = self._holding.pop(old)
        super().publish(row, slug)
        self._sweep(row)

    def _sweep(self, row: int) -> None:
        """Let go of what the log has by now: it may have been filled with more than it knew."""
        if not self._holding.get(row, NOTHING).items:
            return
        records = [
            Record("post", "", id_key, version_key, rank, b"")
            for id_key, version_key, rank in self._run(
                "SELECT id_key, version_key, rank FROM held WHERE event=?", (row,)
            ).fetchall()
        ]
        adding = self._adding(row, [record.id_key for record in records])
        known = [record.id_key for record in records if self._decide(adding, record)[1] is None]
        self._let_go(row, self._kept(row, known))

    def _forget(self, row: int) -> None:
        self._run("DELETE FROM held WHERE event=?", (row,))
        self._holding.pop(row, None)
        super()._forget(row)
