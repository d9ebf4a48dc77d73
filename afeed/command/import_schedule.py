"""``afeed import-schedule``: what a schedule would be to afeed, before it is one."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from afeed.command.background import Background
from afeed.command.program import Command, Console, Environment, Mistaken, Refused
from afeed.configuration.problems import Wrong
from afeed.configuration.site import load_site
from afeed.configuration.values import timezone
from afeed.core.draft import TalkChange, TalkFacts
from afeed.core.schedule.announcing import changes, edition
from afeed.core.schedule.difference import succeed
from afeed.core.schedule.formats import AUTO, FORMATS
from afeed.core.schedule.limits import MAX_BYTES
from afeed.core.schedule.model import Reading, Schedule, Talk
from afeed.core.schedule.problems import BadSchedule
from afeed.schedules.kept import Shelf
from afeed.schedules.origin import Mark, Origin, UrlOrigin
from afeed.schedules.programme import FOLDER
from afeed.schedules.worker import Answer
from afeed.settings import Event
from afeed.sources.http import make_client

#: Seconds for understanding it.
TIMEOUT_S = 60.0
#: Of what is odd, and of what changed, so much is printed; --json has all of it.
SHOWN = 20

_DESCRIPTION = """\
Reads a schedule as afeed would, from a file or an address, and says what would be
imported: how many talks, in which rooms, on which days, and what is odd about it.
Nothing is imported: afeed does that by itself, from what [events.schedule] names, and
again whenever it has changed.

Formats, recognised by their content: frab (schedule.xml), voc (schedule.json), ical
(.ics) and toml, the small form of docs/configuration.rst.

With --config and --event it is compared with the schedule that afeed has in use, as
this machine's data_dir has it; without FILE or URL, what the event's table
[events.schedule] names is read.

  afeed import-schedule https://exconf.example/schedule.xml --timezone Europe/Amsterdam
  afeed import-schedule schedule.toml --talks
  afeed import-schedule --config /etc/afeed/afeed.toml --event exconf-2026 --json

exit status: 0 if it can be used, 1 if not, 2 if the command line is wrong.
"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="FILE|URL", nargs="?", help="what is to be read")
    parser.add_argument("-f", "--format", choices=FORMATS, help="its format (auto)")
    parser.add_argument(
        "-z",
        "--timezone",
        metavar="ZONE",
        help="the zone of times that name none (the event's, else UTC), such as Europe/Amsterdam",
    )
    parser.add_argument("-t", "--talks", action="store_true", help="list every talk")
    parser.add_argument("-c", "--config", metavar="FILE", help="the TOML file with which `twistd afeed` runs")
    parser.add_argument("-e", "--event", metavar="SLUG", help="the event whose schedule it is")


def _run(asked: argparse.Namespace, console: Console, environment: Environment) -> None:
    event, data_dir = _event(asked, environment)
    zone = _zone(asked.timezone, event)
    source = asked.source or _configured(event)
    format = asked.format or (event.schedule.format if event and event.schedule else AUTO)
    reading = parsed(_read(source), zone, format, source)
    before = None
    if event is not None and data_dir is not None:
        before = _in_use(data_dir, event.slug)
    new = succeed(before, reading.schedule)
    told = list(changes(new.revisions, before, new.schedule)) if before is not None else None
    lines = [*_summary(source, reading), *_warnings(reading.warnings)]
    if asked.talks:
        lines += _listed(reading.schedule)
    if event is not None:
        lines += _compared(told, ZoneInfo(reading.schedule.timezone))
    console.result("\n".join(lines), _values(source, reading, told))


# -- what is to be read


def _event(asked: argparse.Namespace, environment: Environment) -> tuple[Event | None, Path | None]:
    if (asked.config is None) != (asked.event is None):
        raise Mistaken("--config and --event go together: they say with what to compare")
    if asked.config is None:
        if asked.source is None:
            raise Mistaken("name a file or an address, or --config and --event")
        return None, None
    site = load_site(asked.config, environment.environ)
    event = site.event(asked.event)
    if event is None:
        slugs = ", ".join(one.slug for one in site.events)
        raise Mistaken(f"the configuration has no event {asked.event}; there are: {slugs}")
    return event, site.store.data_dir


