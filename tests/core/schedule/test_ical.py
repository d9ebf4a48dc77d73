"""iCalendar: what exporters really write, and rules that are made to be expensive."""

from __future__ import annotations

import time

from tests.core.schedule.case import ScheduleTestCase, when

EVENT = """BEGIN:VEVENT
UID:one@exconf.example
DTSTAMP:20260901T120000Z
DTSTART;TZID=Europe/Amsterdam:20261121T093000
DTEND;TZID=Europe/Amsterdam:20261121T101500
SUMMARY:Feeds that stay\\, and how
LOCATION:Hall 1
DESCRIPTION:First line\\nSecond \\\\ line
URL:https://exconf.example/one
END:VEVENT
"""


def ical(events: str = EVENT, head: str = "") -> str:
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//ExConf//EN\n{head}{events}END:VCALENDAR\n"
    return text.replace("\n", "\r\n")


def series(rule: str, more: str = "") -> str:
    return ical(EVENT.replace("SUMMARY", f"{rule}\n{more}SUMMARY"))


class IcalTests(ScheduleTestCase):
    def test_a_complete_one(self) -> None:
        schedule = self.schedule(ical(head="X-WR-CALNAME:ExConf\nX-WR-TIMEZONE:Europe/Rome\n"))
        self.assertEqual((schedule.title, schedule.timezone), ("ExConf", "Europe/Rome"))
        [talk] = schedule.talks
        self.assertEqual(when(talk), "2026-11-21 08:30-09:15")
        self.assertEqual(
            (talk.guid, talk.room, talk.title), ("one@exconf.example", "hall-1", "Feeds that stay, and how")
        )
        self.assertEqual(talk.abstract, "<p>First line<br>Second \\ line</p>")

    def test_folded_lines_bare_line_feeds_and_blanks_before_values(self) -> None:
        event = EVENT.replace("SUMMARY:Feeds", "SUMMARY: Fe\n eds").replace("DTSTART;", "DTSTART;\n ")
        talk = self.talk(ical(event).replace("\r\n", "\n"))
        self.assertEqual(talk.title, "Feeds that stay, and how")

    def test_duration_instead_of_an_end_and_neither(self) -> None:
        end = "DTEND;TZID=Europe/Amsterdam:20261121T101500\n"
        self.assertEqual(when(self.talk(ical(EVENT.replace(end, "DURATION:PT1H\n")))), "2026-11-21 08:30-09:30")
        reading = self.reading(ical(EVENT.replace(end, "")))
        self.assertEqual(when(reading.schedule.talks[0]), "2026-11-21 08:30-09:00")
        self.assertIn("does not say when it ends", reading.warnings[0])

    def test_speakers_in_titles_and_descriptions(self) -> None:
        for head, title, description, speakers in (
            (
                "",
                "Feeds - Ann Ex",
                "Feeds - Ann Ex\\nSpeaker: Ann Ex\\nTrack: 4\\nURL: https://e.example/x",
                ["Ann Ex"],
            ),
            ("", "Feeds (talk by Ann Ex and Bo)", "", ["Ann Ex", "Bo"]),
            ("X-A:1\nPRODID:-//pretalx//exconf//EN\n", "Feeds - Ann Ex, Bo", "", ["Ann Ex", "Bo"]),
        ):
            event = EVENT.replace("Feeds that stay\\, and how", title).replace(
                "First line\\nSecond \\\\ line", description
            )
            text = ical(event, head)
            if head:
                text = text.replace("PRODID:-//ExConf//EN\r\n", "")
            talk = self.talk(text)
            self.assertEqual((talk.title, [one.name for one in talk.speakers]), ("Feeds", speakers))
            self.assertEqual(talk.abstract, "")
        # Only pretalx is known to write it so: elsewhere it may be part of the title.
        talk = self.talk(ical(EVENT.replace("Feeds that stay\\, and how", "Feeds - a talk")))
        self.assertEqual((talk.title, talk.speakers), ("Feeds - a talk", ()))

    def test_blanks_in_a_title_do_not_take_long(self) -> None:
        blank = " " * 100_000
        title = f"Feeds that{blank}stay"
        began = time.process_time()
        talk = self.talk(ical(EVENT.replace("Feeds that stay\\, and how", title + f"{blank}(talk by Ann Ex)")))
        self.assertLess(time.process_time() - began, 1.0)
        self.assertEqual((talk.title, talk.speakers[0].name), ("Feeds that stay", "Ann Ex"))

    def test_status_and_hashtags(self) -> None:
        talk = self.talk(ical(EVENT.replace("LOCATION", "STATUS:CANCELLED\nCATEGORIES:web,#Feeds\nLOCATION")))
        self.assertTrue(talk.cancelled)
        self.assertEqual(talk.hashtags, ("#Feeds",))
        self.assertIn("line 4", self.refusal(ical(EVENT.replace("LOCATION", "CATEGORIES:#a b\nLOCATION"))))

    def test_whole_days_are_no_talks(self) -> None:
        day = "BEGIN:VEVENT\nUID:d\nDTSTART;VALUE=DATE:20261121\nSUMMARY:Day one\nEND:VEVENT\n"
        reading = self.reading(ical(day + EVENT))
        self.assertEqual(len(reading.schedule.talks), 1)
        self.assertIn("1 entries of whole days are left out", reading.warnings[0])

    def test_one_uid_for_everything_and_none_at_all(self) -> None:
        other = (
            EVENT.replace("Feeds that stay\\, and how", "Another").replace("T09", "T11").replace("T10", "T12")
        )
        reading = self.reading(ical(EVENT + other))
        self.assertIn("“Another” has the id of “Feeds that stay, and how” (line 4)", reading.warnings[0])
        first, second = reading.schedule.talks
        self.assertNotEqual(first.id, second.id)
        swapped = self.reading(ical(other + EVENT)).schedule
        self.assertEqual(swapped.talks, reading.schedule.talks, "the order in the file does not matter")
        without = EVENT.replace("UID:one@exconf.example\n", "")
        moved = without.replace("20261121", "20261122")
        self.assertEqual(
            self.talk(ical(without)).guid, self.talk(ical(moved)).guid, "it stays when the talk moves"
        )


