"""Reports over HTTP.

::

    GET  /<slug>/talks/<id>/report?key=...    for the speakers, by a link that organisers give them
    GET  /admin/events/<slug>/reports         all talks, and who has a link
    POST /admin/events/<slug>/reports         make a link, or revoke one
    GET  /admin/events/<slug>/reports/<id>    the report of a talk
    GET  /admin/events/<slug>/report          that of the whole event

Whoever has a link needs no account, so its address is told to nobody: not to sites that the report links to,
not to search engines, not to the log."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.server import Request
from werkzeug.exceptions import NotFound

from afeed.archive.moderation import Action
from afeed.archive.report_links import Link, ReportLinks
from afeed.core.change import timestamp
from afeed.core.errors import ArchiveUnavailable, BadInput
from afeed.core.http import Header, query_members
from afeed.core.schedule.model import Schedule, Talk
from afeed.core.sessions import fingerprint, is_id, new_id
from afeed.exports.subject import talk_path
from afeed.organisers.desk import Desk, Guest
from afeed.organisers.shield import shielded
from afeed.reports.maker import Made, Reports
from afeed.settings import Event
from afeed.web.admin_guard import Guard
from afeed.web.admin_pages import AdminRenderer
from afeed.web.admin_refusals import refusal, refused
from afeed.web.answers import HTML
from afeed.web.entrance import Entrance, reader_of, send
from afeed.web.pages import TROUBLES
from afeed.web.report_pages import Context, ReportRenderer, TalkEntry, context
from afeed.web.router import strict_router

#: A page waits so long for its report, in seconds; then it says that it is being made, and loads itself again.
WAIT_S = 8.0
AGAIN = b"5"

_is_public = re.compile(rb"/[^/]+/talks/[^/]+/report").fullmatch
_is_admin = re.compile(rb"/admin/events/[^/]+/report(?:s(?:/[^/]+)?)?").fullmatch

Schedules = Callable[[str], Schedule | None]


def is_report(path: bytes) -> bool:
    """Whether ``path`` is that of a talk's report."""
    return _is_public(path) is not None


def is_admin_report(path: bytes) -> bool:
    """Whether ``path`` is one of those for organisers."""
    return _is_admin(path) is not None


class _Patience:
    """Waits for reports, but not for ever."""

    def __init__(self, reports: Reports, renderer: ReportRenderer, clock: IReactorTime) -> None:
        self._reports = reports
        self._renderer = renderer
        self._clock = clock

    async def answer(self, request: Request, found: Context) -> bytes:
        """The report, or a page that will be one."""
        reader = reader_of(request)
        made = await self._wait(found)
        if made is None:
            request.setHeader(b"refresh", AGAIN)
            return send(request, 200, HTML, self._renderer.waiting(reader, found))
        return send(request, 200, HTML, self._renderer.report(reader, found, made))

    async def _wait(self, found: Context) -> Made | None:
        making: Deferred[Made] = Deferred.fromCoroutine(
            self._reports.of_event(found.event)
            if found.talk is None
            else self._reports.of_talk(found.event, found.talk)
        )
        waiting: Deferred[Made | None] = Deferred()
        # The count goes on when nobody waits for it any more: the next who asks will have it.
        late = self._clock.callLater(WAIT_S, waiting.callback, None)

        def done(result: Any) -> None:
            if late.active():
                late.cancel()
                waiting.callback(result)

        making.addBoth(done)
        return await waiting


