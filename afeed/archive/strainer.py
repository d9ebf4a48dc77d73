"""The strainer: copies every live log into the archive as it grows, and lets the log forget what is safe
there.  Of several nodes that share them one copies, and the others look how far it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from afeed.archive.copying import EventCopy, Lag
from afeed.core.errors import ArchiveUnavailable, ArchiveUnusable, LogUnavailable
from afeed.core.health import Check, State
from afeed.core.straining import LINGER_S, linger
from afeed.interfaces import IArchive, ILiveLog

log = Logger()

#: Who comes after a silence as long as this is not kept waiting as if changes came one after the other.
SILENCE_S = 2.0
#: Hints may be lost: look at every log this often while one of them is ahead, and this often otherwise.
BEHIND_S = 1.0
IDLE_S = 3.0
#: Attempts while the archive or the log is away.  Even the longest pause, and the attempt after it, tell of the
#: end of a fault within ten seconds.
FIRST_RETRY_S = 0.5
LAST_RETRY_S = 8.0
#: So many different causes of one outage are logged; health tells of each.
CAUSES = 10
#: An archive that works but is this far behind cannot keep up.
SLOW_S = 60.0

#: What may happen to the archive and the log, and passes.
_FAULTS = (ArchiveUnavailable, ArchiveUnusable, LogUnavailable)


class Strainer:
    """Copies the logs of ``events`` in batches of at most ``batch`` changes, if this node is the one to do it.

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
        self._copies = {
            event: EventCopy(event, live_log, archive, clock, batch=batch, on_copied=on_copied)
            for event in events
        }
        self._copying = True
        self._due: set[str] = set()
        self._next_look = 0.0
        self._watching = False
        self._pause = LINGER_S
        self._copied_at = clock.seconds()
        self._wake: Deferred[None] | None = None
        self._fault: Exception | None = None
        self._fault_since = 0.0
        self._well_since = 0.0
        self._told: set[str] = set()
        self._attempts = 0

    def copy(self, copying: bool) -> None:
        """Copy from now on, or look at what another node copies.  A step that is under way is ended; it does
        no harm beside the other's, because the archive compares where it stands."""
        self._copying = copying
        self._next_look = self._clock.seconds()
        self._rouse()

    async def run(self) -> None:
        """Copy until cancelled.  Opens the archive first, however often that takes; nothing that happens to
        the archive or the log leaves this method, an exception that does is a defect."""
        if not self._watching:
            self._watching = True
            self._log.watch(self._hint)
        self._forget()
        self._next_look = self._clock.seconds()
        while True:
            try:
                if self._clock.seconds() >= self._next_look:
                    await self._archive.start()
                    await self._look_everywhere()
                    self._well()
                if await self._hinted():
                    await self._linger()
            except _FAULTS as error:
                pause = self._unwell(error)
                await self._measure()
                await self._sleep(pause)
                self._next_look = self._clock.seconds()

    async def drain(self, timeout: float) -> bool:
        """Copy all that the logs hold, after :meth:`run` was cancelled.  True when the archive has everything;
        False after ``timeout`` seconds, or when the archive or a log is away."""
        self._forget()
        draining = Deferred.fromCoroutine(self._drain()).addTimeout(timeout, self._clock)
        try:
            await draining
        except (*_FAULTS, DeferredTimeout) as error:
            log.warn(
                "Not everything could be copied to the archive before the end ({error}); the live log keeps "
                "the rest, and the next start copies it.",
                error=error,
            )
            return False
        return all(copy.level for copy in self._copies.values())

    def lag(self, event: str) -> Lag:
        """How far the archive is behind the log of ``event``."""
        return self._copies[event].lag()

    def check(self) -> Check:
        """How it is, as of now."""
        lags = {event: copy.lag() for event, copy in self._copies.items()}
        state, detail = self._verdict(list(lags.values()))
        data = {
            event: {
                "copied": self._copies[event].copied,
                "behind": lag.changes,
                "behind_s": round(lag.seconds, 1),
            }
            for event, lag in lags.items()
        }
        return Check(name=self.name, state=state, detail=detail, data=data)

    def _verdict(self, lags: Sequence[Lag]) -> tuple[State, str]:
        problems = [problem for copy in self._copies.values() for problem in copy.problems()]
        if problems:
            return "failed", " ".join(problems)
        if self._fault is not None:
            state: State = "failed" if isinstance(self._fault, ArchiveUnusable) else "degraded"
            return state, f"Nothing is archived: {self._fault}. The feed goes on and afeed tries again."
        slowest = max((lag.seconds for lag in lags), default=0.0)
        # What came while the archive was away is no fault of the archive that is back.
        working = min(slowest, self._clock.seconds() - self._well_since)
        if working > SLOW_S:
            return (
                "degraded",
                f"The archive is too slow: it has not been level with the log for {working:.0f} s.",
            )
        if slowest > SLOW_S:
            left = sum(lag.changes for lag in lags)
            return "ok", f"The archive is there again and catches up: {left:,} changes are left."
        who = "" if self._copying else "; another node copies"
        return "ok", f"The archive follows the live log{who}."

    # When to copy

    def _hint(self, event: str) -> None:
        if self._copying and event in self._copies:
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

    async def _linger(self) -> None:
        """Let more come, then copy it."""
        if self._clock.seconds() - self._copied_at >= SILENCE_S:
            self._pause = LINGER_S
        await self._sleep(self._pause)
        before = self._copied()
        await self._copy_due()
        self._pause = linger(self._pause, self._copied() - before)
        self._copied_at = self._clock.seconds()

    def _copied(self) -> int:
        return sum(copy.copied for copy in self._copies.values())

    async def _sleep(self, seconds: float) -> None:
        over: Deferred[None] = Deferred()
        timer = self._clock.callLater(seconds, over.callback, None)
        try:
            await over
        finally:
            if timer.active():
                timer.cancel()

    # Faults

    def _unwell(self, error: Exception) -> float:
        """Take note of a fault; the seconds to wait before the next attempt."""
        self._forget()
        cause = str(error)
        if self._fault is None:
            self._fault_since = self._clock.seconds()
            log.error(
                "Nothing is archived at the moment: {cause}. The feed goes on, the live log keeps everything, "
                "and afeed tries again every few seconds.",
                cause=cause,
            )
        elif cause not in self._told and len(self._told) < CAUSES:
            # What ended a connection is often not what keeps afeed from making another.
            log.error("Still nothing is archived: {cause}.", cause=cause)
        if len(self._told) < CAUSES:
            self._told.add(cause)
        self._fault = error
        longest = min(LAST_RETRY_S, FIRST_RETRY_S * 2 ** min(self._attempts, 10))
        self._attempts += 1
        return longest * self._rng.uniform(0.5, 1.0)

    def _well(self) -> None:
        if self._fault is not None:
            seconds = self._clock.seconds() - self._fault_since
            log.info("The archive follows the live log again, after {seconds:.0f} s.", seconds=seconds)
            self._well_since = self._clock.seconds()
        self._fault = None
        self._told.clear()
        self._attempts = 0

    async def _measure(self) -> None:
        """Keep the figures true while nothing can be copied."""
        try:
            for copy in self._copies.values():
                await copy.look()
        except LogUnavailable as error:
            log.debug("The live log does not say how long it is: {error}", error=error)

    # Copying

    def _forget(self) -> None:
        """After anything unusual the archive itself is asked where it stands."""
        for copy in self._copies.values():
            copy.forget()

    async def _look_everywhere(self) -> None:
        """Copy what there is of every event and trim what earlier steps left, or see how far others are."""
        # Even when there is nothing to copy, health should hear of an archive that went away.
        for event in list(self._copies)[:1]:
            await self._archive.position(event, to_write=True)
        copying = self._copying
        if copying:
            self._due.update(self._copies)
            await self._copy_due()
            for copy in self._copies.values():
                await copy.trim()
        else:
            self._due.clear()
            for copy in self._copies.values():
                await copy.locate()
        if copying is self._copying:  # else what the other part has to do is due now
            level = all(copy.level for copy in self._copies.values())
            self._next_look = self._clock.seconds() + (IDLE_S if level else BEHIND_S)

    async def _copy_due(self) -> None:
        """One batch of each event in turn, until none is known to have a whole one more.  What comes meanwhile
        is due later: it would be a batch of a change or two, and then another."""
        due, self._due = self._due, set()
        while due and self._copying:
            for event in sorted(due):
                if not await self._copies[event].step():
                    due.discard(event)
            # Here and not only at the end, which does not come while posts arrive faster than they are copied.
            self._well()

    async def _drain(self) -> None:
        await self._archive.start()
        for copy in self._copies.values():
            while not copy.level and not copy.refused:
                await copy.step()
