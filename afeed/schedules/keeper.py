"""The component: keeps an event's schedule as its origin has it.

A new version is read, parsed, compared with the one in use, handed on, and only then stored and used.  Whatever
goes wrong on the way, the old one stays in use as a whole, and :meth:`ScheduleKeeper.check` says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from afeed import __version__
from afeed.core.change import timestamp
from afeed.core.errors import AfeedError
from afeed.core.health import Check
from afeed.core.polling import jittered
from afeed.core.schedule.difference import Succession, succeed
from afeed.core.schedule.model import Reading, Schedule
from afeed.core.schedule.problems import BadSchedule
from afeed.schedules.kept import Kept, Shelf
from afeed.schedules.origin import Content, Mark, Origin, OriginFault

#: The longest wait between two attempts, however many have failed (seconds).
LONGEST_WAIT_S = 3600.0
#: Warnings that are told on /healthz.
_SHOWN_WARNINGS = 5

_log = Logger()


class Busy(AfeedError):
    """An import of this event's schedule is under way already."""


class Parser(Protocol):
    """What understands the bytes."""

    def parse(self, data: bytes, zone: ZoneInfo, format: str) -> Deferred[Reading]:
        """See :meth:`afeed.schedules.parsing.ProcessParser.parse`."""


class ScheduleKeeper:
    """Keeps the schedule of the event ``slug``.

    ``interval_s`` is the pause between two looks at ``origin``.  ``adopt(succession)`` is awaited when there is
    a new version, before it is used: the schedule and what became of each talk.  After a crash it may be called
    again with the same, so it must be idempotent; if it fails, the old version stays and it is tried again.
    After a start it is called with the stored version and no revisions.  ``used()`` is called once it is the
    one in use.  ``in_thread(function, *arguments)`` runs disk I/O off the reactor; ``now`` gives Unix seconds.
    """

    def __init__(
        self,
        slug: str,
        origin: Origin,
        zone: ZoneInfo,
        *,
        parser: Parser,
        shelf: Shelf,
        in_thread: Callable[..., Deferred[Any]],
        adopt: Callable[[Succession], Awaitable[None]],
        used: Callable[[], object] = lambda: None,
        clock: IReactorTime,
        now: Callable[[], float],
        rng: Random,
        format: str = "auto",
        interval_s: float = 300.0,
    ) -> None:
        self.name = f"schedule:{slug}"
        self._slug = slug
        self._origin = origin
        self._zone = zone
        self._parser = parser
        self._shelf = shelf
        self._in_thread = in_thread
        self._adopt = adopt
        self._used = used
        self._clock = clock
        self._now = now
        self._rng = rng
        self._format = format
        self._interval_s = interval_s
        #: What a stored version must have been made of and by to be the present one.
        self._asked = f"{origin.name} {format} {zone.key} {__version__}"
        self._kept: Kept | None = None
        self._loaded = False
        self._busy = False
        self._failures = 0
        self._error: str | None = None
        self._refused: tuple[Mark, str] | None = None  # the version that could not be used, and why
        self._looked: float | None = None
        self._next: float | None = None

    @property
    def schedule(self) -> Schedule | None:
        """The version in use; None before there is one."""
        return self._kept.schedule if self._kept is not None else None

    async def run(self) -> None:
        """Keep it until cancelled."""
        while True:
            try:
                await self.refresh()
            except Busy:
                pass
            wait = min(self._interval_s * 2.0 ** min(self._failures, 20), max(LONGEST_WAIT_S, self._interval_s))
            wait = jittered(wait, self._rng)
            self._next = self._now() + wait
            await deferLater(self._clock, wait)

    async def refresh(self) -> bool:
        """Look at the origin now, and use what is new; whether there was a new version.  Faults are told by
        :meth:`check` and :attr:`error`.  Raises :class:`Busy` when this is being done already."""
        if self._busy:
            raise Busy(f"the schedule of {self._slug} is being imported already; wait until that is done")
        self._busy = True
        try:
            return await self._attempt()
        finally:
            self._busy = False

    @property
    def looked(self) -> bool:
        """Whether the origin was looked at since the start."""
        return self._looked is not None

    @property
    def error(self) -> str | None:
        """Why the newest version is not in use; None when it is."""
        return self._error

    def check(self) -> Check:
        """``degraded`` while the newest version cannot be used, or there is none at all."""
        kept = self._kept
        data: dict[str, Any] = {
            "origin": self._origin.name,
            "looked_at": _time(self._looked),
            "next_look_at": _time(self._next),
            "read_at": _time(kept.read_at if kept is not None else None),
            "talks": len(kept.schedule.talks) if kept is not None else 0,
            "version": kept.schedule.version if kept is not None else None,
            "warnings": list(kept.warnings[:_SHOWN_WARNINGS]) if kept is not None else [],
            "error": self._error,
        }
        if self._error is not None:
            stays = (
                f"the one of {_time(kept.read_at)} stays in use" if kept is not None else "there is none yet"
            )
            detail = f"The newest schedule cannot be used ({self._error}); {stays}."
            return Check(name=self.name, state="degraded", detail=detail, data=data)
        if kept is None:
            return Check(name=self.name, state="ok", detail="The schedule is being read.", data=data)
        odd = f" {len(kept.warnings)} things in it are odd." if kept.warnings else ""
        detail = f"{len(kept.schedule.talks)} talks, read {_time(kept.read_at)}.{odd}"
        return Check(name=self.name, state="ok", detail=detail, data=data)

    # -- one look -------------------------------------------------------------------------------------------

    async def _attempt(self) -> bool:
        try:
            await self._load()
            content = await self._origin.read(self._known())
            self._looked = self._now()
            new = content.data is not None and await self._use(content.data, content)
        except CancelledError:
            raise
        except (OriginFault, BadSchedule) as error:
            # A file that is being mended is looked at as often as ever; a server in trouble is left alone.
            self._failed(str(error), back_off=isinstance(error, OriginFault))
            return False
        except Exception as error:  # what adopts a version has its own faults: they must not end the keeping
            _log.failure("{name}: a new schedule could not be taken over", name=self.name)
            self._failed(f"it could not be taken over: {type(error).__name__}: {error}")
            return False
        if content.data is None and self._refused is not None:
            self._refused = content.mark, self._refused[1]
            self._failed(self._refused[1], back_off=False)
            return False
        if content.data is None and self._kept is not None:
            self._kept = msgspec.structs.replace(self._kept, mark=content.mark)
        if self._error is not None:
            _log.info("{name}: the schedule can be used again", name=self.name)
        self._failures, self._error, self._refused = 0, None, None
        return new

    def _known(self) -> Mark:
        """The version that need not be read again: the one in use, or the one that was refused after it."""
        if self._refused is not None:
            return self._refused[0]
        kept = self._kept
        return kept.mark if kept is not None and kept.asked == self._asked else Mark()

    async def _load(self) -> None:
        """Once: the version that was in use before the restart."""
        if self._loaded:
            return
        try:
            self._kept = await self._in_thread(self._shelf.load, self._slug)
        except (OSError, msgspec.DecodeError) as error:
            _log.error(
                "{name}: the stored schedule cannot be read ({error}); it is imported anew, and addresses of "
                "talks whose ids have changed since may not lead to them any more",
                name=self.name,
                error=str(error),
            )
        if self._kept is not None:
            await self._adopt(Succession(schedule=self._kept.schedule, revisions=()))
            self._used()
        self._loaded = True

    async def _use(self, data: bytes, content: Content) -> bool:
        try:
            reading = await self._parser.parse(data, self._zone, self._format)
        except BadSchedule as error:
            self._refused = content.mark, str(error)
            raise
        before = self.schedule
        succession = succeed(before, reading.schedule)
        new = before != succession.schedule
        if new:
            await self._adopt(succession)
        kept = Kept(
            schedule=succession.schedule,
            asked=self._asked,
            format=reading.format,
            read_at=self._now(),
            mark=content.mark,
            warnings=reading.warnings,
        )
        await self._in_thread(self._shelf.store, self._slug, kept)
        self._kept = kept
        if new:
            self._used()
            _log.info(
                "{name}: {talks} talks from {origin} ({kind}), {revisions} changed; {warnings} warnings",
                name=self.name,
                talks=len(kept.schedule.talks),
                origin=self._origin.name,
                kind=reading.format,
                revisions=len(succession.revisions),
                warnings=len(reading.warnings),
            )
        for warning in reading.warnings[:_SHOWN_WARNINGS] if new else ():
            _log.warn("{name}: {warning}", name=self.name, warning=warning)
        return new

    def _failed(self, reason: str, *, back_off: bool = True) -> None:
        self._looked = self._now()
        self._failures = self._failures + 1 if back_off else 0
        if reason != self._error:
            _log.error(
                "{name}: {origin} cannot be used: {reason}.  {stays}; it is looked at again later",
                name=self.name,
                origin=self._origin.name,
                reason=reason,
                stays="The schedule in use stays" if self._kept is not None else "There is no schedule yet",
            )
        self._error = reason


def _time(seconds: float | None) -> str | None:
    return timestamp(seconds) if seconds is not None else None
