"""The pages for everybody: axe-core's rules in both themes, the keyboard alone, 200 % zoom, no movement."""

from __future__ import annotations

from datetime import date
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from twisted.internet.defer import Deferred

from afeed.core.item import Author, Media, Quote
from afeed.core.outages import Outage
from tests.browser.chromium import Watched
from tests.browser.scenario import ScriptedCase
from tests.core.test_outages import OVER, a_gap
from tests.web.samples import make_event, make_item

#: Everything that a post may have.
RICH = (
    make_item(1),
    make_item(
        2,
        author=Author(name="Bea", handle="bea", url="https://x.com/bea", avatar="https://pics.example/bea.jpg"),
        url="https://x.com/bea/status/2",
        html='<p>See <a href="https://example.org">this</a> and <b>that</b></p>',
        media=(
            Media(type="photo", url="https://pics.example/1.jpg", width=1200, height=800, alt="the stage"),
            Media(type="photo", url="https://pics.example/2.jpg", owner="Dee", licence="CC BY 4.0"),
            Media(type="video", url="https://v.example/1.mp4", thumb_url="https://pics.example/3.jpg"),
        ),
    ),
    make_item(3, sensitive=True, reply_to="x:1", shared_by=Author(name="Cy")),
    make_item(4, lang="he", html="<p>שלום עולם</p>", author=Author(name="דנה")),
    make_item(
        5,
        quote=Quote(
            author=Author(name="Dan", handle="dan"), text="q", html="<p>q</p>", url="https://x.com/d/1"
        ),
    ),
    make_item(6, media=(Media(type="video", url="https://v.example/1.mp4"),)),
)

#: One of each kind.
EVENTS = (
    make_event(),
    make_event("next", name="Next One", starts=date(2027, 1, 1), ends=date(2027, 1, 2)),
    make_event("last", name="Last One", starts=date(2026, 1, 1), ends=date(2026, 1, 2), hashtags=()),
)

WIDTHS = (390, 1280)


def violations(watched: Watched) -> list[str]:
    """What axe-core finds, each rule with the elements that break it; the page is whole then, style sheets and
    all, and what just appears has appeared."""
    watched.page.wait_for_load_state()
    watched.page.wait_for_function("() => document.getAnimations().length === 0")
    found: dict[str, Any] = Axe().run(watched.page).response
    assert len(found["passes"]) > 10, "axe-core did not look"
    return [
        f"{one['id']}: {one['help']}: {[node['html'] for node in one['nodes'][:3]]}"
        for one in found["violations"]
    ]


class AccessibilityCase(ScriptedCase):
    items = RICH

    def setUp(self) -> None:
        super().setUp()
        self.server.feed.gaps = [Outage(2, a_gap(5, OVER, "closed", 2))]


