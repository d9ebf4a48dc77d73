"""What the live page shows: posts, edits, removals, gaps, and never anything twice or in silence."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from tests.browser.chromium import Watched
from tests.browser.scenario import ScriptedCase
from tests.browser.test_reading import PAINTED
from tests.web.samples import make_item


class IntegrityTests(ScriptedCase):
    def marks(self, watched: Watched) -> list[str]:
        return [element.inner_text() for element in watched.page.query_selector_all(".gap")]

    def test_a_gap_becomes_a_mark_between_the_posts(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("websocket")
            gap = {"type": "gap", "from": 4, "to": 9, "reason": "expired", "cursor": "k3f9:9"}
            self.do(self.server.send, gap)
            self.server.changes += [{"seq": seq, "type": "redacted"} for seq in range(4, 10)]
            self.post(10)
            watched.wait_for_item("push:10")
            self.assertEqual(self.marks(watched), ["Some posts may be missing here. Load the page again"])
            self.assertEqual(
                watched.page.eval_on_selector_all(
                    "#stream > *", "all => all.map(entry => entry.firstElementChild.id || 'mark')"
                ),
                ["item-push:10", "mark", "item-push:3", "item-push:2", "item-push:1"],
            )

        return self.browse(scenario)

    def test_a_hole_in_the_numbers_is_noticed(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("websocket")
            self.server.changes.append({"seq": 4, "type": "redacted"})
            self.post(5)
            watched.wait_for_item("push:5")
            self.assertEqual(len(self.marks(watched)), 1)

        return self.browse(scenario)

    def test_what_comes_twice_is_shown_once(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("websocket")
            self.post(4)
            message = {"type": "changes", "cursor": self.server.head, "changes": self.server.changes}
            self.do(self.server.send, message)
            self.post(5)
            watched.wait_for_item("push:5")
            self.assertEqual(watched.ids(), [f"push:{number}" for number in (5, 4, 3, 2, 1)])
            self.assertEqual(self.marks(watched), [])

        return self.browse(scenario)

    def test_an_item_known_by_its_id_is_not_shown_twice_in_a_new_epoch(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("websocket")
            self.server.epoch = "n3w"
            self.server.gap = {"from": None, "to": None, "reason": "epoch", "cursor": "n3w:0"}
            everything = {"type": "changes", "cursor": "n3w:3", "changes": self.server.changes}
            self.do(self.server.drop)
            watched.until(lambda: len(self.server.asked) == 2, "the page to come back")
            self.do(self.server.send, everything)
            self.post(4)
            watched.wait_for_item("push:4")
            self.assertEqual(watched.ids(), [f"push:{number}" for number in (4, 3, 2, 1)])
            self.assertEqual(len(self.marks(watched)), 1)

        return self.browse(scenario)

    def test_an_outage_upstream_is_told_and_its_end_too(self) -> Deferred[None]:
        gap = {"type": "source.gap", "source": "x", "from": "2026-11-22T12:00:00Z", "reason": "silent"}

        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("websocket")
            self.do(self.server.append, {**gap, "to": None, "state": "open", "fetched": 0})
            watched.page.wait_for_selector(".gap")
            self.assertIn("Nothing can be fetched from X", self.marks(watched)[0])
            closed = {**gap, "to": "2026-11-22T12:05:00Z", "state": "closed", "fetched": 7}
            self.do(self.server.append, closed)
            watched.page.wait_for_function("() => document.querySelector('.gap').innerText.includes('7 posts')")
            self.assertEqual(len(self.marks(watched)), 1)
            unfilled = {**gap, "to": "2026-11-22T12:05:00Z", "state": "open", "fetched": 0}
            self.do(self.server.append, unfilled)
            watched.page.wait_for_function(
                "() => document.querySelector('.gap').innerText.includes('may be missing')"
            )
            self.assertEqual(len(self.marks(watched)), 1)

        return self.browse(scenario)

    def test_a_position_that_the_server_refuses_is_given_up_and_told(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("websocket")

            def refuse() -> None:
                for viewer in self.server._viewers:
                    viewer.sendClose(4400, "bad cursor")

            self.do(refuse)
            watched.until(lambda: ("websocket", None) in self.server.asked, "the page to start over")
            self.post(4)
            watched.wait_for_item("push:4")
            self.assertEqual(len(self.marks(watched)), 1)

        return self.browse(scenario)


class ListTests(ScriptedCase):
    def test_an_edit_replaces_in_place_and_a_removal_removes(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("websocket")
            edited = {**self.server._posted(make_item(2, html="<p>corrected</p>")), "type": "item.edited"}
            self.do(self.server.append, edited)
            watched.page.wait_for_function(
                "() => document.querySelector('#stream').innerText.includes('corrected')"
            )
            self.assertEqual(watched.ids(), ["push:3", "push:2", "push:1"])
            self.do(self.server.remove, "push:3")
            watched.page.wait_for_function("() => !document.getElementById('item-push:3')")
            self.assertEqual(watched.ids(), ["push:2", "push:1"])

        return self.browse(scenario)

    def test_what_is_not_on_the_page_is_ignored(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("websocket")
            self.do(self.server.append, {**self.server._posted(make_item(99)), "type": "item.edited"})
            self.do(self.server.remove, "push:98")
            self.do(self.server.append, {"type": "redacted"})
            self.do(self.server.append, {"type": "something.new", "whatever": 1})
            self.post(8)
            watched.wait_for_item("push:8")
            self.assertEqual(watched.ids(), ["push:8", "push:3", "push:2", "push:1"])

        return self.browse(scenario)

    def test_while_one_reads_new_posts_wait_behind_a_button(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            page = watched.page
            for number in range(4, 40):
                self.post(number)
            self.server.feed.items = [make_item(number) for number in range(1, 40)]
            self.open(watched)
            watched.wait_live("websocket")
            page.evaluate("scrollTo(0, 1000)")
            # The page has noticed, and what is on the screen now is laid out.
            page.wait_for_function(
                "() => scrollY === 1000 && !document.getElementById('stream').style.overflowAnchor"
            )
            page.evaluate(PAINTED)
            before = page.evaluate("document.getElementById('item-push:30').getBoundingClientRect().top")
            for number in range(40, 43):
                self.post(number)
            page.wait_for_selector("#news:has-text('3 new posts')")
            self.do(self.server.remove, "push:41")
            page.wait_for_selector("#news:has-text('2 new posts')")
            edited = {**self.server._posted(make_item(40, html="<p>corrected</p>")), "type": "item.edited"}
            self.do(self.server.append, edited)
            self.assertEqual(watched.ids()[0], "push:39")
            after = page.evaluate("document.getElementById('item-push:30').getBoundingClientRect().top")
            self.assertEqual(before, after)
            page.click("#news")
            watched.wait_for_item("push:42")
            self.assertEqual(watched.ids()[:3], ["push:42", "push:40", "push:39"])
            page.wait_for_selector('[id="item-push:40"]:has-text("corrected")')
            self.assertTrue(page.is_hidden("#news"))
            self.assertEqual(page.evaluate("scrollY"), 0)

        return self.browse(scenario, reduced_motion="reduce")

    def test_the_page_does_not_grow_for_ever(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("websocket")
            for number in range(4, 600):
                self.server.changes.append({"seq": number, **self.server._posted(make_item(number))})
            message = {"type": "changes", "cursor": self.server.head, "changes": self.server.changes}
            self.do(self.server.send, message)
            # What cannot be seen follows frame by frame.
            watched.wait_for_item("push:100")
            watched.page.wait_for_function("() => document.querySelectorAll('#stream .item').length <= 500")
            self.assertEqual(watched.ids(), [f"push:{number}" for number in range(599, 99, -1)])
            watched.page.wait_for_selector(f'#older[href="{self.url}/rehearsal?before=100"]')

        return self.browse(scenario)

    def test_times_tick(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            # However long the page takes to load: half a minute after the post.
            watched.page.clock.install(time="2026-11-22T11:59:00Z")
            watched.page.clock.pause_at("2026-11-22T11:59:30Z")
            self.open(watched)
            watched.wait_live("websocket")
            self.assertEqual(watched.page.inner_text("#stream time >> nth=0"), "now")
            watched.page.clock.run_for(200_000)
            self.assertEqual(watched.page.inner_text("#stream time >> nth=0"), "4 min")

        return self.browse(scenario)

    def test_the_first_post_of_an_event_replaces_the_empty_page(self) -> Deferred[None]:
        self.server.feed.items.clear()
        self.server.changes.clear()

        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("websocket")
            self.assertTrue(watched.page.is_visible("#empty"))
            self.post(1)
            watched.wait_for_item("push:1")
            self.assertTrue(watched.page.is_hidden("#empty"))

        return self.browse(scenario)

    def test_the_wall_is_never_blank(self) -> Deferred[None]:
        self.server.feed.items.clear()
        self.server.changes.clear()

        def scenario(watched: Watched) -> None:
            watched.page.goto(f"{self.url}/rehearsal/wall")
            watched.wait_live("websocket")
            box = watched.page.locator("#empty strong").bounding_box()
            assert box is not None
            self.assertLess(box["y"] + box["height"], 1080)
            self.post(1)
            watched.wait_for_item("push:1")
            self.assertTrue(watched.page.is_hidden("#empty"))

        return self.browse(scenario, viewport={"width": 1920, "height": 1080})

    def test_the_wall_shows_its_code_and_the_newest_post_large_on_one_screen(self) -> Deferred[None]:
        items = [
            make_item(number, html=f"<p>{'long words ' * 60}</p>", text="long " * 60) for number in range(1, 9)
        ]
        self.server.feed.items = items

        def scenario(watched: Watched) -> None:
            page = watched.page
            page.goto(f"{self.url}/rehearsal/wall")
            watched.wait_live("websocket")
            page.wait_for_function("() => document.querySelector('.qr').naturalWidth > 0")
            boxes = [page.locator(one).bounding_box() for one in (".qr", ".entry >> nth=0")]
            for box in boxes:
                assert box is not None
                self.assertGreaterEqual(box["y"], 0)
                self.assertLessEqual(box["y"] + box["height"], 1080)
                self.assertGreater(box["height"], 200)
            self.assertTrue(page.evaluate("document.documentElement.scrollHeight <= innerHeight"))
            size = "parseFloat(getComputedStyle(document.querySelector('.entry .body')).fontSize)"
            self.assertGreaterEqual(page.evaluate(size), 48)

        return self.browse(scenario, viewport={"width": 1920, "height": 1080})

    def test_the_wall_shows_new_posts_and_keeps_its_last_screen(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            watched.page.goto(f"{self.url}/rehearsal/wall")
            watched.wait_live("websocket")
            for number in range(4, 20):
                self.post(number)
            watched.wait_for_item("push:19")
            self.assertEqual(watched.ids(), [f"push:{number}" for number in range(19, 7, -1)])
            self.server.refused = {"websocket", "sse", "poll"}
            self.do(self.server.drop)
            watched.page.wait_for_selector('#connection[data-state="waiting"]')
            self.assertEqual(len(watched.ids()), 12)

        return self.browse(scenario)

    def test_the_wall_does_not_replay_what_was_fetched_late(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            watched.page.goto(f"{self.url}/rehearsal/wall")
            watched.wait_live("websocket")
            self.do(self.server.post, make_item(4, created_at="2026-11-22T11:44:00Z"))
            self.do(self.server.post, make_item(5, created_at="2026-11-22T11:46:00Z"))
            watched.wait_for_item("push:5")
            self.assertEqual(watched.ids(), [f"push:{number}" for number in (5, 3, 2, 1)])

        return self.browse(scenario)

    def test_the_page_shows_what_was_fetched_late(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("websocket")
            self.do(self.server.post, make_item(4, created_at="2026-11-22T03:00:00Z"))
            watched.wait_for_item("push:4")

        return self.browse(scenario)
