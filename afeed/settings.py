"""The configuration as values: frozen, complete and already checked.  :mod:`afeed.config` makes them from
TOML."""

from __future__ import annotations

import re
from datetime import date, timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from zoneinfo import ZoneInfo

import attrs

from afeed.core.attribution.weights import Weights
from afeed.core.calendar import Period, whole_days
from afeed.core.filters import Filters

Network = IPv4Network | IPv6Network


#: Greedy on purpose: a password with an unescaped ``/`` or ``@`` must not show its end.
_URL_PASSWORD = re.compile(r"(?<=://).*@", re.DOTALL)


def hide_password(url: str) -> str:
    """``url`` with ``***`` in place of what stands between ``//`` and ``@``, the user's name apart."""
    return _URL_PASSWORD.sub(lambda match: _masked(match.group()), url)


def _masked(userinfo: str) -> str:
    user, colon, _ = userinfo.partition(":")
    return f"{user}:***@" if colon else userinfo


def _without_password(url: str) -> str:
    """How attrs shows a URL in a ``repr``."""
    return repr(hide_password(url))


class Secret:
    """A value that never shows itself: ``repr`` and ``str`` hide it, :meth:`reveal` is the one way to it.
    ``origin`` may be shown: it says where the value was found."""

    __slots__ = ("_value", "origin")

    def __init__(self, value: str, origin: str = "") -> None:
        self._value = value
        self.origin = origin

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "<secret>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("afeed.Secret", self._value))


@attrs.frozen(kw_only=True)
class Server:
    """Where afeed listens and whom it answers."""

    listen: tuple[str, ...] = ("tcp:8080:interface=127.0.0.1",)
    public_url: str = "http://127.0.0.1:8080"
    trusted_proxies: tuple[Network, ...] = ()
    internal: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
    frame_ancestors: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    max_connections_per_address: int = 20_000


@attrs.frozen(kw_only=True)
class Store:
    """Where afeed keeps things.  ``live_log`` is ``embedded`` or a Redis URL, ``archive`` a SQLAlchemy URL
    whose relative SQLite path has been made absolute; both may hold a password, which ``repr`` hides (use
    :func:`hide_password` before showing one).  ``window`` counts changes per event.  ``media_dir`` None is
    ``media`` in ``data_dir``."""

    data_dir: Path
    live_log: str = attrs.field(default="embedded", repr=_without_password)
    window: int = 10_000
    max_log_bytes: int = 1_000_000_000
    archive: str = attrs.field(repr=_without_password)
    media_dir: Path | None = None
    max_media_bytes: int = 10_000_000_000

    @property
    def media(self) -> Path:
        """Where pictures that are kept are."""
        return self.media_dir or self.data_dir / "media"


@attrs.frozen(kw_only=True)
class XAccount:
    """Access to the X API."""

    bearer_token: Secret
    api_url: str = "https://api.x.com"


@attrs.frozen(kw_only=True)
class FlickrAccount:
    """Access to the Flickr API."""

    api_key: Secret
    api_url: str = "https://api.flickr.com/services/rest/"


@attrs.frozen(kw_only=True)
class XSource:
    """Posts that match ``rule`` (X's filtered-stream grammar)."""

    rule: str
    lead_days: int = 1
    tail_days: int = 2


@attrs.frozen(kw_only=True)
class FlickrSource:
    """Photos that carry one of ``tags``, asked for every ``interval_s`` seconds."""

    tags: tuple[str, ...]
    interval_s: float = 60.0
    lead_days: int = 1
    tail_days: int = 2


@attrs.frozen(kw_only=True)
class PushSource:
    """Other programs publish with ``POST /<slug>/items`` and this token."""

    token: Secret
    lead_days: int = 1
    tail_days: int = 2


@attrs.frozen(kw_only=True)
class ReplaySource:
    """A recorded feed, played ``speed`` times as fast as it happened; over and over when ``loop``, and after a
    restart from the beginning when ``rewind``."""

    file: Path
    speed: float = 1.0
    loop: bool = False
    rewind: bool = False
    lead_days: int = 1
    tail_days: int = 2


SourceSettings = XSource | FlickrSource | PushSource | ReplaySource


@attrs.frozen(kw_only=True)
class ScheduleSettings:
    """Where an event's schedule comes from: either ``file`` or ``url``, looked at every ``interval_s`` seconds.
    ``format`` is one of :data:`afeed.core.schedule.formats.FORMATS`.  ``speed`` is given where the schedule is
    that of a recording which is being played from the start on, so many times as fast as it happened."""

    file: Path | None = None
    url: str | None = None
    format: str = "auto"
    interval_s: float = 300.0
    speed: float | None = None


@attrs.frozen(kw_only=True)
class Event:
    """A conference or meeting.  ``starts`` and ``ends`` are days in ``timezone``, both inclusive;
    ``attribution`` says by what posts are filed under its talks.  With ``keep_media`` its pictures are fetched,
    and shown from here alone.  Posts of ``blocked`` authors are turned away, whatever organisers change."""

    slug: str
    name: str
    timezone: ZoneInfo
    starts: date
    ends: date
    hashtags: tuple[str, ...] = ()
    sources: tuple[SourceSettings, ...] = ()
    keep_media: bool = False
    schedule: ScheduleSettings | None = None
    attribution: Weights = attrs.Factory(Weights)
    filters: Filters = attrs.Factory(Filters)
    blocked: tuple[str, ...] = ()

    def active_days(self, source: SourceSettings) -> tuple[date, date]:
        """The first and the last day, in the event's time zone, on which ``source`` runs."""
        return self.starts - timedelta(days=source.lead_days), self.ends + timedelta(days=source.tail_days)

    def active(self, source: SourceSettings) -> Period:
        """The same as moments."""
        return whole_days(*self.active_days(source), self.timezone)


@attrs.frozen(kw_only=True)
class Organiser:
    """Somebody who may sign in at ``/admin``, with the argon2id hash of the password in its usual encoding
    (``$argon2id$v=19$m=...``)."""

    name: str
    password_hash: Secret


@attrs.frozen(kw_only=True)
class Settings:
    """Everything ``makeService`` needs to know."""

    server: Server
    store: Store
    x: XAccount | None = None
    flickr: FlickrAccount | None = None
    organisers: tuple[Organiser, ...] = ()
    events: tuple[Event, ...] = ()
