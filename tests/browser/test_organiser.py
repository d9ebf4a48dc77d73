"""An organiser's phone, and the screen of somebody who watches."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from afeed.organisers.passwords import hashed
from tests.browser.chromium import Watched, chromium, watched_page
from tests.browser.test_accessibility import violations
from tests.servers.afeed import AfeedServer

PASSWORD = "four gulls on a pier"
PHONE = {"viewport": {"width": 390, "height": 844}}
#: What a thumb hits without aiming, in pixels.
THUMB = 44


class OrganiserTests(TestCase):
    timeout = 300

    def setUp(self) -> None:
        account = f'[[admin.users]]\nname = "ann"\npassword_hash = "{hashed(PASSWORD)}"\n'
        self.server = AfeedServer(extra=account)
        self.addCleanup(self.server.close)

    def sign_in(self, watched: Watched) -> Any:
        page = watched.page
        page.goto(f"{self.server.url}/admin")
        page.fill("#name", "ann")
        page.fill("#password", PASSWORD)
        page.click("main button")
        page.wait_for_selector(".verdict")
        return page

    def watch(self, watched: Watched) -> None:
        watched.page.goto(f"{self.server.url}/{self.server.slug}")
        watched.wait_live("websocket")

    def test_one_press_on_the_live_page_hides_a_post_everywhere_and_another_takes_it_back(
        self,
    ) -> Deferred[None]:
        def scenario() -> None:
            self.server.start()
            self.server.push({"id": "1", "text": "rude"}, {"id": "2", "text": "fine"})
            with (
                chromium() as browser,
                watched_page(browser, self.server.url, **PHONE) as organiser,
                watched_page(browser, self.server.url) as viewer,
            ):
                self.watch(viewer)
                page = self.sign_in(organiser)
                page.click("text=Live page")
                organiser.wait_live("websocket")
                self.server.push({"id": "3", "text": "rude, too"})
                organiser.wait_for_item("push:3")
                viewer.wait_for_item("push:3")
                organiser.wait_count(".entry .hide", 3)
                for number in (1, 3):
                    page.locator(f'.entry:has([id="item-push:{number}"]) .hide').click()
                    for watched in (organiser, viewer):
                        watched.page.wait_for_function(
                            "id => !document.getElementById(id)", arg=f"item-push:{number}"
                        )
                self.assertEqual(viewer.ids(), ["push:2"])
                # What was hidden last; the post may go before the answer comes.
                page.click('.undo button[data-subject="push:3"]')
                organiser.wait_for_item("push:3")
                viewer.wait_for_item("push:3")
                self.assertEqual(viewer.ids(), ["push:3", "push:2"])
                # An edit brings no second button and takes none away.
                self.server.push({"id": "2", "text": "edited"})
                page.wait_for_selector("text=edited")
                organiser.wait_count(".entry .hide", 2)
                self.assertEqual(viewer.page.locator(".hide").count(), 0)
                for watched in (organiser, viewer):
                    self.assertEqual((watched.complaints, watched.refusals), ([], []))

        return deferToThread(scenario)

    def test_the_pages_work_without_scripts_and_for_a_thumb(self) -> Deferred[None]:
        def scenario() -> None:
            self.server.start()
            self.server.push(
                *({"id": str(n), "text": f"post {n}", "author": {"name": "Ann"}} for n in range(5))
            )
            with (
                chromium() as browser,
                watched_page(browser, self.server.url, **PHONE, java_script_enabled=False) as organiser,
            ):
                page = self.sign_in(organiser)
                shown = [page.url]
                page.click("text=Moderate")
                page.locator("text=Hide").first.click()
                page.wait_for_selector("text=gone from every screen")
                shown.append(page.url)
                page.click("text=Undo")
                page.wait_for_selector("text=shown again")
                page.locator("summary").first.click()
                page.click("details[open] button")
                page.wait_for_selector("text=The author is blocked")
                page.click("text=Hidden")
                page.wait_for_selector("text=Blocked authors")
                shown += [page.url, f"{self.server.url}/admin/trail"]
                for address in shown:
                    page.goto(address)
                    boxes = [
                        one.bounding_box() for one in page.locator("button:visible, .button:visible").all()
                    ]
                    self.assertTrue(boxes)
                    for box in boxes:
                        assert box is not None
                        self.assertGreaterEqual(min(box["width"], box["height"]), THUMB, address)
                        self.assertLessEqual(box["x"] + box["width"], 390, address)
                self.assertEqual((organiser.complaints, organiser.refusals), ([], []))

        return deferToThread(scenario)

    def test_axe_finds_nothing_in_either_theme(self) -> Deferred[None]:
        def scenario() -> None:
            self.server.start()
            troll = {"name": "Troll", "handle": "troll"}
            self.server.push(*({"id": str(n), "text": f"post {n}", "author": troll} for n in range(3)))
            self.server.push({"id": "a", "text": "fine", "author": {"name": "Ann", "handle": "ann"}})
            found: list[str] = []
            for theme in ("light", "dark"):
                with (
                    chromium() as browser,
                    watched_page(browser, self.server.url, **PHONE, color_scheme=theme) as organiser,
                ):
                    organiser.page.goto(f"{self.server.url}/admin")
                    found += violations(organiser)
                    page = self.sign_in(organiser)
                    found += violations(organiser)
                    events = f"{self.server.url}/admin/events/{self.server.slug}"
                    page.goto(events)
                    organiser.follow(page.locator("text=Hide").first)
                    found += violations(organiser)
                    if theme == "light":
                        page.goto(events)
                        page.locator("summary", has_text="Block author").last.click()
                        found += violations(organiser)
                        organiser.follow("details[open] button")
                    pages = ("hidden", "held", "filters", "forget", "reports", "nothing")
                    for address in (*(f"{events}/{name}" for name in pages), f"{self.server.url}/admin/trail"):
                        page.goto(address)
                        found += violations(organiser)
                    page.goto(f"{events}/hidden")
                    organiser.follow(page.locator("text=Restore").first)
                    page.goto(f"{events}/live")
                    page.locator(".hide").first.click()
                    page.wait_for_selector(".undo:not([hidden])")
                    found += violations(organiser)
                    page.click("text=Undo")
                    page.wait_for_selector("text=shown again")
            self.assertEqual(found, [])

        return deferToThread(scenario)
