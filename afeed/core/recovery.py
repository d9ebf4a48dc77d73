"""What a live log does when it may have lost something: a pure decision.

A log knows its own epoch, ancestors and head; witnesses (the archive, the hubs of living nodes) claim what
they remember.  :func:`plan` compares the lineages and says which changes to fetch from whom, whether changes
that only the log itself holds have to be numbered anew, and what the new epoch shares with which old one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from afeed.core.change import GAP, REMOVED, WITH_ITEM, Change
from afeed.core.cursor import Ancestor
from afeed.core.draft import Record, Removed, SourceGap, item_keys, posting_kind, prepare, version_order

#: Cursors older than this many epochs get a gap.
MAX_ANCESTORS = 32


class Line(NamedTuple):
    """One line of history: the changes up to ``head`` of ``epoch``, which shares with ``ancestors`` what they
    say; those below ``oldest`` cannot be had from whoever speaks.  ``fleeting`` is the memory of a node; the
    archive is not, and what it once numbered keeps its number."""

    epoch: str
    ancestors: tuple[Ancestor, ...]
    head: int
    oldest: int = 1
    fleeting: bool = False


class Refill(NamedTuple):
    """Fetch the changes above ``after`` up to and including ``upto`` from witness number ``witness``."""

    witness: int
    after: int
    upto: int


class Plan(msgspec.Struct, frozen=True):
    """How a new epoch is made.

    ``refills`` are added in order to what the log holds; where one begins above the end, everything before it
    is out of reach.  If ``tail_after`` is not None, the log holds changes above it that contradict the
    witnesses: then it is filled from the beginning, apart from what it holds, and its own changes above
    ``tail_after`` follow under new numbers.  ``head`` is the last seq of the refills, ``ancestors`` are those
    of the new epoch.
    """

    refills: tuple[Refill, ...]
    tail_after: int | None
    head: int
    ancestors: tuple[Ancestor, ...]


def _extents(line: Line) -> dict[str, int]:
    extents = {line.epoch: line.head}
    for ancestor in line.ancestors:
        extents.setdefault(ancestor.epoch, min(ancestor.shared, line.head))
    return extents


def shared(one: Line, other: Line) -> int:
    """The last seq up to which two lines are the same; 0 when they have nothing in common."""
    ours, theirs = _extents(one), _extents(other)
    return max((min(ours[epoch], theirs[epoch]) for epoch in ours.keys() & theirs.keys()), default=0)


def inherit(*lines: tuple[Line, int]) -> tuple[Ancestor, ...]:
    """The ancestors of a new epoch which takes over each line up to and including the seq beside it."""
    extents: dict[str, int] = {}
    for line, upto in lines:
        for epoch, extent in _extents(line).items():
            extents[epoch] = max(extents.get(epoch, 0), min(extent, upto))
    return tuple(Ancestor(epoch, extent) for epoch, extent in extents.items())[:MAX_ANCESTORS]


def left_behind(own: Line, claim: Line) -> int | None:
    """The seq above which ``claim`` remembers changes of an epoch that ``own`` has taken leave of, None if it
    does not.

    Such changes are not put back at their numbers, which have been given away, but may be offered again like
    new ones: what was numbered anew already is then a repetition.  Only a fleeting memory is treated so.
    """
    if not claim.fleeting or all(claim.epoch != ancestor.epoch for ancestor in own.ancestors):
        return None
    same = shared(own, claim)
    return same if same < claim.head and claim.oldest <= claim.head else None


def plan(own: Line | None, claims: Sequence[Line]) -> Plan | None:
    """How to restore a log whose own line is ``own`` (None when it holds nothing of the event), or None when
    no witness has more than it.

    The first claim leads; a later one is followed where it goes on from there.  A claim that contradicts the
    leading one is ignored: its witness will be told of a gap.
    """
    more = [
        c
        for c in claims
        if c.oldest <= c.head and (own is None or (shared(own, c) < c.head and left_behind(own, c) is None))
    ]
    if not more:
        return None
    main = more[0]
    for claim in more[1:]:
        if shared(main, claim) == main.head:
            main = claim
    suppliers = [(i, c) for i, c in enumerate(claims) if c is main or shared(main, c) == c.head]
    same = shared(own, main) if own is not None else 0
    forked = own is not None and own.head > same
    refills = []
    position = 0 if forked else same
    while position < main.head:
        able = [(max(c.oldest, position + 1), i, c) for i, c in suppliers if c.head > position]
        first, number, supplier = min(able, key=lambda found: found[:2])
        refills.append(Refill(number, first - 1, supplier.head))
        position = supplier.head
    lines = [(main, main.head)]
    if own is not None:
        lines.append((own, same))
    return Plan(tuple(refills), same if forked else None, main.head, inherit(*lines))


_gap = msgspec.json.Decoder(SourceGap)


class RecordKeys(NamedTuple):
    """What tells a repetition of a record: the members of :class:`~afeed.core.draft.Record` of these names."""

    kind: str
    id_key: bytes
    version_key: bytes
    order: int


def keys_of(change: Change) -> RecordKeys | None:
    """The keys of :func:`record_of`, in half of its time.  What was restored is a post like any other here:
    where changes are put back as they are, nothing is decided."""
    if change.type in WITH_ITEM and change.id is not None:
        version = change.version or ""
        return RecordKeys("post", *item_keys(change.id, version), version_order(version))
    record = record_of(change)
    return None if record is None else RecordKeys(record.kind, record.id_key, record.version_key, record.order)


def record_of(change: Change) -> Record | None:
    """The record from which ``change`` was made, with the same keys, so that a repetition is still known as one
    after a recovery; None for a redacted change, which keeps nothing but its number, and for one of a type that
    this version does not know."""
    if change.type in WITH_ITEM and change.id is not None:
        version = change.version or ""
        tail = change.stored.partition(b'"type":"%s",' % change.type.encode("ascii"))[2]
        id_key, version_key = item_keys(change.id, version)
        return Record(posting_kind(version), change.id, id_key, version_key, version_order(version), tail)
    if change.type == REMOVED and change.id is not None:
        return prepare(Removed(change.id))
    if change.type == GAP:
        return prepare(_gap.decode(change.stored))
    other = change.filing() or change.rescheduling()
    return None if other is None else prepare(other)
