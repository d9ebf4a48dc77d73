"""What everybody is told of a new version of a schedule, and by what two nodes know that they have the same."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from afeed.core.draft import TalkChange, TalkFacts
from afeed.core.schedule.difference import Revision, succeed
from afeed.core.schedule.model import Schedule, Talk, encode_schedule

#: What happens to a talk and is worth telling; that an abstract or a speaker is another is seen on its page.
TOLD = frozenset(("new", "moved", "renamed", "cancelled", "back"))


def edition(schedule: Schedule) -> str:
    """A word that is another one when anything that is on is.

    The same file has the same one wherever it is read: what an importer remembers of earlier versions (talks
    that were withdrawn, ids that talks had) is left out.
    """
    talks = tuple(talk for talk in schedule.talks if not talk.cancelled)
    rooms, tracks = {talk.room for talk in talks}, {talk.track for talk in talks}
    bare = msgspec.structs.replace(
        schedule,
        version="",
        talks=talks,
        rooms=tuple(room for room in schedule.rooms if room.id in rooms),
        tracks=tuple(track for track in schedule.tracks if track.id in tracks),
        aliases={},
    )
    return blake2b(encode_schedule(bare), digest_size=12).hexdigest()


def told(old: Schedule, new: Schedule) -> tuple[TalkChange, ...]:
    """What is to be told of ``new`` to those who know ``old``, in the order of the programme."""
    revisions = succeed(old, new).revisions
    return tuple(changes(revisions, old, new))


def changes(revisions: Iterable[Revision], old: Schedule, new: Schedule) -> Iterable[TalkChange]:
    """``revisions`` as the log has them."""
    before, after = _rooms(old), _rooms(new)
    for one in revisions:
        kinds = tuple(kind for kind in one.kinds if kind in TOLD)
        if kinds:
            facts = _facts(one.after, after)
            yield TalkChange(
                id=one.id,
                kinds=kinds,
                title=facts.title,
                start=facts.start,
                end=facts.end,
                room=facts.room,
                before=None if one.before is None else _facts(one.before, before),
            )


class Announced(NamedTuple):
    """Which edition was told last, and how many there were; kept beside the log as ``<number> <edition>``."""

    number: int
    edition: str

    def __str__(self) -> str:
        return f"{self.number} {self.edition}"


def parse_announced(text: str | None) -> Announced | None:
    """The inverse of ``str``; None for None and for what is no such thing."""
    number, _, word = (text or "").partition(" ")
    return Announced(int(number), word) if word and number.isdecimal() and len(number) < 16 else None


def _rooms(schedule: Schedule) -> dict[str, str]:
    return {room.id: room.name for room in schedule.rooms}


def _facts(talk: Talk, rooms: dict[str, str]) -> TalkFacts:
    return TalkFacts(
        title=talk.title,
        start=_time(talk.start),
        end=_time(talk.end),
        room=rooms.get(talk.room) if talk.room is not None else None,
    )


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"
