"""The demo conference: what a visitor of the first five minutes relies on."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.attribution.index import prepare
from afeed.core.attribution.memory import Memory
from afeed.core.attribution.weights import Weights
from afeed.core.change import EDITED, POSTED, REMOVED
from afeed.core.draft import Posted, Removed
from afeed.core.item import Author, Item
from afeed.core.normalise.replay import read_recording
from afeed.core.playing import START, Player
from afeed.core.schedule.reading import read
from afeed.demo import DEMO_HASHTAG, DEMO_SPEED, PHOTO_PATH, PHOTOS, PROGRAMME, RECORDING
from afeed.demo.build import SCRIPT, build
from afeed.demo.programme import PlayedOrigin, hurried, played
from afeed.demo.script import ScriptError, read_script
from afeed.schedules.origin import FileOrigin, Mark

SVG = "{http://www.w3.org/2000/svg}"

#: Everything the drawings are made of.
ELEMENTS = {
    f"{SVG}{name}"
    for name in (
        "svg", "title", "defs", "g", "rect", "circle", "ellipse", "path", "text", "linearGradient",
        "radialGradient", "stop", "marker",
    )
}  # fmt: skip


def _lines() -> list[bytes]:
    return RECORDING.read_bytes().splitlines()


class RecordingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.recording = read_recording(_lines())
        self.changes: list[dict[str, Any]] = [msgspec.json.decode(line) for line in _lines()]
        entries = self.recording.entries
        self.items = [entry.draft.item for entry in entries if isinstance(entry.draft, Posted)]

    def test_every_line_is_used(self) -> None:
        self.assertEqual(self.recording.dropped, ())
        self.assertEqual(len(self.recording.entries), len(_lines()))

    def test_times_ascend_through_a_day(self) -> None:
        times = [change["at"] for change in self.changes]
        self.assertEqual(times, sorted(times))
        self.assertTrue(times[0].endswith("T09:00:00.000Z"))
        self.assertLess(times[-1][11:], "18:00")
        self.assertGreater(self.recording.duration, 8.9 * 3600)

    def test_no_post_was_written_after_it_appeared(self) -> None:
        for change in self.changes:
            if "item" in change:
                written = datetime.fromisoformat(change["item"]["created_at"])
                self.assertLessEqual(written, datetime.fromisoformat(change["at"]))

    def test_reading_it_changes_nothing(self) -> None:
        """It is in the form that afeed itself would give it: sanitised, bounded, with local pictures."""
        recorded = [msgspec.convert(change["item"], Item) for change in self.changes if "item" in change]
        self.assertEqual(recorded, self.items)

    def test_the_page_is_never_empty_and_goes_on(self) -> None:
        player = Player(self.recording, DEMO_SPEED, True, START)
        self.assertEqual(player.wait(0.0), 0.0)
        at_once = len(player.due(0.0, 1_800_000_000.0))
        self.assertGreaterEqual(at_once, 25)
        pauses = [
            (after.at - before.at) / DEMO_SPEED
            for before, after in zip(
                self.recording.entries[at_once:], self.recording.entries[at_once + 1 :], strict=False
            )
        ]
        average = sum(pauses) / len(pauses)
        self.assertGreater(average, 2.0)
        self.assertLess(average, 4.0)
        self.assertGreater(sum(pause < 0.7 for pause in pauses), 20)  # bursts
        self.assertGreater(sum(pause > 7.0 for pause in pauses), 10)  # lulls
        self.assertLess(max(pauses), 25.0)

    def test_a_whole_round_can_be_played(self) -> None:
        player = Player(self.recording, DEMO_SPEED, True, START)
        seconds, ids = 0.0, []
        while player.place.lap == 0:
            seconds += player.wait(seconds)
            drafts = player.due(seconds, 1_800_000_000.0 + seconds)
            player.advance(len(drafts))
            ids += drafts
        self.assertEqual(len(ids), len(self.recording.entries))
        self.assertAlmostEqual(seconds, self.recording.duration / DEMO_SPEED, places=3)

    # -- variety --------------------------------------------------------------------------------------------

    def test_many_people_speak_many_languages(self) -> None:
        self.assertGreaterEqual(len({item.author.name for item in self.items}), 38)
        languages = Counter(item.lang for item in self.items)
        expected = "am ar cs de el en es fa fi fr ga he hi hy is it ja ka ko mi nb nl pl pt th tr uk vi zh"
        self.assertEqual(" ".join(sorted(languages)), expected)
        self.assertLess(languages["en"], len(self.items) / 2)

    def test_texts_are_in_the_script_of_their_language(self) -> None:
        scripts: dict[str, str | tuple[str, ...]] = {
            "am": "ETHIOPIC",
            "ar": "ARABIC",
            "el": "GREEK",
            "fa": "ARABIC",
            "he": "HEBREW",
            "hi": "DEVANAGARI",
            "hy": "ARMENIAN",
            "ja": ("HIRAGANA", "KATAKANA", "CJK"),
            "ka": "GEORGIAN",
            "ko": "HANGUL",
            "th": "THAI",
            "uk": "CYRILLIC",
            "zh": "CJK",
        }
        for item in self.items:
            if item.lang in scripts:
                words = re.sub(r"[#@]\w[\w.]*", "", item.text)
                letters = [unicodedata.name(letter, "") for letter in words if letter.isalpha()]
                share = sum(name.startswith(scripts[item.lang]) for name in letters) / len(letters)
                self.assertGreater(share, 0.4, item.text)

    def test_there_is_text_from_right_to_left_and_in_both_directions_at_once(self) -> None:
        def directions(text: str) -> set[str]:
            return {unicodedata.bidirectional(character) for character in text}

        right = [item for item in self.items if directions(item.text) & {"R", "AL"}]
        self.assertGreaterEqual(len(right), 25)
        self.assertTrue(any("L" in directions(re.sub(r"[#@]\w+", "", item.text)) for item in right))

    def test_there_are_emoji_of_several_code_points(self) -> None:
        texts = " ".join(item.text for item in self.items)
        for emoji in ("👩‍👩‍👧‍👦", "🏴‍☠️", "🏳️‍🌈", "🧑🏽‍🦽"):
            self.assertIn(emoji, texts)

    def test_there_is_everything_that_can_happen_to_a_post(self) -> None:
        kinds = Counter(change["type"] for change in self.changes)
        self.assertEqual(set(kinds), {POSTED, EDITED, REMOVED})
        self.assertGreaterEqual(sum(item.quote is not None for item in self.items), 15)
        self.assertGreaterEqual(sum(item.reply_to is not None for item in self.items), 15)
        self.assertGreaterEqual(sum(item.shared_by is not None for item in self.items), 2)
        self.assertEqual({item.source for item in self.items}, {"x", "flickr"})
        self.assertGreaterEqual(sum(item.kind == "photo" for item in self.items), 15)
        self.assertGreaterEqual(sum(item.kind == "post" and bool(item.media) for item in self.items), 5)
        long = [item for item in self.items if len(item.text) > 1500]
        self.assertEqual(len(long), 1)
        self.assertGreaterEqual(long[0].html.count("<p>"), 5)

    def test_an_edit_keeps_everything_but_the_words(self) -> None:
        first: dict[str, Item] = {}
        edits = 0
        for item in self.items:
            before = first.setdefault(item.id, item)
            if before is not item:
                edits += 1
                self.assertNotEqual(before.text, item.text)
                self.assertEqual((before.author, before.created_at), (item.author, item.created_at))
        self.assertGreaterEqual(edits, 4)

    def test_a_removed_post_came_a_little_before(self) -> None:
        posted = {
            entry.draft.item.id: entry.at for entry in self.recording.entries if isinstance(entry.draft, Posted)
        }
        removals = [entry for entry in self.recording.entries if isinstance(entry.draft, Removed)]
        self.assertGreaterEqual(len(removals), 1)
        for removal in removals:
            assert isinstance(removal.draft, Removed)
            shown = (removal.at - posted[removal.draft.id]) / DEMO_SPEED
            self.assertGreater(shown, 0.5)
            self.assertLess(shown, 60.0)

    def test_answers_and_quotes_follow_what_they_are_about(self) -> None:
        seen: set[str] = set()
        for item in self.items:
            if item.reply_to is not None:
                self.assertIn(item.reply_to, seen)
            seen.add(item.id)

    # -- invented -------------------------------------------------------------------------------------------

    def people(self) -> list[Author]:
        authors = [item.author for item in self.items]
        authors += [item.shared_by for item in self.items if item.shared_by is not None]
        return authors + [item.quote.author for item in self.items if item.quote is not None]

    def test_handles_and_links_lead_to_nobody(self) -> None:
        for author in self.people():
            self.assertRegex(author.handle or "", r"\A[a-z]+\.example\Z")
        links = [author.url for author in self.people()] + [item.url for item in self.items]
        for item in self.items:
            links += re.findall(r'href="([^"]*)"', item.html)
        for link in links:
            host = urlsplit(link or "").hostname or ""
            self.assertTrue(host == "example.org" or host.endswith(".example"), link)

    def test_most_posts_carry_the_tag(self) -> None:
        tagged = sum(DEMO_HASHTAG in item.text for item in self.items if item.kind == "post")
        self.assertGreater(tagged, len(self.items) / 2)


class BuildTests(SynchronousTestCase):
    def test_the_recording_is_what_the_script_says(self) -> None:
        with SCRIPT.open(encoding="utf-8") as lines:
            built = b"".join(build(read_script(lines), Random(SCRIPT.name)))
        self.assertTrue(built == RECORDING.read_bytes(), "run `python -m afeed.demo.build`")

    def test_mistakes_in_a_script_are_named_with_their_line(self) -> None:
        head = ["~ ann | Ann | fern", "== 09:00 09:10 morning"]
        for line, expected in (
            ("@bob | Hello", "line 3: bob is not known"),
            ("@ann re=nothing | Hello", "line 3: nothing is not known"),
            ("@ann colour=red | Hello", "line 3: unknown option colour=red"),
            ("@ann |", "line 3: a post has a text"),
            ("hello", "line 3: a line begins with"),
            ("~ ann | Ann", "line 3: expected 3 parts"),
        ):
            error = self.assertRaises(ScriptError, read_script, [*head, line])
            self.assertIn(expected, str(error))


class DrawingTests(SynchronousTestCase):
    def files(self) -> list[Path]:
        return sorted(PHOTOS.glob("*.svg"))

    def test_every_picture_that_is_shown_exists_and_every_one_is_shown(self) -> None:
        recording = read_recording(_lines())
        shown = set()
        for entry in recording.entries:
            if isinstance(entry.draft, Posted):
                item = entry.draft.item
                urls = [item.author.avatar, *(medium.url for medium in item.media)]
                urls += [medium.thumb_url for medium in item.media]
                shown |= {url for url in urls if url is not None}
        self.assertEqual(shown, {PHOTO_PATH + path.name for path in self.files()})
        self.assertGreaterEqual(sum("avatar-" in url for url in shown), 8)
        self.assertGreaterEqual(sum("avatar-" not in url for url in shown), 12)

    def test_pictures_are_described_and_have_owner_licence_date_and_size(self) -> None:
        for entry in read_recording(_lines()).entries:
            for medium in entry.draft.item.media if isinstance(entry.draft, Posted) else ():
                self.assertGreater(len(medium.alt or ""), 15)
                self.assertTrue(medium.owner and medium.licence and medium.taken_at, medium)
                root = ElementTree.parse(PHOTOS / Path(medium.url).name).getroot()
                self.assertEqual(
                    (str(medium.width), str(medium.height)), (root.get("width"), root.get("height"))
                )

    def test_drawings_are_well_formed_and_inert(self) -> None:
        for path in self.files():
            text = path.read_text("utf-8")
            self.assertNotIn("<!", text, path.name)
            self.assertNotIn("<?", text, path.name)
            for element in ElementTree.fromstring(text).iter():
                self.assertIn(element.tag, ELEMENTS, path.name)
                for name, value in element.attrib.items():
                    self.assertFalse(name.lower().startswith("on"), (path.name, name))
                    self.assertNotIn(name.lower(), ("style", "href", "src", "class"), path.name)
                    for target in re.findall(r"url\(([^)]*)\)", value):
                        self.assertRegex(target, r"\A#[a-z]\Z", path.name)
                    self.assertNotRegex(value.lower(), r"script:|data:|https?:", path.name)

    def test_drawings_are_small(self) -> None:
        self.assertLess(sum(path.stat().st_size for path in self.files()), 300_000)


class ProgrammeTests(SynchronousTestCase):
    """The demo has a schedule, and its posts are filed as a visitor would file them."""

    START = datetime(2026, 11, 22, tzinfo=UTC)

    def setUp(self) -> None:
        text = played(PROGRAMME.read_bytes(), self.START, DEMO_SPEED)
        self.reading = read(text, ZoneInfo("UTC"))

    def test_it_is_a_schedule_as_it_stands_and_as_it_is_played(self) -> None:
        self.assertEqual(read(PROGRAMME.read_bytes(), ZoneInfo("UTC")).warnings, ())
        self.assertEqual(self.reading.warnings, ())
        talks = [talk for talk in self.reading.schedule.talks if not talk.is_break]
        self.assertEqual(len(talks), 8)
        self.assertEqual(talks[0].start, self.START + timedelta(minutes=1))
        self.assertLess(talks[-1].end, self.START + timedelta(minutes=18))

    def test_it_is_read_once_and_begins_then(self) -> None:
        origin = PlayedOrigin(FileOrigin(PROGRAMME, lambda work: succeed(work())), DEMO_SPEED, lambda: 1.8e9)
        first = self.successResultOf(Deferred.fromCoroutine(origin.read(Mark())))
        self.assertEqual(first.data, played(PROGRAMME.read_bytes(), datetime.fromtimestamp(1.8e9, UTC), 30))
        self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(origin.read(first.mark))).data)

    def test_most_posts_during_a_talk_are_filed_under_it(self) -> None:
        memory = Memory()
        memory.index = prepare(self.reading.schedule, hurried(Weights(), DEMO_SPEED))
        player = Player(read_recording(_lines()), DEMO_SPEED, False, START)
        seconds, items, talks = 0.0, {}, {}
        while not player.done:
            seconds += player.wait(seconds)
            due = player.due(seconds, self.START.timestamp() + seconds)
            player.advance(len(due))
            for draft in due:
                if isinstance(draft, Posted):
                    items[draft.item.id] = draft.item
                    talks[draft.item.id] = memory.file(draft.item)
                    talks.update(memory.gains(draft.item.id))
        during = {id_: self.talk_at(item.created_at) for id_, item in items.items()}
        inside = [id_ for id_, talk in during.items() if talk is not None]
        right = [id_ for id_ in inside if talks[id_] == during[id_]]
        self.assertGreater(len(inside), 200)
        self.assertGreater(len(right) / len(inside), 0.9)
        self.assertLess(sum(talks[id_] not in (None, during[id_]) for id_ in items), 10)

    def talk_at(self, created_at: str) -> str | None:
        moment = datetime.fromisoformat(created_at)
        talks = [talk for talk in self.reading.schedule.talks if not talk.is_break]
        return next((talk.id for talk in talks if talk.start <= moment < talk.end), None)
