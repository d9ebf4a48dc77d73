"""Everything that files, put together from what the rest of the process has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from treq.client import HTTPClient
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.threads import deferToThreadPool

from afeed.archive.filings import FilingStore
from afeed.archive.store import SqlArchive
from afeed.core.draft import Draft
from afeed.core.health import Check
from afeed.filing.again import Again
from afeed.filing.clerk import Clerk
from afeed.filing.process import WorkerProcess
from afeed.filing.register import Register
from afeed.filing.telling import Telling
from afeed.hub import Hub
from afeed.interfaces import ILead, ILiveLog
from afeed.schedules.programme import TOLD_FOLDER, make_programmes
from afeed.services import Supervised
from afeed.settings import Settings


class Office:
    """The programmes of all events, and all that follows from them; ``now`` gives seconds since 1970."""

    def __init__(
        self,
        settings: Settings,
        archive: SqlArchive,
        live_log: ILiveLog,
        hub: Hub,
        lead: ILead,
        http: HTTPClient,
        reactor: Any,
        now: Callable[[], float],
        rng: Random,
    ) -> None:
        def in_thread(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
            return deferToThreadPool(reactor, reactor.getThreadPool(), function, *arguments)

        self.programmes = make_programmes(settings, http, reactor, now, rng)
        self.store = FilingStore(archive)
        self.clerk = Clerk(
            self.programmes, hub.channels, hub, reactor, lambda event, moves: self.register.move(event, moves)
        )
        self.register = Register(
            live_log,
            self.store,
            self.programmes,
            lead,
            reactor,
            rng,
            learn=self.clerk.learn,
            follow=self.clerk.follow,
        )
        telling = Telling(
            self.programmes, live_log, lead, settings.store.data_dir / TOLD_FOLDER, in_thread, reactor
        )
        again = Again(
            self.programmes,
            self.clerk.memories,
            self.register,
            self.store,
            archive,
            settings.store.archive,
            lambda event: hub.channels[event].head,
            telling.settled,
            lambda order: WorkerProcess(order, reactor),
            reactor,
            now,
        )
        self._keepers = [
            (programme, Supervised(programme.name, programme.run, reactor, rng))
            for programme in self.programmes.values()
        ]
        #: What the node that runs the sources does for all.
        self.led: list[tuple[Telling | Again, Supervised]] = [
            (part, Supervised(part.name, part.run, reactor, rng))
            for part in (telling, again)
            if self.programmes
        ]
        self._started = False

    def prepare(self, event: str, draft: Draft) -> Draft:
        """See :meth:`Clerk.prepare`."""
        return self.clerk.prepare(event, draft)

    def open(self) -> None:
        """Begin to keep the programmes: before anything comes in, if they are on disk."""
        for _, supervisor in self._keepers:
            supervisor.start()

    def start(self) -> None:
        """Begin to follow what comes in; the log is open, and the hub follows it."""
        if self.programmes:
            self._started = True
            self.clerk.start()
            self.register.start()

    def stop(self) -> Deferred[None]:
        """Keep nothing any more.  Fires when all has ended."""
        if self._started:
            self._started = False
            self.clerk.stop()
            self.register.stop()
        ends = [supervisor.stop() for _, supervisor in self._keepers]
        return DeferredList(ends).addCallback(lambda _: None)

    def checks(self) -> Iterator[Check]:
        """How every programme is, as of now."""
        for programme, supervisor in self._keepers:
            yield supervisor.broken() or programme.check()
