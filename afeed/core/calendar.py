"""When an event's sources run."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo


class Period(NamedTuple):
    """A stretch of time in seconds since 1970; ``end`` is no longer part of it."""

    start: float
    end: float

    def __contains__(self, moment: object) -> bool:
        return isinstance(moment, int | float) and self.start <= moment < self.end


def feeding(starts: date, ends: date, zone: ZoneInfo, lead_days: int, tail_days: int) -> Period:
    """From ``lead_days`` before the first day of an event until ``tail_days`` after its last, whole days in
    its own time zone."""
    first = starts - timedelta(days=lead_days)
    last = ends + timedelta(days=tail_days + 1)
    return Period(*(datetime.combine(day, time(), zone).timestamp() for day in (first, last)))
