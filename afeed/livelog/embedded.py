"""The live log of a single node: one SQLite file and no service beside afeed.

What deduplication costs: every item keeps its keys for as long as the event is served, 45 bytes of the file
when packed and some 70 as they come (30 more for each superseded version, and for each filing), so a million
items cost 70 MB of disk and no memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from afeed.core.change import REMOVED, Change, timestamp
from afeed.core.cursor import Ancestor
from afeed.core.draft import Draft, Held, prepare
from afeed.core.errors import LeaseLost, LogFull, LogUnavailable
from afeed.core.health import Check
from afeed.interfaces import Head, HeldItem, ILiveLog, IWitness, Lineage, Position, Recorded, Slice
from afeed.livelog.chores import Chores
from afeed.livelog.database import Database
from afeed.livelog.database_events import State
from afeed.livelog.database_held import Standing
from afeed.livelog.embedded_restore import EmbeddedRestoring
from afeed.livelog.entries import entry
from afeed.livelog.room import Room
from afeed.livelog.settle import Heard, Outcome, hear, settle
from afeed.livelog.sole_lease import SoleLease
from afeed.livelog.waiting import Waiting
from afeed.livelog.writer import PATIENCE_SECONDS, IReactor, Writer
from afeed.window import Window

FILE = "live.sqlite3"

#: How many changes per event are read into memory at start; older ones come from the file when asked for.
PRELOAD = 500

#: How often, in seconds, a witness that did not answer is asked again.
RETRY_SECONDS = 2.0

T = TypeVar("T")


@implementer(ILiveLog)
class EmbeddedLog:
    """The live log in ``directory``, which the caller has locked (:func:`afeed.livelog.lock.hold`).

    ``now`` gives the time in seconds since 1970, ``window`` is what :meth:`trim` leaves of every event, and
    ``max_log_bytes`` bounds the bodies kept per event.  :meth:`start` fails with
    :class:`~afeed.core.errors.LogUnusable` where the file cannot be used, and leaves it as it is.
    """

    _log = Logger()

    def __init__(
        self,
        directory: Path,
        reactor: IReactor,
        now: Callable[[], float],
        rng: Random,
        *,
        window: int,
        max_log_bytes: int,
    ) -> None:
        self._path = directory / FILE
        self._reactor = reactor
        self._now = now
        self._rng = rng
        self._window_size = window
        self._max_log_bytes = max_log_bytes
        self._writer = Writer(reactor, self._open, self._settled)
        self._chores = Chores(self._writer, reactor)
        self._windows: dict[str, Window] = {}
        self._ancestors: dict[str, tuple[Ancestor, ...]] = {}
        self._bytes: dict[str, int] = {}
        self._watchers: list[Callable[[str], None]] = []
        self._changed: dict[str, None] = {}
        #: How many items are held, and what of the bytes is theirs.
        self._held: dict[str, int] = {}
        self._held_bytes: dict[str, int] = {}
        self._room = Room(self._bytes, self._held_bytes, max_log_bytes)
        #: Events whose log is being filled from witnesses, and who waits for the end of that.
        self._filling: set[str] = set()
        self._waiting = Waiting(reactor, lambda: "the live log is being filled from what the archive remembers")
        self._retries: dict[str, IDelayedCall] = {}
        #: Events of which the disk may have lost what was recorded last.
        self._doubted: set[str] = set()
        self._running = False
        self.lease = SoleLease()

    def _open(self) -> Database:
        return Database(self._path, window=self._window_size, max_bytes=self._max_log_bytes)

    # Life

    def start(self, events: Sequence[str], witnesses: Sequence[IWitness]) -> Deferred[None]:
        return Deferred.fromCoroutine(self._start(events, witnesses))

    async def _start(self, events: Sequence[str], witnesses: Sequence[IWitness]) -> None:
        await self._writer.start()
        self._running = True
        self._chores.start()
        try:
            if await self._writer.read(lambda database: database.unfinished):
                self._doubted.update(events)
            heard = await self._hear(events, witnesses)
            for event in events:
                await self._settle(event, witnesses, heard[event])
            # What a process that was killed had removed may still be in the write-ahead log, too.
            if not await self._writer.read(Database.conclude):
                self._chores.tidy_soon()
        except BaseException:
            await self.stop()
            raise

    async def _hear(self, events: Sequence[str], witnesses: Sequence[IWitness]) -> dict[str, Heard]:
        return await hear(events, witnesses[:1], witnesses[1:], self._reactor)

    async def _settle(self, event: str, witnesses: Sequence[IWitness], heard: Heard) -> None:
        """Restore what the witnesses remember and load the newest changes; appends wait meanwhile."""
        try:
            outcome = await settle(
                EmbeddedRestoring(self._writer, lambda: self._filling.add(event)),
                event,
                heard,
                reactor=self._reactor,
                rng=self._rng,
                window=self._window_size,
                doubtful=lambda: event in self._doubted,
                because="afeed was killed, or the machine stopped, and a disk may lose what was written last",
                announce=self._announce,
            )
            self._doubted.discard(event)
            if outcome.changed or event not in self._windows:
                await self._load(event)
                self._chores.tidy_soon()
        finally:
            self._filling.discard(event)
            self._waiting.look()
        self._ask_again(event, witnesses, outcome)

    def _announce(self, sentence: str) -> None:
        self._log.warn("{sentence}", sentence=sentence)

    def _ask_again(self, event: str, witnesses: Sequence[IWitness], outcome: Outcome) -> None:
        """A witness that was away may know more than this log does: it is asked until it answers."""
        if not (outcome.unheard and self._running):
            return

        def again() -> None:
            del self._retries[event]
            Deferred.fromCoroutine(asked()).addErrback(failed)

        async def asked() -> None:
            heard = await self._hear([event], witnesses)
            await self._settle(event, witnesses, heard[event])

        def failed(failure: object) -> None:
            self._log.warn(
                "The live log of {event} could not be compared with the archive: {failure}. It will be "
                "tried again.",
                event=event,
                failure=failure,
            )
            self._ask_again(event, witnesses, outcome)

        self._retries[event] = self._reactor.callLater(RETRY_SECONDS, again)

    async def _load(self, event: str) -> None:
        def load(database: Database) -> tuple[State, list[Change], Standing]:
            state = database.state(event)
            assert state is not None
            newest = min(PRELOAD, self._window_size)
            changes = database.read(event, state.head - newest, newest).changes
            return state, changes, database.standing(event)

        state, changes, standing = await self._writer.read(load)
        known = event in self._windows
        window = Window(state.epoch, state.head - len(changes), self._window_size)
        window.extend(changes)
        self._windows[event] = window
        self._ancestors[event] = state.ancestors
        self._note(event, standing)
        if known:
            self._tell(event)

    def stop(self) -> Deferred[None]:
        self._running = False
        for call in self._retries.values():
            call.cancel()
        self._retries.clear()
        self._chores.stop()
        self._waiting.refuse()
        return self._writer.stop()

    # Writing

    def append(
        self,
        event: str,
        epoch: str | None,
        drafts: Sequence[Draft],
        *,
        lease: str | None = None,
        position: Position | None = None,
    ) -> Deferred[list[Recorded]]:
        records = [prepare(draft) for draft in drafts]
        return self._change(
            event, lease, lambda database, at: database.append(event, epoch, records, at, position)
        )

    def _change(
        self, event: str, lease: str | None, work: Callable[[Database, str], tuple[T, list[Change]]]
    ) -> Deferred[T]:
        """Have ``work(database, time)`` done, which returns a result and the new changes; fires with the
        result."""
        if event not in self._windows:
            return fail(LogUnavailable(f"the live log of {event} is not open"))
        if event in self._filling:
            filled = self._waiting.until(lambda: event not in self._filling or None, PATIENCE_SECONDS)
            return filled.addCallback(lambda _: self._change(event, lease, work))
        at = timestamp(self._now())
        before = 0

        def run(database: Database) -> tuple[T, list[Change], Standing]:
            nonlocal before
            before = database.standing(event).bytes
            if lease is not None and lease != self.lease.holder:
                raise LeaseLost("another node runs the sources now")
            result, changes = work(database, at)
            return result, changes, database.standing(event)

        def apply(result: tuple[T, list[Change], Standing]) -> None:
            _, changes, standing = result
            self._note(event, standing)
            if changes:
                self._windows[event].extend(changes)
                self._changed[event] = None
            if any(change.type == REMOVED for change in changes):
                self._chores.tidy_soon()

        def refused(failure: Failure) -> Failure:
            if failure.check(LogFull):
                self._room.refused(event, before)
            return failure

        return self._writer.write(run, apply).addCallbacks(lambda result: result[0], refused)

    def _note(self, event: str, standing: Standing) -> None:
        self._bytes[event], self._held[event], self._held_bytes[event] = standing

    # Holding back

    def hold(self, event: str, held: Sequence[Held], *, lease: str | None = None) -> Deferred[list[bool]]:
        try:
            entries = [entry(draft) for draft in held]
        except ValueError as error:
            return fail(error)

        def held_back(result: tuple[list[bool], bool]) -> list[bool]:
            new, replaced = result
            if replaced:
                self._chores.tidy_soon()  # what it said before is in no file any more
            return new

        holding = self._change(event, lease, lambda database, at: (database.hold(event, entries, at), []))
        return holding.addCallback(held_back)

    def release(self, event: str, ids: Sequence[str], *, lease: str | None = None) -> Deferred[list[Recorded]]:
        return self._change(event, lease, lambda database, at: database.release(event, ids, at))

    def stop_held(self, event: str, ids: Sequence[str]) -> Deferred[None]:
        def stop(database: Database, at: str) -> tuple[None, list[Change]]:
            database.stop_held(event, ids)
            return None, []

        return self._change(event, None, stop)

    def held(
        self, event: str, limit: int, after: str | None = None, stopped: bool = False
    ) -> Deferred[list[HeldItem]]:
        return self._look(event, lambda database: database.held(event, limit, after, stopped))

    def due(self, event: str, at: str, limit: int) -> Deferred[list[str]]:
        return self._look(event, lambda database: database.due(event, at, limit))

    def _look(self, event: str, work: Callable[[Database], list[T]]) -> Deferred[list[T]]:
        """What ``work`` finds among what is held, if anything is."""
        if event not in self._windows or not self._running:
            return fail(LogUnavailable(f"the live log of {event} is not open"))
        return self._writer.read(work) if self._held[event] else succeed([])

    def _settled(self) -> None:
        """A group was committed and is in memory: now tell of it."""
        changed, self._changed = self._changed, {}
        for event in changed:
            self._tell(event)
        if self._writer.trouble is not None:
            self._chores.probe_soon()

    def _tell(self, event: str) -> None:
        for watcher in self._watchers:
            try:
                watcher(event)
            except Exception:
                self._log.failure("A listener failed on a change of {event}; the others are told", event=event)

    def trim(self, event: str, upto: int) -> Deferred[None]:
        def work(database: Database) -> tuple[Standing, bool]:
            done = database.trim(event, upto)
            return database.standing(event), done

        async def trim() -> None:
            done = False
            while not done:
                standing, done = await self._writer.write(work)
                self._note(event, standing)

        return Deferred.fromCoroutine(trim())

    # Reading

    def read(self, event: str, after: int, limit: int) -> Deferred[Slice]:
        window = self._windows.get(event)
        if window is None:
            return fail(LogUnavailable(f"the live log of {event} is not open"))
        near = window.slice(after, limit)
        return succeed(near) if near is not None else self._writer.read(lambda db: db.read(event, after, limit))

    def head(self, event: str) -> Deferred[Head]:
        window = self._windows.get(event)
        if window is None:
            return fail(LogUnavailable(f"the live log of {event} is not open"))
        return succeed(Head(window.epoch, window.head))

    def refresh(self, event: str) -> Deferred[None]:
        return succeed(None)  # nobody else writes into it

    def lineage(self, event: str) -> Deferred[Lineage]:
        return self.head(event).addCallback(lambda head: Lineage(head.epoch, self._ancestors[event]))

    def position(self, event: str, source: str) -> Deferred[str | None]:
        return self._writer.read(lambda database: database.position(event, source))

    def scrub(self) -> Deferred[bool]:
        return self._writer.read(Database.tidy)

    def watch(self, callback: Callable[[str], None]) -> None:
        self._watchers.append(callback)

    def check(self) -> Check:
        data = {
            "kind": "embedded",
            "waiting": self._writer.waiting,
            "bytes": dict(self._bytes),
            "held": dict(self._held),
            "max_bytes": self._max_log_bytes,
        }
        trouble = self._trouble() or self._room.trouble()
        detail = "The live log can be written." if trouble is None else trouble
        return Check(name="live_log", state="ok" if trouble is None else "failed", detail=detail, data=data)

    def _trouble(self) -> str | None:
        """Why nothing can be recorded, in a sentence for the operator."""
        if not self._running:
            return "The live log is closed."
        if self._writer.stuck:
            return (
                "The disk that holds data_dir does not answer, so the live log cannot be written: look at the "
                "disk."
            )
        trouble = self._chores.absence or self._writer.trouble
        if trouble is not None:
            return (
                f"The live log cannot be written ({trouble}): look at the disk that holds data_dir. Sources "
                "hold what they have and try again."
            )
        if self._filling:
            return (
                f"The live log of {', '.join(sorted(self._filling))} is being filled from what the archive "
                "remembers. Until that is done pushes get 503, and sources hold what they have."
            )
        return None
