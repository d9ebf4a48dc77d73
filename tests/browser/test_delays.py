"""Posts that are delayed, and outages upstream: what the page says of them, and when."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from afeed.core.draft import SourceGap
from afeed.core.outages import Outage
from tests.browser.chromium import Watched
from tests.browser.scenario import ScriptedCase
from tests.web.samples import NOW, make_item

NOTE = "New posts are delayed. Nothing is lost; they appear here by themselves."


class DelayTests(ScriptedCase):
    def shown(self, watched: Watched) -> tuple[str, bool]:
        """The state of the connection, and whether the note is there."""
        return watched.state(), watched.page.is_visible("#delayed")

    def wait_shown(self, watched: Watched, state: str, note: bool) -> None:
        """Return once :meth:`shown` is this."""
        watched.page.wait_for_function(
            """([state, note]) => document.getElementById("connection").innerText === state
                && document.getElementById("delayed").hidden !== note""",
            arg=[state, note],
        )

    def wait_for_note(self, watched: Watched, state: str) -> None:
        watched.page.wait_for_selector("#delayed", state=state)  # type: ignore[arg-type]

    def stall(self, stalled: bool) -> None:
        self.do(self.server.stall, stalled)

    def test_a_delay_is_told_while_it_lasts_on_every_transport(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            for transport, live in (
                ("websocket", "Live"),
                ("sse", "Live"),
                ("poll", "Live, every few seconds"),
            ):
                self.open(watched, f"?transport={transport}")
                watched.wait_live(transport)
                self.assertEqual(self.shown(watched), (live, False))
                self.stall(True)
                self.wait_for_note(watched, "visible")
                self.assertEqual(watched.page.inner_text("#delayed"), NOTE)
                self.assertEqual(self.shown(watched), ("New posts are delayed", True))
                self.stall(False)
                self.wait_for_note(watched, "hidden")
                self.assertEqual(self.shown(watched), (live, False))

        return self.browse(scenario)

    def test_an_ordinary_ping_ends_it_too(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("websocket")
            self.stall(True)
            self.wait_for_note(watched, "visible")
            self.do(self.server.send, {"type": "ping", "cursor": self.server.head})
            self.wait_for_note(watched, "hidden")

        return self.browse(scenario)

    def test_who_comes_during_a_delay_reads_of_it_with_and_without_scripts(self) -> Deferred[None]:
        self.server.stall(True)

        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("websocket")
            self.assertEqual(self.shown(watched), ("New posts are delayed", True))
            self.stall(False)
            self.wait_for_note(watched, "hidden")

        def without(watched: Watched) -> None:
            self.open(watched)
            self.assertTrue(watched.page.is_visible("#delayed"))

        first = self.browse(without, java_script_enabled=False)
        return first.addCallback(lambda _: self.browse(scenario))

    def test_a_lost_connection_is_what_is_told_and_the_delay_again_afterwards(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("websocket")
            self.stall(True)
            self.wait_for_note(watched, "visible")
            self.server.refused = {"websocket", "sse", "poll"}
            self.do(self.server.drop)
            self.wait_shown(watched, "Connection lost, trying again", False)
            self.do(self.server.recover)
            watched.wait_live("websocket")
            self.assertEqual(self.shown(watched), ("New posts are delayed", True))

        return self.browse(scenario)

    def test_the_wall_keeps_its_posts_and_has_a_small_mark(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched, "/wall")
            watched.wait_live("websocket")
            self.assertFalse(watched.page.is_visible("#connection"))
            before = watched.ids()
            self.stall(True)
            watched.page.wait_for_selector("#connection.stalled")
            self.assertEqual(watched.state(), "New posts are delayed")
            box = watched.page.locator("#connection").bounding_box()
            assert box is not None
            self.assertLess(box["height"], 60)
            self.assertEqual(watched.ids(), before)
            self.stall(False)
            watched.page.wait_for_selector("#connection", state="hidden")

        return self.browse(scenario, viewport={"width": 1920, "height": 1080})


def a_gap(to: str | None, state: str, fetched: int) -> dict[str, Any]:
    """What the log says of an outage."""
    return {
        "source": "x",
        "from": "2026-11-22T09:00:00Z",
        "to": to,
        "state": state,
        "fetched": fetched,
        "reason": "outage",
    }


#: Every sentence there is.
GAPS = (
    a_gap(None, "open", 0),
    a_gap("2026-11-22T09:05:00Z", "open", 0),
    a_gap("2026-11-22T09:05:00Z", "closed", 0),
    a_gap("2026-11-22T09:05:00Z", "closed", 1),
    a_gap("2026-11-22T09:05:00Z", "closed", 17),
)


class MarkTests(ScriptedCase):
    def test_a_mark_is_the_same_whether_it_came_live_or_with_the_page(self) -> Deferred[None]:
        # But for the class that lets it glide in.
        read = """(() => {
          const entry = document.querySelector('#stream .gap').parentElement.cloneNode(true);
          entry.classList.remove('new');
          return entry.outerHTML;
        })()"""

        def scenario(watched: Watched) -> None:
            # Half a day after the gap the page names its day, too, and that moment comes on some day.
            watched.page.clock.set_fixed_time(NOW)
            for number, gap in enumerate(GAPS):
                self.server.feed.gaps = []
                # Or the page would have the mark of the gap before, until it hears of this one.
                del self.server.changes[len(self.items) :]
                self.open(watched, "/wall" if number % 2 else "")
                watched.wait_live("websocket")
                self.do(self.server.append, {"type": "source.gap", **gap})
                watched.page.wait_for_selector("#stream .gap")
                live = watched.page.evaluate(read)
                members = {name: value for name, value in gap.items() if name != "from"}
                self.server.feed.gaps = [Outage(99, SourceGap(from_=gap["from"], **members))]
                watched.page.reload()
                watched.wait_live("websocket")
                self.assertEqual(watched.page.evaluate(read), live)
                self.assertEqual(watched.page.locator("#stream .gap").count(), 1)

        return self.browse(scenario)

    def test_what_is_told_later_goes_into_the_mark_that_the_page_came_with(self) -> Deferred[None]:
        open_gap = SourceGap(
            source="x", from_="2026-11-22T09:00:00Z", to=None, state="open", fetched=0, reason="outage"
        )
        self.server.feed.gaps = [Outage(2, open_gap)]

        def scenario(watched: Watched) -> None:
            self.open(watched)
            watched.wait_live("websocket")
            order = "all => all.map(entry => entry.firstElementChild.id || 'mark')"
            before = watched.page.eval_on_selector_all("#stream > *", order)
            self.assertEqual(before, ["item-push:3", "mark", "item-push:2", "item-push:1"])
            self.assertIn("Its posts will follow", watched.page.inner_text(".gap"))
            self.do(self.server.append, {"type": "source.gap", **GAPS[4]})
            watched.page.wait_for_function(
                "() => document.querySelector('.gap').innerText.includes('17 posts')"
            )
            self.assertEqual(watched.page.eval_on_selector_all("#stream > *", order), before)

        return self.browse(scenario)

    def test_on_the_wall_the_newest_post_keeps_its_place_beside_a_mark(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched, "/wall")
            watched.wait_live("websocket")
            newest = watched.page.locator("#item-push\\:3")
            before = newest.bounding_box()
            self.do(self.server.append, {"type": "source.gap", **GAPS[0]})
            watched.page.wait_for_selector("#stream .gap")
            self.assertEqual(newest.bounding_box(), before)
            mark = watched.page.locator("#stream .gap").bounding_box()
            assert before is not None
            assert mark is not None
            self.assertGreater(mark["x"], before["x"] + before["width"])

        return self.browse(scenario, viewport={"width": 1920, "height": 1080})

    def test_however_many_outages_there_are_the_wall_keeps_its_posts(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            self.open(watched, "/wall")
            watched.wait_live("websocket")
            for minute in range(10, 30):
                gap = {**GAPS[1], "from": f"2026-11-22T09:{minute}:00Z", "to": f"2026-11-22T09:{minute}:30Z"}
                self.do(self.server.append, {"type": "source.gap", **gap})
            watched.page.wait_for_selector('[id="gap-x-2026-11-22T09:29:00Z"]')
            self.assertEqual(watched.ids(), ["push:3", "push:2", "push:1"])
            read = "all => all.map(mark => mark.parentElement.id)"
            marks = watched.page.eval_on_selector_all("#stream .gap", read)
            self.assertEqual(marks, [f"gap-x-2026-11-22T09:{minute}:00Z" for minute in (29, 28)])
            for number in range(4, 20):
                self.do(self.server.post, make_item(number))
            watched.wait_for_item("push:19")
            self.assertEqual(watched.ids(), [f"push:{number}" for number in range(19, 7, -1)])
            # They were above the third post, which is gone.
            self.assertEqual(watched.page.locator("#stream .gap").count(), 0)

        return self.browse(scenario)

    def test_without_scripts_a_mark_has_its_times(self) -> Deferred[None]:
        gap = GAPS[1]
        members = {name: value for name, value in gap.items() if name != "from"}
        self.server.feed.gaps = [Outage(2, SourceGap(from_=gap["from"], **members))]

        def scenario(watched: Watched) -> None:
            self.open(watched)
            self.assertEqual(
                watched.page.inner_text(".gap"),
                "X could not be reached from 2026-11-22 09:00 to 2026-11-22 09:05. "
                "Posts from that time may be missing.",
            )

        return self.browse(scenario, java_script_enabled=False)
