"""The organisers' pages: hiding, restoring, blocking, and the trail."""

from __future__ import annotations

import html
import re
from typing import NamedTuple
from urllib.parse import urlencode

from msgspec import structs
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.draft import Posted
from afeed.core.errors import ArchiveUnavailable, LogUnavailable
from afeed.core.item import UNKNOWN_AUTHOR, Author
from afeed.organisers.moderation import Actor
from tests.web.admin_house import AdminHouse, Browser
from tests.web.markup import Elements
from tests.web.samples import make_item
from tests.web.serving import Answer, request

NEWEST, HIDDEN = "/admin/events/e", "/admin/events/e/hidden"
_FORM = re.compile(r'<form method="post" action="([^"]+)">(.*?)</form>', re.DOTALL)
_FIELD = re.compile(r'name="([^"]+)" value="([^"]*)"')


class Button(NamedTuple):
    """One form of a page."""

    action: str
    fields: dict[str, str]


def buttons(answer: Answer) -> list[Button]:
    """What can be pressed on a page, apart from signing out."""
    return [
        Button(action, {name: html.unescape(value) for name, value in _FIELD.findall(body)})
        for action, body in _FORM.findall(answer.body.decode())
    ]


class ModerationPagesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = AdminHouse()
        self.addCleanup(self.house.stop)
        self.browser = Browser(self.house)
        self.browser.sign_in()
        self.house.post(3)

    def press(self, page: str | Answer, act: str, subject: str | None = None) -> Answer:
        """Press the button of ``page`` that does ``act``, to ``subject`` where there are several."""
        answer = self.browser.get(page) if isinstance(page, str) else page
        fitting = [
            button
            for button in buttons(answer)
            if button.action == f"{NEWEST}/{act}" and subject in (None, button.fields["subject"])
        ]
        self.assertTrue(fitting, f"there is no button to {act}")
        return self.browser.post(fitting[0].action, fitting[0].fields)

    def shown(self, path: str = NEWEST) -> list[str]:
        articles = Elements(self.browser.get(path).body.decode()).named("article")
        return [str(article["id"]).removeprefix("item-") for article in articles]

    def public(self) -> str:
        return self.house.ask("/e/updates?since=0&wait=0").body.decode()

    def test_a_post_is_hidden_with_one_press_and_shown_again_with_another(self) -> None:
        self.assertEqual(self.shown(), ["push:3", "push:2", "push:1"])
        answer = self.press(NEWEST, "hide", "push:2")
        self.assertIn("gone from every screen", answer.body.decode())
        self.assertEqual((self.shown(), self.shown(HIDDEN)), (["push:3", "push:1"], ["push:2"]))
        self.assertNotIn('"push:2","source"', self.public())
        answer = self.press(answer, "restore")
        self.assertIn("shown again", answer.body.decode())
        self.assertEqual((self.shown(), self.shown(HIDDEN)), (["push:2", "push:3", "push:1"], []))
        self.assertIn('"push:2","source"', self.public())

    def test_whoever_watches_sees_it_go_at_once(self) -> None:
        viewer = self.house.call(b"GET /e/updates?since=3 HTTP/1.1\r\nHost: feed.example\r\n\r\n")
        self.assertEqual(viewer.received, b"")
        self.press(NEWEST, "hide", "push:1")
        (change,) = viewer.answer.json["changes"]
        self.assertEqual((change["type"], change["id"]), ("item.removed", "push:1"))

    def test_a_phone_that_loses_its_network_has_pressed_all_the_same(self) -> None:
        slow: Deferred[None] = Deferred()
        self.house.store.hide = lambda *given: slow  # type: ignore
        fields = {"token": self.browser.token(), "subject": "push:2", "seq": "2"}
        phone = self.house.call(
            request(
                f"{NEWEST}/hide",
                f"Cookie: afeed={self.browser.cookies['afeed']}",
                "Content-Type: application/x-www-form-urlencoded",
                f"Origin: {self.house.origin}",
                method="POST",
                body=urlencode(fields).encode(),
            )
        )
        self.assertEqual(phone.received, b"")
        phone.leave()
        slow.callback(None)
        self.assertEqual(self.shown(), ["push:3", "push:1"])

    def test_what_is_hidden_can_be_restored_later(self) -> None:
        self.press(NEWEST, "hide", "push:1")
        self.press(HIDDEN, "restore", "push:1")
        self.assertEqual((self.shown(HIDDEN), self.shown()[0]), ([], "push:1"))

    def test_an_author_is_blocked_and_let_in_again(self) -> None:
        self.house.log.append("e", None, [Posted(make_item(9), "1")])
        self.house.posted = 9
        other = make_item(10, author=Author(name="Ben <b>", handle="ben"))
        self.house.log.append("e", None, [Posted(other, "1")])
        answer = self.press(NEWEST, "block", "push:10")
        self.assertIn("The author is blocked", answer.body.decode())
        self.assertNotIn("push:10", self.shown())
        text = Elements(self.browser.get(HIDDEN).body.decode()).text
        self.assertIn("Ben <b> (@ben)", text)
        self.assertIn("with its author", text)
        self.press(answer, "unblock")
        self.assertIn("push:10", self.shown())
        self.assertIn("Nobody is blocked.", self.browser.get(HIDDEN).body.decode())

    def test_nobody_in_particular_cannot_be_blocked(self) -> None:
        self.house.log.append("e", None, [Posted(make_item(9, author=UNKNOWN_AUTHOR), "1")])
        acts = [b.action for b in buttons(self.browser.get(NEWEST)) if b.fields.get("subject") == "push:9"]
        self.assertEqual(acts, [f"{NEWEST}/hide"])
        fields = {"token": self.browser.token(), "subject": "push:9", "seq": "4"}
        self.assertEqual(self.browser.post(f"{NEWEST}/block", fields).status, 400)

    def test_older_pages_are_moderated_where_one_is(self) -> None:
        self.house.post(60)
        older = f"{NEWEST}?before=10"
        self.assertEqual(self.shown(older)[0], "push:9")
        answer = self.press(older, "hide", "push:5")
        self.assertIn("Newest posts", answer.body.decode())
        articles = Elements(answer.body.decode()).named("article")
        self.assertEqual(next(iter(articles))["id"], "item-push:9")

    def test_what_was_hidden_long_ago_is_found_whatever_a_blocked_author_posted(self) -> None:
        self.house.post(60)
        for number in range(1, 56):
            hidden = self.house.moderation.hide("e", number, f"push:{number}", Actor("ann", "192.0.2.7"))
            self.successResultOf(Deferred.fromCoroutine(hidden))
            self.house.now += 1
        for number in range(100, 160):
            spam = make_item(number, author=Author(name="Troll", handle="troll"))
            self.house.log.append("e", None, [Posted(spam, "1")])
        self.press(NEWEST, "block", "push:159")
        first = self.browser.get(HIDDEN)
        self.assertEqual(len([one for one in buttons(first) if one.action.endswith("restore")]), 50)
        self.assertEqual(self.shown(HIDDEN)[:50], [f"push:{number}" for number in range(55, 5, -1)])
        (link,) = [one for one in Elements(first.body.decode()).named("a") if one.get("rel") == "next"]
        older = str(link["href"])
        self.assertEqual(self.shown(older), [f"push:{number}" for number in range(5, 0, -1)])
        # Who restores there stays there.
        answer = self.press(older, "restore", "push:3")
        self.assertIn("shown again", answer.body.decode())
        self.assertIn("Hidden last", answer.body.decode())
        articles = Elements(answer.body.decode()).named("article")
        self.assertEqual([one["id"] for one in articles], [f"item-push:{number}" for number in (5, 4, 2, 1)])
        for nonsense in ("1", "x", "2026-11-22T12:00:00.000Z_xyz"):
            self.assertEqual(self.browser.get(f"{HIDDEN}?before={nonsense}").status, 400)

    def test_the_trail_says_who_did_what_from_where(self) -> None:
        answer = self.press(NEWEST, "hide", "push:2")
        self.press(answer, "restore")
        text = " ".join(Elements(self.browser.get("/admin/trail").body.decode()).text.split())
        self.assertIn("ann restored push:2 Event <E> ·", text)
        self.assertLess(text.index("restored"), text.index("hid push:2"))
        self.assertEqual(text.count("from 192.0.2.7"), 2)

    def test_http_45_strangers_see_and_do_nothing(self) -> None:
        token = self.browser.token()
        stranger = Browser(self.house)
        for path in (NEWEST, HIDDEN, "/admin/trail"):
            answer = stranger.get(path)
            self.assertEqual((answer.status, answer.headers["location"]), (303, "/admin"))
        for act in ("hide", "restore", "block", "unblock"):
            fields = {"subject": "push:1", "seq": "1", "token": token}
            self.assertEqual(stranger.post(f"{NEWEST}/{act}", fields).status, 403)
            self.assertEqual(self.browser.post(f"{NEWEST}/{act}", {**fields, "token": "x"}).status, 403)
            self.assertEqual(
                self.browser.post(f"{NEWEST}/{act}", fields, origin="https://evil.example").status, 403
            )
            self.assertEqual(self.browser.get(f"{NEWEST}/{act}?subject=push:1&seq=1").status, 405)
        self.assertEqual((len(self.shown()), self.house.store.noted), (3, []))

    def test_a_link_that_a_stranger_made_puts_no_button_on_the_page(self) -> None:
        for query in (
            "did=block&subject=x:@troll",
            "did=block&subject=x:@troll&mark=" + "0" * 32,
            "did=nonsense",
        ):
            answer = self.browser.get(f"{NEWEST}?{query}")
            self.assertEqual(answer.status, 200)
            self.assertNotIn("unblock", answer.body.decode())

    def test_what_is_not_there_is_answered_decently(self) -> None:
        token = self.browser.token()
        for path, fields, status in (
            (f"{NEWEST}/hide", {"subject": "push:99", "seq": "99"}, 409),
            (f"{NEWEST}/hide", {"subject": "push:1", "seq": "x"}, 400),
            (f"{NEWEST}/hide", {}, 409),
            (f"{NEWEST}/restore", {"subject": "push:1"}, 409),
            (f"{NEWEST}/explode", {}, 404),
            ("/admin/events/nothing/hide", {}, 404),
        ):
            answer = self.browser.post(path, {**fields, "token": token})
            self.assertEqual(answer.status, status, (path, fields))
            self.assertIn(b"<h2>", answer.body)
        for path, status in ((f"{NEWEST}?before=x", 400), ("/admin/events/nothing", 404), ("/admin/x/y", 404)):
            self.assertEqual(self.browser.get(path).status, status)

    def test_while_the_log_or_the_database_is_away_nothing_is_lost(self) -> None:
        page = self.browser.get(NEWEST)
        self.house.log.fault = LogUnavailable("away")
        self.assertEqual(self.press(page, "hide", "push:1").status, 503)
        self.house.log.fault = None
        self.house.store.fault = ArchiveUnavailable("away")
        self.assertEqual(self.press(page, "hide", "push:2").status, 503)
        self.house.store.fault = None
        self.press(page, "hide", "push:1")
        self.assertEqual(self.shown(), ["push:3", "push:2"])

    def test_hostile_items_and_ids_are_shown_as_text(self) -> None:
        nasty = make_item(4, text="<script>x</script>", html="<p>&lt;script&gt;</p>")
        nasty = structs.replace(nasty, id="push:\"'><b>")
        self.house.log.append("e", None, [Posted(nasty, "1")])
        answer = self.press(NEWEST, "hide", nasty.id)
        self.assertEqual(answer.status, 200)
        for page in (answer, self.browser.get(HIDDEN), self.browser.get("/admin/trail")):
            self.assertNotIn(b"<b>", page.body)
            self.assertNotIn(b"<script>x", page.body)
        self.press(answer, "restore")
        self.assertIn(nasty.id, self.shown())
