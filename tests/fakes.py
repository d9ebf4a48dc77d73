"""Small stand-ins that work in memory and answer at once, for tests of what talks to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import msgspec
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from afeed.core.change import EDITED, ONCE, POSTED, REMOVED, Change, compose, milliseconds, timestamp
from afeed.core.cursor import Ancestor, Cursor
from afeed.core.draft import Draft, Held, Posted, Record, Removed, SourceGap, key, prepare, version_order
from afeed.core.errors import ArchiveConflict, EpochChanged
from afeed.core.health import Check
from afeed.core.item import Author, Item
from afeed.core.present import is_late
from afeed.core.straining import continues, fold
from afeed.interfaces import (
    Head,
    HeldItem,
    IArchive,
    ILead,
    ILiveLog,
    IWitness,
    Lineage,
    PageItem,
    Position,
    Recorded,
    Slice,
)
from afeed.livelog.sole_lease import SoleLease


def an_item(number: int, text: str = "hello", handle: str | None = "ann") -> Item:
    """An invented post, number ``number`` of its source."""
    return Item(
        id=f"push:{number}",
        source="push",
        author=Author(name="Ann", handle=handle),
        text=text,
        html=f"<p>{text}</p>",
        created_at=timestamp(1_800_000_000 + number),
    )


def a_post(number: int, text: str = "hello", version: str = "1") -> Posted:
    """A draft of :func:`an_item`."""
    return Posted(an_item(number, text), version)


@attrs.define
class _Kept:
    """What is held of an item; ``order`` is the highest of its ``versions``."""

    item: HeldItem
    order: int
    versions: set[str]


@attrs.define
class _Event:
    epoch: str = "e1"
    ancestors: tuple[Ancestor, ...] = ()
    base: int = 0
    changes: list[Change] = attrs.Factory(list)
    seqs: dict[bytes, int] = attrs.Factory(dict)
    orders: dict[bytes, int] = attrs.Factory(dict)
    positions: dict[str, str] = attrs.Factory(dict)
    held: dict[str, _Kept] = attrs.Factory(dict)

    @property
    def head(self) -> int:
        return self.base + len(self.changes)


@implementer(ILead)
class FakeLead:
    """A node's part among several: ``goes_on`` is what becomes of doubts, ``doubts`` has their tokens."""

    def __init__(self) -> None:
        self.token: str | None = "n 1"
        self.goes_on = False
        self.doubts: list[str] = []

    def doubted(self, token: str) -> Deferred[bool]:
        self.doubts.append(token)
        return succeed(self.goes_on)


