"""The pages over HTTP: routes, errors, caching.

::

    GET /                     the events
    GET /<slug>               the live page; ?before=<seq> pages back
    GET /<slug>/wall          the projector view
    GET /static/<path>        scripts, styles, the demo's photos
    GET /favicon.ico  GET /robots.txt

Everything else under an event (``updates``, ``stream``, ``ws``, ``items``) is answered before a request gets
here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from klein import Klein
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request
from werkzeug.exceptions import HTTPException, NotFound
from zope.interface import implementer

from afeed.core.cursor import MAX_SEQ
from afeed.core.errors import ArchiveUnavailable, BadInput, LogUnavailable
from afeed.interfaces import IFeed
from afeed.settings import Event, Server
from afeed.web.answers import HTML, JSON, answer
from afeed.web.assets import Asset, Assets, packaged
from afeed.web.fragments import Fragments
from afeed.web.headers import security_headers
from afeed.web.pages import PAGE_ITEMS, TROUBLES, WALL_ITEMS, Document, Renderer

#: How long a page may be shown from a cache, which is also how long a removed post may live on there.
PAGE_CACHE = b"public, max-age=5"
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
    should be the one that live changes go through too; without it the pages make their own."""

    log = Logger()
    app = Klein()
    # Every address is spelt in one way, and a request for //example.com is not sent there.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False

    def __init__(
        self,
        events: tuple[Event, ...],
        feed: IFeed,
        server: Server,
        now: Callable[[], float],
        *,
        fragments: Callable[[Event], Fragments] | None = None,
        assets: Assets | None = None,
    ) -> None:
        self._events = {event.slug: event for event in events}
        self._feed = feed
        self._now = now
        self._headers = security_headers(server)
        self._address = urlsplit(server.public_url).netloc
        self._assets = packaged() if assets is None else assets
        if fragments is None:
            own = {event.slug: Fragments(event.timezone) for event in events}
            fragments = lambda event: own[event.slug]  # noqa: E731
        self._renderer = Renderer(self._assets, fragments)

    def resource(self) -> IResource:
        """The root of the pages, for a :class:`twisted.web.server.Site` or a front of one's own."""
        return _Entrance(self, self.app.resource())

    @app.route("/", methods=["GET"])
    def front(self, request: IRequest) -> bytes:
        """The list of events."""
        return self._send(request, self._renderer.events(tuple(self._events.values()), self._now()))

    @app.route("/<slug>", methods=["GET"])
    async def event(self, request: IRequest, slug: str) -> bytes:
        """The live page, and the older ones behind it."""
        event = self._find(slug)
        before = _before(request)
        page = await self._feed.page(slug, PAGE_ITEMS, before)
        return self._send(request, self._renderer.event(event, page, self._now(), before))

    @app.route("/<slug>/wall", methods=["GET"])
    async def wall(self, request: IRequest, slug: str) -> bytes:
        """The projector view."""
        event = self._find(slug)
        page = await self._feed.page(slug, WALL_ITEMS, prompt=True)
        address = f"{self._address}/{slug}"
        return self._send(request, self._renderer.wall(event, page, self._now(), address))

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
            request.setHeader(b"content-type", JSON)
        else:
            body = self._renderer.trouble(trouble)
            request.setHeader(b"content-type", HTML)
        request.setResponseCode(code)
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"content-length", b"%d" % len(body))
        return body

    def secure(self, request: IRequest) -> None:
        """Set the headers that every answer carries."""
        for name, value in self._headers:
            request.setHeader(name, value)

    def _find(self, slug: str) -> Event:
        event = self._events.get(slug)
        if event is None:
            raise NotFound()
        return event

    def _send(self, request: IRequest, document: Document) -> bytes:
        return answer(
            request,
            document.body,
            document.gzipped,
            content_type=HTML,
            tag=document.tag,
            cache=PAGE_CACHE,
        )


@implementer(IResource)
class _Entrance(Resource):
    """Before the router: what it would answer in its own words, or with a traceback in the log."""

    isLeaf = True

    def __init__(self, pages: Pages, router: IResource) -> None:
        super().__init__()
        self._pages = pages
        self._router = router

    def render(self, request: Request) -> Any:
        self._pages.secure(request)
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"allow", b"GET, HEAD")
            return self._pages.trouble(request, 405)
        try:
            b"/".join(request.postpath or ()).decode("utf-8")
        except UnicodeDecodeError:
            return self._pages.trouble(request, 404)
        return self._router.render(request)


def _send_asset(request: IRequest, asset: Asset, cache: bytes) -> bytes:
    return answer(
        request,
        asset.body,
        asset.gzipped,
        content_type=asset.content_type.encode("ascii"),
        tag=asset.tag,
        cache=cache,
    )


def _before(request: IRequest) -> int | None:
    """``?before=<seq>``; raises :class:`BadInput` for what is no seq."""
    given = request.args.get(b"before")
    if given is None:
        return None
    digits = given[0]
    if not digits.isdigit() or len(digits) > 16 or not 1 <= int(digits) <= MAX_SEQ:
        raise BadInput("before is a number, such as 42")
    return int(digits)


def _is_program(request: IRequest) -> bool:
    """Whether an error is better told as JSON: to an address for programs, or when JSON was asked for and
    HTML was not."""
    accept = request.getHeader(b"accept") or b""
    if b"application/json" in accept and b"text/html" not in accept:
        return True
    segments = request.path.split(b"/")
    return segments[-1] in _FOR_PROGRAMS or segments[1:2] in ([b"api"], [b"admin"])
