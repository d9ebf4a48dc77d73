"""schedule.xml: the dialects that are about, and what only looks like one."""

from __future__ import annotations

from tests.core.schedule.case import ScheduleTestCase, when

EVENT = """
<event guid="0d7f5f3c-56a1-5c2e-9f5a-6a3a2c6c2f01" id="17" code="ABC123">
 <room>Hall 1</room><title>Feeds that stay</title><subtitle>On keeping what was said</subtitle><type>Talk</type>
 <date>2026-11-21T09:30:00+01:00</date><start>09:30</start><duration>00:45</duration>
 <abstract>First line.&#10;Second line, see https://feeds.example.org/paper</abstract><slug>exconf-17</slug>
 <track>Web</track>
 <persons><person id="3" guid="x">Ann Example</person><person id="4">Bo Muster</person></persons>
 <language>en</language><description/><url>https://exconf.example/talks/17</url>
</event>"""


def xml(
    event: str = EVENT, head: str = "<time_zone_name>Europe/Amsterdam</time_zone_name>", day: str = ""
) -> str:
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<schedule><version>0.9</version>
<conference><title>ExConf 2026</title><acronym>exconf-2026</acronym>{head}</conference>
<day index="1" date="2026-11-21"{day}><room name="Hall 1">{event}</room><room name="Hall 2"></room></day>
</schedule>"""


class FrabTests(ScheduleTestCase):
    def test_a_complete_one(self) -> None:
        schedule = self.schedule(xml())
        self.assertEqual(
            (schedule.title, schedule.acronym, schedule.version, schedule.timezone),
            ("ExConf 2026", "exconf-2026", "0.9", "Europe/Amsterdam"),
        )
        self.assertEqual([(room.id, room.name) for room in schedule.rooms], [("hall-1", "Hall 1")])
        [talk] = schedule.talks
        self.assertEqual(talk.guid, "0d7f5f3c-56a1-5c2e-9f5a-6a3a2c6c2f01")
        self.assertRegex(talk.id, r"\A[0-9a-f]{12}\Z")
        self.assertEqual(when(talk), "2026-11-21 08:30-09:15")
        self.assertEqual((talk.room, talk.track, talk.kind), ("hall-1", "web", "Talk"))
        self.assertEqual((talk.title, talk.subtitle), ("Feeds that stay", "On keeping what was said"))
        self.assertEqual([speaker.name for speaker in talk.speakers], ["Ann Example", "Bo Muster"])
        self.assertEqual((talk.url, talk.language), ("https://exconf.example/talks/17", "en"))
        self.assertIn(
            'First line.<br>Second line, see <a href="https://feeds.example.org/paper"', talk.abstract
        )
        self.assertFalse(talk.cancelled or talk.is_break)

    def test_without_guid_date_and_zone_the_id_day_and_event_tell(self) -> None:
        event = """<event id="7294"><start>00:30</start><duration>00:25</duration><room>Hall 1</room>
            <title>Late show</title>
            <abstract>&lt;p&gt;With &lt;script&gt;x&lt;/script&gt; HTML.&lt;/p&gt;</abstract>
            <persons/></event>"""
        talk = self.talk(xml(event, "<day_change>09:00:00</day_change>"))
        self.assertEqual(talk.guid, "exconf-2026-7294")
        self.assertEqual(talk.id, "exconf-2026-7294")
        self.assertEqual(when(talk), "2026-11-21 23:30-23:55")
        self.assertEqual(talk.abstract, "<p>With  HTML.</p>")

    def test_durations_beyond_a_day_and_with_seconds(self) -> None:
        for written, end in (("24:30", "09:00"), ("00:45:00", "09:15")):
            talk = self.talk(xml(EVENT.replace("00:45", written)))
            self.assertEqual(f"{talk.end:%H:%M}", end)

    def test_a_talk_without_a_time_is_left_out_with_a_warning(self) -> None:
        unplanned = "<event guid='b' id='9'><title>Some day</title><start/><date/></event>"
        reading = self.reading(xml(EVENT + unplanned))
        self.assertEqual([talk.title for talk in reading.schedule.talks], ["Feeds that stay"])
        self.assertEqual(len(reading.warnings), 1)
        self.assertIn("“Some day” has no time yet", reading.warnings[0])

    def test_cancelled_talks_and_breaks(self) -> None:
        for title, cancelled, is_break in (
            ("CANCELLED Feeds that stay", True, False),
            ("[Abgesagt] Feeds", True, False),
            ("Cancelling promises in JavaScript", False, False),
            ("Lunch", False, True),
            ("Coffee break, sponsored by ...", False, True),
            ("Mittagspause", False, True),
            ("Lunch is a protocol", False, False),
            ("Breaking the monolith", False, False),
        ):
            event = (
                EVENT.replace("Feeds that stay", title)
                .replace("<person ", "<nobody ")
                .replace("</person>", "</nobody>")
            )
            talk = self.talk(xml(event))
            self.assertEqual((talk.cancelled, talk.is_break), (cancelled, is_break), title)

    def test_a_repeated_id_is_a_repetition_of_the_talk(self) -> None:
        again = EVENT.replace("T09:30", "T14:00")
        reading = self.reading(xml(again + EVENT))
        self.assertEqual([talk.guid[-3:] for talk in reading.schedule.talks], ["f01", "1#2"])
        self.assertIn("taken for its repetition", reading.warnings[0])

    def test_handles_are_found_in_what_is_written_about_a_speaker(self) -> None:
        person = (
            "<person id='1'><name>Ann Example</name><biography>Writes. https://x.com/Ann_Ex and "
            "https://social.example/@ann, or &lt;a href='https://bsky.app/profile/ann.example'&gt;</biography></person>"
        )
        talk = self.talk(xml(EVENT.replace('<person id="4">Bo Muster</person>', person)))
        self.assertEqual(talk.speakers[1].handles, ("ann_ex", "ann@social.example", "ann.example"))

    def test_an_unknown_zone_is_told(self) -> None:
        reading = self.reading(xml(head="<time_zone_name>../../etc/passwd</time_zone_name>"))
        self.assertIn("is not known; Europe/Amsterdam is used", reading.warnings[0])

    def test_a_line_tells_where_the_mistake_is(self) -> None:
        event = EVENT.replace("<duration>00:45", "<duration>soon")
        self.assertEqual(
            self.refusal(xml(event)),
            "line 5: “Feeds that stay”: “soon” is not a duration, such as 00:45",
        )
        self.assertIn(
            "line 5: “Feeds that stay” ends when it starts", self.refusal(xml(EVENT.replace("00:45", "00:00")))
        )

    def test_look_alikes_are_refused_with_what_they_are(self) -> None:
        for text, words in (
            (
                xml().replace("<event ", "<entry ").replace("</event>", "</entry>"),
                "holds <event>, this one <entry>",
            ),
            (
                "<schedule><day date='2026-11-21'><entry id='1'/></day></schedule>",
                "another format of the same name",
            ),
            ("<schedule><conference/></schedule>", "line 1: the <schedule> has no <day>"),
            ("<rss version='2.0'/>", "this is an RSS feed"),
            ("<iCalendar/>", "this is xCal"),
            ("<!DOCTYPE html><html></html>", "this is an HTML page"),
            ("<programme/>", "begins with <schedule>, this with <programme>"),
            (xml(""), "there are no talks in it"),
            (xml()[:400], "this is not XML (no element found)"),
        ):
            self.assertIn(words, self.refusal(text), words)
