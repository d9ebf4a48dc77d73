"""The live log of several nodes, in Redis.

What deduplication costs: every item keeps its keys for as long as the event is served, some 100 bytes of the
server's memory each, so a million items cost 100 MB.  What is held back takes some 700 bytes each beside its
JSON.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from afeed.core.change import timestamp
from afeed.core.draft import Draft, Held, key, prepare
from afeed.core.errors import LogUnavailable
from afeed.core.health import Check
from afeed.interfaces import Head, HeldItem, ILiveLog, IWitness, Lineage, Position, Recorded, Slice
from afeed.livelog import redis_held, redis_lua_held
from afeed.livelog.entries import entry
from afeed.livelog.link import Link
from afeed.livelog.redis_address import parse_redis_url
from afeed.livelog.redis_appends import PATIENCE_SECONDS, Appends, refusal
from afeed.livelog.redis_care import Care
from afeed.livelog.redis_commands import Batch, Commands, ServerError
from afeed.livelog.redis_files import Rewriting
from afeed.livelog.redis_health import RedisHealth, advice
from afeed.livelog.redis_hints import Hints
from afeed.livelog.redis_lease import RedisLease
from afeed.livelog.redis_lua_parts import Script
from afeed.livelog.redis_mirror import Mirror
from afeed.livelog.redis_server import examine
from afeed.livelog.redis_wire import Connector, RedisWire
from afeed.livelog.room import Room
from afeed.livelog.waiting import Waiting

T = TypeVar("T")


@implementer(ILiveLog)
class RedisLog:
    """The live log in the Redis at ``url`` (:mod:`afeed.livelog.redis_address`; :class:`ValueError` when it is
    none).

    ``now`` gives the time in seconds since 1970, ``window`` is what :meth:`trim` leaves of every event, and
    ``max_log_bytes`` bounds the bodies kept per event.  Two connections are kept: one for everything, one that
    listens for hints.
    """

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
        self._room = Room(self._mirror.bytes, self._mirror.held_bytes, max_log_bytes)
        name = f"Redis at {self._address}"
        self._link: Link[RedisWire] = Link(
            name,
            connector.connect,
            self._greet,
            self._lost,
            reactor,
            rng,
            meanwhile="Until then pages show what there is, pushes get 503, and sources hold what they have "
            "(beside other nodes for 20 s; then one of those may run them, and fetches what was missed)",
            advise=advice,
        )
        self.lease = RedisLease(self._reachable, reactor)
        self._hints = Hints(name, self._address, connector, self._hint, reactor, rng)
        self._health = RedisHealth()
        self._waiting = Waiting(reactor, self._why)
        self._rewriting = Rewriting(self._reachable)
        #: That of the present connection, as soon as its server is known to be a good one.
        self._care: Care | None = None
        self._appends: dict[str, Appends] = {}
        self._witnesses: tuple[IWitness, ...] = ()
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
                usable=partial(self._usable, event),
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
        await self._hints.stop()
        await self._link.stop()
        self._waiting.refuse()

    # Connections

    async def _greet(self, wire: RedisWire) -> None:
        """Make sure of the server, restore what it has lost, see what is there; then appends may go."""
        ended = wire.ended()
        commands = Commands(wire, self._reactor, "")
        await commands.log_in(self._address)
        server = examine(await commands.send("INFO"))
        self._health.note_server(server)
        commands.run = server.run
        await commands.teach()
        care = Care(
            commands,
            tuple(self._appends),
            self._witnesses,
            self._mirror,
            self._health,
            reactor=self._reactor,
            rng=self._rng,
            window=self._window_size,
            changed=self._waiting.look,
            failed=lambda why: self._distrust(care, why),
        )
        self._care = care
        ended.addCallback(lambda _: self._forget(care))
        # The lease may be renewed from here on: restoring a large log takes longer than a term lasts.
        self._waiting.look()
        await care.settle()
        if ended.called:
            raise LogUnavailable("the connection to Redis was lost")
        care.begin()

    def _distrust(self, care: Care, why: str) -> None:
        """Its connection has to be made anew, unless that has happened already."""
        if self._care is care:
            self._link.abort(why)

    def _forget(self, care: Care) -> None:
        """Its connection has ended: nobody may be given its commands any more."""
        care.end()
        if self._care is care:
            self._care = None

    def _lost(self) -> None:
        if self._care is not None:
            self._forget(self._care)

    def _ready(self, event: str) -> Commands | None:
        """The commands by which ``event`` may be written at the moment."""
        care = self._care
        return None if care is None or event in care.held else care.commands

    def _why(self) -> str:
        """Why nothing can be recorded at the moment."""
        if self._care is not None:
            return "the live log is being restored"
        return f"Redis at {self._address} cannot be used: {self._link.trouble or 'the connection was lost'}"

    def _usable(self, event: str, patience: float) -> Deferred[Commands]:
        """Fires with the commands once ``event`` may be written; fails when that takes longer than
        ``patience`` seconds."""
        return self._until(lambda: self._ready(event), patience)

    def _reachable(self, patience: float) -> Deferred[Commands]:
        """The same for what belongs to no event, also while the logs are being restored."""
        return self._until(lambda: None if self._care is None else self._care.commands, patience)

    def _until(self, ready: Callable[[], Commands | None], patience: float) -> Deferred[Commands]:
        return self._waiting.until(ready, patience if self._running else 0)

    def _hint(self, event: str, epoch: str, head: int | None) -> None:
        if self._care is not None:
            self._care.hint(event, epoch, head)

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

    def _run(self, event: str, work: Callable[[Commands], Awaitable[T]]) -> Deferred[T]:
        async def run() -> T:
            return await work(await self._usable(event, PATIENCE_SECONDS))

        return Deferred.fromCoroutine(run())

    # Holding back

    def hold(self, event: str, held: Sequence[Held], *, lease: str | None = None) -> Deferred[list[bool]]:
        try:
            arguments = redis_held.hold([entry(draft) for draft in held])
        except ValueError as error:
            return fail(error)
        holding = self._hold_back(redis_lua_held.HOLD, event, lease, arguments)
        return holding.addCallback(lambda words: [word == "1" for word in words])

    def release(self, event: str, ids: Sequence[str], *, lease: str | None = None) -> Deferred[list[Recorded]]:
        async def released() -> list[Recorded]:
            words = await self._hold_back(redis_lua_held.RELEASE, event, lease, list(map(key, ids)))
            with suppress(LogUnavailable):  # What was released is durable; the hint shows it, too.
                await self.refresh(event)
            return redis_held.recorded(words)

        return Deferred.fromCoroutine(released())

    def stop_held(self, event: str, ids: Sequence[str]) -> Deferred[None]:
        stopping = self._hold_back(redis_lua_held.STOP, event, None, list(map(key, ids)))
        return stopping.addCallback(lambda _: None)

    def _hold_back(
        self, script: Script, event: str, lease: str | None, arguments: Sequence[bytes]
    ) -> Deferred[list[str]]:
        """Run a script that changes what is held; fires with its words."""

        async def run(commands: Commands) -> list[str]:
            guard = redis_held.Guard(self._max_log_bytes, lease, timestamp(self._now()))
            try:
                answer = await redis_held.write(commands, script, event, guard, arguments)
            except ServerError as error:
                self._health.note_write(str(error))
                raise
            self._health.note_write(None)
            if answer.standing is not None:
                self._mirror.note(event, *answer.standing)
            if answer.refused == "full":
                self._room.refused(event, self._mirror.bytes[event])
            if answer.refused is not None:
                raise refusal(answer.refused, event, self._mirror, self._max_log_bytes)
            return answer.words

        return self._run(event, run)

    def held(
        self, event: str, limit: int, after: str | None = None, stopped: bool = False
    ) -> Deferred[list[HeldItem]]:
        return self._run(event, lambda commands: redis_held.listed(commands, event, limit, after, stopped))

    def due(self, event: str, at: str, limit: int) -> Deferred[list[str]]:
        return self._run(event, lambda commands: redis_held.due(commands, event, at, limit))

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

        return self._run(event, far)

    def head(self, event: str) -> Deferred[Head]:
        try:
            window = self._mirror.window(event)
        except LogUnavailable as error:
            return fail(error)
        return succeed(Head(window.epoch, window.head))

    def refresh(self, event: str) -> Deferred[None]:
        return self._run(event, lambda commands: self._mirror.follow(commands, event))

    def lineage(self, event: str) -> Deferred[Lineage]:
        try:
            window = self._mirror.window(event)
        except LogUnavailable as error:
            return fail(error)
        return succeed(Lineage(window.epoch, self._mirror.ancestors[event]))

    def position(self, event: str, source: str) -> Deferred[str | None]:
        async def position(commands: Commands) -> str | None:
            found = await commands.position(event, source)
            # What Redis has just forgotten may not have been put back yet.
            return found if found is not None else self._mirror.positions.get(event, {}).get(source)

        return self._run(event, position)

    def trim(self, event: str, upto: int) -> Deferred[None]:
        async def trim(commands: Commands) -> None:
            self._mirror.bytes[event] = await commands.trim(event, upto, self._window_size)

        return self._run(event, trim)

    def scrub(self) -> Deferred[bool]:
        return self._rewriting.scrub()

    def watch(self, callback: Callable[[str], None]) -> None:
        self._mirror.watchers.append(callback)

    def check(self) -> Check:
        data = {
            "kind": "redis",
            "address": str(self._address),
            "waiting": sum(map(len, self._appends.values())),
            "bytes": dict(self._mirror.bytes),
            "held": dict(self._mirror.held),
            "max_bytes": self._max_log_bytes,
            "hints": self._hints.up,
        }

        def check(state: Any, detail: str) -> Check:
            return Check(name="live_log", state=state, detail=detail, data=data)

        if not self._running:
            return check("failed", "The live log is closed.")
        if self._care is None:
            detail = f"{self._why()}. {advice(self._link.trouble or '')}"
            return check("failed", detail.rstrip())
        if self._care.held:
            return check(
                "failed",
                f"The live log of {', '.join(sorted(self._care.held))} is being compared with what the archive "
                "and the nodes remember, and filled from there where it has less. Until that is done pushes "
                "get 503, sources hold what they have, and pages show what there is.",
            )
        full = self._room.trouble()
        state, detail = self._health.judge(self._hints.trouble)
        return check("failed", full) if full is not None and state != "failed" else check(state, detail)
