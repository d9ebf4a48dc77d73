"""Feeds and calendars over HTTP."""

from __future__ import annotations

import gzip
import json
from contextlib import nullcontext

import feedparser
import icalendar
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from afeed.archive.searching import Found, Query
from afeed.core.errors import ArchiveUnavailable
from afeed.core.schedule.model import Schedule
from afeed.interfaces import PageItem
from afeed.settings import Server
from afeed.web.headers import security_headers
from afeed.web.subscriptions import Subscriptions, is_subscription
from tests.exports.samples import SCHEDULE
from tests.web.client import Answer, ask
from tests.web.samples import NOW, FakeFeed, make_event, make_item


class FakeArchive:
    """Finds items of a talk, newest first."""

    def __init__(self, feed: FakeFeed) -> None:
        self.feed = feed
        self.failure: Exception | None = None

    def find(self, event: str, query: Query, limit: int, before: int | None = None) -> Deferred[Found]:
        if self.failure is not None:
            return fail(self.failure)
        items = [PageItem(seq, item) for seq, item in enumerate(self.feed.items, 1) if item.talk == query.talk]
        return succeed(Found(items[::-1][:limit], None, None))


class SubscriptionsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.feed = FakeFeed(*(make_item(n, talk="seams" if n % 2 else None) for n in range(1, 61)))
        self.archive = FakeArchive(self.feed)
        self.schedule: Schedule | None = SCHEDULE
        server = Server(public_url="https://feed.example")
        self.now = NOW
        self.removed: dict[str, int] = {}
        self.made = Subscriptions(
            (make_event(),),
            self.feed,
            self.archive,
            lambda slug: self.schedule,
            server.public_url,
            security_headers(server),
            lambda: self.now,
            lambda event: nullcontext(self.removed),
        )

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        self.assertTrue(is_subscription(path.partition("?")[0].encode()))
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self.made.resource(), path, headers=named, method=method)


class FeedTests(SubscriptionsCase):
    def test_the_newest_fifty_are_in_both_forms_newest_first(self) -> None:
        atom = self.get("/rehearsal/atom.xml")
        self.assertEqual(atom.headers["content-type"], "application/atom+xml; charset=utf-8")
        found = feedparser.parse(atom.body)
        self.assertFalse(found.bozo)
        self.assertEqual((len(found.entries), found.entries[0].title), (50, "post 60"))
        self.assertEqual(found.feed.updated, "2026-11-22T11:59:00Z")
        feed = self.get("/rehearsal/feed.json")
        self.assertEqual(feed.headers["content-type"], "application/feed+json")
        self.assertEqual(
            [item["content_text"] for item in json.loads(feed.body)["items"]][:2], ["post 60", "post 59"]
        )

    def test_a_talk_has_its_own(self) -> None:
        found = feedparser.parse(self.get("/rehearsal/talks/seams/atom.xml").body)
        self.assertEqual(len(found.entries), 30)
        self.assertEqual(found.feed.title, "Seams, everywhere – The Rehearsal")

    def test_what_was_removed_is_not_in_it_though_the_archive_has_not_heard_of_that(self) -> None:
        newest = self.feed.items[58]
        self.removed = {newest.id: 61}
        for path in ("/rehearsal/talks/seams/atom.xml", "/rehearsal/talks/seams/feed.json"):
            body = self.get(path).body
            self.assertNotIn(b"post 59", body)
            self.assertIn(b"post 57", body)

    def test_an_event_without_posts_has_a_feed_all_the_same(self) -> None:
        self.feed.items.clear()
        found = feedparser.parse(self.get("/rehearsal/atom.xml").body)
        self.assertEqual((found.entries, found.feed.updated), ([], "2026-11-21T00:00:00Z"))

    def test_caches_are_told_what_changes_and_what_does_not(self) -> None:
        first = self.get("/rehearsal/atom.xml", Accept_Encoding="gzip")
        self.assertEqual(first.headers["cache-control"], "public, max-age=5")
        self.assertIn(b"post 60", gzip.decompress(first.body))
        again = self.get("/rehearsal/atom.xml", If_None_Match=first.headers["etag"])
        self.assertEqual((again.status, again.body), (304, b""))
        del self.feed.items[-1]
        removed = self.get("/rehearsal/atom.xml", If_None_Match=first.headers["etag"])
        self.assertEqual(removed.status, 200)
        self.assertNotIn(b"post 60", removed.body)

    def test_what_is_not_there_is_not_found(self) -> None:
        for path in ("/other/atom.xml", "/rehearsal/talks/other/atom.xml", "/other/schedule.ics"):
            answer = self.get(path)
            self.assertEqual(answer.status, 404, path)
            self.assertEqual(answer.headers["cache-control"], "no-store")
        self.schedule = None
        self.assertEqual(self.get("/rehearsal/talks/seams/feed.json").status, 404)

    def test_it_can_only_be_read(self) -> None:
        answer = self.get("/rehearsal/atom.xml", method="POST")
        self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, HEAD"))

    def test_while_the_archive_is_away_it_says_so(self) -> None:
        self.archive.failure = ArchiveUnavailable("away")
        answer = self.get("/rehearsal/talks/seams/atom.xml")
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "10"))

    def test_every_answer_carries_the_headers_that_protect_pages(self) -> None:
        for path in ("/rehearsal/atom.xml", "/other/atom.xml"):
            self.assertEqual(self.get(path).headers["x-content-type-options"], "nosniff")


class CalendarTests(SubscriptionsCase):
    def test_the_schedule_can_be_subscribed_to(self) -> None:
        answer = self.get("/rehearsal/schedule.ics")
        self.assertEqual(answer.headers["content-type"], "text/calendar; charset=utf-8")
        entries = icalendar.Calendar.from_ical(answer.body).walk("VEVENT")
        self.assertEqual(
            [str(entry["url"]) for entry in entries],
            [f"https://feed.example/rehearsal/talks/{talk.id}" for talk in SCHEDULE.talks],
        )

    def test_it_is_the_same_for_an_hour(self) -> None:
        self.now = NOW // 3600 * 3600
        first = self.get("/rehearsal/schedule.ics").headers["etag"]
        self.now += 3599
        self.assertEqual(self.get("/rehearsal/schedule.ics").headers["etag"], first)
        self.now += 1
        self.assertNotEqual(self.get("/rehearsal/schedule.ics").headers["etag"], first)

    def test_one_talk_can_be_put_into_a_calendar(self) -> None:
        entries = icalendar.Calendar.from_ical(self.get("/rehearsal/talks/off/schedule.ics").body).walk(
            "VEVENT"
        )
        self.assertEqual([str(entry["status"]) for entry in entries], ["CANCELLED"])

    def test_without_a_schedule_there_is_none(self) -> None:
        self.schedule = None
        self.assertEqual(self.get("/rehearsal/schedule.ics").status, 404)
