"""Many posts at once: they go onto the page in portions, in order, and nothing that happens to them meanwhile
is lost."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from tests.browser.chromium import Watched
from tests.browser.scenario import ScriptedCase
from tests.browser.test_reading import LEAST_SHIFT, OBSERVER
from tests.web.samples import make_item

#: So many entries may go onto the page within one frame, and so many posts are on it at most.
MOST_IN_A_FRAME, LIMIT = 30, 500

#: Counts the entries that go onto the page by the frame in which they do.
FRAMES = """
    window.frame = 0;
    window.added = {};
    const count = () => { frame += 1; requestAnimationFrame(count); };
    requestAnimationFrame(count);
    new MutationObserver((records) => {
      for (const record of records) {
        if (record.target.id !== "stream") continue;
        const entries = [...record.addedNodes].filter((node) => node.nodeType === 1).length;
        added[frame] = (added[frame] ?? 0) + entries;
      }
    }).observe(document, {childList: true, subtree: true});
"""

#: Keeps what is to be done in the next frame until it is asked for.
HOLD = """() => {
    window.frames_ = [];
    window.ordinary = requestAnimationFrame;
    window.requestAnimationFrame = (action) => frames_.push(action);
}"""
GO_ON = """() => {
    window.requestAnimationFrame = ordinary;
    for (const action of frames_) action(performance.now());
}"""


class ManyCase(ScriptedCase):
    def post_many(self, first: int, last: int) -> None:
        """In messages of up to 200, as servers send them."""
        for begin in range(first, last + 1, 200):
            numbers = range(begin, min(begin + 200, last + 1))
            self.do(self.server.post_together, [make_item(number) for number in numbers])

    def paused(self, watched: Watched) -> None:
        self.open(watched)
        watched.wait_live("websocket")
        watched.page.click("#pause")

    def waiting(self, watched: Watched, text: str) -> None:
        watched.page.wait_for_selector(f"#news:has-text('{text}')")

    def taken_in(self, watched: Watched) -> None:
        """Return once the page has heard whatever was sent so far."""
        for stalled, state in ((True, "visible"), (False, "hidden")):
            self.do(self.server.stall, stalled)
            watched.page.wait_for_selector("#delayed", state=state)  # type: ignore[arg-type]

    def settled(self, watched: Watched, ids: list[str]) -> None:
        """Return once exactly these posts are on the page and nothing moves."""
        watched.page.wait_for_function(
            """ids => JSON.stringify(ids) === JSON.stringify(
                [...document.querySelectorAll('#stream .item')].map(item => item.id.slice(5)))""",
            arg=ids,
        )
        watched.page.wait_for_function("() => document.getAnimations().length === 0")


def newest(last: int, count: int) -> list[str]:
    return [f"push:{number}" for number in range(last, last - count, -1)]


class ManyTests(ManyCase):
    def test_what_waited_comes_in_order_and_a_few_in_each_frame(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.paused(watched)
            self.post_many(4, 303)
            self.waiting(watched, "300 new posts")
            watched.page.evaluate(f"() => {{ {FRAMES} }}")
            watched.page.click("#news")
            self.settled(watched, newest(303, 303))
            added = watched.page.evaluate("added")
            self.assertEqual(sum(added.values()), 300)
            self.assertLessEqual(max(added.values()), MOST_IN_A_FRAME, added)
            self.assertTrue(watched.page.is_hidden("#news"))

        return self.browse(scenario)

    def test_who_asks_sees_the_newest_at_once(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.paused(watched)
            self.post_many(4, 203)
            self.waiting(watched, "200 new posts")
            watched.page.evaluate(HOLD)
            watched.page.click("#news")
            watched.wait_for_item("push:203")
            seen = watched.ids_now()
            self.assertEqual((seen[0], seen[-3:]), ("push:203", newest(3, 3)))
            self.assertLess(len(seen), 40)
            # Where the glide leads to, what is still to come is not seen coming.
            below = f"document.querySelectorAll('#stream .entry')[{len(seen) - 3}].offsetTop"
            self.assertTrue(watched.page.evaluate(f"{below} > innerHeight"))
            watched.page.evaluate(GO_ON)
            self.settled(watched, newest(203, 203))

        return self.browse(scenario)

    def test_edits_removals_and_new_posts_are_right_while_others_go_in(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            page = watched.page
            self.paused(watched)
            self.post_many(4, 203)
            self.waiting(watched, "200 new posts")
            self.do(self.server.remove, "push:30")
            self.post(31, text="edited while it waited", html="<p>edited while it waited</p>")
            self.waiting(watched, "199 new posts")
            self.taken_in(watched)
            page.evaluate(HOLD)
            page.click("#news")
            watched.wait_for_item("push:203")
            self.assertNotIn("push:20", watched.ids_now())
            self.do(self.server.remove, "push:20")
            self.post(21, text="edited on the way", html="<p>edited on the way</p>")
            self.do(self.server.remove, "push:203")
            self.post(204)
            self.waiting(watched, "1 new post")
            page.evaluate(GO_ON)
            gone = {"push:20", "push:30", "push:203"}
            self.settled(watched, [id for id in newest(203, 203) if id not in gone])
            for number, text in ((31, "edited while it waited"), (21, "edited on the way")):
                self.assertIn(text, page.locator(f'[id="item-push:{number}"]').text_content() or "")
            page.click("#pause")
            watched.wait_for_item("push:204")
            self.assertEqual(watched.ids()[0], "push:204")

        return self.browse(scenario)

    def test_the_page_and_what_waits_are_bounded(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            page = watched.page
            self.paused(watched)
            elements = page.evaluate("document.querySelectorAll('*').length")
            self.post_many(4, 903)
            self.waiting(watched, "500 new posts")
            self.taken_in(watched)
            # What waits is no part of the document, and no element of any.
            self.assertEqual(page.evaluate("document.querySelectorAll('*').length"), elements)
            page.click("#news")
            self.settled(watched, newest(903, LIMIT))
            page.wait_for_selector("#older[href*='before=404']")
            page.click("#pause")
            self.post_many(904, 1103)
            watched.wait_for_item("push:1103")
            page.wait_for_function(
                "() => document.querySelectorAll('#stream .item')[499]?.id === 'item-push:604'"
            )
            self.assertEqual(watched.ids(), newest(1103, LIMIT))

        return self.browse(scenario)

    def test_nothing_shifts_when_many_come_in_one_message(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            watched.page.add_init_script(OBSERVER)
            self.open(watched)
            watched.wait_live("websocket")
            for first in (4, 204, 404):
                self.post_many(first, first + 199)
                watched.wait_for_item(f"push:{first + 199}")
            self.settled(watched, newest(603, LIMIT))
            shifts = watched.page.evaluate("shifts")
            self.assertLess(sum(shift["value"] for shift in shifts), LEAST_SHIFT, shifts)

        return self.browse(scenario, viewport={"width": 390, "height": 844})

    def test_the_projector_view_shows_the_newest_and_no_more(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched, "/wall")
            watched.wait_live("websocket")
            self.post_many(4, 403)
            self.settled(watched, newest(403, 12))

        return self.browse(scenario)

    def test_a_page_in_the_background_takes_everything_in(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            watched.page.add_init_script("Object.defineProperty(document, 'hidden', {get: () => true})")
            self.open(watched)
            watched.wait_live("websocket")
            watched.page.evaluate(HOLD)  # browsers give frames only to what is looked at
            self.post_many(4, 203)
            self.settled(watched, newest(203, 203))

        return self.browse(scenario)
