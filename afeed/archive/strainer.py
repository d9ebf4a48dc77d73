"""The strainer: copies every live log into the archive, and lets the log forget what is safe there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from afeed.core.cursor import Cursor
from afeed.core.errors import ArchiveConflict, ArchiveUnavailable, ArchiveUnusable, LogUnavailable
from afeed.core.health import Check
from afeed.core.straining import Refusal, starting_point
from afeed.interfaces import IArchive, ILiveLog, Lineage

log = Logger()

_UNKNOWN = Lineage("", ())

#: After a hint, so that what comes in quick succession shares a transaction.
LINGER_S = 0.1
#: Hints may be lost: look at every log this often while one of them is ahead, and this often otherwise.
BEHIND_S = 1.0
IDLE_S = 3.0
#: Attempts while the archive or the log is away.  Even the longest pause, and the attempt after it, tell of the
#: end of a fault within ten seconds.
FIRST_RETRY_S = 0.5
LAST_RETRY_S = 8.0
#: A live log that finds out late what the archive has takes it up by itself; this long it is given.
REFUSAL_S = 10.0
#: An archive that works but is this far behind cannot keep up.
SLOW_S = 60.0


class Lag(NamedTuple):
    """How far the archive is behind the log, as of the last look: ``changes`` not yet copied (all, while the
    archive has never answered), and for how many ``seconds`` it has not been level."""

    changes: int
    seconds: float


@attrs.define
class _Copy:
    """What is known of one event's copy: ``position`` is where to go on, None until the archive has been asked
    (again), and ``copied`` where it stood when last heard of."""

    event: str
    position: int | None = None
    copied: int = 0
    lineage: Lineage = _UNKNOWN
    head: int = 0
    trimmed: int = 0
    behind_since: float | None = None
    refusal: Refusal | None = None
    refused_since: float = 0.0
    refusal_told: bool = False
    holes: list[tuple[int, int]] = attrs.Factory(list)


class Strainer:
    """Copies the logs of ``events`` in batches of at most ``batch`` changes.

    ``on_copied(event, seq)`` is called whenever the archive is known to hold everything up to ``seq``.
    """

    name = "strainer"

    def __init__(
        self,
        live_log: ILiveLog,
        archive: IArchive,
        events: Sequence[str],
        clock: IReactorTime,
        rng: Random,
        *,
        batch: int = 500,
        on_copied: Callable[[str, int], object],
    ) -> None:
        self._log = live_log
        self._archive = archive
        self._clock = clock
        self._rng = rng
        self._batch = batch
        self._on_copied = on_copied
        self._copies = {event: _Copy(event) for event in events}
        self._due: set[str] = set()
        self._watching = False
        self._wake: Deferred[None] | None = None
        self._away: str | None = None
        self._away_since = 0.0
        self._attempts = 0
        self._unusable = False
        self._next_look = 0.0

    async def run(self) -> None:
        """Copy until cancelled.  Opens the archive first, however often that takes; nothing that happens to
        the archive or the log leaves this method, an exception that does is a defect."""
        if not self._watching:
            self._watching = True
            self._log.watch(self._hint)
        self._forget_positions()
        self._next_look = self._clock.seconds()
        while True:
            try:
                if self._clock.seconds() >= self._next_look:
                    await self._archive.start()
                    await self._look_everywhere()
                    self._back()
                if await self._hinted():
                    await self._sleep(LINGER_S)
                    await self._copy_due()
            except (ArchiveUnavailable, ArchiveUnusable, LogUnavailable) as error:
                self._forget_positions()
                pause = self._gone(error)
                await self._measure_all()
                await self._sleep(pause)
                self._next_look = self._clock.seconds()

    async def drain(self, timeout: float) -> bool:
        """Copy all that the logs hold, after :meth:`run` was cancelled.  True when the archive has everything;
        False after ``timeout`` seconds, or when the archive or a log is away."""
        self._forget_positions()
        draining = Deferred.fromCoroutine(self._drain()).addTimeout(timeout, self._clock)
        try:
            await draining
        except (ArchiveUnavailable, ArchiveUnusable, LogUnavailable, DeferredTimeout) as error:
            log.warn(
                "Not everything could be copied to the archive before the end ({error}); the live log keeps "
                "the rest, and the next start copies it.",
                error=error,
            )
            return False
        return all(copy.refusal is None for copy in self._copies.values())

    def lag(self, event: str) -> Lag:
        """How far the archive is behind the log of ``event``."""
        copy = self._copies[event]
        since = copy.behind_since
        seconds = 0.0 if since is None else self._clock.seconds() - since
        return Lag(max(0, copy.head - copy.copied), seconds)

    def check(self) -> Check:
        """How it is, as of now."""
        copies = self._copies.values()
        data: dict[str, Any] = {}
        for copy in copies:
            behind, seconds = self.lag(copy.event)
            data[copy.event] = {"copied": copy.copied, "behind": behind, "behind_s": round(seconds, 1)}
        problems = [
            f"{copy.event}: {copy.refusal.reason}; {copy.refusal.remedy}"
            for copy in copies
            if copy.refusal is not None and copy.refusal_told
        ]
        problems += [
            f"{copy.event}: changes {first} to {last} were lost before they reached the archive; restart afeed "
            "once you have taken note"
            for copy in copies
            for first, last in copy.holes
        ]
        if problems:
            return Check(name=self.name, state="failed", detail=" ".join(problems), data=data)
        if self._away is not None:
            state: Any = "failed" if self._unusable else "degraded"
            detail = f"nothing is archived at the moment: {self._away}; the feed goes on and afeed tries again"
            return Check(name=self.name, state=state, detail=detail, data=data)
        slowest = max((self.lag(copy.event).seconds for copy in copies), default=0.0)
        if slowest > SLOW_S:
            detail = f"the archive has not been level with the live log for {slowest:.0f} s: it is too slow"
            return Check(name=self.name, state="degraded", detail=detail, data=data)
        return Check(name=self.name, state="ok", detail="the archive follows the live log", data=data)

    # When to look

    def _hint(self, event: str) -> None:
        if event in self._copies:
            self._due.add(event)
            self._rouse()

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.called:
            self._wake.callback(None)

    async def _hinted(self) -> bool:
        """Wait for a hint; False when it is time to look without one."""
        pause = self._next_look - self._clock.seconds()
        if not self._due and pause > 0:
            self._wake = Deferred()
            timer = self._clock.callLater(pause, self._rouse)
            try:
                await self._wake
            finally:
                self._wake = None
                if timer.active():
                    timer.cancel()
        return bool(self._due)

    async def _sleep(self, seconds: float) -> None:
        over: Deferred[None] = Deferred()
        timer = self._clock.callLater(seconds, over.callback, None)
        try:
            await over
        finally:
            if timer.active():
                timer.cancel()

    def _gone(self, error: Exception) -> float:
        """Take note of a fault; the seconds to wait before the next attempt."""
        if self._away is None:
            self._away_since = self._clock.seconds()
            log.error(
                "Nothing is archived at the moment: {error}. The feed goes on, the live log keeps everything, "
                "and afeed tries again every few seconds.",
                error=error,
            )
        self._away = str(error)
        self._unusable = isinstance(error, ArchiveUnusable)
        longest = min(LAST_RETRY_S, FIRST_RETRY_S * 2 ** min(self._attempts, 10))
        self._attempts += 1
        return longest * self._rng.uniform(0.5, 1.0)

    def _back(self) -> None:
        if self._away is not None:
            log.info(
                "The archive follows the live log again, after {seconds:.0f} s.",
                seconds=self._clock.seconds() - self._away_since,
            )
        self._away = None
        self._unusable = False
        self._attempts = 0

    # Copying

    def _forget_positions(self) -> None:
        """After anything unusual the archive itself is asked where it stands."""
        for copy in self._copies.values():
            copy.position = None

    async def _look_everywhere(self) -> None:
        """Copy what there is of every event, and trim what earlier steps left."""
        # Even when there is nothing to copy, health should hear of an archive that went away.
        for event in list(self._copies)[:1]:
            await self._archive.position(event)
        self._due.update(self._copies)
        await self._copy_due()
        for copy in self._copies.values():
            await self._trim(copy, at_least=1)
        behind = any(copy.behind_since is not None for copy in self._copies.values())
        self._next_look = self._clock.seconds() + (BEHIND_S if behind else IDLE_S)

    async def _copy_due(self) -> None:
        """One batch of each event in turn, until none is known to have more."""
        while self._due:
            for event in sorted(self._due):
                self._due.discard(event)
                if await self._copy(self._copies[event]):
                    self._due.add(event)

    async def _drain(self) -> None:
        await self._archive.start()
        for copy in self._copies.values():
            while copy.position is None or copy.position < copy.head:
                await self._copy(copy)
                if copy.refusal is not None:
                    break

    async def _copy(self, copy: _Copy) -> bool:
        """Copy one batch; whether there is more for certain."""
        if copy.position is None:
            await self._locate(copy)
        if copy.position is None:
            return False
        found = await self._log.read(copy.event, copy.position, self._batch)
        if found.epoch != copy.lineage.epoch:
            copy.position = None
            return True
        try:
            if found.first_seq > copy.position + 1:
                await self._skip(copy, copy.position, found.first_seq - 1)
            if found.changes:
                await self._archive.store(copy.event, copy.lineage, found.first_seq - 1, found.changes)
        except ArchiveConflict as conflict:
            log.warn("Somebody else writes to the archive: {conflict}. Looking again.", conflict=conflict)
            copy.position = None
            return False
        if found.changes:
            await self._copied(copy, found.first_seq - 1 + len(found.changes))
        self._measure(copy, copy.head)
        return copy.position is not None and copy.position < copy.head

    async def _copied(self, copy: _Copy, position: int) -> None:
        copy.position = copy.copied = position
        self._on_copied(copy.event, position)
        await self._trim(copy, at_least=self._batch)
        head = await self._log.head(copy.event)
        if head.epoch == copy.lineage.epoch:
            copy.head = head.seq

    async def _locate(self, copy: _Copy) -> None:
        """Find out where the archive stands and whether the log goes on from there."""
        stored = await self._archive.position(copy.event)
        lineage = await self._log.lineage(copy.event)
        head = await self._log.head(copy.event)
        if head.epoch != lineage.epoch:
            raise LogUnavailable(f"the live log of {copy.event} has just begun a new epoch")
        start = starting_point(
            None if stored is None else Cursor(*stored), lineage.epoch, lineage.ancestors, head.seq
        )
        if isinstance(start, Refusal):
            self._refuse(copy, start)
            self._measure(copy, head.seq)
            return
        if copy.refusal_told:
            log.info("{event} is archived again.", event=copy.event)
        copy.refusal, copy.refusal_told = None, False
        copy.lineage = lineage
        copy.position = copy.copied = start
        self._measure(copy, head.seq)
        self._on_copied(copy.event, start)

    def _refuse(self, copy: _Copy, refusal: Refusal) -> None:
        if copy.refusal is None:
            copy.refused_since = self._clock.seconds()
        copy.refusal = refusal
        if not copy.refusal_told and self._clock.seconds() - copy.refused_since >= REFUSAL_S:
            copy.refusal_told = True
            log.critical(
                "{event} is not archived any more: {reason}. Nothing was overwritten, and the live log keeps "
                "everything. What you can do: {remedy}.",
                event=copy.event,
                reason=refusal.reason,
                remedy=refusal.remedy,
            )

    async def _skip(self, copy: _Copy, after: int, upto: int) -> None:
        """The log has already forgotten what the archive lacks.  That cannot happen while both are left alone:
        somebody put an older archive in place, or took it away."""
        await self._archive.skip(copy.event, copy.lineage, after, upto)
        copy.holes.append((after + 1, upto))
        copy.position = copy.copied = upto
        log.critical(
            "Changes {first} to {last} of {event} are LOST: the archive does not have them and the live log "
            "no longer does. afeed has noted this in the archive (table holes) and goes on after them. If "
            "there is a more recent backup of the archive, stop afeed and restore that.",
            first=after + 1,
            last=upto,
            event=copy.event,
        )

    async def _trim(self, copy: _Copy, at_least: int) -> None:
        """Let the log forget what is durably archived, in steps of ``at_least`` changes."""
        if copy.position is not None and copy.position - copy.trimmed >= at_least:
            await self._log.trim(copy.event, copy.position)
            copy.trimmed = copy.position

    def _measure(self, copy: _Copy, head: int) -> None:
        copy.head = head
        if copy.copied >= head:
            copy.behind_since = None
        elif copy.behind_since is None:
            copy.behind_since = self._clock.seconds()

    async def _measure_all(self) -> None:
        """Keep the figures true while nothing can be copied."""
        for copy in self._copies.values():
            try:
                head = await self._log.head(copy.event)
            except LogUnavailable:
                return
            self._measure(copy, head.seq)
