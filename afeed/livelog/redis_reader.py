"""Reading the live log in Redis beside the nodes that work with it: for backups.

Importing this module imports the reactor (:mod:`afeed.livelog.redis_wire`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectError

from afeed.core.change import Change
from afeed.core.errors import LogUnavailable
from afeed.livelog.redis_address import parse_redis_url
from afeed.livelog.redis_commands import Commands
from afeed.livelog.redis_held import listed
from afeed.livelog.redis_wire import Connector, RedisWire
from afeed.livelog.taken import Moved, Taken

#: How many changes are asked for at a time, and how many keys Redis looks at in one step of a search.
PAGE = 500
SCAN = 1000

#: So many held items are taken: more than a log has room for.
MOST_HELD = 10_000_000

_META = re.compile(rb"afeed:\{([a-z0-9-]{1,64})\}:meta\Z")


class RedisReader:
    """The log in the Redis at ``url``.

    Everything but :meth:`close` returns with the server's answer.  It raises
    :class:`~afeed.core.errors.LogUnavailable` when that is an error, when the connection ends, and when a
    question is not answered within :data:`~afeed.livelog.redis_commands.COMMAND_SECONDS`.  Cancelling ends the
    wait and leaves the connection usable.
    """

    def __init__(self, url: str, reactor: Any) -> None:
        self._address = parse_redis_url(url)
        self._reactor = reactor
        self._wire: RedisWire | None = None

    async def open(self) -> None:
        """Connect and log in; returns when the server has accepted that."""
        address = self._address
        try:
            self._wire = await Connector(address, self._reactor).connect()
            self._commands = commands = Commands(self._wire, self._reactor, "")
            await commands.log_in(address)
            await commands.send("PING")
        except (LogUnavailable, ConnectError, OSError) as error:
            raise LogUnavailable(f"Redis at {address} cannot be used: {error}") from error

    def close(self) -> None:
        """Give the connection up, at once; what is still asked fails."""
        if self._wire is not None:
            self._wire.abort()

    async def events(self) -> dict[str, int]:
        """The slug and the head of every event, once all keys have been looked through, which takes a while in
        a Redis that is shared with much else."""
        slugs: set[str] = set()
        cursor = b"0"
        while True:
            cursor, keys = await self._commands.send("SCAN", cursor, "MATCH", "afeed:{*}:meta", "COUNT", SCAN)
            slugs.update(found[1].decode("ascii") for key in keys if (found := _META.match(key)))
            if cursor == b"0":
                break
        names = sorted(slugs)
        states = await self._commands.states(names) if names else []
        return {name: state.head for name, state in zip(names, states, strict=True) if state is not None}

    async def nodes(self) -> int:
        """How many nodes listened for new changes when the server answered."""
        channels = await self._commands.send("PUBSUB", "CHANNELS", "afeed:{*}:head")
        if not channels:
            return 0
        counts = await self._commands.send("PUBSUB", "NUMSUB", *channels)
        return max(int(count) for count in counts[1::2])

    async def take(self, event: str, after: int, put: Callable[[Change], object]) -> Taken | None:
        """Give ``put`` every change above ``after``, in order, as the pages come.  Returns when the head has
        been reached; None when the log knows nothing of the event.

        Nothing that happened after the last page was read is in what was put, but a change may be as it was
        before one that follows removed it.  Raises :class:`Moved` when it must be done anew, after some may
        have been put.
        """
        # First of all: a source may have read further than the last page, never less far.
        positions = await self._commands.positions(event)
        # The same: what is released or removed meanwhile is among the changes.
        held = [
            one
            for stopped in (False, True)
            for one in await listed(self._commands, event, MOST_HELD, None, stopped)
        ]
        (state,) = await self._commands.states([event])
        if state is None:
            return None
        last, first = after, 0
        while True:
            page = await self._commands.page(event, last, PAGE)
            if page.epoch != state.epoch:
                raise Moved(f"the live log of {event} began a new epoch while it was read")
            if not first:
                first = page.first
            elif page.changes and page.first != last + 1:
                raise Moved(f"the live log of {event} was trimmed while it was read")
            for change in page.changes:
                put(change)
                last = change.seq
            if last >= page.head or not page.changes:
                return Taken(page.epoch, state.ancestors, first, page.head, positions, tuple(held))
