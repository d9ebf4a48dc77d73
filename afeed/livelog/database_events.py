"""The events in the SQLite file behind the embedded live log: recording, telling apart, trimming, restoring.

Everything here blocks, and happens in the transaction that is open (:mod:`afeed.livelog.database`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple, TypeVar

import attrs
import msgspec

from afeed.core.change import EDITED, ONCE, POSTED, REMOVED, STORED_AT_LENGTH, Change, compose, redact
from afeed.core.cursor import Ancestor
from afeed.core.draft import ITEMLESS, Record
from afeed.core.errors import EpochChanged, LogFull
from afeed.core.recovery import record_of
from afeed.interfaces import Position, Recorded, Slice
from afeed.livelog.room import full

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


@attrs.define
class _Adding:
    """Entries on their way into the event in ``row``, which ends at ``head`` and has ``size`` bytes with them.

    ``items`` has every item that they may be about, ``changed`` the keys of those that are not written yet, and
    ``versions`` the seqs of superseded versions that are not."""

    row: int
    head: int
    size: int
    items: dict[bytes, _Known | None]
    changed: set[bytes] = attrs.Factory(set)
    versions: dict[bytes, int] = attrs.Factory(dict)
    entries: list[tuple[int, int, bytes | None, bytes]] = attrs.Factory(list)


#: How many rows share a statement, the most first: few enough sizes for every statement to stay prepared.
_TOGETHER = (100, 10, 1)

_COLUMNS = {"entry": 4, "item": 6, "version": 3}

_INSERT = {
    (table, count): f"INSERT {'' if table == 'entry' else 'OR REPLACE '}INTO {table} VALUES "  # noqa: S608
    + ",".join(["(" + ",".join("?" * columns) + ")"] * count)
    for table, columns in _COLUMNS.items()
    for count in _TOGETHER
}

_FIND = {
    count: "SELECT id_key, version_key, rank, seq, removed FROM item WHERE event=? AND id_key IN ("  # noqa: S608
    + ",".join("?" * count)
    + ")"
    for count in _TOGETHER
}

_Row = TypeVar("_Row")


def portions(rows: Sequence[_Row]) -> Iterator[tuple[int, Sequence[_Row]]]:
    """``rows`` in pieces of the sizes in ``_TOGETHER``, each with its size."""
    start = 0
    for count in _TOGETHER:
        while len(rows) - start >= count:
            yield count, rows[start : start + count]
            start += count


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
        before = self._size(state.id)
        recorded, changes = self.record(state.id, [(record, at) for record in records])
        self._fits(slug, before)
        if position is not None:
            self._run(
                "INSERT INTO position VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value=excluded.value",
                (state.id, position.source, position.value),
            )
        return recorded, changes

    def _size(self, row: int) -> int:
        """What counts towards ``max_bytes``."""
        return self._events[row].bytes

    def _fits(self, slug: str, before: int) -> None:
        """Raise :class:`LogFull` if the event has grown beyond what it may, from ``before`` bytes."""
        row = self._rows[slug]
        after = self._size(row)
        if after > before and after > self._max_bytes:
            raise LogFull(full([slug], self._max_bytes, after - self._events[row].bytes))

    def record(self, row: int, records: Sequence[tuple[Record, str]]) -> tuple[list[Recorded], list[Change]]:
        """Number what is new among ``records``, each with its time, in the event in ``row``."""
        recorded, changes = [], []
        adding = self._adding(row, [record.id_key for record, _ in records if record.kind not in ITEMLESS])
        for record, at in records:
            seq, type_ = self._decide(adding, record)
            if type_ is not None:
                body = compose(record, type_, at)
                self._add(adding, seq, body, record)
                changes.append(Change.decode(seq, body))
            recorded.append(Recorded(seq, type_ is not None))
        self._flush(adding)
        return recorded, changes

    def _adding(self, row: int, id_keys: Sequence[bytes]) -> _Adding:
        """What is known of the items whose keys these are, and nothing to be written yet."""
        state = self._events[row]
        items: dict[bytes, _Known | None] = dict.fromkeys(id_keys)
        for count, some in portions(list(items)):
            found = self._run(_FIND[count], (row, *some))
            for id_key, *known in found:
                items[id_key] = _Known(*known)
        return _Adding(row, state.head, state.bytes, items)

    def _earlier(self, adding: _Adding, record: Record) -> int | None:
        """The seq of a version that another has superseded since, or of what is recorded once."""
        pending = adding.versions.get(record.version_key)
        if pending is not None:
            return pending
        found = self._run(
            "SELECT seq FROM version WHERE event=? AND version_key=?", (adding.row, record.version_key)
        ).fetchone()
        return None if found is None else int(found[0])

    def _decide(self, adding: _Adding, record: Record) -> tuple[int, str | None]:
        """The seq of ``record`` and the type of the change it becomes, None for a repetition."""
        fresh = adding.head + 1
        once = ONCE.get(record.kind)
        if once is not None:
            return self._decide_once(adding, record, once)
        known = adding.items[record.id_key]
        if known is None:
            return fresh, REMOVED if record.kind == "remove" else POSTED
        if known.removed:
            if record.kind == "restore" and self._earlier(adding, record) is None:
                return fresh, POSTED
            return known.seq, None
        if record.kind == "remove":
            return fresh, REMOVED
        if known.version_key == record.version_key:
            return known.seq, None
        earlier = self._earlier(adding, record)
        if earlier is not None:
            return earlier, None
        if 0 < record.order < known.rank:
            return known.seq, None
        return fresh, EDITED

    def _decide_once(self, adding: _Adding, record: Record, type_: str) -> tuple[int, str | None]:
        if record.kind == "file":
            known = adding.items[record.id_key]
            if known is None or known.removed:
                return (0 if known is None else known.seq), None
        earlier = self._earlier(adding, record)
        return (adding.head + 1, type_) if earlier is None else (earlier, None)

    def _add(self, adding: _Adding, seq: int, body: bytes, record: Record | None) -> None:
        """Add the next entry; ``record`` is None for a change whose content is gone."""
        id_key = None if record is None else self._remember(adding, seq, record)
        adding.entries.append((adding.row, seq, id_key, body))
        adding.head = seq
        adding.size += len(body)

    def _remember(self, adding: _Adding, seq: int, record: Record) -> bytes | None:
        """Update the keys of deduplication; a removal also redacts the earlier entries.  Returns the key under
        which the new entry has to be found: the only entry of an item is found where the item says it is."""
        if record.kind in ONCE:
            adding.versions[record.version_key] = seq
            return None
        known = adding.items[record.id_key]
        id_key = None
        rank = record.order
        if known is not None:
            rank = max(rank, known.rank)
            if record.kind == "remove":
                self._redact(adding, record.id_key, known.seq)
            elif known.removed:
                # What is posted again begins anew: the removal itself, filed in layout 1, is never redacted.
                self._file(adding, None, known.seq)
            else:
                self._file(adding, record.id_key, known.seq)
                id_key = record.id_key
            if known.version_key != record.version_key:
                adding.versions[known.version_key] = known.seq
        adding.items[record.id_key] = _Known(record.version_key, rank, seq, record.kind == "remove")
        adding.changed.add(record.id_key)
        return id_key

    def _file(self, adding: _Adding, id_key: bytes | None, seq: int) -> None:
        """Let the entry ``seq`` be found under ``id_key``: it is not its item's only one any more."""
        self._flush(adding)
        self._run("UPDATE entry SET id_key=? WHERE event=? AND seq=?", (id_key, adding.row, seq))

    def _redact(self, adding: _Adding, id_key: bytes, latest: int) -> None:
        """Take the content out of the entries of an item, the last of which is ``latest``."""
        self._flush(adding)
        row = adding.row
        entries = self._run(
            "SELECT seq, body FROM entry WHERE event=?1 AND id_key=?2 "
            "UNION SELECT seq, body FROM entry WHERE event=?1 AND seq=?3",
            (row, id_key, latest),
        ).fetchall()
        for seq, body in entries:
            self._run("UPDATE entry SET body=?, id_key=NULL WHERE event=? AND seq=?", (redact(body), row, seq))
            adding.size -= len(body) - _REDACTED_LENGTH

    def _flush(self, adding: _Adding) -> None:
        """Write what was added, in as few statements as that takes: with each the thread lets go of the
        interpreter, and has to queue for it again."""
        row = adding.row
        items = [
            (row, id_key, *known) for id_key in adding.changed if (known := adding.items[id_key]) is not None
        ]
        versions = [(row, key, seq) for key, seq in adding.versions.items()]
        for table, rows in (("item", items), ("version", versions), ("entry", adding.entries)):
            for count, some in portions(rows):
                self._run(_INSERT[table, count], tuple(chain.from_iterable(some)))
        adding.entries, adding.versions, adding.changed = [], {}, set()
        state = self._events[row]
        if (state.head, state.bytes) != (adding.head, adding.size):
            self._put(state._replace(head=adding.head, bytes=adding.size))

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
        records = [record_of(change) for change in changes]
        adding = self._adding(row, [r.id_key for r in records if r is not None and r.kind not in ITEMLESS])
        for change, record in zip(changes, records, strict=True):
            if change.seq > adding.head + 1:
                self._flush(adding)
                self._put(self._events[row]._replace(head=change.seq - 1))
                self._drop(row, change.seq - 1)
                adding.head, adding.size = change.seq - 1, self._events[row].bytes
            elif change.seq <= adding.head:
                continue
            self._add(adding, change.seq, change.stored, record)
        self._flush(adding)
        self._drop(row, min(keep_above, adding.head))

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
