"""The pages over HTTP."""

from __future__ import annotations

import gzip
import json
from datetime import date

from msgspec import structs
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import IResource
from zope.interface.verify import verifyObject

from afeed.core.errors import ArchiveUnavailable, LogUnavailable
from afeed.core.outages import Outage
from afeed.interfaces import IFeed
from afeed.settings import Server
from afeed.web.app import Pages
from afeed.web.qr import code
from tests.core.test_outages import OVER, a_gap
from tests.web.client import Answer, NoAnswer, ask
from tests.web.markup import Elements
from tests.web.samples import NOW, FakeFeed, make_event, make_item


class PagesCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.feed = FakeFeed(*map(make_item, range(1, 4)))
        self.now = NOW
        events = (
            make_event(),
            make_event("next", name="Next One", starts=date(2027, 1, 1), ends=date(2027, 1, 2)),
            make_event("last", name="Last One", starts=date(2026, 1, 1), ends=date(2026, 1, 2)),
        )
        self.pages = Pages(events, self.feed, Server(), lambda: self.now)

    def get(self, path: str | bytes, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self.pages.resource(), path, headers=named)


class FrontPageTests(PagesCase):
    def test_events_are_listed_by_what_they_are_now(self) -> None:
        answer = self.get("/")
        self.assertEqual(answer.status, 200)
        parts = ("The Rehearsal", "Coming</h2>", "Next One", "Past</h2>", "Last One")
        places = [answer.text.index(part) for part in parts]
        self.assertEqual(places, sorted(places))

    def test_an_event_that_begins_moves_up_and_changes_the_tag(self) -> None:
        before = self.get("/")
        self.now += 60 * 86400
        after = self.get("/")
        self.assertNotEqual(before.headers["etag"], after.headers["etag"])

    def test_without_events_the_page_says_so(self) -> None:
        pages = Pages((), self.feed, Server(), lambda: NOW)
        self.assertIn("No events yet", ask(pages.resource(), "/").text)


