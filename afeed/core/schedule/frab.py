"""schedule.xml, as Pentabarf, frab, pretalx and c3voc's tools write it.

https://c3voc.de/schedule/schema.xsd says what it should be.  What exports do differs: FOSDEM's of 2018 have no
guid, no date in an event and no zone; 31C3's have no url.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import attrs

from afeed.core.schedule import values
from afeed.core.schedule.collector import Collector, Row, ends, listed_name, person
from afeed.core.schedule.formats import FRAB
from afeed.core.schedule.model import Reading, Speaker
from afeed.core.schedule.problems import BadSchedule, Wrong, quoted
from afeed.core.schedule.xmltree import Node, parse

#: Other XML, by its root element.
_OTHERS = {
    "html": "an HTML page; is this the address of the export, and may it be read without signing in",
    "rss": "an RSS feed",
    "feed": "an Atom feed",
    "icalendar": "xCal; most sites have the same schedule as .ics or schedule.xml too",
}


@attrs.frozen
class Conference:
    """What a schedule.xml or schedule.json says about all of its talks: ``name`` goes before ids that are
    unique only within it, ``day_change`` is when a new day of the programme begins."""

    zone: ZoneInfo
    name: str
    day_change: timedelta


def conference(
    collector: Collector, zone: ZoneInfo, named: object, name: str, day_change: object
) -> Conference:
    """``zone`` is the event's, ``named`` the zone that the export names, if any."""
    own = values.zone(named)
    if named and own is None:
        collector.warn("", f"its time zone {quoted(named)} is not known; {zone.key} is used")
    change = timedelta()
    if day_change:
        try:
            at = values.clock_time(day_change)
        except Wrong as wrong:
            collector.warn("", f"day_change: {wrong}")
        else:
            change = timedelta(hours=at.hour, minutes=at.minute)
    return Conference(own or zone, values.slug(name, "event") if name else "", change)


def starts(
    collector: Collector, place: str, about: Conference, day: object, date: object, start: object
) -> datetime:
    """When a talk starts, in UTC: by its own ``date``, which has an offset, else by the ``day`` that it is
    listed under and its time of day, which belongs to the next morning before the day changes."""
    if date and len(str(date).strip()) > 10:
        moment = values.iso_moment(date)
        if moment.tzinfo is not None:
            return values.utc(moment)
    else:
        on = values.iso_day(date or day)
        at = values.clock_time(start)
        moment = datetime.combine(on, at)
        if timedelta(hours=at.hour, minutes=at.minute) < about.day_change:
            moment = ends(moment, timedelta(days=1))
    found, warning = values.local(moment, about.zone)
    if warning is not None:
        collector.warn(place, warning)
    return found


def read_frab(data: bytes, zone: ZoneInfo) -> Reading:
    """The schedule in ``data``; ``zone`` is for times without one, when the export names none.  Raises
    :class:`BadSchedule`."""
    root = parse(data)
    if root.tag != "schedule":
        other = _OTHERS.get(root.tag.rpartition(":")[2].lower())
        raise BadSchedule(
            [
                f"line {root.line}: this is {other}"
                if other
                else f"line {root.line}: a schedule.xml begins with <schedule>, this with <{root.tag[:60]}>"
            ]
        )
    collector = Collector()
    head = root.first("conference") or Node("conference", {}, root.line)
    title, acronym = head.words("title"), head.words("acronym")
    about = conference(
        collector, zone, head.words("time_zone_name"), acronym or title, head.words("day_change")
    )
    for track in [*head.all("track"), *_within(root, "tracks", "track")]:
        name = listed_name(track.attributes.get("name") or track.text)
        if name:
            collector.track(name)
    days = list(root.all("day"))
    if not days:
        raise BadSchedule([f"line {root.line}: the <schedule> has no <day>"])
    for day in days:
        _day(collector, about, day)
    version = root.words("version") or head.words("release")
    return collector.finish(FRAB, about.zone.key, title=title, acronym=acronym, version=version)


def _within(node: Node, outer: str, inner: str) -> Iterator[Node]:
    return (child for group in node.all(outer) for child in group.all(inner))


def _day(collector: Collector, about: Conference, day: Node) -> None:
    for room in day.children:
        if room.tag == "event":
            _event(collector, about, day, "", room)
        elif room.tag == "room":
            for event in room.children:
                if event.tag != "event":
                    raise _foreign(event, "room")
                _event(collector, about, day, room.attributes.get("name", ""), event)
        else:
            raise _foreign(room, "day")


def _foreign(node: Node, around: str) -> BadSchedule:
    wanted = "room" if around == "day" else "event"
    return BadSchedule(
        [
            f"line {node.line}: a <{around}> of a schedule.xml holds <{wanted}>, this one "
            f"<{node.tag[:60]}>; it is another format of the same name, which afeed does not read"
        ]
    )


def _event(collector: Collector, about: Conference, day: Node, room: str, event: Node) -> None:
    place = f"line {event.line}"
    title = event.words("title")
    if not (event.words("start") or event.words("date")):
        collector.warn(place, f"{quoted(title)} has no time yet and is left out")
        return
    try:
        start = starts(
            collector, place, about, day.attributes.get("date"), event.words("date"), event.words("start")
        )
        end = ends(start, values.duration(event.words("duration")))
    except Wrong as wrong:
        collector.wrong(place, f"{quoted(title)}: {wrong}")
        return
    number = event.attributes.get("id") or event.attributes.get("code")
    if not event.words("title") and not number:
        raise BadSchedule([f"{place}: an <event> without <title>; is this a schedule.xml?"])
    collector.add(
        Row(
            place=place,
            title=title,
            start=start,
            end=end,
            guid=event.attributes.get("guid", ""),
            code=f"{about.name}-{number}".strip("-") if number else "",
            subtitle=event.words("subtitle"),
            abstract=event.words("abstract") or event.words("description"),
            room=event.words("room") or room,
            track=event.words("track"),
            kind=event.words("type"),
            speakers=list(_persons(event)),
            url=event.words("url"),
            language=event.words("language"),
            cancelled=event.words("status").lower() in ("cancelled", "canceled"),
        )
    )


def _persons(event: Node) -> Iterator[Speaker]:
    for node in _within(event, "persons", "person"):
        name = node.text.strip() or node.words("name") or node.attributes.get("name")
        found = person(name, urls=[node.attributes.get("url")], words=node.words("biography"))
        if found is not None:
            yield found
