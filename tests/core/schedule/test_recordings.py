"""Every export of a real conference there is can be used, or is refused with a sentence that says why.

They lie beside the project (``../shared/data/schedules``) and are no part of it: real people are named in them.
Where the folder is absent, the invented ones of the other tests stand alone, and one of them here.
"""

from __future__ import annotations

from typing import NamedTuple

from afeed.core.schedule.problems import BadSchedule
from tests.core.normalise.corpus import FOLDER
from tests.core.schedule.case import AMSTERDAM, ScheduleTestCase

SMALL = b"""
[[talks]]
title = "Opening"
start = 2026-11-21T09:30:00
end = 2026-11-21T10:00:00
"""


class Expected(NamedTuple):
    """What becomes of a file: its ``format`` with how many talks, rooms and speakers, or words of the
    ``refusal``.  Breaks are talks, too."""

    format: str = ""
    talks: int = 0
    rooms: int = 0
    speakers: int = 0
    refusal: str = ""


EXPECTED = {
    "31c3.xml": Expected("frab", 138, 4, 197),
    "fosdem-2018.xml": Expected("frab", 689, 31, 651),
    "inpycon2021.ics": Expected("ical", 60, 0, 57),
    "pretalx-democon.json": Expected("voc", 36, 2, 27),
    "invalid-example.json": Expected("voc", 1, 1, 1),
    "europython.xml": Expected(refusal="a <day> of a schedule.xml holds <room>, this one <entry>"),
    "hub-schedule2.json": Expected(refusal="“schedule2” of the CCC's hub, which afeed does not read"),
    "schema/schedule.json.schema.json": Expected(
        refusal='a schedule.json is {"schedule": {"conference": ...}}'
    ),
    "schema/schedule.xml.xsd": Expected(refusal="a schedule.xml begins with <schedule>, this with <xs:schema>"),
}


def files() -> dict[str, bytes]:
    """Each file by its name, and the invented one."""
    folder = FOLDER / "schedules"
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    return {"small.toml": SMALL, **found}


class RecordingTests(ScheduleTestCase):
    def outcome(self, data: bytes) -> Expected:
        try:
            reading = self.reading(data, zone=AMSTERDAM)
        except BadSchedule as error:
            return Expected(refusal=str(error))
        talks = reading.schedule.talks
        self.assertEqual(len({talk.id for talk in talks}), len(talks), "two talks have one address")
        self.assertTrue(all(talk.title and talk.start < talk.end for talk in talks))
        speakers = {speaker.name for talk in talks for speaker in talk.speakers}
        return Expected(reading.format, len(talks), len(reading.schedule.rooms), len(speakers))

    def test_each_can_be_used_or_says_why_not(self) -> None:
        expected = {"small.toml": Expected("toml", 1), **EXPECTED}
        for name, data in files().items():
            with self.subTest(file=name):
                outcome = self.outcome(data)
                if expected[name].refusal:
                    self.assertIn(expected[name].refusal, outcome.refusal)
                    self.assertNotIn("\n", outcome.refusal)
                else:
                    self.assertEqual(outcome, expected[name])
