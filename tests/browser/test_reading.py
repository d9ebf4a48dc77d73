"""Reading the live page: nothing moves under the reader's eyes, and keyboard and ears get what eyes get."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from afeed.core.item import Media
from tests.browser.chromium import Watched
from tests.browser.scenario import ScriptedCase
from tests.web.samples import make_item

#: How far a page may shift while posts arrive, as browsers count it (0.1 is what they call good).
LEAST_SHIFT = 0.02

#: Adds up what the browser counts as a shift of the layout, from before the first paint.
OBSERVER = """
    window.shifts = [];
    const place = ({node, previousRect, currentRect}) =>
        `${node?.className ?? node?.nodeName} from ${previousRect.y} to ${currentRect.y}`;
    new PerformanceObserver((list) => {
      for (const {value, hadRecentInput, startTime, sources} of list.getEntries()) {
        if (!hadRecentInput) shifts.push({value, startTime, sources: sources.map(place)});
      }
    }).observe({type: "layout-shift", buffered: true});
"""

#: Two frames later, whatever was to be painted is.
PAINTED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def photo(number: int, **other: object) -> Media:
    """A photo from elsewhere."""
    return Media(
        **{
            "type": "photo",
            "url": f"https://pics.example/{number}.jpg",
            "width": 1200,
            "height": 800,
            "alt": f"photo {number}",
            **other,
        }
    )


class ShiftTests(ScriptedCase):
    def arrive(self, watched: Watched) -> None:
        """Let a hundred posts, some with photos, arrive one by one, and nothing shift."""
        watched.page.add_init_script(OBSERVER)
        self.open(watched)
        watched.wait_live("websocket")
        for number in range(4, 104):
            media = (photo(number),) if number % 5 == 0 else ()
            self.post(number, html=f"<p>{'post ' * (number % 40)}{number}</p>", media=media)
            if number % 3 == 0:
                watched.page.evaluate(PAINTED)
        watched.wait_for_item("push:103")
        watched.page.wait_for_function("() => document.getAnimations().length === 0")
        watched.page.evaluate(PAINTED)
        shifts = watched.page.evaluate("shifts")
        self.assertLess(sum(shift["value"] for shift in shifts), LEAST_SHIFT, shifts)

    def test_posts_that_slide_in_shift_nothing(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.arrive(watched)

        return self.browse(scenario, viewport={"width": 390, "height": 844})

    def test_nor_do_posts_that_are_there_without_moving(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.arrive(watched)

        return self.browse(scenario, reduced_motion="reduce")

    def test_the_test_would_notice(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            watched.page.add_init_script(OBSERVER)
            self.open(watched)
            watched.wait_live("websocket")
            watched.page.evaluate(
                """() => {
                    const wedge = document.createElement("div");
                    wedge.style.height = "300px";
                    document.querySelector("#stream").before(wedge);
                }"""
            )
            watched.page.wait_for_function("() => shifts.length > 0")
            shifted = watched.page.evaluate("shifts.reduce((sum, {value}) => sum + value, 0)")
            self.assertGreater(shifted, LEAST_SHIFT)

        return self.browse(scenario)


class PauseTests(ScriptedCase):
    def test_while_paused_new_posts_wait_and_removals_do_not(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            page = watched.page
            self.open(watched)
            watched.wait_live("websocket")
            page.click("#pause")
            self.assertEqual(watched.state(), "Paused")
            self.post(4)
            self.post(5)
            page.wait_for_selector("#news:has-text('2 new posts')")
            self.assertEqual(watched.ids(), ["push:3", "push:2", "push:1"])
            self.do(self.server.remove, "push:2")
            self.do(self.server.remove, "push:5")
            page.wait_for_selector("#news:has-text('1 new post')")
            self.assertEqual(watched.ids(), ["push:3", "push:1"])
            page.click("#pause")
            watched.wait_for_item("push:4")
            self.assertEqual(watched.ids(), ["push:4", "push:3", "push:1"])
            self.assertEqual(watched.state(), "Live")

        return self.browse(scenario)

    def test_what_waits_can_be_seen_without_going_on(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            page = watched.page
            self.open(watched)
            watched.wait_live("websocket")
            page.click("#pause")
            self.post(4)
            page.click("#news:has-text('1 new post')")
            watched.wait_for_item("push:4")
            self.post(5)
            page.wait_for_selector("#news:has-text('1 new post')")
            self.assertEqual(watched.ids(), ["push:4", "push:3", "push:2", "push:1"])

        return self.browse(scenario)

    def test_a_lost_connection_is_told_also_while_paused(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("websocket")
            watched.page.click("#pause")
            self.server.refused = {"websocket", "sse", "poll"}
            self.do(self.server.drop)
            watched.page.wait_for_selector('#connection[data-state="waiting"]')
            self.assertNotEqual(watched.state(), "Paused")

        return self.browse(scenario)


class LiveRegionTests(ScriptedCase):
    def test_there_is_one_and_it_tells_how_many_posts_came_now_and_then(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            page = watched.page
            page.clock.install()
            self.open(watched)
            watched.wait_live("websocket")
            regions = "#said, [aria-live], [role=status], [role=alert], [role=log]"
            self.assertEqual(page.locator(regions).count(), 1)
            said = page.locator("#said")
            self.assertEqual(said.inner_text(), "")
            self.post(4)
            watched.wait_for_item("push:4")
            page.wait_for_selector("#said:text-is('1 new post')", state="attached")
            self.post(5)
            self.post(6)
            watched.wait_for_item("push:6")
            self.assertEqual(said.inner_text(), "1 new post")
            page.clock.run_for(20_000)
            page.wait_for_selector("#said:text-is('2 new posts')", state="attached")

        return self.browse(scenario, reduced_motion="reduce")

    def test_it_tells_that_the_connection_is_lost_and_back(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("websocket")
            self.server.refused = {"websocket", "sse", "poll"}
            self.do(self.server.drop)
            watched.page.wait_for_selector("#said:has-text('Connection lost, trying again')", state="attached")
            self.server.refused = set()
            watched.page.wait_for_selector("#said:text-is('Live')", state="attached")

        return self.browse(scenario)


class LightboxTests(ScriptedCase):
    def setUp(self) -> None:
        super().setUp()
        self.server.feed.items = [
            make_item(1, media=(photo(1), photo(2, alt=None))),
            make_item(2),
            make_item(3, media=(photo(3, thumb_url="https://pics.example/small.jpg"),)),
        ]

    def shown(self, watched: Watched) -> str:
        """The address of the photo that is shown large."""
        watched.page.wait_for_function("() => document.querySelector('#lightbox img').src.endsWith('.jpg')")
        return str(watched.page.get_attribute("#lightbox img", "src"))

    def test_by_keyboard_alone(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            page = watched.page
            self.open(watched)
            watched.wait_live("websocket")
            page.focus("a.photo >> nth=0")
            page.keyboard.press("Enter")
            page.wait_for_selector("#lightbox[open]")
            page.wait_for_function("() => document.querySelector('#lightbox img').src.endsWith('/3.jpg')")
            self.assertEqual(page.get_attribute("#lightbox img", "alt"), "photo 3")
            self.assertEqual(page.inner_text("#lightbox figcaption").split("\n"), ["photo 3", "Ann"])
            within = "() => document.querySelector('#lightbox').contains(document.activeElement)"
            for _ in range(6):
                page.keyboard.press("Tab")
                # The browser's own frame comes in between; nothing of the page below does.
                self.assertTrue(page.evaluate(f"document.activeElement === document.body || ({within})()"))
            page.keyboard.press("ArrowRight")
            page.wait_for_function("() => document.querySelector('#lightbox img').src.endsWith('/1.jpg')")
            page.keyboard.press("ArrowRight")
            page.wait_for_function("() => document.querySelector('#lightbox img').src.endsWith('/2.jpg')")
            self.assertTrue(page.is_hidden("#lightbox .next"))
            page.keyboard.press("Escape")
            page.wait_for_selector("#lightbox", state="hidden")
            self.assertTrue(page.evaluate("document.activeElement.matches('a.photo')"))

        return self.browse(scenario)

    def test_nothing_moves_behind_it_and_then_everything_comes(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            page = watched.page
            self.open(watched)
            watched.wait_live("websocket")
            page.click("a.photo >> nth=0")
            page.wait_for_selector("#lightbox[open]")
            self.post(4)
            page.wait_for_selector("#news:has-text('1 new post')", state="attached")
            self.assertEqual(watched.ids(), ["push:3", "push:2", "push:1"])
            page.click("#lightbox .close")
            watched.wait_for_item("push:4")

        return self.browse(scenario)

    def test_a_removed_photo_leaves_the_screen(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            page = watched.page
            self.open(watched)
            watched.wait_live("websocket")
            page.click("a.photo >> nth=0")
            page.wait_for_selector("#lightbox[open]")
            self.do(self.server.remove, "push:3")
            page.wait_for_selector("#lightbox", state="hidden")
            self.assertIsNone(page.get_attribute("#lightbox img", "src"))

        return self.browse(scenario)

    def test_the_small_photo_stands_in_for_a_large_one_that_cannot_be_had(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            page = watched.page
            page.route("**/3.jpg", lambda route: route.fulfill(status=404))
            self.open(watched)
            watched.wait_live("websocket")
            with page.expect_response("**/3.jpg"):
                page.click("a.photo >> nth=0")
            self.assertEqual(self.shown(watched), "https://pics.example/small.jpg")
            self.assertEqual(page.get_attribute("#lightbox img", "alt"), "photo 3")

        return self.browse(scenario)

    def test_older_pages_have_it_too(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched, "?before=4")
            watched.page.click("a.photo >> nth=0")
            watched.page.wait_for_selector("#lightbox[open]")

        return self.browse(scenario)


class LanguageTests(ScriptedCase):
    def test_scripts_and_styles_speak_the_language_of_the_page(self) -> Deferred[None]:
        self.server.feed.items = [make_item(1, reply_to="x:1", created_at="2026-11-22T11:57:00Z")]
        del self.server.changes[1:]

        def scenario(watched: Watched) -> None:
            page = watched.page
            page.clock.set_fixed_time("2026-11-22T12:00:00Z")
            self.open(watched)
            watched.wait_live("websocket")
            self.assertEqual(page.get_attribute("html", "lang"), "de")
            self.assertEqual(page.inner_text("#stream time"), "3 Min.")
            mark = "getComputedStyle(document.querySelector('.mark.reply'), '::before').content"
            self.assertIn("Antwort", page.evaluate(mark))
            page.click("#pause")
            self.assertEqual(watched.state(), "Angehalten")
            self.post(2)
            page.wait_for_selector("#news:has-text('1 neuer Beitrag')")
            self.post(3)
            page.wait_for_selector("#news:has-text('2 neue Beiträge')")

        return self.browse(scenario, locale="de-AT")
