"""The live log of several nodes, in Redis.

What deduplication costs: every item keeps its keys for as long as the event is served, some 100 bytes of the
server's memory each, so a million items cost 100 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from zope.interface import implementer

from afeed.core.change import timestamp
from afeed.core.draft import Draft, prepare
from afeed.core.errors import LogUnavailable
from afeed.core.health import Check
from afeed.interfaces import Head, ILiveLog, IWitness, Lineage, Position, Recorded, Slice
from afeed.livelog.link import Link
from afeed.livelog.redis_address import parse_redis_url
from afeed.livelog.redis_appends import PATIENCE_SECONDS, Appends
from afeed.livelog.redis_commands import Batch, Commands
from afeed.livelog.redis_health import RedisHealth, advice
from afeed.livelog.redis_hints import Hints
from afeed.livelog.redis_lease import RedisLease
from afeed.livelog.redis_mirror import Mirror
from afeed.livelog.redis_restore import RedisRestoring
from afeed.livelog.redis_server import examine
from afeed.livelog.redis_wire import Connector, RedisWire
from afeed.livelog.room import Room
from afeed.livelog.settle import settle

#: How often, in seconds, the heads are compared with what is known: hints may get lost.
POLL_SECONDS = 1.0

#: How often, in seconds, a witness that did not answer is asked again.
RETRY_SECONDS = 2.0

T = TypeVar("T")


@implementer(ILiveLog)
class RedisLog:
    """The live log in the Redis at ``url`` (:mod:`afeed.livelog.redis_address`; :class:`ValueError` when it is
    none).

    ``now`` gives the time in seconds since 1970, ``window`` is what :meth:`trim` leaves of every event, and
    ``max_log_bytes`` bounds the bodies kept per event.  Two connections are kept: one for everything, one that
    listens for hints.
    """

    _log = Logger()

    def __init__(
        self,
        url: str,
        reactor: Any,
        now: Callable[[], float],
        rng: Random,
        *,
        window: int,
        max_log_bytes: int,
    ) -> None:
        self._address = parse_redis_url(url)
        connector = Connector(self._address, reactor)
        self._reactor = reactor
        self._now = now
        self._rng = rng
        self._window_size = window
        self._max_log_bytes = max_log_bytes
        self._mirror = Mirror(window)
        self._room = Room(self._mirror.bytes, max_log_bytes)
        name = f"Redis at {self._address}"
        self._link: Link[RedisWire] = Link(
            name,
            connector.connect,
            self._greet,
            self._lost,
            reactor,
            rng,
            meanwhile="Until then pages show what there is, pushes get 503, and sources hold what they have",
            advise=advice,
        )
        self.lease = RedisLease(self._usable)
        self._hints = Hints(name, connector, self._log_in, self._hint, reactor, rng)
        self._health = RedisHealth()
        #: Those of the present connection, once it is usable; and the same while appends may go.
        self._live: Commands | None = None
        self._commands: Commands | None = None
        self._appends: dict[str, Appends] = {}
        self._witnesses: tuple[IWitness, ...] = ()
        self._unheard: dict[str, int] = {}
        self._suspect: set[str] = set()
        self._waiting: list[Deferred[None]] = []
        self._timers: dict[str, IDelayedCall] = {}
        self._running = False

    # Life

    def start(self, events: Sequence[str], witnesses: Sequence[IWitness]) -> Deferred[None]:
        self._running = True
        self._witnesses = tuple(witnesses)
        for event in events:
            self._appends[event] = Appends(
                event,
                self._mirror,
                self._room,
                self._reactor,
                self._max_log_bytes,
                usable=self._usable,
                untrusted=self._link.abort,
                noted=self._health.note_write,
            )
        self._hints.start(events)
        return self._link.start()

    def stop(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for appends in self._appends.values():
            await appends.close()
        self._running = False
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        await self._hints.stop()
        await self._link.stop()
        self._release()

    def _after(self, name: str, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run ``work`` once in ``seconds``, at most one of a ``name`` at a time; it may fail."""

        def run() -> None:
            del self._timers[name]
            Deferred.fromCoroutine(work()).addErrback(self._failed)

        if self._running and name not in self._timers:
            self._timers[name] = self._reactor.callLater(seconds, run)

    def _failed(self, failure: Any) -> None:
        if not failure.check(LogUnavailable):
            self._log.failure("Looking after the live log failed; the connection is made anew", failure)
        self._link.abort(failure.getErrorMessage())

    # Connections

    async def _log_in(self, commands: Commands) -> None:
        if self._address.password is not None:
            who = [self._address.username] if self._address.username is not None else []
            await commands.send("AUTH", *who, self._address.password)
        if self._address.db:
            await commands.send("SELECT", self._address.db)

    async def _greet(self, wire: RedisWire) -> None:
        """Make sure of the server, restore what it has lost, see what is there; then appends may go."""
        ended = wire.ended()
        commands = Commands(wire, self._reactor, "")
        await self._log_in(commands)
        server = examine(await commands.send("INFO"))
        self._health.note_server(server)
        commands.run = server.run
        await commands.teach()
        for event in self._appends:
            await self._settle(commands, event)
            await self._mirror.follow(commands, event)
        if ended.called:
            raise LogUnavailable("the connection to Redis was lost")
        self._live = self._commands = commands
        ended.addCallback(lambda _: self._forget(commands))
        self._release()
        self._after("poll", 0 if self._health.refusal else POLL_SECONDS, self._poll)

    async def _settle(self, commands: Commands, event: str) -> None:
        restoring = RedisRestoring(commands, self._rng, lambda: self._hold(commands))
        outcome = await settle(
            restoring,
            event,
            self._witnesses[:1],
            (*self._witnesses[1:], self._mirror),
            reactor=self._reactor,
            rng=self._rng,
            window=self._window_size,
            doubtful=lambda: restoring.run != commands.run or event in self._suspect,
            announce=self._announce,
        )
        if outcome.changed:
            await commands.remind(event, self._mirror.positions.get(event, {}))
        self._suspect.discard(event)
        self._unheard[event] = outcome.unheard
        if outcome.unheard:
            self._after("witnesses", RETRY_SECONDS, self._ask_again)

    def _announce(self, sentence: str) -> None:
        self._log.warn(
            "{sentence} Viewers go on by themselves; if nobody meant this, Redis's own log says why.",
            sentence=sentence,
        )

    async def _ask_again(self) -> None:
        """A witness that was away may know more than Redis: it is asked until it answers."""
        commands = self._commands
        if commands is None:
            # Something else is being looked at; a new connection asks by itself.
            self._after("witnesses", RETRY_SECONDS, self._ask_again)
            return
        for event in [event for event, count in self._unheard.items() if count]:
            await self._settle(commands, event)
            await self._mirror.follow(commands, event)
        if self._live is commands:
            self._commands = commands
            self._release()

    def _hold(self, commands: Commands) -> None:
        """Appends by ``commands`` wait from here on."""
        if self._commands is commands:
            self._commands = None

    def _forget(self, commands: Commands) -> None:
        """The connection of ``commands`` has ended: nobody may be given them any more."""
        if self._live is commands:
            self._live = self._commands = None

    def _release(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(None)

    def _lost(self) -> None:
        self._live = self._commands = None
        for name in ("poll", "witnesses"):
            if name in self._timers:
                self._timers.pop(name).cancel()

    def _usable(self, patience: float) -> Deferred[Commands]:
        """Fires with the commands once appends may go; fails when that takes longer than ``patience``
        seconds."""
        if self._commands is not None:
            return succeed(self._commands)
        why = f"Redis at {self._address} cannot be used: {self._link.trouble or 'its log is being restored'}"
        if not self._running or patience <= 0:
            return fail(LogUnavailable(why))
        waiter: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)

        def refuse(result: object, seconds: float) -> None:
            raise LogUnavailable(why)

        waiter.addTimeout(patience, self._reactor, refuse)
        return waiter.addCallback(lambda _: self._usable(0))

    # Hints

    def _hint(self, event: str, epoch: str, head: int | None) -> None:
        window = self._mirror.windows.get(event)
        if window is None or self._commands is None:
            return
        if window.epoch == epoch and head is not None and head <= window.head:
            return
        Deferred.fromCoroutine(self._mirror.follow(self._commands, event)).addErrback(self._failed)

    async def _poll(self) -> None:
        commands = self._commands
        if commands is not None:
            events = list(self._appends)
            states = await self._health.look(commands, events, self._reactor)
            for event, state in zip(events, states, strict=True):
                window = self._mirror.windows[event]
                if state is None or (state.epoch == window.epoch and state.head < window.head):
                    self._suspect.add(event)
                    raise LogUnavailable(f"it has lost changes of {event}, which are put back now")
                if state.run != commands.run:
                    raise LogUnavailable(f"another node restores the live log of {event} at the moment")
                self._mirror.bytes[event] = state.bytes
                if (state.epoch, state.head) != (window.epoch, window.head):
                    await self._mirror.follow(commands, event)
        self._after("poll", POLL_SECONDS, self._poll)

    # The log

    def append(
        self,
        event: str,
        epoch: str | None,
        drafts: Sequence[Draft],
        *,
        lease: str | None = None,
        position: Position | None = None,
    ) -> Deferred[list[Recorded]]:
        if event not in self._appends or not self._running:
            return fail(LogUnavailable(f"the live log of {event} is not open"))
        batch = Batch(epoch, lease, position, timestamp(self._now()), [prepare(draft) for draft in drafts])
        return self._appends[event].put(batch)

    def _run(self, work: Callable[[Commands], Coroutine[Any, Any, T]]) -> Deferred[T]:
        async def run() -> T:
            return await work(await self._usable(PATIENCE_SECONDS))

        return Deferred.fromCoroutine(run())

    def read(self, event: str, after: int, limit: int) -> Deferred[Slice]:
        try:
            near = self._mirror.window(event).slice(after, limit)
        except LogUnavailable as error:
            return fail(error)
        if near is not None:
            return succeed(near)

        async def far(commands: Commands) -> Slice:
            page = await commands.read(event, after, limit)
            return Slice(page.epoch, page.first, page.changes)

        return self._run(far)

    def head(self, event: str) -> Deferred[Head]:
        try:
            window = self._mirror.window(event)
        except LogUnavailable as error:
            return fail(error)
        return succeed(Head(window.epoch, window.head))

    def refresh(self, event: str) -> Deferred[None]:
        return self._run(lambda commands: self._mirror.follow(commands, event))

    def lineage(self, event: str) -> Deferred[Lineage]:
        try:
            window = self._mirror.window(event)
        except LogUnavailable as error:
            return fail(error)
        return succeed(Lineage(window.epoch, self._mirror.ancestors[event]))

    def position(self, event: str, source: str) -> Deferred[str | None]:
        return self._run(lambda commands: commands.position(event, source))

    def trim(self, event: str, upto: int) -> Deferred[None]:
        async def trim(commands: Commands) -> None:
            self._mirror.bytes[event] = await commands.trim(event, upto, self._window_size)

        return self._run(trim)

    def watch(self, callback: Callable[[str], None]) -> None:
        self._mirror.watchers.append(callback)

    def check(self) -> Check:
        data = {
            "kind": "redis",
            "address": str(self._address),
            "waiting": sum(map(len, self._appends.values())),
            "bytes": dict(self._mirror.bytes),
            "max_bytes": self._max_log_bytes,
            "hints": self._hints.up,
        }

        def check(state: Any, detail: str) -> Check:
            return Check(name="live_log", state=state, detail=detail, data=data)

        if not self._running:
            return check("failed", "The live log is closed.")
        if not self._link.up:
            trouble = self._link.trouble or "not connected yet"
            detail = f"Redis at {self._address} cannot be used: {trouble}. {advice(trouble)}"
            return check("failed", detail.rstrip())
        full = self._room.trouble()
        state, detail = self._health.judge(self._hints.trouble)
        return check("failed", full) if full is not None and state != "failed" else check(state, detail)