class ZoneTests(ScheduleTestCase):
    def test_import_14_a_calendar_does_not_redefine_amsterdam(self) -> None:
        zone = (
            "BEGIN:VTIMEZONE\nTZID:Europe/Amsterdam\nBEGIN:STANDARD\nDTSTART:19700101T000000\n"
            "TZOFFSETFROM:+0900\nTZOFFSETTO:+0900\nEND:STANDARD\nEND:VTIMEZONE\n"
        )
        reading = self.reading(ical(EVENT, zone))
        self.assertEqual(when(reading.schedule.talks[0]), "2026-11-21 08:30-09:15")
        self.assertEqual(
            reading.warnings,
            ("line 4: it defines Europe/Amsterdam in its own way; the usual Europe/Amsterdam is used",),
        )
        honest = zone.replace("+0900", "+0100")
        self.schedule(ical(EVENT, honest))
        # One file's zones are not another's.
        self.assertIn("is not known", self.refusal(ical(EVENT.replace("Europe/Amsterdam", "Mine"))))

    def test_names_that_are_not_iana_s(self) -> None:
        fixed = (
            "BEGIN:VTIMEZONE\nTZID:Mine\nBEGIN:STANDARD\nDTSTART:19700101T000000\n"
            "TZOFFSETFROM:+0100\nTZOFFSETTO:+0100\nEND:STANDARD\nEND:VTIMEZONE\n"
        )
        for name, head in (
            ("W. Europe Standard Time", ""),
            ("/freeassociation.sourceforge.net/Europe/Amsterdam", ""),
            ("Mine", fixed),
        ):
            event = EVENT.replace("TZID=Europe/Amsterdam", f'TZID="{name}"')
            self.assertEqual(when(self.talk(ical(event, head))), "2026-11-21 08:30-09:15", name)

    def test_a_name_of_many_parts_takes_neither_time_nor_memory(self) -> None:
        event = EVENT.replace("Europe/Amsterdam", "a/" * 100_000 + "b")
        self.assertIn("is not known", self.refusal(ical(event), within_s=1.0))
        far = EVENT.replace("Europe/Amsterdam", "/x" * 1000 + "/Europe/Amsterdam")
        self.assertEqual(when(self.talk(ical(far))), "2026-11-21 08:30-09:15")

    def test_times_without_a_zone_are_the_event_s(self) -> None:
        talk = self.talk(ical(EVENT.replace(";TZID=Europe/Amsterdam", "")))
        self.assertEqual(when(talk), "2026-11-21 08:30-09:15")

    def test_import_15_times_that_clocks_skip_or_show_twice(self) -> None:
        for day, start, words in (
            ("20260329", "2026-03-29 01:30", "does not exist in Europe/Amsterdam"),
            ("20261025", "2026-10-25 00:30", "comes twice in Europe/Amsterdam"),
        ):
            event = EVENT.replace("20261121T093000", f"{day}T023000").replace(
                "20261121T101500", f"{day}T050000"
            )
            reading = self.reading(ical(event))
            self.assertEqual(f"{reading.schedule.talks[0].start:%Y-%m-%d %H:%M}", start)
            self.assertIn(words, reading.warnings[0])

    def test_import_16_and_17_ends_and_years_that_cannot_be(self) -> None:
        for old, new, words in (
            ("20261121T101500", "20261121T090000", "ends (2026-11-21 08:00Z) before it starts"),
            ("20261121T101500", "20261121T093000", "ends when it starts"),
            ("20261121T101500", "20271226T093000", "lasts 400 days"),
            ("20261121T093000", "00000101T093000", "is not a date and time"),
            ("20261121T101500", "99991231T235959", "is not in a year of this era"),
            ("20261121T101500", "100001231T235959", "is not a date and time"),
            ("20261121T093000", "tomorrow", "“tomorrow” is not a date and time"),
        ):
            said = self.refusal(ical(EVENT.replace(old, new)))
            self.assertTrue(said.startswith("line 4: "), said)
            self.assertIn(words, said)


