"""In words: what a configuration would run.  Never a secret, only where it was found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import attrs

from afeed.core.attribution.weights import Weights
from afeed.core.filters import Filters
from afeed.settings import (
    Event,
    FlickrSource,
    PushSource,
    ReplaySource,
    Settings,
    SourceSettings,
    XSource,
    hide_password,
)


def describe(settings: Settings) -> str:
    """Several lines, the last one without a newline."""
    return "\n".join(_lines(settings))


def _lines(settings: Settings) -> Iterable[str]:
    server, store = settings.server, settings.store
    yield f"listen           {', '.join(server.listen)}"
    yield f"public_url       {server.public_url}"
    yield f"trusted_proxies  {_listed(server.trusted_proxies)}"
    yield f"internal         {_listed(server.internal)}"
    yield f"frame_ancestors  {_listed(server.frame_ancestors)}"
    yield f"cors_origins     {_listed(server.cors_origins)}"
    yield f"per address      {server.max_connections_per_address:,} connections at most"
    yield f"data_dir         {store.data_dir}"
    yield f"live_log         {hide_password(store.live_log)}"
    yield f"window           {store.window:,} changes per event"
    yield f"max_log_bytes    {store.max_log_bytes:,}"
    yield f"archive          {hide_password(store.archive)}"
    if any(event.keep_media for event in settings.events):
        yield f"pictures         {store.media}, {store.max_media_bytes:,} bytes at most"
    if settings.x is not None:
        yield f"accounts.x       {settings.x.api_url}, bearer token from {settings.x.bearer_token.origin}"
    if settings.flickr is not None:
        yield f"accounts.flickr  {settings.flickr.api_url}, API key from {settings.flickr.api_key.origin}"
    if settings.organisers:
        names = ", ".join(organiser.name for organiser in settings.organisers)
        where = f"{server.public_url}/admin{_readable(server.public_url)}"
        yield f"organisers       {names}; they sign in at {where}"
    for event in settings.events:
        yield ""
        yield from _event(event, server.public_url)


def _readable(public_url: str) -> str:
    """What to say of passwords that travel unencrypted beyond this machine."""
    parts = urlsplit(public_url)
    if parts.scheme == "https" or parts.hostname in ("localhost", "127.0.0.1", "::1"):
        return ""
    return ", with passwords that others on the way can read: put TLS in front and make public_url https"


def _event(event: Event, public_url: str) -> Iterable[str]:
    yield f"{event.name}"
    yield f"  page           {public_url}/{event.slug}"
    yield f"  days           {event.starts} to {event.ends}, {event.timezone.key}"
    yield f"  hashtags       {_listed(event.hashtags)}"
    yield f"  pictures       {'are kept' if event.keep_media else 'live at their source'}"
    if event.schedule is not None:
        programme = event.schedule
        origin = f"{programme.url or programme.file} ({programme.format})"
        yield f"  schedule       {origin}, looked at every {programme.interval_s:g} s"
    if own := _own_weights(event):
        yield f"  attribution    {own}"
    yield f"  filters        {_filters(event.filters, len(event.blocked))}"
    if not event.sources:
        yield "  no sources: nothing will come in"
    for source in event.sources:
        kind, detail = _SOURCES[type(source)](source, event, public_url)
        first, last = event.active_days(source)
        yield f"  {kind:<15}{detail}"
        yield f"                 runs {first} to {last}"


def _filters(filters: Filters, blocked: int) -> str:
    """What is kept from the screen, on one line; so many authors are ``blocked``."""
    parts = [
        {
            "everything": "everything is shown at once",
            "hold": f"everything waits for {filters.hold_s:g} s",
            "approve": "everything waits for an organiser",
            "trusted": "all but trusted authors wait for an organiser",
        }[filters.mode]
    ]
    kinds = {"sensitive posts": filters.hide_sensitive, "replies": filters.hide_replies}
    kinds["reposts"] = filters.hide_reposts
    if hidden := [kind for kind, hide in kinds.items() if hide]:
        parts.append(f"without {', '.join(hidden)}")
    counts = ((len(filters.muted), "muted"), (len(filters.trusted), "trusted"), (blocked, "blocked"))
    for count, what in counts:
        if count:
            parts.append(f"{count} {what}")
    if filters.per_author_per_minute is not None:
        parts.append(f"on the wall at most {filters.per_author_per_minute} of one author in a minute")
    return "; ".join(parts)


def _own_weights(event: Event) -> str:
    """Those that are not the usual ones."""
    usual, own = attrs.asdict(Weights()), attrs.asdict(event.attribution)
    return ", ".join(f"{name} {value:g}" for name, value in own.items() if value != usual[name])


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values)) or "none"


def _x(source: XSource, event: Event, public_url: str) -> tuple[str, str]:
    return "x", f"rule {source.rule}"


def _flickr(source: FlickrSource, event: Event, public_url: str) -> tuple[str, str]:
    return "flickr", f"tags {', '.join(source.tags)}; asked for every {source.interval_s:g} s"


def _push(source: PushSource, event: Event, public_url: str) -> tuple[str, str]:
    return "push", f"POST {public_url}/{event.slug}/items, token from {source.token.origin}"


def _replay(source: ReplaySource, event: Event, public_url: str) -> tuple[str, str]:
    again = ", over and over" if source.loop else ""
    return "replay", f"{source.file} at {source.speed:g} times its speed{again}"


_SOURCES: dict[type[SourceSettings], Callable[[Any, Event, str], tuple[str, str]]] = {
    XSource: _x,
    FlickrSource: _flickr,
    PushSource: _push,
    ReplaySource: _replay,
}
