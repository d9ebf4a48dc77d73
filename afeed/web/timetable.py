"""A schedule as the pages show it: what is on now and next, the days with their rooms, and where talks begin in
the stream.  Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Protocol

import attrs

from afeed.core.schedule.model import Room, Schedule, Talk

#: A day of a conference ends when the last have gone to bed.
_NIGHT = timedelta(hours=4)
#: Most talks that are called next: those of one slot.
_MOST_NEXT = 12
#: A talk is spoken of for so long after its end; until then its page is live.
TAIL = timedelta(hours=2)
#: Its page is live from so long before.
AHEAD = timedelta(minutes=30)


class Scheduled(Protocol):
    """Has an event's schedule, which may change at any time; None while there is none."""

    @property
    def schedule(self) -> Schedule | None: ...


@attrs.frozen
class Slot:
    """A talk as pages name it: ``posts`` is how many there are, ``now`` whether it is on."""

    talk: Talk
    room: str
    posts: int = 0
    now: bool = False


@attrs.frozen
class Now:
    """``running`` talks, the ``next`` ones (all begin together), and the moment at which this changes."""

    running: tuple[Slot, ...] = ()
    next: tuple[Slot, ...] = ()
    until: datetime | None = None

    def __bool__(self) -> bool:
        return bool(self.running or self.next)


@attrs.frozen
class Divider:
    """Where talks begin in the stream."""

    start: datetime
    slots: tuple[Slot, ...]

    @property
    def id(self) -> str:
        """Its id on a page."""
        return f"talks-{int(self.start.timestamp())}"


@attrs.frozen
class Cell:
    """A part of a room's column: talks (more than one where they overlap), or nothing."""

    slots: tuple[Slot, ...]
    rows: int
    columns: int = 1


@attrs.frozen
class Row:
    """What begins at ``time``; ``cells`` where a cell begins."""

    time: datetime
    cells: tuple[Cell, ...]

    @property
    def begins(self) -> bool:
        """Whether any talk begins then, and the time is worth saying."""
        return any(slot.talk.start == self.time for cell in self.cells for slot in cell.slots)


@attrs.frozen
class Day:
    """One day: its rooms (one without id or name for what is in none), and a table in which each talk has its
    place."""

    day: date
    rooms: tuple[Room, ...]
    rows: tuple[Row, ...]
    current: bool


def slot(
    schedule: Schedule,
    talk: Talk,
    now: datetime,
    posts: Mapping[str, int] | None = None,
    rooms: Mapping[str, Room] | None = None,
) -> Slot:
    """``talk`` as pages name it; ``rooms`` are those of the schedule, for who names many."""
    if rooms is None:
        rooms = {one.id: one for one in schedule.rooms}
    place = rooms.get(talk.room or "")
    room = "" if place is None else place.name
    count = (posts or {}).get(talk.id, 0)
    return Slot(talk, room, count, not talk.cancelled and talk.start <= now < talk.end)


def on_now(schedule: Schedule | None, now: datetime) -> Now:
    """What is on at ``now``, and next."""
    if schedule is None:
        return Now()
    there = [talk for talk in schedule.talks if not talk.cancelled]
    running = [talk for talk in there if talk.start <= now < talk.end]
    starts = [talk.start for talk in there if talk.start > now]
    first = min(starts, default=None)
    following = [talk for talk in there if talk.start == first][:_MOST_NEXT]
    boundaries = [talk.end for talk in running] + ([first] if first is not None else [])
    return Now(
        tuple(slot(schedule, talk, now) for talk in running),
        tuple(slot(schedule, talk, now) for talk in following),
        min(boundaries, default=None),
    )


def dividers(
    schedule: Schedule | None,
    moments: Sequence[datetime | None],
    now: datetime,
    newest: bool,
    only: Collection[str] | None = None,
) -> dict[int, list[Divider]]:
    """Where talks begin among items that were written at ``moments``, newest first: by the index of the item
    above which a divider stands.  ``only`` are the ids of the talks that count, None for all.

    The stream is in the order in which items came, so an old one that was fetched late may stand anywhere: what
    counts is the first, from below, that was written after the beginning.  On the ``newest`` page what has just
    begun stands above all, before anybody has said a word about it.
    """
    found: dict[int, list[Divider]] = {}
    if schedule is None or not moments:
        return found
    # From the oldest on, the latest moment so far: it only grows.
    reached: list[datetime] = []
    for moment in reversed(moments):
        known = reached[-1] if reached else datetime.min.replace(tzinfo=UTC)
        reached.append(known if moment is None or moment > now else max(known, moment))
    starting: dict[datetime, list[Talk]] = {}
    for talk in schedule.talks:
        counts = not talk.cancelled and (only is None or talk.id in only)
        if counts and reached[0] < talk.start <= now:
            starting.setdefault(talk.start, []).append(talk)
    for start, talks in sorted(starting.items(), reverse=True):
        above = bisect_left(reached, start)
        if above == len(reached) and not (newest and any(now < talk.end for talk in talks)):
            continue
        one = Divider(start, tuple(slot(schedule, talk, now) for talk in talks))
        found.setdefault(len(reached) - above, []).append(one)
    return found


