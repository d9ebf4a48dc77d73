"""Reports as the pages ask for them: made when they are wanted, kept until something has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta
from typing import Protocol

import attrs
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from afeed.channel import Channel
from afeed.core.change import EDITED, REMOVED
from afeed.core.errors import ArchiveUnavailable
from afeed.core.report.activity import Window, window
from afeed.core.report.keyness import Reference
from afeed.core.report.model import Report
from afeed.core.schedule.model import Talk
from afeed.interfaces import Head, ISubscriber
from afeed.reports.worker import Answer, Request
from afeed.settings import Event

#: People post about a talk a little before it and for a while after it; so much is looked at by the minute.
BEFORE, AFTER = timedelta(minutes=10), timedelta(minutes=60)
#: Bins of a talk's course; one a minute for all but workshops.
TALK_BINS = 130

#: While posts come in, a report is made anew after so many seconds at the earliest, and after so many times as
#: long as making it takes.
AGE_S, AGE_COSTS = 20.0, 10.0
#: What a talk is compared with may be so old, in seconds.
REFERENCE_AGE_S = 600.0
#: The archive is waited for so long, in seconds, and looked at so often.
PATIENCE_S, LOOK_S = 6.0, 0.25
#: Reports that are kept.
_KEPT = 200


class Maker(Protocol):
    """What makes a report from scratch."""

    def make(self, request: Request) -> Deferred[Answer]:
        """See :meth:`afeed.reports.process.ReportProcess.make`."""


class Positions(Protocol):
    """What is asked how far the archive is."""

    def position(self, event: str) -> Deferred[Head | None]:
        """See :class:`~afeed.interfaces.IArchive`."""


@attrs.frozen(kw_only=True)
class Made:
    """A ``report`` of everything up to ``position``, made ``at`` (Unix seconds)."""

    report: Report
    position: Head
    at: float


@attrs.define
class _Kept:
    made: Made
    window: Window
    until: float
    clock: float


class Reports:
    """Makes one report at a time.

    ``archive_url`` is given to ``maker``; ``clock`` measures how long that takes, ``now`` gives Unix seconds.
    What is removed from an event's channel is in no report any more from that moment on.
    """

    def __init__(
        self,
        archive_url: str,
        archive: Positions,
        maker: Maker,
        channels: Mapping[str, Channel],
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        self._archive_url = archive_url
        self._archive = archive
        self._maker = maker
        self._channels = channels
        self._clock = clock
        self._now = now
        self._turn = DeferredLock()
        self._kept: dict[tuple[str, str | None], _Kept] = {}
        #: By event, the change that last removed something: a report has to be newer.
        self._least: dict[str, int] = {}
        #: The one that last edited something: a report that is older is soon made anew.
        self._edited: dict[str, int] = {}

    def start(self) -> None:
        """Begin to look for removals and edits."""
        for event, channel in self._channels.items():
            channel.subscribers.append(_Watch(self, event, channel))

    def renewed(self, event: str) -> None:
        """A new epoch has begun: what was removed before is removed there, too, and numbers may be smaller."""
        self._least.pop(event, None)
        self._edited.pop(event, None)
        for key in [key for key in self._kept if key[0] == event]:
            del self._kept[key]

    def removed(self, event: str, seq: int) -> None:
        """The change ``seq`` took something away."""
        self._least[event] = max(seq, self._least.get(event, 0))

    def edited(self, event: str, seq: int) -> None:
        """The change ``seq`` put something in the place of what was there."""
        self._edited[event] = max(seq, self._edited.get(event, 0))

    async def of_event(self, event: Event) -> Made:
        """The report of a whole event; fails with :class:`~afeed.core.errors.ArchiveUnavailable`."""
        return await self._get(event, None, event_window(event))

    async def of_talk(self, event: Event, talk: Talk) -> Made:
        """The report of one talk."""
        return await self._get(event, talk.id, talk_window(talk))

    async def _get(self, event: Event, talk: str | None, window: Window) -> Made:
        head = await self._archive.position(event.slug)
        kept = self._good(event.slug, talk, window, head)
        if kept is not None:
            return kept
        await self._turn.acquire()
        try:
            # Somebody else may have asked for the same.
            kept = self._good(event.slug, talk, window, head)
            return kept or await self._make(event, talk, window)
        finally:
            self._turn.release()

    def _good(self, slug: str, talk: str | None, window: Window, head: Head | None) -> Made | None:
        """What is kept, if it may still be shown."""
        kept = self._kept.get((slug, talk))
        if kept is None or kept.window != window or head is None:
            return None
        position = kept.made.position
        if position.epoch != head.epoch or position.seq < self._least.get(slug, 0):
            return None
        until = kept.until if position.seq >= self._edited.get(slug, 0) else min(kept.until, kept.clock + AGE_S)
        return kept.made if position == head or self._clock.seconds() < until else None

    async def _make(self, event: Event, talk: str | None, window: Window) -> Made:
        reference = None
        if talk is not None:
            whole = self._kept.get((event.slug, None))
            if whole is None or self._clock.seconds() - whole.clock > REFERENCE_AGE_S:
                whole = await self._remember(event, None, event_window(event), None)
            reference = whole.made.report.reference
        return (await self._remember(event, talk, window, reference)).made

    async def _remember(
        self, event: Event, talk: str | None, window: Window, reference: Reference | None
    ) -> _Kept:
        await self._caught_up(event.slug)
        began = self._clock.seconds()
        answer = await self._maker.make(
            Request(archive=self._archive_url, event=event.slug, talk=talk, window=window, reference=reference)
        )
        assert answer.report is not None
        ended = self._clock.seconds()
        made = Made(report=answer.report, position=Head(answer.epoch, answer.seq), at=self._now())
        until = ended + max(AGE_S, AGE_COSTS * (ended - began))
        kept = _Kept(made, window, until, ended)
        if made.position.seq < self._least.get(event.slug, 0):
            raise ArchiveUnavailable("something was removed while the report was made")
        self._kept.pop((event.slug, talk), None)
        while len(self._kept) >= _KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[event.slug, talk] = kept
        return kept

    async def _caught_up(self, slug: str) -> None:
        """Wait until the archive has forgotten what was removed."""
        end = self._clock.seconds() + PATIENCE_S
        while self._least.get(slug, 0):
            head = await self._archive.position(slug)
            if head is not None and head.seq >= self._least.get(slug, 0):
                return
            if self._clock.seconds() >= end:
                raise ArchiveUnavailable("the archive still has to forget something that was removed")
            await deferLater(self._clock, LOOK_S)


def talk_window(talk: Talk) -> Window:
    """The time that a talk's report looks at by the minute."""
    return window((talk.start - BEFORE).timestamp(), (talk.end + AFTER).timestamp(), TALK_BINS)


def event_window(event: Event) -> Window:
    """The days of an event, where it is."""
    starts = datetime.combine(event.starts, time(), event.timezone)
    ends = datetime.combine(event.ends + timedelta(days=1), time(), event.timezone)
    return window(starts.timestamp(), ends.timestamp())


@implementer(ISubscriber)
class _Watch:
    """Looks for removals and edits at one event."""

    def __init__(self, reports: Reports, event: str, channel: Channel) -> None:
        self._reports = reports
        self._event = event
        self._channel = channel

    def changed(self, first: int, last: int) -> None:
        """See :class:`~afeed.interfaces.ISubscriber`."""
        for change in self._channel.window(first - 1, last - first + 1):
            if change.type == REMOVED:
                self._reports.removed(self._event, change.seq)
            elif change.type == EDITED:
                self._reports.edited(self._event, change.seq)

    def stalled(self) -> None:
        """Nothing to do."""

    def ended(self, retry_ms: int) -> None:
        """It stays, and goes on with the new epoch."""
        self._reports.renewed(self._event)
