"""On which day of a conference a talk is."""

from __future__ import annotations

from datetime import UTC, date
from zoneinfo import ZoneInfo

from twisted.trial.unittest import SynchronousTestCase

from afeed.web.timetable import day_of, days
from tests.web.talks import NOON, a_schedule, a_talk

TODAY, TOMORROW = NOON.date(), date.fromordinal(NOON.toordinal() + 1)
#: Minutes from noon to two in the morning.
NIGHT = 14 * 60


class DayTests(SynchronousTestCase):
    def test_what_begins_in_the_night_belongs_to_the_evening_before(self) -> None:
        schedule = a_schedule(a_talk("evening", 8 * 60), a_talk("night", NIGHT), a_talk("morning", 22 * 60))
        found = {day.day: day for day in days(schedule, UTC, NOON, {})}
        self.assertEqual(list(found), [TODAY, TOMORROW])
        ids = {slot.talk.id for row in found[TODAY].rows for cell in row.cells for slot in cell.slots}
        self.assertEqual(ids, {"evening", "night"})
        self.assertEqual(day_of(schedule, schedule.talks[1].start, UTC), TODAY)

    def test_a_night_without_an_evening_is_on_its_own_day(self) -> None:
        schedule = a_schedule(a_talk("night", NIGHT), a_talk("later", NIGHT + 60))
        night = schedule.talks[0].start
        self.assertEqual([day.day for day in days(schedule, UTC, night, {})], [TOMORROW])
        self.assertEqual(day_of(schedule, night, UTC), TOMORROW)
        self.assertTrue(days(schedule, UTC, night, {})[0].current)

    def test_the_evening_is_that_of_the_place(self) -> None:
        schedule = a_schedule(a_talk("there", NIGHT))
        self.assertEqual(day_of(schedule, schedule.talks[0].start, ZoneInfo("America/Los_Angeles")), TODAY)
