"""When the entries of a calendar are: its dates, in the zones that it names."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from icalendar.prop import vDuration
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from afeed.core.schedule import values
from afeed.core.schedule.calendarlines import Component, Property
from afeed.core.schedule.collector import Collector, ends
from afeed.core.schedule.problems import Wrong, quoted

_MOMENT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:T([0-9]{2})([0-9]{2})([0-9]{2})(Z?))?")
_OFFSET = re.compile(r"([+-])([0-9]{2})([0-9]{2})(?:[0-9]{2})?")
_LONGEST_DURATION = 30
#: Of an IANA name: ``America/Argentina/Buenos_Aires`` has three.
_MOST_PARTS = 4


class Zones:
    """The zones that one calendar may name.

    An IANA name is the zone that everybody knows by it, whatever the file says about it.  Other names are led
    back to one: Windows' names, names with a prefix, ``X-LIC-LOCATION``; or are a fixed offset, if the file's
    definition has only one.  ``default`` is for times without a zone.
    """

    def __init__(self, collector: Collector, calendar: Component, default: ZoneInfo) -> None:
        self._collector = collector
        own = calendar.first("X-WR-TIMEZONE") or calendar.first("TIMEZONE-ID") or calendar.first("VTIMEZONE")
        self.default = (values.zone(own.value) if own is not None else None) or default
        self._defined: dict[str, Component] = {}
        for definition in calendar.components("VTIMEZONE"):
            name = definition.first("TZID")
            if name is not None:
                self._defined[_unquoted(name.value)] = definition
        self._found: dict[str, ZoneInfo | timezone] = {}

    def moment(self, given: Property) -> datetime:
        """When ``given`` is, in UTC.  Raises :class:`Wrong`; so does a date without a time (:func:`is_day`)."""
        naive, is_utc = _naive(given.value)
        return self.instant(given, naive, is_utc)

    def instant(self, given: Property, naive: datetime, is_utc: bool) -> datetime:
        """``naive``, read as ``given``'s zone says."""
        if is_utc:
            return values.utc(naive.replace(tzinfo=UTC))
        zone = self._zone(given)
        if isinstance(zone, timezone):
            return values.utc(naive.replace(tzinfo=zone))
        found, warning = values.local(naive, zone)
        if warning is not None:
            self._collector.warn(given.place, warning)
        return found

    def _zone(self, given: Property) -> ZoneInfo | timezone:
        name = given.parameters.get("TZID")
        if not name:
            return self.default
        name = _unquoted(name)
        if name not in self._found:
            self._found[name] = self._resolved(name)
        return self._found[name]

    def _resolved(self, name: str) -> ZoneInfo | timezone:
        definition = self._defined.get(name)
        known = values.zone(name)
        if known is not None:
            if definition is not None and not _agrees(definition, known):
                self._collector.warn(
                    f"line {definition.line}",
                    f"it defines {known.key} in its own way; the usual {known.key} is used",
                )
            return known
        location = definition.first("X-LIC-LOCATION") if definition is not None else None
        parts = name.strip("/").split("/")[-_MOST_PARTS:]
        guesses = [WINDOWS_TO_OLSON.get(name), location.value if location is not None else None]
        guesses += ["/".join(parts[at:]) for at in range(len(parts))]
        for guess in guesses:
            found = values.zone(guess) if guess else None
            if found is not None:
                return found
        offsets = _offsets(definition) if definition is not None else set()
        if len(offsets) == 1:
            return timezone(offsets.pop())
        raise Wrong(f"the time zone {quoted(name)} is not known; use an IANA name such as Europe/Amsterdam")


def is_day(given: Property) -> bool:
    """Whether ``given`` is a day and not a moment of it."""
    return len(given.value) == 8 and given.value.isdigit()


def naive_moment(given: Property) -> tuple[datetime, bool]:
    """What clocks show, and whether it is UTC."""
    return _naive(given.value)


def length(given: Property) -> timedelta:
    """A ``DURATION``."""
    try:
        if len(given.value) > _LONGEST_DURATION:
            raise ValueError
        found: timedelta = vDuration.from_ical(given.value)
    except (ValueError, OverflowError):
        raise Wrong(f"{quoted(given.value)} is not a duration, such as PT45M") from None
    return found


def after(start: datetime, duration: timedelta) -> datetime:
    """The end of what lasts ``duration``."""
    return ends(start, duration)


def _naive(text: str) -> tuple[datetime, bool]:
    match = _MOMENT.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        numbers = [int(part) for part in match.groups()[:6] if part is not None]
        if len(numbers) == 6:
            numbers[5] = min(numbers[5], 59)  # a leap second
        return datetime(*numbers), match[7] == "Z"  # type: ignore[arg-type]  # noqa: DTZ001
    except (ValueError, OverflowError):
        raise Wrong(f"{quoted(text)} is not a date and time, such as 20261121T093000") from None


def _offsets(definition: Component) -> set[timedelta]:
    found = set()
    for part in definition.children:
        given = part.first("TZOFFSETTO")
        match = _OFFSET.fullmatch(given.value) if given is not None else None
        if match is not None and int(match[2]) < 24 and int(match[3]) < 60:
            offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
            found.add(-offset if match[1] == "-" else offset)
    return found


def _agrees(definition: Component, zone: ZoneInfo) -> bool:
    """Whether the offsets that ``definition`` gives are some that ``zone`` has had."""
    known = {
        zone.utcoffset(datetime.combine(date(year, month, 1), datetime.min.time()))
        for year in (1975, 1985, 1995, 2005, 2015, 2025, 2035)
        for month in (1, 4, 7, 10)
    }
    return _offsets(definition) <= known


def _unquoted(name: str) -> str:
    return name.strip().strip('"')
