"""What the parsers of all formats have in common: rows in, checked talks out, and everything that is wrong or
odd on the way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import attrs

from afeed.core.normalise.values import language
from afeed.core.schedule import limits, values
from afeed.core.schedule.model import Reading, Room, Schedule, Speaker, Talk, Track
from afeed.core.schedule.problems import BadSchedule, Wrong, quoted
from afeed.core.schedule.prose import prose

#: Programme committees say it in the title: FOSDEM's exports do, having no member for it.
_CANCELLED = re.compile(
    r"\W*(?:cancell?ed|abgesagt|f(?:ä|ae)llt aus|entf(?:ä|ae)llt|annulée?|cancelad[oa]|annullato|afgelast)\b",
    re.IGNORECASE,
)
_BREAKS = """
break breaks lunch coffee tea breakfast dinner registration pause kaffeepause mittagspause mittagessen kaffee
frühstück déjeuner café almuerzo comida descanso pausa pranzo colazione koffie koffiepauze lunchpauze
middagpauze lunchbreak coffeebreak teabreak
"""
_FILLERS = """
the a and of with for in at morning afternoon evening short long networking open opens doors check sponsored by
badge pickup welcome et und en de y e
"""
_BREAK_WORDS = frozenset(_BREAKS.split())
_BREAK_FILLERS = frozenset(_FILLERS.split())


@attrs.define(kw_only=True)
class Row:
    """One entry of an export, read but not checked.  ``place`` says where it stands, for messages; ``start``
    and ``end`` have a zone; ``guid`` is "" where the export has none, and ``code`` then what it has instead."""

    place: str
    title: object = ""
    start: datetime | None = None
    end: datetime | None = None
    guid: object = ""
    code: str = ""
    subtitle: object = ""
    abstract: str = ""
    room: object = ""
    track: object = ""
    kind: object = ""
    speakers: Sequence[Speaker] = ()
    url: object = None
    hashtags: Sequence[str] = ()
    language: object = None
    cancelled: bool = False
    is_break: bool | None = None


@attrs.frozen
class _Checked:
    row: Row
    title: str
    guid: str
    start: datetime
    end: datetime


class Collector:
    """Takes rows and gives a schedule, or raises with all that is wrong."""

    def __init__(self) -> None:
        self._found: list[_Checked] = []
        self._problems: list[str] = []
        self._warnings: list[str] = []
        self._unwarned = 0
        self._rooms: dict[str, tuple[str, ...]] = {}
        self._tracks: dict[str, tuple[str, ...]] = {}
        self._rows = 0

    def wrong(self, place: str, message: str) -> None:
        """A mistake; the schedule will be refused.  Raises :class:`BadSchedule` when there are too many."""
        self._problems.append(f"{place}: {message}" if place else message)
        if len(self._problems) >= limits.MAX_PROBLEMS:
            raise BadSchedule([*self._problems, "it was not looked at any further"])

    def warn(self, place: str, message: str) -> None:
        """Something odd that does not keep the schedule from being used."""
        if len(self._warnings) < limits.MAX_WARNINGS:
            self._warnings.append(f"{place}: {message}" if place else message)
        else:
            self._unwarned += 1

    def room(self, name: str, hashtags: tuple[str, ...] = ()) -> None:
        """There is a room ``name``, in the order in which the event lists them."""
        self._rooms[name] = self._rooms.get(name) or hashtags

    def track(self, name: str, hashtags: tuple[str, ...] = ()) -> None:
        """There is a track ``name``."""
        self._tracks[name] = self._tracks.get(name) or hashtags

    def add(self, row: Row) -> None:
        """One more talk.  Raises :class:`BadSchedule` when there are too many."""
        self._rows += 1
        if self._rows > limits.MAX_TALKS:
            raise BadSchedule(
                [f"it has more than {limits.MAX_TALKS:,} talks; is it the schedule of one event?"]
            )
        try:
            checked = _checked(row)
            self._place(row, checked)
        except Wrong as wrong:
            self.wrong(row.place, str(wrong))
            return
        self._found.append(checked)

    def _place(self, row: Row, checked: _Checked) -> None:
        row.room = values.line(row.room, limits.MAX_NAME_CHARS, f"the room of {quoted(checked.title)}")
        row.track = values.line(row.track, limits.MAX_NAME_CHARS, f"the track of {quoted(checked.title)}")
        row.subtitle = values.line(
            row.subtitle, 4 * limits.MAX_TITLE_CHARS, f"the subtitle of {quoted(checked.title)}"
        )
        row.kind = values.line(row.kind, limits.MAX_NAME_CHARS, f"the type of {quoted(checked.title)}")
        if row.room:
            self.room(str(row.room))
        if row.track:
            self.track(str(row.track))
        if "\0" in row.abstract:
            raise Wrong(f"the description of {quoted(checked.title)} holds a NUL character")

    def finish(
        self, format: str, timezone: str, *, title: object = "", acronym: object = "", version: object = ""
    ) -> Reading:
        """The schedule.  Raises :class:`BadSchedule` if anything was wrong or there is no talk."""
        rooms = self._named(self._rooms, "room")
        tracks = self._named(self._tracks, "track")
        if max(len(rooms), len(tracks)) > limits.MAX_ROOMS:
            self.wrong("", f"it has more than {limits.MAX_ROOMS:,} rooms or tracks")
        guids = self._guids()
        if self._problems:
            raise BadSchedule(self._problems)
        if not self._found:
            raise BadSchedule(
                ["there are no talks in it" + (f" ({self._warnings[0]})" if self._warnings else "")]
            )
        talks = [self._talk(guid, found, rooms, tracks) for guid, found in zip(guids, self._found, strict=True)]
        talks.sort(key=lambda talk: (talk.start, talk.room or "", talk.id))
        if self._unwarned:
            self._warnings.append(f"and {self._unwarned} more warnings")
        return Reading(
            schedule=Schedule(
                timezone=timezone,
                title=listed_name(title),
                acronym=listed_name(acronym),
                version=listed_name(version),
                rooms=tuple(Room(id=id, name=name, hashtags=self._rooms[name]) for name, id in rooms.items()),
                tracks=tuple(
                    Track(id=id, name=name, hashtags=self._tracks[name]) for name, id in tracks.items()
                ),
                talks=tuple(talks),
            ),
            format=format,
            warnings=tuple(self._warnings),
        )

    def _named(self, names: dict[str, tuple[str, ...]], what: str) -> dict[str, str]:
        """An id for each name.  Names that would have the same one have a hash after it, so that each keeps its
        own in whatever order they come."""
        same = Counter(values.slug(name, what) for name in names)
        alike: dict[str, str] = {}
        ids: dict[str, str] = {}
        for name in names:
            other = alike.setdefault(values.folded(name), name)
            if other != name:
                self.warn(
                    "", f"the {what}s {quoted(other)} and {quoted(name)} are taken for two, but look like one"
                )
            plain = values.slug(name, what)
            ids[name] = plain if same[plain] == 1 else f"{plain}-{values.short_hash(name, 6)}"
        return ids

    def _guids(self) -> list[str]:
        """A guid of its own for each row.

        Exports repeat one for a talk that is held twice, and some calendars for everything; the title, and then
        the order in time, tell them apart.
        """
        seen: dict[str, _Checked] = {}
        guids: dict[int, str] = {}
        for found in sorted(self._found, key=lambda found: found.start):
            guid = found.guid
            first = seen.get(guid)
            if first is not None:
                same_title = values.folded(first.title) == values.folded(found.title)
                self.warn(
                    found.row.place,
                    f"{quoted(found.title)} has the id of {quoted(first.title)} ({first.row.place}); "
                    + ("taken for its repetition" if same_title else "told apart by the title"),
                )
                if not same_title:
                    guid = f"{guid}/{values.short_hash(values.folded(found.title), 12)}"
                number, base = 2, guid
                while guid in seen:
                    guid = f"{base}#{number}"
                    number += 1
            seen[guid] = found
            guids[id(found)] = guid
        return [guids[id(found)] for found in self._found]

    def _talk(self, guid: str, found: _Checked, rooms: dict[str, str], tracks: dict[str, str]) -> Talk:
        row = found.row
        if len(row.abstract) > limits.MAX_PROSE_CHARS:
            self.warn(row.place, f"the description is cut after {limits.MAX_PROSE_CHARS:,} characters")
        return Talk(
            guid=guid,
            id=values.talk_id(guid),
            title=found.title,
            start=found.start,
            end=found.end,
            room=rooms.get(str(row.room)),
            track=tracks.get(str(row.track)),
            subtitle=str(row.subtitle),
            abstract=prose(row.abstract),
            kind=str(row.kind),
            speakers=tuple(row.speakers[: limits.MAX_SPEAKERS]),
            url=values.address(row.url),
            hashtags=tuple(dict.fromkeys(row.hashtags))[: limits.MAX_HASHTAGS],
            language=language(row.language),
            cancelled=row.cancelled or _CANCELLED.match(found.title) is not None,
            is_break=is_break(found.title, str(row.kind), row.speakers)
            if row.is_break is None
            else row.is_break,
        )


def _checked(row: Row) -> _Checked:
    title = values.line(row.title, limits.MAX_TITLE_CHARS, "the title")
    if not title:
        raise Wrong("it has no title")
    if row.start is None or row.end is None:
        raise Wrong(f"{quoted(title)} has no start or no end")
    start, end = values.utc(row.start), values.utc(row.end)
    if end < start:
        raise Wrong(f"{quoted(title)} ends ({end:%Y-%m-%d %H:%M}Z) before it starts ({start:%Y-%m-%d %H:%M}Z)")
    if end == start:
        raise Wrong(f"{quoted(title)} ends when it starts ({start:%Y-%m-%d %H:%M}Z)")
    if end - start > limits.MAX_LENGTH:
        raise Wrong(f"{quoted(title)} lasts {(end - start).days} days; {limits.MAX_LENGTH.days} are allowed")
    guid = values.line(row.guid, limits.MAX_GUID_CHARS, f"the id of {quoted(title)}")
    return _Checked(row, title, guid or row.code or generated_guid(title, row.speakers), start, end)


def generated_guid(title: str, speakers: Sequence[Speaker]) -> str:
    """An id that is the same as long as title and speakers are."""
    names = sorted(values.folded(speaker.name) for speaker in speakers)
    return values.short_hash("\n".join([values.folded(title), *names]), 16)


def is_break(title: str, kind: str, speakers: Sequence[Speaker]) -> bool:
    """Whether this is lunch and not a talk about lunch."""
    if speakers:
        return False
    if _words(kind) & _BREAK_WORDS:
        return True
    words = _words(title)
    return bool(words & _BREAK_WORDS) and words <= _BREAK_WORDS | _BREAK_FILLERS


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W\d_]+", text.casefold()))


def listed_name(value: object) -> str:
    """The name of a room or track that an export lists beside its talks, as :meth:`Collector.room` takes it;
    "" for what cannot be one: it does not matter before a talk says so."""
    try:
        return values.line(value, limits.MAX_NAME_CHARS, "")
    except Wrong:
        return ""


def person(
    name: object, *, handles: Sequence[str] = (), urls: Sequence[object] = (), words: object = ""
) -> Speaker | None:
    """A speaker; None without a name.  Addresses of profiles among ``urls`` and in ``words``, what is written
    about the person, are handles too."""
    try:
        shown = values.line(name, limits.MAX_NAME_CHARS, f"the name {quoted(name)}")
    except Wrong:
        shown = listed_name(str(name)[: limits.MAX_NAME_CHARS].replace("\0", ""))
    if not shown:
        return None
    written = re.findall(r"https?://[^\s<>\"')]*[\w/]", words[:20_000]) if isinstance(words, str) else []
    found = [profile for url in [*urls, *written] if (profile := values.profile(url)) is not None]
    addresses = [address for url in urls if (address := values.address(url)) is not None]
    return Speaker(
        name=shown,
        handles=tuple(dict.fromkeys([*handles, *found]))[:8],
        urls=tuple(dict.fromkeys(addresses))[:8],
    )


def ends(start: datetime, length: timedelta) -> datetime:
    """``length`` after ``start``, which is in UTC."""
    try:
        return start + length
    except OverflowError:
        raise Wrong("its end is not in a year of this era") from None
