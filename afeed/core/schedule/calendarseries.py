"""Entries that repeat (RFC 5545, 3.8.5), with a limit on every way in which a rule can be made expensive.

A programme repeats by days, weeks or months.  Whatever has an end beyond :data:`MAX_SERIES` or more than
:data:`MAX_REPEATS` instances is refused before anything is expanded, and no rule is followed for longer than
that, so the work is bounded whatever the rule says; an :class:`Allowance` bounds that of many rules together.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import islice

from afeed.core.schedule.calendarlines import Component, Property
from afeed.core.schedule.calendarrules import DAILY, MONTHLY, WEEKLY, YEARLY, Rule
from afeed.core.schedule.calendarzones import Zones, is_day, naive_moment
from afeed.core.schedule.limits import MAX_MOMENTS, MAX_REPEATS, MAX_SERIES
from afeed.core.schedule.problems import BadSchedule, Wrong, quoted

_PART = re.compile(r"[A-Z]+=[A-Z0-9,+:-]+")
_SUPPORTED = frozenset(("FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY", "BYMONTH", "WKST"))
_FREQUENCIES = frozenset((DAILY, WEEKLY, MONTHLY, YEARLY))
_MOST_RULES = 10
#: A rule that names hardly a moment, or none, is work too.
_LEAST_COST = 4
_LONGEST_RULE = 500
#: The arithmetic of dates ends not long after.
_LAST_YEAR = 9990
#: By so much clocks are ahead of UTC at most.
_EASTERNMOST = timedelta(hours=14)


class Allowance:
    """How many moments the series of one file may still name."""

    def __init__(self) -> None:
        self._left = MAX_MOMENTS

    def take(self, moments: int) -> None:
        """So many are named.  Raises :class:`BadSchedule` when that is too much."""
        self._left -= moments
        if self._left < 0:
            raise BadSchedule(
                [f"its series name more than {MAX_MOMENTS:,} dates; is it the schedule of one event?"]
            )


def instances(event: Component, start: Property, zones: Zones, allowance: Allowance) -> list[datetime]:
    """When each instance of ``event`` starts, in UTC and in order; ``start`` is its DTSTART.  Raises
    :class:`Wrong`, and :class:`BadSchedule` when ``allowance`` is used up."""
    first, is_utc = naive_moment(start)
    moments = {first}
    rules = event.all("RRULE")
    if len(rules) > _MOST_RULES:
        raise Wrong(f"it has {len(rules)} RRULEs; {_MOST_RULES} are allowed")
    for rule in rules:
        found = _expanded(rule.value.upper(), first, lambda moment: zones.instant(start, moment, is_utc))
        allowance.take(max(len(found), _LEAST_COST))
        moments |= found
    for given in event.all("RDATE"):
        moments |= {moment for moment, _ in _listed(given, allowance)}
    if len(moments) > MAX_REPEATS:
        raise Wrong(f"it repeats {len(moments):,} times; {MAX_REPEATS:,} are allowed")
    left_out: set[datetime] = set()
    days: set[date] = set()
    for given in event.all("EXDATE"):
        for moment, in_utc in _listed(given, allowance):
            if is_day(Property("", {}, given.value[:8], 0)) and "T" not in given.value:
                days.add(moment.date())
            else:
                left_out.add(zones.instant(given, moment, in_utc))
    starts = {zones.instant(start, moment, is_utc) for moment in moments} - left_out
    return sorted(moment for moment in starts if moment.date() not in days)


def _listed(given: Property, allowance: Allowance) -> list[tuple[datetime, bool]]:
    parts = given.value.split(",")
    if len(parts) > MAX_REPEATS:
        raise Wrong(f"{given.name} has {len(parts):,} dates; {MAX_REPEATS:,} are allowed")
    allowance.take(len(parts))
    return [naive_moment(Property("", {}, part.strip().partition("/")[0], given.line)) for part in parts]


def _expanded(rule: str, first: datetime, instant: Callable[[datetime], datetime]) -> set[datetime]:
    parts = _parts(rule)
    until, end = _until(parts)
    count = _number(parts, "COUNT", rule)
    interval = _number(parts, "INTERVAL", rule) or 1
    if count is None and until is None:
        raise Wrong(f"the rule {quoted(rule)} repeats for ever; give it a COUNT or an UNTIL")
    if count is not None and count > MAX_REPEATS:
        raise Wrong(f"the rule {quoted(rule)} repeats {count:,} times; {MAX_REPEATS:,} are allowed")
    try:
        horizon = first + MAX_SERIES
        if until is not None and until - first > MAX_SERIES:
            raise Wrong(f"the rule {quoted(rule)} goes on for more than {MAX_SERIES.days} days")
        last = horizon if until is None else min(until, horizon)
        days = Rule(parts, interval, first.date()).until(last.date())
        moments = (datetime.combine(day, first.time()) for day in days)
        found = list(islice((moment for moment in moments if moment <= last), count))
    except (ValueError, OverflowError):
        raise Wrong(f"the rule {quoted(rule)} cannot be understood") from None
    if end is not None:
        found = [moment for moment in found if instant(moment) <= end]
    if count is not None:
        found = found[:count]
        if len(found) < count and until is None:
            raise Wrong(f"the rule {quoted(rule)} goes on for more than {MAX_SERIES.days} days")
    return set(found)


def _parts(rule: str) -> dict[str, str]:
    pieces = [piece for piece in rule.replace(" ", "").split(";") if piece]
    if len(rule) > _LONGEST_RULE or not all(_PART.fullmatch(piece) for piece in pieces):
        raise Wrong(f"the rule {quoted(rule)} cannot be understood")
    parts = dict(piece.split("=", 1) for piece in pieces)
    if parts.get("FREQ") not in _FREQUENCIES:
        raise Wrong(f"the rule {quoted(rule)} is not one by days, weeks, months or years")
    foreign = sorted(set(parts) - _SUPPORTED)
    if foreign:
        raise Wrong(
            f"the rule {quoted(rule)} uses {foreign[0]}, which no programme needs and afeed does not follow"
        )
    return parts


def _until(parts: dict[str, str]) -> tuple[datetime | None, datetime | None]:
    """By what clocks show, the last moment to look at; and the end as an instant, where the rule gives one."""
    text = parts.get("UNTIL")
    if text is None:
        return None, None
    moment, is_utc = naive_moment(Property("", {}, text, 0))
    if moment.year > _LAST_YEAR:
        raise Wrong(f"it goes on for more than {MAX_SERIES.days} days")
    if len(text) == 8:
        return moment + timedelta(days=1) - timedelta(seconds=1), None
    return (moment + _EASTERNMOST, moment.replace(tzinfo=UTC)) if is_utc else (moment, None)


def _number(parts: dict[str, str], key: str, rule: str) -> int | None:
    text = parts.get(key)
    if text is None:
        return None
    if not text.isdigit() or len(text) > 12 or int(text) < 1:
        raise Wrong(f"{key} of the rule {quoted(rule)} is not a number")
    return int(text)