class SeriesTests(ScheduleTestCase):
    def test_days_of_a_week_with_one_left_out_and_one_moved(self) -> None:
        moved = (
            "BEGIN:VEVENT\nUID:one@exconf.example\nRECURRENCE-ID;TZID=Europe/Amsterdam:20261122T093000\n"
            "DTSTART;TZID=Europe/Amsterdam:20261122T110000\nDTEND;TZID=Europe/Amsterdam:20261122T113000\n"
            "SUMMARY:Feeds\\, later\nEND:VEVENT\n"
        )
        rule = "RRULE:FREQ=DAILY;COUNT=4\nEXDATE;TZID=Europe/Amsterdam:20261123T093000"
        text = ical(EVENT.replace("SUMMARY", f"{rule}\nSUMMARY") + moved)
        talks = self.schedule(text).talks
        self.assertEqual(
            [(when(talk), talk.title) for talk in talks],
            [
                ("2026-11-21 08:30-09:15", "Feeds that stay, and how"),
                ("2026-11-22 10:00-10:30", "Feeds, later"),
                ("2026-11-24 08:30-09:15", "Feeds that stay, and how"),
            ],
        )
        self.assertEqual(len({talk.id for talk in talks}), 3)

    def test_a_series_keeps_its_hour_when_clocks_change(self) -> None:
        text = series("RRULE:FREQ=WEEKLY;UNTIL=20261102T235959Z").replace("20261121", "20261020")
        self.assertEqual(
            [f"{talk.start:%d %H:%M}" for talk in self.schedule(text).talks], ["20 07:30", "27 08:30"]
        )

    def test_the_end_of_a_series_is_an_instant(self) -> None:
        text = series("RRULE:FREQ=DAILY;UNTIL=20261122T235959Z")
        self.assertEqual(len(self.schedule(text).talks), 2)

    def test_import_12_two_rules_are_both_followed(self) -> None:
        text = series("RRULE:FREQ=DAILY;COUNT=2\nRRULE:FREQ=WEEKLY;COUNT=2")
        self.assertEqual([f"{talk.start:%d}" for talk in self.schedule(text).talks], ["21", "22", "28"])

    def test_import_09_and_10_rules_that_are_bombs(self) -> None:
        for rule, words in (
            ("FREQ=DAILY;COUNT=1000000000", "repeats 1,000,000,000 times; 1,000 are allowed"),
            ("FREQ=DAILY;COUNT=99999999999999999999", "COUNT of the rule"),
            ("FREQ=DAILY", "repeats for ever"),
            ("FREQ=SECONDLY;COUNT=2", "is not one by days"),
            ("FREQ=DAILY;COUNT=900", "goes on for more than 400 days"),
            ("FREQ=DAILY;UNTIL=99991231T235959Z", "goes on for more than 400 days"),
            ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;COUNT=1", "goes on for more than 400 days"),
            ("FREQ=DAILY;COUNT=1;INTERVAL=0", "INTERVAL of the rule"),
            ("FREQ=DAILY;COUNT=-3", "COUNT of the rule"),
            ("FREQ=DAILY;COUNT=3;BYDAY=XX", "cannot be understood"),
            ("FREQ=DAILY;COUNT", "cannot be understood"),
            (f"FREQ=DAILY;COUNT=3;BYMONTHDAY={','.join(['1'] * 5000)}", "cannot be understood"),
        ):
            self.assertIn(words, self.refusal(series(f"RRULE:{rule}"), within_s=1.0), rule)
        numbers = ",".join(map(str, range(60)))
        cross = (
            f"FREQ=YEARLY;BYHOUR={','.join(map(str, range(24)))};BYMINUTE={numbers};BYSECOND={numbers};COUNT=1"
        )
        self.assertIn("uses BYHOUR", self.refusal(series(f"RRULE:{cross}"), within_s=1.0))

    def test_dates_that_are_left_out_cost_no_more_than_those_that_are_named(self) -> None:
        rule, days = "RRULE:FREQ=DAILY;COUNT=300", ",".join(["20250101"] * 300)
        text = series(rule, f"EXDATE:{days}\n" * 60)
        self.assertEqual(len(self.reading(text).schedule.talks), 300)
        more = series(rule, f"EXDATE:{days}\n" * 1000)
        self.assertIn("its series name more than 20,000 dates", self.refusal(more, within_s=2.0))
        # Rules of which nothing is left are work as well.
        rules = "RRULE:FREQ=DAILY;COUNT=1;BYMONTH=2;BYMONTHDAY=30;UNTIL=20271201\n" * 10
        many = ical(EVENT.replace("SUMMARY", f"{rules}SUMMARY") * 4000)
        self.assertIn("its series name more than 20,000 dates", self.refusal(many, within_s=30.0))

    def test_import_19_more_entries_than_any_event_has(self) -> None:
        said = self.refusal(ical("BEGIN:VEVENT\nEND:VEVENT\n" * 300_000), within_s=3.0)
        self.assertIn("more than 5,000 entries", said)
        # Short series of many entries are as many talks.
        many = "".join(
            EVENT.replace("one@", f"{number}@").replace("SUMMARY", "RRULE:FREQ=DAILY;COUNT=200\nSUMMARY")
            for number in range(100)
        )
        self.assertIn("more than 5,000 talks", self.refusal(ical(many), within_s=10.0))


class SyntaxTests(ScheduleTestCase):
    def test_what_is_cut_off_or_mixed_up_is_refused_with_the_line(self) -> None:
        for text, words in (
            (ical()[:300], "line 4: the VEVENT that begins here does not end; is the file whole?"),
            (ical().replace("END:VEVENT", "END:VTODO"), "“END:VTODO” ends VEVENT"),
            (ical().replace("LOCATION:", "LOCATION "), "is not “NAME:value”"),
            (ical().replace("BEGIN:VCALENDAR\r\n", "X:y\r\n"), "begins with BEGIN:VCALENDAR, not with “X:y”"),
            (ical(""), "there are no talks in it"),
            ("BEGIN:VCARD\nFN:Ann\nEND:VCARD\n", "there is no VCALENDAR in it"),
            (ical("BEGIN:X\n" * 50 + "END:X\n" * 50), "nested deeper than 32"),
            (ical(EVENT.replace("DTSTART", "DTSTARTED")), "it has no DTSTART"),
        ):
            self.assertIn(words, self.refusal(text, "ical"))
