"""Posts on the live page say under which talk they are, also when that becomes known later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

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
CLEAR = "What a talk on lighthouses, their keepers are heroes"


def programme(start: datetime, hours: int) -> str:
    """Two talks from ``start`` on, of which the second may be some ``hours`` later."""
    talks = (("lamps", "Lighthouses and their keepers", 0), ("boats", "Folding paper boats", hours))
    return "\n".join(
        f'[[talks]]\nid = "{id}"\ntitle = "{title}"\nroom = "Hall {number}"\nminutes = 60\n'
        f"start = {start + timedelta(hours=later):%Y-%m-%dT%H:%M:00Z}"
        for number, (id, title, later) in enumerate(talks, 1)
    )


class FilingTests(TestCase):
    timeout = 300

    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        self.schedule = folder / "schedule.toml"
        self.start = datetime.now(UTC) - timedelta(minutes=10)
        self.schedule.write_text(programme(self.start, 0), "utf-8")
        self.server = AfeedServer(
            sources=f'[events.schedule]\nfile = "{self.schedule}"\ninterval_s = 10\n',
            extra=f'[[admin.users]]\nname = "ann"\npassword_hash = "{hashed(PASSWORD)}"\n',
        )
        self.addCleanup(self.server.close)

    def post(self, id: str, text: str, **more: str) -> None:
        self.server.push({"id": id, "text": text, "author": {"name": id, "handle": f"a-{id}"}, **more})

    def label(self, watched: Watched, id: str) -> str:
        return str(watched.page.locator(f'[id="item-push:{id}"] > .filed').inner_text())

    def wait_for_label(self, watched: Watched, id: str, text: str) -> None:
        found = f'[id="item-push:{id}"] > .filed:has-text("{text}")'
        watched.page.wait_for_selector(found)

    def height(self, watched: Watched, id: str) -> float:
        """How much room a post takes."""
        return float(watched.page.evaluate("id => document.getElementById(id).offsetHeight", f"item-push:{id}"))

    def test_a_post_is_filed_in_its_place_by_afeed_and_by_an_organiser_and_a_move_is_told(
        self,
    ) -> Deferred[None]:
        def scenario() -> None:
            self.server.start()
            kept = self.server.directory / "var" / "schedules" / f"{self.server.slug}.json"
            wait_until(kept.exists, "the schedule to be used", 60)
            self.post("0", "just some coffee")
            self.post("2", "And the reply", reply_to="push:1")
            with (
                chromium() as browser,
                watched_page(browser, self.server.url) as viewer,
                watched_page(browser, self.server.url, **PHONE) as organiser,
            ):
                viewer.page.goto(f"{self.server.url}/{self.server.slug}")
                viewer.wait_live("websocket")
                self.assertEqual(self.label(viewer, "2"), "")
                height = self.height(viewer, "2")
                self.post("1", CLEAR)
                self.wait_for_label(viewer, "1", "Lighthouses")
                self.wait_for_label(viewer, "2", "Lighthouses")
                # Nothing has moved because of it, and an edit does not take it away.
                self.assertEqual(self.height(viewer, "2"), height)
                self.post("2", "edited", reply_to="push:1")
                viewer.page.wait_for_selector('[id="item-push:2"]:has-text("edited")')
                self.wait_for_label(viewer, "2", "Lighthouses")

                page = organiser.page
                page.goto(f"{self.server.url}/admin")
                page.fill("#name", "ann")
                page.fill("#password", PASSWORD)
                page.click("main button")
                page.wait_for_selector(".verdict")
                page.goto(f"{self.server.url}/admin/events/{self.server.slug}/live")
                organiser.wait_live("websocket")
                page.click('.entry:has([id="item-push:0"]) .file')
                page.wait_for_selector("text=It is filed under no talk.")
                self.assertEqual(violations(organiser), [])
                page.select_option("#talk", "boats")
                page.click('button:has-text("File")')
                page.wait_for_selector("text=The post is filed as you say")
                self.wait_for_label(viewer, "0", "Folding paper boats")
                self.assertTrue(
                    str(viewer.page.locator('[id="item-push:0"] > .filed a').get_attribute("href")).endswith(
                        f"/{self.server.slug}/talks/boats"
                    )
                )

                self.schedule.write_text(programme(self.start, 2), "utf-8")
                viewer.page.wait_for_selector("#programme :text('Folding paper boats')", timeout=60_000)
                told = str(viewer.page.locator("#programme li").inner_text())
                self.assertEqual(viewer.page.locator("#said").text_content(), told)
                self.assertIn("Moved:", told)
                self.assertIn("Hall 2", told)
                self.assertEqual(violations(viewer), [])
                viewer.page.click("#programme button")
                viewer.page.wait_for_function("document.querySelector('#programme .note').hidden")
                # By hand is for ever, also when everything was filed again.
                viewer.page.reload()
                self.wait_for_label(viewer, "0", "Folding paper boats")
                for watched in (organiser, viewer):
                    self.assertEqual((watched.complaints, watched.refusals), ([], []))

        return deferToThread(scenario)
