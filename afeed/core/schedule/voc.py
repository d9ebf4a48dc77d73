"""schedule.json, as frab, pretalx and c3voc's tools write it (https://c3voc.de/schedule/schema.json).

Older files have persons of ``id`` and ``public_name`` only and no rooms beside the days; pretalx adds ``end``
and ``code``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

from afeed.core.normalise.values import listing, mapping, mappings
from afeed.core.schedule import values
from afeed.core.schedule.collector import Collector, Row, ends, listed_name, person
from afeed.core.schedule.encoding import decoded
from afeed.core.schedule.formats import VOC
from afeed.core.schedule.frab import Conference, conference, starts
from afeed.core.schedule.model import Reading, Speaker
from afeed.core.schedule.nesting import refuse_depth, too_deep
from afeed.core.schedule.problems import BadSchedule, Wrong, quoted


def decode(data: bytes) -> Any:
    """The JSON in ``data``; raises :class:`BadSchedule` with line and column."""
    try:
        document = json.loads(decoded(data))
    except json.JSONDecodeError as error:
        raise BadSchedule(
            [f"line {error.lineno}, column {error.colno}: this is not JSON ({error.msg})"]
        ) from None
    except RecursionError:
        raise too_deep() from None
    except ValueError:  # int() refuses thousands of digits
        raise BadSchedule(["it holds a number of thousands of digits"]) from None
    refuse_depth(document)
    return document


def read_voc(data: bytes, zone: ZoneInfo) -> Reading:
    """The schedule in ``data``; ``zone`` is for times without one, when the export names none.  Raises
    :class:`BadSchedule`."""
    root = decode(data)
    schedule = mapping(mapping(root).get("schedule"))
    head = mapping(schedule.get("conference"))
    days = head.get("days")
    if not schedule or not head:
        raise BadSchedule(
            [f'a schedule.json is {{"schedule": {{"conference": ...}}}}, and this is not: {_shape(root)}']
        )
    collector = Collector()
    _refuse_others(schedule, days)
    title, acronym = _text(head.get("title")), _text(head.get("acronym"))
    about = conference(collector, zone, head.get("time_zone_name"), acronym or title, head.get("day_change"))
    for found, add in ((head.get("rooms"), collector.room), (head.get("tracks"), collector.track)):
        for entry in mappings(found):
            name = entry.get("name")
            if isinstance(name, str) and (shown := listed_name(name)):
                add(shown)
    for number, day in enumerate(mappings(days)):
        rooms = day.get("rooms")
        if not isinstance(rooms, dict):
            raise BadSchedule(
                [f"days[{number}]: rooms should be an object of lists of talks; found {_shape(rooms)}"]
            )
        for room, events in rooms.items():
            for index, event in enumerate(listing(events)):
                place = f"days[{number}].rooms[{quoted(room)}][{index}]"
                if not isinstance(event, dict):
                    raise BadSchedule([f"{place}: a talk should be an object; found {_shape(event)}"])
                _event(collector, about, place, day.get("date"), room, event)
    version = schedule.get("version")
    return collector.finish(VOC, about.zone.key, title=title, acronym=acronym, version=_text(version))


def _refuse_others(schedule: dict[str, Any], days: object) -> None:
    listed = mappings(days)
    if isinstance(schedule.get("events"), list) and not any("rooms" in day for day in listed):
        raise BadSchedule(
            ["this is a “schedule2” of the CCC's hub, which afeed does not read; the hub has schedule.json too"]
        )
    if not listed:
        raise BadSchedule([f"schedule.conference.days should be a list of days; found {_shape(days)}"])


def _event(
    collector: Collector, about: Conference, place: str, day: object, room: str, event: dict[str, Any]
) -> None:
    title = event.get("title")
    if not (event.get("date") or event.get("start")):
        collector.warn(place, f"{quoted(title)} has no time yet and is left out")
        return
    try:
        start = starts(collector, place, about, day, event.get("date"), event.get("start"))
        end = ends(start, values.duration(event.get("duration")))
    except Wrong as wrong:
        collector.wrong(place, f"{quoted(title)}: {wrong}")
        return
    number = event.get("id") or event.get("code")
    collector.add(
        Row(
            place=place,
            title=title,
            start=start,
            end=end,
            guid=event.get("guid"),
            code=f"{about.name}-{number}".strip("-")[:200] if isinstance(number, int | str) else "",
            subtitle=event.get("subtitle"),
            abstract=_text(event.get("abstract")) or _text(event.get("description")),
            room=event.get("room") if isinstance(event.get("room"), str) and event["room"] else room,
            track=_name(event.get("track")),
            kind=_name(event.get("type")),
            speakers=list(_persons(event)),
            url=event.get("url"),
            language=event.get("language"),
            cancelled=str(event.get("status", event.get("state", ""))).lower() in ("cancelled", "canceled"),
        )
    )


def _persons(event: dict[str, Any]) -> Iterator[Speaker]:
    for entry in mappings(event.get("persons")):
        name = entry.get("public_name") or entry.get("name") or entry.get("full_public_name")
        links = [link.get("url") for link in mappings(entry.get("links"))]
        words = "\n".join(_text(entry.get(member)) for member in ("biography", "description", "abstract"))
        found = person(name, urls=[entry.get("url"), *links], words=words)
        if found is not None:
            yield found


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _name(value: object) -> object:
    """A track or type: text, or in some exports an object or texts by language."""
    if isinstance(value, dict):
        return (
            value.get("name")
            or value.get("en")
            or next((text for text in value.values() if isinstance(text, str)), "")
        )
    return value


def _shape(value: object) -> str:
    """What ``value`` is, for a message."""
    if isinstance(value, dict):
        return (
            f"an object of {', '.join(quoted(key) for key in list(value)[:5])}" if value else "an empty object"
        )
    if isinstance(value, list):
        return f"a list of {len(value):,}"
    return "null" if value is None else quoted(value)
