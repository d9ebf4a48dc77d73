"""The organisers' pages: signing in and out, and the overview."""

from __future__ import annotations

import io

from twisted.logger import globalLogPublisher, textFileLogObserver
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.errors import ArchiveUnavailable
from afeed.core.sessions import IDLE_S, fingerprint, new_id
from afeed.core.throttle import FREE
from afeed.settings import Server
from afeed.web.admin_pages import Overview, audience, verdict
from afeed.web.languages import languages
from tests.organisers.test_desk import HASH, PASSWORD
from tests.web.admin_house import AdminHouse, Browser
from tests.web.markup import Elements
from tests.web.serving import Answer

ENGLISH = languages()["en"]


class AdminCase(SynchronousTestCase):
    server = Server(public_url="http://feed.example")

    def setUp(self) -> None:
        self.house = AdminHouse(self.server)
        self.addCleanup(self.house.stop)
        self.browser = Browser(self.house)


class SignInTests(AdminCase):
    def test_a_stranger_sees_a_form_and_nothing_else(self) -> None:
        answer = self.browser.get("/admin")
        self.assertEqual(answer.status, 200)
        names = [field.get("name") for field in Elements(answer.body.decode()).named("input")]
        self.assertEqual(names, ["name", "password"])
        self.assertNotIn(b"Event", answer.body)
        self.assertEqual(self.browser.cookies, {})

    def test_who_knows_the_password_is_in(self) -> None:
        answer = self.browser.sign_in()
        self.assertEqual(answer.status, 200)
        self.assertIn("All is well.", answer.body.decode())
        self.assertIn("Event &lt;E&gt;", answer.body.decode())

    def test_the_cookie_is_for_this_server_and_no_script(self) -> None:
        self.browser.post("/admin/sign-in", {"name": "ann", "password": PASSWORD}, follow=False)
        first, *attributes = self.browser.set_cookie.split("; ")
        self.assertTrue(first.startswith("afeed="))
        lower = {attribute.lower() for attribute in attributes}
        self.assertLessEqual({"path=/", "httponly", "samesite=lax"}, lower)
        self.assertNotIn("secure", lower)
        self.assertFalse(any(attribute.startswith("domain") for attribute in lower))

    def test_http_36_an_id_from_before_is_not_used(self) -> None:
        planted = self.browser.cookies["afeed"] = new_id()
        self.browser.sign_in()
        self.assertNotEqual(self.browser.cookies["afeed"], planted)
        stranger = Browser(self.house)
        stranger.cookies["afeed"] = planted
        self.assertIn(b"Sign in</h2>", stranger.get("/admin").body)

    def test_signing_out_ends_the_session_and_not_only_the_cookie(self) -> None:
        self.browser.sign_in()
        kept = dict(self.browser.cookies)
        answer = self.browser.press("/admin/sign-out")
        self.assertIn(b"Sign in</h2>", answer.body)
        self.assertEqual(self.browser.cookies, {})
        self.browser.cookies = kept
        self.assertIn(b"Sign in</h2>", self.browser.get("/admin").body)

    def test_an_idle_session_ends(self) -> None:
        self.browser.sign_in()
        self.house.now += IDLE_S
        self.assertIn(b"Sign in</h2>", self.browser.get("/admin").body)

    def test_http_38_guessing_has_to_wait_and_cannot_tell_who_exists(self) -> None:
        answers = {}
        for name in ("ann", "zoe"):
            answers[name] = [self.browser.sign_in(name, "wrong horse") for _ in range(FREE + 1)]
            self.assertEqual([answer.status for answer in answers[name]], [403] * FREE + [429])
            self.assertEqual(answers[name][-1].headers["retry-after"], "5")
        for one, other in zip(answers["ann"], answers["zoe"], strict=True):
            self.assertEqual(one.body, other.body)
        self.assertNotIn(b"zoe", answers["zoe"][0].body)
        self.assertEqual(Browser(self.house, "198.51.100.1").sign_in().status, 200)

    def test_the_address_is_the_one_that_a_trusted_proxy_names(self) -> None:
        from ipaddress import ip_network

        house = AdminHouse(Server(public_url="http://feed.example", trusted_proxies=(ip_network("192.0.2.7"),)))
        self.addCleanup(house.stop)
        for last in range(FREE + 2):
            browser = Browser(house)
            fields = {"name": "ann", "password": "wrong horse"}
            answer = browser.post("/admin/sign-in", fields, f"X-Forwarded-For: 198.51.100.{last}")
            self.assertEqual(answer.status, 403)
        self.assertEqual(Browser(house, "203.0.113.5").sign_in().status, 200)

    def test_http_39_a_password_of_a_megabyte_is_refused_unread(self) -> None:
        self.assertEqual(self.browser.sign_in(password="x" * 2000).status, 400)
        answer = self.house.ask(
            "/admin/sign-in",
            "Content-Type: application/x-www-form-urlencoded",
            "Content-Length: 1000000",
            method="POST",
        )
        self.assertEqual(answer.status, 413)

    def test_while_the_database_is_away_it_says_so(self) -> None:
        self.browser.sign_in()

        def away(*given: object) -> None:
            raise ArchiveUnavailable("gone")

        self.house.kept.session = away
        answer = self.browser.get("/admin")
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "5"))
        self.assertNotIn(b"gone", answer.body)


