"""The pages of the conversation over HTTP: schedule, talks, archive, items."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import date, timedelta

from twisted.trial.unittest import SynchronousTestCase

from afeed.archive.searching import Standing
from afeed.core.errors import ArchiveUnavailable, LogUnavailable
from afeed.core.item import Author, Media
from afeed.core.schedule.model import Speaker
from afeed.settings import Server
from afeed.web.app import Pages
from tests.web.client import Answer, ask
from tests.web.markup import Elements
from tests.web.samples import NOW, FakeFeed, make_event, make_item
from tests.web.talks import FakeProgramme, FakeReading, a_schedule, a_talk, about

PHOTO = Media(type="photo", url="https://p.example/1.jpg", alt="The stage")
TALKS = (
    a_talk("opening", -180, track="web", subtitle="Hello", abstract="<p>About <b>everything</b>.</p>"),
    a_talk("running", -15, url="https://conf.example/1"),
    a_talk("beside", -15, room="side", title="What goes on <beside>"),
    a_talk("lunch", 30, is_break=True, room=None, speakers=(), length=60),
    a_talk("later", 90),
    a_talk("off", 90, room="side", cancelled=True),
    a_talk("tomorrow", 1440 - 120),
)
ITEMS = (
    about(
        make_item(1, created_at="2026-11-22T09:05:00Z", text="Good morning", html="<p>Good morning</p>"),
        "opening",
    ),
    about(make_item(2, created_at="2026-11-22T11:50:00Z", media=(PHOTO,), kind="photo"), "running"),
    make_item(3, created_at="2026-11-22T11:55:00Z", text="Crème brûlée <3", html="<p>Crème brûlée &lt;3</p>"),
)


class ConversationCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.programme = FakeProgramme(a_schedule(*TALKS, aliases={"old": "running"}))
        self.archive = FakeReading(*ITEMS)
        self.feed = FakeFeed(*ITEMS)
        self.removed: dict[str, int] = {}
        self.moved: set[str] = set()
        self.now = NOW
        past = make_event("last", starts=date(2026, 1, 1), ends=date(2026, 1, 2))
        self.pages = Pages(
            (make_event(), past),
            self.feed,
            Server(),
            lambda: self.now,
            archive=self.archive,
            programmes={"rehearsal": self.programme},
            removals=lambda event: nullcontext(self.removed),
            moved=lambda event: frozenset(self.moved),
        )

    def get(self, path: str | bytes, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self.pages.resource(), path, headers=named)

    def look(self, path: str, status: int = 200) -> Elements:
        answer = self.get(path)
        self.assertEqual(answer.status, status, path)
        return Elements(answer.text)

    def text(self, path: str) -> str:
        return " ".join(self.look(path).text.split())


class EveryPageTests(ConversationCase):
    PATHS = (
        "/rehearsal/schedule",
        "/rehearsal/talks/running",
        "/rehearsal/archive",
        "/rehearsal/archive?q=cr%C3%A8me&kind=photo&day=2026-11-22",
        "/rehearsal/items/2",
        "/rehearsal/now",
        "/rehearsal?talk=running",
        "/rehearsal?room=main",
    )

    def test_it_is_cached_tagged_and_compressed_like_the_others(self) -> None:
        for path in self.PATHS:
            answer = self.get(path, accept_encoding="gzip")
            self.assertEqual(answer.status, 200, path)
            self.assertEqual(answer.headers["cache-control"], "public, max-age=5")
            self.assertIn("Accept-Language", answer.headers["vary"])
            self.assertIn("default-src 'none'", answer.headers["content-security-policy"])
            again = self.get(path, accept_encoding="gzip", if_none_match=answer.headers["etag"])
            self.assertEqual((again.status, again.body), (304, b""), path)

    def test_nothing_in_it_runs_or_restyles_by_itself(self) -> None:
        allowed = {"<svg>", "<form>"}
        for path in self.PATHS:
            self.assertEqual(set(self.look(path).dangers()) - allowed, set(), path)

    def test_it_speaks_every_language(self) -> None:
        for path in self.PATHS[:-3] + self.PATHS[-2:]:
            pages = {self.get(path, accept_language=tag).text for tag in ("en", "de", "fr")}
            self.assertEqual(len(pages), 3, path)

    def test_ids_are_unique(self) -> None:
        for path in self.PATHS:
            ids = [attributes["id"] for _, attributes in self.look(path).found if "id" in attributes]
            self.assertEqual(len(ids), len(set(ids)), path)

    def test_without_the_archive_it_says_that_it_comes_back(self) -> None:
        self.archive.failure = ArchiveUnavailable("away")
        for path in ("/rehearsal/talks/running", "/rehearsal/archive", "/rehearsal?talk=running"):
            answer = self.get(path)
            self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "10"), path)
        self.assertEqual(self.get("/rehearsal/schedule").status, 200)

    def test_what_was_said_is_there_without_the_live_log(self) -> None:
        self.feed.failure = LogUnavailable("away")
        for path in self.PATHS[:4]:
            self.assertEqual(self.get(path).status, 200, path)
        self.assertIn("Good morning", self.text("/rehearsal/archive"))
        self.assertIn("post 2", self.text("/rehearsal/talks/running"))
        self.assertEqual(self.feed.asked, [])

    def test_what_does_not_exist_is_not_found(self) -> None:
        for path in (
            "/nobody/schedule",
            "/nobody/archive",
            "/rehearsal/talks/nothing",
            "/rehearsal/talks/" + "x" * 5000,
            "/rehearsal/talks/%00",
            "/last/talks/running",
            "/rehearsal/items/0",
            "/rehearsal/items/-1",
            "/rehearsal/items/4",
            "/rehearsal/items/99999999999999999999",
            "/rehearsal/items/%C2%B2",
            "/rehearsal?talk=nothing",
            "/rehearsal?room=nothing",
            "/last?room=main",
        ):
            self.assertEqual(self.get(path).status, 404, path)

    def test_filters_that_mean_nothing_are_refused(self) -> None:
        for query in ("day=today", "hour=9", "kind=video", "before=x", "before=0", "talk=%00", "author=a%00"):
            self.assertEqual(self.get(f"/rehearsal/archive?{query}").status, 400, query)


class SchedulePageTests(ConversationCase):
    def test_now_and_next_stand_above_all_days(self) -> None:
        text = self.text("/rehearsal/schedule")
        parts = (
            "Now",
            "Talk running",
            "What goes on <beside>",
            "Next 12:30",
            "Talk lunch",
            "Sunday 22 November",
        )
        places = [text.index(part) for part in parts]
        self.assertEqual(places, sorted(places))

    def test_rooms_are_columns_and_each_talk_has_its_place(self) -> None:
        found = self.look("/rehearsal/schedule")
        heads = [one for one in found.named("th") if one.get("scope") == "col"]
        self.assertEqual(len(heads), 3 + 2)  # the time and two rooms; on the next day one
        links = [str(one["href"]) for one in found.named("a")]
        for talk in TALKS:
            self.assertIn(f"/rehearsal/talks/{talk.id}", links)
        # Lunch is for everybody: it is as wide as both rooms.
        self.assertIn("2", [one.get("colspan") for one in found.named("td")])

    def test_talks_say_what_became_of_them(self) -> None:
        found = self.look("/rehearsal/schedule")
        self.assertEqual(len(found.classed("cancelled")), 1)
        self.assertEqual(len(found.classed("on")), 2)
        self.assertIn("1 post", " ".join(found.text.split()))

    def test_a_talk_that_was_moved_is_marked_until_it_is_over(self) -> None:
        self.moved = {"later", "opening"}
        self.assertEqual(self.text("/rehearsal/schedule").count("Moved"), 1)
        self.assertIn("Moved", self.text("/rehearsal/talks/later"))
        self.assertNotIn("Moved", self.text("/rehearsal/talks/opening"))

    def test_numbers_of_posts_are_some_seconds_old_at_most(self) -> None:
        self.assertIn("1 post", self.text("/rehearsal/schedule"))
        self.archive.items += [about(make_item(n), "opening") for n in range(10, 14)]
        self.now += 1
        self.assertNotIn("5 posts", self.text("/rehearsal/schedule"))
        self.now += 15
        self.assertIn("5 posts", self.text("/rehearsal/schedule"))

    def test_without_a_programme_it_is_a_page_all_the_same(self) -> None:
        self.programme.schedule = None
        self.assertIn("No schedule yet", self.text("/rehearsal/schedule"))
        self.assertIn("No schedule yet", self.text("/last/schedule"))

    def test_it_changes_when_a_talk_begins(self) -> None:
        before = self.get("/rehearsal/schedule").headers["etag"]
        self.now += 1800
        self.assertNotEqual(self.get("/rehearsal/schedule").headers["etag"], before)

    def test_talks_that_overlap_in_one_room_are_all_there(self) -> None:
        same = [a_talk(f"s{number}", 10 * number) for number in range(4)]
        self.programme.schedule = a_schedule(*same, a_talk("whole", 0, room="side", length=300))
        found = self.look("/rehearsal/schedule")
        self.assertEqual(len([one for one in found.classed("talk") if one[0] == "div"]), 5)
        # Every row of the table is as wide as its head.
        rows: list[int] = []
        open_: list[int] = []
        for tag, attributes in found.found:
            if tag == "tr":
                rows.append(sum(1 for left in open_ if left > 0))
                open_ = [left - 1 for left in open_ if left > 1]
            elif tag == "td" and "when" not in str(attributes.get("class")):
                width = int(attributes.get("colspan") or 1)
                rows[-1] += width
                open_ += [int(attributes.get("rowspan") or 1) - 1] * width
                open_ = [left for left in open_ if left > 0]
        self.assertEqual(set(rows[1:]), {2})


class TalkPageTests(ConversationCase):
    def test_it_says_what_who_where_and_when(self) -> None:
        text = self.text("/rehearsal/talks/opening")
        for part in (
            "Talk opening",
            "Hello",
            "Ann Speaker",
            "Main Hall",
            "The Web",
            "09:00–09:45",
            "About everything.",
        ):
            self.assertIn(part, text)
        self.assertIn("Good morning", text)

    def test_it_leads_to_report_feeds_and_calendar(self) -> None:
        found = self.look("/rehearsal/talks/running")
        links = {str(one.get("href")) for one in (*found.named("a"), *found.named("link"))}
        for name in ("schedule.ics", "atom.xml", "feed.json"):
            self.assertIn(f"/rehearsal/talks/running/{name}", links)

    def test_it_is_live_while_it_runs(self) -> None:
        for minutes, mode in ((0, "live"), (60, "live"), (600, "older"), (-120, "older")):
            self.now = NOW + minutes * 60
            ((_, stream),) = self.look("/rehearsal/talks/running").classed("stream")
            self.assertEqual((stream["data-mode"], stream["data-talks"]), (mode, "running"), minutes)
            self.assertEqual(stream["data-cursor"], "k3f9:3")

    def test_photos_and_activity_are_shown(self) -> None:
        found = self.look("/rehearsal/talks/running")
        self.assertIn("/rehearsal/items/2", [one.get("href") for one in found.named("a")])
        self.assertEqual(len(found.classed("bar")), 1)
        self.assertIn("11:50: 1", found.text)

    def test_a_sensitive_photo_is_not_shown_unasked(self) -> None:
        self.archive.items = [about(make_item(1, media=(PHOTO,), sensitive=True), "running")]
        self.assertEqual(self.look("/rehearsal/talks/running").classed("photos"), [])

    def test_pages_go_back_by_position(self) -> None:
        self.archive.items = [about(make_item(n), "running") for n in range(1, 121)]
        seen: list[str] = []
        path: str | None = "/rehearsal/talks/running"
        while path:
            found = self.look(path)
            seen += [str(article["id"]) for article in found.named("article")]
            (older,) = (link for link in found.named("a") if link.get("id") == "older")
            path = None if "hidden" in older else str(older["href"])
        self.assertEqual(seen, [f"item-push:{number}" for number in range(120, 0, -1)])

    def test_an_address_of_an_earlier_programme_leads_to_the_present_one(self) -> None:
        answer = self.get("/rehearsal/talks/old?lang=de&before=3")
        self.assertEqual(
            (answer.status, answer.headers["location"]), (301, "/rehearsal/talks/running?lang=de&before=3")
        )

    def test_hostile_words_in_a_programme_are_words(self) -> None:
        evil = '"><script>alert(1)</script>'
        speaker = Speaker(name=evil, urls=("javascript:alert(1)",), handles=(evil,))
        self.programme.schedule = a_schedule(a_talk("evil", 0, title=evil, subtitle=evil, speakers=(speaker,)))
        for path in ("/rehearsal/talks/evil", "/rehearsal/schedule", "/rehearsal", "/rehearsal/wall"):
            found = self.look(path)
            self.assertEqual(set(found.dangers()) - {"<svg>"}, set(), path)
            self.assertIn("alert(1)", found.text)

    def test_what_the_archive_has_not_heard_the_removal_of_is_not_shown(self) -> None:
        self.removed["push:2"] = 4
        self.assertEqual(self.look("/rehearsal/talks/running").named("article"), [])


class ArchivePageTests(ConversationCase):
    def test_everything_the_newest_first_with_its_permalink(self) -> None:
        found = self.look("/rehearsal/archive")
        self.assertEqual([one["id"] for one in found.named("article")], [f"item-push:{n}" for n in (3, 2, 1)])
        links = [one.get("href") for one in found.named("a")]
        self.assertIn("/rehearsal/items/3", links)

    def test_filters_lead_on_and_can_be_left_out(self) -> None:
        found = self.look("/rehearsal/archive?talk=running&lang=en")
        links = [str(one.get("href")) for one in found.named("a")]
        self.assertIn("/rehearsal/archive?talk=running&day=2026-11-22&lang=en", links)
        self.assertIn("/rehearsal/archive?lang=en", links)
        hidden = {
            one.get("name"): one.get("value") for one in found.named("input") if one.get("type") == "hidden"
        }
        self.assertEqual(hidden, {"talk": "running", "lang": "en"})

    def test_what_was_searched_for_is_marked_and_nothing_else(self) -> None:
        answer = self.get("/rehearsal/archive?q=br%C3%BBl%C3%A9e")
        self.assertIn("<p>Crème <mark>brûlée</mark> &lt;3</p>", answer.text)
        hostile = make_item(
            4,
            text="a brûlée",
            html='<p>a <a href="https://x.example/?q=&quot;brûlée&quot;>">b</a> &lt;brûlée&gt;</p>',
        )
        self.archive.items.append(hostile)
        text = self.get("/rehearsal/archive?q=br%C3%BBl%C3%A9e").text
        self.assertIn(
            '<a href="https://x.example/?q=&quot;brûlée&quot;>">b</a> &lt;<mark>brûlée</mark>&gt;', text
        )

    def test_hostile_words_in_the_search_are_words(self) -> None:
        found = self.look(
            "/rehearsal/archive?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&author=%22%3E%3Cb%3E&talk=%27"
        )
        self.assertEqual(set(found.dangers()) - {"<svg>", "<form>"}, set())
        self.assertIn("Nothing was found", found.text)

    def test_an_index_that_is_not_whole_says_so(self) -> None:
        self.archive.whole = False
        self.assertIn("still being indexed", self.text("/rehearsal/archive?q=a"))

    def test_an_event_without_posts_has_an_archive(self) -> None:
        self.archive.items = []
        self.assertIn("No posts", self.text("/rehearsal/archive"))

    def test_authors_are_named_as_they_call_themselves(self) -> None:
        author = Author(name="<Béa>", handle="bea")
        self.archive.items = [make_item(1, author=author)]
        self.assertIn("<Béa> @bea", self.text("/rehearsal/archive?author=push%3A%40bea"))


class ItemPageTests(ConversationCase):
    def test_an_item_has_a_page_from_which_one_can_go_on(self) -> None:
        found = self.look("/rehearsal/items/2")
        self.assertEqual([one["id"] for one in found.named("article")], ["item-push:2"])
        links = [one.get("href") for one in found.named("a")]
        self.assertIn("/rehearsal/archive?before=2", links)
        self.assertIn("/rehearsal/archive?author=push%3A%40ann", links)

    def test_one_that_is_at_another_number_leads_there(self) -> None:
        self.feed.items = [make_item(1), make_item(2)]
        self.feed.hidden = {2}
        self.archive.standings = {2: Standing("elsewhere", 1)}
        answer = self.get("/rehearsal/items/2?lang=fr")
        self.assertEqual((answer.status, answer.headers["location"]), (301, "/rehearsal/items/1?lang=fr"))
        self.archive.standings = {2: Standing("gone")}
        answer = self.get("/rehearsal/items/2")
        self.assertEqual(answer.status, 410)
        self.assertIn("This post is gone", answer.text)
        # The feed has heard of the removal, the archive has not yet.
        self.archive.standings = {2: Standing("item", 2)}
        self.assertEqual(self.get("/rehearsal/items/2").status, 410)
        self.archive.standings = {}
        self.assertEqual(self.get("/rehearsal/items/2").status, 404)


class LivePageTests(ConversationCase):
    def test_talks_are_dividers_in_the_stream(self) -> None:
        found = self.look("/rehearsal")
        order = [
            str(attributes.get("id"))
            for _, attributes in found.found
            if "divider" in (attributes.get("class") or "") or str(attributes.get("id")).startswith("item-")
        ]
        start = int((TALKS[1].start).timestamp())
        self.assertEqual(order, ["item-push:3", "item-push:2", f"talks-{start}", "item-push:1"])

    def test_a_talk_that_has_just_begun_stands_above_all_posts(self) -> None:
        self.now = NOW + 91 * 60
        entries = self.look("/rehearsal").classed("entry")
        self.assertTrue(str(entries[0][1].get("id")).startswith("talks-"))

    def test_one_talk_or_room_can_be_followed(self) -> None:
        for query, ids, talks in (
            ("talk=running", ["item-push:2"], "running"),
            ("talk=old", ["item-push:2"], "running"),
            ("room=main", ["item-push:2", "item-push:1"], "opening running later tomorrow"),
        ):
            found = self.look(f"/rehearsal?{query}")
            self.assertEqual([one["id"] for one in found.named("article")], ids)
            ((_, stream),) = found.classed("stream")
            self.assertEqual((stream["data-talks"], stream["data-cursor"]), (talks, "k3f9:3"))
            self.assertIn("All posts", found.text)

    def test_now_by_itself_has_the_mark_of_what_began_last(self) -> None:
        found = self.look("/rehearsal/now")
        ((_, now),) = found.classed("now")
        self.assertEqual(now["data-until"], (TALKS[1].start + timedelta(minutes=45)).isoformat())
        self.assertEqual(len(found.classed("divider")), 1)

    def test_the_wall_shows_now_and_next(self) -> None:
        text = self.text("/rehearsal/wall")
        self.assertIn("Talk running", text)
        self.assertIn("Talk lunch", text)

    def test_the_way_between_the_pages_is_on_each(self) -> None:
        for path in ("/rehearsal", "/rehearsal/schedule", "/rehearsal/talks/running", "/rehearsal/archive"):
            links = [one.get("href") for one in self.look(path).named("a")]
            for other in ("/rehearsal", "/rehearsal/schedule", "/rehearsal/archive"):
                self.assertIn(other, links, path)
        self.assertNotIn("/last/schedule", [one.get("href") for one in self.look("/last").named("a")])
