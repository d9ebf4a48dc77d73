"""What the strainer and the archive decide, without I/O: from where to copy a live log, and what a batch of
changes makes of the items it is about."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from afeed.core.change import EDITED, GAP, POSTED, REMOVED, Change
from afeed.core.cursor import Ancestor, Cursor
from afeed.core.draft import SourceGap, key


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


class ItemState(msgspec.Struct, frozen=True):
    """An item as a batch leaves it: ``content`` is its JSON, ``first_seq`` and ``seq`` are where the batch
    first and last speaks of it."""

    key: bytes
    id: str
    first_seq: int
    seq: int
    version: str | None
    source: str
    handle: str | None
    created_at: str
    content: bytes


class Removal(msgspec.Struct, frozen=True):
    """The item that the change ``seq`` removed."""

    key: bytes
    id: str
    seq: int


class Folded(msgspec.Struct, frozen=True):
    """A batch, ready to be written.

    ``rows`` are the changes with the key of their item, redacted where the batch itself removes the item;
    ``items`` and ``removals`` are the last state of each item, ``gaps`` that of each outage with its seq;
    ``unreadable`` are seqs whose item or outage cannot be read: the row is kept, and nothing else follows.
    """

    rows: list[tuple[Change, bytes | None]]
    items: list[ItemState]
    removals: list[Removal]
    unreadable: list[int]
    gaps: list[tuple[int, SourceGap]] = []


class _Author(msgspec.Struct):
    handle: str | None = None


class _Summary(msgspec.Struct):
    source: str
    created_at: str
    author: _Author


class _WithItem(msgspec.Struct):
    item: msgspec.Raw


_with_item = msgspec.json.Decoder(_WithItem)
_summary = msgspec.json.Decoder(_Summary)
_gap = msgspec.json.Decoder(SourceGap)


def fold(changes: Sequence[Change]) -> Folded:
    """What ``changes``, in the order of the log, amount to.  A removal is final: a change of the same item
    that followed it would not bring the item back."""
    rows: list[tuple[Change, bytes | None]] = []
    items: dict[bytes, ItemState] = {}
    removals: dict[bytes, Removal] = {}
    unreadable: list[int] = []
    content_rows: dict[bytes, list[int]] = {}
    gaps: dict[tuple[str, str], tuple[int, SourceGap]] = {}
    for change in changes:
        item_key = None if change.id is None else key(change.id)
        if item_key is not None and change.id is not None:
            if change.type == REMOVED:
                for index in content_rows.pop(item_key, ()):
                    rows[index] = (rows[index][0].redacted(), None)
                items.pop(item_key, None)
                removals.setdefault(item_key, Removal(item_key, change.id, change.seq))
            elif change.type in (POSTED, EDITED):
                content_rows.setdefault(item_key, []).append(len(rows))
                if item_key not in removals:
                    earlier = items.get(item_key)
                    first_seq = change.seq if earlier is None else earlier.first_seq
                    try:
                        items[item_key] = _state(change, change.id, item_key, first_seq)
                    except msgspec.DecodeError:
                        unreadable.append(change.seq)
        elif change.type == GAP:
            try:
                gap = _gap.decode(change.stored)
                gaps[gap.source, gap.from_] = (change.seq, gap)
            except msgspec.DecodeError:
                unreadable.append(change.seq)
        rows.append((change, item_key))
    return Folded(rows, list(items.values()), list(removals.values()), unreadable, list(gaps.values()))


def _state(change: Change, item_id: str, item_key: bytes, first_seq: int) -> ItemState:
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
    )