class RuleTests(AccessibilityCase):
    """axe-core's rules (WCAG 2.2 and best practices) on every page, as first seen and as used."""

    def look(self, theme: str) -> Deferred[None]:
        found: list[str] = []

        def visit(watched: Watched, *paths: str) -> None:
            for path in paths:
                watched.page.goto(f"{self.url}{path}")
                for width in WIDTHS:
                    watched.page.set_viewport_size({"width": width, "height": 800})
                    found.extend(f"{path} at {width}: {one}" for one in violations(watched))

        def scenario(watched: Watched) -> None:
            visit(watched, "/rehearsal", "/rehearsal?before=4&lang=de", "/rehearsal/wall", "/nothing")
            self.server.feed.items.clear()
            self.server.feed.gaps.clear()
            self.server.changes.clear()
            visit(watched, "/rehearsal", "/rehearsal/wall", "/rehearsal?before=4")
            self.server.serve(())
            visit(watched, "/")
            self.server.serve(EVENTS)
            visit(watched, "/")
            watched.complaints.clear()  # a 404 is one
            self.assertEqual(found, [])

        return self.browse(scenario, color_scheme=theme)

    def test_every_page_in_the_light_theme(self) -> Deferred[None]:
        return self.look("light")

    def test_every_page_in_the_dark_theme(self) -> Deferred[None]:
        return self.look("dark")

    def use(self, theme: str) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            page = watched.page
            self.open(watched)
            watched.wait_live("websocket")
            page.click("summary")
            page.click("#pause")
            self.do(self.server.stall, True)
            self.post(7)
            page.wait_for_selector("#news:has-text('1 new post')")
            found = violations(watched)
            self.server.refused = {"websocket", "sse", "poll"}
            self.do(self.server.drop)
            page.wait_for_selector('#connection[data-state="waiting"]')
            found += violations(watched)
            page.click("a.photo >> nth=0")
            page.wait_for_selector("#lightbox[open]")
            found += violations(watched)
            self.assertEqual(found, [])

        return self.browse(scenario, color_scheme=theme)

    def test_the_live_page_in_use_in_the_light_theme(self) -> Deferred[None]:
        return self.use("light")

    def test_the_live_page_in_use_in_the_dark_theme(self) -> Deferred[None]:
        return self.use("dark")

    def test_the_test_would_notice(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.page.evaluate("document.querySelector('.body').style.color = '#ccc'")
            watched.page.evaluate("document.querySelector('.photo img').removeAttribute('alt')")
            broken = {one.partition(":")[0] for one in violations(watched)}
            self.assertLessEqual({"color-contrast", "image-alt"}, broken)

        return self.browse(scenario, color_scheme="light")


class KeyboardTests(AccessibilityCase):
    def test_everything_can_be_reached_and_shows_that_it_was(self) -> Deferred[None]:
        reached = """() => {
            const one = document.activeElement;
            const style = getComputedStyle(one);
            return [one.id || one.className || one.textContent.trim(), parseFloat(style.outlineWidth) >= 2
                && style.outlineStyle !== "none"];
        }"""

        def scenario(watched: Watched) -> None:
            page = watched.page
            self.open(watched)
            watched.wait_live("websocket")
            expected = page.locator(":is(a[href], button, summary):visible").count()
            seen = []
            for _ in range(expected):
                page.keyboard.press("Tab")
                seen.append(page.evaluate(reached))
            self.assertEqual([name for name, outlined in seen if not outlined], [])
            names = [name for name, _ in seen]
            self.assertEqual(names[0], "skip")
            for name in ("pause", "name", "photo", "Projector view", "Deutsch"):
                self.assertIn(name, names)

        return self.browse(scenario, viewport={"width": 1280, "height": 800})

    def test_the_first_stop_skips_to_the_posts(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            page = watched.page
            self.open(watched)
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")
            page.wait_for_function("() => document.activeElement.id === 'stream'")
            page.keyboard.press("Tab")
            page.wait_for_function("() => document.activeElement.matches('#stream *')")

        return self.browse(scenario)

    def test_pausing_and_catching_up_by_keyboard(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            page = watched.page
            self.open(watched)
            watched.wait_live("websocket")
            page.focus("#pause")
            page.keyboard.press("Space")
            self.post(7)
            page.wait_for_selector("#news:has-text('1 new post')")
            page.focus("#news")
            page.keyboard.press("Enter")
            watched.wait_for_item("push:7")
            self.assertEqual(page.evaluate("document.activeElement.id"), "stream")

        return self.browse(scenario)


class ZoomTests(AccessibilityCase):
    items = (*RICH, make_item(7, text="x" * 300, html=f"<p>{'x' * 300}</p>", author=Author(name="y" * 100)))

    def test_at_twice_the_size_nothing_is_cut_off_to_the_side(self) -> Deferred[None]:
        # What a page at 200 % on a small laptop is to the browser: half the width, and again half.
        def scenario(watched: Watched) -> None:
            for width in (640, 320):
                watched.page.set_viewport_size({"width": width, "height": 400})
                for path in ("/", "/rehearsal", "/nothing"):
                    watched.page.goto(f"{self.url}{path}")
                    wide = watched.page.evaluate("document.documentElement.scrollWidth - innerWidth")
                    self.assertLessEqual(wide, 0, (path, width))
            watched.complaints.clear()  # a 404 is one

        return self.browse(scenario)

    def test_letters_of_twice_the_size_are_not_cut_off(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.page.evaluate("document.documentElement.style.fontSize = '200%'")
            wide = watched.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            self.assertLessEqual(wide, 0)

        return self.browse(scenario, viewport={"width": 390, "height": 844})


class MovementTests(AccessibilityCase):
    def test_who_wants_no_movement_gets_none(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("websocket")
            self.post(7)
            watched.wait_for_item("push:7")
            lasting = "document.getAnimations().filter(one => one.effect.getTiming().duration > 10).length"
            self.assertEqual(watched.page.evaluate(lasting), 0)

        return self.browse(scenario, reduced_motion="reduce")

    def test_everybody_else_gets_some(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("websocket")
            # Looked at from before it begins: it does not last.
            watched.page.evaluate(
                """() => {
                    const look = () => {
                        window.moved ||= document.getAnimations().length > 0;
                        requestAnimationFrame(look);
                    };
                    look();
                }"""
            )
            self.assertFalse(watched.page.evaluate("moved"))
            self.post(7)
            watched.page.wait_for_function("() => moved")

        return self.browse(scenario, reduced_motion="no-preference")