def _configured(event: Event | None) -> str:
    wanted = event.schedule if event is not None else None
    if wanted is None:
        raise Mistaken("the event has no table [events.schedule]: name a file or an address")
    return wanted.url or str(wanted.file)


def _zone(name: str | None, event: Event | None) -> ZoneInfo:
    if name is None:
        return event.timezone if event is not None else ZoneInfo("UTC")
    try:
        return timezone(name)
    except Wrong as wrong:
        raise Mistaken(f"--timezone {wrong}") from None


def _read(source: str) -> bytes:
    """The bytes of it; raises :class:`Refused`."""
    if source.startswith(("http://", "https://")):
        with Background() as background:

            async def fetch(reactor: Any) -> bytes:
                return await _content(UrlOrigin(source, make_client(reactor), reactor))

            return background.call(fetch)
    path = Path(source)
    if not path.is_file():
        raise Refused(f"there is no file {source}")
    with path.open("rb") as stream:
        return stream.read(MAX_BYTES + 1)


async def _content(origin: Origin) -> bytes:
    content = await origin.read(Mark())
    return content.data or b""


def parsed(data: bytes, zone: ZoneInfo, format: str, source: str) -> Reading:
    """The schedule in ``data``, understood by a process of its own as afeed has it done.  Raises
    :class:`Refused`."""
    program = [sys.executable, "-m", "afeed.schedules.worker", format, zone.key]
    try:
        done = subprocess.run(  # noqa: S603 - this very program, with words that were checked
            program, input=data, capture_output=True, timeout=TIMEOUT_S, check=False
        )
        answer = msgspec.json.decode(done.stdout, type=Answer)
    except (subprocess.TimeoutExpired, msgspec.DecodeError):
        raise Refused(f"{source} cannot be used: reading it runs out of time or memory") from None
    if answer.reading is None:
        raise Refused(f"{source} cannot be used: {BadSchedule(answer.problems)}")
    return answer.reading


def _in_use(data_dir: Path, slug: str) -> Schedule | None:
    try:
        kept = Shelf(data_dir / FOLDER).load(slug)
    except (OSError, msgspec.DecodeError) as error:
        raise Refused(f"the schedule in use cannot be read: {error}") from None
    return kept.schedule if kept is not None else None


# -- what is said of it


def _summary(source: str, reading: Reading) -> Iterator[str]:
    schedule = reading.schedule
    talks = [talk for talk in schedule.talks if not talk.is_break]
    breaks, cancelled = len(schedule.talks) - len(talks), sum(talk.cancelled for talk in talks)
    speakers = {speaker.name for talk in talks for speaker in talk.speakers}
    handles = {speaker.name for talk in talks for speaker in talk.speakers if speaker.handles}
    title = f", “{schedule.title}”" if schedule.title else ""
    yield f"{source} can be used: {reading.format}{title}."
    more = [_count(breaks, "break")] if breaks else []
    more += [f"{cancelled:,} cancelled"] if cancelled else []
    yield f"  {_count(len(talks), 'talk')}{' (' + ', '.join(more) + ')' if more else ''}"
    yield f"  {_count(len(speakers), 'speaker')}, {len(handles):,} of them with a handle that posts may mention"
    yield f"  {_count(len(schedule.rooms), 'room')}: {_some([room.name for room in schedule.rooms])}"
    if schedule.tracks:
        yield f"  {_count(len(schedule.tracks), 'track')}: {_some([track.name for track in schedule.tracks])}"
    zone = ZoneInfo(schedule.timezone)
    for day in _days(schedule):
        yield f"  {day['date']}  {_count(day['talks'], 'talk')}, {day['first']} to {day['last']} ({zone.key})"


