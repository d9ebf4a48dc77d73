"""schedule.json: c3voc's dialect and pretalx's, and what only looks like one."""

from __future__ import annotations

import json
from typing import Any

from tests.core.schedule.case import ScheduleTestCase, when


def event(**members: Any) -> dict[str, Any]:
    return {
        "id": 25,
        "guid": "8079583e-0000-506c-95af-fd2903a5f075",
        "date": "2026-11-21T09:30:00+01:00",
        "start": "09:30",
        "duration": "00:45",
        "room": "Gray Room",
        "url": "https://exconf.example/talk/G9JGWY/",
        "title": "Feeds that stay",
        "subtitle": None,
        "track": "Web",
        "type": "Talk",
        "language": "en",
        "abstract": "",
        "description": "Nothing **bold**.",
        "persons": [{"id": 26, "public_name": "Ann Example", "biography": "https://x.com/ann"}],
        **members,
    }


def document(*events: Any, **conference: Any) -> dict[str, Any]:
    return {
        "$schema": "https://c3voc.de/schedule/schema.json",
        "schedule": {
            "version": "v1.1",
            "conference": {
                "acronym": "exconf",
                "title": "ExConf",
                "time_zone_name": "UTC",
                "days": [
                    {"index": 1, "date": "2026-11-21", "rooms": {"Gray Room": list(events or (event(),))}}
                ],
                **conference,
            },
        },
    }


class VocTests(ScheduleTestCase):
    def test_a_complete_one(self) -> None:
        # A real export has the same guid for both of its rooms: the name is what tells them apart.
        rooms = [{"name": "Tan Room", "guid": "b"}, {"name": "Gray Room", "guid": "b", "capacity": None}]
        schedule = self.schedule(json.dumps(document(rooms=rooms)))
        self.assertEqual((schedule.title, schedule.timezone, schedule.version), ("ExConf", "UTC", "v1.1"))
        self.assertEqual([room.id for room in schedule.rooms], ["tan-room", "gray-room"])
        [talk] = schedule.talks
        self.assertEqual(when(talk), "2026-11-21 08:30-09:15")
        self.assertEqual((talk.room, talk.abstract), ("gray-room", "<p>Nothing **bold**.</p>"))
        self.assertEqual([(one.name, one.handles) for one in talk.speakers], [("Ann Example", ("ann",))])

    def test_older_and_odd_members(self) -> None:
        old = event(
            guid=None,
            date="2026-11-21",
            persons=[{"id": 1, "public_name": "Bo"}, {"id": 2}],
            track={"name": "T"},
            type={"en": "Talk", "de": "Vortrag"},
            url="",
            language="",
            room={"name": "?"},
        )
        talk = self.talk(json.dumps(document(old)))
        self.assertEqual(
            (talk.guid, talk.track, talk.kind, talk.url, talk.language, talk.room),
            ("exconf-25", "t", "Talk", None, None, "gray-room"),
        )
        self.assertEqual(when(talk), "2026-11-21 09:30-10:15")
        self.assertEqual([speaker.name for speaker in talk.speakers], ["Bo"])

    def test_import_02_what_is_not_json_is_refused_with_line_and_column(self) -> None:
        text = json.dumps(document(), indent=1)
        for broken in (text[:300], text.replace('"v1.1",', '"v1.1",,'), "// no\n" + text):
            self.assertRegex(self.refusal(broken, "voc"), r"\Aline \d+, column \d+: this is not JSON \(")

    def test_import_03_depth(self) -> None:
        self.assertEqual(self.refusal("[" * 100_000 + "]" * 100_000, "voc"), "it is nested too deep")
        self.assertIn("is nested too deep", self.refusal('{"a":' * 100_000 + "1" + "}" * 100_000))
        # What the parser of JSON just lets through is too deep for whatever shows it.
        for depth in (40, *range(900, 1000, 5)):
            text = json.dumps(document(event(date="HERE"))).replace('"HERE"', "[" * depth + "]" * depth)
            self.assertEqual(self.refusal(text), "it is nested too deep")

    def test_import_08_and_39_rows_that_cannot_be_used_are_named(self) -> None:
        for member, value, words in (
            ("title", "a\0b", "the title holds a NUL character"),
            ("room", "a\0b", "the room of “Feeds that stay” holds a NUL"),
            ("abstract", "a\0b", "the description of “Feeds that stay” holds a NUL"),
            ("title", 17, "the title is not text but “17”"),
            ("title", "", "it has no title"),
            ("duration", 45.5, "“45.5” is not a duration"),
            ("date", -5, "is not a date"),
            ("date", "tomorrow", "“tomorrow” is not a date"),
            ("guid", ["a"], "the id of “Feeds that stay” is not text"),
            ("room", "r" * 10_000, "has 10,000 characters; 200 are allowed"),
        ):
            words_said = self.refusal(json.dumps(document(event(), event(**{member: value}))))
            self.assertTrue(words_said.startswith("days[0].rooms[“Gray Room”][1]: "), words_said)
            self.assertIn(words, words_said)

    def test_all_rows_that_are_wrong_are_told_at_once(self) -> None:
        bad = [event(guid=str(number), duration="?") for number in range(12)]
        said = self.refusal(json.dumps(document(*bad)))
        self.assertEqual(said.count("is not a duration"), 8)
        self.assertTrue(said.endswith("; and 4 more"), said)

    def test_look_alikes_are_refused_with_what_they_are(self) -> None:
        hub = document(days=[{"index": 1, "date": "2026-11-21"}])
        hub["schedule"]["events"] = [event()]
        for text, words in (
            (json.dumps(hub), "this is a “schedule2”"),
            (json.dumps(document(days=None)), "days should be a list of days; found null"),
            (json.dumps(document(days=[{"index": 1}])), "days[0]: rooms should be an object"),
            ('{"2026-11-21": {"09:30": {"1": {"title": "x"}}}}', "and this is not: an object of “2026-11-21”"),
            ("[]", "and this is not: a list of 0"),
            ('{"type": "object", "properties": {}}', "and this is not: an object of “type”, “properties”"),
            (json.dumps(document(7)), "a talk should be an object; found “7”"),
        ):
            self.assertIn(words, self.refusal(text))
