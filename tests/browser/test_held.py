"""An organiser's phone with what is held, and the wall that nobody has to himself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from afeed.organisers.passwords import hashed
from tests.browser.chromium import Watched, chromium, watched_page
from tests.browser.test_accessibility import violations
from tests.browser.test_organiser import PASSWORD, PHONE, THUMB
from tests.servers.afeed import AfeedServer

MUTED = '\n[events.filters]\nmuted = ["rude"]\n'


class HeldTests(TestCase):
    timeout = 300

    def start(self, filters: str = MUTED) -> None:
        account = f'[[admin.users]]\nname = "ann"\npassword_hash = "{hashed(PASSWORD)}"\n'
        self.server = AfeedServer(sources=filters, extra=account)
        self.addCleanup(self.server.close)
        self.server.start()

    def sign_in(self, watched: Watched) -> Any:
        page = watched.page
        page.goto(f"{self.server.url}/admin")
        page.fill("#name", "ann")
        page.fill("#password", PASSWORD)
        page.click("main button")
        page.wait_for_selector(".verdict")
        return page

    @property
    def place(self) -> str:
        return f"{self.server.url}/admin/events/{self.server.slug}/held"

    def rude(self, *numbers: int) -> None:
        self.server.push(*({"id": str(number), "text": f"rude {number}"} for number in numbers))

    def test_the_page_follows_what_happens_and_nothing_moves_under_a_thumb(self) -> Deferred[None]:
        def scenario() -> None:
            self.start()
            self.rude(1, 2, 3)
            with (
                chromium() as browser,
                watched_page(browser, self.server.url, **PHONE) as organiser,
                watched_page(browser, self.server.url) as viewer,
            ):
                viewer.page.goto(f"{self.server.url}/{self.server.slug}")
                viewer.wait_live("websocket")
                page = self.sign_in(organiser)
                organiser.follow("text=Held: 3")
                page.wait_for_selector(".held")
                second = page.locator('.held:has([id="item-push:2"])')
                second.locator("input[type=checkbox]").check()
                place = self.top(second)
                # What comes is added at the end, without a new page.
                self.rude(4)
                page.wait_for_selector('[id="item-push:4"]')
                # Decided without leaving the page; the next one stays where it is.
                first = page.locator('.held:has([id="item-push:1"])')
                first.locator("text=Show now").click()
                viewer.wait_for_item("push:1")
                page.wait_for_selector(".held.gone")
                self.assertEqual(self.top(second), place)
                self.assertTrue(second.locator("input[type=checkbox]").is_checked())
                self.assertTrue(first.locator("button").first.is_disabled())
                # What somebody else decides goes, too.
                third = '.held:has([id="item-push:3"])'
                page.locator(third).locator("text=Do not show").click()
                page.wait_for_selector(f"{third}.gone")
                page.locator("text=Show chosen").click()
                viewer.wait_for_item("push:2")
                self.assertEqual(viewer.ids(), ["push:2", "push:1"])
                self.assertTrue(page.url.endswith("/held"))
                organiser.follow("text=Stopped")
                page.click("text=Show after all")
                viewer.wait_for_item("push:3")
                page.wait_for_selector(".held.gone")
                organiser.follow("text=Look again")
                page.wait_for_selector("text=Nothing was stopped.")
                for watched in (organiser, viewer):
                    self.assertEqual((watched.complaints, watched.refusals), ([], []))

        return deferToThread(scenario)

    def test_it_works_without_scripts_and_for_a_thumb(self) -> Deferred[None]:
        def scenario() -> None:
            self.start()
            self.rude(1, 2, 3, 4)
            with (
                chromium() as browser,
                watched_page(browser, self.server.url, **PHONE, java_script_enabled=False) as organiser,
            ):
                page = self.sign_in(organiser)
                page.goto(self.place)
                self.thumb(page)
                organiser.follow(page.locator("text=Show now").first)
                page.wait_for_selector("text=on every screen now")
                organiser.follow(page.locator("text=Do not show").first)
                page.wait_for_selector("text=You find it under Stopped")
                for box in page.locator(".pick input").all():
                    box.check()
                organiser.follow("text=Show chosen")
                page.wait_for_selector("text=Nothing waits to be shown")
                organiser.follow("nav >> text=Filters")
                page.check("input[value=hold]")
                page.fill("#hold_s", "0")
                page.fill("#muted", "rude\nvery rude")
                organiser.follow("text=Save")
                page.wait_for_selector("text=a number from 1 to 86400")
                self.assertEqual(page.input_value("#muted"), "rude\nvery rude")
                page.fill("#hold_s", "20")
                organiser.follow("text=Save")
                page.wait_for_selector("text=Saved: this applies")
                self.thumb(page)
                organiser.follow("text=As in the configuration again")
                page.wait_for_selector("text=applies again")
                # The form with a mistake was answered 400.
                self.assertEqual((organiser.complaints, len(organiser.refusals)), ([], 1))

        return deferToThread(scenario)

    def top(self, entry: Any) -> float:
        """Where an entry stands on its page, wherever that is scrolled to."""
        return float(entry.evaluate("entry => entry.getBoundingClientRect().top + scrollY"))

    def thumb(self, page: Any) -> None:
        boxes = [
            one.bounding_box()
            for one in page.locator("button:visible, .button:visible, label:has(input)").all()
        ]
        self.assertTrue(boxes)
        for box in boxes:
            self.assertGreaterEqual(min(box["width"], box["height"]), THUMB)
            self.assertLessEqual(box["x"] + box["width"], 390)

    def test_axe_finds_nothing_in_either_theme(self) -> Deferred[None]:
        def scenario() -> None:
            self.start()
            self.rude(1, 2)
            found: list[str] = []
            for theme in ("light", "dark"):
                with (
                    chromium() as browser,
                    watched_page(browser, self.server.url, **PHONE, color_scheme=theme) as organiser,
                ):
                    page = self.sign_in(organiser)
                    for path in ("", "?stopped=1", "?lang=de"):
                        page.goto(self.place + path)
                        found += violations(organiser)
                    page.goto(self.place.replace("/held", "/filters"))
                    found += violations(organiser)
                    page.fill("#muted", "...")
                    organiser.follow("text=Save")
                    page.wait_for_selector(".problem")
                    found += violations(organiser)
                    page.goto(self.place.replace("/held", "/live"))
                    found += violations(organiser)
            self.assertEqual(found, [])

        return deferToThread(scenario)

    def test_an_eager_author_does_not_have_the_wall_to_himself(self) -> Deferred[None]:
        def scenario() -> None:
            self.start("\n[events.filters]\nper_author_per_minute = 2\n")
            minute = datetime.now(UTC).isoformat(timespec="minutes")[:16]
            number = 0

            def push(handle: str, count: int) -> None:
                nonlocal number
                for _ in range(count):
                    number += 1
                    author = {"name": handle, "handle": handle}
                    written = f"{minute}:{number:02}Z"
                    item = {
                        "id": str(number),
                        "text": f"post {number}",
                        "author": author,
                        "created_at": written,
                    }
                    self.server.push(item)

            push("eager", 5)
            push("ann", 1)
            with chromium() as browser, watched_page(browser, self.server.url) as watched:
                watched.page.goto(f"{self.server.url}/{self.server.slug}/wall")
                watched.wait_live("websocket")
                self.assertEqual(watched.ids(), ["push:6", "push:2", "push:1"])
                push("eager", 3)
                push("ann", 3)
                push("ben", 1)
                watched.wait_for_item("push:13")
                shown = ["push:13", "push:10", "push:6", "push:2", "push:1"]
                self.assertEqual(watched.ids(), shown)
                # The server has it the same way.
                watched.page.reload()
                watched.wait_live("websocket")
                self.assertEqual(watched.ids(), shown)
                # The live page shows all of it.
                watched.page.goto(f"{self.server.url}/{self.server.slug}")
                watched.wait_live("websocket")
                self.assertEqual(len(watched.ids()), 13)
                self.assertEqual((watched.complaints, watched.refusals), ([], []))

        return deferToThread(scenario)
