"""Events and their sources."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from afeed.configuration import credentials, values
from afeed.configuration.filters import filters
from afeed.configuration.problems import Wrong, quoted
from afeed.configuration.schedules import attribution, schedule
from afeed.configuration.table import Key, Surroundings, Table
from afeed.settings import Event, FlickrSource, PushSource, ReplaySource, SourceSettings, XSource

#: X API docs, filtered stream: a rule of a pay-per-use app has at most 1024 characters.
LONGEST_RULE = 1024
#: Flickr API docs, flickr.photos.search: more than 20 tags are not searched for.
MOST_TAGS = 20


_DAYS = values.between(0, 3660, "it counts days before or after the event")

_PERIOD = {"lead_days": Key(int, _DAYS), "tail_days": Key(int, _DAYS)}

_EVENT = {
    "slug": Key(str, values.slug, required=True),
    "name": Key(str, values.text(200, "it is what the pages call the event"), required=True),
    "timezone": Key(str, values.timezone, required=True),
    "starts": Key(date, values.day, required=True),
    "ends": Key(date, values.day, required=True),
    "hashtags": Key(str, values.hashtag, many=True, most=20),
    "keep_media": Key(bool),
}


def events(root: Table, around: Surroundings) -> tuple[Event, ...]:
    """Every event without problems; all problems go to the report."""
    tables = root.tables("events")
    if not tables and not root.has_problems:
        root.wrong("events", "there are none; add at least one [[events]] table")
    lines: dict[str, int] = {}
    built = [_event(table, around, lines) for table in tables]
    return tuple(event for event in built if event is not None)


def _event(table: Table, around: Surroundings, lines: dict[str, int]) -> Event | None:
    found = table.read(_EVENT, tables=("sources", "schedule", "attribution", "filters"))
    slug = found.get("slug")
    if slug in lines:
        table.wrong("slug", f"{quoted(slug)} is the slug of the event in line {lines[slug]} already")
    elif slug is not None:
        lines[slug] = table.report.line((*table.path, "slug"))
    if "starts" in found and "ends" in found and found["ends"] < found["starts"]:
        table.wrong("ends", f"{found['ends']} is before starts, {found['starts']}")
    hashtags = [hashtag.casefold() for hashtag in found.get("hashtags", ())]
    if len(set(hashtags)) < len(hashtags):
        table.wrong("hashtags", "names one of them twice (upper and lower case are the same)")
    sources = _sources(table, around)
    programme = schedule(table, around)
    weights = attribution(table)
    kept_back, blocked = filters(table, around)
    if table.has_problems:
        return None
    return Event(
        **found, sources=sources, schedule=programme, attribution=weights, filters=kept_back, blocked=blocked
    )


def _sources(event: Table, around: Surroundings) -> tuple[SourceSettings, ...]:
    found: list[SourceSettings] = []
    seen: dict[str, int] = {}
    for table in event.tables("sources"):
        kind = table.type_of(tuple(_SOURCES))
        if kind is None:
            continue
        line = table.report.line(table.path)
        if kind in seen:
            table.wrong(
                "type", f"the event has this source in line {seen[kind]} already; {_INSTEAD_OF_TWO[kind]}"
            )
        seen.setdefault(kind, line)
        source = _SOURCES[kind](table, around)
        if source is not None:
            found.append(source)
    return tuple(found)


def _account(table: Table, around: Surroundings, account: str) -> None:
    if account not in around.accounts:
        table.wrong("type", f"needs the access that an [accounts.{account}] table gives; add one")


def _x(table: Table, around: Surroundings) -> XSource | None:
    _account(table, around, "x")
    rule = values.text(LONGEST_RULE, "write an X filtered-stream rule, such as #aea -is:retweet")
    found = table.read({"type": Key(str), "rule": Key(str, rule, required=True), **_PERIOD})
    return _built(table, XSource, found)


def _flickr(table: Table, around: Surroundings) -> FlickrSource | None:
    _account(table, around, "flickr")
    interval = values.between(1, 86_400, "it counts seconds, and Flickr allows 3600 requests an hour")
    keys = {
        "type": Key(str),
        "tags": Key(str, values.flickr_tag, many=True, least=1, most=MOST_TAGS, required=True),
        "interval_s": Key(float, interval),
        **_PERIOD,
    }
    return _built(table, FlickrSource, table.read(keys))


def _push(table: Table, around: Surroundings) -> PushSource | None:
    found = table.read({"type": Key(str), **credentials.reference_keys("token"), **_PERIOD})
    found["token"] = credentials.secret(table, "token", found, around)
    return _built(table, PushSource, found)


def _replay(table: Table, around: Surroundings) -> ReplaySource | None:
    keys = {
        "type": Key(str),
        "file": Key(str, _recording(around.folder), required=True),
        "speed": Key(float, values.between(0.001, 100_000, "1.0 plays the recording as fast as it happened")),
        "loop": Key(bool),
        **_PERIOD,
    }
    return _built(table, ReplaySource, table.read(keys))


def _recording(folder: Path) -> Callable[[str], Path]:
    def check(value: str) -> Path:
        path = Path(os.path.normpath(folder / value))
        if os.path.exists(path) and not os.path.isfile(path):
            raise Wrong(f"{quoted(str(path))} is not a regular file; name a recording, such as last-year.jsonl")
        try:
            path.open("rb").close()
        except OSError as error:
            raise Wrong(f"cannot read the recording {quoted(str(path))} ({error.strerror})") from None
        return path

    return check


def _built(table: Table, make: Callable[..., Any], found: dict[str, Any]) -> Any:
    """What ``make`` makes of the values, or None where one of them is missing."""
    found.pop("type", None)
    return None if table.has_problems else make(**found)


_SOURCES: dict[str, Callable[[Table, Surroundings], SourceSettings | None]] = {
    "x": _x,
    "flickr": _flickr,
    "push": _push,
    "replay": _replay,
}

#: An event has one source of each type: a second one would share the first one's rule tag, stored position or
#: address.  How one does the work of two:
_INSTEAD_OF_TWO = {
    "x": "combine the rules into one with OR",
    "flickr": "put all tags into one source, which brings photos that carry any of them",
    "replay": "join the recordings into one file",
    "push": "all programs that publish use the same token",
}
