"""The events in the SQLite file behind the embedded live log: recording, telling apart, trimming, restoring.

Everything here blocks, and happens in the transaction that is open (:mod:`afeed.livelog.database`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from afeed.core.change import EDITED, GAP, POSTED, REMOVED, STORED_AT_LENGTH, Change, compose, redact
from afeed.core.cursor import Ancestor
from afeed.core.draft import Record
from afeed.core.errors import EpochChanged, LogFull
from afeed.core.recovery import record_of
from afeed.interfaces import Position, Recorded, Slice

#: How many entries one call of :meth:`Events.trim` drops, so that nobody waits for long behind it.
TRIM_COUNT = 5000

_REDACTED_LENGTH = len(redact(b" " * STORED_AT_LENGTH))

_ancestors = msgspec.json.Decoder(tuple[Ancestor, ...])


class State(NamedTuple):
    """Where one event stands: entries ``base + 1`` to ``head`` are kept and are ``bytes`` long.  ``id`` is its
    row; while something is staged under a row of its own, ``slug`` is None there."""

    id: int
    slug: str | None
    epoch: str
    ancestors: tuple[Ancestor, ...]
    base: int
    head: int
    bytes: int


class _Known(NamedTuple):
    """An item's latest version, the highest number of one, the seq of its latest change, and whether that is
    its removal."""

    version_key: bytes
    rank: int
    seq: int
    removed: int


class Events:
    """The events that ``connection`` knows.  ``max_bytes`` bounds the bodies kept per event, ``window`` is what
    trimming must leave.

    Where they stand is kept in memory, too, and written by :meth:`_save`; whoever undoes a transaction has to
    undo that (:meth:`_load`).
    """

    def __init__(self, connection: sqlite3.Connection, *, window: int, max_bytes: int) -> None:
        self._run = connection.execute
        self._window = window
        self._max_bytes = max_bytes
        self._events: dict[int, State] = {}
        self._rows: dict[str, int] = {}
        #: The rows of events that stand elsewhere than the file says.
        self._dirty: set[int] = set()

    def _load(self) -> None:
        rows = self._run("SELECT id, slug, epoch, ancestors, base, head, bytes FROM event")
        self._events = {
            row: State(row, slug, epoch, _ancestors.decode(ancestors), base, head, size)
            for row, slug, epoch, ancestors, base, head, size in rows
        }
        self._rows = {state.slug: row for row, state in self._events.items() if state.slug is not None}

    def _put(self, state: State) -> None:
        self._events[state.id] = state
        self._dirty.add(state.id)

    def _save(self) -> None:
        for row in self._dirty:
            state = self._events[row]
            self._run(
                "UPDATE event SET epoch=?, ancestors=?, base=?, head=?, bytes=? WHERE id=?",
                (state.epoch, msgspec.json.encode(state.ancestors), state.base, state.head, state.bytes, row),
            )

    # Reading

    def state(self, slug: str) -> State | None:
        """Where the event stands, None when the file knows nothing of it."""
        row = self._rows.get(slug)
        return None if row is None else self._events[row]

    def read(self, slug: str, after: int, limit: int) -> Slice:
        """Up to ``limit`` changes above ``after``."""
        state = self._events[self._rows[slug]]
        first = max(after, state.base) + 1
        rows = self._run(
            "SELECT seq, body FROM entry WHERE event=? AND seq>=? ORDER BY seq LIMIT ?",
            (state.id, first, limit),
        )
        return Slice(state.epoch, first, [Change.decode(seq, body) for seq, body in rows])

    def position(self, slug: str, source: str) -> str | None:
        """What was last stored for ``source``."""
        row = self._run(
            "SELECT value FROM position WHERE event=? AND source=?", (self._rows[slug], source)
        ).fetchone()
        return None if row is None else str(row[0])

    # Writing

    def append(
        self, slug: str, epoch: str | None, records: Sequence[Record], at: str, position: Position | None
    ) -> tuple[list[Recorded], list[Change]]:
        """Record ``records`` and ``position``; returns what became of each, and the new changes."""
        state = self._events[self._rows[slug]]
        if epoch is not None and epoch != state.epoch:
            raise EpochChanged(f"the live log of {slug} is in epoch {state.epoch}, not {epoch}")
        recorded, changes = self.record(state.id, [(record, at) for record in records])
        after = self._events[state.id].bytes
        if after > state.bytes and after > self._max_bytes:
            raise LogFull(
                f"the live log of {slug} has reached max_log_bytes ({self._max_bytes}) because the archive "
                "does not follow: bring the archive back, or raise max_log_bytes"
            )
        if position is not None:
            self._run(
                "INSERT INTO position VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value=excluded.value",
                (state.id, position.source, position.value),
            )
        return recorded, changes

    def record(self, row: int, records: Sequence[tuple[Record, str]]) -> tuple[list[Recorded], list[Change]]:
        """Number what is new among ``records``, each with its time, in the event in ``row``."""
        recorded, changes = [], []
        for record, at in records:
            known = self._known(row, record)
            seq, type_ = self._decide(row, record, known)
            if type_ is not None:
                body = compose(record, type_, at)
                self._insert(row, seq, body, record, known)
                changes.append(Change.decode(seq, body))
            recorded.append(Recorded(seq, type_ is not None))
        return recorded, changes

    def _known(self, row: int, record: Record) -> _Known | None:
        """What is known of the record's item."""
        if record.kind == "gap":
            return None
        found = self._run(
            "SELECT version_key, rank, seq, removed FROM item WHERE event=? AND id_key=?", (row, record.id_key)
        ).fetchone()
        return None if found is None else _Known(*found)

    def _earlier(self, row: int, record: Record) -> int | None:
        """The seq of a version that another has superseded since, or of a gap."""
        found = self._run(
            "SELECT seq FROM version WHERE event=? AND version_key=?", (row, record.version_key)
        ).fetchone()
        return None if found is None else int(found[0])

    def _decide(self, row: int, record: Record, known: _Known | None) -> tuple[int, str | None]:
        """The seq of ``record`` and the type of the change it becomes, None for a repetition."""
        fresh = self._events[row].head + 1
        if record.kind == "gap":
            earlier = self._earlier(row, record)
            return (fresh, GAP) if earlier is None else (earlier, None)
        if known is None:
            return fresh, REMOVED if record.kind == "remove" else POSTED
        if known.removed:
            return known.seq, None
        if record.kind == "remove":
            return fresh, REMOVED
        if known.version_key == record.version_key:
            return known.seq, None
        earlier = self._earlier(row, record)
        if earlier is not None:
            return earlier, None
        if 0 < record.order < known.rank:
            return known.seq, None
        return fresh, EDITED

    def _insert(self, row: int, seq: int, body: bytes, record: Record | None, known: _Known | None) -> None:
        """Add the next entry; ``record`` is None for a change whose content is gone."""
        if record is not None:
            self._remember(row, seq, record, known)
        is_item = record is not None and record.kind != "gap"
        self._run(
            "INSERT INTO entry VALUES (?, ?, ?, ?)",
            (row, seq, record.id_key if record is not None and is_item else None, body),
        )
        state = self._events[row]
        self._put(state._replace(head=seq, bytes=state.bytes + len(body)))

    def _remember(self, row: int, seq: int, record: Record, known: _Known | None) -> None:
        """Update the keys of deduplication; a removal also redacts the earlier entries."""
        if record.kind == "gap":
            self._run("INSERT OR REPLACE INTO version VALUES (?, ?, ?)", (row, record.version_key, seq))
            return
        rank = record.order
        if known is not None:
            rank = max(rank, known.rank)
            if record.kind == "remove":
                self._redact(row, record.id_key)
            if known.version_key != record.version_key:
                self._run(
                    "INSERT OR REPLACE INTO version VALUES (?, ?, ?)", (row, known.version_key, known.seq)
                )
        self._run(
            "INSERT OR REPLACE INTO item VALUES (?, ?, ?, ?, ?, ?)",
            (row, record.id_key, record.version_key, rank, seq, record.kind == "remove"),
        )

    def _redact(self, row: int, id_key: bytes) -> None:
        entries = self._run("SELECT seq, body FROM entry WHERE event=? AND id_key=?", (row, id_key)).fetchall()
        freed = 0
        for seq, body in entries:
            self._run("UPDATE entry SET body=?, id_key=NULL WHERE event=? AND seq=?", (redact(body), row, seq))
            freed += len(body) - _REDACTED_LENGTH
        state = self._events[row]
        self._put(state._replace(bytes=state.bytes - freed))

    def trim(self, slug: str, upto: int) -> bool:
        """Drop entries up to ``upto``, never one of the newest ``window``; False while there are more to
        drop."""
        state = self._events[self._rows[slug]]
        last = min(upto, state.head - self._window)
        self._drop(state.id, min(last, state.base + TRIM_COUNT))
        return last <= state.base + TRIM_COUNT

    def _drop(self, row: int, upto: int) -> None:
        state = self._events[row]
        if upto <= state.base:
            return
        (size,) = self._run(
            "SELECT coalesce(sum(length(body)), 0) FROM entry WHERE event=? AND seq<=?", (row, upto)
        ).fetchone()
        self._run("DELETE FROM entry WHERE event=? AND seq<=?", (row, upto))
        self._put(state._replace(base=upto, bytes=state.bytes - size))

    # Recovery

    def create(self, slug: str | None, epoch: str, ancestors: tuple[Ancestor, ...]) -> int:
        """A new, empty event; returns its row.  Without ``slug`` it is staged: dropped at the next start
        unless :meth:`publish` gave it one."""
        row = self._run(
            "INSERT INTO event (slug, epoch, ancestors, base, head, bytes) VALUES (?, ?, ?, 0, 0, 0)",
            (slug, epoch, msgspec.json.encode(ancestors)),
        ).lastrowid
        assert row is not None
        self._events[row] = State(row, slug, epoch, ancestors, 0, 0, 0)
        if slug is not None:
            self._rows[slug] = row
        return row

    def restore(self, row: int, changes: Sequence[Change], keep_above: int) -> None:
        """Add ``changes`` as they are, keys included.  Where they begin above the end, what is there before
        them is dropped; of the others only entries above ``keep_above`` are kept."""
        for change in changes:
            state = self._events[row]
            if change.seq > state.head + 1:
                self._put(state._replace(head=change.seq - 1))
                self._drop(row, change.seq - 1)
            elif change.seq <= state.head:
                continue
            record = record_of(change)
            known = None if record is None else self._known(row, record)
            self._insert(row, change.seq, change.stored, record, known)
        self._drop(row, min(keep_above, self._events[row].head))

    def renew(self, row: int, epoch: str, ancestors: tuple[Ancestor, ...]) -> None:
        """Begin ``epoch`` with what is there."""
        self._put(self._events[row]._replace(epoch=epoch, ancestors=ancestors))

    def publish(self, row: int, slug: str) -> None:
        """Put the staged event in ``row`` in the place of ``slug``; positions of sources are kept."""
        old = self._rows.get(slug)
        if old is not None:
            self._run("UPDATE position SET event=? WHERE event=?", (row, old))
            self._forget(old)
        self._run("UPDATE event SET slug=? WHERE id=?", (slug, row))
        self._events[row] = self._events[row]._replace(slug=slug)
        self._rows[slug] = row

    def _forget(self, row: int) -> None:
        for table in ("entry", "item", "version", "position"):
            self._run(f"DELETE FROM {table} WHERE event=?", (row,))  # noqa: S608 - the names are above
        self._run("DELETE FROM event WHERE id=?", (row,))
        self._events.pop(row, None)
        self._dirty.discard(row)
