"""An organiser gives a speaker the link to her report, and takes it back: a real server, a real browser."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import feedparser
import icalendar
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from afeed.organisers.passwords import hashed
from tests.browser.chromium import Watched, chromium, watched_page
from tests.browser.test_accessibility import violations
from tests.servers.afeed import AfeedServer
from tests.servers.process import wait_until

PASSWORD = "four gulls on a pier"
PHONE = {"viewport": {"width": 390, "height": 844}}


class ReportTests(TestCase):
    timeout = 400

    def setUp(self) -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        programme = folder / "programme.toml"
        programme.write_text(
            f"""
[[talks]]
id = "seams"
title = "Seams Everywhere"
start = {(now - timedelta(minutes=20)).isoformat()}
end = {(now + timedelta(minutes=20)).isoformat()}
room = "Hall"
hashtags = ["#seams"]
[[talks.speakers]]
name = "Ann Example"
""",
            "utf-8",
        )
        account = f'[[admin.users]]\nname = "ann"\npassword_hash = "{hashed(PASSWORD)}"\n'
        self.server = AfeedServer(
            sources=f'[events.schedule]\nfile = "{programme}"\nformat = "toml"\n', extra=account
        )
        self.addCleanup(self.server.close)

    def get(self, path: str) -> bytes:
        status, _, body = self.server.request(path)
        self.assertEqual(status, 200, path)
        return body

    def fill(self) -> None:
        """Posts about the talk, and others, in the archive."""
        slug = self.server.slug

        def scheduled() -> bool:
            return self.server.request(f"/{slug}/schedule.ics")[0] == 200

        wait_until(scheduled, "the schedule to be read", 60)
        self.server.push(
            *({"id": str(n), "text": f"#seams prototype {n}", "author": {"name": f"A{n}"}} for n in range(8)),
            *({"id": str(n), "text": "unrelated lunch", "author": {"name": f"B{n}"}} for n in range(20, 40)),
        )

        def archived() -> bool:
            status, _, body = self.server.request(f"/{slug}/talks/seams/atom.xml")
            return status == 200 and len(feedparser.parse(body).entries) == 8

        wait_until(archived, "the archive to have the posts", 60)

    def open_report(self, watched: Watched, address: str) -> Any:
        """A machine that is busy first says that it is not there yet."""

        def there() -> bool:
            watched.page.goto(address)
            return watched.page.locator(".figures").count() == 1

        watched.until(there, "the report")
        return watched.page

    def sign_in(self, page: Any) -> None:
        page.goto(f"{self.server.url}/admin")
        page.fill("#name", "ann")
        page.fill("#password", PASSWORD)
        page.click("main button")
        page.wait_for_selector(".verdict")

    def test_a_speaker_opens_her_report_by_a_link_until_it_is_revoked(self) -> Deferred[None]:
        def scenario() -> None:
            self.server.start()
            self.fill()
            slug = self.server.slug
            with (
                chromium() as browser,
                watched_page(browser, self.server.url, **PHONE) as organiser,
                watched_page(browser, self.server.url, **PHONE) as speaker,
            ):
                page = organiser.page
                self.sign_in(page)
                page.goto(f"{self.server.url}/admin/events/{slug}/reports")
                self.assertEqual(violations(organiser), [])
                organiser.follow("text=Make a link for the speakers")
                link = page.inner_text(".secret a")
                self.assertEqual(violations(organiser), [])
                reading = self.open_report(speaker, link)
                self.assertEqual(reading.inner_text("h1"), "Seams Everywhere")
                self.assertEqual(reading.inner_text(".figures > div:first-child dd"), "8")
                self.assertIn("prototype", reading.inner_text("main"))
                self.assertNotIn("lunch", reading.inner_text("main"))
                self.assertEqual(violations(speaker), [])
                self.assertLessEqual(reading.evaluate("document.documentElement.scrollWidth"), 390)
                # What is removed is in no report from then on.
                page.goto(f"{self.server.url}/admin/events/{slug}")
                page.locator('.moderated:has([id="item-push:7"]) >> text=Hide').first.click()
                page.wait_for_selector(".notice")

                def gone() -> bool:
                    return "item.removed" in [change["type"] for change in self.server.changes()]

                organiser.until(gone, "the post to be gone")
                self.open_report(speaker, link)
                self.assertEqual(reading.inner_text(".figures > div:first-child dd"), "7")
                self.assertEqual(len(feedparser.parse(self.get(f"/{slug}/atom.xml")).entries), 27)
                page.goto(f"{self.server.url}/admin/events/{slug}/reports")
                page.click("text=Revoke")
                page.wait_for_selector("text=No link opens the report")
                reading.reload()
                self.assertIn("There is nothing here", reading.inner_text("main"))
                self.open_report(organiser, f"{self.server.url}/admin/events/{slug}/report")
                self.assertIn("27", page.inner_text(".figures"))
                page.goto(f"{self.server.url}/admin/trail")
                self.assertIn("revoked the link to the report of", page.inner_text("main"))
                self.assertEqual((organiser.complaints, speaker.complaints), ([], []))
            self.assertNotIn(link.partition("key=")[2], self.server.output())

        return deferToThread(scenario)

    def test_pages_tell_readers_and_calendars_where_to_look(self) -> Deferred[None]:
        def scenario() -> None:
            self.server.start()
            self.fill()
            slug = self.server.slug
            for path in (f"/{slug}", f"/{slug}/talks/seams"):
                body = self.get(path).decode()
                self.assertIn('type="application/atom+xml" title="', body)
                self.assertIn(f'href="{path}/atom.xml"', body)
                self.assertIn(f'href="{path}/feed.json"', body)
            entries = icalendar.Calendar.from_ical(self.get(f"/{slug}/schedule.ics")).walk("VEVENT")
            self.assertEqual([str(one["summary"]) for one in entries], ["Seams Everywhere"])
            self.assertEqual(self.server.request(f"/{slug}/talks/seams/report")[0], 404)

        return deferToThread(scenario)