class EventPageTests(PagesCase):
    def test_the_newest_items_come_first_and_the_head_cursor_with_them(self) -> None:
        answer = self.get("/rehearsal")
        self.assertEqual(answer.status, 200)
        found = Elements(answer.text)
        self.assertEqual(
            [article["id"] for article in found.named("article")], ["item-push:3", "item-push:2", "item-push:1"]
        )
        seqs = [entry["data-seq"] for _, entry in found.classed("entry") if "data-seq" in entry]
        self.assertEqual(seqs, ["3", "2", "1"])
        ((_, stream),) = found.classed("stream")
        self.assertEqual(
            (stream["data-slug"], stream["data-cursor"], stream["data-mode"]), ("rehearsal", "k3f9:3", "live")
        )

    def test_older_items_are_a_link_away(self) -> None:
        self.feed.items = [make_item(number) for number in range(1, 121)]
        seen: list[str] = []
        path: str | None = "/rehearsal"
        while path:
            found = Elements(self.get(path).text)
            seen += [str(article["id"]) for article in found.named("article")]
            (older,) = (link for link in found.named("a") if link.get("id") == "older")
            path = None if "hidden" in older else str(older["href"])
        self.assertEqual(seen, [f"item-push:{number}" for number in range(120, 0, -1)])

    def test_an_older_page_is_not_live(self) -> None:
        found = Elements(self.get("/rehearsal?before=3").text)
        ((_, stream),) = found.classed("stream")
        self.assertEqual(stream["data-mode"], "older")

    def test_an_outage_is_a_mark_between_the_posts(self) -> None:
        self.feed.gaps = [Outage(3, a_gap(5, OVER, "closed", 2)), Outage(1, a_gap(1))]
        for path in ("/rehearsal", "/rehearsal/wall"):
            shown, _, _ = self.get(path).text.partition("</section>")
            parts = (
                'id="gap-x-2026-11-22T00:05:00Z"',
                "item-push:3",
                "item-push:2",
                'id="gap-x-2026-11-22T00:01',
            )
            places = [shown.index(part) for part in (*parts, "item-push:1")]
            self.assertEqual(places, sorted(places))
            text = " ".join(Elements(shown).text.split())
            self.assertIn(
                "X could not be reached from 2026-11-22 00:05 to 2026-11-22 00:09. "
                "2 posts from that time came later.",
                text,
            )
            self.assertIn("Nothing can be fetched from X since 2026-11-22 00:01. Its posts will follow.", text)

    def test_every_kind_of_outage_has_its_sentence(self) -> None:
        for gap, sentence in (
            (a_gap(1, OVER), "Posts from that time may be missing."),
            (a_gap(1, OVER, "closed", 0), "There were no posts in that time."),
            (a_gap(1, OVER, "closed", 1), "One post from that time came later."),
        ):
            self.feed.gaps = [Outage(3, gap)]
            shown, _, _ = self.get("/rehearsal").text.partition("</section>")
            self.assertIn(sentence, shown)

    def test_a_hostile_source_in_a_mark_runs_nothing(self) -> None:
        for text in ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'):
            gap = a_gap(1)
            self.feed.gaps = [Outage(3, structs.replace(gap, source=text, from_=text, to=text))]
            found = Elements(self.get("/rehearsal").text)
            self.assertEqual(found.dangers(), [])
            self.assertIn(text.lower()[:8], found.text.lower())

    def test_a_mark_changes_the_tag(self) -> None:
        before = self.get("/rehearsal").headers["etag"]
        self.feed.gaps = [Outage(3, a_gap(1))]
        after = self.get("/rehearsal").headers["etag"]
        self.feed.gaps = [Outage(3, a_gap(1, OVER))]
        self.assertEqual(len({before, after, self.get("/rehearsal").headers["etag"]}), 3)

    def test_a_page_that_is_loaded_during_a_delay_says_so(self) -> None:
        def note() -> dict[str, str | None]:
            ((_, found),) = Elements(self.get("/rehearsal").text).classed("delayed")
            return found

        self.assertIn("hidden", note())
        self.feed.stalled = True
        self.assertNotIn("hidden", note())

    def test_the_wall_asks_for_no_late_posts(self) -> None:
        self.get("/rehearsal")
        self.get("/rehearsal/wall")
        self.assertEqual(self.feed.prompt, [False, True])

    def test_a_page_number_that_is_none_is_refused(self) -> None:
        for query in ("", "x", "0", "-1", "1e3", "0x10", "%D9%A1", "9007199254740992", "1" * 400):
            self.assertEqual(self.get(f"/rehearsal?before={query}").status, 400, query)
        self.assertEqual(self.feed.asked, [])

    def test_an_event_without_items_says_what_will_happen(self) -> None:
        self.feed.items = []
        text = self.get("/rehearsal").text
        self.assertIn("Nothing here yet", text)
        self.assertIn("#rehearsal", text)

    def test_the_wall_shows_the_same_fragments(self) -> None:
        def articles(path: str) -> list[str]:
            return self.get(path).text.split("<article")[1:]

        wall = self.get("/rehearsal/wall")
        self.assertEqual(wall.status, 200)
        self.assertIn('data-mode="wall"', wall.text)
        cut = [part.split("</article>")[0] for part in articles("/rehearsal/wall")]
        self.assertEqual(cut, [part.split("</article>")[0] for part in articles("/rehearsal")])

    def test_however_many_outages_there_were_the_wall_is_for_posts(self) -> None:
        # As the hub gives them: the latest first.
        self.feed.gaps = [Outage(3, a_gap(hour, OVER)) for hour in range(14, 0, -1)]
        text = self.get("/rehearsal/wall").text
        self.assertEqual(text.count("<article"), 3)
        stream = text.partition('id="stream"')[2].partition("</section>")[0]
        self.assertEqual(stream.count('class="gap"'), 2)
        self.assertIn(f'id="gap-x-{self.feed.gaps[1].gap.from_}"', stream)
        self.assertEqual(self.get("/rehearsal").text.count('id="gap-'), 14)

    def test_an_event_is_asked_for_with_the_given_renderer(self) -> None:
        class Loud:
            def render(self, item: object) -> str:
                return "<article>loud</article>"

        pages = Pages((make_event(),), self.feed, Server(), lambda: NOW, fragments=lambda event: Loud())
        self.assertIn("loud", ask(pages.resource(), "/rehearsal").text)

    def test_a_slug_with_a_slash_is_the_same_event(self) -> None:
        self.assertEqual(self.get("/rehearsal/").status, 200)


