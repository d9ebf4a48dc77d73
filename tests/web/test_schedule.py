"""When events are."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from twisted.trial.unittest import SynchronousTestCase

from afeed.web.schedule import Progress, calendar, progress, status
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


class ProgressTests(SynchronousTestCase):
    def test_days_are_counted_from_the_first_on_the_event_s_own_calendar(self) -> None:
        seattle = make_event(timezone=ZoneInfo("America/Los_Angeles"))
        for moment, found in (
            ("2026-11-16T08:00:00", Progress(1, 3, 5)),
            ("2026-11-21T07:59:59", Progress(1, 3, 1)),
            ("2026-11-21T08:00:00", Progress(1, 3, 0)),
            ("2026-11-24T07:59:59", Progress(3, 3, 0)),
        ):
            self.assertEqual(progress(seattle, at(moment)), found, moment)
