"""The pages of the conversation over HTTP.

::

    GET /<slug>/schedule        the programme; /<slug>/now what is on now and next, by itself
    GET /<slug>/talks/<id>      one talk and what was said about it; ?before=<seq> pages back
    GET /<slug>/archive         everything, by ?q= ?day= ?hour= ?talk= ?author= ?source= ?kind=photo ?before=
    GET /<slug>/items/<seq>     one item, by the number under which it was first posted

The routes are :func:`add_routes`; errors are answered as those of all other pages are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from klein import Klein
from twisted.web.iweb import IRequest
from werkzeug.exceptions import Gone, NotFound

from afeed.archive.reading import Reading
from afeed.archive.searching import Found, Query
from afeed.core.cursor import MAX_SEQ
from afeed.core.errors import ArchiveUnavailable, BadInput
from afeed.core.schedule.model import Schedule, Talk
from afeed.interfaces import FeedPage, IFeed
from afeed.settings import Event
from afeed.web.conversation_pages import PHOTOS, ConversationRenderer, Link
from afeed.web.entrance import reader_of
from afeed.web.facet_lists import LISTED
from afeed.web.pages import PAGE_ITEMS, Document, Followed
from afeed.web.timetable import Scheduled, find_room, talks_in

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_HOUR = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}")
#: Longer values of a filter are nobody's.
_MOST_CHARS = 400

Removals = Callable[[str], AbstractContextManager[Mapping[str, int]]]
Links = Callable[[Event, Talk], Sequence[Link]]


def talk_links(event: Event, talk: Talk) -> Sequence[Link]:
    """A talk's slot for calendars, and its feeds."""
    base = f"/{event.slug}/talks/{talk.id}"
    return (
        Link(_("For your calendar"), f"{base}/schedule.ics"),
        Link("Atom", f"{base}/atom.xml", "application/atom+xml"),
        Link("JSON Feed", f"{base}/feed.json", "application/feed+json"),
    )


def _(text: str) -> str:
    """Mark ``text`` for the catalogues."""
    return text