def _days(schedule: Schedule) -> list[dict[str, Any]]:
    zone = ZoneInfo(schedule.timezone)
    talks = [talk for talk in schedule.talks if not talk.is_break and not talk.cancelled]
    counts = Counter(f"{talk.start.astimezone(zone):%Y-%m-%d}" for talk in talks)
    found = []
    for date in sorted(counts):
        those = [talk for talk in talks if f"{talk.start.astimezone(zone):%Y-%m-%d}" == date]
        first, last = min(talk.start for talk in those), max(talk.end for talk in those)
        found.append(
            {
                "date": date,
                "talks": counts[date],
                "first": f"{first.astimezone(zone):%H:%M}",
                "last": f"{last.astimezone(zone):%H:%M}",
            }
        )
    return found


def _warnings(warnings: Sequence[str]) -> Iterator[str]:
    if warnings:
        yield f"{_count(len(warnings), 'thing')} in it {'is' if len(warnings) == 1 else 'are'} odd:"
        yield from _first([f"  {warning}" for warning in warnings])


def _listed(schedule: Schedule) -> Iterator[str]:
    zone, rooms = ZoneInfo(schedule.timezone), {room.id: room.name for room in schedule.rooms}
    for talk in schedule.talks:
        state = " (cancelled)" if talk.cancelled else " (break)" if talk.is_break else ""
        room = rooms.get(talk.room or "", "no room")
        yield f"  {talk.start.astimezone(zone):%Y-%m-%d %H:%M}  {talk.id:<14} {room}: {talk.title}{state}"


def _compared(told: list[TalkChange] | None, zone: ZoneInfo) -> Iterator[str]:
    if told is None:
        yield "afeed has no schedule of this event yet: everything is new."
    elif not told:
        yield "No talk is new, moved, renamed or cancelled against the schedule in use."
    else:
        yield f"{_count(len(told), 'talk')} against the schedule in use:"
        yield from _first([f"  {_changed(one, zone)}" for one in told])


def _changed(one: TalkChange, zone: ZoneInfo) -> str:
    what = f"{', '.join(one.kinds)}: {one.title}"
    facts = TalkFacts(one.title, one.start, one.end, one.room)
    if one.before is None or one.kinds == ("cancelled",):
        return f"{what}, {_when(facts, zone)}"
    name = f" (was {one.before.title})" if one.before.title != one.title else ""
    moved = f", {_when(one.before, zone)} -> {_when(facts, zone)}" if "moved" in one.kinds else ""
    return f"{what}{name}{moved}"


def _when(facts: TalkFacts, zone: ZoneInfo) -> str:
    moment = datetime.fromisoformat(facts.start).astimezone(zone)
    return f"{moment:%Y-%m-%d %H:%M}" + (f" {facts.room}" if facts.room else "")


def _values(source: str, reading: Reading, told: list[TalkChange] | None) -> dict[str, Any]:
    schedule = reading.schedule
    talks = [talk for talk in schedule.talks if not talk.is_break]
    return {
        "source": source,
        "format": reading.format,
        "edition": edition(schedule),
        "title": schedule.title,
        "version": schedule.version,
        "timezone": schedule.timezone,
        "talks": len(talks),
        "breaks": len(schedule.talks) - len(talks),
        "cancelled": sum(talk.cancelled for talk in talks),
        "rooms": [room.name for room in schedule.rooms],
        "tracks": [track.name for track in schedule.tracks],
        "days": _days(schedule),
        "warnings": list(reading.warnings),
        "changes": None if told is None else json.loads(msgspec.json.encode(told)),
        "list": [_as_values(talk) for talk in schedule.talks],
    }


def _as_values(talk: Talk) -> dict[str, Any]:
    return {
        "id": talk.id,
        "title": talk.title,
        "start": f"{talk.start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{talk.end.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "room": talk.room,
        "break": talk.is_break,
        "cancelled": talk.cancelled,
    }


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _some(names: Sequence[str]) -> str:
    rest = len(names) - 8
    return ", ".join(names[:8]) + (f" and {rest:,} more" if rest > 0 else "") or "none"


def _first(lines: Sequence[str]) -> Iterator[str]:
    yield from lines[:SHOWN]
    if len(lines) > SHOWN:
        yield f"  and {len(lines) - SHOWN:,} more"


COMMAND = Command(
    name="import-schedule",
    summary="say what would be imported of a schedule, and what it changes",
    description=_DESCRIPTION,
    arguments=_arguments,
    run=_run,
)
