"""The pages of the organisers, and what they may do there.

::

    GET  /admin                       how everything is, or the form to sign in
    POST /admin/sign-in               name, password
    POST /admin/sign-out
    GET  /admin/events/<slug>         the newest items, to hide; ?before=<seq> pages back
    GET  /admin/events/<slug>/live    the live page with a button at each post
    GET  /admin/events/<slug>/hidden  what is hidden, and who is blocked; ?before=<place> pages back
    GET  /admin/events/<slug>/held    what is held back; see :mod:`afeed.web.admin_held`
    GET  /admin/events/<slug>/forget  who is forgotten; see :mod:`afeed.web.admin_forget`
    GET  /admin/events/<slug>/file    under which talk a post is; see :mod:`afeed.web.admin_filing`
    GET  /admin/events/<slug>/filters what is kept from the screen, to be changed
    POST /admin/events/<slug>/<act>   hide, restore, block, unblock, show, refuse, filters or unfilter
    GET  /admin/trail                 who did what

They are in the language that ``?lang=`` asks for, which goes along from page to page, or in the one that the
browser prefers.  Everything but the buttons of the live page works without JavaScript.  What changes something
is a POST with the token of the session, answered with 303, so that loading a page again repeats nothing."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.server import Request
from werkzeug.exceptions import NotFound

from afeed.archive.moderation import is_place
from afeed.core.cursor import MAX_SEQ
from afeed.core.errors import BadInput
from afeed.core.http import Header, bounded_number, query_members
from afeed.interfaces import IFeed
from afeed.organisers.desk import Desk, Guest, MustWait, NotSignedIn, TooLong
from afeed.organisers.moderation import Actor, Moderation
from afeed.organisers.shield import shielded
from afeed.organisers.verifier import Busy
from afeed.settings import Event
from afeed.web.admin_filing import FilePages
from afeed.web.admin_forget import ForgetPages
from afeed.web.admin_guard import Guard
from afeed.web.admin_held import HeldPages, Mistaken
from afeed.web.admin_pages import AdminRenderer, Done, HiddenPage, Overview
from afeed.web.admin_refusals import Refusal, not_signed_in, refused
from afeed.web.answers import HTML
from afeed.web.entrance import Entrance, reader_of, send
from afeed.web.pages import PAGE_ITEMS
from afeed.web.router import strict_router

#: Does what a form asks for at an event, and returns what it was done to.
Act = Callable[[str, dict[str, str], Actor], Coroutine[Any, Any, str]]

#: So many of the last actions are shown.
TRAIL = 200


def is_admin(path: bytes) -> bool:
    """Whether ``path`` is one of these pages'."""
    return path == b"/admin" or path.startswith(b"/admin/")


