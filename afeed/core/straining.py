"""What the strainer and the archive decide, without I/O: from where to copy a live log, and what a batch of
changes makes of the items it is about."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from afeed.core.change import FILED, GAP, REMOVED, WITH_ITEM, Change
from afeed.core.cursor import Ancestor, Cursor
from afeed.core.draft import SourceGap, key, posting_kind


class Refusal(msgspec.Struct, frozen=True):
    """Copying would mix up two histories.  ``reason`` says what does not fit, ``remedy`` what an operator may
    do."""

    reason: str
    remedy: str


_REMEDY = (
    "restore the live log or the archive that belong together, or move this archive away: afeed then starts a "
    "new one with everything the live log holds"
)


def continues(stored: Cursor, epoch: str, ancestors: Sequence[Ancestor]) -> bool:
    """Whether a log whose present epoch is ``epoch`` holds the same changes as the archive up to ``stored``."""
    if stored.epoch == epoch:
        return True
    return any(ancestor.epoch == stored.epoch and ancestor.shared >= stored.seq for ancestor in ancestors)


def starting_point(
    stored: Cursor | None, epoch: str, ancestors: Sequence[Ancestor], head: int
) -> int | Refusal:
    """The seq after which to copy, for an archive that stands at ``stored`` (None: it has nothing) and a log
    that ends at ``head``."""
    if stored is None:
        return 0
    if not continues(stored, epoch, ancestors):
        return Refusal(
            f"the archive is at {stored}, and the live log, now in epoch {epoch}, does not continue from there",
            _REMEDY,
        )
    if stored.seq > head:
        return Refusal(f"the archive is at {stored}, but the live log ends at {epoch}:{head}", _REMEDY)
    return stored.seq


#: Seconds to wait after a hint, so that what comes in quick succession shares a transaction: at first, and at
#: most while changes come one after the other.
LINGER_S = 0.1
LONGEST_LINGER_S = 1.0
#: So many changes are worth a transaction of their own.
WORTHWHILE = 250


def linger(last: float, copied: int) -> float:
    """How long to wait next, when ``copied`` changes had come after ``last`` seconds: about as long as it takes
    until the next transaction is worthwhile, but never much longer than the last time."""
    return max(LINGER_S, min(last * WORTHWHILE / max(copied, 1), 2 * last, LONGEST_LINGER_S))


class ItemState(msgspec.Struct, frozen=True):
    """An item as a batch leaves it: ``content`` is its JSON, ``first_seq`` and ``seq`` are where the batch
    first and last speaks of it.  One that was ``restored`` is shown again although it was removed before.
    ``talk`` is None where the batch says nothing of the talk it is filed under: that stays as it was."""

    key: bytes
    id: str
    first_seq: int
    seq: int
    version: str | None
    source: str
    handle: str | None
    created_at: str
    content: bytes
    restored: bool = False
    talk: str | None = None


class ItemFiling(msgspec.Struct, frozen=True):
    """The talk, or none, under which the change ``seq`` filed an item that was posted before the batch."""

    key: bytes
    talk: str | None
    seq: int


class Removal(msgspec.Struct, frozen=True):
    """The item that the change ``seq`` removed."""

    key: bytes
    id: str
    seq: int


class Folded(msgspec.Struct, frozen=True):
    """A batch, ready to be written.

    ``rows`` are the changes with the key of their item, redacted where the batch itself removes the item;
    ``removals`` are the last removal of each item, ``items`` the last state of those that were not removed or
    were restored since, ``gaps`` that of each outage with its seq, ``filings`` where items are filed after
    all the others;
    ``unreadable`` are seqs whose item or outage cannot be read: the row is kept, and nothing else follows.
    """

    rows: list[tuple[Change, bytes | None]]
    items: list[ItemState]
    removals: list[Removal]
    unreadable: list[int]
    gaps: list[tuple[int, SourceGap]] = []
    filings: list[ItemFiling] = []

    def keys(self) -> set[bytes]:
        """Of all items whose state it changes."""
        return {one.key for some in (self.items, self.removals, self.filings) for one in some}


class _Author(msgspec.Struct):
    handle: str | None = None


class _Summary(msgspec.Struct):
    source: str
    created_at: str
    author: _Author
    talk: str | None = None


class _WithItem(msgspec.Struct):
    item: msgspec.Raw


_with_item = msgspec.json.Decoder(_WithItem)
_summary = msgspec.json.Decoder(_Summary)
_gap = msgspec.json.Decoder(SourceGap)


def fold(changes: Sequence[Change]) -> Folded:
    """What ``changes``, in the order of the log, amount to.  Only being restored brings a removed item back;
    another change that followed its removal would not."""
    rows: list[tuple[Change, bytes | None]] = []
    items: dict[bytes, ItemState] = {}
    removals: dict[bytes, Removal] = {}
    unreadable: list[int] = []
    restored: set[bytes] = set()
    content_rows: dict[bytes, list[int]] = {}
    gaps: dict[tuple[str, str], tuple[int, SourceGap]] = {}
    filings: dict[bytes, ItemFiling] = {}
    for change in changes:
        item_key = None if change.id is None else key(change.id)
        if item_key is not None and change.id is not None:
            if change.type == REMOVED:
                for index in content_rows.pop(item_key, ()):
                    rows[index] = (rows[index][0].redacted(), None)
                items.pop(item_key, None)
                filings.pop(item_key, None)
                if item_key not in removals or item_key in restored:
                    removals[item_key] = Removal(item_key, change.id, change.seq)
                restored.discard(item_key)
            elif change.type in WITH_ITEM:
                content_rows.setdefault(item_key, []).append(len(rows))
                if posting_kind(change.version or "") == "restore":
                    restored.add(item_key)
                if item_key not in removals or item_key in restored:
                    earlier = items.get(item_key)
                    first_seq = change.seq if earlier is None else earlier.first_seq
                    try:
                        again = item_key in restored
                        state = _state(change, change.id, item_key, first_seq, again)
                    except msgspec.DecodeError:
                        unreadable.append(change.seq)
                    else:
                        if state.talk is not None:
                            filings.pop(item_key, None)
                        elif earlier is not None and earlier.talk is not None:
                            state = msgspec.structs.replace(state, talk=earlier.talk)
                        items[item_key] = state
            elif change.type == FILED:
                try:
                    filing = change.filing()
                except msgspec.DecodeError:
                    unreadable.append(change.seq)
                else:
                    assert filing is not None
                    _file(items, filings, ItemFiling(item_key, filing.talk, change.seq))
        elif change.type == GAP:
            try:
                gap = _gap.decode(change.stored)
                gaps[gap.source, gap.from_] = (change.seq, gap)
            except msgspec.DecodeError:
                unreadable.append(change.seq)
        rows.append((change, item_key))
    return Folded(
        rows,
        list(items.values()),
        list(removals.values()),
        unreadable,
        list(gaps.values()),
        list(filings.values()),
    )


def _file(items: dict[bytes, ItemState], filings: dict[bytes, ItemFiling], filing: ItemFiling) -> None:
    """Note ``filing``: with the item if the batch has it, for that is one statement less."""
    state = items.get(filing.key)
    if state is not None:
        items[filing.key] = msgspec.structs.replace(state, talk=filing.talk, seq=filing.seq)
    if state is not None and filing.talk is not None:
        filings.pop(filing.key, None)
    else:  # that it is filed under no talk cannot be told from nothing being said about it
        filings[filing.key] = filing


def _state(change: Change, item_id: str, item_key: bytes, first_seq: int, restored: bool) -> ItemState:
    content = bytes(_with_item.decode(change.stored).item)
    summary = _summary.decode(content)
    return ItemState(
        item_key,
        item_id,
        first_seq,
        change.seq,
        change.version,
        summary.source,
        summary.author.handle,
        summary.created_at,
        content,
        restored,
        summary.talk,
    )
