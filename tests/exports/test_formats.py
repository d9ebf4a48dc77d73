"""The formats, read by other people's libraries."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, date, datetime
from xml.etree import ElementTree

import attrs
import feedparser
import icalendar
import msgspec
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.draft import Posted
from afeed.core.item import Media
from afeed.core.normalise.replay import read_recording
from afeed.exports.atom import Atom
from afeed.exports.feeds import content, title
from afeed.exports.ics import calendar
from afeed.exports.jsonfeed import JsonFeed
from afeed.exports.recording import Recording
from afeed.exports.sheet import COLUMNS, Sheet, guarded
from afeed.exports.subject import Subject
from afeed.exports.writing import FORMATS
from afeed.interfaces import PageItem
from tests.exports.samples import ITEMS, ODD, OF_TALK, PLAIN, RICH, SCHEDULE, SUBJECT, whole
from tests.properties import given

AT = "2026-11-21T12:02:00Z"
ATOM = "{http://www.w3.org/2005/Atom}"


class RecordingTests(SynchronousTestCase):
    def test_what_is_exported_can_be_played_again(self) -> None:
        items = [one for one in ITEMS if one.item is not ODD]
        recording = read_recording(whole(Recording(), items).splitlines())
        self.assertEqual(recording.dropped, ())
        played = [entry.draft.item for entry in recording.entries if isinstance(entry.draft, Posted)]
        expected = [one.item for one in items]
        # Playing looks at languages and ids again; everything else is as it was.
        self.assertEqual(played, expected)

    def test_there_is_one_line_for_each(self) -> None:
        lines = whole(Recording()).split(b"\n")
        self.assertEqual((len(lines), lines[-1]), (4, b""))
        self.assertEqual(json.loads(lines[0])["talk"], "seams")


class SheetTests(SynchronousTestCase):
    def rows(self) -> list[dict[str, str]]:
        data = whole(Sheet(SUBJECT))
        self.assertTrue(data.startswith(b"\xef\xbb\xbfid,created_at,"))
        text = data.decode("utf-8-sig")
        self.assertEqual(text.count("\r\n"), 4)
        return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))

    def test_other_programs_read_what_was_written(self) -> None:
        plain, rich, _ = self.rows()
        self.assertEqual(tuple(plain), COLUMNS)
        self.assertEqual((plain["text"], plain["handle"], plain["talk"]), (PLAIN.text, "ann", "seams"))
        self.assertEqual(plain["permalink"], "https://feed.example/exconf-2026/items/7")
        self.assertEqual(rich["shared_by"], "Di (di)")
        self.assertEqual(rich["quotes"], "https://x.com/ed/1")
        self.assertEqual(rich["photos"], "/static/demo/stage.svg https://p.example/v")

    def test_no_cell_is_a_formula(self) -> None:
        self.assertEqual(self.rows()[2]["author"], "'=cmd|' /C calc'!A0")
        for text in ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "  @x", "\n-1"):
            self.assertTrue(guarded(text).startswith("'"), text)
        for text in ("", "a=1", "1-1", "'=1", "#tag", "…"):
            self.assertEqual(guarded(text), text)

    @given(st.text())
    def test_whatever_somebody_wrote_comes_back(self, text: str) -> None:
        item = msgspec.structs.replace(PLAIN, text=text)
        data = (Sheet(SUBJECT).begin() + Sheet(SUBJECT).item(PageItem(1, item))).decode("utf-8-sig")
        (row,) = csv.DictReader(io.StringIO(data, newline=""), strict=True)
        self.assertEqual(row["text"], guarded(text).encode("utf-8", "replace").decode())
        self.assertNotRegex(row["text"], r"\A\s*[=+\-@]")


class AtomTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.data = whole(Atom(SUBJECT, AT))
        self.tree = ElementTree.fromstring(self.data)

    def test_feed_readers_understand_it(self) -> None:
        found = feedparser.parse(self.data)
        self.assertFalse(found.bozo, found.get("bozo_exception"))
        self.assertEqual(found.version, "atom10")
        self.assertEqual(found.feed.title, "Exconf & Friends")
        self.assertEqual(found.feed.id, "tag:feed.example,2026-11-21:exconf-2026")
        self.assertTrue(found.entries[0].id.endswith(":exconf-2026/items/push:1"))
        first = found.entries[0]
        self.assertEqual(first.link, "https://feed.example/exconf-2026/items/7")
        self.assertEqual(first.author, "Ann (@ann)")
        self.assertIn("second line", first.content[0].value)
        self.assertEqual(first.content[0].language, "en")
        self.assertEqual([tag.term for tag in first.tags], ["seams"])
        self.assertEqual(
            [link.href for link in found.entries[1].links if link.rel == "enclosure"],
            ["https://feed.example/static/demo/stage.svg", "https://p.example/v"],
        )

    def test_it_has_what_rfc_4287_asks_for(self) -> None:
        # Sections 4.1.1 and 4.1.2: exactly one of each; an author in every entry; a link to itself.
        for element, names in (
            (self.tree, ("id", "title", "updated")),
            *(
                (entry, ("id", "title", "updated", "author", "content"))
                for entry in self.tree.findall(f"{ATOM}entry")
            ),
        ):
            for name in names:
                self.assertEqual(len(element.findall(ATOM + name)), 1, name)
        links = {link.get("rel"): link.get("href") for link in self.tree.findall(f"{ATOM}link")}
        self.assertEqual(links["self"], "https://feed.example/exconf-2026/atom.xml")
        self.assertEqual(links["alternate"], "https://feed.example/exconf-2026")
        for element in self.tree.iter(f"{ATOM}updated"):
            self.assertRegex(element.text or "", r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\Z")
        ids = [element.text or "" for element in self.tree.iter(f"{ATOM}id")]
        self.assertEqual(len(set(ids)), 4)
        for one in ids:
            self.assertRegex(one, r"\Atag:feed\.example,2026-11-21:[A-Za-z0-9:/%._-]+\Z")

    def test_ids_are_the_same_in_the_feed_of_the_talk_and_after_an_edit(self) -> None:
        edited = [PageItem(7, msgspec.structs.replace(PLAIN, text="edited"))]
        again = feedparser.parse(whole(Atom(OF_TALK, AT), edited))
        self.assertEqual(again.entries[0].id, feedparser.parse(self.data).entries[0].id)
        self.assertEqual(again.feed.title, "Seams <everywhere> – Exconf & Friends")
        self.assertEqual(again.feed.links[0].href, "https://feed.example/exconf-2026/talks/seams/atom.xml")

    def test_what_xml_cannot_hold_is_not_in_it(self) -> None:
        self.assertNotIn(b"\x00", self.data)
        self.assertIn("ctrl", feedparser.parse(self.data).entries[2].title)

    @given(st.text(alphabet=st.characters()), st.text(max_size=20))
    def test_it_is_xml_whatever_somebody_wrote(self, text: str, name: str) -> None:
        item = msgspec.structs.replace(PLAIN, text=text, html=text, author=PLAIN.author, id=f"push:{name}")
        ElementTree.fromstring(whole(Atom(SUBJECT, AT), [PageItem(1, item)]))


class JsonFeedTests(SynchronousTestCase):
    """https://www.jsonfeed.org/version/1.1/, "Structure"."""

    def test_it_has_what_the_format_asks_for(self) -> None:
        found = json.loads(whole(JsonFeed(SUBJECT, AT)))
        self.assertEqual(found["version"], "https://jsonfeed.org/version/1.1")
        self.assertEqual(found["feed_url"], "https://feed.example/exconf-2026/feed.json")
        self.assertEqual(found["home_page_url"], "https://feed.example/exconf-2026")
        plain, rich, odd = found["items"]
        for item in found["items"]:
            self.assertIsInstance(item["id"], str)
            self.assertIn("content_html", item)
            for name, value in item.items():
                self.assertIsNotNone(value, name)
            for attachment in item.get("attachments", ()):
                self.assertRegex(attachment["mime_type"], r"\A[a-z]+/[a-z0-9.+-]+\Z")
        self.assertEqual(plain["authors"], [{"name": "Ann (@ann)", "url": "https://example.org/ann"}])
        self.assertEqual((plain["language"], plain["tags"]), ("en", ["seams"]))
        self.assertNotIn("language", rich)
        self.assertEqual(rich["image"], "https://feed.example/static/demo/stage.svg")
        self.assertNotIn("image", odd)

    def test_an_empty_one_is_a_feed_too(self) -> None:
        self.assertEqual(json.loads(whole(JsonFeed(SUBJECT, AT), []))["items"], [])


