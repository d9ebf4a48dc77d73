"""Holding back in Redis: the scripts of :mod:`afeed.livelog.redis_lua_held` as typed calls."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from afeed.core.change import milliseconds
from afeed.core.draft import key
from afeed.interfaces import HeldItem, Recorded
from afeed.livelog import redis_lua_held
from afeed.livelog.entries import Entry, held_item
from afeed.livelog.redis_commands import (
    LEASE_KEY,
    READ_BYTES,
    Commands,
    Keys,
    Vanished,
    maybe,
    order_bytes,
    pack_fields,
)
from afeed.livelog.redis_lua_parts import Script


class Guard(NamedTuple):
    """Under which conditions something is written, and at what time."""

    max_bytes: int
    lease: str | None
    at: str


class Answer(NamedTuple):
    """What became of it: ``refused`` is ``lease`` or ``full`` when nothing was done, else None and ``words``
    has the outcomes.  ``standing`` is what the event has now, if that was told: bytes, how many items it holds,
    and what of the bytes is theirs."""

    refused: str | None
    standing: tuple[int, int, int] | None
    words: list[str]


def hold(entries: Sequence[Entry]) -> list[bytes]:
    """The arguments that hold ``entries``."""
    return [
        pack_fields(
            (
                record.id_key,
                record.version_key,
                order_bytes(record.order),
                record.tail,
                record.id.encode("utf-8"),
                reason.encode("utf-8"),
                (until or "").encode("ascii"),
                b"" if due is None else b"%d" % due,
            )
        )
        for record, reason, until, due in entries
    ]


async def write(
    commands: Commands, script: Script, event: str, guard: Guard, arguments: Sequence[bytes]
) -> Answer:
    """Run one of the scripts that write.  Raises :class:`~afeed.livelog.redis_commands.Vanished` when the log
    is not there, or has to be looked at again."""
    keys = Keys(event)
    reply = await commands.call(
        script,
        [keys.meta, LEASE_KEY, keys.channel],
        commands.run,
        guard.max_bytes,
        maybe(guard.lease),
        guard.at,
        *arguments,
    )
    words = reply.decode("ascii").split()
    if words[0] == "gone":
        raise Vanished(f"it has lost changes of {event}, which are put back now")
    if words[0] == "run":
        raise Vanished(f"another node restores the live log of {event} at the moment")
    refused = words.pop(0) if words[0] in ("lease", "full") else None
    if not words:
        return Answer(refused, None, [])
    size, held, held_bytes = map(int, words[:3])
    return Answer(refused, (size, held, held_bytes), words[3:])


def recorded(words: Sequence[str]) -> list[Recorded]:
    """What a release says of each item."""
    return [Recorded(int(word[:-1]), word[-1] != "-") for word in words]


async def listed(
    commands: Commands, event: str, limit: int, after: str | None, stopped: bool
) -> list[HeldItem]:
    """Up to ``limit`` of those that wait, or were ``stopped``."""
    found: list[HeldItem] = []
    while len(found) < limit:
        last = found[-1].item.id if found else after
        page = await _page(commands, event, limit - len(found), last, stopped)
        known = {one.item.id for one in found}
        # From the beginning again: the last one was released between two pages.
        page = [one for one in page if one.item.id not in known]
        if not page:
            break
        found.extend(page)
    return found


async def _page(commands: Commands, event: str, limit: int, after: str | None, stopped: bool) -> list[HeldItem]:
    """Some of those, a few megabytes at most."""
    held = Keys(event).held
    reply = await commands.call(
        redis_lua_held.LIST,
        [held, f"{held}-{'stopped' if stopped else 'waiting'}"],
        b"" if after is None else key(after),
        limit,
        READ_BYTES,
    )
    return [_item(raw) for raw in _fields(reply)]


def _item(raw: bytes) -> HeldItem:
    _, _, tail, _, reason, until, _, at, stopped, _ = _fields(raw)
    return held_item(
        tail, reason.decode("utf-8"), until.decode("ascii") or None, at.decode("ascii"), stopped == b"1"
    )


async def due(commands: Commands, event: str, at: str, limit: int) -> list[str]:
    """The ids of those that wait no longer than until ``at``."""
    held = Keys(event).held
    reply = await commands.call(redis_lua_held.DUE, [held, f"{held}-due"], milliseconds(at), limit)
    return [item_id.decode("utf-8") for item_id in _fields(reply)]


def _fields(packed: bytes) -> Iterator[bytes]:
    """What :func:`~afeed.livelog.redis_commands.pack_fields` has put together."""
    start = 0
    while start < len(packed):
        (length,) = struct.unpack_from(">I", packed, start)
        start += 4 + length
        yield packed[start - length : start]