class Admin:
    """The pages.  ``overview`` tells how everything is; ``headers`` are those that every answer carries."""

    log = Logger()
    app = strict_router()

    def __init__(
        self,
        desk: Desk,
        guard: Guard,
        moderation: Moderation,
        feed: IFeed,
        renderer: AdminRenderer,
        events: Sequence[Event],
        overview: Callable[[], Overview],
        held: HeldPages,
        headers: list[Header],
        forget: ForgetPages | None = None,
        filing: FilePages | None = None,
    ) -> None:
        self._desk = desk
        self._guard = guard
        self._moderation = moderation
        self._feed = feed
        self._renderer = renderer
        self._events = {event.slug: event for event in events}
        self._acts: dict[str, Act] = {
            "hide": self._hide,
            "restore": self._restore,
            "block": self._block,
            "unblock": self._unblock,
            **held.acts,
            **({} if forget is None else forget.acts),
            **({} if filing is None else filing.acts),
        }
        self._held = held
        self._forget = forget
        self._filing = filing
        self._overview = overview
        self._headers = headers

    def resource(self) -> IResource:
        """The root of these pages, whose addresses all begin with ``/admin``."""
        return Entrance(self.app.resource(), self._enter, self._unknown)

    # -- signing in and out

    @app.route("/admin", methods=["GET"])
    async def front(self, request: Request) -> bytes:
        """How everything is, or the form to sign in."""
        guest = await self._who(request)
        if guest is None:
            return self._send(request, self._renderer.sign_in(reader_of(request)))
        found = attrs.evolve(self._overview(), waiting=await self._held.waiting(tuple(self._events)))
        return self._send(request, self._renderer.overview(reader_of(request), guest, found))

    @app.route("/admin/sign-in", methods=["POST"])
    async def sign_in(self, request: Request) -> bytes:
        """Begin a session."""
        try:
            form = self._guard.form(request)
        except Refusal:
            self._desk.forged()
            raise
        name, password = form.get("name", ""), form.get("password", "")
        address = _address(request)
        try:
            guest = await self._desk.sign_in(name, password, address, self._guard.cookie(request))
        except (NotSignedIn, MustWait, Busy, TooLong) as error:
            found = not_signed_in(error)
            for header, value in found.headers:
                request.setHeader(header, value)
            return self._send(request, self._renderer.sign_in(reader_of(request), found), found.code)
        self._guard.give(request, guest)
        return _go(request, "/admin")

    @app.route("/admin/sign-out", methods=["POST"])
    async def sign_out(self, request: Request) -> bytes:
        """End it."""
        guest, _ = self._guard.signed_form(request, await self._who(request))
        await self._desk.sign_out(guest)
        self._guard.take(request)
        return _go(request, "/admin")

    # -- moderation

    @app.route("/admin/events/<slug>", methods=["GET"])
    async def newest(self, request: Request, slug: str) -> bytes:
        """The newest items, each with what can be done about it."""
        event = self._find(slug)
        guest = await self._who(request)
        if guest is None:
            return _go(request, "/admin")
        query = _query(request)
        before = bounded_number(query, "before", 0, 1, MAX_SEQ) or None
        page = await self._feed.page(slug, PAGE_ITEMS, before)
        done = _done(query, guest)
        return self._send(request, self._renderer.newest(reader_of(request), guest, event, page, before, done))

    @app.route("/admin/events/<slug>/live", methods=["GET"])
    async def live(self, request: Request, slug: str) -> bytes:
        """The live page with a button at each post, where scripts are allowed."""
        event = self._find(slug)
        guest = await self._who(request)
        if guest is None:
            return _go(request, "/admin")
        page = await self._feed.page(slug, PAGE_ITEMS)
        waiting = (await self._held.waiting([slug])).get(slug)
        return self._send(request, self._renderer.live(reader_of(request), guest, event, page, waiting))

    @app.route("/admin/events/<slug>/held", methods=["GET"])
    async def held(self, request: Request, slug: str) -> bytes:
        """What is held back, and why."""
        event, query = self._find(slug), _query(request)
        # A page that looks again by itself keeps no session open.
        guest = await self._desk.who(self._guard.cookie(request), used="unattended" not in query)
        if guest is None:
            return _go(request, "/admin")
        reader = reader_of(request)
        page = await self._held.page(event, query)
        values = self._held.held_values(event, page, guest, reader.language)
        return self._send(request, self._renderer.held(reader, values, _done(query, guest)))

    @app.route("/admin/events/<slug>/filters", methods=["GET"])
    async def filters(self, request: Request, slug: str) -> bytes:
        """What is kept from the screen, to be changed."""
        event = self._find(slug)
        guest = await self._who(request)
        if guest is None:
            return _go(request, "/admin")
        reader = reader_of(request)
        values = self._held.filter_values(event, None, guest, reader.language)
        return self._send(request, self._renderer.filters(reader, values, _done(_query(request), guest)))

    @app.route("/admin/events/<slug>/hidden", methods=["GET"])
    async def hidden(self, request: Request, slug: str) -> bytes:
        """What is hidden, and who is blocked."""
        event = self._find(slug)
        guest = await self._who(request)
        if guest is None:
            return _go(request, "/admin")
        query = _query(request)
        before = query.get("before")
        if before is not None and not is_place(before):
            raise BadInput("before is no place among what is hidden")
        store = self._moderation.store
        hidden = await store.hidden(slug, PAGE_ITEMS + 1, before)
        theirs = await store.hidden_because(slug, PAGE_ITEMS) if before is None else []
        blocked = [one for one in await store.blocked() if one.event == slug]
        page = HiddenPage(
            hidden=hidden[:PAGE_ITEMS],
            theirs=theirs,
            before=before,
            older=hidden[PAGE_ITEMS - 1].place if len(hidden) > PAGE_ITEMS else None,
        )
        done = _done(query, guest)
        return self._send(request, self._renderer.hidden(reader_of(request), guest, event, page, blocked, done))

    @app.route("/admin/events/<slug>/forget", methods=["GET"])
    async def forget(self, request: Request, slug: str) -> bytes:
        """Who is forgotten, and a form to have somebody forgotten."""
        event = self._find(slug)
        if self._forget is None:
            raise NotFound()
        guest = await self._who(request)
        if guest is None:
            return _go(request, "/admin")
        reader = reader_of(request)
        requests = await self._forget.requests(slug, reader.language)
        done = _done(_query(request), guest)
        return self._send(request, self._renderer.forget(reader, guest, event, requests, done))

    @app.route("/admin/events/<slug>/file", methods=["GET"])
    async def file(self, request: Request, slug: str) -> bytes:
        """One item, and the talks under which it may belong."""
        event = self._find(slug)
        if self._filing is None:
            raise NotFound()
        guest = await self._who(request)
        if guest is None:
            return _go(request, "/admin")
        reader = reader_of(request)
        values = await self._filing.values(event, _query(request), reader.language)
        return self._send(request, self._renderer.file(reader, guest, values))

    @app.route("/admin/events/<slug>/<act>", methods=["POST"])
    async def act(self, request: Request, slug: str, act: str) -> bytes:
        """Do something, and go back to the page with a way to undo it."""
        event = self._find(slug)
        guest, form = self._guard.signed_form(request, await self._who(request))
        place, before = f"/admin/events/{event.slug}", form.get("before", "")
        known = before.isdigit()
        if form.get("from") == "hidden":
            place, known = f"{place}/hidden", is_place(before)
        # The page that was looked at may be an older one.
        query = {"before": before} if known else {}
        if form.get("from") in ("held", "filters", "forget"):
            place = f"{place}/{form['from']}"
            query = {name: form[name] for name in ("after", "stopped") if name in form}
        did = self._acts.get(act)
        if did is None:
            raise NotFound()
        # What was pressed is done, even if the phone loses its network meanwhile.
        doing = Deferred.fromCoroutine(did(slug, form, Actor(guest.account, _address(request))))
        try:
            subject = await shielded(doing)
        except Mistaken as error:
            reader = reader_of(request)
            values = self._held.filter_values(event, error.form, guest, reader.language)
            return self._send(request, self._renderer.filters(reader, values, None), 400)
        done = {"did": act, "subject": subject, "mark": guest.mark(f"{act} {subject}")}
        return _go(request, place, **query, **done)

    # What the buttons do; each returns what it was done to.

    async def _hide(self, slug: str, form: dict[str, str], actor: Actor) -> str:
        return (await self._moderation.hide(slug, _seq(form), _subject(form), actor)).id

    async def _restore(self, slug: str, form: dict[str, str], actor: Actor) -> str:
        return (await self._moderation.restore(slug, _subject(form), actor)).id

    async def _block(self, slug: str, form: dict[str, str], actor: Actor) -> str:
        return (await self._moderation.block(slug, _seq(form), _subject(form), actor)).key

    async def _unblock(self, slug: str, form: dict[str, str], actor: Actor) -> str:
        await self._moderation.unblock(slug, _subject(form), actor)
        return _subject(form)

    @app.route("/admin/trail", methods=["GET"])
    async def trail(self, request: Request) -> bytes:
        """Who did what, when and from where."""
        guest = await self._who(request)
        if guest is None:
            return _go(request, "/admin")
        actions = await self._moderation.store.actions(TRAIL)
        return self._send(request, self._renderer.trail(reader_of(request), guest, actions))

    # -- what goes wrong

    @app.handle_errors(Exception)
    def refuse(self, request: IRequest, failure: Failure) -> bytes:
        """Say why something was not done; a defect of ours in full to the operator alone."""
        found = refused(self.log, request, failure)
        return self._send(request, self._renderer.refusal(reader_of(request), found), found.code)

    def _enter(self, request: Request) -> None:
        """Set the headers that every answer carries."""
        for name, value in self._headers:
            request.setHeader(name, value)
        request.setHeader(b"x-robots-tag", b"noindex")

    def _unknown(self, request: Request) -> bytes:
        return self.refuse(request, Failure(NotFound()))

    def _find(self, slug: str) -> Event:
        event = self._events.get(slug)
        if event is None:
            raise NotFound()
        return event

    async def _who(self, request: Request) -> Guest | None:
        return await self._desk.who(self._guard.cookie(request))

    def _send(self, request: IRequest, body: bytes, code: int = 200) -> bytes:
        return send(request, code, HTML, body)


def _go(request: IRequest, path: str, **query: str) -> bytes:
    """See what came of it; by path alone, so that no Host header says where."""
    request.setResponseCode(303)
    request.setHeader(b"location", reader_of(request).address(path, **query).encode("ascii"))
    request.setHeader(b"cache-control", b"no-store")
    request.setHeader(b"content-length", b"0")
    return b""


def _query(request: Request) -> dict[str, str]:
    return query_members(request.uri.partition(b"?")[2])


def _done(query: dict[str, str], guest: Guest) -> Done | None:
    """What was just done, as the page says and offers to undo it: only what was done in this session, for a
    link that a stranger made must put no button there."""
    act, subject = query.get("did", ""), query.get("subject", "")
    genuine = hmac.compare_digest(query.get("mark", "").encode(), guest.mark(f"{act} {subject}").encode())
    return Done(act, subject) if genuine and act in Done.UNDO else None


def _subject(form: dict[str, str]) -> str:
    return form.get("subject", "")


def _seq(form: dict[str, str]) -> int:
    return bounded_number(form, "seq", 0, 1, MAX_SEQ)


def _address(request: Request) -> str:
    return str(request.getClientAddress().host)
