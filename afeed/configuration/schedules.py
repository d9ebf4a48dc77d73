"""Where an event's schedule comes from, ``[events.schedule]``, and how posts are filed under its talks,
``[events.attribution]``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import attrs

from afeed.configuration import values
from afeed.configuration.problems import Wrong, quoted
from afeed.configuration.table import Key, Surroundings, Table
from afeed.core.attribution.weights import Weights
from afeed.core.normalise.urls import web_url
from afeed.core.schedule.formats import FORMATS
from afeed.settings import ScheduleSettings


def schedule(event: Table, around: Surroundings) -> ScheduleSettings | None:
    """The schedule of ``event``; None where it has none, or after a report."""
    if "schedule" not in event:
        return None
    table = event.table("schedule")
    keys = {
        "file": Key(str, _file(around.folder)),
        "url": Key(str, _url),
        "format": Key(str, _format),
        "interval_s": Key(float, values.between(10, 86_400, "it counts seconds between two looks")),
    }
    found = table.read(keys)
    if "file" in table and "url" in table:
        table.wrong("url", "file is given too; keep one, so that it is clear which one counts")
    elif "file" not in table and "url" not in table and not table.has_problems:
        table.wrong(None, 'needs a file or a url, such as url = "https://exconf.example/schedule.xml"')
    if table.has_problems:
        event.has_problems = True
        return None
    return ScheduleSettings(**found)


#: The most points that one piece of evidence can have, and the most minutes.
_MOST_POINTS, _MOST_MINUTES = 100.0, 1440.0


def attribution(event: Table) -> Weights:
    """The weights of ``event``; those that are not there are the usual ones."""
    if "attribution" not in event:
        return Weights()
    table = event.table("attribution")
    points = values.between(0, _MOST_POINTS, "it counts points, and a post needs `threshold` of them")
    minutes = values.between(0, _MOST_MINUTES, "it counts minutes")
    found = table.read(
        {
            field.name: Key(float, minutes if field.name.endswith("_min") else points)
            for field in attrs.fields(Weights)
        }
    )
    if table.has_problems:
        event.has_problems = True
        return Weights()
    return Weights(**found)


def _file(folder: Path) -> Callable[[str], Path]:
    def check(value: str) -> Path:
        path = Path(os.path.normpath(folder / value))
        if path.exists() and not path.is_file():
            raise Wrong(f"{quoted(str(path))} is not a regular file; name one, such as schedule.xml")
        try:
            path.open("rb").close()
        except OSError as error:
            raise Wrong(f"cannot read the schedule {quoted(str(path))} ({error.strerror})") from None
        return path

    return check


def _url(value: str) -> str:
    if web_url(value) != value:
        raise Wrong(f"must be an address such as https://exconf.example/schedule.xml, not {quoted(value)}")
    name = urlsplit(value).hostname
    values.host(name or "")
    return value


def _format(value: str) -> str:
    if value not in FORMATS:
        raise Wrong(f"must be one of {', '.join(FORMATS)}, not {quoted(value)}")
    return value
