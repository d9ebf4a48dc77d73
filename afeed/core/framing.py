"""The messages of the protocol as bytes, and how each transport wraps them.

Everything here is built once per batch and then written to every client; ``docs/protocol.rst`` has the
vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from afeed.core.cursor import Gap

#: No message is longer than this many changes or bytes (a single change may be, it cannot be divided).
MAX_CHANGES = 200
MAX_BYTES = 256 * 1024

#: The member that says whether new changes can be shown; absent where there is nothing to say.
_STALLED: dict[bool | None, dict[str, object]] = {None: {}, True: {"stalled": True}, False: {"stalled": False}}

_encode = msgspec.json.Encoder().encode


class Message(msgspec.Struct, frozen=True):
    """One message: ``cursor`` is where a client stands once it has taken it in (None: it does not say)."""

    type: str
    cursor: str | None
    body: bytes


def hello(epoch: str, seq: int, stalled: bool = False) -> Message:
    """The first message: the stream goes on from this position, or, while ``stalled``, will."""
    cursor = f"{epoch}:{seq}"
    members: dict[str, object] = {"type": "hello", "epoch": epoch, "cursor": cursor}
    return Message("hello", cursor, _encode(members | _STALLED[stalled or None]))


def gap(found: Gap, cursor: str) -> Message:
    """A range the client cannot be given, told before anything else."""
    return Message("gap", cursor, _encode({"type": "gap", **gap_members(found, cursor)}))


def gap_members(found: Gap, cursor: str) -> dict[str, object]:
    """The members of a gap, the same on every transport."""
    return {"from": found.first, "to": found.last, "reason": found.reason, "cursor": cursor}


def changes(cursor: str, bodies: Iterable[bytes]) -> Message:
    """``bodies`` are changes as clients see them, in order; ``cursor`` is the position of the last."""
    listed = b",".join(bodies)
    return Message(
        "changes",
        cursor,
        b'{"type":"changes","cursor":"%s","changes":[%s]}' % (cursor.encode("ascii"), listed),
    )


def ping(cursor: str, stalled: bool | None = None) -> Message:
    """A sign of life that scripts can see.  ``stalled`` True says that no new changes can be shown for now,
    False that this is over; None, in the ordinary case, says nothing."""
    return Message("ping", cursor, _encode({"type": "ping", "cursor": cursor} | _STALLED[stalled]))


def bye(retry_ms: int) -> Message:
    """The last message before a planned close: come back after ``retry_ms``."""
    return Message("bye", None, _encode({"type": "bye", "retry_ms": retry_ms}))


def updates(
    cursor: str, bodies: Sequence[bytes], found: Gap | None, more: bool, stalled: bool = False
) -> bytes:
    """The answer to a poll.  As everywhere, a gap's cursor is where its changes begin: a client that took the
    end for it would pass them over."""
    epoch, _, last = cursor.partition(":")
    begin = f"{epoch}:{int(last) - len(bodies)}"
    return b'{"epoch":"%s","cursor":"%s","changes":[%s],"gap":%s,"more":%s%s}' % (
        epoch.encode("ascii"),
        cursor.encode("ascii"),
        b",".join(bodies),
        b"null" if found is None else _encode(gap_members(found, begin)),
        b"true" if more else b"false",
        b',"stalled":true' if stalled else b"",
    )


def with_fragment(body: bytes, fragment: str) -> bytes:
    """A change as clients see it, with the HTML of its item as the last member."""
    return b'%s,"fragment":%s}' % (body[:-1], _encode(fragment))


def websocket_frame(message: Message) -> bytes:
    """``message`` as one unmasked, final text frame (RFC 6455, section 5.2)."""
    length = len(message.body)
    if length < 126:
        return b"\x81%c%b" % (length, message.body)
    if length < 65536:
        return b"\x81\x7e%b%b" % (length.to_bytes(2, "big"), message.body)
    return b"\x81\x7f%b%b" % (length.to_bytes(8, "big"), message.body)


def server_sent_event(message: Message) -> bytes:
    """``message`` as an event; its JSON has no line breaks, so one ``data`` line holds it."""
    if message.cursor is None:
        return b"event: %b\ndata: %b\n\n" % (message.type.encode("ascii"), message.body)
    return b"event: %b\nid: %b\ndata: %b\n\n" % (
        message.type.encode("ascii"),
        message.cursor.encode("ascii"),
        message.body,
    )


def portions(
    sizes: Sequence[int], limit: int = MAX_CHANGES, most: int = MAX_BYTES
) -> Iterator[tuple[int, int]]:
    """Divide changes of these sizes into messages: ``(start, stop)`` index pairs, in order and complete.

    A portion holds at most ``limit`` changes and, unless it is a single one, fewer than ``most`` bytes.
    """
    start = total = 0
    for index, size in enumerate(sizes):
        if index > start and (index - start == limit or total + size > most):
            yield start, index
            start, total = index, 0
        total += size + 1
    if start < len(sizes):
        yield start, len(sizes)
