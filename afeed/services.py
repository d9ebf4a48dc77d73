"""Components that run until they are stopped, and are started again when they break."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from afeed.core.calendar import Period
from afeed.core.change import timestamp
from afeed.core.errors import LeaseLost
from afeed.core.health import Check
from afeed.interfaces import ISink, ISource

#: Seconds before a component that broke is started again: doubled each time up to the most, and back to the
#: least once it has run for longer than that.
RESTART_LEAST_S, RESTART_MOST_S = 1.0, 60.0
#: How often a source whose time has not come, or is over, looks at the calendar.
CALENDAR_S = 60.0

_log = Logger()


class Supervised:
    """Keeps ``run`` running: an exception that leaves it is logged, shown on /healthz and followed, after a
    delay with jitter, by another start.  Other components do not notice.  Only
    :class:`~afeed.core.errors.LeaseLost` is no defect: then it rests until it is started again."""

    def __init__(self, name: str, run: Callable[[], Awaitable[None]], clock: IReactorTime, rng: Random) -> None:
        self.name = name
        self._run = run
        self._clock = clock
        self._rng = rng
        self._running: Deferred[None] | None = None
        self._stopping = False
        self._broke: str | None = None
        #: Whether it was stopped and has not ended yet.
        self.ending = False

    def start(self) -> None:
        """Run from now on."""
        self._stopping = False
        self._broke = None
        self._running = Deferred.fromCoroutine(self._keep())
        self._running.addErrback(lambda failure: failure.trap(CancelledError) and None)

    def stop(self) -> Deferred[None]:
        """Cancel what runs.  Fires once it has ended."""
        ended: Deferred[None] = Deferred()
        running, self._running = self._running, None
        if running is None:
            ended.callback(None)
        else:
            self._stopping = self.ending = True
            running.addBoth(lambda _: self._ended(ended))
            running.cancel()
        return ended

    def _ended(self, ended: Deferred[None]) -> None:
        self.ending = False
        ended.callback(None)

    def broken(self) -> Check | None:
        """What is to be said while it waits to be started again, None while it runs."""
        if self._broke is None:
            return None
        detail = f"It broke ({self._broke}) and is started again; the log has the traceback, please report it."
        return Check(name=self.name, state="failed", detail=detail)

    async def _keep(self) -> None:
        delay = RESTART_LEAST_S
        while True:
            began = self._clock.seconds()
            try:
                await self._run()
                if self._stopping:
                    return
                why = "it ended by itself"
                _log.error("{name} ended by itself; it is started again", name=self.name)
            except LeaseLost:
                return
            except Exception as error:  # the whole point: one component's defect is not the others' end
                if self._stopping and isinstance(error, CancelledError):
                    raise
                why = type(error).__name__
                _log.failure("{name} broke; it is started again, all else goes on", name=self.name)
                if self._stopping:
                    return
            if self._clock.seconds() - began > RESTART_MOST_S:
                delay = RESTART_LEAST_S
            self._broke = why
            await deferLater(self._clock, delay * self._rng.uniform(0.8, 1.2))
            self._broke = None
            delay = min(delay * 2, RESTART_MOST_S)


class Scheduled:
    """Runs a source during ``period`` and no longer; ``now`` gives seconds since 1970."""

    def __init__(
        self, source: ISource, sink: ISink, period: Period, clock: IReactorTime, now: Callable[[], float]
    ) -> None:
        self._source = source
        self._sink = sink
        self._period = period
        self._clock = clock
        self._now = now

    async def run(self) -> None:
        """Wait for the period, run the source, cancel it when the period is over, and rest."""
        while True:
            while self._now() not in self._period:
                await deferLater(self._clock, CALENDAR_S)
            running = Deferred.fromCoroutine(_awaited(self._source.run(self._sink)))
            end = self._clock.callLater(max(0.0, self._period.end - self._now()), running.cancel)
            try:
                await running
                return  # before its time: the supervisor says so, and starts it again after a while
            except CancelledError:
                if end.active():
                    raise  # afeed stops
            finally:
                if end.active():
                    end.cancel()

    def check(self) -> Check:
        """The source's own word during the period, and when that is before and after."""
        now = self._now()
        if now in self._period:
            return self._source.check()
        if now < self._period.start:
            detail = f"It starts on {timestamp(self._period.start)[:16]}Z, before the event."
            return Check(name=self._source.name, state="ok", detail=detail, data={"state": "resting"})
        detail = f"It ended on {timestamp(self._period.end)[:16]}Z, after the event"
        missing = self._source.check().data.get("missing") or []
        return Check(
            name=self._source.name,
            state="degraded" if missing else "ok",
            detail="; ".join([detail, *missing]) + ".",
            data={"state": "resting", "missing": missing} if missing else {"state": "resting"},
        )


async def _awaited(work: Awaitable[None]) -> None:
    await work
