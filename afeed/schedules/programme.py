"""An event's programme as a node has it: the schedule in use, ready for filing, and who is told of another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from afeed.core.attribution.index import Index, prepare
from afeed.core.attribution.weights import Weights
from afeed.core.health import Check
from afeed.core.schedule.announcing import edition
from afeed.core.schedule.difference import Succession
from afeed.core.schedule.model import Schedule
from afeed.demo.programme import PlayedOrigin
from afeed.schedules.keeper import Busy, Parser, ScheduleKeeper
from afeed.schedules.kept import Shelf
from afeed.schedules.origin import FileOrigin, Origin, UrlOrigin
from afeed.schedules.parsing import ProcessParser
from afeed.settings import Event, Settings

#: Where in data_dir the versions in use are kept, and those that were told of last.
FOLDER, TOLD_FOLDER = "schedules", "schedules-told"

#: How soon, at least and at most, a hint is followed (seconds).
HINT_S = (0.5, 5.0)

InThread = Callable[..., Deferred[Any]]

_log = Logger()


class Programme:
    """The programme of one event.

    :ivar schedule: the version in use, None before there is one; :ivar index: the same, prepared for filing;
    :ivar edition: what the version is called where nodes compare theirs (:func:`edition`), "" without one.
    """

    def __init__(
        self,
        slug: str,
        weights: Weights,
        in_thread: InThread,
        keep: Callable[[Programme], ScheduleKeeper],
        clock: IReactorTime,
        rng: Random,
    ) -> None:
        self.slug = slug
        self.weights = weights
        self.schedule: Schedule | None = None
        self.index: Index | None = None
        self.edition = ""
        self._in_thread = in_thread
        self._prepared: tuple[Index, str] | None = None
        self._callbacks: list[Callable[[str], object]] = []
        self._clock = clock
        self._rng = rng
        self._hinted: str | None = None
        self._keeper = keep(self)

    @property
    def name(self) -> str:
        """Names it in health and logs."""
        return self._keeper.name

    def on_change(self, callback: Callable[[str], object]) -> None:
        """Call ``callback(slug)`` whenever another version is in use, from then on."""
        self._callbacks.append(callback)

    async def run(self) -> None:
        """Keep it as its origin has it, until cancelled."""
        await self._keeper.run()

    async def refresh(self) -> bool:
        """Look at the origin now.  Whether the version in use is what the origin has; False also while somebody
        else looks."""
        try:
            await self._keeper.refresh()
        except Busy:
            return False
        return self._keeper.error is None and self.schedule is not None

    def hint(self, edition: str) -> None:
        """Some node has this edition.  If it is not the one in use the origin is looked at soon, and not by all
        nodes at once."""
        if edition and edition not in (self.edition, self._hinted):
            self._hinted = edition
            self._clock.callLater(self._rng.uniform(*HINT_S), self._look)

    def _look(self) -> None:
        # What goes wrong is told by the check.
        Deferred.fromCoroutine(self.refresh()).addErrback(
            lambda failure: _log.failure("looking failed", failure)
        )

    @property
    def sure(self) -> bool:
        """Whether the version in use is the one that the origin had when it was last looked at."""
        return self.schedule is not None and self._keeper.error is None and self._keeper.looked

    def check(self) -> Check:
        """See :meth:`ScheduleKeeper.check`."""
        return self._keeper.check()

    # -- what the keeper calls

    async def adopt(self, succession: Succession) -> None:
        """Prepare a version that is about to be used."""
        schedule = succession.schedule
        # A thousand talks take a third of a second.
        index = await self._in_thread(prepare, schedule, self.weights)
        self._prepared = index, await self._in_thread(edition, schedule)

    def used(self) -> None:
        """The version that was prepared is in use from now on."""
        assert self._prepared is not None
        self.index, self.edition = self._prepared
        self.schedule = self.index.schedule
        for callback in self._callbacks:
            try:
                callback(self.slug)
            except Exception:  # the others are to hear of it all the same
                _log.failure("{name}: somebody could not be told of a new schedule", name=self.name)


def make_programmes(
    settings: Settings,
    http: HTTPClient,
    reactor: Any,
    now: Callable[[], float],
    rng: Random,
) -> Mapping[str, Programme]:
    """The programme of every event that has one, by slug."""

    def in_thread(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), function, *arguments)

    shelf = Shelf(settings.store.data_dir / FOLDER)
    parser = ProcessParser(reactor)
    return {
        event.slug: make_programme(
            event,
            _origin(event, http, reactor, in_thread, now),
            parser,
            shelf,
            in_thread,
            reactor,
            now,
            rng,
        )
        for event in settings.events
        if event.schedule is not None
    }


def make_programme(
    event: Event,
    origin: Origin,
    parser: Parser,
    shelf: Shelf,
    in_thread: InThread,
    clock: IReactorTime,
    now: Callable[[], float],
    rng: Random,
) -> Programme:
    """The programme of ``event``, which comes from ``origin``."""
    wanted = event.schedule
    assert wanted is not None

    def keep(programme: Programme) -> ScheduleKeeper:
        return ScheduleKeeper(
            event.slug,
            origin,
            event.timezone,
            parser=parser,
            shelf=shelf,
            in_thread=in_thread,
            adopt=programme.adopt,
            used=programme.used,
            clock=clock,
            now=now,
            rng=rng,
            format=wanted.format,
            interval_s=wanted.interval_s,
        )

    return Programme(event.slug, event.attribution, in_thread, keep, clock, rng)


def _origin(
    event: Event, http: HTTPClient, clock: IReactorTime, in_thread: InThread, now: Callable[[], float]
) -> Origin:
    wanted = event.schedule
    assert wanted is not None
    if wanted.file is not None:
        file = FileOrigin(wanted.file, in_thread)
        return file if wanted.speed is None else PlayedOrigin(file, wanted.speed, now)
    assert wanted.url is not None
    return UrlOrigin(wanted.url, http, clock)
