"""From one version of a schedule to the next: what became of each talk, and how its addresses stay good.

The guid says that it is the same talk.  Where that changed, a talk whose title and speakers are those of
exactly one that is missing counts as the same too: what was filed under the old id is found under the new one.
A talk that is in the file no more is kept as cancelled, so that its page stays; if it returns, it is back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, TypeVar

import msgspec

from afeed.core.schedule.limits import MAX_TALKS
from afeed.core.schedule.model import Room, Schedule, Talk, Track
from afeed.core.schedule.values import folded

_Place = TypeVar("_Place", Room, Track)
_Signature = tuple[object, ...]
Kind = Literal["new", "moved", "renamed", "cancelled", "back", "changed"]


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to the talk ``id``: one or more of :data:`Kind`.  ``moved`` is another time or room,
    ``renamed`` another title, ``changed`` anything else (speakers, abstract, ...).  ``before`` is None for a
    new one."""

    id: str
    kinds: tuple[Kind, ...]
    before: Talk | None
    after: Talk


class Succession(msgspec.Struct, frozen=True, kw_only=True):
    """The schedule that is to be used from now on, and how it differs from the one before."""

    schedule: Schedule
    revisions: tuple[Revision, ...]


def succeed(old: Schedule | None, new: Schedule) -> Succession:
    """``new`` after ``old``, with the aliases and the withdrawn talks of ``old``.

    The same file again gives a schedule equal to ``old`` and no revisions.  Without ``old``, nothing is called
    new.
    """
    if old is None:
        return Succession(schedule=new, revisions=())
    present = {talk.guid for talk in new.talks}
    missing = [talk for talk in old.talks if talk.guid not in present]
    known = {talk.guid for talk in old.talks}
    same = _same([talk for talk in new.talks if talk.guid not in known], missing)
    successors = {talk.id: after.id for after, talk in same}
    withdrawn = [
        msgspec.structs.replace(talk, cancelled=True) for talk in missing if talk.id not in successors
    ][:MAX_TALKS]
    rooms = _kept(new.rooms, old.rooms, (talk.room for talk in withdrawn))
    tracks = _kept(new.tracks, old.tracks, (talk.track for talk in withdrawn))
    talks = sorted([*new.talks, *withdrawn], key=lambda talk: (talk.start, talk.room or "", talk.id))
    schedule = msgspec.structs.replace(
        new, talks=tuple(talks), rooms=rooms, tracks=tracks, aliases=_aliases(old, talks, successors)
    )
    before = {talk.guid: talk for talk in old.talks} | {after.guid: talk for after, talk in same}
    revisions = (_revision(before.get(talk.guid), talk) for talk in talks)
    return Succession(schedule=schedule, revisions=tuple(one for one in revisions if one is not None))


def _same(appeared: list[Talk], missing: list[Talk]) -> list[tuple[Talk, Talk]]:
    """Pairs of a talk that appeared and the missing one that it must be: the only ones of their title and
    speakers.  Without speakers a title proves little (there is a lunch every day), so the time must be the same
    too."""
    lost = _by(_signature, missing)
    return [
        (after[0], lost[key][0])
        for key, after in _by(_signature, appeared).items()
        if len(after) == 1 and len(lost.get(key, ())) == 1
    ]


def _signature(talk: Talk) -> _Signature:
    names = tuple(sorted(folded(speaker.name) for speaker in talk.speakers))
    return folded(talk.title), names, None if names else talk.start


def _by(key: Callable[[Talk], _Signature], talks: Iterable[Talk]) -> dict[_Signature, list[Talk]]:
    found: dict[_Signature, list[Talk]] = {}
    for talk in talks:
        found.setdefault(key(talk), []).append(talk)
    return found


def _aliases(old: Schedule, talks: list[Talk], successors: dict[str, str]) -> dict[str, str]:
    """Every earlier id, straight to the present one; an id that is in use again is no alias any more."""
    present = {talk.id for talk in talks}
    aliases = {id: successors.get(target, target) for id, target in old.aliases.items()} | successors
    return {id: target for id, target in sorted(aliases.items()) if id not in present and target in present}


def _kept(new: tuple[_Place, ...], old: tuple[_Place, ...], used: Iterable[str | None]) -> tuple[_Place, ...]:
    """The rooms or tracks of the new version, and the old ones in which withdrawn talks would have been."""
    wanted = set(used).difference(place.id for place in new)
    kept = [place for place in old if place.id in wanted]
    return new + tuple(kept)


def _revision(before: Talk | None, after: Talk) -> Revision | None:
    if before is None:
        return Revision(id=after.id, kinds=("new",), before=None, after=after)
    kinds: list[Kind] = []
    if (before.start, before.end, before.room) != (after.start, after.end, after.room):
        kinds.append("moved")
    if before.title != after.title:
        kinds.append("renamed")
    if before.cancelled != after.cancelled:
        kinds.append("cancelled" if after.cancelled else "back")
    if not kinds and _rest(before) != _rest(after):
        kinds.append("changed")
    return Revision(id=after.id, kinds=tuple(kinds), before=before, after=after) if kinds else None


def _rest(talk: Talk) -> Talk:
    """``talk`` without what tells one version's identity from another's."""
    return msgspec.structs.replace(talk, guid="", id="")
