"""Who is forgotten, what was asked for and how far it is: in the archive's database, as every node sees it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, delete, func, inspect, select, update
from sqlalchemy.exc import SQLAlchemyError
from twisted.internet.defer import Deferred

from afeed.archive.backends import display, make_engine, parse_url
from afeed.archive.engine import Transaction, explain
from afeed.archive.moderation import FILED_UNDER, Action, note
from afeed.archive.store import SqlArchive
from afeed.archive.tables import (
    blocked_authors,
    filings,
    forget_requests,
    forgetting_secret,
    forgotten_authors,
    hidden_items,
    organiser_actions,
)
from afeed.core.draft import key
from afeed.core.errors import ArchiveUnavailable
from afeed.core.forgetting import SECRET_BYTES
from afeed.core.item import Item, decode_item, encode_item

WAITING, WORKING, DONE = "waiting", "working", "done"

#: As many ids as one statement names.
_MANY = 500


class Request(NamedTuple):
    """What was asked for: ``looked_at`` changes were looked at by now, ``removed`` items were removed and
    ``cleaned`` ones are somebody else's.  ``beat_at`` is when somebody last worked on it, in seconds since
    1970, 0 for never; ``detail`` says what is in the way."""

    number: int
    event: str
    author_hash: bytes
    asked_at: str
    asked_by: str
    state: str
    beat_at: int
    done_at: str | None
    looked_at: int
    removed: int
    cleaned: int
    detail: str | None


class Purge(NamedTuple):
    """What is looked for where organisers keep things: ``item(item)`` returns an item without what is theirs,
    None for one that is theirs; ``author(key)`` says whether an author key is theirs; ``ids`` are items that
    were removed; ``label`` stands for all of it where something was done about them."""

    item: Callable[[Item], Item | None]
    author: Callable[[str], bool]
    ids: Iterable[str]
    label: str


class ForgettingStore:
    """Every Deferred may fail with :class:`~afeed.core.errors.ArchiveUnavailable`; then nothing was changed."""

    def __init__(self, archive: SqlArchive) -> None:
        self._archive = archive

    def secret(self) -> Deferred[bytes]:
        """Fires with the key of the hashes, made when it is first asked for."""
        found = select(forgetting_secret.c.secret)

        async def look(sql: Transaction) -> bytes | None:
            rows = await sql.rows(found)
            return rows[0][0] if rows else None

        async def make(sql: Transaction) -> bytes:
            new = self._archive.insert(forgetting_secret).values(id=1, secret=secrets.token_bytes(SECRET_BYTES))
            await sql.execute(new.on_conflict_do_nothing(index_elements=["id"]))
            ((secret,),) = await sql.rows(found)
            return bytes(secret)

        async def get() -> bytes:
            there = await self._archive.read_with(look)
            return bytes(there) if there is not None else await self._archive.write_with(make)

        return Deferred.fromCoroutine(get())

    def forgotten(self) -> Deferred[list[tuple[str, bytes]]]:
        """Fires with (event, hash) of all who are forgotten."""
        statement = select(forgotten_authors.c.event, forgotten_authors.c.author_hash)

        async def work(sql: Transaction) -> list[tuple[str, bytes]]:
            return [(event, bytes(hash_)) for event, hash_ in await sql.rows(statement)]

        return self._archive.read_with(work)

    def ask(
        self, scope: str, events: Sequence[str], hash_: bytes, at: str, by: str, action: Action | None
    ) -> Deferred[list[int]]:
        """Take nothing of an author any more in ``scope``, a slug or
        :data:`~afeed.core.forgetting.EVERYWHERE`, and have what is there removed at ``events``.  Fires with the
        numbers of the requests, in their order; one that is still open is not made twice."""

        async def work(sql: Transaction) -> list[int]:
            new = self._archive.insert(forgotten_authors).values(event=scope, author_hash=hash_, at=at)
            await sql.execute(new.on_conflict_do_nothing(index_elements=["event", "author_hash"]))
            numbers = [await _request(sql, event, hash_, at, by) for event in events]
            await note(sql, action)
            return numbers

        return self._archive.write_with(work)

    def open(self) -> Deferred[list[Request]]:
        """Fires with the requests that are not done, the oldest first."""
        return self._requests(select(forget_requests).where(forget_requests.c.state != DONE))

    def requests(self, numbers: Sequence[int]) -> Deferred[list[Request]]:
        """Fires with requests by their numbers, in their order."""
        return self._requests(select(forget_requests).where(forget_requests.c.id.in_(numbers)))

    def _requests(self, statement: Select[Any]) -> Deferred[list[Request]]:
        ordered = statement.order_by(forget_requests.c.id)

        async def work(sql: Transaction) -> list[Request]:
            return [Request(*row) for row in await sql.rows(ordered)]

        return self._archive.read_with(work)

    def last(self, event: str, limit: int) -> Deferred[list[Request]]:
        """Fires with the requests of an event, the latest first."""
        here = select(forget_requests).where(forget_requests.c.event == event)
        statement = here.order_by(forget_requests.c.id.desc()).limit(limit)

        async def work(sql: Transaction) -> list[Request]:
            return [Request(*row) for row in await sql.rows(statement)]

        return self._archive.read_with(work)

    def progress(self, number: int, now: float, **values: object) -> Deferred[None]:
        """Somebody works on it: ``values`` are columns."""

        async def work(sql: Transaction) -> None:
            here = forget_requests.c.id == number
            changed = {"state": WORKING, "beat_at": int(now), **values}
            await sql.execute(update(forget_requests).where(here).values(changed))

        return self._archive.write_with(work)

    def purge(self, event: str, theirs: Purge) -> Deferred[int]:
        """Take what is theirs from what organisers hid, blocked and did.  Fires with how many hidden items that
        concerned."""
        counts: list[int] = []

        def work(connection: Connection) -> bool:
            counts.append(_purge_hidden(connection, event, theirs))
            _purge_blocks(connection, event, theirs)
            _purge_filings(connection, event, theirs)
            _purge_actions(connection, event, theirs)
            return True

        async def visit(sql: Transaction) -> bool:
            return await sql.at_once(work)

        return self._archive.erase_with(visit).addCallback(lambda _: counts[-1])


async def _request(sql: Transaction, event: str, hash_: bytes, at: str, by: str) -> int:
    table = forget_requests.c
    same = (table.event == event) & (table.author_hash == hash_)
    found = await sql.rows(select(table.id).where(same & (table.state != DONE)).limit(1))
    if not found:
        values = {
            "event": event,
            "author_hash": hash_,
            "asked_at": at,
            "asked_by": by,
            "state": WAITING,
            "beat_at": 0,
            "looked_at": 0,
            "removed": 0,
            "cleaned": 0,
        }
        await sql.execute(forget_requests.insert(), values)
        found = await sql.rows(select(func.max(table.id)).where(same))
    return int(found[0][0])


def _purge_hidden(connection: Connection, event: str, theirs: Purge) -> int:
    table = hidden_items.c
    here = select(table.item_key, table.content, table.because).where(table.event == event)
    concerned = 0
    for item_key, content, because in connection.execute(here).fetchall():
        this = (table.event == event) & (table.item_key == item_key)
        item = decode_item(content)
        rest = theirs.item(item)
        if rest is None or (because is not None and theirs.author(because)):
            connection.execute(delete(hidden_items).where(this))
            concerned += 1
        elif rest != item:
            connection.execute(update(hidden_items).where(this).values(content=encode_item(rest)))
            concerned += 1
    return concerned


def _purge_blocks(connection: Connection, event: str, theirs: Purge) -> None:
    table = blocked_authors.c
    for (author,) in connection.execute(select(table.author_key).where(table.event == event)).fetchall():
        if theirs.author(author):
            here = (table.event == event) & (table.author_key == author)
            connection.execute(delete(blocked_authors).where(here))


def _purge_filings(connection: Connection, event: str, theirs: Purge) -> None:
    """Where organisers put their items."""
    keys = [key(item_id) for item_id in theirs.ids]
    for first in range(0, len(keys), _MANY):
        here = (filings.c.event == event) & filings.c.item_key.in_(keys[first : first + _MANY])
        connection.execute(delete(filings).where(here))


def _purge_actions(connection: Connection, event: str, theirs: Purge) -> None:
    """What was done stays on record, and to whom does not."""
    table = organiser_actions.c
    subjects = select(table.subject).where(table.event == event, table.subject.is_not(None)).distinct()
    gone = set(theirs.ids)
    named = [
        subject
        for (subject,) in connection.execute(subjects).fetchall()
        if subject.partition(FILED_UNDER)[0] in gone or theirs.author(subject)
    ]
    for first in range(0, len(named), _MANY):
        here = (table.event == event) & table.subject.in_(named[first : first + _MANY])
        connection.execute(update(organiser_actions).where(here).values(subject=theirs.label))


def is_ready(url: str) -> bool:
    """Whether the archive at ``url`` has the tables for this; blocks.  Raises
    :class:`~afeed.core.errors.ArchiveUnavailable`."""
    parsed, backend = parse_url(url)
    engine = make_engine(parsed, backend, "read")
    try:
        with engine.connect() as connection:
            return bool(inspect(connection).has_table(forget_requests.name))
    except SQLAlchemyError as error:
        raise ArchiveUnavailable(f"the archive {display(parsed)} cannot be used: {explain(error)}") from error
    finally:
        engine.dispose()
