"""The organisers' page from which authors are forgotten."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.forgetting import EVERYWHERE
from tests.web.admin_house import ADDRESS, AdminHouse, Browser

PAGE = "/admin/events/e/forget"


class ForgetPagesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = AdminHouse()
        self.addCleanup(self.house.stop)
        self.browser = Browser(self.house)
        self.browser.sign_in()
        self.house.post(3)

    def press(self, **fields: str) -> str:
        return self.browser.press(PAGE, **{"from": "forget", **fields}).body.decode()

    def test_an_author_is_named_and_the_page_says_how_far_it_is(self) -> None:
        self.assertIn("Nothing yet.", self.browser.get(PAGE).body.decode())
        page = self.press(author="x:@Ann", sure="yes")
        self.assertEqual(self.house.forgetting.asked, [("e", "x:@ann", "ann", ADDRESS)])
        self.assertIn("The author is being forgotten.", page)
        self.assertIn("Begins in a few seconds.", page)
        self.assertIn("forgotten:", page)
        self.assertNotIn("x:@ann", page.replace('placeholder="x:@ann"', ""))
        state = self.house.forgetting.requests[0]._replace(state="working", looked_at=1200, removed=7)
        self.house.forgetting.requests = [state]
        self.assertIn("1200 changes looked at, 7 posts removed", self.browser.get(PAGE).body.decode())
        self.house.forgetting.requests = [state._replace(state="done", cleaned=2)]
        self.assertIn("Posts removed: 7; posts of others changed: 2.", self.browser.get(PAGE).body.decode())

    def test_everywhere_is_asked_for_apart(self) -> None:
        self.press(author="push:Ann Lee", sure="yes", everywhere="yes")
        self.assertEqual(self.house.forgetting.asked[0][:2], (EVERYWHERE, "push:ann lee"))

    def test_the_author_of_a_post_needs_no_name(self) -> None:
        found = self.browser.get("/admin/events/e").body.decode()
        self.assertIn("Forget author", found)
        self.press(subject="push:2", seq="2", sure="yes")
        self.assertEqual(self.house.forgetting.asked, [("e", "push:@ann", "ann", ADDRESS)])

    def test_what_cannot_be_undone_has_to_be_confirmed(self) -> None:
        for fields in (
            {"author": "x:@ann"},
            {"author": "x:@ann", "sure": "no"},
            {"author": "nobody", "sure": "yes"},
        ):
            answer = self.browser.press(PAGE, **{"from": "forget", **fields})
            self.assertEqual(answer.status, 400, fields)
        self.assertEqual(self.house.forgetting.asked, [])

    def test_a_stranger_sees_and_does_nothing(self) -> None:
        stranger = Browser(self.house)
        self.assertEqual(stranger.get(PAGE).status, 303)
        answer = stranger.post(PAGE, {"author": "x:@ann", "sure": "yes", "token": self.browser.token()})
        self.assertNotIn(answer.status, (200, 303))
        self.assertEqual(self.house.forgetting.asked, [])

    def test_a_token_is_needed(self) -> None:
        answer = self.browser.post(PAGE, {"author": "x:@ann", "sure": "yes"})
        self.assertEqual(answer.status, 403)
        self.assertEqual(self.house.forgetting.asked, [])
