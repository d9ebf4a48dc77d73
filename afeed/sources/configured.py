"""The sources that the settings ask for, put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Any

from treq.client import HTTPClient
from twisted.internet.defer import Deferred

from afeed.core.calendar import Period
from afeed.core.change import timestamp
from afeed.core.polling import Spacing
from afeed.hub import Hub
from afeed.interfaces import ILiveLog, ISource
from afeed.settings import FlickrSource, PushSource, ReplaySource, Settings, XSource
from afeed.sources.flickr import FlickrPoller
from afeed.sources.push import Gate
from afeed.sources.replay import Replay, read_in_thread
from afeed.sources.x import XStream
from afeed.sources.xlookup import SHOWN, SHOWN_S


def push_gates(settings: Settings) -> dict[str, Gate]:
    """Which events take pushes, with which token and when."""
    return {
        event.slug: Gate(token=source.token, open=event.active(source))
        for event in settings.events
        for source in event.sources
        if isinstance(source, PushSource)
    }


def configured_sources(
    settings: Settings,
    live_log: ILiveLog,
    hub: Hub,
    http: HTTPClient,
    reactor: Any,
    now: Callable[[], float],
    rng: Random,
) -> Iterator[tuple[ISource, Period]]:
    """Every source that runs by itself, with the time in which it does."""
    spacing = Spacing()  # what Flickr allows is counted by key, and all events share one
    rules: dict[str, tuple[str, Period]] = {}
    for event in settings.events:
        for source in event.sources:
            match source:
                case XSource(rule=rule):
                    rules[event.slug] = (rule, event.active(source))
                case FlickrSource():
                    assert settings.flickr is not None
                    period = event.active(source)
                    yield (
                        FlickrPoller(
                            event.slug,
                            settings.flickr,
                            source,
                            http,
                            reactor,
                            now,
                            rng,
                            starts=period.start,
                            ends=period.end,
                            position=_position_of(live_log, event.slug, f"flickr:{event.slug}"),
                            spacing=spacing,
                        ),
                        period,
                    )
                case ReplaySource():
                    name = f"replay:{event.slug}"
                    position = _position_of(live_log, event.slug, name)
                    yield (
                        Replay(
                            event.slug,
                            source,
                            reactor,
                            now,
                            name=name,
                            position=position,
                            read=partial(read_in_thread, reactor),
                        ),
                        event.active(source),
                    )
    if rules:
        assert settings.x is not None

        def wanted() -> dict[str, str]:
            return {slug: rule for slug, (rule, period) in rules.items() if now() in period}

        # One connection serves all events; each event's rule comes and goes with its own period.
        periods = [period for _, period in rules.values()]
        whole = Period(min(p.start for p in periods), max(p.end for p in periods))
        stream = XStream(
            settings.x,
            wanted,
            http,
            reactor,
            now,
            rng,
            stored=lambda slug: live_log.position(slug, "x"),
            shown=lambda slug: _shown_from_x(hub, slug, now),
        )
        yield stream, whole


async def _shown_from_x(hub: Hub, slug: str, now: Callable[[], float]) -> list[str]:
    """The ids at X of the newest posts of the last days."""
    page = await hub.page(slug, SHOWN)
    oldest = timestamp(now() - SHOWN_S)
    posts = [found.item for found in page.items if found.item.source == "x"]
    ids = [post.id.removeprefix("x:") for post in posts if post.created_at >= oldest]
    return [id_ for id_ in ids if id_.isdigit()]


def _position_of(live_log: ILiveLog, event: str, source: str) -> Callable[[], Deferred[str | None]]:
    return lambda: live_log.position(event, source)