class LanguageTests(PagesCase):
    def language(self, path: str, **headers: str) -> str | None:
        found = Elements(self.get(path, **headers).text)
        return found.named("html")[0]["lang"]

    def test_the_address_decides_and_else_the_browser(self) -> None:
        for path, accepted, chosen in (
            ("/rehearsal", "", "en"),
            ("/rehearsal", "de-AT,de;q=0.9,en;q=0.8", "de"),
            ("/rehearsal", "en-US,en;q=0.9,de;q=0.8", "en-US"),
            ("/rehearsal", "pt-BR,fr;q=0.3", "fr"),
            ("/rehearsal", "pt-BR", "en"),
            ("/rehearsal?lang=fr", "de", "fr"),
            ("/rehearsal?lang=xx", "de", "de"),
            ("/rehearsal?lang=%ff", "\xff;q=x", "en"),
            ("/?lang=de", "", "de"),
            ("/rehearsal/wall", "de", "de"),
            ("/nothing", "fr", "fr"),
        ):
            self.assertEqual(self.language(path, accept_language=accepted), chosen, (path, accepted))

    def test_words_and_dates_are_in_the_language(self) -> None:
        for path, words in (
            ("/?lang=de", ("Läuft gerade", "21.–23. Nov. 2026", "Tag 2 von 3", "in 1 Monat")),
            ("/?lang=fr", ("En ce moment", "21–23 nov. 2026", "jour 2 sur 3", "dans 1 mois")),
            ("/rehearsal?lang=de", ("Zu den Beiträgen springen", "Ältere Beiträge", "Verbindung verloren")),
            ("/rehearsal/wall?lang=fr", ("Suivez le fil",)),
            ("/nothing?lang=de", ("Hier ist nichts",)),
        ):
            text = self.get(path).text
            for word in words:
                self.assertIn(word, text, path)

    def test_who_asked_for_a_language_keeps_it(self) -> None:
        self.feed.items = [make_item(number) for number in range(1, 121)]
        for path in ("/?lang=de", "/rehearsal?lang=de", "/rehearsal?before=100&lang=de", "/nothing?lang=de"):
            links = [str(link["href"]) for link in Elements(self.get(path).text).named("a")]
            inner = [link for link in links if link.startswith("/")]
            self.assertTrue(inner)
            self.assertEqual([link for link in inner if "lang=de" not in link], [], path)

    def test_and_who_did_not_gets_addresses_that_can_be_passed_on(self) -> None:
        text = self.get("/rehearsal", accept_language="de").text
        links = [str(link["href"]) for link in Elements(text).named("a")]
        self.assertEqual([link for link in links if link.startswith("/") and "lang=" in link], [])

    def test_each_language_has_its_tag(self) -> None:
        tags = {self.get(f"/rehearsal?lang={tag}").headers["etag"] for tag in ("en", "de", "fr")}
        self.assertEqual(len(tags), 3)

    def test_posts_are_the_same_in_all(self) -> None:
        def articles(tag: str) -> list[str]:
            text = self.get(f"/rehearsal?lang={tag}").text
            return [part.partition("</article>")[0] for part in text.split("<article")[1:]]

        self.assertEqual(articles("de"), articles("en"))


class QrTests(PagesCase):
    def test_the_wall_has_the_code_of_the_live_page(self) -> None:
        (image,) = (
            one for one in Elements(self.get("/rehearsal/wall").text).named("img") if one.get("class") == "qr"
        )
        self.assertEqual(image["src"], "/rehearsal/qr.svg")
        answer = self.get(str(image["src"]))
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "image/svg+xml; charset=utf-8"))
        self.assertEqual(answer.body, code("http://127.0.0.1:8080/rehearsal").body)

    def test_another_event_has_another(self) -> None:
        self.assertNotEqual(self.get("/next/qr.svg").body, self.get("/rehearsal/qr.svg").body)
        self.assertEqual(self.get("/nothing/qr.svg").status, 404)


