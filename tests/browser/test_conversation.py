"""The pages of the conversation in a browser: live while a talk runs, following one room, for everybody, on
paper and without scripts."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from afeed.core.item import Author, Media
from afeed.settings import Server
from afeed.web.app import Pages
from tests.browser.chromium import Watched
from tests.browser.scenario import ScriptedCase
from tests.browser.test_accessibility import violations
from tests.web.samples import NOW, make_event, make_item
from tests.web.talks import FakeProgramme, FakeReading, a_schedule, a_talk, about

PHOTO = Media(type="photo", url="https://pics.example/1.jpg", width=1200, height=800, alt="the stage")
TALKS = (
    a_talk("opening", -180, track="web", subtitle="Hello", abstract="<p>About <b>everything</b>.</p>"),
    a_talk("running", -15),
    a_talk("beside", -15, room="side", title="What goes on beside it, at some length"),
    a_talk("lunch", 30, is_break=True, room=None, speakers=(), length=60),
    a_talk("later", 90),
    a_talk("off", 90, room="side", cancelled=True),
    a_talk("tomorrow", 1440 - 120),
)
ITEMS = (
    about(make_item(1, created_at="2026-11-22T09:05:00Z"), "opening"),
    about(make_item(2, created_at="2026-11-22T11:50:00Z", media=(PHOTO,), kind="photo"), "running"),
    about(make_item(3, created_at="2026-11-22T11:55:00Z", author=Author(name="Béa", handle="bea")), "beside"),
)
PAGES = (
    "/rehearsal/schedule",
    "/rehearsal/talks/running",
    "/rehearsal/talks/off",
    "/rehearsal/archive",
    "/rehearsal/archive?q=post&day=2026-11-22",
    "/rehearsal/items/2",
    "/rehearsal?room=main",
    "/rehearsal",
    "/rehearsal/wall",
)


class ConversationCase(ScriptedCase):
    items = ITEMS

    def setUp(self) -> None:
        super().setUp()
        self.now = NOW
        self.programme = FakeProgramme(a_schedule(*TALKS))
        self.reading = FakeReading(*ITEMS)
        self.server._pages = Pages(
            (make_event(),),
            self.server.feed,
            Server(public_url=self.url),
            lambda: self.now,
            archive=self.reading,
            programmes={"rehearsal": self.programme},
        ).resource()

    def say(self, number: int, talk: str | None) -> None:
        """Post an item about ``talk``, which the archive has as well."""
        item = about(make_item(number), talk)
        self.do(self.reading.items.append, item)
        self.do(self.server.post, item)


class FollowingTests(ConversationCase):
    def test_a_talks_page_shows_what_is_posted_about_it_and_nothing_else(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            watched.page.goto(f"{self.url}/rehearsal/talks/running")
            watched.wait_live("websocket")
            self.assertEqual(watched.ids(), ["push:2"])
            self.say(4, "beside")
            self.say(5, None)
            self.say(6, "running")
            watched.wait_for_item("push:6")
            self.assertEqual(watched.ids(), ["push:6", "push:2"])

        return self.browse(scenario)

    def test_what_is_filed_elsewhere_goes_and_what_is_filed_here_comes(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            watched.page.clock.install()
            watched.page.goto(f"{self.url}/rehearsal?room=main")
            self.assertEqual(watched.ids(), ["push:2", "push:1"])
            watched.page.clock.run_for(2000)
            watched.wait_live("websocket")
            self.say(4, None)
            self.say(5, "running")
            watched.wait_for_item("push:5")
            self.do(self.reading.items.__setitem__, 1, about(ITEMS[1], "beside"))
            self.do(self.server.append, {"type": "item.filed", "id": "push:2", "talk": "beside"})
            watched.page.wait_for_function("() => !document.getElementById('item-push:2')")
            self.do(self.reading.items.__setitem__, 3, about(make_item(4), "running"))
            self.do(self.server.append, {"type": "item.filed", "id": "push:4", "talk": "running"})
            watched.page.wait_for_timeout(100)
            watched.page.clock.run_for(10_000)
            watched.wait_for_item("push:4")
            self.assertEqual(watched.ids(), ["push:5", "push:4", "push:1"])

        return self.browse(scenario)

    def test_what_is_on_now_changes_by_itself_and_leaves_its_mark_in_the_stream(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            watched.page.clock.install(time=NOW)
            watched.page.goto(f"{self.url}/rehearsal")
            self.assertIn("Talk running", watched.page.inner_text("#now"))
            self.now += 91 * 60
            # At once: half an hour in which nobody hears a ping would be one new connection after the other.
            watched.page.clock.fast_forward(31 * 60_000)
            watched.page.wait_for_function(
                "() => document.querySelector('#now')?.innerText.includes('Talk later')"
            )
            first = watched.page.wait_for_selector("#stream > .divider:first-child")
            assert first is not None
            self.assertIn("Talk later", first.inner_text())

        return self.browse(scenario, timezone_id="UTC")

    def test_the_programme_is_brought_up_to_date(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            page = watched.page
            page.clock.install(time=NOW)
            page.goto(f"{self.url}/rehearsal/schedule")
            self.assertIn("Talk running", page.inner_text("#now"))
            self.assertIn("On now", page.inner_text(".talk:has-text('Talk running')"))
            page.evaluate("window.same = document.querySelector('main')")
            page.focus(".grid >> nth=0")
            self.now += 91 * 60
            page.clock.fast_forward(90_000)
            page.wait_for_selector(".talk.on:has-text('Talk later')")
            self.assertIn("Talk later", page.inner_text("#now"))
            self.assertNotIn("On now", page.inner_text(".talk:has-text('Talk running')"))
            # In its place, and the reader's own times with it.
            self.assertTrue(page.evaluate("window.same === document.querySelector('main')"))
            self.assertTrue(page.evaluate("document.activeElement === document.querySelector('.grid')"))
            self.assertIn("(", page.inner_text(".talk.on time, .talk.on .span"))

        return self.browse(scenario, timezone_id="Asia/Tokyo")


class PlainTests(ConversationCase):
    def test_everything_is_there_without_scripts(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            page = watched.page
            for path in PAGES:
                page.goto(f"{self.url}{path}")
            page.goto(f"{self.url}/rehearsal/schedule")
            page.click("text=Talk opening")
            page.wait_for_url("**/talks/opening")
            page.click("nav.tabs >> text=Archive")
            page.fill("#q", "post 2")
            page.press("#q", "Enter")
            page.wait_for_url("**/archive?q=post+2*")
            self.assertEqual(watched.ids(), ["push:2"])
            self.assertEqual(page.inner_text("mark"), "post")
            page.click("text=Permalink")
            page.wait_for_url("**/items/2")

        return self.browse(scenario, java_script_enabled=False)

    def test_nothing_is_wider_than_a_phone(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            for path in PAGES:
                watched.page.goto(f"{self.url}{path}")
                wider = watched.page.evaluate("document.documentElement.scrollWidth - innerWidth")
                self.assertLessEqual(wider, 0, path)

        return self.browse(scenario, viewport={"width": 360, "height": 740})

    def test_on_paper_there_is_what_is_to_be_read_and_nothing_to_press(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            page = watched.page
            page.emulate_media(media="print")
            for path in ("/rehearsal/schedule", "/rehearsal/talks/running", "/rehearsal/archive"):
                page.goto(f"{self.url}{path}")
                for part in (".tabs", ".foot", ".pager"):
                    for found in page.query_selector_all(part):
                        self.assertFalse(found.is_visible(), (path, part))
                self.assertGreater(len(page.pdf()), 5000)
            self.assertTrue(page.is_visible("#item-push\\:2"))

        return self.browse(scenario)

    def test_times_of_the_reader_stand_behind_those_of_the_event(self) -> Deferred[None]:
        def scenario(watched: Watched) -> None:
            watched.page.goto(f"{self.url}/rehearsal/schedule")
            watched.page.wait_for_selector("#yours:not([hidden])")
            self.assertIn("09:00 (18:00)", watched.page.inner_text(".talk >> nth=0"))

        return self.browse(scenario, timezone_id="Asia/Tokyo", locale="en-GB")


class RuleTests(ConversationCase):
    maxDiff = None
    """axe-core's rules on every page of the conversation, in both themes, on a phone and a laptop."""

    def look(self, theme: str) -> Deferred[None]:
        found: list[str] = []

        def scenario(watched: Watched) -> None:
            for width in (390, 1280):
                watched.page.set_viewport_size({"width": width, "height": 844})
                for path in PAGES:
                    watched.page.goto(f"{self.url}{path}")
                    found.extend(f"{path} at {width}: {one}" for one in violations(watched))

        options: dict[str, Any] = {"color_scheme": theme, "reduced_motion": "reduce"}
        done = self.browse(scenario, **options)
        return done.addCallback(lambda _: self.assertEqual(found, []))

    def test_light(self) -> Deferred[None]:
        return self.look("light")

    def test_dark(self) -> Deferred[None]:
        return self.look("dark")
