"""When events are."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from twisted.trial.unittest import SynchronousTestCase

from afeed.web.schedule import calendar, days, status
from tests.web.samples import NOW, make_event


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


class StatusTests(SynchronousTestCase):
    def test_days_begin_and_end_where_the_event_is(self) -> None:
        seattle = make_event(timezone=ZoneInfo("America/Los_Angeles"))
        self.assertEqual(status(seattle, at("2026-11-21T07:59:59")), "coming")
        self.assertEqual(status(seattle, at("2026-11-21T08:00:00")), "live")
        self.assertEqual(status(seattle, at("2026-11-24T07:59:59")), "live")
        self.assertEqual(status(seattle, at("2026-11-24T08:00:00")), "past")

    def test_east_of_greenwich_they_begin_earlier(self) -> None:
        sydney = make_event(timezone=ZoneInfo("Australia/Sydney"))
        self.assertEqual(status(sydney, at("2026-11-20T12:59:59")), "coming")
        self.assertEqual(status(sydney, at("2026-11-20T13:00:00")), "live")


class CalendarTests(SynchronousTestCase):
    def test_soonest_first_and_past_ones_latest_first(self) -> None:
        def on(year: int, month: int) -> dict[str, date]:
            return {"starts": date(year, month, 1), "ends": date(year, month, 2)}

        events = [
            make_event("later", **on(2028, 1)),
            make_event("old", **on(2020, 1)),
            make_event("now"),
            make_event("soon", **on(2027, 1)),
            make_event("recent", **on(2026, 1)),
        ]
        found = calendar(events, NOW)
        self.assertEqual([event.slug for event in found.live], ["now"])
        self.assertEqual([event.slug for event in found.coming], ["soon", "later"])
        self.assertEqual([event.slug for event in found.past], ["recent", "old"])


class DaysTests(SynchronousTestCase):
    def test_what_the_days_share_is_said_once(self) -> None:
        for starts, ends, text in [
            (date(2026, 11, 21), date(2026, 11, 21), "21 November 2026"),
            (date(2026, 11, 21), date(2026, 11, 23), "21–23 November 2026"),
            (date(2026, 11, 30), date(2026, 12, 2), "30 November – 2 December 2026"),
            (date(2026, 12, 31), date(2027, 1, 1), "31 December 2026 – 1 January 2027"),
            (date(2026, 11, 21), date(2027, 11, 22), "21 November 2026 – 22 November 2027"),
        ]:
            self.assertEqual(days(starts, ends), text)