class TlsTests(AdminCase):
    server = Server(public_url="https://feed.example")

    def test_over_tls_the_cookie_belongs_to_this_host_alone(self) -> None:
        self.browser.post("/admin/sign-in", {"name": "ann", "password": PASSWORD}, follow=False)
        first, *attributes = self.browser.set_cookie.split("; ")
        self.assertTrue(first.startswith("__Host-afeed="))
        self.assertLessEqual({"path=/", "httponly", "secure"}, {attribute.lower() for attribute in attributes})
        self.assertIn("All is well.", self.browser.get("/admin").body.decode())


class ForgeryTests(AdminCase):
    def setUp(self) -> None:
        super().setUp()
        self.browser.sign_in()
        self.token = self.browser.token()

    def still_in(self) -> bool:
        return b"Sign out" in self.browser.get("/admin").body

    def test_http_33_what_a_form_of_another_site_can_send_is_refused(self) -> None:
        for kind in ("text/plain", "application/json", "multipart/form-data; boundary=x"):
            answer = self.browser.post("/admin/sign-out", {"token": self.token}, f"Content-Type: {kind}")
            self.assertEqual(answer.status, 415)
        self.assertTrue(self.still_in())

    def test_other_origins_and_none_are_refused(self) -> None:
        for origin in ("", "null", "https://evil.example", "http://feed.example.evil.example"):
            for path in ("/admin/sign-out", "/admin/sign-in"):
                answer = self.browser.post(path, {"token": self.token}, origin=origin)
                self.assertEqual(answer.status, 403, (path, origin))
        self.assertTrue(self.still_in())

    def test_http_35_a_token_is_good_for_its_session_alone(self) -> None:
        other = Browser(self.house)
        other.sign_in()
        for fields in ({}, {"token": ""}, {"token": "\u00e9"}, {"token": other.token()}, {"token": "0" * 64}):
            self.assertEqual(self.browser.post("/admin/sign-out", fields).status, 403)
        self.assertTrue(self.still_in())
        self.browser.post("/admin/sign-out", {"token": self.token})
        self.assertFalse(self.still_in())
        self.assertEqual(self.browser.post("/admin/sign-out", {"token": self.token}).status, 403)

    def test_what_no_form_of_ours_sent_is_counted(self) -> None:
        self.browser.post(
            "/admin/sign-in", {"name": "ann", "password": PASSWORD}, origin="https://evil.example"
        )
        text = self.house.metrics.text().decode()
        self.assertIn('afeed_sign_ins_total{result="forged"} 1.0', text)
        self.assertIn('afeed_sign_ins_total{result="done"} 1.0', text)

    def test_a_link_changes_nothing(self) -> None:
        answer = self.browser.get(f"/admin/sign-out?token={self.token}")
        self.assertEqual((answer.status, answer.headers["allow"]), (405, "POST"))
        self.assertTrue(self.still_in())

    def test_broken_forms_are_refused(self) -> None:
        kind = "Content-Type: application/x-www-form-urlencoded"
        for body in (b"\xff\xfe", b"token=%ff", b"token=1&token=2", b"&".join(b"f%d=" % n for n in range(70))):
            answer = self.house.ask(
                "/admin/sign-in", kind, f"Origin: {self.house.origin}", method="POST", body=body
            )
            self.assertEqual(answer.status, 400, body)


class PageTests(AdminCase):
    def test_every_answer_is_private_and_protected(self) -> None:
        answers = [self.browser.get("/admin"), self.browser.get("/admin/nothing"), self.browser.sign_in()]
        answers.append(self.browser.post("/admin/sign-out", {}))
        self.assertEqual([answer.status for answer in answers], [200, 404, 200, 403])
        for answer in answers:
            self.assertEqual(answer.headers["cache-control"], "no-store")
            self.assertIn("default-src 'none'", answer.headers["content-security-policy"])
            self.assertNotIn("unsafe-inline", answer.headers["content-security-policy"])
            self.assertEqual(answer.headers["x-content-type-options"], "nosniff")

    def test_no_page_holds_what_the_policy_would_stop(self) -> None:
        for answer in (self.browser.get("/admin"), self.browser.sign_in()):
            found = Elements(answer.body.decode())
            self.assertEqual([script for script in found.named("script") if "src" not in script], [])
            self.assertEqual(list(found.named("style")), [])
            self.assertNotIn(b"style=", answer.body)
            self.assertNotIn(b"onclick", answer.body)

    def test_the_overview_says_how_everything_is(self) -> None:
        self.house.known = Overview(
            checks=(
                self.house.check("live_log"),
                self.house.check(
                    "x", "failed", "X refuses <our> token.", last_item_at="2026-11-22T10:00:00.000Z"
                ),
            ),
            sources=frozenset({"x"}),
            viewers={("e", "websocket"): 12, ("e", "poll"): 3, ("other", "sse"): 9},
            last_items={("e", "x"): self.house.now - 7300},
        )
        text = " ".join(Elements(self.browser.sign_in().body.decode()).text.split())
        self.assertIn("Needs attention: x.", text)
        self.assertIn("X refuses <our> token.", text)
        self.assertIn("x: last post 2 hours ago", text)
        self.assertIn("WebSocket12", text)
        self.assertIn("All15", text)


