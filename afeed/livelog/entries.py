"""What a live log keeps of an item that it holds back."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from afeed.core.change import milliseconds
from afeed.core.draft import Held, Record, prepare
from afeed.core.item import decode_item
from afeed.interfaces import HeldItem

#: What each counts towards ``max_log_bytes`` beside its ``tail``, at least as much as the head of a change: so
#: releasing it never takes more room than there is.
OVERHEAD = 128


class Entry(NamedTuple):
    """An item on its way to be held: ``record`` is what its release records, ``due`` is ``until`` in
    milliseconds since 1970."""

    record: Record
    reason: str
    until: str | None
    due: int | None


class _Content(msgspec.Struct):
    version: str
    item: msgspec.Raw


_content = msgspec.json.Decoder(_Content)


def entry(held: Held) -> Entry:
    """``held`` for a log.  Raises :class:`ValueError` when its ``until`` is no time."""
    # Nothing brings back what was removed by being held, whatever its version.
    record = msgspec.structs.replace(prepare(held.posted), kind="post")
    return Entry(record, held.reason, held.until, None if held.until is None else milliseconds(held.until))


def held_item(tail: bytes, reason: str, until: str | None, at: str, stopped: bool) -> HeldItem:
    """What was held, from what a log has kept of it: ``tail`` is that of the record."""
    content = _content.decode(b"{" + tail)
    return HeldItem(decode_item(bytes(content.item)), content.version, reason, until, at, stopped)