class CacheTests(PagesCase):
    def test_a_page_may_be_kept_for_five_seconds(self) -> None:
        self.assertEqual(self.get("/rehearsal").headers["cache-control"], "public, max-age=5")

    def test_what_the_browser_has_is_not_sent_again(self) -> None:
        tag = self.get("/rehearsal").headers["etag"]
        again = self.get("/rehearsal", if_none_match=f'"other", {tag}')
        self.assertEqual((again.status, again.body), (304, b""))
        self.assertEqual(again.headers["etag"], tag)

    def test_a_removal_changes_the_tag(self) -> None:
        tag = self.get("/rehearsal").headers["etag"]
        del self.feed.items[1]
        again = self.get("/rehearsal", if_none_match=tag)
        self.assertEqual(again.status, 200)
        self.assertNotIn("post 2", again.text)

    def test_an_edit_changes_the_tag(self) -> None:
        tag = self.get("/rehearsal").headers["etag"]
        self.feed.items[1] = make_item(2, html="<p>corrected</p>")
        self.assertIn("corrected", self.get("/rehearsal", if_none_match=tag).text)

    def test_pages_are_compressed_for_who_takes_it(self) -> None:
        plain = self.get("/rehearsal")
        packed = self.get("/rehearsal", accept_encoding="br, gzip;q=0.8")
        self.assertEqual(packed.headers["content-encoding"], "gzip")
        self.assertEqual(packed.headers["vary"], "Accept-Encoding, Accept-Language")
        self.assertEqual(gzip.decompress(packed.body), plain.body)
        self.assertEqual(packed.headers["etag"], plain.headers["etag"])

    def test_and_not_for_who_does_not(self) -> None:
        for accepted in ("", "br", "gzip;q=0", "gzip; q=0.0", "xgzip"):
            answer = self.get("/rehearsal", accept_encoding=accepted)
            self.assertNotIn("content-encoding", answer.headers, accepted)

    def test_files_under_their_digest_never_change(self) -> None:
        links = Elements(self.get("/").text).named("link")
        style = next(link for link in links if link["rel"] == "stylesheet")
        answer = self.get(str(style["href"]))
        self.assertEqual(answer.headers["content-type"], "text/css; charset=utf-8")
        self.assertIn("immutable", answer.headers["cache-control"])
        self.assertEqual(self.get("/static/page.css").headers["cache-control"], "public, no-cache")

    def test_head_tells_the_same_without_the_body(self) -> None:
        whole = self.get("/rehearsal")
        head = ask(self.pages.resource(), "/rehearsal", method="HEAD")
        self.assertEqual((head.status, head.body), (200, b""))
        for name in ("etag", "content-length", "content-type"):
            self.assertEqual(head.headers[name], whole.headers[name])


