"""The whole of afeed in one browser: a real ``twistd afeed``, real pushes, a real Chromium."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any

from playwright.sync_api import Browser
from twisted.trial.unittest import SynchronousTestCase

from tests.browser.chromium import Watched, chromium, watched_page
from tests.servers.afeed import AfeedServer, Refused

TRANSPORTS = ("websocket", "sse", "longpoll", "poll")


def item(number: int, **other: Any) -> dict[str, Any]:
    """What a program pushes."""
    return {"id": str(number), "text": f"post {number}", "author": {"name": "Ann", "handle": "ann"}, **other}


class LiveCase(SynchronousTestCase):
    """One server for each test."""

    sources = ""

    def setUp(self) -> None:
        self.server = AfeedServer(sources=self.sources)
        self.addCleanup(self.server.close)

    def push(self, *numbers: int) -> None:
        self.server.push(*map(item, numbers))

    @contextmanager
    def page(self, browser: Browser, query: str = "", **options: Any) -> Iterator[Watched]:
        """The live page, on which no script may fail and nothing may be refused by the policy."""
        with watched_page(browser, self.server.url, **options) as watched:
            watched.page.goto(f"{self.server.url}/{self.server.slug}{query}")
            yield watched
            self.assertEqual((watched.complaints, watched.dialogs), ([], []))

    def log_ids(self) -> list[str]:
        """The ids of the items that the log holds, newest first."""
        return [change["item"]["id"] for change in reversed(self.server.changes()) if "item" in change]


class DeliveryTests(LiveCase):
    def test_a_pushed_post_is_on_the_page_at_once_on_every_transport(self) -> None:
        self.server.start()
        with chromium() as browser:
            for number, transport in enumerate(TRANSPORTS, 1):
                with self.page(browser, f"?transport={transport}") as watched:
                    watched.wait_live(transport)
                    self.push(number)
                    watched.wait_for_item(f"push:{number}")
                    self.assertEqual(watched.ids(), self.log_ids())
                    self.assertEqual(watched.refusals, [])

    def test_a_live_post_looks_as_it_does_after_loading_the_page_again(self) -> None:
        self.server.start()
        rich = item(
            1,
            created_at="2020-02-02T20:20:00Z",  # a time that stays as it is on the page
            text="größe & <tags> https://example.com/ #now",
            media=[
                {"type": "photo", "url": "https://pics.example/1.jpg", "width": 1200, "height": 800, "alt": "x"}
            ],
        )
        read = "document.getElementById('item-push:1').querySelector('.body').parentElement.innerHTML"
        with chromium() as browser, self.page(browser) as watched:
            watched.wait_live("websocket")
            self.server.push(rich)
            watched.wait_for_item("push:1")
            live = watched.page.evaluate(read)
            watched.page.reload()
            watched.wait_live("websocket")
            self.assertEqual(watched.page.evaluate(read), live)

    def test_the_first_choice_is_a_websocket_and_the_page_says_so(self) -> None:
        self.server.start()
        with chromium() as browser, self.page(browser) as watched:
            watched.wait_live("websocket")
            self.assertEqual(watched.state(), "Live")

    def test_an_edit_replaces_in_place(self) -> None:
        self.server.start()
        self.push(1, 2, 3)
        with chromium() as browser, self.page(browser) as watched:
            watched.wait_live("websocket")
            self.server.push(item(2, text="corrected"))
            watched.page.wait_for_function(
                "() => document.querySelector('#stream').innerText.includes('corrected')"
            )
            self.assertEqual(watched.ids(), ["push:3", "push:2", "push:1"])
            self.assertNotIn("post 2", watched.page.inner_text("#stream"))


class FallbackTests(LiveCase):
    """Something between browser and server lets a transport not through."""

    def test_without_websockets_the_page_listens_to_events(self) -> None:
        self.server.start()
        with chromium() as browser, watched_page(browser, self.server.url) as watched:
            watched.page.route_web_socket("**/ws?*", lambda socket: socket.close(code=1011))
            watched.page.goto(f"{self.server.url}/{self.server.slug}")
            watched.wait_live("sse")
            self.push(1)
            watched.wait_for_item("push:1")
            self.assertEqual(watched.complaints, [])

    def test_without_streams_the_page_asks_and_waits(self) -> None:
        self.server.start()
        with chromium() as browser, watched_page(browser, self.server.url) as watched:
            watched.page.route_web_socket("**/ws?*", lambda socket: socket.close(code=1011))
            watched.page.route("**/stream?*", lambda route: route.fulfill(status=502))
            watched.page.goto(f"{self.server.url}/{self.server.slug}")
            watched.wait_live("longpoll")
            self.push(1)
            watched.wait_for_item("push:1")
            self.assertEqual(watched.complaints, [])

    def test_without_long_waits_the_page_asks_every_few_seconds(self) -> None:
        self.server.start()

        def impatient(route: Any) -> None:
            if "wait=0" in route.request.url:
                route.continue_()
            else:
                route.fulfill(status=504)

        with chromium() as browser, watched_page(browser, self.server.url) as watched:
            watched.page.route_web_socket("**/ws?*", lambda socket: socket.close(code=1011))
            watched.page.route("**/stream?*", lambda route: route.fulfill(status=502))
            watched.page.route("**/updates?*", impatient)
            watched.page.goto(f"{self.server.url}/{self.server.slug}")
            watched.wait_live("poll")
            self.assertEqual(watched.state(), "Live, every few seconds")
            self.push(1)
            watched.wait_for_item("push:1")
            self.assertEqual(watched.complaints, [])


class RestartTests(LiveCase):
    def test_after_kill_9_every_page_holds_exactly_the_log(self) -> None:
        self.server.start()
        self.push(1, 2)
        with chromium() as browser:
            for transport in TRANSPORTS:
                with self.page(browser, f"?transport={transport}") as watched:
                    watched.wait_live(transport)
                    first = len(self.log_ids()) + 1
                    self.push(first)
                    self.server.kill()
                    self.server.start()
                    self.push(first + 1, first + 2)
                    watched.wait_for_item(f"push:{first + 2}")
                    self.assertEqual(watched.ids(), self.log_ids())
                    self.assertEqual(watched.page.query_selector_all(".gap"), [])

    def test_killed_again_and_again_between_pushes_nothing_is_lost_or_shown_twice(self) -> None:
        self.server.start()
        last = 60

        def publish() -> None:
            for number in range(1, last + 1):
                while True:  # the same id and text again is the same item: trying again is safe
                    try:
                        self.push(number)
                        break
                    except (OSError, HTTPException, Refused):
                        time.sleep(0.01)

        publisher = threading.Thread(target=publish, daemon=True)
        with chromium() as browser, self.page(browser) as watched:
            watched.wait_live("websocket")
            publisher.start()
            for number in (10, 25, 40):
                watched.wait_for_item(f"push:{number}")
                self.server.kill()
                self.server.start()
            watched.wait_for_item(f"push:{last}")
            publisher.join()
            self.assertEqual(watched.ids(), self.log_ids())
            self.assertEqual(len(set(watched.ids())), last)
            self.assertEqual(watched.page.query_selector_all(".gap"), [])

    def test_a_planned_restart_is_no_different(self) -> None:
        self.server.start()
        with chromium() as browser, self.page(browser) as watched:
            watched.wait_live("websocket")
            self.push(1)
            watched.wait_for_item("push:1")
            self.server.stop()
            watched.wait_state("Connection lost, trying again", "You are offline")
            self.server.start()
            self.push(2)
            watched.wait_for_item("push:2")
            # A page that looks just as the server comes up may take another transport for a minute or so.
            watched.wait_live("websocket", 180_000)
            self.assertEqual(watched.ids(), ["push:2", "push:1"])
            self.assertEqual(watched.page.query_selector_all(".gap"), [])


class RemovalTests(LiveCase):
    """A recording in which a post is removed a second later, played over and over."""

    sources = """