class ContentTests(SynchronousTestCase):
    def test_titles_end_with_a_word(self) -> None:
        long = msgspec.structs.replace(PLAIN, text="word " * 40)
        self.assertTrue(title(long).endswith("word…"))
        self.assertLessEqual(len(title(long)), 80)
        self.assertEqual(title(RICH), "Bø ]]> <b>")
        self.assertEqual(len(title(msgspec.structs.replace(PLAIN, text="x" * 200))), 80)

    def test_pictures_behind_a_warning_are_not_shown(self) -> None:
        self.assertIn("<img ", content(RICH, SUBJECT))
        self.assertNotIn("<img ", content(msgspec.structs.replace(RICH, sensitive=True), SUBJECT))

    def test_where_pictures_are_kept_readers_are_sent_nowhere_else_for_them(self) -> None:
        keeping = attrs.evolve(SUBJECT, keeps_media=True)
        photo = msgspec.structs.replace(RICH, media=(Media(type="photo", url="https://p.example/1.jpg"),))
        for writer in (Atom(keeping, AT), JsonFeed(keeping, AT)):
            data = whole(writer, [PageItem(1, photo)])
            self.assertIn(b"https://feed.example/media/by/", data)
            self.assertNotIn(b"p.example", data)

    def test_names_and_alternatives_are_text(self) -> None:
        html = content(RICH, SUBJECT)
        self.assertIn('alt="a &quot;stage&quot;"', html)
        self.assertIn("<blockquote><p>Ed:</p>", html)


