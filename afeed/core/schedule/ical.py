"""iCalendar (RFC 5545), as pretalx, frab, Sched, ics.py, Google and others write programmes in it.

It has no word for a speaker or a track: they stand in the title ("title - speakers"), or on lines of their own
in the description.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from afeed.core.schedule import values
from afeed.core.schedule.calendarlines import Component, calendars
from afeed.core.schedule.calendarseries import Allowance, instances
from afeed.core.schedule.calendarzones import Zones, after, is_day, length
from afeed.core.schedule.collector import Collector, Row, person
from afeed.core.schedule.encoding import decoded
from afeed.core.schedule.formats import ICAL
from afeed.core.schedule.model import Reading, Speaker
from afeed.core.schedule.problems import BadSchedule, Wrong, quoted

#: For entries that do not say when they end.
ASSUMED_LENGTH = timedelta(minutes=30)

_NAMED = re.compile(
    r"^[ \t]*(speakers?|presenters?|track|room|level|url)[ \t]*:[ \t]*(.*)$", re.IGNORECASE | re.MULTILINE
)
_TALK_BY = re.compile(
    r"\s*\((?:a )?(?:talk|workshop|keynote|tutorial|session) by ([^()]+)\)\s*$", re.IGNORECASE
)
_BETWEEN_NAMES = re.compile(r"\s*(?:,|;|&|\band\b)\s*")


def read_ical(data: bytes, zone: ZoneInfo) -> Reading:
    """The schedule in ``data``; ``zone`` is for times without one.  Raises :class:`BadSchedule`."""
    collector = Collector()
    found = [calendar for calendar in calendars(decoded(data)) if calendar.name == "VCALENDAR"]
    if not found:
        raise BadSchedule(["there is no VCALENDAR in it"])
    zones: Zones | None = None
    allowance = Allowance()
    for calendar in found:
        here = Zones(collector, calendar, zone)
        zones = zones or here
        _Calendar(collector, here, calendar, allowance).read()
    assert zones is not None
    return collector.finish(
        ICAL, zones.default.key, title=_words(found[0], "X-WR-CALNAME") or _words(found[0], "NAME")
    )


def _words(component: Component, name: str) -> str:
    given = component.first(name)
    return given.text if given is not None else ""


class _Calendar:
    def __init__(self, collector: Collector, zones: Zones, calendar: Component, allowance: Allowance) -> None:
        self._collector = collector
        self._allowance = allowance
        self._zones = zones
        self._calendar = calendar
        self._splits = "pretalx" in _words(calendar, "PRODID").lower()
        self._days = 0

    def read(self) -> None:
        events = self._calendar.components("VEVENT")
        series = {_words(event, "UID") for event in events if event.first("RRULE") or event.first("RDATE")}
        replaced: dict[str, dict[datetime, Component]] = {}
        masters = []
        for event in events:
            uid, instance = _words(event, "UID"), event.first("RECURRENCE-ID")
            if instance is not None and uid in series:
                try:
                    replaced.setdefault(uid, {})[self._zones.moment(instance)] = event
                except Wrong as wrong:
                    self._collector.wrong(instance.place, str(wrong))
            else:
                masters.append(event)
        for event in masters:
            try:
                self._event(event, replaced.get(_words(event, "UID"), {}))
            except Wrong as wrong:
                self._collector.wrong(f"line {event.line}", f"{quoted(_words(event, 'SUMMARY'))}: {wrong}")
        if self._days:
            self._collector.warn("", f"{self._days} entries of whole days are left out: they are no talks")

    def _event(self, event: Component, replaced: dict[datetime, Component]) -> None:
        start = event.first("DTSTART")
        if start is None:
            raise Wrong("it has no DTSTART")
        if is_day(start):
            self._days += 1
            return
        if event.first("RRULE") is None and event.first("RDATE") is None:
            self._add(event, self._zones.moment(start), "")
            return
        uid = _words(event, "UID")
        for moment in instances(event, start, self._zones, self._allowance):
            instead = replaced.get(moment)
            moved = instead.first("DTSTART") if instead is not None else None
            shown = instead if instead is not None else event
            # The day by the first rule, so that an instance that is moved keeps its identity.
            at = self._zones.moment(moved) if moved is not None else moment
            self._add(shown, at, f"{uid}/{moment:%Y%m%dT%H%M%SZ}" if uid else "", of=event)

    def _add(self, event: Component, start: datetime, guid: str, of: Component | None = None) -> None:
        place = f"line {event.line}"
        summary = _words(event, "SUMMARY") or (_words(of, "SUMMARY") if of is not None else "")
        description = _words(event, "DESCRIPTION")
        named = _named_lines(description)
        title, speakers = self._speakers(summary, named)
        self._collector.add(
            Row(
                place=place,
                title=title,
                start=start,
                end=self._end(event, of, start, place),
                guid=guid or _words(event, "UID"),
                abstract=_without_lines(description, summary),
                room=_words(event, "LOCATION") or named.get("room", ""),
                track=named.get("track", ""),
                speakers=speakers,
                url=_words(event, "URL") or named.get("url", ""),
                hashtags=_hashtags(event),
                cancelled=_words(event, "STATUS").upper() == "CANCELLED",
            )
        )

    def _end(self, event: Component, of: Component | None, start: datetime, place: str) -> datetime:
        end, duration = event.first("DTEND"), event.first("DURATION")
        if end is not None and not is_day(end):
            if of is not None and of is event:
                # Of a series, the first instance says how long all are.
                first = event.first("DTSTART")
                assert first is not None
                return after(start, self._zones.moment(end) - self._zones.moment(first))
            return self._zones.moment(end)
        if duration is not None:
            return after(start, length(duration))
        if end is not None:
            raise Wrong("it begins at a time of day and ends on a day without one")
        self._collector.warn(
            place, f"{quoted(_words(event, 'SUMMARY'))} does not say when it ends; taken for half an hour"
        )
        return after(start, ASSUMED_LENGTH)

    def _speakers(self, summary: str, named: dict[str, str]) -> tuple[str, list[Speaker]]:
        """The title without the names of those who speak, and them."""
        # Runs of blanks would make the expressions below slow.
        summary = " ".join(summary.split())
        named = {name: " ".join(value.split()) for name, value in named.items()}
        by = _TALK_BY.search(summary)
        title, names = summary, named.get("speaker", "")
        if by is not None and len(by[1]) < 200:
            title, names = summary[: by.start()], names or by[1]
        elif names and summary.endswith(f" - {names}"):
            title = summary[: -len(names) - 3]
        elif self._splits and not names and " - " in summary:
            title, _, names = summary.rpartition(" - ")
        found = [person(name) for name in _BETWEEN_NAMES.split(names) if name]
        return title, [speaker for speaker in found if speaker is not None]


def _named_lines(description: str) -> dict[str, str]:
    """``Speaker: Ann`` and the like, one a line, by name in the singular."""
    return {
        name.lower().rstrip("s").replace("presenter", "speaker"): value.strip()
        for name, value in _NAMED.findall(description[:20_000])
    }


def _without_lines(description: str, summary: str) -> str:
    """What is left of a description that repeats title, speaker and address on lines of their own."""
    lines = _NAMED.sub("", description).splitlines()
    return "\n".join(line for line in lines if line.strip() != summary).strip()


def _hashtags(event: Component) -> list[str]:
    found = []
    for given in event.all("CATEGORIES"):
        for word in given.text.split(","):
            if word.strip().startswith("#"):
                try:
                    found.append(values.hashtag(word))
                except Wrong as wrong:
                    raise Wrong(f"CATEGORIES: {wrong}") from None
    return found
