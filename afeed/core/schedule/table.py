"""The small TOML form, for events whose programme is in nobody's system.

::

    title = "ExConf 2026"
    timezone = "Europe/Amsterdam"      # the event's, if left out

    [[rooms]]                          # only needed for an order or for hashtags
    name = "Hall 1"
    hashtags = ["#exhall1"]

    [[talks]]
    title = "Feeds that stay"
    start = 2026-11-21T09:30:00        # by the clocks there; an offset may follow
    minutes = 45                       # or end = 2026-11-21T10:15:00
    room = "Hall 1"
    track = "Web"
    speakers = ["Ann Example", {name = "Bo", handle = "@bo"}]
    hashtags = ["#feedsthatstay"]
    abstract = "Plain text or HTML."

It is written by hand, so a mistake is a mistake: an unknown key is not passed over.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo

from afeed.core.schedule import limits, values
from afeed.core.schedule.collector import Collector, Row, ends, person
from afeed.core.schedule.encoding import decoded
from afeed.core.schedule.formats import TOML
from afeed.core.schedule.model import Reading, Speaker
from afeed.core.schedule.nesting import has_long_key, refuse_depth, too_deep
from afeed.core.schedule.problems import BadSchedule, Wrong, quoted

_TEXT, _FLAG, _LIST, _MOMENT, _NUMBER = (
    "text in quotes",
    "true or false",
    "a list",
    "a date and time",
    "a number",
)
_TABLES = "tables"
_TYPES: dict[str, Callable[[Any], bool]] = {
    _TABLES: lambda value: True,  # they are looked at where they are taken apart
    _TEXT: lambda value: isinstance(value, str),
    _FLAG: lambda value: isinstance(value, bool),
    _LIST: lambda value: isinstance(value, list),
    _MOMENT: lambda value: isinstance(value, datetime),
    _NUMBER: lambda value: isinstance(value, int) and not isinstance(value, bool),
}
_ROOT = {
    "title": _TEXT,
    "acronym": _TEXT,
    "version": _TEXT,
    "timezone": _TEXT,
    "rooms": _TABLES,
    "tracks": _TABLES,
    "talks": _TABLES,
}
_PLACE = {"name": _TEXT, "hashtags": _LIST}
_TALK = {
    "id": _TEXT,
    "title": _TEXT,
    "subtitle": _TEXT,
    "abstract": _TEXT,
    "room": _TEXT,
    "track": _TEXT,
    "type": _TEXT,
    "start": _MOMENT,
    "end": _MOMENT,
    "minutes": _NUMBER,
    "speakers": _LIST,
    "hashtags": _LIST,
    "url": _TEXT,
    "language": _TEXT,
    "cancelled": _FLAG,
    "break": _FLAG,
}
_SPEAKER = {"name": _TEXT, "handle": _TEXT, "handles": _LIST, "url": _TEXT}
_LONGEST_MINUTES = 31 * 24 * 60
_LISTED = re.compile(r"^[ \t]*\[\[", re.MULTILINE)
_MOST_LISTED = limits.MAX_TALKS + 2 * limits.MAX_ROOMS
_AT = re.compile(r" \(at line (\d+), column (\d+)\)$")


def read_table(data: bytes, zone: ZoneInfo) -> Reading:
    """The schedule in ``data``; ``zone`` is for times without an offset, when the file names none.  Raises
    :class:`BadSchedule`."""
    if len(data) > limits.MAX_TOML_BYTES:
        raise BadSchedule([f"it is larger than {limits.MAX_TOML_BYTES:,} bytes"])
    text = decoded(data)
    document = _document(text)
    collector = Collector()
    _known(collector, "", document, _ROOT)
    named = document.get("timezone")
    own = values.zone(named)
    if named is not None and own is None:
        collector.wrong(
            "timezone", f"{quoted(named)} is not a time zone; use an IANA name such as Europe/Amsterdam"
        )
    for key, add in (("rooms", collector.room), ("tracks", collector.track)):
        for index, entry in enumerate(_tables(collector, document, key)):
            _place(collector, f"{key}[{index}]", entry, add)
    talks = _tables(collector, document, "talks")
    lines = [
        text.count("\n", 0, at.start()) + 1
        for at in re.finditer(r"^[ \t]*\[\[[ \t]*talks[ \t]*\]\]", text, re.MULTILINE)
    ]
    for index, entry in enumerate(talks):
        where = f"line {lines[index]}" if len(lines) == len(talks) else f"talks[{index}]"
        _talk(collector, where, entry, own or zone)
    return collector.finish(
        TOML,
        (own or zone).key,
        title=document.get("title"),
        acronym=document.get("acronym"),
        version=document.get("version"),
    )


def _document(text: str) -> dict[str, Any]:
    if has_long_key(text):
        raise too_deep()
    if len(_LISTED.findall(text)) > _MOST_LISTED:
        raise BadSchedule([f"it has more than {limits.MAX_TALKS:,} talks; is it the schedule of one event?"])
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise too_deep() from None
    except ValueError as error:
        words = str(error)
        at = _AT.search(words)
        if at is None:
            raise BadSchedule([f"this is not TOML ({words})"]) from None
        raise BadSchedule([f"line {at[1]}, column {at[2]}: this is not TOML ({words[: at.start()]})"]) from None
    refuse_depth(document)
    return document


def _known(collector: Collector, place: str, table: Mapping[str, Any], keys: Mapping[str, str]) -> bool:
    """Whether every member of ``table`` is one of ``keys`` and of its type; what is not is told."""
    good = True
    for name, value in table.items():
        wanted = keys.get(name)
        if wanted is None:
            near = get_close_matches(name, keys, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(keys)}"
            collector.wrong(place, f"unknown key {quoted(name)}; {hint}")
        elif not _TYPES[wanted](value):
            collector.wrong(place, f"{name} should be {wanted}, not {quoted(value)}")
        else:
            continue
        good = False
    return good


def _tables(collector: Collector, document: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    entries = document.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        collector.wrong(key, f"should be tables; write [[{key}]]")
        return []
    return entries


def _place(
    collector: Collector, place: str, entry: dict[str, Any], add: Callable[[str, tuple[str, ...]], None]
) -> None:
    if not _known(collector, place, entry, _PLACE):
        return
    try:
        name = values.line(entry.get("name"), limits.MAX_NAME_CHARS, "the name")
        if not name:
            raise Wrong("it has no name")
        add(name, _hashtags(entry))
    except Wrong as wrong:
        collector.wrong(place, str(wrong))


def _talk(collector: Collector, place: str, entry: dict[str, Any], zone: ZoneInfo) -> None:
    if not _known(collector, place, entry, _TALK):
        return
    try:
        start = _moment(collector, place, entry, "start", zone)
        collector.add(
            Row(
                place=place,
                title=entry.get("title"),
                start=start,
                end=_end(collector, place, entry, start, zone),
                guid=_id(entry.get("id", "")),
                subtitle=entry.get("subtitle"),
                abstract=entry.get("abstract", ""),
                room=entry.get("room"),
                track=entry.get("track"),
                kind=entry.get("type"),
                speakers=[_speaker(collector, place, one) for one in entry.get("speakers", ())],
                url=_url(entry.get("url")),
                hashtags=_hashtags(entry),
                language=entry.get("language"),
                cancelled=entry.get("cancelled", False),
                is_break=entry.get("break"),
            )
        )
    except Wrong as wrong:
        collector.wrong(place, f"{quoted(entry.get('title', 'a talk without a title'))}: {wrong}")


def _moment(collector: Collector, place: str, entry: Mapping[str, Any], key: str, zone: ZoneInfo) -> datetime:
    given: datetime | None = entry.get(key)
    if given is None:
        raise Wrong(f"it has no {key}; write {key} = 2026-11-21T09:30:00")
    if given.tzinfo is not None:
        return values.utc(given)
    found, warning = values.local(given, zone)
    if warning is not None:
        collector.warn(place, warning)
    return found


def _end(
    collector: Collector, place: str, entry: Mapping[str, Any], start: datetime, zone: ZoneInfo
) -> datetime:
    minutes = entry.get("minutes")
    if (minutes is None) == ("end" not in entry):
        raise Wrong("it needs either end or minutes")
    if minutes is None:
        return _moment(collector, place, entry, "end", zone)
    if not 0 < minutes <= _LONGEST_MINUTES:
        raise Wrong(f"minutes should be from 1 to {_LONGEST_MINUTES:,}, not {minutes}")
    return ends(start, timedelta(minutes=minutes))


def _id(value: str) -> str:
    if value and values.talk_id(value) != value:
        raise Wrong(f"its id {quoted(value)} should be 1 to 32 of a-z, 0-9 and -, with no - at either end")
    return value


def _url(value: str | None) -> str | None:
    if value and values.address(value) is None:
        raise Wrong(f"{quoted(value)} is not a web address")
    return value


def _hashtags(entry: Mapping[str, Any]) -> tuple[str, ...]:
    found = entry.get("hashtags", ())
    if len(found) > limits.MAX_HASHTAGS:
        raise Wrong(f"it has {len(found)} hashtags; {limits.MAX_HASHTAGS} are allowed")
    return tuple(values.hashtag(one) for one in found)


def _speaker(collector: Collector, place: str, given: object) -> Speaker:
    entry: dict[str, Any] = (
        {"name": given} if isinstance(given, str) else given if isinstance(given, dict) else {}
    )
    if not entry or not _known(collector, place, entry, _SPEAKER):
        raise Wrong(f'{quoted(given)} is not a speaker; write "Ann" or {{name = "Ann", handle = "@ann"}}')
    listed = [entry["handle"]] if "handle" in entry else []
    handles = [values.handle(one) for one in [*listed, *entry.get("handles", ())]]
    found = person(entry.get("name"), handles=handles, urls=[_url(entry.get("url"))])
    if found is None:
        raise Wrong("one of its speakers has no name")
    return found
