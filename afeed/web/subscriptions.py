"""Feeds for feed readers, and the schedule for calendars.

::

    GET /<slug>/atom.xml       the newest posts as Atom (RFC 4287)
    GET /<slug>/feed.json      the same as JSON Feed 1.1
    GET /<slug>/schedule.ics   the schedule as iCalendar (RFC 5545)

and the same below ``/<slug>/talks/<id>/`` for one talk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.server import Request
from werkzeug.exceptions import HTTPException, NotFound

from afeed.archive.searching import Found, Query
from afeed.core.errors import ArchiveUnavailable, LogUnavailable
from afeed.core.http import Header
from afeed.core.report.activity import moment
from afeed.core.schedule.model import Schedule, Talk
from afeed.exports.ics import calendar
from afeed.exports.subject import Subject
from afeed.exports.writing import FORMATS
from afeed.interfaces import IFeed, PageItem
from afeed.settings import Event
from afeed.web.answers import answer
from afeed.web.assets import compressed, tag_of
from afeed.web.conversation import Removals, no_removals, without
from afeed.web.entrance import Entrance, send
from afeed.web.router import strict_router

#: Posts in a feed.
FEED_ITEMS = 50
#: How long a cache may show a feed, which is how long a removed post may live on there.
CACHE = b"public, max-age=5"
ICAL = b"text/calendar; charset=utf-8"
_TEXT = b"text/plain; charset=utf-8"

#: The last part of these addresses, and the format that is there.
_FEEDS = {"atom.xml": "atom", "feed.json": "json"}
_CALENDAR = "schedule.ics"
_NAMES = frozenset(name.encode() for name in (*_FEEDS, _CALENDAR))

_TROUBLES = {
    404: b"There is nothing here: the address may be misspelt, or the event is not on this server.\n",
    405: b"This can only be read.\n",
    500: b"Something went wrong. It has been noted, and trying again may help.\n",
    503: b"This is not available right now; please try again shortly.\n",
}


class Finder(Protocol):
    """The archive, as far as it is asked here."""

    def find(self, event: str, query: Query, limit: int, before: int | None = None) -> Deferred[Found]:
        """See :meth:`afeed.archive.store.SqlArchive.find`."""


def is_subscription(path: bytes) -> bool:
    """Whether ``path`` is one of these."""
    return path.rpartition(b"/")[2] in _NAMES


class Subscriptions:
    """``schedules`` gives an event's schedule, None where it has none; ``headers`` are those that every answer
    carries; ``now`` gives seconds since 1970; ``removals`` is as in
    :class:`~afeed.web.conversation.Conversation`."""

    log = Logger()
    app = strict_router()

    def __init__(
        self,
        events: Sequence[Event],
        feed: IFeed,
        archive: Finder,
        schedules: Callable[[str], Schedule | None],
        public_url: str,
        headers: Sequence[Header],
        now: Callable[[], float],
        removals: Removals = no_removals,
    ) -> None:
        self._events = {event.slug: event for event in events}
        self._feed = feed
        self._archive = archive
        self._schedules = schedules
        self._public_url = public_url.rstrip("/")
        self._headers = headers
        self._now = now
        self._removals = removals

    def resource(self) -> IResource:
        """The root of these addresses."""
        return Entrance(self.app.resource(), self._enter, lambda request: self._trouble(request, 404))

    @app.route("/<slug>/<name>", methods=["GET"])
    async def whole(self, request: IRequest, slug: str, name: str) -> bytes:
        """Of an event."""
        event = self._find(slug)
        if name == _CALENDAR:
            return self._calendar(request, event, None)
        page = await self._feed.page(slug, FEED_ITEMS)
        return self._newest(request, self._subject(event, None), name, page.items)

    @app.route("/<slug>/talks/<talk>/<name>", methods=["GET"])
    async def of_talk(self, request: IRequest, slug: str, talk: str, name: str) -> bytes:
        """Of one talk."""
        event = self._find(slug)
        schedule = self._schedules(slug)
        found = None if schedule is None else schedule.talk(talk)
        if found is None:
            raise NotFound()
        if name == _CALENDAR:
            return self._calendar(request, event, found)
        with self._removals(slug) as removed:
            page = without(await self._archive.find(slug, Query(talk=found.id), FEED_ITEMS), removed)
        return self._newest(request, self._subject(event, found), name, page.items)

    def _newest(self, request: IRequest, subject: Subject, name: str, items: Sequence[PageItem]) -> bytes:
        format = FORMATS[_FEEDS[name]]
        event = self._events[subject.slug]
        times = [at for one in items if (at := moment(one.item.created_at)) is not None]
        starts = datetime.combine(event.starts, time(), event.timezone).timestamp()
        updated = datetime.fromtimestamp(max(times, default=starts), UTC)
        writer = format.make(subject, updated.isoformat(timespec="seconds").replace("+00:00", "Z"))
        body = b"".join([writer.begin(), *(writer.item(one) for one in items), writer.end()])
        return self._send(request, body, format.content_type.encode())

    def _calendar(self, request: IRequest, event: Event, talk: Talk | None) -> bytes:
        schedule = self._schedules(event.slug)
        if schedule is None:
            raise NotFound()
        # Calendars take what was made later for newer; within an hour it is the same for all caches.
        made_at = datetime.fromtimestamp(self._now() // 3600 * 3600, UTC)
        return self._send(request, calendar(self._subject(event, talk), schedule, made_at), ICAL)

    def _subject(self, event: Event, talk: Talk | None) -> Subject:
        return Subject(
            public_url=self._public_url,
            slug=event.slug,
            name=event.name,
            starts=event.starts,
            talk=None if talk is None else talk.id,
            talk_title=None if talk is None else talk.title,
            keeps_media=event.keep_media,
        )

    def _find(self, slug: str) -> Event:
        event = self._events.get(slug)
        if event is None:
            raise NotFound()
        return event

    def _send(self, request: IRequest, body: bytes, content_type: bytes) -> bytes:
        return answer(request, body, compressed(body), content_type=content_type, tag=tag_of(body), cache=CACHE)

    @app.handle_errors(HTTPException)
    def unknown(self, request: IRequest, failure: Failure) -> bytes:
        """No such event or talk."""
        return self._trouble(request, 404)

    @app.handle_errors(ArchiveUnavailable, LogUnavailable)
    def unavailable(self, request: IRequest, failure: Failure) -> bytes:
        """It exists and cannot be read at the moment."""
        request.setHeader(b"retry-after", b"10")
        return self._trouble(request, 503)

    @app.handle_errors(Exception)
    def broken(self, request: IRequest, failure: Failure) -> bytes:
        """A defect of ours."""
        self.log.failure(
            "The feed {path} could not be made. This is a defect in afeed.",
            failure=failure,
            path=request.path.decode("ascii", "backslashreplace"),
        )
        return self._trouble(request, 500)

    def _enter(self, request: Request) -> bytes | None:
        for name, value in self._headers:
            request.setHeader(name, value)
        if request.method in (b"GET", b"HEAD"):
            return None
        request.setHeader(b"allow", b"GET, HEAD")
        return self._trouble(request, 405)

    def _trouble(self, request: Any, code: int) -> bytes:
        return send(request, code, _TEXT, _TROUBLES[code])
