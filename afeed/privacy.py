"""What is kept of people, and what is not any more: put together from its parts, for one node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.threads import deferToThreadPool

from afeed.archive.forgetting import ForgettingStore
from afeed.archive.media import MediaTable
from afeed.archive.store import SqlArchive
from afeed.core.draft import Draft
from afeed.core.forgetting import Forgotten
from afeed.core.health import Check
from afeed.core.networks import is_public
from afeed.forgetting import Files, Forgetting
from afeed.interfaces import ILiveLog
from afeed.media.fetching import Fetcher
from afeed.media.guard import Allowed
from afeed.media.keeper import Keeper
from afeed.media.shelf import Shelf
from afeed.media.store import MediaStore
from afeed.metrics import Metrics
from afeed.services import Supervised
from afeed.settings import Settings


class Privacy:
    """Authors are forgotten, and pictures kept, on every node; both ask and change the archive's database, and
    nothing else waits for them.  ``cleared()`` is called when what was made from items is to be made anew;
    ``allowed`` says from which addresses pictures may be fetched."""

    def __init__(
        self,
        settings: Settings,
        archive: SqlArchive,
        live_log: ILiveLog,
        metrics: Metrics,
        reactor: Any,
        now: Callable[[], float],
        rng: Random,
        cleared: Callable[[], object],
        allowed: Allowed = is_public,
    ) -> None:
        def in_thread(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
            return deferToThreadPool(reactor, reactor.getThreadPool(), function, *arguments)

        keeps = {event.slug: event.keep_media for event in settings.events}
        table, files = MediaTable(archive), MediaStore(settings.store.media)
        fetcher = Fetcher(reactor, allowed=allowed)
        self._keeps = any(keeps.values())
        self._keeper = Keeper(
            archive,
            table,
            files,
            fetcher,
            keeps,
            settings.store.max_media_bytes,
            reactor,
            now,
            rng,
            in_thread,
            metrics.fetched,
        )
        #: Finds the files that pages show.
        self.shelf = Shelf(table, files, fetcher, reactor, in_thread)
        self.forgotten = Forgotten()
        stores: list[Files] = [archive, live_log, self._keeper]
        store = ForgettingStore(archive)
        self.forgetting = Forgetting(
            store, self.forgotten, live_log, archive, tuple(keeps), stores, reactor, now, cleared
        )
        self._running = [
            Supervised(self._keeper.name, self._keeper.run, reactor, rng),
            Supervised(self.forgetting.name, self.forgetting.run, reactor, rng),
        ]
        if self._keeps:
            self._offer_readings(metrics)

    def admits(self, event: str, draft: Draft) -> bool:
        """See :meth:`Forgotten.admits`."""
        return self.forgotten.admits(event, draft)

    def prepare(self, event: str, draft: Draft) -> Draft:
        """See :meth:`Forgotten.prepare`."""
        return self.forgotten.prepare(event, draft)

    async def learn(self) -> None:
        """Find out who is forgotten, before anything comes in."""
        await self.forgetting.learn()

    def start(self) -> None:
        """Run from now on."""
        for supervisor in self._running:
            supervisor.start()

    def copied(self, event: str, seq: int) -> None:
        """The archive has everything up to ``seq``."""
        self._keeper.copied(event, seq)

    def lead(self, leads: bool) -> None:
        """Whether this node is the one that fetches, and that carries out what is asked for."""
        self._keeper.lead(leads)
        self.forgetting.lead(leads)

    def stop(self) -> Deferred[None]:
        """Fires when all has ended; whatever was under way is gone on with by the next who leads."""
        return DeferredList([supervisor.stop() for supervisor in self._running]).addCallback(lambda _: None)

    def checks(self) -> Iterator[Check]:
        """How the pictures are, where any are kept, and what is broken."""
        keeping, forgetting = (supervisor.broken() for supervisor in self._running)
        if self._keeps or keeping is not None:
            yield keeping or self._keeper.check()
        if forgetting is not None:
            yield forgetting

    def _offer_readings(self, metrics: Metrics) -> None:
        def pictures() -> Iterator[tuple[tuple[str, ...], float]]:
            standing = self._keeper.standing
            return iter(
                [
                    (("waiting",), float(standing.waiting)),
                    (("kept",), float(standing.kept)),
                    (("failed",), float(standing.failed)),
                ]
            )

        metrics.reading("afeed_media", "Pictures, as the node that leads counts them.", ("state",), pictures)
        metrics.reading(
            "afeed_media_bytes",
            "What the kept pictures take.",
            (),
            lambda: [((), float(self._keeper.standing.size))],
        )
