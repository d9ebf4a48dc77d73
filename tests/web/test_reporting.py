"""Reports over HTTP: for speakers by a link, for organisers all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

import msgspec
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Site

from afeed.archive.moderation import Action
from afeed.archive.report_links import Link
from afeed.core.errors import ArchiveUnavailable
from afeed.core.http import Names
from afeed.core.item import Author, Media
from afeed.core.report.activity import window
from afeed.core.report.tally import Tally
from afeed.core.schedule.model import Schedule
from afeed.core.sessions import fingerprint, new_id
from afeed.interfaces import Head
from afeed.organisers.desk import Desk
from afeed.reports.maker import Made
from afeed.settings import Organiser, Secret, Server
from afeed.web import languages
from afeed.web.admin_guard import Guard
from afeed.web.admin_pages import AdminRenderer
from afeed.web.assets import packaged
from afeed.web.bridge import hand_over
from afeed.web.exchange import Exchange
from afeed.web.fragments import Fragments
from afeed.web.headers import security_headers
from afeed.web.pages import Reader
from afeed.web.report_pages import Context, ReportRenderer
from afeed.web.reporting import WAIT_S, AdminReports, PublicReports, is_admin_report, is_report
from tests.core.report.samples import NOON, post
from tests.exports.samples import SCHEDULE
from tests.organisers.test_desk import HASH, PASSWORD, MemorySignIns, at_once
from tests.web.markup import Elements
from tests.web.samples import make_event
from tests.web.serving import Answer, House

PUBLIC = "https://feed.example"
_ASSETS = packaged()


class MemoryLinks:
    """What :class:`~afeed.archive.report_links.ReportLinks` does, in a dictionary."""

    def __init__(self) -> None:
        self.links: dict[tuple[str, str], tuple[bytes, Link]] = {}
        self.actions: list[Action] = []
        self.failure: Exception | None = None

    def make(self, key_hash: bytes, link: Link, earlier: Iterable[str], action: Action) -> Deferred[None]:
        for talk in [link.talk, *earlier]:
            self.links.pop((link.event, talk), None)
        self.links[link.event, link.talk] = key_hash, link
        self.actions.append(action)
        return succeed(None)

    def revoke(self, event: str, talks: Iterable[str], action: Action) -> Deferred[bool]:
        gone = [self.links.pop((event, talk), None) for talk in talks]
        self.actions.append(action)
        return succeed(any(gone))

    def opens(self, event: str, talk: str, key_hash: bytes) -> Deferred[bool]:
        if self.failure is not None:
            return fail(self.failure)
        return succeed(self.links.get((event, talk), (b"", None))[0] == key_hash)

    def used(self, event: str, talk: str, day: str) -> Deferred[None]:
        found = self.links.get((event, talk))
        if found is not None:
            self.links[event, talk] = found[0], found[1]._replace(used_at=day)
        return succeed(None)

    def of(self, event: str) -> Deferred[dict[str, Link]]:
        return succeed({talk: link for (slug, talk), (_, link) in self.links.items() if slug == event})


class FakeReports:
    """Has a report at once, later, or never."""

    def __init__(self) -> None:
        self.waiting: Deferred[Made] | None = None
        self.failure: Exception | None = None
        self.asked: list[str | None] = []
        tally = Tally(window(NOON - 600, NOON + 3600, 130))
        for n in range(12):
            html = '<p><a href="https://example.org/slides" rel="nofollow">The slides</a></p>'
            tally.add(post(n, f"<script>seams</script> #grid @bo {n}", at=n % 3, html=html, lang="en"))
        media = (Media(type="photo", url="https://p.example/1.jpg", alt="the stage"),)
        tally.add(post(20, "photo", media=media, url="javascript:alert(1)", author=Author(name="<b>Eve</b>")))
        tally.add(post(21, "answer", reply_to="push:20"))
        self.made = Made(report=tally.report(), position=Head("e1", 14), at=NOON + 3600)

    async def of_event(self, event: object) -> Made:
        return await self._get(None)

    async def of_talk(self, event: object, talk: Any) -> Made:
        return await self._get(talk.id)

    async def _get(self, talk: str | None) -> Made:
        self.asked.append(talk)
        if self.failure is not None:
            raise self.failure
        return self.made if self.waiting is None else await self.waiting


class ReportingHouse(House):
    """A house with reports, whose organiser is ``ann``."""

    def __init__(self) -> None:
        server = Server(public_url=PUBLIC)
        super().__init__(server=server, pages=self._show)
        self.schedule: Schedule | None = SCHEDULE
        self.links: Any = MemoryLinks()
        self.reports: Any = FakeReports()
        self.ticking = Clock()
        event = make_event("e", name="Event <E>")
        fragments = Fragments()
        renderer = ReportRenderer(_ASSETS, lambda event: fragments)
        signed: Any = MemorySignIns()
        ann = Organiser(name="ann", password_hash=Secret(HASH))
        self.desk = Desk([ann], signed, at_once, lambda: self.now, self.metrics.signed_in)
        common: dict[str, Any] = {"clock": self.ticking, "now": lambda: self.now}
        public = PublicReports(
            (event, make_event("closed", keep_media=True)),
            lambda slug: self.schedule,
            self.links,
            self.reports,
            renderer,
            lambda keeps_media: security_headers(server, keeps_media=keeps_media),
            **common,
        )
        admin = AdminReports(
            self.desk,
            Guard(Names(PUBLIC), secure=True),
            (event,),
            lambda slug: self.schedule,
            self.links,
            self.reports,
            renderer,
            AdminRenderer(_ASSETS, (event,), lambda: self.now, lambda event: fragments),
            PUBLIC,
            security_headers(server),
            **common,
        )
        self._sites = Site(public.resource()), Site(admin.resource())

    def _show(self, exchange: Exchange) -> None:
        public, admin = self._sites
        if is_report(exchange.path):
            hand_over(exchange, public)
        elif is_admin_report(exchange.path):
            hand_over(exchange, admin)
        else:
            self._no_page(exchange)


class ReportingCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = ReportingHouse()
        self.addCleanup(self.house.stop)
        self.events: list[str] = []
        observer = lambda event: self.events.append(repr(event))  # noqa: E731
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def give(self, talk: str = "seams") -> str:
        """A key to the report of ``talk``."""
        key = new_id()
        self.house.links.make(fingerprint(key), Link("e", talk, "2026-11-21T12:00:00.000Z", "ann"), [], None)
        return key

    def get(self, path: str, *headers: str) -> Answer:
        return self.house.ask(path, "X-Forwarded-Proto: https", *headers)


class SpeakerTests(ReportingCase):
    def test_the_link_opens_the_report(self) -> None:
        answer = self.get(f"/e/talks/seams/report?key={self.give()}")
        self.assertEqual(answer.status, 200)
        text = answer.body.decode()
        for part in ("Seams, everywhere", "Ann, Bo", "Hall; A, left", "The slides", "the stage", "#grid"):
            self.assertIn(part, text)
        self.assertEqual(self.house.reports.asked, ["seams"])
        self.assertIsNotNone(self.house.links.links["e", "seams"][1].used_at)

    def test_without_the_key_there_is_nothing_here(self) -> None:
        key = self.give()
        nothing = self.get("/e/talks/nowhere/report")
        self.assertEqual(nothing.status, 404)
        for path in (
            "/e/talks/seams/report",
            "/e/talks/seams/report?key=",
            f"/e/talks/seams/report?key={new_id()}",
            f"/e/talks/seams/report?key={key[:-1]}",
            f"/e/talks/off/report?key={key}",
            f"/other/talks/seams/report?key={key}",
        ):
            answer = self.get(path)
            self.assertEqual((answer.status, answer.body), (404, nothing.body), path)
        self.assertEqual(self.house.reports.asked, [])

    def test_a_key_that_is_given_twice_is_none(self) -> None:
        key = self.give()
        self.assertEqual(self.get(f"/e/talks/seams/report?key={key}&key={key}").status, 400)

    def test_a_talk_whose_id_has_changed_keeps_its_link(self) -> None:
        key = self.give("early-id")
        self.house.schedule = msgspec.structs.replace(SCHEDULE, aliases={"early-id": "seams"})
        self.assertEqual(self.get(f"/e/talks/early-id/report?key={key}").status, 200)

    def test_the_address_is_told_to_nobody(self) -> None:
        key = self.give()
        answer = self.get(f"/e/talks/seams/report?key={key}")
        self.assertEqual(answer.headers["referrer-policy"], "no-referrer")
        self.assertIn("noindex", answer.headers["x-robots-tag"])
        self.assertEqual(answer.headers["cache-control"], "no-store")
        self.assertNotIn(key, answer.body.decode())
        self.assertNotIn(key, "".join(self.events))

    def test_not_even_a_defect_writes_the_key_into_the_log(self) -> None:
        key = self.give()
        self.house.reports.failure = ZeroDivisionError("a defect")
        self.assertEqual(self.get(f"/e/talks/seams/report?key={key}").status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertTrue(any("/e/talks/seams/report" in event for event in self.events))
        self.assertNotIn(key, "".join(self.events))

    def test_nothing_in_it_runs_and_nothing_is_styled_within(self) -> None:
        answer = self.get(f"/e/talks/seams/report?key={self.give()}")
        page = Elements(answer.body.decode())
        self.assertEqual([one for one in page.dangers() if one != "<svg>"], [])
        self.assertEqual(page.named("script"), [])
        self.assertIn("<b>Eve</b>", page.text)
        self.assertNotIn("javascript:", answer.body.decode())
        self.assertIn("script-src 'self'", answer.headers["content-security-policy"])

    def test_charts_can_be_read_by_who_cannot_see_them(self) -> None:
        page = Elements(self.get(f"/e/talks/seams/report?key={self.give()}").body.decode())
        charts = page.named("svg")
        self.assertEqual(len(charts), 2)
        ids = {attributes.get("id") for _, attributes in page.found}
        for chart in charts:
            self.assertEqual(chart["role"], "img")
            self.assertLessEqual(set((chart["aria-labelledby"] or "").split()), ids)
        every = [attributes["id"] for _, attributes in page.found if "id" in attributes]
        self.assertEqual(len(every), len(set(every)))

    def test_the_chart_shows_the_whole_talk_and_the_table_what_there_is(self) -> None:
        text = self.get(f"/e/talks/seams/report?key={self.give()}").body.decode()
        drawing = text[text.index("drawing-course") : text.index("</svg>")]
        table = text[text.index('<details class="figures-of">') : text.index("</details>")]
        self.assertGreater(drawing.count('class="bar"'), table.count("<tr>"))
        self.assertEqual(table.count("<tr>"), 1 + 3)

    def test_where_pictures_are_kept_none_is_asked_for_elsewhere(self) -> None:
        fragments = Fragments()
        renderer = ReportRenderer(_ASSETS, lambda event: fragments)
        event = make_event("e", keep_media=True)
        reader = Reader(languages.default())
        page = Elements(renderer.report(reader, Context(event=event), self.house.reports.made).decode())
        sources = [image["src"] or "" for image in page.named("img")]
        self.assertEqual([source[:10] for source in sources], ["/media/by/"])

    def test_where_pictures_are_kept_browsers_may_ask_for_none_elsewhere(self) -> None:
        key = self.give()
        opened = self.get(f"/e/talks/seams/report?key={key}").headers["content-security-policy"]
        closed = self.get("/closed/talks/seams/report").headers["content-security-policy"]
        self.assertIn("img-src 'self' https:;", opened)
        self.assertIn("img-src 'self';", closed)

    def test_in_other_languages(self) -> None:
        key = self.give()
        german = self.get(f"/e/talks/seams/report?key={key}", "Accept-Language: de").body.decode()
        self.assertIn("Wann gepostet wurde", german)
        french = self.get(f"/e/talks/seams/report?key={key}&lang=fr").body.decode()
        self.assertIn("Quand on a posté", french)

    def test_one_that_takes_long_says_so_and_loads_itself_again(self) -> None:
        path = f"/e/talks/seams/report?key={self.give()}"
        self.house.reports.waiting = Deferred()
        caller = self.house.call(f"GET {path} HTTP/1.1\r\nHost: feed.example\r\n\r\n".encode())
        self.assertEqual(caller.received, b"")
        self.house.ticking.advance(WAIT_S)
        answer = caller.answer
        self.assertEqual((answer.status, answer.headers["refresh"]), (200, "5"))
        self.assertIn("The report is being made", answer.body.decode())
        # It is there the next time.
        self.house.reports.waiting.callback(self.house.reports.made)
        self.house.reports.waiting = None
        self.assertIn("The slides", self.get(path).body.decode())

    def test_while_the_archive_is_away_it_says_so(self) -> None:
        key = self.give()
        for where in (self.house.links, self.house.reports):
            where.failure = ArchiveUnavailable("away")
            answer = self.get(f"/e/talks/seams/report?key={key}")
            self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "5"))
            where.failure = None

    def test_it_can_only_be_read(self) -> None:
        answer = self.house.ask("/e/talks/seams/report", method="POST", body=b"x")
        self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, HEAD"))


class OrganiserTests(ReportingCase):
    def setUp(self) -> None:
        super().setUp()
        self.guest = self.successResultOf(
            Deferred.fromCoroutine(self.house.desk.sign_in("ann", PASSWORD, "192.0.2.7", None))
        )
        self.cookie = f"Cookie: __Host-afeed={self.guest.session_id}"

    def press(self, origin: str = PUBLIC, **fields: str) -> Answer:
        body = urlencode({"token": self.guest.form_token, **fields}).encode()
        headers = [self.cookie, "Content-Type: application/x-www-form-urlencoded", f"Origin: {origin}"]
        return self.house.ask("/admin/events/e/reports", *headers, method="POST", body=body, peer="192.0.2.7")

    def test_a_link_is_made_shown_once_and_opens_the_report(self) -> None:
        answer = self.press(act="make", talk="seams")
        self.assertEqual((answer.status, answer.headers["cache-control"]), (200, "no-store"))
        (address,) = set(
            re.findall(r'href="(https://feed\.example/e/talks/seams/report\?key=[^"]+)"', answer.body.decode())
        )
        key = address.partition("key=")[2]
        self.assertGreaterEqual(len(key), 43)  # 256 bits
        self.assertEqual(self.get(address.removeprefix(PUBLIC)).status, 200)
        again = self.get("/admin/events/e/reports", self.cookie).body.decode()
        self.assertNotIn(key, again)
        self.assertIn("Its speakers have a link", again)
        self.assertNotIn(key, "".join(self.events))

    def test_a_revoked_link_opens_nothing(self) -> None:
        key = self.give()
        answer = self.press(act="revoke", talk="seams")
        self.assertIn("No link opens the report", answer.body.decode())
        self.assertEqual(self.get(f"/e/talks/seams/report?key={key}").status, 404)

    def test_a_new_link_ends_the_old_one(self) -> None:
        key = self.give()
        self.press(act="make", talk="seams")
        self.assertEqual(self.get(f"/e/talks/seams/report?key={key}").status, 404)

    def test_it_is_on_record_and_the_key_is_not(self) -> None:
        self.press(act="make", talk="seams")
        self.press(act="revoke", talk="seams")
        self.assertEqual(
            [(one.action, one.account, one.address, one.subject) for one in self.house.links.actions],
            [
                ("make-report-link", "ann", "192.0.2.7", "seams"),
                ("revoke-report-link", "ann", "192.0.2.7", "seams"),
            ],
        )

    def test_only_a_form_of_this_session_and_this_server_does_anything(self) -> None:
        self.assertEqual(self.press(origin="https://evil.example", act="make", talk="seams").status, 403)
        self.assertEqual(self.press(act="make", talk="seams", token="0" * 96).status, 403)
        self.assertEqual(self.press(act="sell", talk="seams").status, 400)
        self.assertEqual(self.press(act="make", talk="nowhere").status, 404)
        self.cookie = "X-None: 1"
        self.assertEqual(self.press(act="make", talk="seams").status, 403)
        self.assertEqual(self.house.links.actions, [])

    def test_whoever_is_not_signed_in_is_sent_to_do_that(self) -> None:
        for path in ("/admin/events/e/reports", "/admin/events/e/report", "/admin/events/e/reports/seams"):
            answer = self.get(path)
            self.assertEqual((answer.status, answer.headers["location"]), (303, "/admin"), path)

    def test_all_reports_are_theirs(self) -> None:
        for path in ("/admin/events/e/report", "/admin/events/e/reports/seams"):
            answer = self.get(path, self.cookie)
            self.assertEqual(answer.status, 200)
            self.assertIn("noindex", answer.headers["x-robots-tag"])
            self.assertIn("When people posted", answer.body.decode())
        self.assertEqual(self.house.reports.asked, [None, "seams"])
        self.assertEqual(self.get("/admin/events/e/reports/nowhere", self.cookie).status, 404)

    def test_the_list_has_every_talk_and_no_break(self) -> None:
        page = self.get("/admin/events/e/reports", self.cookie).body.decode()
        self.assertIn("Seams, everywhere", page)
        self.assertIn("Not to be", page)
        self.assertNotIn("Lunch", page)
        self.house.schedule = None
        self.assertIn(
            "There is no schedule yet", self.get("/admin/events/e/reports", self.cookie).body.decode()
        )

    def test_forms_of_the_list_are_taken_by_browsers_that_name_their_origin(self) -> None:
        # A policy of no-referrer would make them say "null".
        self.assertEqual(
            self.get("/admin/events/e/reports", self.cookie).headers["referrer-policy"], "same-origin"
        )