def days(schedule: Schedule, zone: tzinfo, now: datetime, posts: Mapping[str, int]) -> list[Day]:
    """The days of ``schedule`` as tables."""
    by_day: dict[date, list[Talk]] = {}
    busy = _busy_days(schedule, zone)
    for talk in schedule.talks:
        by_day.setdefault(_day_among(talk.start.astimezone(zone), busy), []).append(talk)
    today = _day_among(now.astimezone(zone), busy)
    return [_day(schedule, day, talks, today, now, posts) for day, talks in sorted(by_day.items())]


def day_of(schedule: Schedule, moment: datetime, zone: tzinfo) -> date:
    """The day to which ``moment`` belongs at a conference: the small hours to the day before, if anything began
    then after its own small hours."""
    local = moment.astimezone(zone)
    return _day_among(local, _busy_days(schedule, zone) if _small(local) else ())


def _busy_days(schedule: Schedule, zone: tzinfo) -> frozenset[date]:
    starts = (talk.start.astimezone(zone) for talk in schedule.talks)
    return frozenset(start.date() for start in starts if not _small(start))


def _day_among(local: datetime, busy: Collection[date]) -> date:
    evening = (local - _NIGHT).date()
    return evening if evening in busy else local.date()


def _small(local: datetime) -> bool:
    return (local - _NIGHT).date() != local.date()


def talks_in(schedule: Schedule, room: str) -> list[Talk]:
    """The talks of a room."""
    return [talk for talk in schedule.talks if talk.room == room]


def find_room(schedule: Schedule, id: str) -> Room | None:
    """The room with this id."""
    return next((room for room in schedule.rooms if room.id == id), None)


@attrs.define
class _Block:
    """Talks of one column that overlap."""

    start: datetime
    end: datetime
    talks: list[Talk]


def _day(
    schedule: Schedule, day: date, talks: list[Talk], today: date, now: datetime, posts: Mapping[str, int]
) -> Day:
    rooms = {room.id: room for room in schedule.rooms}
    used = {talk.room for talk in talks}
    columns: list[str | None] = [room.id for room in schedule.rooms if room.id in used]
    nowhere = _blocks(talk for talk in talks if talk.room not in columns)
    placed = {room: _blocks(talk for talk in talks if talk.room == room) for room in columns}
    others = [block for blocks in placed.values() for block in blocks]
    # What has no room is for everybody where nothing else is on, and else has a column of its own.
    wide = [one for one in nowhere if columns and not any(_overlap(one, other) for other in others)]
    alone = [one for one in nowhere if one not in wide]
    if alone:
        columns.append(None)
        placed[None] = alone
    times = sorted({edge for one in [*others, *nowhere] for edge in (one.start, one.end)})
    index = {time: number for number, time in enumerate(times)}
    cells: dict[tuple[int, int], Cell] = {}
    covered: set[tuple[int, int]] = set()

    def place(block: _Block, first: int, width: int) -> None:
        top, bottom = index[block.start], max(index[block.end], index[block.start] + 1)
        covered.update((row, column) for row in range(top, bottom) for column in range(first, first + width))
        slots = tuple(slot(schedule, talk, now, posts, rooms) for talk in block.talks)
        cells[top, first] = Cell(slots, bottom - top, width)

    for number, room in enumerate(columns):
        for block in placed[room]:
            place(block, number, 1)
    for block in wide:
        place(block, 0, len(columns))
    rows = []
    for top, time in enumerate(times[:-1] or times):
        found = [
            cells.get((top, column)) or (Cell((), 1) if (top, column) not in covered else None)
            for column in range(len(columns))
        ]
        rows.append(Row(time, tuple(cell for cell in found if cell is not None)))
    shown = tuple(rooms.get(column or "", Room(id="", name="")) for column in columns)
    return Day(day, shown, tuple(rows), day == today)


def _blocks(talks: Iterable[Talk]) -> list[_Block]:
    found: list[_Block] = []
    for talk in sorted(talks, key=lambda talk: (talk.start, talk.end, talk.id)):
        end = max(talk.end, talk.start + timedelta(minutes=1))
        if found and talk.start < found[-1].end:
            found[-1].talks.append(talk)
            found[-1].end = max(found[-1].end, end)
        else:
            found.append(_Block(talk.start, end, [talk]))
    return found


def _overlap(one: _Block, other: _Block) -> bool:
    return one.start < other.end and other.start < one.end
