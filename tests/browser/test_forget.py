"""An organiser has an author forgotten, and whoever watches sees them go."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from afeed.organisers.passwords import hashed
from tests.browser.chromium import chromium, watched_page
from tests.browser.test_accessibility import violations
from tests.servers.afeed import AfeedServer

PASSWORD = "four gulls on a pier"
ANN, BOB = {"name": "Ann", "handle": "ann"}, {"name": "Bob", "handle": "bob"}
PHONE = {"viewport": {"width": 390, "height": 844}}


class ForgetTests(TestCase):
    timeout = 300

    def setUp(self) -> None:
        account = f'[[admin.users]]\nname = "ann"\npassword_hash = "{hashed(PASSWORD)}"\n'
        self.server = AfeedServer(extra=account)
        self.addCleanup(self.server.close)

    def test_the_author_of_a_post_goes_from_every_screen_and_the_page_says_when_that_is_done(
        self,
    ) -> Deferred[None]:
        def scenario() -> None:
            server = self.server
            server.start()
            posts = [(1, ANN), (2, BOB), (3, ANN)]
            server.push(*({"id": str(number), "text": "hello", "author": author} for number, author in posts))
            with (
                chromium() as browser,
                watched_page(browser, server.url, **PHONE) as organiser,
                watched_page(browser, server.url) as viewer,
            ):
                viewer.page.goto(f"{server.url}/{server.slug}")
                viewer.wait_live("websocket")
                self.assertEqual(viewer.ids(), ["push:3", "push:2", "push:1"])
                page = organiser.page
                page.goto(f"{server.url}/admin")
                page.fill("#name", "ann")
                page.fill("#password", PASSWORD)
                page.click("main button")
                page.wait_for_selector(".verdict")
                page.goto(f"{server.url}/admin/events/{server.slug}")
                post = page.locator('.moderated:has([id="item-push:1"])')
                post.locator("summary", has_text="Forget author").click()
                forget = post.get_by_role("button", name="Forget", exact=True)
                # Not by mistake: the browser asks for the box.
                forget.click()
                self.assertEqual(page.locator(".notice").count(), 0)
                post.get_by_label("I know that this cannot be undone").check()
                forget.click()
                page.wait_for_selector(".notice")
                self.assertEqual(violations(organiser), [])
                viewer.until(lambda: viewer.ids() == ["push:2"], "the viewer to have nothing of theirs")

                def done() -> bool:
                    page.reload()
                    return "Posts removed: 2" in page.inner_text("main")

                organiser.until(done, "the page to say that it is done")
                self.assertNotIn("@ann", page.inner_text("main"))
                page.goto(f"{server.url}/admin/trail")
                self.assertIn("had an author forgotten", page.inner_text("main"))
                self.assertNotIn("push:@ann", page.content())
                self.assertEqual((organiser.complaints, viewer.complaints), ([], []))
            (result,) = server.push({"id": "4", "text": "again", "author": ANN})
            self.assertFalse(result["new"])

        return deferToThread(scenario)
