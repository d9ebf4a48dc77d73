"""The schedule as values: what the parsers make, whatever the format, and what is kept between two imports.

Times are in UTC; ``Schedule.timezone`` says in which zone the event reads them.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b

import msgspec


class Speaker(msgspec.Struct, frozen=True, kw_only=True):
    """Who gives a talk.  ``handles`` are lower case and without ``@`` in front: ``ann``,
    ``ann@social.example``, ``ann.bsky.social``, as an item's author has them."""

    name: str
    handles: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """Where talks are held.  ``id`` is safe in a URL and stays the same while the name does; ``hashtags`` are
    those that the schedule gives to the room itself, ``#`` in front."""

    id: str
    name: str
    hashtags: tuple[str, ...] = ()


class Track(msgspec.Struct, frozen=True, kw_only=True):
    """A thread of talks, like :class:`Room`."""

    id: str
    name: str
    hashtags: tuple[str, ...] = ()


class Talk(msgspec.Struct, frozen=True, kw_only=True):
    """One slot of the schedule.

    ``guid`` is what tells that it is the same talk in the next version.  ``id`` follows from it, is safe in a
    URL (``[a-z0-9-]{1,32}``) and is what an item's ``talk`` holds.  ``room`` and ``track`` are ids.
    ``abstract`` is sanitised HTML, ready for a page.  ``is_break`` marks what nobody speaks at: lunch,
    registration.  ``cancelled`` talks stay in the schedule, so that what was said about them stays where it is.
    """

    guid: str
    id: str
    title: str
    start: datetime
    end: datetime
    room: str | None = None
    track: str | None = None
    subtitle: str = ""
    abstract: str = ""
    kind: str = ""
    speakers: tuple[Speaker, ...] = ()
    url: str | None = None
    hashtags: tuple[str, ...] = ()
    language: str | None = None
    cancelled: bool = False
    is_break: bool = False


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """All talks, by start, room and id.  ``timezone`` is an IANA name.  ``version`` is the export's own word.
    ``aliases`` leads from ids that talks had in earlier versions to those they have now."""

    timezone: str
    title: str = ""
    acronym: str = ""
    version: str = ""
    rooms: tuple[Room, ...] = ()
    tracks: tuple[Track, ...] = ()
    talks: tuple[Talk, ...] = ()
    aliases: dict[str, str] = {}

    def talk(self, id: str) -> Talk | None:
        """The talk with this id, or that had it in an earlier version.  Looks at every talk."""
        wanted = self.aliases.get(id, id)
        return next((talk for talk in self.talks if talk.id == wanted), None)


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule that was read, in which ``format``, and what is odd about it, in sentences."""

    schedule: Schedule
    format: str
    warnings: tuple[str, ...] = ()


_encoder = msgspec.json.Encoder()


def encode_schedule(schedule: Schedule) -> bytes:
    """``schedule`` as UTF-8 JSON."""
    return _encoder.encode(schedule)


def digest(schedule: Schedule) -> str:
    """A word that is another one when anything in ``schedule`` is."""
    return blake2b(encode_schedule(schedule), digest_size=12).hexdigest()
