"""What others make something of, put together: feeds, the calendar, reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.web.server import Site

from afeed.archive.report_links import ReportLinks
from afeed.archive.store import SqlArchive
from afeed.core.http import Header
from afeed.core.schedule.model import Schedule
from afeed.hub import Hub
from afeed.organisers.desk import Desk
from afeed.reports.maker import Reports
from afeed.reports.process import ReportProcess
from afeed.settings import Event, Settings
from afeed.web.admin_guard import Guard
from afeed.web.admin_pages import AdminRenderer
from afeed.web.assets import Assets
from afeed.web.bridge import hand_over
from afeed.web.exchange import Exchange
from afeed.web.fragments import Fragments
from afeed.web.headers import security_headers
from afeed.web.report_pages import ReportRenderer
from afeed.web.reporting import AdminReports, PublicReports, is_report
from afeed.web.subscriptions import Subscriptions, is_subscription


class Outputs:
    """``schedules`` gives an event's schedule, None where it has none; ``fragments`` each event's renderer of
    items."""

    def __init__(
        self,
        settings: Settings,
        archive: SqlArchive,
        hub: Hub,
        schedules: Callable[[str], Schedule | None],
        assets: Assets,
        fragments: Callable[[Event], Fragments],
        reactor: Any,
        now: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._schedules = schedules
        self._reactor = reactor
        self._now = now
        self._links = ReportLinks(archive)
        self._renderer = ReportRenderer(assets, fragments)
        self._reports = Reports(
            settings.store.archive, archive, ReportProcess(reactor), hub.channels, reactor, now
        )
        self._reports.start()
        headers = security_headers(settings.server)
        public_url = settings.server.public_url
        subscriptions = Subscriptions(
            settings.events,
            hub,
            archive,
            schedules,
            public_url,
            headers,
            now,
            lambda event: hub.channels[event].removals(),
        )
        reports = PublicReports(
            settings.events,
            schedules,
            self._links,
            self._reports,
            self._renderer,
            lambda keeps_media: security_headers(settings.server, keeps_media=keeps_media),
            reactor,
            now,
        )
        self._subscriptions = Site(subscriptions.resource(), reactor=reactor)
        self._public = Site(reports.resource(), reactor=reactor)

    def for_organisers(
        self, desk: Desk, guard: Guard, renderer: AdminRenderer, headers: Sequence[Header]
    ) -> AdminReports:
        """The organisers' part of it."""
        return AdminReports(
            desk,
            guard,
            self._settings.events,
            self._schedules,
            self._links,
            self._reports,
            self._renderer,
            renderer,
            self._settings.server.public_url,
            headers,
            self._reactor,
            self._now,
        )

    def beside(self, others: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
        """What answers these addresses and leaves all others to ``others``."""

        def show(exchange: Exchange) -> None:
            if is_subscription(exchange.path):
                hand_over(exchange, self._subscriptions)
            elif is_report(exchange.path):
                hand_over(exchange, self._public)
            else:
                others(exchange)

        return show