class PublicReports:
    """What speakers open.  ``schedules`` gives an event's schedule; ``headers(keeps_media)`` are those that
    every answer carries, for events that keep their pictures and for all else; ``now`` gives seconds since
    1970."""

    log = Logger()
    app = strict_router()

    def __init__(
        self,
        events: Sequence[Event],
        schedules: Schedules,
        links: ReportLinks,
        reports: Reports,
        renderer: ReportRenderer,
        headers: Callable[[bool], Sequence[Header]],
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        self._events = {event.slug: event for event in events}
        self._schedules = schedules
        self._links = links
        self._renderer = renderer
        self._patience = _Patience(reports, renderer, clock)
        self._headers = {keeps: headers(keeps) for keeps in (False, True)}
        self._now = now

    def resource(self) -> IResource:
        """The root of these addresses."""
        return Entrance(self.app.resource(), self._enter, lambda request: self._trouble(request, 404))

    @app.route("/<slug>/talks/<talk>/report", methods=["GET"])
    async def report(self, request: Request, slug: str, talk: str) -> bytes:
        """The report of a talk, for who has the key to it.  Without it there is nothing here."""
        event, schedule = self._events.get(slug), self._schedules(slug)
        key = query_members(request.uri.partition(b"?")[2]).get("key", "")
        found = None if schedule is None else schedule.talk(talk)
        if event is None or found is None or not is_id(key):
            raise NotFound()
        if not await self._links.opens(slug, talk, fingerprint(key)):
            raise NotFound()
        self._note(slug, talk)
        return await self._patience.answer(request, context(event, schedule, found))

    def _note(self, slug: str, talk: str) -> None:
        """Note the day, for organisers; that this fails keeps nobody waiting."""
        noting = self._links.used(slug, talk, timestamp(self._now())[:10])
        noting.addErrback(lambda failure: failure.trap(ArchiveUnavailable) and None)

    @app.handle_errors(Exception)
    def refuse(self, request: IRequest, failure: Failure) -> bytes:
        """Whatever it is, the visitor gets a page that says no more than it has to."""
        code = refusal(failure.value).code
        if code == 500:
            self.log.failure(
                "The report {path} could not be shown; its visitor got an error page. It is a defect in afeed.",
                failure=failure,
                path=request.path.decode("ascii", "backslashreplace"),
            )
        if code == 503:
            request.setHeader(b"retry-after", AGAIN)
        return self._trouble(request, code)

    def _enter(self, request: Request) -> bytes | None:
        event = self._events.get(request.path[1:].partition(b"/")[0].decode("ascii", "replace"))
        for name, value in [*self._headers[event is not None and event.keep_media], *_SECRETIVE]:
            request.setHeader(name, value)
        if request.method in (b"GET", b"HEAD"):
            return None
        request.setHeader(b"allow", b"GET, HEAD")
        return self._trouble(request, 405)

    def _trouble(self, request: Any, code: int) -> bytes:
        trouble = TROUBLES.get(code, TROUBLES[404])
        return send(request, trouble.code, HTML, self._renderer.trouble(trouble, reader_of(request)))


#: The key in the address is nobody else's business.
_SECRETIVE = ((b"Referrer-Policy", b"no-referrer"), (b"X-Robots-Tag", b"noindex, nofollow, noarchive"))


class AdminReports:
    """What organisers open.  ``public_url`` is the server's; the rest is as in :class:`PublicReports`."""

    log = Logger()
    app = strict_router()

    def __init__(
        self,
        desk: Desk,
        guard: Guard,
        events: Sequence[Event],
        schedules: Schedules,
        links: ReportLinks,
        reports: Reports,
        renderer: ReportRenderer,
        admin_renderer: AdminRenderer,
        public_url: str,
        headers: Sequence[Header],
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        self._desk = desk
        self._guard = guard
        self._events = {event.slug: event for event in events}
        self._schedules = schedules
        self._links = links
        self._renderer = renderer
        self._admin_renderer = admin_renderer
        self._patience = _Patience(reports, renderer, clock)
        self._public_url = public_url.rstrip("/")
        self._headers = headers
        self._now = now

    def resource(self) -> IResource:
        """The root of these addresses."""
        return Entrance(
            self.app.resource(), self._enter, lambda request: self.refuse(request, Failure(NotFound()))
        )

    @app.route("/admin/events/<slug>/report", methods=["GET"])
    async def of_event(self, request: Request, slug: str) -> bytes:
        """The report of the whole event."""
        event = self._find(slug)
        if await self._who(request) is None:
            return _sign_in(request)
        return await self._patience.answer(request, Context(event=event))

    @app.route("/admin/events/<slug>/reports/<talk>", methods=["GET"])
    async def of_talk(self, request: Request, slug: str, talk: str) -> bytes:
        """The report of one talk."""
        event = self._find(slug)
        if await self._who(request) is None:
            return _sign_in(request)
        return await self._patience.answer(
            request, context(event, self._schedules(slug), self._talk(slug, talk))
        )

    @app.route("/admin/events/<slug>/reports", methods=["GET"])
    async def listing(self, request: Request, slug: str) -> bytes:
        """All talks, and who has a link."""
        event = self._find(slug)
        guest = await self._who(request)
        if guest is None:
            return _sign_in(request)
        return await self._list(request, guest, event)

    @app.route("/admin/events/<slug>/reports", methods=["POST"])
    async def act(self, request: Request, slug: str) -> bytes:
        """Make a link or revoke it.  A new link is in the answer, for it is kept nowhere: there is no page that
        could show it later."""
        event = self._find(slug)
        guest, form = self._guard.signed_form(request, await self._who(request))
        talk = self._talk(slug, form.get("talk", ""))
        act = form.get("act")
        if act not in ("make", "revoke"):
            raise BadInput("nothing is known that is called so")
        action = Action(
            timestamp(self._now()),
            guest.account,
            str(request.getClientAddress().host),
            f"{act}-report-link",
            slug,
            talk.id,
        )
        self.log.info(
            "{account}, from {address}: {action} {subject} at {event}",
            account=action.account,
            address=action.address,
            action=action.action,
            subject=action.subject,
            event=slug,
        )
        # What was pressed is done, even if the phone loses its network meanwhile.
        if act == "revoke":
            await shielded(self._links.revoke(slug, self._ids(slug, talk), action))
            return await self._list(request, guest, event, revoked=talk)
        key = new_id()
        link = Link(slug, talk.id, action.at, guest.account)
        await shielded(self._links.make(fingerprint(key), link, self._ids(slug, talk), action))
        address = f"{self._public_url}{talk_path(slug, talk.id)}/report?key={key}"
        return await self._list(request, guest, event, made=(talk, address))

    async def _list(
        self,
        request: Request,
        guest: Guest,
        event: Event,
        made: tuple[Talk, str] | None = None,
        revoked: Talk | None = None,
    ) -> bytes:
        schedule = self._schedules(event.slug)
        talks: list[TalkEntry] = []
        if schedule is not None:
            links = {
                schedule.aliases.get(talk, talk): link
                for talk, link in (await self._links.of(event.slug)).items()
            }
            rooms = {room.id: room.name for room in schedule.rooms}
            talks = [
                TalkEntry(talk=talk, room=rooms.get(talk.room or ""), link=links.get(talk.id))
                for talk in schedule.talks
                if not talk.is_break
            ]
        page = self._renderer.listing(reader_of(request), guest, event, talks, made, revoked)
        return send(request, 200, HTML, page)

    def _ids(self, slug: str, talk: Talk) -> list[str]:
        """All ids that the talk has or had."""
        schedule = self._schedules(slug)
        aliases = {} if schedule is None else schedule.aliases
        return [talk.id, *(old for old, new in aliases.items() if new == talk.id)]

    def _talk(self, slug: str, talk: str) -> Talk:
        schedule = self._schedules(slug)
        found = None if schedule is None else schedule.talk(talk)
        if found is None:
            raise NotFound()
        return found

    def _find(self, slug: str) -> Event:
        event = self._events.get(slug)
        if event is None:
            raise NotFound()
        return event

    async def _who(self, request: Request) -> Guest | None:
        return await self._desk.who(self._guard.cookie(request))

    @app.handle_errors(Exception)
    def refuse(self, request: IRequest, failure: Failure) -> bytes:
        """Say why something was not done; a defect of ours in full to the operator alone."""
        found = refused(self.log, request, failure)
        return send(request, found.code, HTML, self._admin_renderer.refusal(reader_of(request), found))

    def _enter(self, request: Request) -> None:
        for name, value in self._headers:
            request.setHeader(name, value)
        # Browsers name no origin where no referrer may be sent, and forms without one are refused.
        request.setHeader(b"x-robots-tag", b"noindex")


def _sign_in(request: IRequest) -> bytes:
    """First things first."""
    request.setResponseCode(303)
    request.setHeader(b"location", reader_of(request).address("/admin").encode("ascii"))
    request.setHeader(b"cache-control", b"no-store")
    request.setHeader(b"content-length", b"0")
    return b""
