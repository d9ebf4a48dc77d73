"""When events are, and in which order they are listed.  Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Literal

import attrs

from afeed.settings import Event

Status = Literal["live", "coming", "past"]


@attrs.frozen
class Progress:
    """How far an event is: on its ``day``-th day of ``days``, or ``away`` days off (0 once it is on)."""

    day: int
    days: int
    away: int


@attrs.frozen(kw_only=True)
class Calendar:
    """All events by status: live ones and coming ones soonest first, past ones latest first."""

    live: tuple[Event, ...]
    coming: tuple[Event, ...]
    past: tuple[Event, ...]


def status(event: Event, now: float) -> Status:
    """Whether ``event`` is on at ``now`` (seconds since 1970), by its own days in its own time zone."""
    today = _today(event, now)
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


def progress(event: Event, now: float) -> Progress:
    """How far ``event`` is at ``now``."""
    passed = (_today(event, now) - event.starts).days
    return Progress(day=max(passed, 0) + 1, days=(event.ends - event.starts).days + 1, away=max(-passed, 0))


def _today(event: Event, now: float) -> date:
    return datetime.fromtimestamp(now, UTC).astimezone(event.timezone).date()
