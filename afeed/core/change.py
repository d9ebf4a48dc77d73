"""The change: one numbered entry of an event's live log.

A log stores a change without its number, as ``{"at":...,"type":...,...}`` with the members in that order and
``at`` always 24 characters long; :attr:`Change.json` is what clients see, with ``seq`` in front.  Bodies are
kept as bytes from log to socket: nothing on the way needs to parse more than the head.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import msgspec

from afeed.core.draft import Filed, Record, Rescheduled
from afeed.core.item import Item, decode_item

POSTED, EDITED, REMOVED, REDACTED, GAP, FILED, RESCHEDULED = (
    "item.posted",
    "item.edited",
    "item.removed",
    "redacted",
    "source.gap",
    "item.filed",
    "schedule.changed",
)

#: The types whose changes carry an item, and lose it when that is removed.
WITH_ITEM = (POSTED, EDITED)

#: What becomes of the kinds of records that are recorded once per version, and neither post nor remove.
ONCE = {"gap": GAP, "file": FILED, "schedule": RESCHEDULED}

#: ``{"at":"`` + the time + ``"``: what a redaction keeps of a stored change.
STORED_AT_LENGTH = 7 + 24 + 1

_WITH_ZONE = re.compile(r"\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)\Z")

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - in UTC, and without the "+00:00" that a zone would be written as


def timestamp(seconds: float) -> str:
    """``seconds`` since the epoch as ``2026-11-21T17:00:06.120Z``: always 24 characters."""
    # Rounded, so that a time read back is the same; strftime takes three times as long.
    moment = _EPOCH + timedelta(milliseconds=round(seconds * 1000))
    return moment.isoformat(timespec="milliseconds") + "Z"


def seconds(at: str) -> float:
    """The inverse of :func:`timestamp`."""
    return datetime.fromisoformat(at).timestamp()


def milliseconds(at: str) -> int:
    """The RFC 3339 time ``at``, which names its zone, in milliseconds since the epoch; raises
    :class:`ValueError` for anything else."""
    if not _WITH_ZONE.match(at):
        raise ValueError(f"{at!r} is not a time with a zone")
    return round(seconds(at) * 1000)


class _Ided(msgspec.Struct):
    id: str


class _Head(msgspec.Struct):
    at: str
    type: str
    version: str | None = None
    item: _Ided | None = None
    id: str | None = None


class _WithItem(msgspec.Struct):
    item: msgspec.Raw


_head = msgspec.json.Decoder(_Head)
_item = msgspec.json.Decoder(_WithItem)
_filed = msgspec.json.Decoder(Filed)
_rescheduled = msgspec.json.Decoder(Rescheduled)


class Change:
    """A change with its number.

    ``id`` is the item it is about (None for ``redacted``, ``source.gap`` and ``schedule.changed``), ``version``
    the item's version (the programme's for ``schedule.changed``), ``stored`` the bytes a log or the archive
    keeps.
    """

    __slots__ = ("at", "id", "seq", "stored", "type", "version")

    def __init__(
        self, seq: int, at: str, type: str, id: str | None, version: str | None, stored: bytes
    ) -> None:
        self.seq = seq
        self.at = at
        self.type = type
        self.id = id
        self.version = version
        self.stored = stored

    @classmethod
    def decode(cls, seq: int, stored: bytes) -> Change:
        """A change from what a log stored; raises :class:`msgspec.DecodeError` when it is not one."""
        head = _head.decode(stored)
        item_id = head.item.id if head.item is not None else head.id
        return cls(seq, head.at, head.type, item_id, head.version, stored)

    @property
    def json(self) -> bytes:
        """The change as clients see it."""
        return b'{"seq":%d,%s' % (self.seq, self.stored[1:])

    def item(self) -> Item | None:
        """The item of a posted or edited change, else None."""
        if self.type not in WITH_ITEM:
            return None
        return decode_item(bytes(_item.decode(self.stored).item))

    def filing(self) -> Filed | None:
        """The filing that a filed change tells of, else None."""
        return _filed.decode(self.stored) if self.type == FILED else None

    def rescheduling(self) -> Rescheduled | None:
        """What a change of the programme tells of, else None."""
        return _rescheduled.decode(self.stored) if self.type == RESCHEDULED else None

    def redacted(self) -> Change:
        """This change after its item was removed: the number and the time stay, the content is gone."""
        return Change(self.seq, self.at, REDACTED, None, None, redact(self.stored))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Change):
            return NotImplemented
        return self.seq == other.seq and self.stored == other.stored

    def __hash__(self) -> int:
        return hash((self.seq, self.stored))

    def __repr__(self) -> str:
        return f"<Change {self.seq} {self.type} {self.id}>"


def compose(record: Record, type: str, at: str) -> bytes:
    """What a log stores for ``record`` once it has decided on the change's type and time."""
    return b'{"at":"%s","type":"%s",%s' % (at.encode("ascii"), type.encode("ascii"), record.tail)


def redact(stored: bytes) -> bytes:
    """A stored change without its content."""
    return stored[:STORED_AT_LENGTH] + b',"type":"redacted"}'