@implementer(ILiveLog)
class MemoryLog:
    """A live log in lists.

    ``fault`` is an exception with which everything fails while it is set; ``trouble`` is what health says is
    wrong, None for nothing; ``trimmed`` records the calls of :meth:`trim`, which leaves ``window`` changes;
    :meth:`renew` begins a new epoch.
    """

    def __init__(self, events: Sequence[str], window: int = 1_000_000) -> None:
        self.window = window
        self.lease = SoleLease()
        self.fault: Exception | None = None
        self.trouble: str | None = None
        self.trimmed: list[tuple[str, int]] = []
        self.events = {event: _Event() for event in events}
        self._watchers: list[Callable[[str], None]] = []

    def start(self, events: Sequence[str], witnesses: Sequence[IWitness]) -> Deferred[None]:
        return succeed(None)

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def append(
        self,
        event: str,
        epoch: str | None,
        drafts: Sequence[Draft],
        *,
        lease: str | None = None,
        position: Position | None = None,
    ) -> Deferred[list[Recorded]]:
        if self.fault is not None:
            return fail(self.fault)
        state = self.events[event]
        if epoch not in (None, state.epoch):
            return fail(EpochChanged(f"{event} is in epoch {state.epoch}"))
        recorded = [self._record(state, draft) for draft in drafts]
        if position is not None:
            state.positions[position.source] = position.value
        self.tell(event)
        return succeed(recorded)

    def _record(self, state: _Event, draft: Draft) -> Recorded:
        recorded = self._append(state, prepare(draft))
        if isinstance(draft, Removed) or (recorded.new and isinstance(draft, Posted)):
            item_id = draft.id if isinstance(draft, Removed) else draft.item.id
            held = state.held.get(item_id)
            order = version_order(draft.version) if isinstance(draft, Posted) else 0
            if held is not None and not 0 < order < held.order:
                del state.held[item_id]
        return recorded

    def _append(self, state: _Event, record: Record) -> Recorded:
        removed = state.seqs.get(b"removed" + record.id_key)
        if record.kind == "file" and record.id_key not in state.seqs:
            return Recorded(0, False)
        if record.kind in ONCE:
            seq = removed if removed is not None else state.seqs.get(record.version_key)
            return Recorded(seq, False) if seq is not None else self._add(state, record, ONCE[record.kind])
        if removed is not None and (record.kind != "restore" or record.version_key in state.seqs):
            return Recorded(removed, False)
        highest = state.orders.get(record.id_key, 0)
        if removed is None and record.kind != "remove":
            if record.version_key in state.seqs:
                return Recorded(state.seqs[record.version_key], False)
            if 0 < record.order < highest:
                return Recorded(state.seqs[record.id_key], False)
        state.orders[record.id_key] = max(record.order, highest)
        posting = POSTED if record.id_key not in state.seqs or removed is not None else EDITED
        kind = REMOVED if record.kind == "remove" else posting
        if kind == POSTED:
            state.seqs.pop(b"removed" + record.id_key, None)
        if kind == REMOVED:
            state.seqs[b"removed" + record.id_key] = state.head + 1
            state.changes = [
                change.redacted() if change.id == record.id and change.type in (POSTED, EDITED) else change
                for change in state.changes
            ]
        state.seqs[record.id_key] = state.head + 1
        return self._add(state, record, kind)

    def _add(self, state: _Event, record: Record, kind: str) -> Recorded:
        seq = state.head + 1
        state.seqs[record.version_key] = seq
        state.changes.append(Change.decode(seq, compose(record, kind, timestamp(1_800_000_000 + seq))))
        return Recorded(seq, True)

    def hold(self, event: str, held: Sequence[Held], *, lease: str | None = None) -> Deferred[list[bool]]:
        if self.fault is not None:
            return fail(self.fault)
        try:
            for draft in held:
                milliseconds(timestamp(0) if draft.until is None else draft.until)
        except ValueError as error:
            return fail(error)
        return succeed([self._hold(self.events[event], draft) for draft in held])

    def _hold(self, state: _Event, draft: Held) -> bool:
        record = prepare(draft.posted)
        recorded = {record.version_key, b"removed" + record.id_key} & state.seqs.keys()
        late = 0 < record.order < state.orders.get(record.id_key, 0)
        known = state.held.get(record.id)
        if recorded or late:
            return False
        if known is None:
            at = timestamp(1_800_000_000 + state.head)
            item = HeldItem(draft.item, draft.version, draft.reason, draft.until, at, False)
            state.held[record.id] = _Kept(item, record.order, {draft.version})
            return True
        if draft.version in known.versions or 0 < record.order < known.order:
            return False
        until = None if known.item.stopped else draft.until
        known.item = HeldItem(draft.item, draft.version, draft.reason, until, known.item.at, False)
        known.order = max(record.order, known.order)
        known.versions.add(draft.version)
        return True

    def held(
        self, event: str, limit: int, after: str | None = None, stopped: bool = False
    ) -> Deferred[list[HeldItem]]:
        if self.fault is not None:
            return fail(self.fault)
        kept = [held.item for held in self.events[event].held.values()]
        found = [held for held in kept if held.stopped is stopped]
        ids = [held.item.id for held in found]
        start = ids.index(after) + 1 if after in ids else 0
        return succeed(found[start : start + limit])

    def release(self, event: str, ids: Sequence[str], *, lease: str | None = None) -> Deferred[list[Recorded]]:
        if self.fault is not None:
            return fail(self.fault)
        recorded = [self._release(self.events[event], item_id) for item_id in ids]
        self.tell(event)
        return succeed(recorded)

    def _release(self, state: _Event, item_id: str) -> Recorded:
        held = state.held.pop(item_id, None)
        if held is None:
            return Recorded(0, False)
        recorded = self._record(state, Posted(held.item.item, held.item.version))
        item_key = key(item_id)
        state.orders[item_key] = max(state.orders.get(item_key, 0), held.order)
        return recorded

    def stop_held(self, event: str, ids: Sequence[str]) -> Deferred[None]:
        if self.fault is not None:
            return fail(self.fault)
        held = self.events[event].held
        for item_id in ids:
            if item_id in held:
                held[item_id].item = held[item_id].item._replace(stopped=True)
        return succeed(None)

    def due(self, event: str, at: str, limit: int) -> Deferred[list[str]]:
        if self.fault is not None:
            return fail(self.fault)
        waiting = [held.item for held in self.events[event].held.values() if not held.item.stopped]
        times = {
            held.item.id: milliseconds(held.until)
            for held in waiting
            if held.until is not None and milliseconds(held.until) <= milliseconds(at)
        }
        return succeed(sorted(times, key=times.__getitem__)[:limit])

    def read(self, event: str, after: int, limit: int) -> Deferred[Slice]:
        if self.fault is not None:
            return fail(self.fault)
        state = self.events[event]
        first = max(after, state.base) + 1
        skipped = first - 1 - state.base
        return succeed(Slice(state.epoch, first, state.changes[skipped : skipped + limit]))

    def head(self, event: str) -> Deferred[Head]:
        if self.fault is not None:
            return fail(self.fault)
        return succeed(Head(self.events[event].epoch, self.events[event].head))

    def refresh(self, event: str) -> Deferred[None]:
        return succeed(None) if self.fault is None else fail(self.fault)

    def lineage(self, event: str) -> Deferred[Lineage]:
        if self.fault is not None:
            return fail(self.fault)
        return succeed(Lineage(self.events[event].epoch, self.events[event].ancestors))

    def position(self, event: str, source: str) -> Deferred[str | None]:
        return succeed(self.events[event].positions.get(source))

    def trim(self, event: str, upto: int) -> Deferred[None]:
        if self.fault is not None:
            return fail(self.fault)
        self.trimmed.append((event, upto))
        state = self.events[event]
        base = max(state.base, min(upto, state.head - self.window))
        state.changes = state.changes[base - state.base :]
        state.base = base
        return succeed(None)

    def scrub(self) -> Deferred[bool]:
        return succeed(True)

    def watch(self, callback: Callable[[str], None]) -> None:
        self._watchers.append(callback)

    def tell(self, event: str) -> None:
        """Give everybody who watches the hint."""
        for callback in self._watchers:
            callback(event)

    def renew(self, event: str, epoch: str, shared: int) -> None:
        """Begin ``epoch``, which shares the changes up to ``shared`` with the one before and has no others."""
        state = self.events[event]
        kept = tuple(Ancestor(old.epoch, min(old.shared, shared)) for old in state.ancestors)
        state.ancestors = (Ancestor(state.epoch, shared), *kept)
        state.epoch = epoch
        state.changes = state.changes[: shared - state.base]
        self.tell(event)

    def check(self) -> Check:
        if self.trouble is not None:
            return Check(name="live_log", state="failed", detail=self.trouble)
        return Check(name="live_log", state="ok", detail="in memory")


