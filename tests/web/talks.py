"""A programme, and an archive in memory, for the tests of the pages of the conversation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
from msgspec import structs
from twisted.internet.defer import Deferred, fail, succeed

from afeed.archive.reading import Reading
from afeed.archive.searching import Count, Found, Query, Standing, TalkItems, Tallies
from afeed.core.item import Item
from afeed.core.schedule.model import Room, Schedule, Speaker, Talk, Track
from afeed.core.search.facets import filed
from afeed.interfaces import Head, PageItem
from tests.web.samples import NOW

#: Noon of the second day.
NOON = datetime.fromtimestamp(NOW, UTC)


def a_talk(id: str, minutes: int, *, length: int = 45, room: str | None = "main", **other: Any) -> Talk:
    """A talk that begins so many ``minutes`` after noon."""
    start = NOON + timedelta(minutes=minutes)
    values: dict[str, Any] = {"title": f"Talk {id}", "speakers": (Speaker(name="Ann Speaker"),)}
    return Talk(guid=id, id=id, start=start, end=start + timedelta(minutes=length), room=room, **values | other)


def a_schedule(*talks: Talk, **other: Any) -> Schedule:
    """A programme of a hall and a small room."""
    values: dict[str, Any] = {
        "timezone": "UTC",
        "rooms": (Room(id="main", name="Main Hall"), Room(id="side", name="Side Room")),
        "tracks": (Track(id="web", name="The Web"),),
    }
    return Schedule(talks=tuple(sorted(talks, key=lambda talk: talk.start)), **values | other)


@attrs.define
class FakeProgramme:
    """See :class:`afeed.web.timetable.Scheduled`."""

    schedule: Schedule | None


class FakeReading(Reading):
    """The items of one event, as the archive would give them: filters by talk and kind, and words by containing
    them; ``failure`` is raised instead of any answer."""

    def __init__(self, *items: Item) -> None:
        self.items = list(items)
        self.failure: Exception | None = None
        self.standings: dict[int, Standing] = {}
        self.asked: list[Query] = []
        self.whole = True

    def _answer(self, value: Any) -> Deferred[Any]:
        return succeed(value) if self.failure is None else fail(self.failure)

    def _found(self, query: Query, limit: int, before: int | None) -> Found:
        talks = query.talks if query.talk is None else (query.talk,)
        shown = [
            PageItem(seq, item)
            for seq, item in enumerate(self.items, 1)
            if (before is None or seq < before)
            and (talks is None or item.talk in talks)
            and (query.kind is None or item.media)
            and (not query.text or query.text.lower() in item.text.lower())
        ][::-1]
        more = shown[limit - 1].seq if len(shown) > limit else None
        return Found(shown[:limit], more, Head("k3f9", len(self.items)), self.whole)

    def find(self, event: str, query: Query, limit: int, before: int | None = None) -> Deferred[Found]:
        self.asked.append(query)
        return self._answer(self._found(query, limit, before))

    def _count(self, facet: str) -> list[Count]:
        counts: dict[str, Count] = {}
        for item in self.items:
            for name, value, label in filed(item, item.talk, UTC).values:
                if name == facet:
                    counts[value] = Count(value, label, 1 + (counts[value].items if value in counts else 0))
        return [counts[value] for value in sorted(counts)]

    def counts(
        self, event: str, facet: str, *, limit: int | None = None, largest: bool = False
    ) -> Deferred[list[Count]]:
        return self._answer(self._count(facet))

    def overview(
        self, event: str, query: Query, limit: int, before: int | None, listed: int
    ) -> Deferred[tuple[Found, Tallies]]:
        self.asked.append(query)
        facets = ("day", "hour", "talk", "author", "source", "kind")
        tallies = Tallies(*(self._count(facet) for facet in facets))
        return self._answer((self._found(query, limit, before), tallies))

    def talk(self, event: str, talk: str, limit: int, before: int | None, photos: int) -> Deferred[TalkItems]:
        found = self._found(Query(talk=talk), limit, before)
        shown = self._found(Query(talk=talk, kind="photo"), photos, None)
        minutes = {one.value: one.items for one in self._count(f"minute:{talk}")}
        posts = sum(1 for item in self.items if item.talk == talk)
        return self._answer(TalkItems(found, shown, posts, minutes))

    def standing(self, event: str, seq: int) -> Deferred[Standing]:
        return self._answer(self.standings.get(seq, Standing(None)))


def about(item: Item, talk: str | None) -> Item:
    """``item`` under ``talk``."""
    return structs.replace(item, talk=talk)
