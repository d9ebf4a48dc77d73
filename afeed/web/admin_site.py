"""The organisers' part of the process, put together from what the rest of it has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.web.server import Site

from afeed.archive.filters import FilterStore
from afeed.archive.moderation import ModerationStore
from afeed.archive.sign_ins import SignIns
from afeed.archive.store import SqlArchive
from afeed.core.health import Check
from afeed.core.http import Names
from afeed.filing.office import Office
from afeed.forgetting import Forgetting
from afeed.hub import Hub
from afeed.interfaces import ILiveLog
from afeed.metrics import Metrics
from afeed.organisers.blocks import Blocks
from afeed.organisers.desk import Desk
from afeed.organisers.filing import Filers
from afeed.organisers.filtering import Filtering, Rules
from afeed.organisers.moderation import Moderation
from afeed.settings import Event, Settings
from afeed.web.admin import Admin, is_admin
from afeed.web.admin_filing import FilePages
from afeed.web.admin_forget import ForgetPages
from afeed.web.admin_guard import Guard
from afeed.web.admin_held import HeldPages
from afeed.web.admin_pages import AdminRenderer, Overview, last_items
from afeed.web.assets import Assets
from afeed.web.bridge import hand_over
from afeed.web.exchange import Exchange
from afeed.web.fragments import Fragments
from afeed.web.headers import security_headers
from afeed.web.output_site import Outputs
from afeed.web.reporting import is_admin_report


class Organisers:
    """Everything that is there because of ``[[admin.users]]``; nothing where nobody is named.

    ``blocks`` and ``rules`` are what sources and pushes ask; ``fragments`` gives each event's renderer of
    items; ``outputs`` has the reports; ``forgetting`` is asked to forget authors, ``filing``
    to file items.
    ``checks`` gives the health of all components, ``sources`` names those that are sources, ``viewers`` counts
    by (event, transport).
    """

    def __init__(
        self,
        settings: Settings,
        archive: SqlArchive,
        live_log: ILiveLog,
        hub: Hub,
        blocks: Blocks,
        rules: Rules,
        assets: Assets,
        fragments: Callable[[Event], Fragments],
        outputs: Outputs,
        forgetting: Forgetting,
        filing: Office,
        *,
        checks: Callable[[], Iterable[Check]],
        sources: frozenset[str],
        viewers: Callable[[], dict[tuple[str, str], int]],
        metrics: Metrics,
        reactor: Any,
        now: Callable[[], float],
    ) -> None:
        self._site: Site | None = None
        self._reports: Site | None = None
        self.moderation: Moderation | None = None
        self.filtering: Filtering | None = None
        if not settings.organisers:
            return

        def in_thread(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
            return deferToThreadPool(reactor, reactor.getThreadPool(), function, *arguments)

        def overview() -> Overview:
            return Overview(
                checks=tuple(checks()),
                sources=sources,
                viewers=viewers(),
                last_items=last_items(hub.channels),
            )

        server = settings.server
        store = ModerationStore(archive)
        self.moderation = Moderation(store, blocks, live_log, hub, hub.channels, reactor, now)
        self.filtering = Filtering(rules, blocks, FilterStore(archive), store, live_log, reactor, now)
        desk = Desk(settings.organisers, SignIns(archive), in_thread, now, metrics.signed_in)
        guard = Guard(Names(server.public_url), secure=server.public_url.startswith("https:"))
        filers = Filers(filing.programmes, filing.store, filing.register, self.moderation, now)
        file_pages = FilePages(filers, fragments)
        renderer = AdminRenderer(assets, settings.events, now, fragments, file_pages.files)
        # Sites that may show the feed in a frame may not put these buttons under somebody's finger.
        closed = all(event.keep_media for event in settings.events)
        headers = security_headers(attrs.evolve(server, frame_ancestors=()), keeps_media=closed)
        admin = Admin(
            desk,
            guard,
            self.moderation,
            hub,
            renderer,
            settings.events,
            overview,
            HeldPages(self.filtering, self.moderation, now, fragments),
            headers,
            ForgetPages(forgetting, self.moderation),
            file_pages,
        )
        self._site = Site(admin.resource(), reactor=reactor)
        reports = outputs.for_organisers(desk, guard, renderer, headers)
        self._reports = Site(reports.resource(), reactor=reactor)

    def beside(self, pages: Site) -> Callable[[Exchange], None]:
        """What answers all that is no hot path: the organisers' pages and, below all other addresses,
        ``pages``."""

        def show(exchange: Exchange) -> None:
            if is_admin_report(exchange.path):
                ours = self._reports
            else:
                ours = self._site if is_admin(exchange.path) else None
            hand_over(exchange, ours or pages)

        return show
