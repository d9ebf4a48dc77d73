"""Stretches of time."""

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


def whole_days(first: date, last: date, zone: ZoneInfo) -> Period:
    """The days from ``first`` to ``last``, both inclusive, in ``zone``."""
    ends = (first, last + timedelta(days=1))
    return Period(*(datetime.combine(day, time(), zone).timestamp() for day in ends))