class TroubleTests(PagesCase):
    def test_what_does_not_exist_is_not_found(self) -> None:
        for path in (
            "/nothing",
            "/rehearsal/nothing",
            "/rehearsal/wall/x",
            "/static/",
            "/static/../app.py",
            "/static/%2e%2e/app.py",
            "/static/%2e%2e%2fapp.py",
            "/static/..%5capp.py",
            "/%2e%2e%2fetc/passwd",
            "//evil.example",
            "//evil.example/%2f..",
            "/%00.js",
            "/rehearsal%00",
            "/REHEARSAL",
        ):
            answer = self.get(path)
            self.assertEqual(answer.status, 404, path)
            self.assertNotIn("location", answer.headers)
            self.assertIn("There is nothing here", answer.text)

    def test_a_path_that_is_no_text_is_not_found(self) -> None:
        self.assertEqual(self.get(b"/%ff%fe").status, 404)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_nothing_takes_what_is_sent(self) -> None:
        for method in ("POST", "PUT", "DELETE", "TRACE", "OPTIONS", "BREW"):
            for path in ("/", "/rehearsal", "/static/page.css", "/nothing"):
                answer = ask(self.pages.resource(), path, method=method)
                self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, HEAD"))

    def test_programs_get_json(self) -> None:
        for answer in (
            self.get("/nothing/updates"),
            self.get("/nothing/ws"),
            self.get("/api/events"),
            self.get("/nothing", accept="application/json"),
        ):
            self.assertEqual(answer.status, 404)
            self.assertEqual(answer.headers["content-type"], "application/json")
            self.assertEqual(json.loads(answer.body)["error"], "not_found")

    def test_an_archive_that_is_away_is_told_with_a_time_to_come_back(self) -> None:
        for failure in (ArchiveUnavailable("gone"), LogUnavailable("gone")):
            self.feed.failure = failure
            answer = self.get("/rehearsal?before=3")
            self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "10"))
            self.assertEqual(answer.headers["cache-control"], "no-store")
            self.assertIn("not available right now", answer.text)

    def test_a_defect_is_logged_and_not_shown(self) -> None:
        self.feed.failure = ZeroDivisionError("a secret detail")
        answer = self.get("/rehearsal")
        self.assertEqual(answer.status, 500)
        self.assertNotIn("secret detail", answer.text)
        self.assertNotIn("Traceback", answer.text)
        (logged,) = self.flushLoggedErrors(ZeroDivisionError)
        self.assertEqual(logged.value, self.feed.failure)

    def test_a_reader_who_leaves_ends_the_wait(self) -> None:
        cancelled: list[object] = []

        class Slow(FakeFeed):
            def page(self, event: str, limit: int, before: int | None = None) -> Deferred:
                return Deferred(cancelled.append)

        pages = Pages((make_event(),), Slow(), Server(), lambda: NOW)
        self.assertRaises(NoAnswer, ask, pages.resource(), "/rehearsal")
        self.assertEqual(len(cancelled), 1)

    def test_errors_are_not_kept(self) -> None:
        self.assertEqual(self.get("/nothing").headers["cache-control"], "no-store")


class EveryAnswerTests(PagesCase):
    def answers(self) -> dict[str, Answer]:
        paths = (
            "/",
            "/rehearsal",
            "/rehearsal?before=3",
            "/rehearsal/wall",
            "/rehearsal/qr.svg",
            "/last",
            "/next",
            "/nothing",
            "/nothing/updates",
            "/rehearsal?before=x",
            "/static/page.css",
            "/static/feed.js",
            "/favicon.ico",
            "/robots.txt",
        )
        return {path: self.get(path) for path in paths}

    def test_the_security_headers_are_there_once(self) -> None:
        for path, answer in self.answers().items():
            self.assertTrue(
                answer.headers["content-security-policy"].startswith("default-src 'none'; script-src"), path
            )
            self.assertNotIn("\n", answer.headers["content-security-policy"])
            self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
            self.assertEqual(answer.headers["server"], "afeed")

    def test_the_length_is_told(self) -> None:
        for path, answer in self.answers().items():
            self.assertEqual(int(answer.headers["content-length"]), len(answer.body), path)

    def test_no_page_holds_inline_script_or_style(self) -> None:
        for path, answer in self.answers().items():
            if answer.headers["content-type"].startswith("text/html"):
                self.assertEqual(Elements(answer.text).dangers(), [], path)

    def test_every_file_a_page_refers_to_is_there(self) -> None:
        for answer in self.answers().values():
            found = Elements(answer.text) if answer.headers["content-type"].startswith("text/html") else None
            for attributes in (found.named("link") + found.named("script")) if found else ():
                path = attributes.get("href") or attributes.get("src")
                if attributes.get("rel") != "alternate":  # feeds are answered beside the pages
                    self.assertEqual(self.get(str(path)).status, 200, path)

    def test_ids_are_unique(self) -> None:
        for path, answer in self.answers().items():
            if answer.headers["content-type"].startswith("text/html"):
                ids = [found["id"] for _, found in Elements(answer.text).found if "id" in found]
                self.assertEqual(len(ids), len(set(ids)), path)


class InterfaceTests(PagesCase):
    def test_the_root_is_a_resource(self) -> None:
        verifyObject(IResource, self.pages.resource())

    def test_the_fake_feed_is_a_feed(self) -> None:
        verifyObject(IFeed, self.feed)

    def test_two_sets_of_pages_do_not_know_each_other(self) -> None:
        other = Pages((make_event("other"),), FakeFeed(), Server(), lambda: NOW)
        self.assertEqual(ask(other.resource(), "/rehearsal").status, 404)
        self.assertEqual(self.get("/rehearsal").status, 200)
