"""The copy of one event's live log in the archive: one step of it, and how far it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from afeed.core.cursor import Cursor
from afeed.core.errors import ArchiveConflict, LogUnavailable
from afeed.core.straining import Refusal, starting_point
from afeed.interfaces import IArchive, ILiveLog, Lineage

log = Logger()

#: A live log that finds out late what the archive has takes it up by itself: so many seconds it is given.
REFUSAL_S = 10.0


class Lag(NamedTuple):
    """How far the archive is behind the log, as of the last look: ``changes`` not yet copied (all, while the
    archive has never answered), and for how many ``seconds`` it has not been level."""

    changes: int
    seconds: float


class EventCopy:
    """Copies the log of ``event``, up to ``batch`` changes a step.

    ``copied`` is the last seq known to be archived; ``on_copied(event, seq)`` hears of it.  Every method that
    is awaited may fail with :class:`~afeed.core.errors.ArchiveUnavailable` or
    :class:`~afeed.core.errors.LogUnavailable`; call :meth:`forget` then.
    """

    def __init__(
        self,
        event: str,
        live_log: ILiveLog,
        archive: IArchive,
        clock: IReactorTime,
        *,
        batch: int,
        on_copied: Callable[[str, int], object],
    ) -> None:
        self.event = event
        self.copied = 0
        self._log = live_log
        self._archive = archive
        self._clock = clock
        self._batch = batch
        self._on_copied = on_copied
        self._position: int | None = None
        self._lineage = Lineage("", ())
        self._head = 0
        self._trimmed = 0
        self._behind_since: float | None = None
        self._refusal: Refusal | None = None
        self._refused_since = 0.0
        self._refusal_told = False
        self._holes: list[tuple[int, int]] = []

    @property
    def level(self) -> bool:
        """Whether the archive had everything at the last look."""
        return self._position is not None and self._position >= self._head

    @property
    def refused(self) -> bool:
        """Whether the log does not continue what the archive holds."""
        return self._refusal is not None

    def lag(self) -> Lag:
        """How far behind the archive is."""
        since = self._behind_since
        seconds = 0.0 if since is None else self._clock.seconds() - since
        return Lag(max(0, self._head - self.copied), seconds)

    def problems(self) -> list[str]:
        """What does not get better by waiting, a sentence each, with what an operator may do."""
        found = [
            f"{self.event}: changes {first} to {last} were lost before they reached the archive; restart afeed "
            "once you have taken note."
            for first, last in self._holes
        ]
        if self._refusal is not None and self._refusal_told:
            found.append(f"{self.event}: {self._refusal.reason}; {self._refusal.remedy}.")
        return found

    def forget(self) -> None:
        """Ask the archive itself, at the next step, where it stands."""
        self._position = None

    async def step(self) -> bool:
        """Copy one batch; whether there is more that is worth another one at once."""
        if self._position is None:
            await self._locate()
        if self._position is None:
            return False
        found = await self._log.read(self.event, self._position, self._batch)
        if found.epoch != self._lineage.epoch:
            self._position = None
            return True
        try:
            if found.first_seq > self._position + 1:
                await self._skip(self._position, found.first_seq - 1)
            if found.changes:
                await self._archive.store(self.event, self._lineage, found.first_seq - 1, found.changes)
        except ArchiveConflict as conflict:
            log.info("Another node copies into the archive, too: {conflict}. Looking again.", conflict=conflict)
            self._position = None
            return False
        if found.changes:
            self._reached(found.first_seq - 1 + len(found.changes))
            await self.trim(at_least=self._batch)
        head = await self._log.head(self.event)
        self._measure(head.seq)
        return len(found.changes) >= self._batch and not self.level

    async def trim(self, at_least: int = 1) -> None:
        """Let the log forget what is durably archived, if that is ``at_least`` so many changes."""
        if self._position is not None and self._position - self._trimmed >= at_least:
            upto = self._position
            await self._log.trim(self.event, upto)
            self._trimmed = upto

    async def look(self) -> None:
        """Keep the figures true while nothing can be copied."""
        head = await self._log.head(self.event)
        self._measure(head.seq)

    async def locate(self) -> None:
        """Find out how far somebody else has copied."""
        self._position = None
        await self._locate()

    async def _locate(self) -> None:
        """Find out where the archive stands and whether the log goes on from there."""
        stored = await self._archive.position(self.event, to_write=True)
        lineage = await self._log.lineage(self.event)
        head = await self._log.head(self.event)
        if head.epoch != lineage.epoch:
            raise LogUnavailable(f"the live log of {self.event} has just begun a new epoch")
        where = None if stored is None else Cursor(*stored)
        start = starting_point(where, lineage.epoch, lineage.ancestors, head.seq)
        if isinstance(start, Refusal):
            self._refuse(start)
            self._measure(head.seq)
            return
        if self._refusal_told:
            log.info("{event} is archived again.", event=self.event)
        self._refusal, self._refusal_told = None, False
        self._lineage = lineage
        self._reached(start)
        self._measure(head.seq)

    def _refuse(self, refusal: Refusal) -> None:
        if self._refusal is None:
            self._refused_since = self._clock.seconds()
        self._refusal = refusal
        if not self._refusal_told and self._clock.seconds() - self._refused_since >= REFUSAL_S:
            self._refusal_told = True
            log.critical(
                "{event} is not archived any more: {reason}. Nothing was overwritten, and the live log keeps "
                "everything. What you can do: {remedy}.",
                event=self.event,
                reason=refusal.reason,
                remedy=refusal.remedy,
            )

    async def _skip(self, after: int, upto: int) -> None:
        """The log has already forgotten what the archive lacks.  That cannot happen while both are left alone:
        somebody put an older archive in place, or took it away."""
        await self._archive.skip(self.event, self._lineage, after, upto)
        self._holes.append((after + 1, upto))
        log.critical(
            "Changes {first} to {last} of {event} are LOST: the archive does not have them and the live log "
            "no longer does. afeed has noted this in the archive (table holes) and goes on after them. If "
            "there is a more recent backup of the archive, stop afeed and restore that.",
            first=after + 1,
            last=upto,
            event=self.event,
        )
        self._reached(upto)

    def _reached(self, position: int) -> None:
        self._position = self.copied = position
        self._on_copied(self.event, position)

    def _measure(self, head: int) -> None:
        self._head = head
        if self.copied >= head:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = self._clock.seconds()