class CalendarTests(SynchronousTestCase):
    NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)

    def entries(self, subject: Subject = SUBJECT) -> dict[str, icalendar.Event]:
        data = calendar(subject, SCHEDULE, self.NOW)
        for line in data.split(b"\r\n"):
            self.assertLessEqual(len(line), 75)
        found = icalendar.Calendar.from_ical(data)
        self.assertEqual(found.errors, [])
        return {str(entry["uid"]): entry for entry in found.walk("VEVENT")}

    def test_calendars_understand_it(self) -> None:
        entry = self.entries()["g-1@exconf-2026"]
        self.assertEqual(entry.decoded("dtstart"), datetime(2026, 11, 21, 9, tzinfo=UTC))
        self.assertEqual(entry.decoded("dtend"), datetime(2026, 11, 21, 9, 45, tzinfo=UTC))
        self.assertEqual(str(entry["summary"]), "Seams, everywhere: and why")
        self.assertEqual(str(entry["location"]), "Hall; A, left")
        self.assertEqual(str(entry["url"]), "https://feed.example/exconf-2026/talks/seams")
        self.assertEqual(
            str(entry["description"]),
            "Ann, Bo\n\nAbout & around\nthem.\n\nhttps://feed.example/exconf-2026/talks/seams",
        )
        self.assertEqual(entry["categories"].cats, ["CSS"])

    def test_cancelled_talks_say_so_and_breaks_keep_nobody_busy(self) -> None:
        found = self.entries()
        self.assertEqual([str(entry["status"]) for entry in found.values()].count("CANCELLED"), 1)
        self.assertEqual(str(found["g-3@exconf-2026"]["status"]), "CANCELLED")
        self.assertEqual(str(found["g-2@exconf-2026"]["transp"]), "TRANSPARENT")

    def test_one_talk_can_be_had_alone(self) -> None:
        self.assertEqual(list(self.entries(OF_TALK)), ["g-1@exconf-2026"])

    def test_the_same_schedule_is_the_same_bytes(self) -> None:
        self.assertEqual(calendar(SUBJECT, SCHEDULE, self.NOW), calendar(SUBJECT, SCHEDULE, self.NOW))


class FormatTests(SynchronousTestCase):
    def test_each_format_writes_items_one_by_one(self) -> None:
        for name, format in FORMATS.items():
            writer = format.make(SUBJECT, AT)
            parts = [writer.begin(), *(writer.item(one) for one in ITEMS), writer.end()]
            self.assertTrue(all(part for part in parts[1:-1]), name)
            again = format.make(SUBJECT, AT)
            self.assertEqual(whole(again), b"".join(parts), name)

    def test_a_tag_has_a_host_of_its_own(self) -> None:
        local = Subject(public_url="http://[::1]:8080", slug="e", name="E", starts=date(2026, 1, 2))
        self.assertEqual(local.feed_id, "tag:localhost,2026-01-02:e")
        self.assertTrue(re.fullmatch(r"tag:localhost,2026-01-02:e/items/x:1%2F2", local.item_id("x:1/2")))
