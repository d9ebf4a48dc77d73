"""The connection on which Redis tells that there is something new.  Nothing depends on it but half a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from afeed.core.errors import LogUnavailable
from afeed.livelog.link import Link
from afeed.livelog.redis_address import RedisAddress
from afeed.livelog.redis_commands import Commands, Keys
from afeed.livelog.redis_health import advice
from afeed.livelog.redis_wire import Connector, RedisWire

#: How often, in seconds, the connection is asked whether it lives: one that is silent looks like a quiet event.
PING_SECONDS = 1.0


class Hints:
    """Keeps that connection to ``address`` up; ``heard`` is called with the event, its epoch, and its head
    where the hint says it."""

    def __init__(
        self,
        name: str,
        address: RedisAddress,
        connector: Connector,
        heard: Callable[[str, str, int | None], None],
        reactor: Any,
        rng: Random,
    ) -> None:
        self._address = address
        self._heard = heard
        self._reactor = reactor
        self._events: Sequence[str] = ()
        self._link: Link[RedisWire] = Link(
            f"The hint channel of {name}",
            partial(connector.listen, self._take),
            self._subscribe,
            lambda: None,
            reactor,
            rng,
            meanwhile="Until then changes by other nodes come up to a second late; nothing is lost",
            advise=advice,
        )

    @property
    def up(self) -> bool:
        """Whether hints come at the moment."""
        return self._link.up

    @property
    def trouble(self) -> str | None:
        """Why there are no hints, None while there are or it is too early to tell."""
        return self._link.trouble if self._link.since is not None else None

    def start(self, events: Sequence[str]) -> None:
        """Begin to listen for ``events``.  Returns at once, and nobody need wait: until :attr:`up` is true, and
        whenever it is not, no hints come."""
        self._events = tuple(events)
        self._link.start()

    def stop(self) -> Deferred[None]:
        """Fires when the connection is closed."""
        return self._link.stop()

    async def _subscribe(self, wire: RedisWire) -> None:
        commands = Commands(wire, self._reactor, "")
        await commands.log_in(self._address)
        await commands.send("SUBSCRIBE", *(Keys(event).channel for event in self._events))
        asking = Deferred.fromCoroutine(self._ask(commands))
        asking.addErrback(self._silent)
        wire.ended().addBoth(lambda _: asking.cancel())

    async def _ask(self, commands: Commands) -> None:
        while True:
            await deferLater(self._reactor, PING_SECONDS)
            await commands.send("PING")

    def _silent(self, failure: Any) -> None:
        failure.trap(LogUnavailable, CancelledError)
        if failure.check(LogUnavailable):
            self._link.abort(failure.getErrorMessage())

    def _take(self, channel: bytes, message: bytes) -> None:
        event = channel.decode("utf-8", "replace").partition("{")[2].partition("}")[0]
        epoch, _, head = message.decode("ascii", "replace").partition(" ")
        self._heard(event, epoch, int(head) if head.isdigit() else None)
