"""On which days a rule repeats (RFC 5545, 3.3.10), by looking at each day of a range.

Libraries look for the next day that fits, and go on for thousands of years where none ever does; this takes as
long as the range is.
"""

from __future__ import annotations

import re
from calendar import isleap, monthrange
from collections.abc import Iterator, Mapping
from datetime import date, timedelta

_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_DAY = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_NUMBER = re.compile(r"[+-]?[0-9]{1,2}")
DAILY, WEEKLY, MONTHLY, YEARLY = "DAILY", "WEEKLY", "MONTHLY", "YEARLY"


class Rule:
    """``parts`` are FREQ, BYDAY, BYMONTHDAY, BYMONTH and WKST, as they are written, ``interval`` its INTERVAL,
    ``first`` the day on which the series begins.  Raises :class:`ValueError` for what says nothing."""

    def __init__(self, parts: Mapping[str, str], interval: int, first: date) -> None:
        self._frequency = parts["FREQ"]
        self._interval = interval
        self._first = first
        self._months = _numbers(parts.get("BYMONTH"), 1, 12)
        self._month_days = _numbers(parts.get("BYMONTHDAY"), -31, 31)
        self._days = _days(parts.get("BYDAY"))
        begins = _DAYS.index(parts.get("WKST", "MO"))
        self._week = first - timedelta(days=(first.weekday() - begins) % 7)
        if self._days or self._month_days:
            return
        if self._frequency == WEEKLY:
            self._days = {(0, first.weekday())}
        elif self._frequency in (MONTHLY, YEARLY):
            self._month_days = {first.day}
            if self._frequency == YEARLY:
                self._months = self._months or {first.month}

    def until(self, last: date) -> Iterator[date]:
        """The days on which it repeats, from the first to ``last``, in order."""
        for number in range((last - self._first).days + 1):
            day = self._first + timedelta(days=number)
            if self._in_step(day) and self._fits(day):
                yield day

    def _in_step(self, day: date) -> bool:
        if self._frequency == DAILY:
            steps = (day - self._first).days
        elif self._frequency == WEEKLY:
            steps = (day - self._week).days // 7
        elif self._frequency == MONTHLY:
            steps = 12 * (day.year - self._first.year) + day.month - self._first.month
        else:
            steps = day.year - self._first.year
        return steps % self._interval == 0

    def _fits(self, day: date) -> bool:
        if self._months and day.month not in self._months:
            return False
        length = monthrange(day.year, day.month)[1]
        if self._month_days and not self._month_days & {day.day, day.day - length - 1}:
            return False
        if not self._days or (0, day.weekday()) in self._days:
            return True
        if self._frequency in (DAILY, WEEKLY):
            return any(weekday == day.weekday() for _, weekday in self._days)
        # Of a year when no month is named, else of the month.
        at = day.day
        if self._frequency == YEARLY and not self._months:
            at, length = day.timetuple().tm_yday, 365 + isleap(day.year)
        return bool(self._days & {((at + 6) // 7, day.weekday()), (-((length - at) // 7 + 1), day.weekday())})


def _numbers(text: str | None, least: int, most: int) -> set[int]:
    if text is None:
        return set()
    parts = text.split(",")
    if not all(map(_NUMBER.fullmatch, parts)) or not all(least <= int(part) <= most for part in parts):
        raise ValueError(text)
    numbers = {int(part) for part in parts}
    if 0 in numbers:
        raise ValueError(text)
    return numbers


def _days(text: str | None) -> set[tuple[int, int]]:
    """Each as which one of the period (0 for all of them) and which day of the week."""
    if text is None:
        return set()
    found = [_DAY.fullmatch(part) for part in text.split(",")]
    days = {(int(match[1] or 0), _DAYS.index(match[2])) for match in found if match is not None}
    if None in found or any(match is not None and match[1] and not int(match[1]) for match in found):
        raise ValueError(text)
    return days