[[events.sources]]
type = "replay"
file = "removal.jsonl"
speed = 1.0
loop = true
"""

    def setUp(self) -> None:
        super().setUp()

        def line(second: int, **members: Any) -> str:
            return json.dumps({"seq": second + 1, "at": f"2026-01-01T10:00:0{second}.000Z", **members})

        def posted(number: int) -> dict[str, Any]:
            return {
                "id": f"x:{number}",
                "source": "x",
                "kind": "post",
                "author": {"name": "Bea"},
                "text": f"recorded {number}",
                "html": f"<p>recorded {number}</p>",
                "created_at": "2026-01-01T10:00:00Z",
            }

        lines = [
            line(0, type="item.posted", version="1", item=posted(1)),
            line(0, type="item.posted", version="1", item=posted(2)),
            line(1, type="item.removed", id="x:2"),
            line(2, type="item.posted", version="1", item=posted(3)),
        ]
        (self.server.directory / "removal.jsonl").write_text("\n".join(lines) + "\n", "utf-8")

    def test_a_removed_post_leaves_every_screen(self) -> None:
        watch = """
            window.seen = {came: [], went: []};
            const id = (entry) => entry.querySelector?.(".item")?.id;
            const ids = (nodes) => [...nodes].map(id).filter(Boolean);
            new MutationObserver((records) => {
              for (const record of records) {
                seen.came.push(...ids(record.addedNodes));
                seen.went.push(...ids(record.removedNodes));
              }
            }).observe(document.getElementById("stream"), {childList: true});
        """
        self.server.start()
        with chromium() as browser, self.page(browser) as watched:
            watched.wait_live("websocket")
            watched.page.evaluate(watch)
            watched.page.wait_for_function("() => seen.went.some((id) => seen.came.includes(id))")
            gone = watched.page.evaluate("seen.went")
            self.assertTrue(all(id.startswith("item-x:2") for id in gone), gone)
            self.assertNotIn(gone[0].removeprefix("item-"), self.log_ids())


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "</article></section><script>document.title='owned'</script>",
    "<a href='javascript:alert(1)'>x</a>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    "<style>body { display: none }</style>",
    "<form action=https://evil.example><input name=x>",
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "<p style='position:fixed;inset:0'>",
    "{{ 7 * 7 }}",
    "javascript:alert(1)",
    "\u202eevil\u202c \u2066x",
    "a" * 400,
    "\u0301" * 60 + "zalgo",
    "שלום <b>עולם</b> مرحبا",
    "👩‍👩‍👧‍👦" * 20,
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<math><mi//xlink:href='data:x,<script>alert(1)</script>'>",
]


class HostileTests(LiveCase):
    def hostile(self, number: int, text: str) -> dict[str, Any]:
        return {
            "id": f"{number}",
            "text": text,
            "author": {"name": text[:200], "handle": text[:50]},
            "media": [
                {
                    "type": "photo",
                    "url": f"https://pics.example/{number}.jpg",
                    "alt": text,
                    "width": 3,
                    "height": 2,
                }
            ],
        }

    def test_a_page_full_of_hostile_posts_runs_nothing_and_stays_whole(self) -> None:
        self.server.start()
        half = len(HOSTILE) // 2
        items = [self.hostile(number, text) for number, text in enumerate(HOSTILE)]
        self.server.push(*items[:half])
        with chromium() as browser, self.page(browser, viewport={"width": 390, "height": 844}) as watched:
            watched.wait_live("websocket")
            self.server.push(*items[half:])
            page = watched.page
            # What cannot be seen yet follows frame by frame.
            page.wait_for_function(
                "count => document.querySelectorAll('#stream > .entry > .item').length >= count", arg=len(items)
            )
            self.assertEqual(watched.ids(), self.log_ids())
            self.assertEqual(page.title(), "The Rehearsal")
            self.assertEqual(
                page.eval_on_selector_all("#stream > .entry > .item", "all => all.length"), len(items)
            )
            bad = "#stream :is(script, style, iframe, form, base, meta, svg, math, object, embed, input)"
            self.assertEqual(page.eval_on_selector_all(bad, "all => all.map(one => one.outerHTML)"), [])
            handlers = """all => all.flatMap(one => [...one.attributes])
                .filter(attribute => attribute.name.startsWith("on") || attribute.name === "style")
                .map(attribute => attribute.ownerElement.outerHTML)"""
            self.assertEqual(page.eval_on_selector_all("#stream *", handlers), [])
            # However long the words, a phone never has to scroll sideways.
            self.assertTrue(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


class WithoutScriptsTests(LiveCase):
    def test_the_page_shows_the_newest_posts_and_leads_to_all_others(self) -> None:
        self.server.start()
        self.push(*range(1, 121))
        seen: list[str] = []
        with chromium() as browser, self.page(browser, java_script_enabled=False) as watched:
            while True:
                seen += [
                    id.removeprefix("item-")
                    for id in watched.page.locator("#stream .item").evaluate_all(
                        "all => all.map(item => item.id)"
                    )
                ]
                older = watched.page.locator("#older")
                if not older.is_visible():
                    break
                watched.follow(older)
        self.assertEqual(seen, self.log_ids())
