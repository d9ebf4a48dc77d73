"""When events are, in words and in order.  Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Literal

import attrs

from afeed.settings import Event

Status = Literal["live", "coming", "past"]

_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


@attrs.frozen(kw_only=True)
class Calendar:
    """All events by status: live ones and coming ones soonest first, past ones latest first."""

    live: tuple[Event, ...]
    coming: tuple[Event, ...]
    past: tuple[Event, ...]


def status(event: Event, now: float) -> Status:
    """Whether ``event`` is on at ``now`` (seconds since 1970), by its own days in its own time zone."""
    today = datetime.fromtimestamp(now, UTC).astimezone(event.timezone).date()
    if today < event.starts:
        return "coming"
    return "live" if today <= event.ends else "past"


def calendar(events: Iterable[Event], now: float) -> Calendar:
    """``events`` as the front page lists them."""
    found: dict[Status, list[Event]] = {"live": [], "coming": [], "past": []}
    for event in sorted(events, key=lambda event: (event.starts, event.ends, event.name)):
        found[status(event, now)].append(event)
    return Calendar(
        live=tuple(found["live"]), coming=tuple(found["coming"]), past=tuple(reversed(found["past"]))
    )


def days(starts: date, ends: date) -> str:
    """``21 November 2026``, ``21–23 November 2026``, ``30 November – 2 December 2026`` and so on."""
    last = f"{ends.day} {_MONTHS[ends.month - 1]} {ends.year}"
    if starts == ends:
        return last
    if (starts.year, starts.month) == (ends.year, ends.month):
        return f"{starts.day}–{last}"
    first = f"{starts.day} {_MONTHS[starts.month - 1]}"
    return f"{first} – {last}" if starts.year == ends.year else f"{first} {starts.year} – {last}"
