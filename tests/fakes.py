"""Small stand-ins that work in memory and answer at once, for tests of what talks to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from afeed.core.change import EDITED, POSTED, REMOVED, Change, compose, timestamp
from afeed.core.cursor import Ancestor, Cursor
from afeed.core.draft import Draft, Posted, SourceGap, prepare
from afeed.core.errors import ArchiveConflict, EpochChanged
from afeed.core.health import Check
from afeed.core.item import Author, Item
from afeed.core.present import is_late
from afeed.core.straining import continues, fold
from afeed.interfaces import (
    Head,
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
class _Event:
    epoch: str = "e1"
    ancestors: tuple[Ancestor, ...] = ()
    base: int = 0
    changes: list[Change] = attrs.Factory(list)
    seqs: dict[bytes, int] = attrs.Factory(dict)
    orders: dict[bytes, int] = attrs.Factory(dict)
    positions: dict[str, str] = attrs.Factory(dict)

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
        record = prepare(draft)
        removed = state.seqs.get(b"removed" + record.id_key)
        known = state.seqs.get(record.version_key, removed)
        if known is not None:
            return Recorded(known, False)
        if 0 < record.order < state.orders.get(record.id_key, 0):
            return Recorded(state.seqs[record.id_key], False)
        state.orders[record.id_key] = record.order
        seq = state.head + 1
        kind = {"post": EDITED if record.id_key in state.seqs else POSTED, "remove": REMOVED}.get(
            record.kind, "source.gap"
        )
        if kind == REMOVED:
            state.seqs[b"removed" + record.id_key] = seq
            state.changes = [
                change.redacted() if change.id == record.id and change.type in (POSTED, EDITED) else change
                for change in state.changes
            ]
        state.seqs[record.version_key] = state.seqs[record.id_key] = seq
        state.changes.append(Change.decode(seq, compose(record, kind, timestamp(1_800_000_000 + seq))))
        return Recorded(seq, True)

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
            item = change.item()
            if item is not None:
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
