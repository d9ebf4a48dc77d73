"""Drafts: what a source asks a live log to record, before it has a number.

A log decides by itself whether a :class:`Posted` becomes ``item.posted``, ``item.edited`` or nothing at all
(a repetition), so that every source and every retry may simply offer what it has.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Literal

import msgspec

from afeed.core.item import Item

KEY_BYTES = 16


#: How versions begin that bring an item back which was removed: an organiser hid it and thought better of it.
#: No source makes one.
RESTORED = "restored:"


class Posted(msgspec.Struct, frozen=True):
    """An item in one version of it.

    The same ``(item.id, version)`` is recorded once.  Versions that are decimal numbers are ordered: one that
    is lower than the highest recorded of that id is a late arrival and counts as a repetition.  Only a version
    that begins with :data:`RESTORED` is posted again after a removal.
    """

    item: Item
    version: str


class Removed(msgspec.Struct, frozen=True):
    """The item with this id is gone upstream; recorded even when the item itself never arrived (a
    tombstone)."""

    id: str


class Filed(msgspec.Struct, frozen=True):
    """The item with this id belongs under ``talk`` now (the id of a talk), under none for None.

    ``mark`` tells one filing from another: the same ``(id, mark)`` is recorded once.  The filing of an item
    that was removed counts as a repetition of the removal, that of one that was never posted is not recorded
    (seq 0).
    """

    id: str
    talk: str | None
    mark: str


class TalkFacts(msgspec.Struct, frozen=True):
    """What a programme says of a talk: ``start`` and ``end`` are RFC 3339 times in UTC, ``room`` is its
    name."""

    title: str
    start: str
    end: str
    room: str | None = None


class TalkChange(msgspec.Struct, frozen=True):
    """What became of the talk ``id``, and what the programme says of it now; ``kinds`` are words such as
    ``moved`` or ``cancelled``, ``before`` is what it said until then, None for a talk that is new."""

    id: str
    kinds: tuple[str, ...]
    title: str
    start: str
    end: str
    room: str | None = None
    before: TalkFacts | None = None


#: How many talks one :class:`Rescheduled` tells of at most.
MOST_TALKS = 200


class Rescheduled(msgspec.Struct, frozen=True):
    """The programme is another now: ``version`` names it, ``talks`` has what changed.  Recorded once per
    ``mark``.  Raises :class:`ValueError` for more than :data:`MOST_TALKS` talks: a change goes to every
    viewer, whole."""

    mark: str
    version: str
    talks: tuple[TalkChange, ...]

    def __post_init__(self) -> None:
        if len(self.talks) > MOST_TALKS:
            raise ValueError(f"{len(self.talks)} talks in one change; {MOST_TALKS} is the most")


class SourceGap(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """An upstream outage in time, as part of the record.  ``from_`` and ``to`` are RFC 3339 times."""

    source: str
    from_: str
    to: str | None
    state: Literal["open", "closed"]
    fetched: int
    reason: str


Draft = Posted | Removed | SourceGap | Filed | Rescheduled


class Held(msgspec.Struct, frozen=True):
    """An item that is not to be shown before somebody says so.  Versions are as in :class:`Posted`.

    ``reason`` is a short word for organisers, ``until`` the RFC 3339 time at which it is due to be released
    without their word, None for never.
    """

    item: Item
    version: str
    reason: str
    until: str | None = None

    @property
    def posted(self) -> Posted:
        """What is recorded once it is released."""
        return Posted(self.item, self.version)


RecordKind = Literal["post", "restore", "remove", "gap", "file", "schedule"]

#: The kinds that are recorded once per version and about no item.
ITEMLESS: frozenset[str] = frozenset({"gap", "schedule"})


class Record(msgspec.Struct, frozen=True):
    """A draft ready for a log.

    ``id_key`` and ``version_key`` are 16-byte hashes of the id and of id and version; ``order`` is the
    version's number or 0; a ``restore`` is a post that a removal does not suppress; ``tail`` is the JSON that
    follows the ``type`` member of the change, closing brace
    included.
    """

    kind: RecordKind
    id: str
    id_key: bytes
    version_key: bytes
    order: int
    tail: bytes


def _counted(part: str) -> bytes:
    encoded = part.encode("utf-8", "surrogatepass")
    return len(encoded).to_bytes(4, "big") + encoded


def key(*parts: str) -> bytes:
    """A 16-byte hash of ``parts``; different lists of parts have different keys."""
    return blake2b(b"".join(map(_counted, parts)), digest_size=KEY_BYTES).digest()


def item_keys(id: str, version: str) -> tuple[bytes, bytes]:
    """``key(id)`` and ``key(id, version)``, quicker than either call for itself."""
    counted = _counted(id)
    return (
        blake2b(counted, digest_size=KEY_BYTES).digest(),
        blake2b(counted + _counted(version), digest_size=KEY_BYTES).digest(),
    )


def posting_kind(version: str) -> Literal["post", "restore"]:
    """What the record of a posting with this version is."""
    return "restore" if version.startswith(RESTORED) else "post"


def version_order(version: str) -> int:
    """The number by which versions of one id are ordered; 0 where they have no order.

    Numbers beyond a signed 64-bit integer have none either: SQLite could not hold them.
    """
    if len(version) > 19 or not (version.isascii() and version.isdigit()):
        return 0
    number = int(version)
    return number if number < 2**63 else 0


_encode = msgspec.json.Encoder().encode


def prepare(draft: Draft) -> Record:
    """Encode ``draft`` once, for any log."""
    match draft:
        case Posted(item, version):
            return Record(
                posting_kind(version),
                item.id,
                *item_keys(item.id, version),
                version_order(version),
                b'"version":%s,"item":%s}' % (_encode(version), _encode(item)),
            )
        case Removed(id_):
            return Record("remove", id_, key(id_), key(id_, "", "removed"), 0, b'"id":%s}' % _encode(id_))
        case SourceGap():
            name = f"gap:{draft.source}:{draft.from_}"
            version = f"{draft.state}:{draft.to}:{draft.fetched}"
            return Record("gap", name, key(name), key(name, version), 0, _encode(draft)[1:])
        case Filed(id_, _, mark):
            return Record("file", id_, key(id_), key(id_, mark, "filed"), 0, _encode(draft)[1:])
        case Rescheduled(mark):
            name = "schedule"
            return Record("schedule", name, key(name), key(name, mark, "changed"), 0, _encode(draft)[1:])