class LanguageTests(AdminCase):
    def text(self, answer: Answer) -> str:
        return " ".join(Elements(answer.body.decode()).text.split())

    def test_a_browser_that_prefers_another_language_gets_it(self) -> None:
        answer = self.browser.get("/admin", "Accept-Language: de, en;q=0.5")
        self.assertIn(b'<html lang="de">', answer.body)
        self.assertIn("Anmelden", self.text(answer))
        self.browser.sign_in()
        self.house.known = Overview(
            checks=(self.house.check("x", "failed", "X refuses."),),
            sources=frozenset({"x"}),
            viewers={("e", "poll"): 3},
            last_items={("e", "x"): self.house.now - 7300},
        )
        answer = self.browser.get("/admin", "Accept-Language: fr")
        text = self.text(answer)
        self.assertIn("À surveiller : x.", text.replace("\u202f", " ").replace("\xa0", " "))
        self.assertIn("il y a 2 heures", text)
        # What a component says of itself is English, and says so.
        self.assertIn(b'<p lang="en">X refuses.</p>', answer.body)

    def test_the_language_of_the_address_goes_along(self) -> None:
        page = Elements(self.browser.get("/admin?lang=de").body.decode())
        (form,) = page.named("form")
        self.assertEqual(form["action"], "/admin/sign-in?lang=de")
        answer = self.browser.post(
            "/admin/sign-in?lang=de", {"name": "ann", "password": PASSWORD}, follow=False
        )
        self.assertEqual(answer.headers["location"], "/admin?lang=de")
        page = Elements(self.browser.get("/admin?lang=de").body.decode())
        ours = [
            str(one.get("href") or one.get("action"))
            for one in [*page.named("a"), *page.named("form")]
            if "lang" not in one
        ]
        self.assertGreater(len(ours), 5)
        self.assertEqual([one for one in ours if "lang=de" not in one], [])

    def test_what_goes_wrong_is_told_in_it_too(self) -> None:
        for path, fields, status, words in (
            ("/admin/sign-in", {"name": "ann", "password": "wrong horse"}, 403, "stimmt nicht"),
            ("/admin/sign-out", {}, 403, "Sie sind nicht angemeldet"),
            ("/admin/nothing", {}, 404, "Hier ist nichts"),
        ):
            answer = self.browser.post(f"{path}?lang=de", fields)
            self.assertEqual(answer.status, status, path)
            self.assertIn(words, self.text(answer))
            # Choosing another language leads to a page that can be read.
            choices = [a["href"] for a in Elements(answer.body.decode()).named("a") if a.get("hreflang")]
            self.assertEqual(choices, [f"/admin?lang={tag}" for tag in ("en", "de", "fr")])
        for _ in range(FREE):
            answer = self.browser.post("/admin/sign-in?lang=de", {"name": "ann", "password": "wrong horse"})
        self.assertEqual(answer.status, 429)
        self.assertIn("Bitte warten Sie 5 Sekunden", self.text(answer))


class SecretTests(AdminCase):
    def test_no_secret_gets_into_the_log(self) -> None:
        written = io.StringIO()
        observer = textFileLogObserver(written)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        canary = "canary-Zx81-password"
        self.browser.sign_in(canary, canary)
        self.browser.sign_in()
        cookie, token = self.browser.cookies["afeed"], self.browser.token()

        def broken(*given: object) -> None:
            raise RuntimeError("a defect")

        self.house.kept.session = broken
        self.assertEqual(self.browser.get("/admin").status, 500)
        self.assertEqual(self.browser.post("/admin/sign-in", {"name": "ann", "password": canary}).status, 500)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)
        shown = written.getvalue()
        self.assertIn("ann signed in from 192.0.2.7", shown)
        self.assertIn("a defect", shown)
        digest = HASH.rpartition("$")[2]
        for secret in (canary, PASSWORD, digest, cookie, token, fingerprint(cookie).hex()):
            self.assertNotIn(secret, shown)


class WordTests(SynchronousTestCase):
    def test_the_verdict_names_what_is_wrong(self) -> None:
        house = AdminHouse()
        self.addCleanup(house.stop)
        self.assertEqual(verdict([house.check("a")], ENGLISH), ("ok", "All is well."))
        worse = [house.check("a"), house.check("b", "degraded")]
        self.assertEqual(verdict(worse, ENGLISH), ("degraded", "Works, with limits: b."))
        self.assertEqual(verdict([*worse, house.check("c", "failed")], ENGLISH)[0], "failed")

    def test_viewers_are_counted_by_event(self) -> None:
        viewers = {("e", "sse"): 2, ("e", "websocket"): 3, ("f", "sse"): 5}
        expected = [("Server-sent events", 2), ("WebSocket", 3), ("All", 5)]
        self.assertEqual(audience(viewers, "e", ENGLISH), expected)
