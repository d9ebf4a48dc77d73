"""The pages over HTTP: routes, errors, caching.

::

    GET /                     the events
    GET /<slug>               the live page; ?before=<seq> pages back, ?talk= and ?room= follow those
    GET /<slug>/wall          the projector view
    GET /<slug>/schedule      and the other pages of the conversation (:mod:`afeed.web.conversation`)
    GET /<slug>/qr.svg        the address of the live page, for cameras
    GET /static/<path>        scripts, styles, the demo's photos
    GET /favicon.ico  GET /robots.txt

A page is in the language that ``?lang=`` asks for, or else in the one that the browser prefers.

Everything else under an event (``updates``, ``stream``, ``ws``, ``items``) is answered before a request gets
here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import msgspec
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.server import Request
from werkzeug.exceptions import Gone, HTTPException, NotFound

from afeed.archive.reading import Reading
from afeed.core.errors import ArchiveUnavailable, BadInput, LogUnavailable
from afeed.interfaces import IFeed
from afeed.settings import Event, Server
from afeed.web.answers import HTML, JSON, answer
from afeed.web.assets import Asset, Assets, packaged
from afeed.web.conversation import Conversation, Removals, add_routes, before_of
from afeed.web.conversation_pages import ConversationRenderer
from afeed.web.entrance import Entrance, reader_of, send
from afeed.web.fragments import Fragments
from afeed.web.headers import security_headers
from afeed.web.languages import choose
from afeed.web.pages import PAGE_ITEMS, TROUBLES, WALL_ITEMS, WALL_SEARCHED, Document, Reader, Renderer
from afeed.web.qr import code
from afeed.web.router import strict_router
from afeed.web.timetable import Scheduled

#: How long a page may be shown from a cache, which is also how long a removed post may live on there.
PAGE_CACHE = b"public, max-age=5"
#: Nothing about it changes while afeed runs.
QR_CACHE = b"public, max-age=3600"
#: A file under its digest never changes; under its bare name it is asked for again each time.
KEEP = b"public, max-age=31536000, immutable"
ASK_AGAIN = b"public, no-cache"

#: Seconds after which a browser may ask again for a page that needs the archive.
RETRY_AFTER = b"10"

#: The last part of addresses that programs call: their errors are JSON, whatever they accept.
_FOR_PROGRAMS = frozenset({b"updates", b"stream", b"ws", b"items"})

#: Pages may be found, the feed's own transports need not be crawled.
ROBOTS = b"User-agent: *\nDisallow: /*/updates\nDisallow: /*/stream\nDisallow: /*/ws\n"


class Pages:
    """The pages of ``events``, whose items come from ``feed``.

    ``now`` gives the time in seconds since 1970.  ``fragments`` gives each event's renderer of items, which
    should be the one that live changes go through too; without it the pages make their own.
    ``most_of_one_author`` tells how many posts of one author in a minute an event's wall shows;
    ``archive``, ``programmes``, ``removals`` and ``moved`` are as in
    :class:`~afeed.web.conversation.Conversation`."""

    log = Logger()
    app = strict_router()
    add_routes(app)

    def __init__(
        self,
        events: tuple[Event, ...],
        feed: IFeed,
        server: Server,
        now: Callable[[], float],
        *,
        fragments: Callable[[Event], Fragments] | None = None,
        assets: Assets | None = None,
        most_of_one_author: Callable[[str], int | None] = lambda slug: None,
        archive: Reading | None = None,
        programmes: Mapping[str, Scheduled] | None = None,
        removals: Removals | None = None,
        moved: Callable[[str], frozenset[str]] = lambda event: frozenset(),
    ) -> None:
        self._listed = events
        self._events = {event.slug: event for event in events}
        self._feed = feed
        self._now = now
        self._most_of_one_author = most_of_one_author
        self._headers = security_headers(server)
        #: Those of events that show pictures from here alone.
        self._closed_headers = security_headers(server, keeps_media=True)
        self._public_url = server.public_url.rstrip("/")
        self._address = urlsplit(server.public_url).netloc
        self._assets = packaged() if assets is None else assets
        if fragments is None:
            own = {event.slug: Fragments(event.timezone, keeps_media=event.keep_media) for event in events}
            fragments = lambda event: own[event.slug]  # noqa: E731
        self._renderer = Renderer(self._assets, fragments)
        #: What the pages of the conversation need.
        self.conversation = Conversation(
            ConversationRenderer(self._renderer),
            feed,
            now,
            archive=archive,
            programmes=programmes,
            removals=removals,
            moved=moved,
        )
        self._crowded: dict[str, bytes] = {}

    def resource(self) -> IResource:
        """The root of the pages, for a :class:`twisted.web.server.Site` or a front of one's own."""
        return Entrance(self.app.resource(), self._enter, lambda request: self.trouble(request, 404))

    @app.route("/", methods=["GET"])
    def front(self, request: IRequest) -> bytes:
        """The list of events."""
        return self.send(request, self._renderer.events(self._listed, self._now(), reader_of(request)))

    @app.route("/<slug>", methods=["GET"])
    async def event(self, request: IRequest, slug: str) -> bytes:
        """The live page, and the older ones behind it."""
        event = self.find(slug)
        before = before_of(request)
        schedule = self.conversation.schedule_of(slug)
        followed = self.conversation.followed(request, event)
        if followed is None:
            page = await self._feed.page(slug, PAGE_ITEMS, before)
        else:
            page = await self.conversation.page_of(slug, followed.talks, before)
        reader = reader_of(request)
        document = self._renderer.event(
            event, page, self._now(), reader, before, schedule=schedule, followed=followed
        )
        return self.send(request, document)

    @app.route("/<slug>/wall", methods=["GET"])
    async def wall(self, request: IRequest, slug: str) -> bytes:
        """The projector view."""
        event = self.find(slug)
        most = self._most_of_one_author(slug)
        page = await self._feed.page(slug, WALL_ITEMS if most is None else WALL_SEARCHED, prompt=True)
        address = f"{self._address}/{slug}"
        schedule = self.conversation.schedule_of(slug)
        reader = reader_of(request)
        document = self._renderer.wall(event, page, self._now(), reader, address, most, schedule=schedule)
        return self.send(request, document)

    @app.route("/<slug>/qr.svg", methods=["GET"])
    def qr(self, request: IRequest, slug: str) -> bytes:
        """The address of the live page as a QR code."""
        asset = code(f"{self._public_url}/{self.find(slug).slug}")
        return _send_asset(request, asset, QR_CACHE)

    @app.route("/static/<path:path>", methods=["GET"])
    def static(self, request: IRequest, path: str) -> bytes:
        """A file of ours."""
        found = self._assets.find(path)
        if found is None:
            raise NotFound()
        asset, kept = found
        return _send_asset(request, asset, KEEP if kept else ASK_AGAIN)

    @app.route("/favicon.ico", methods=["GET"])
    def favicon(self, request: IRequest) -> bytes:
        """The icon, for browsers that ask for it without reading the page."""
        found = self._assets.find("icon.svg")
        if found is None:
            raise NotFound()
        return _send_asset(request, found[0], b"public, max-age=86400")

    @app.route("/robots.txt", methods=["GET"])
    def robots(self, request: IRequest) -> bytes:
        """What crawlers may read."""
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        request.setHeader(b"cache-control", b"public, max-age=86400")
        request.setHeader(b"content-length", b"%d" % len(ROBOTS))
        return ROBOTS

    @app.handle_errors(Gone)
    def gone(self, request: IRequest, failure: Failure) -> bytes:
        """What was here was removed."""
        return self.trouble(request, 410)

    @app.handle_errors(HTTPException)
    def refuse(self, request: IRequest, failure: Failure) -> bytes:
        """No such page (the router's other complaints come to the same: nothing is at this address)."""
        return self.trouble(request, 404)

    @app.handle_errors(BadInput)
    def puzzled(self, request: IRequest, failure: Failure) -> bytes:
        """A query that means nothing."""
        return self.trouble(request, 400)

    @app.handle_errors(ArchiveUnavailable, LogUnavailable)
    def unavailable(self, request: IRequest, failure: Failure) -> bytes:
        """What was asked for exists and cannot be read at the moment."""
        request.setHeader(b"retry-after", RETRY_AFTER)
        return self.trouble(request, 503)

    @app.handle_errors(Exception)
    def broken(self, request: IRequest, failure: Failure) -> bytes:
        """A defect of ours: told to the operator in full, to the visitor in one sentence."""
        self.log.failure(
            "The page {path} could not be made; the visitor got an error page. This is a defect in afeed.",
            failure=failure,
            path=request.path.decode("ascii", "backslashreplace"),
        )
        return self.trouble(request, 500)

    def trouble(self, request: IRequest, code: int) -> bytes:
        """An error as a page for people or as JSON for programs."""
        trouble = TROUBLES[code]
        if _is_program(request):
            body = msgspec.json.encode({"error": trouble.name, "detail": f"{trouble.title}. {trouble.text}"})
            return send(request, code, JSON, body)
        return send(request, code, HTML, self._renderer.trouble(trouble, reader_of(request)))

    def crowded(self, accepted: str) -> bytes:
        """What the front door says, before there is a request, to people at an address that has too many
        connections; ``accepted`` are their languages (``Accept-Language``)."""
        language = choose(None, accepted)[0]
        found = self._crowded.get(language.tag)
        if found is None:
            found = self._crowded[language.tag] = self._renderer.trouble(TROUBLES[429], Reader(language))
        return found

    def _enter(self, request: Request) -> bytes | None:
        """Set the headers that every answer carries, and refuse what is not done at any address."""
        event = self._events.get(request.path.strip(b"/").partition(b"/")[0].decode("ascii", "replace"))
        closed = event is not None and event.keep_media
        for name, value in self._closed_headers if closed else self._headers:
            request.setHeader(name, value)
        if request.method in (b"GET", b"HEAD"):
            return None
        request.setHeader(b"allow", b"GET, HEAD")
        return self.trouble(request, 405)

    def find(self, slug: str) -> Event:
        """The event with this slug."""
        event = self._events.get(slug)
        if event is None:
            raise NotFound()
        return event

    def send(self, request: IRequest, document: Document) -> bytes:
        """Answer with ``document``."""
        return answer(
            request,
            document.body,
            document.gzipped,
            content_type=HTML,
            tag=document.tag,
            cache=PAGE_CACHE,
            vary=b"Accept-Encoding, Accept-Language",
        )


def _send_asset(request: IRequest, asset: Asset, cache: bytes) -> bytes:
    return answer(
        request,
        asset.body,
        asset.gzipped,
        content_type=asset.content_type.encode("ascii"),
        tag=asset.tag,
        cache=cache,
    )


def _is_program(request: IRequest) -> bool:
    """Whether an error is better told as JSON: to an address for programs, or when JSON was asked for and
    HTML was not."""
    accept = request.getHeader(b"accept") or b""
    if b"application/json" in accept and b"text/html" not in accept:
        return True
    segments = request.path.split(b"/")
    return segments[-1] in _FOR_PROGRAMS or segments[1:2] in ([b"api"], [b"admin"])
