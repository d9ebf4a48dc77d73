"""When people posted about a talk, as bars.  Pure: ``templates/activity.html`` draws them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo

import attrs

from afeed.core.schedule.model import Talk

#: What the drawing measures, in its own units.
WIDTH, HEIGHT = 720, 96

#: How many minutes a bar may stand for; the first with which there are few enough bars.
_SIZES = (1, 2, 5, 10, 15, 30, 60, 120, 240)
_MOST_BARS = 72

#: Times below the bars that are nearer to each other would run into one another.
_TICK_ROOM = 60

_BEFORE = timedelta(minutes=15)
_AFTER = timedelta(minutes=60)


@attrs.frozen
class Bar:
    """``posts`` from ``time`` on; the rest is where it is drawn."""

    time: str
    posts: int
    x: float
    y: float
    width: float
    height: float
    during: bool


@attrs.frozen
class Tick:
    """A time below the bars."""

    x: float
    text: str


@attrs.frozen
class Activity:
    """``minutes`` is what a bar stands for, ``most`` the posts of the highest; ``start`` and ``end`` are where
    the talk is; ``outside`` counts posts before the first and after the last bar."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    minutes: int
    most: int
    start: float
    end: float
    outside: int


def activity(posts: Mapping[str, int], talk: Talk, zone: tzinfo) -> Activity | None:
    """``posts`` by minute in UTC (``2026-11-21T17:05``) around ``talk``; None when there are none near it."""
    first = _floor(talk.start - _BEFORE)
    length = max(talk.end - talk.start, timedelta(minutes=1)) + _BEFORE + _AFTER
    total = int(length.total_seconds() // 60) + 1
    size = next((size for size in _SIZES if total <= size * _MOST_BARS), _SIZES[-1])
    count = min(-(-total // size), _MOST_BARS)
    bins = [0] * count
    outside = 0
    for minute, number in posts.items():
        try:
            at = datetime.fromisoformat(minute).replace(tzinfo=UTC)
        except ValueError:
            continue
        index = int((at - first).total_seconds() // (60 * size))
        if 0 <= index < count:
            bins[index] += number
        else:
            outside += number
    most = max(bins)
    if most == 0:
        return None
    step = WIDTH / count

    def x_of(moment: datetime) -> float:
        return round(max(0.0, min(WIDTH, (moment - first).total_seconds() / (60 * size) * step)), 1)

    bars = []
    for index, number in enumerate(bins):
        begins = first + timedelta(minutes=index * size)
        height = round(number / most * HEIGHT, 1)
        bars.append(
            Bar(
                begins.astimezone(zone).strftime("%H:%M"),
                number,
                round(index * step + step * 0.1, 1),
                round(HEIGHT - height, 1),
                round(step * 0.8, 1),
                height,
                talk.start - timedelta(minutes=size) < begins < talk.end,
            )
        )
    start, end = x_of(talk.start), x_of(talk.end)
    marked = (talk.start, talk.end) if end - start >= _TICK_ROOM else (talk.start,)
    ticks = tuple(Tick(x_of(moment), moment.astimezone(zone).strftime("%H:%M")) for moment in marked)
    return Activity(tuple(bars), ticks, size, most, start, end, outside)


def _floor(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(second=0, microsecond=0)
