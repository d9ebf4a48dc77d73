"""Looking after the logs in Redis on one connection: what was lost is put back before appends may go, what
others append is seen, and what goes missing is noticed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from afeed.core.errors import LogUnavailable
from afeed.interfaces import IWitness
from afeed.livelog.redis_commands import Commands, State
from afeed.livelog.redis_health import RedisHealth
from afeed.livelog.redis_mirror import Mirror
from afeed.livelog.redis_restore import RedisRestoring
from afeed.livelog.settle import Heard, hear, settle

#: How often, in seconds, the heads are compared with what is known: hints may get lost.
POLL_SECONDS = 1.0

#: How often, in seconds, a witness that did not answer is asked again.
RETRY_SECONDS = 2.0

#: How often, in seconds, the positions of sources are noted: an older one only has more fetched again.
POSITIONS_SECONDS = 10.0


class Care:
    """Looks after the logs of ``events`` by ``commands``, whose connection is given up when it ends.

    The first of ``witnesses`` is the archive; ``mirror`` is one as well, and outlives the connection.
    ``window`` is how many changes of an event have to be in Redis.  ``changed`` is called when ``held`` has
    changed, ``failed`` with the reason when the connection cannot be trusted.

    :ivar held: the events whose appends have to wait: all of them until :meth:`settle` has fired, later those
        whose log is being restored
    """

    _log = Logger()

    def __init__(
        self,
        commands: Commands,
        events: Sequence[str],
        witnesses: Sequence[IWitness],
        mirror: Mirror,
        health: RedisHealth,
        *,
        reactor: Any,
        rng: Random,
        window: int,
        changed: Callable[[], None],
        failed: Callable[[str], None],
    ) -> None:
        self.commands = commands
        self.held = set(events)
        self._events = tuple(events)
        self._witnesses = tuple(witnesses)
        self._mirror = mirror
        self._health = health
        self._reactor = reactor
        self._rng = rng
        self._window = window
        self._changed = changed
        self._failed = failed
        self._unheard: set[str] = set()
        self._tasks: list[Deferred[None]] = []

    async def settle(self) -> None:
        """Bring every log to where it can take appends, and see what is in it.  Raises
        :class:`~afeed.core.errors.LogUnavailable`, and what else went wrong."""
        heard = await self._hear(self._events)
        for event in self._events:
            await self._settle(event, heard[event])

    def begin(self) -> None:
        """Let appends go, and look after everything until :meth:`end`."""
        self.held.clear()
        self._changed()
        self._tasks = [self._keep(self._look()), self._keep(self._ask_again())]

    def end(self) -> None:
        """The connection has ended."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()

    def hint(self, event: str, epoch: str, head: int | None) -> None:
        """Redis tells that the log of ``event`` is in ``epoch`` and, if that is known, at ``head``."""
        window = self._mirror.windows.get(event)
        if window is None or event in self.held:
            return
        if window.epoch == epoch and head is not None and head <= window.head:
            return
        self._mirror.follow(self.commands, event).addErrback(self._broke)

    def _keep(self, work: Coroutine[Any, Any, None]) -> Deferred[None]:
        """Have ``work`` done; the connection is given up if it fails."""
        return Deferred.fromCoroutine(work).addErrback(self._broke)

    def _broke(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        if not failure.check(LogUnavailable):
            self._log.failure("Looking after the live log failed; the connection is made anew", failure)
        self._failed(failure.getErrorMessage())

    # Restoring

    async def _hear(self, events: Sequence[str]) -> dict[str, Heard]:
        memories = (*self._witnesses[1:], self._mirror)
        return await hear(events, self._witnesses[:1], memories, self._reactor)

    async def _settle(self, event: str, heard: Heard) -> None:
        restoring = RedisRestoring(self.commands, self._rng, lambda: self._hold(event))
        outcome = await settle(
            restoring,
            event,
            heard,
            reactor=self._reactor,
            rng=self._rng,
            window=self._window,
            doubtful=lambda: restoring.run != self.commands.run or event in self._mirror.suspect,
            announce=self._announce,
        )
        await self._recall(event)
        self._mirror.suspect.discard(event)
        self._unheard.discard(event)
        if outcome.unheard:
            self._unheard.add(event)
        await self._mirror.follow(self.commands, event)

    async def _recall(self, event: str) -> None:
        """Put back the positions of sources that Redis has forgotten, whichever node has restored the log, and
        note those that it has.  One that nobody knew would be taken for a first start: a silent gap."""
        there = await self.commands.positions(event)
        known = self._mirror.positions.setdefault(event, {})
        forgotten = {source: value for source, value in known.items() if source not in there}
        await self.commands.remind(event, forgotten)
        known.update(there)

    def _announce(self, sentence: str) -> None:
        self._log.warn(
            "{sentence} Viewers go on by themselves; if nobody meant this, Redis's own log says why.",
            sentence=sentence,
        )

    def _hold(self, event: str) -> None:
        """Appends to ``event`` wait from here on."""
        self.held.add(event)
        self._changed()

    async def _ask_again(self) -> None:
        """A witness that was away may know more than Redis: it is asked until it answers."""
        while self._unheard:
            await deferLater(self._reactor, RETRY_SECONDS)
            heard = await self._hear(sorted(self._unheard))
            for event in heard:
                await self._settle(event, heard[event])
                self.held.discard(event)
                self._changed()

    # Looking

    async def _look(self) -> None:
        """See, once a second, what others have appended and how the server is."""
        await deferLater(self._reactor, 0 if self._health.refusal else POLL_SECONDS)
        noted = self._reactor.seconds()
        while True:
            states = await self._health.look(self.commands, self._events, self._reactor)
            # In the very turn of the answer, all of them: whatever is awaited makes the rest of it old.
            for event in self._judge(dict(zip(self._events, states, strict=True))):
                await self._mirror.follow(self.commands, event)
            if self._reactor.seconds() - noted >= POSITIONS_SECONDS:
                noted = self._reactor.seconds()
                for event in self._events:
                    self._mirror.positions[event].update(await self.commands.positions(event))
            await deferLater(self._reactor, POLL_SECONDS)

    def _judge(self, states: Mapping[str, State | None]) -> list[str]:
        """The events of which there is something to be seen, where the server is at ``states`` now."""
        lost: list[str] = []
        restored: list[str] = []
        moved: list[str] = []
        for event, state in states.items():
            window = self._mirror.windows[event]
            if event in self.held:
                continue
            if state is None or (state.epoch == window.epoch and state.head < window.head):
                lost.append(event)
                continue
            if state.run != self.commands.run:
                restored.append(event)
            self._mirror.note(event, state.bytes, state.held, state.held_bytes)
            if (state.epoch, state.head) != (window.epoch, window.head):
                moved.append(event)
        if lost:
            self._mirror.suspect.update(lost)
            raise LogUnavailable(f"it has lost changes of {', '.join(lost)}, which are put back now")
        if restored:
            raise LogUnavailable(f"another node restores the live log of {', '.join(restored)} at the moment")
        return moved
