"""When an event's sources run."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.calendar import Period, feeding


def utc(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[arg-type,misc]


class CalendarTests(SynchronousTestCase):
    def test_a_period_holds_its_beginning_and_not_its_end(self) -> None:
        period = Period(10, 20)
        self.assertEqual([moment in period for moment in (9.9, 10, 19.9, 20)], [False, True, True, False])
        self.assertNotIn("15", period)

    def test_whole_days_in_the_time_zone_of_the_event(self) -> None:
        found = feeding(date(2026, 11, 21), date(2026, 11, 23), ZoneInfo("America/Los_Angeles"), 1, 2)
        self.assertEqual(found, Period(utc(2026, 11, 20, 8), utc(2026, 11, 26, 8)))

    def test_without_lead_and_tail_it_is_the_days_themselves(self) -> None:
        found = feeding(date(2026, 11, 21), date(2026, 11, 21), ZoneInfo("UTC"), 0, 0)
        self.assertEqual(found, Period(utc(2026, 11, 21), utc(2026, 11, 22)))

    def test_days_on_which_the_clocks_change(self) -> None:
        zone = ZoneInfo("Europe/Berlin")
        spring = feeding(date(2026, 3, 29), date(2026, 3, 29), zone, 0, 0)
        autumn = feeding(date(2026, 10, 25), date(2026, 10, 25), zone, 0, 0)
        self.assertEqual([(p.end - p.start) / 3600 for p in (spring, autumn)], [23, 25])
