"""Stretches of time."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.calendar import Period, whole_days


def utc(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[arg-type,misc]


class CalendarTests(SynchronousTestCase):
    def test_a_period_holds_its_beginning_and_not_its_end(self) -> None:
        period = Period(10, 20)
        self.assertEqual([moment in period for moment in (9.9, 10, 19.9, 20)], [False, True, True, False])
        self.assertNotIn("15", period)

    def test_whole_days_in_the_time_zone_of_the_event(self) -> None:
        found = whole_days(date(2026, 11, 20), date(2026, 11, 25), ZoneInfo("America/Los_Angeles"))
        self.assertEqual(found, Period(utc(2026, 11, 20, 8), utc(2026, 11, 26, 8)))

    def test_a_single_day(self) -> None:
        found = whole_days(date(2026, 11, 21), date(2026, 11, 21), ZoneInfo("UTC"))
        self.assertEqual(found, Period(utc(2026, 11, 21), utc(2026, 11, 22)))

    def test_days_on_which_the_clocks_change(self) -> None:
        zone = ZoneInfo("Europe/Berlin")
        spring = whole_days(date(2026, 3, 29), date(2026, 3, 29), zone)
        autumn = whole_days(date(2026, 10, 25), date(2026, 10, 25), zone)
        self.assertEqual([(p.end - p.start) / 3600 for p in (spring, autumn)], [23, 25])