class Conversation:
    """What the pages of the conversation need beside their templates.

    ``programmes`` has the schedule of every event that has one; ``removals(event)`` gives, for a read of the
    archive within it, the items of whose removal the archive may not have heard; ``links`` the ways from a talk
    to what others make of it; ``moved(event)`` the talks that were moved lately.  Without an ``archive`` only
    the schedule can be shown.
    """

    def __init__(
        self,
        renderer: ConversationRenderer,
        feed: IFeed,
        now: Callable[[], float],
        *,
        archive: Reading | None = None,
        programmes: Mapping[str, Scheduled] | None = None,
        removals: Removals | None = None,
        links: Links = talk_links,
        moved: Callable[[str], frozenset[str]] = lambda event: frozenset(),
    ) -> None:
        self._renderer = renderer
        self._feed = feed
        self._now = now
        self._archive = archive
        self._programmes = programmes or {}
        self._removals = removals or no_removals
        self._links = links
        self._moved = moved

    def schedule_of(self, event: str) -> Schedule | None:
        """The programme of an event, None where there is none (yet)."""
        programme = self._programmes.get(event)
        return None if programme is None else programme.schedule

    async def schedule(self, request: IRequest, event: Event) -> Document:
        """The programme.  Without the archive it has no numbers of posts, and is a programme all the same."""
        schedule = self.schedule_of(event.slug)
        posts: dict[str, int] = {}
        if schedule is not None and self._archive is not None:
            try:
                posts = {one.value: one.items for one in await self._archive.counts(event.slug, "talk")}
            except ArchiveUnavailable:
                pass
        moved = self._moved(event.slug)
        return self._renderer.schedule(event, schedule, posts, moved, self._now(), reader_of(request))

    def now(self, request: IRequest, event: Event) -> Document:
        """What is on now and next."""
        return self._renderer.now(event, self.schedule_of(event.slug), self._now(), reader_of(request))

    async def talk(self, request: IRequest, event: Event, id: str) -> Document | str:
        """The page of a talk, or the id under which it is to be found."""
        schedule = self.schedule_of(event.slug)
        if schedule is None or len(id) > _MOST_CHARS:
            raise NotFound()
        talk = schedule.talk(id)
        if talk is None:
            raise NotFound()
        if talk.id != id:
            return talk.id
        before = before_of(request)
        archive = self._reading()
        slug = event.slug
        with self._removals(slug) as removed:
            page = await archive.talk(slug, talk.id, PAGE_ITEMS, before, PHOTOS + 1)
        page = page._replace(found=without(page.found, removed), photos=without(page.photos, removed))
        links = self._links(event, talk)
        reader = reader_of(request)
        moved = self._moved(slug)
        return self._renderer.talk(event, schedule, talk, page, before, moved, links, self._now(), reader)

    async def archive(self, request: IRequest, event: Event) -> Document:
        """What was posted, by whatever is asked for."""
        query, before = asked(request), before_of(request)
        archive = self._reading()
        slug = event.slug
        with self._removals(slug) as removed:
            found, counted = await archive.overview(slug, query, PAGE_ITEMS, before, LISTED)
        found = without(found, removed)
        schedule = self.schedule_of(slug)
        return self._renderer.archive(event, schedule, query, found, counted, before, reader_of(request))

    async def item(self, request: IRequest, event: Event, number: str) -> Document | int:
        """The page of an item, or the number under which it is to be found."""
        if not number.isascii() or not number.isdigit() or len(number) > 16 or not 1 <= int(number) <= MAX_SEQ:
            raise NotFound()
        seq = int(number)
        page = await self._feed.page(event.slug, 1, min(seq + 1, MAX_SEQ))
        if page.items and page.items[0].seq == seq:
            schedule = self.schedule_of(event.slug)
            return self._renderer.item(event, schedule, page.items[0], reader_of(request))
        if seq > int(page.cursor.rpartition(":")[2]):
            raise NotFound()
        standing = await self._reading().standing(event.slug, seq)
        if standing.kind == "elsewhere" and standing.seq is not None:
            return standing.seq
        # What the archive still shows at this place the feed does not: its removal is on the way.
        raise NotFound() if standing.kind is None else Gone()

    async def page_of(self, event: str, talks: tuple[str, ...], before: int | None) -> FeedPage:
        """The newest items of these talks.  It is as old as the archive, and so is its cursor: what came since,
        the live stream brings."""
        query = Query(talk=talks[0]) if len(talks) == 1 else Query(talks=talks)
        with self._removals(event) as removed:
            found = without(await self._reading().find(event, query, PAGE_ITEMS, before), removed)
        cursor = "" if found.position is None else f"{found.position.epoch}:{found.position.seq}"
        return FeedPage(found.items, cursor, found.next)

    def followed(self, request: IRequest, event: Event) -> Followed | None:
        """What ``?talk=`` or ``?room=`` asks to follow, None for neither."""
        talk, room = _member(request, b"talk"), _member(request, b"room")
        if talk is None and room is None:
            return None
        schedule = self.schedule_of(event.slug)
        if schedule is None:
            raise NotFound()
        if talk is not None:
            found = schedule.talk(talk)
            if found is None:
                raise NotFound()
            return Followed(found.title, (found.id,), ("talk", found.id))
        place = find_room(schedule, room or "")
        if place is None:
            raise NotFound()
        talks = tuple(one.id for one in talks_in(schedule, place.id))
        return Followed(place.name, talks, ("room", place.id))

    def _reading(self) -> Reading:
        if self._archive is None:
            raise ArchiveUnavailable("there is no archive")
        return self._archive


