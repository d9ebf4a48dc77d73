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


class Posted(msgspec.Struct, frozen=True):
    """An item in one version of it.

    The same ``(item.id, version)`` is recorded once.  Versions that are decimal numbers are ordered: one that
    is lower than the highest recorded of that id is a late arrival and counts as a repetition.
    """

    item: Item
    version: str


class Removed(msgspec.Struct, frozen=True):
    """The item with this id is gone upstream; recorded even when the item itself never arrived (a
    tombstone)."""

    id: str


class SourceGap(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """An upstream outage in time, as part of the record.  ``from_`` and ``to`` are RFC 3339 times."""

    source: str
    from_: str
    to: str | None
    state: Literal["open", "closed"]
    fetched: int
    reason: str


Draft = Posted | Removed | SourceGap


class Record(msgspec.Struct, frozen=True):
    """A draft ready for a log.

    ``id_key`` and ``version_key`` are 16-byte hashes of the id and of id and version; ``order`` is the
    version's number or 0; ``tail`` is the JSON that follows the ``type`` member of the change, closing brace
    included.
    """

    kind: Literal["post", "remove", "gap"]
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
                "post",
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
