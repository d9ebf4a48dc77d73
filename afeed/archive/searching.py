"""Reading the archive: pages of items by any mixture of filters and words, everything in order, and how many
there are of what.

Pages go by position: ``before`` is the ``first_seq`` above which nothing is wanted any more, so that the
thousandth page costs what the first does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import attrs
from msgspec import structs
from sqlalchemy import Select, select

from afeed.archive import queries
from afeed.archive.search_index import Match, Rows, SearchIndex, place, seq_of
from afeed.archive.tables import changes, items, search_events, tallies
from afeed.core.change import REDACTED
from afeed.core.item import decode_item
from afeed.core.search.facets import Facet, word
from afeed.core.search.wish import Wish, read
from afeed.interfaces import Head, PageItem

#: Most talks that one question may be about: those of one room.
MAX_TALKS = 500


@attrs.frozen(kw_only=True)
class Query:
    """What is looked for; what is None is not asked about, and everything else has to hold.

    ``talk`` is an id and ``talks`` are several of which one has to be it; ``author`` is
    :func:`afeed.core.search.facets.author_value`, ``day`` is ``2026-11-21`` and ``hour`` ``2026-11-21T09``
    where the event is, ``kind`` is ``photo``, ``text`` what somebody typed (:mod:`afeed.core.search.wish`).
    """

    talk: str | None = None
    talks: tuple[str, ...] | None = None
    author: str | None = None
    source: str | None = None
    day: str | None = None
    hour: str | None = None
    kind: str | None = None
    text: str | None = None

    @property
    def wish(self) -> Wish:
        """What ``text`` asks for."""
        return read(self.text or "")

    def match(self) -> Match:
        """The same for an index."""
        single: Sequence[tuple[Facet, str | None]] = (
            ("talk", self.talk),
            ("author", self.author),
            ("source", self.source),
            ("day", self.day),
            ("hour", self.hour),
            ("kind", self.kind),
        )
        groups: list[tuple[str, ...]] = [(word(facet, value),) for facet, value in single if value is not None]
        if self.talks is not None:
            groups.append(tuple(word("talk", talk) for talk in self.talks[:MAX_TALKS]))
        return Match(self.wish, tuple(groups))


class Found(NamedTuple):
    """``items`` newest first, each with its present talk; ``next`` is the ``before`` of the next page, None on
    the last; ``position`` is up to where the archive is, None where it knows nothing of the event.  While
    ``whole`` is False older items are still being indexed and may be missing."""

    items: list[PageItem]
    next: int | None
    position: Head | None
    whole: bool = True


class Count(NamedTuple):
    """So many visible ``items`` have this ``value``; ``label`` is what people read for it, None where that is
    the value itself."""

    value: str
    label: str | None
    items: int


class Tallies(NamedTuple):
    """How many items of an event there are, by facet: days and hours in their order, of the others the largest
    first.  ``authors`` has the one that was asked for, too."""

    days: Sequence[Count] = ()
    hours: Sequence[Count] = ()
    talks: Sequence[Count] = ()
    authors: Sequence[Count] = ()
    sources: Sequence[Count] = ()
    kinds: Sequence[Count] = ()


class TalkItems(NamedTuple):
    """What was posted about a talk: a page of it, its newest photos, how many ``posts`` there are, and how many
    in each minute (in UTC, ``2026-11-21T17:05``)."""

    found: Found
    photos: Found
    posts: int
    minutes: dict[str, int]


class Standing(NamedTuple):
    """What became of the change under some number: ``kind`` is ``item`` (shown there), ``elsewhere`` (the item
    is shown at ``seq``) or ``gone``; None where there was never an item."""

    kind: str | None
    seq: int | None = None


_SHOWN = (items.c.first_seq, items.c.content, items.c.talk)


async def find(
    sql: Rows, index: SearchIndex, event: str, query: Query, limit: int, before: int | None
) -> Found:
    """A page of what ``query`` asks for."""
    rows = await sql.rows(queries.position(event))
    position = Head(*rows[0]) if rows else None
    match = query.match()
    # Nothing is above what was copied last.
    high = 1 + (0 if position is None else position.seq)
    if before is not None:
        high = min(high, before)
    whole = True
    if any(not group for group in match.facets):
        found: list[Any] = []
    elif match == Match():
        found = await sql.rows(_visible(event, high, limit + 1))
    elif query == Query(talk=query.talk):
        found = await sql.rows(_visible(event, high, limit + 1).where(items.c.talk == query.talk))
    else:
        state = await sql.rows(_number(event))
        number, upto = state[0] if state else (None, None if position is None else 0)
        whole = upto is None
        found = []
        if number is not None:
            places = await index.find(sql, match, place(number, 0), place(number, high), limit + 1)
            if places:
                # By the places and not by what is at them: between two statements an item may be removed.
                more = seq_of(places[limit - 1]) if len(places) > limit else None
                rows = await sql.rows(_at(event, [seq_of(one) for one in places[:limit]]))
                return Found(_items(rows), more, position, whole)
    shown = _items(found[:limit])
    return Found(shown, shown[-1].seq if len(found) > limit else None, position, whole)


async def all_items(sql: Rows, event: str, after: int, limit: int, talk: str | None) -> list[PageItem]:
    """Items in the order in which they came."""
    statement = (
        select(*_SHOWN)
        .where(items.c.event == event, items.c.removed_seq.is_(None), items.c.first_seq > after)
        .order_by(items.c.first_seq)
        .limit(limit)
    )
    if talk is not None:
        statement = statement.where(items.c.talk == talk)
    return _items(await sql.rows(statement))


async def counts(sql: Rows, event: str, facet: str, limit: int | None, largest: bool) -> list[Count]:
    """How many items there are of each value, in the order of the values, or the ``largest`` first."""
    table = tallies.c
    statement = select(table.value, table.label, table.shown).where(
        table.event == event, table.facet == facet, table.shown > 0
    )
    order = (table.shown.desc(), table.value) if largest else (table.value,)
    return [Count(*row) for row in await sql.rows(statement.order_by(*order).limit(limit))]


async def counts_of(sql: Rows, event: str, facet: str, values: Sequence[str]) -> list[Count]:
    """The same for these values only."""
    table = tallies.c
    statement = select(table.value, table.label, table.shown).where(
        table.event == event, table.facet == facet, table.value.in_(values), table.shown > 0
    )
    return [Count(*row) for row in await sql.rows(statement)]


async def tallied(sql: Rows, event: str, author: str | None, listed: int) -> Tallies:
    """What there is to filter by, of most facets the ``listed`` largest."""
    authors = await counts(sql, event, "author", listed, True)
    if author is not None and all(one.value != author for one in authors):
        authors += await counts_of(sql, event, "author", [author])
    return Tallies(
        await counts(sql, event, "day", None, False),
        await counts(sql, event, "hour", None, False),
        await counts(sql, event, "talk", listed, True),
        authors,
        await counts(sql, event, "source", listed, True),
        await counts(sql, event, "kind", None, True),
    )


async def standing(sql: Rows, event: str, seq: int) -> Standing:
    """What became of the change ``seq``."""
    change = await sql.rows(
        select(changes.c.type, changes.c.item_key).where(changes.c.event == event, changes.c.seq == seq)
    )
    if not change:
        return Standing(None)
    type_, key = change[0]
    if type_ == REDACTED:
        return Standing("gone")
    if key is None:
        return Standing(None)
    found = await sql.rows(
        select(items.c.first_seq, items.c.removed_seq).where(items.c.event == event, items.c.item_key == key)
    )
    if not found:
        return Standing(None)
    first_seq, removed_seq = found[0]
    if removed_seq is not None:
        return Standing("gone")
    return Standing("item", seq) if first_seq == seq else Standing("elsewhere", first_seq)


def _visible(event: str, high: int, limit: int) -> Select[Any]:
    return (
        select(*_SHOWN)
        .where(items.c.event == event, items.c.removed_seq.is_(None), items.c.first_seq < high)
        .order_by(items.c.first_seq.desc())
        .limit(limit)
    )


def _at(event: str, seqs: Sequence[int]) -> Select[Any]:
    return (
        select(*_SHOWN)
        .where(items.c.event == event, items.c.removed_seq.is_(None), items.c.first_seq.in_(seqs))
        .order_by(items.c.first_seq.desc())
    )


def _number(event: str) -> Select[Any]:
    return select(search_events.c.number, search_events.c.upto).where(search_events.c.event == event)


def _items(rows: Sequence[Any]) -> list[PageItem]:
    return [PageItem(seq, structs.replace(decode_item(content), talk=talk)) for seq, content, talk in rows]