def without(found: Found, removed: Mapping[str, int]) -> Found:
    """``found`` without the items whose removal the archive had not heard of."""
    return found._replace(items=[one for one in found.items if one.seq > removed.get(one.item.id, 0)])


def no_removals(event: str) -> AbstractContextManager[Mapping[str, int]]:
    """Of an archive that has heard of everything."""
    return nullcontext({})


def asked(request: IRequest) -> Query:
    """The filters in the address; raises :class:`BadInput` for what cannot be one."""
    day, hour, kind = (_member(request, name) for name in (b"day", b"hour", b"kind"))
    if day is not None and not _DAY.fullmatch(day):
        raise BadInput("day is a date, such as 2026-11-21")
    if hour is not None and not _HOUR.fullmatch(hour):
        raise BadInput("hour is a date and an hour, such as 2026-11-21T09")
    if kind not in (None, "photo"):
        raise BadInput("kind is photo")
    return Query(
        text=_member(request, b"q"),
        day=day,
        hour=hour,
        kind=kind,
        talk=_member(request, b"talk"),
        author=_member(request, b"author"),
        source=_member(request, b"source"),
    )


def before_of(request: IRequest) -> int | None:
    """``?before=<seq>``; raises :class:`BadInput` for what is no seq."""
    given = request.args.get(b"before")
    if given is None:
        return None
    digits = given[0]
    if not digits.isdigit() or len(digits) > 16 or not 1 <= int(digits) <= MAX_SEQ:
        raise BadInput("before is a number, such as 42")
    return int(digits)


def _member(request: IRequest, name: bytes) -> str | None:
    """A member of the query, None where it is missing or empty; raises :class:`BadInput` for no text."""
    value = request.args.get(name, [b""])[0].decode("utf-8", "replace").strip()
    if "\0" in value:  # which PostgreSQL takes for a fault
        raise BadInput(f"{name.decode('ascii')} has a character in it that no text has")
    return value[:_MOST_CHARS] or None


class Site(Protocol):
    """The pages that these routes are added to."""

    conversation: Conversation

    def find(self, slug: str) -> Event: ...
    def send(self, request: IRequest, document: Document) -> bytes: ...


def add_routes(app: Klein) -> None:
    """Add the routes to the router of a :class:`Site`."""

    @app.route("/<slug>/schedule", methods=["GET"])
    async def schedule(site: Site, request: IRequest, slug: str) -> bytes:
        return site.send(request, await site.conversation.schedule(request, site.find(slug)))

    @app.route("/<slug>/now", methods=["GET"])
    def now(site: Site, request: IRequest, slug: str) -> bytes:
        return site.send(request, site.conversation.now(request, site.find(slug)))

    @app.route("/<slug>/talks/<id>", methods=["GET"])
    async def talk(site: Site, request: IRequest, slug: str, id: str) -> bytes:
        event = site.find(slug)
        found = await site.conversation.talk(request, event, id)
        if isinstance(found, Document):
            return site.send(request, found)
        return _moved(request, f"/{event.slug}/talks/{found}")

    @app.route("/<slug>/archive", methods=["GET"])
    async def archive(site: Site, request: IRequest, slug: str) -> bytes:
        return site.send(request, await site.conversation.archive(request, site.find(slug)))

    @app.route("/<slug>/items/<number>", methods=["GET"])
    async def item(site: Site, request: IRequest, slug: str, number: str) -> bytes:
        event = site.find(slug)
        found = await site.conversation.item(request, event, number)
        if isinstance(found, Document):
            return site.send(request, found)
        return _moved(request, f"/{event.slug}/items/{found}")


def _moved(request: Any, path: str) -> bytes:
    """301, with the query as it was."""
    query = request.uri.partition(b"?")[2]
    request.setResponseCode(301)
    request.setHeader(b"location", path.encode("ascii") + (b"?" + query if query else b""))
    request.setHeader(b"cache-control", b"public, max-age=60")
    request.setHeader(b"content-length", b"0")
    return b""