@implementer(IArchive)
class MemoryArchive:
    """An archive in lists.

    While ``fault`` is an exception everything fails with it; :attr:`starts` counts the attempts to open it.
    ``holes`` has what was skipped; ``stored`` are the changes of every event.
    """

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.starts = 0
        self.stores = 0
        self.stored: dict[str, list[Change]] = {}
        self.positions: dict[str, Head] = {}
        self.holes: list[tuple[str, int, int]] = []
        #: Called before every store, to have somebody else be quicker.
        self.before_store: Callable[[], None] | None = None

    def start(self) -> Deferred[None]:
        self.starts += 1
        return self._answer(None)

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def position(self, event: str, *, to_write: bool = False) -> Deferred[Head | None]:
        return self._answer(self.positions.get(event))

    def store(self, event: str, lineage: Lineage, after: int, changes: Sequence[Change]) -> Deferred[None]:
        if self.before_store is not None:
            self.before_store()
        moved = self._move(event, lineage, after, after + len(changes))
        moved.addCallback(lambda _: self._keep(event, changes))
        return moved

    def _keep(self, event: str, changes: Sequence[Change]) -> None:
        self.stores += 1
        self.stored.setdefault(event, []).extend(changes)

    def skip(self, event: str, lineage: Lineage, after: int, upto: int) -> Deferred[None]:
        moved = self._move(event, lineage, after, upto)
        return moved.addCallback(lambda _: self.holes.append((event, after + 1, upto)))

    def _move(self, event: str, lineage: Lineage, after: int, upto: int) -> Deferred[None]:
        if self.fault is not None:
            return fail(self.fault)
        stored = self.positions.get(event)
        fits = (
            after == 0
            if stored is None
            else stored.seq == after and continues(Cursor(*stored), lineage.epoch, lineage.ancestors)
        )
        if not fits:
            return fail(ArchiveConflict(f"{event} is at {stored}, not at {after}"))
        self.positions[event] = Head(lineage.epoch, upto)
        return succeed(None)

    def read(self, event: str, after: int, limit: int) -> Deferred[list[Change]]:
        found = [change for change in self.stored.get(event, []) if change.seq > after]
        return self._answer(found[:limit])

    def extent(self, event: str) -> Deferred[tuple[int, int]]:
        stored = self.stored.get(event)
        return self._answer((stored[0].seq, stored[-1].seq) if stored else (1, 0))

    def items(
        self, event: str, limit: int, before: int | None = None, prompt: bool = False
    ) -> Deferred[list[PageItem]]:
        found: dict[str, PageItem] = {}
        late: set[str] = set()
        for change in self.stored.get(event, []):
            item, filing = change.item(), change.filing()
            if filing is not None and filing.id in found:
                seq, filed = found[filing.id].seq, found[filing.id].item
                found[filing.id] = PageItem(seq, msgspec.structs.replace(filed, talk=filing.talk))
            elif item is not None:
                if item.talk is None and item.id in found:
                    item = msgspec.structs.replace(item, talk=found[item.id].item.talk)
                if is_late(change):
                    late.add(item.id)
                seq = found[item.id].seq if item.id in found else change.seq
                found[item.id] = PageItem(seq, item)
            elif change.type == REMOVED and change.id is not None:
                found.pop(change.id, None)
        newest = sorted(found.values(), key=lambda item: -item.seq)
        shown = [one for one in newest if before is None or one.seq < before]
        return self._answer([one for one in shown if not (prompt and one.item.id in late)][:limit])

    def gaps(self, event: str) -> Deferred[list[tuple[int, SourceGap]]]:
        folded = fold(self.stored.get(event, []))
        return self._answer(sorted(folded.gaps, key=lambda gap: gap[1].from_))

    def check(self) -> Check:
        return Check(name="archive", state="ok", detail="in memory")

    def _answer(self, result: object) -> Deferred:  # type: ignore[type-arg]
        return fail(self.fault) if self.fault is not None else succeed(result)


def strain(log: MemoryLog, archive: MemoryArchive, event: str) -> None:
    """What the strainer does: copy everything that is new to ``archive``, then trim the log to its window."""
    state = log.events[event]
    position = archive.positions.get(event)
    after = 0 if position is None else position.seq
    new = [change for change in state.changes if change.seq > after]
    if new:
        archive.store(event, Lineage(state.epoch, state.ancestors), after, new)
    log.trim(event, state.head)
