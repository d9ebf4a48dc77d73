"""The hub: one ordered reader per event takes changes from the live log and hands them to everyone at
once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredList, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from afeed.channel import Channel
from afeed.core.change import REMOVED, Change
from afeed.core.draft import SourceGap
from afeed.core.errors import ArchiveUnavailable, LogUnavailable
from afeed.core.health import Check
from afeed.core.item import Item
from afeed.core.pace import Pace
from afeed.interfaces import (
    FeedPage,
    IArchive,
    IFeed,
    ILiveLog,
    IWitness,
    Lineage,
    Slice,
    Testimony,
)
from afeed.paging import feed_page

#: How many changes one read asks for.
READ_LIMIT = 500
#: How often the log is asked how it is, and a channel that could not be read is tried again, in seconds.
LOOK_S = 1.0
#: How long somebody who wants what is no longer in memory waits for the log, in seconds, before the archive is
#: asked, and how long when the log is known to be in trouble.  A page has to be there in two seconds.
LOG_PATIENCE_S, TROUBLED_PATIENCE_S = 1.0, 0.2
#: How long one waits whose position is not known here, so that the log has to be asked.
ASK_PATIENCE_S = 1.5
#: Within this time everyone who is sent away by a new epoch is asked to come back.
RETURN_MS = 1000

_log = Logger()
Found = TypeVar("Found")


@implementer(IFeed, IWitness)
class Hub:
    """Keeps a :class:`~afeed.channel.Channel` per event in step with the log.

    ``renderers`` has every event, with what makes the fragments of its items; ``window`` counts the changes
    per event kept in memory.
    """

    def __init__(
        self,
        renderers: Mapping[str, Callable[[Item], str]],
        log: ILiveLog,
        archive: IArchive,
        clock: IReactorTime,
        window: int,
    ) -> None:
        self.channels = {
            event: Channel(event, window, render, self._older, self._floor, self._caught_up)
            for event, render in renderers.items()
        }
        self._live_log = log
        self._archive = archive
        self._window = window
        self._busy: set[str] = set()
        self._hinted: set[str] = set()
        self._following: dict[str, Deferred[None]] = {}
        self._errors: dict[str, str] = {}
        self._paces = {event: Pace() for event in renderers}
        self._steps: dict[str, list[Deferred[None]]] = {}
        #: The events of which the archive is being asked for earlier outages.
        self._recalling: set[str] = set()
        self._clock = clock
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def start(self) -> Deferred[None]:
        """Read every event's window.  Fires when each was read or is known to be unreadable for now."""
        self._live_log.watch(self.hint)
        self._looking.start(LOOK_S, now=False)
        for event in self.channels:
            self.hint(event)
        return DeferredList(tuple(self._following.values())).addCallback(lambda _: None)

    def stop(self, retry_ms: int = RETURN_MS) -> None:
        """Stop reading and send all subscribers away; clients are asked to come back within ``retry_ms``."""
        if self._looking.running:
            self._looking.stop()
        self._busy.update(self.channels)  # so that no hint starts another read
        for following in self._following.values():
            following.cancel()
        for channel in self.channels.values():
            channel.close(retry_ms)

    def hint(self, event: str) -> None:
        """There may be something to read; if the log has it at hand it is shown before this returns, unless the
        viewers have just been written to."""
        channel = self.channels.get(event)
        if channel is None:
            return
        if event in self._busy:
            self._hinted.add(event)
            return
        self._busy.add(event)
        following = Deferred.fromCoroutine(self._follow(channel))
        self._following[event] = following
        following.addErrback(self._failed, event)
        following.addCallback(self._followed, event)

    def _followed(self, _: None, event: str) -> None:
        if self._looking.running:
            self._busy.discard(event)
            if event in self._hinted:
                self._hinted.discard(event)
                self.hint(event)
        self._stepped(event)

    def _failed(self, failure: Failure, event: str) -> None:
        if failure.check(CancelledError):
            return
        known = self._errors.get(event)
        self._errors[event] = failure.getErrorMessage() or type(failure.value).__name__
        if failure.check(LogUnavailable):
            if known is None:
                _log.warn(
                    "{event}: the live log cannot be read ({why}); what was shown stays, "
                    "new posts appear when it is back",
                    event=event,
                    why=failure.getErrorMessage(),
                )
        elif known is None:
            _log.failure("{event}: following the live log failed; trying again", failure, event=event)

    def _look(self) -> None:
        """Once a second: try again what failed, and see whether viewers have to be told of a delay."""
        for event in tuple(self._errors):
            self.hint(event)
        try:
            troubled = self._in_trouble()
            for channel in self.channels.values():
                self._tell(channel, troubled)
        except Exception:  # a look that fails must not be the last one
            _log.failure("Asking the live log how it is failed; viewers are told of no delay meanwhile")

    def _tell(self, channel: Channel, troubled: bool) -> None:
        """Let the viewers know whether new posts can be taken and shown; a failure that is over before the next
        look is told to nobody."""
        channel.stall(troubled or channel.event in self._errors)

    def _in_trouble(self) -> bool:
        return self._live_log.check().state == "failed"

    async def _follow(self, channel: Channel) -> None:
        while True:
            if channel.epoch is None:
                await self._load(channel)
            self._hinted.discard(channel.event)  # what came until now is in what is read now
            found = await self._live_log.read(channel.event, channel.head, READ_LIMIT)
            if found.epoch != channel.epoch or (found.changes and found.first_seq != channel.head + 1):
                await self._load(channel)
            elif found.changes:
                await self._show(channel, found.changes)
            else:
                self._recovered(channel)
                return

    def _recovered(self, channel: Channel) -> None:
        if self._errors.pop(channel.event, None) is not None:
            _log.info("{event}: the live log can be read again", event=channel.event)
            self._tell(channel, self._in_trouble())

    async def _show(self, channel: Channel, changes: Sequence[Change]) -> None:
        event = channel.event
        began = self._clock.seconds()
        channel.add(changes)
        several = len(changes) > 1 or event in self._hinted
        rest = self._paces[event].rest(began, self._clock.seconds(), several)
        self._recovered(channel)
        self._stepped(event)
        if rest:
            await deferLater(self._clock, rest)

    def _stepped(self, event: str) -> None:
        """Tell those who wait for a channel to get on."""
        for step in self._steps.pop(event, ()):
            if not step.called:  # else its patience is at an end
                step.callback(None)

    async def _load(self, channel: Channel) -> None:
        """Fill the channel from the newest part of the log, all of it in one epoch."""
        event = channel.event
        lineage = await self._live_log.lineage(event)
        head = await self._live_log.head(event)
        after = max(0, head.seq - self._window)
        removed = await self._removed_unarchived(event, lineage, after)
        changes: list[Change] = []
        while True:
            found = await self._read(event, lineage, after)
            if changes and found.first_seq != after + 1:
                changes.clear()  # trimmed meanwhile: what is left must be without a hole
            changes += found.changes
            after = found.first_seq + len(found.changes) - 1
            if not found.changes:
                break
        channel.reset(lineage, after, changes, removed, RETURN_MS)
        self._recall(channel)
        if channel.first == 1:
            channel.floor = 1
        else:
            try:
                await self.find_floor(channel)
            except ArchiveUnavailable:
                pass  # asked again when a client needs it

    async def _read(self, event: str, lineage: Lineage, after: int) -> Slice:
        found = await self._live_log.read(event, after, READ_LIMIT)
        if found.epoch != lineage.epoch:
            raise LogUnavailable("the log began a new epoch while it was read")
        return found

    async def _removed_unarchived(self, event: str, lineage: Lineage, upto: int) -> dict[str, int]:
        """The removals up to ``upto`` that the archive does not have yet: what it tells of these items is not
        to be shown any more.  The log still holds them, because it is trimmed behind the archive."""
        try:
            archived = await self._archive.position(event)
        except ArchiveUnavailable:
            archived = None
        after = 0 if archived is None else archived.seq
        removed: dict[str, int] = {}
        while after < upto:
            found = await self._read(event, lineage, after)
            if not found.changes:
                break
            for change in found.changes:
                if change.type == REMOVED and change.id is not None:
                    removed[change.id] = change.seq
            after = found.changes[-1].seq
        return removed

    def copied(self, event: str, seq: int) -> None:
        """The archive has everything of ``event`` up to ``seq``."""
        channel = self.channels[event]
        channel.copied(seq)
        if channel.ready and not channel.recalled:
            self._recall(channel)

    def _recall(self, channel: Channel) -> None:
        """Have the archive tell of earlier outages of the sources, for the pages; nobody waits for it."""
        event, epoch = channel.event, channel.epoch
        if event in self._recalling:
            return
        self._recalling.add(event)

        def found(gaps: list[tuple[int, SourceGap]]) -> None:
            if channel.epoch == epoch:
                channel.recall(gaps)

        def failed(failure: Failure) -> None:
            if not failure.check(ArchiveUnavailable):  # else it is asked again once it has copied something
                _log.failure("{event}: reading the earlier outages failed", failure, event=event)

        def answered(_: None) -> None:
            self._recalling.discard(event)
            if channel.epoch != epoch:
                self._recall(channel)

        self._archive.gaps(event).addCallback(found).addErrback(failed).addCallback(answered)

    async def find_floor(self, channel: Channel) -> int:
        """The oldest seq of the event that exists anywhere.  Raises
        :class:`~afeed.core.errors.ArchiveUnavailable` while it cannot be known."""
        while channel.floor is None:
            epoch = channel.epoch
            first, last = await self._archive.extent(channel.event)
            try:
                held = (await self._soon(self._live_log.read(channel.event, 0, 1))).first_seq
            except LogUnavailable:
                held = channel.first
            if channel.epoch == epoch:  # else all of this was about another log
                channel.floor = min(held, first) if last >= first else held
        return channel.floor

    async def _from_log_or_archive(self, event: str, after: int, limit: int) -> list[Change]:
        found = await self._from_log(self._soon(self._live_log.read(event, after, limit)), after)
        if found:
            return found
        try:
            return await self._from_archive(event, after, limit)
        except ArchiveUnavailable:
            # A log that is merely slow may take its time when nobody else can help.
            if not self._in_trouble():
                found = await self._from_log(self._live_log.read(event, after, limit), after)
            if not found:
                raise
            return found

    @staticmethod
    async def _from_log(reading: Deferred[Slice], after: int) -> list[Change]:
        """What was read, if that begins behind ``after``; else nothing."""
        try:
            found = await reading
        except LogUnavailable:
            return []
        return found.changes if found.first_seq == after + 1 else []

    async def _from_archive(self, event: str, after: int, limit: int) -> list[Change]:
        changes = await self._archive.read(event, after, limit)
        if not changes:
            raise ArchiveUnavailable(f"change {after + 1} is neither in the log nor in the archive yet")
        if changes[0].seq != after + 1:
            # A range that nobody has any more.  Who asks again is told of it as a gap and goes on behind it.
            self.channels[event].floor = changes[0].seq
            raise ArchiveUnavailable(f"the changes {after + 1} to {changes[0].seq - 1} are gone")
        return changes

    def _soon(self, waited: Deferred[Found], patience: float | None = None) -> Deferred[Found]:
        """``waited``, which fails with :class:`~afeed.core.errors.LogUnavailable` when it takes too long."""
        if patience is None:
            patience = TROUBLED_PATIENCE_S if self._in_trouble() else LOG_PATIENCE_S

        def late(_: object, seconds: float) -> NoReturn:
            raise LogUnavailable(f"the live log did not answer within {seconds:g} s")

        return waited.addTimeout(patience, self._clock, onTimeoutCancel=late)

    async def _catch_up(self, channel: Channel) -> None:
        event = channel.event
        await self._soon(self._live_log.refresh(event), ASK_PATIENCE_S)
        head = await self._soon(self._live_log.head(event), ASK_PATIENCE_S)
        self.hint(event)
        # In a flood the following has no end; what is known by now is there after a step or two.
        while channel.epoch != head.epoch or channel.head < head.seq:
            if self._following[event].called:
                break  # it could not be read
            step: Deferred[None] = Deferred()
            self._steps.setdefault(event, []).append(step)
            await self._soon(step, ASK_PATIENCE_S)
        why = self._errors.get(event)
        if why is not None:
            raise LogUnavailable(why)

    def _caught_up(self, channel: Channel) -> Deferred[None]:
        """Fires when ``channel`` has all that the log had at the time of the call.  Fails with
        :class:`~afeed.core.errors.LogUnavailable` when that cannot be known."""
        return Deferred.fromCoroutine(self._catch_up(channel))

    def _floor(self, channel: Channel) -> Deferred[int]:
        return Deferred.fromCoroutine(self.find_floor(channel))

    def _older(self, event: str, after: int, limit: int) -> Deferred[list[Change]]:
        return Deferred.fromCoroutine(self._from_log_or_archive(event, after, limit))

    # -- IFeed

    def page(
        self, event: str, limit: int, before: int | None = None, prompt: bool = False
    ) -> Deferred[FeedPage]:
        """See :class:`~afeed.interfaces.IFeed`."""
        work = feed_page(self.channels[event], self._archive, limit, before, prompt)
        return Deferred.fromCoroutine(work)

    # -- IWitness

    def testimony(self, event: str) -> Deferred[Testimony | None]:
        """What this node still holds in memory; see :class:`~afeed.interfaces.IWitness`."""
        channel = self.channels[event]
        if channel.epoch is None or channel.head < channel.first:
            return succeed(None)

        def read(after: int, limit: int) -> Deferred[list[Change]]:
            return succeed(channel.window(after, limit))

        return succeed(Testimony(channel.epoch, channel.ancestors, channel.first, channel.head, read))

    def check(self) -> Check:
        """Whether every event is being followed."""
        if self._errors:
            event, why = next(iter(self._errors.items()))
            return Check(
                name="hub",
                state="failed",
                detail=f"{event} does not follow the live log: {why}. Tried again every second.",
                data={"events": sorted(self._errors)},
            )
        heads = {event: channel.cursor for event, channel in self.channels.items() if channel.ready}
        return Check(name="hub", state="ok", detail="Every event follows the live log.", data={"heads": heads})
