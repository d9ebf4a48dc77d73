"""Keeps what items are found by, and how many there are of what, in step with the items.

Whoever changes items does it within :meth:`Indexer.around`, in one transaction: what was indexed of them before
is taken out, what is to be found of them afterwards is put in, and nothing happens where the two are the same.
Archives that are older than their index are indexed bit by bit (:meth:`Indexer.catch_up`), from the oldest item
on; until an item's turn has come, changes of it leave the index alone.  So is what comes in a flood: the
archive takes it at once, and it can be searched for when there is time again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, bindparam, delete, exists, func, select, update

from afeed.archive import queries
from afeed.archive.search_index import SearchIndex, place
from afeed.archive.several import put
from afeed.archive.tables import items, positions, search_events, tallies
from afeed.core.item import decode_item
from afeed.core.search.facets import Filed, filed
from afeed.core.search.words import SCHEME

#: Items that one step of catching up indexes.
STEP = 300
#: Where so many new items come in one batch, they are a flood.
FLOOD = 400
#: Keys of one look-up.
_KEYS = 500

_UNKNOWN_ZONE = "UTC"


class _Event(NamedTuple):
    """An event in the index."""

    number: int
    zone: ZoneInfo
    upto: int | None

    def holds(self, first_seq: int) -> bool:
        """Whether the item at this place has had its turn."""
        return self.upto is None or first_seq <= self.upto


class New(NamedTuple):
    """An item that is being put into the archive."""

    first_seq: int
    content: bytes
    talk: str | None


_NONE_NEW: Mapping[bytes, New] = {}
_Known = dict[int, Filed]

#: Also those that were removed, for a database that knows nothing yet of how the table is filled might else
#: take the index of the others and walk through all of it.
_by_key = select(items.c.first_seq, items.c.content, items.c.talk, items.c.removed_seq, items.c.item_key).where(
    items.c.event == bindparam("b_event"), items.c.item_key.in_(bindparam("b_keys", expanding=True))
)

_next = (
    select(items.c.first_seq, items.c.content, items.c.talk)
    .where(items.c.event == bindparam("b_event"), items.c.removed_seq.is_(None))
    .where(items.c.first_seq > bindparam("b_after"))
    .order_by(items.c.first_seq)
    .limit(bindparam("b_limit"))
)


class Indexer:
    """``index`` is that of the database, ``insert`` its INSERT; ``zones`` are the time zones of the events, by
    which their days and hours are told.  Whoever sees to it that there is a :meth:`catch_up` afterwards may
    have a flood ``postponed``.  Everything here blocks."""

    def __init__(
        self,
        index: SearchIndex,
        insert: queries.Insert,
        zones: Mapping[str, ZoneInfo],
        *,
        postponed: bool = False,
    ) -> None:
        self._index = index
        self._insert = insert
        self._zones = zones
        self._postponed = postponed

    @contextmanager
    def around(
        self, connection: Connection, event: str, keys: Iterable[bytes], new: Mapping[bytes, New] = _NONE_NEW
    ) -> Iterator[bool]:
        """Within it the items with these keys are changed.  ``new`` is what those of them will be that are not
        there at all yet, as far as the caller knows it already: so much need not be read again.  Gives whether
        some of it is left to :meth:`catch_up`."""
        keys = list(keys)
        state = self._state(connection, event) if keys else None
        if state is None:
            yield False
            return
        if self._postponed and state.upto is None and len(new) >= FLOOD:
            state = self._postpone(connection, event, state, min(one.first_seq for one in new.values()) - 1)
        there, before = self._known(connection, event, state, keys)
        yield state.upto is not None
        fresh = [(key, one) for key in keys if key not in there and (one := new.get(key)) is not None]
        known = {key for key, _ in fresh}
        _, after = self._known(connection, event, state, [key for key in keys if key not in known])
        after.update(_read((one for _, one in fresh if state.holds(one.first_seq)), state.zone))
        self._replace(connection, event, state, before, after)

    def catch_up(self, connection: Connection) -> bool:
        """Index some of what is not indexed yet; whether there may be more."""
        found = connection.execute(select(search_events)).all()
        if any(row.scheme != SCHEME or self._zone_name(row.event, row.zone) != row.zone for row in found):
            self._begin_again(connection)
            return True
        known = {row.event for row in found}
        for (event,) in connection.execute(select(positions.c.event).order_by(positions.c.event)):
            if event not in known:
                self._enter(connection, event)
        unfinished = select(search_events.c.event).where(search_events.c.upto.is_not(None))
        first = connection.execute(unfinished.order_by(search_events.c.event).limit(1)).scalar()
        if first is None:
            return False
        # Whoever copies changes of this event waits, so that no item is counted twice or not at all.
        connection.execute(queries.position(first, lock=True))
        state = self._state(connection, first)
        if state is not None and state.upto is not None:
            parameters = {"b_event": first, "b_after": state.upto, "b_limit": STEP}
            rows = connection.execute(_next, parameters).all()
            self._replace(connection, first, state, {}, _read(rows, state.zone))
            upto = rows[-1][0] if len(rows) == STEP else None
            connection.execute(update(search_events).where(search_events.c.event == first).values(upto=upto))
        return True

    def _postpone(self, connection: Connection, event: str, state: _Event, upto: int) -> _Event:
        """Have whatever was posted above ``upto`` wait for its turn."""
        connection.execute(update(search_events).where(search_events.c.event == event).values(upto=upto))
        return state._replace(upto=upto)

    def tidy(self, connection: Connection) -> bool:
        """See :meth:`SearchIndex.tidy`."""
        return self._index.tidy(connection)

    # -- one event

    def _zone_name(self, event: str, otherwise: str) -> str:
        zone = self._zones.get(event)
        return otherwise if zone is None else zone.key

    def _state(self, connection: Connection, event: str) -> _Event | None:
        """None where the index is of another scheme and is about to be made anew."""
        found = connection.execute(_state_of, {"b_event": event}).first()
        if found is None:
            self._enter(connection, event)
            found = connection.execute(_state_of, {"b_event": event}).one()
        number, zone, scheme, upto = found
        return _Event(number, ZoneInfo(zone), upto) if scheme == SCHEME else None

    def _enter(self, connection: Connection, event: str) -> None:
        """Give the event a number.  If it has items already, they are still to be indexed."""
        has_items = connection.execute(select(exists().where(items.c.event == event))).scalar_one()
        new = self._insert(search_events).values(
            event=event,
            zone=self._zone_name(event, _UNKNOWN_ZONE),
            scheme=SCHEME,
            upto=0 if has_items else None,
        )
        connection.execute(new.on_conflict_do_nothing(index_elements=[search_events.c.event]))

    def _begin_again(self, connection: Connection) -> None:
        everyone = select(positions.c.event).order_by(positions.c.event).with_for_update()
        connection.execute(everyone)
        self._index.clear(connection)
        connection.execute(delete(tallies))
        connection.execute(delete(search_events))

    # -- what is known of items

    def _known(
        self, connection: Connection, event: str, state: _Event, keys: Sequence[bytes]
    ) -> tuple[set[bytes], _Known]:
        """Which of the items there are, removed or not, and what is found of them."""
        present: set[bytes] = set()
        known: _Known = {}
        for first in range(0, len(keys), _KEYS):
            parameters = {"b_event": event, "b_keys": keys[first : first + _KEYS]}
            rows = connection.execute(_by_key, parameters).all()
            present.update(bytes(row.item_key) for row in rows)
            there = [row[:3] for row in rows if row.removed_seq is None and state.holds(row.first_seq)]
            known.update(_read(there, state.zone))
        return present, known

    def _replace(
        self, connection: Connection, event: str, state: _Event, before: _Known, after: _Known
    ) -> None:
        gone = {seq: one for seq, one in before.items() if after.get(seq) != one}
        new = {seq: one for seq, one in after.items() if before.get(seq) != one}
        number = state.number
        if gone:
            entries = [(place(number, seq), one.words) for seq, one in sorted(gone.items())]
            self._index.take_out(connection, entries)
        if new:
            entries = [(place(number, seq), one.words) for seq, one in sorted(new.items())]
            self._index.add(connection, entries)
        self._count(connection, event, gone, new)

    def _count(self, connection: Connection, event: str, gone: _Known, new: _Known) -> None:
        change: Counter[tuple[str, str]] = Counter()
        labels: dict[tuple[str, str], str] = {}
        for one in gone.values():
            change.subtract((facet, value) for facet, value, _ in one.values)
        for _, one in sorted(new.items()):
            for facet, value, label in one.values:
                change[facet, value] += 1
                if label is not None:
                    labels[facet, value] = label
        rows = [
            {
                "event": event,
                "facet": facet,
                "value": _plain(value),
                "shown": by,
                "label": _plain(labels.get((facet, value))),
            }
            for (facet, value), by in sorted(change.items())
            if by or (facet, value) in labels
        ]
        put(connection, _add_up(self._insert), rows)
        if any(row["shown"] < 0 for row in rows):
            fewer = [
                {"b_event": event, "b_facet": row["facet"], "b_value": row["value"]}
                for row in rows
                if row["shown"] < 0
            ]
            connection.execute(_drop_empty, fewer)


_state_of = select(
    search_events.c.number, search_events.c.zone, search_events.c.scheme, search_events.c.upto
).where(search_events.c.event == bindparam("b_event"))

#: A name of an author must not outlive the last of their items.
_drop_empty = delete(tallies).where(
    tallies.c.event == bindparam("b_event"),
    tallies.c.facet == bindparam("b_facet"),
    tallies.c.value == bindparam("b_value"),
    tallies.c.shown <= 0,
)


@cache
def _add_up(insert: queries.Insert) -> Any:
    new = insert(tallies)
    return new.on_conflict_do_update(
        index_elements=[tallies.c.event, tallies.c.facet, tallies.c.value],
        set_={
            "shown": tallies.c.shown + new.excluded.shown,
            "label": func.coalesce(new.excluded.label, tallies.c.label),
        },
    )


def _read(rows: Iterable[Any], zone: ZoneInfo) -> _Known:
    known: _Known = {}
    for first_seq, content, talk in rows:
        try:
            known[first_seq] = filed(decode_item(content), talk, zone)
        except msgspec.DecodeError:  # it is on no page either
            continue
    return known


def _plain(text: str | None) -> Any:
    """Text that any database takes."""
    return (
        None if text is None else text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\0")
    )
