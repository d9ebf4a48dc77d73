"""What organisers filed themselves, and how far filing everything again has come, in the archive's database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, func, select, update
from twisted.internet.defer import Deferred

from afeed.archive.bulk import reading, writing
from afeed.archive.engine import Transaction
from afeed.archive.moderation import Action, plain
from afeed.archive.store import SqlArchive, page_item
from afeed.archive.tables import filings, items, organiser_actions, refilings
from afeed.core.draft import key
from afeed.interfaces import PageItem


class Correction(NamedTuple):
    """The item ``id`` of ``event`` stays under ``talk``, none for None; ``number`` grows with each of these
    decisions."""

    number: int
    event: str
    id: str
    talk: str | None


class Refiling(NamedTuple):
    """How far filing everything again is; see the table ``refilings``."""

    asked: int
    run: int
    wanted: str
    after: int
    seen: int
    changed: int
    done: bool


class FilingStore:
    """Every Deferred may fail with :class:`~afeed.core.errors.ArchiveUnavailable`; then nothing was changed."""

    def __init__(self, archive: SqlArchive) -> None:
        self._archive = archive

    def correct(self, event: str, item_id: str, talk: str | None, action: Action) -> Deferred[int]:
        """Remember an organiser's decision, for good, and that it was made.  Fires with its number."""

        async def work(sql: Transaction) -> int:
            values = {**action._asdict(), "subject": plain(action.subject or "")}
            noted = organiser_actions.insert().values(values).returning(organiser_actions.c.id)
            ((number,),) = await sql.rows(noted)
            new = self._archive.insert(filings).values(
                event=event,
                item_key=key(item_id),
                item_id=plain(item_id),
                talk=talk,
                by=action.account,
                at=action.at,
                number=number,
            )
            fresh = {name: new.excluded[name] for name in ("talk", "by", "at", "number")}
            index = [filings.c.event, filings.c.item_key]
            await sql.execute(new.on_conflict_do_update(index_elements=index, set_=fresh))
            return int(number)

        return self._archive.write_with(work)

    def corrections(self, after: int) -> Deferred[list[Correction]]:
        """Fires with the decisions above the number ``after``, in order."""
        table = filings.c
        columns = (table.number, table.event, table.item_id, table.talk)
        statement = select(*columns).where(table.number > after).order_by(table.number)

        async def work(sql: Transaction) -> list[Correction]:
            return [Correction(*row) for row in await sql.rows(statement)]

        return self._archive.read_with(work)

    def displaced(self, after: int, limit: int) -> Deferred[list[Correction]]:
        """Fires with decisions above the number ``after`` that do not show in the archive: the item was filed
        otherwise since, or the log has lost it."""
        table = filings.c
        here = and_(table.event == items.c.event, table.item_key == items.c.item_key)
        other = func.coalesce(table.talk, "") != func.coalesce(items.c.talk, "")
        statement = (
            select(table.number, table.event, table.item_id, table.talk)
            .join(items, here)
            .where(items.c.removed_seq.is_(None), other, table.number > after)
            .order_by(table.number)
            .limit(limit)
        )

        async def work(sql: Transaction) -> list[Correction]:
            return [Correction(*row) for row in await sql.rows(statement)]

        return self._archive.read_with(work)

    # -- everything again

    def refiling(self, event: str) -> Deferred[Refiling | None]:
        """Fires with how far it is; None where nobody ever asked for it."""

        async def work(sql: Transaction) -> Refiling | None:
            found = await sql.rows(_state_of(event))
            return Refiling(*found[0]) if found else None

        return self._archive.read_with(work)

    def ask(self, event: str, at: str, action: Action | None = None) -> Deferred[int]:
        """Have everything filed again, whether anything has changed or not.  Fires with how often that was
        asked for by now: a run whose ``asked`` is as much or more has begun after this."""

        async def work(sql: Transaction) -> int:
            first = self._archive.insert(refilings).values(
                {**_NOTHING, "event": event, "asked": 1, "updated_at": at}
            )
            more = {"asked": refilings.c.asked + 1}
            await sql.execute(first.on_conflict_do_update(index_elements=[refilings.c.event], set_=more))
            if action is not None:
                await sql.execute(organiser_actions.insert(), action._asdict())
            ((asked,),) = await sql.rows(select(refilings.c.asked).where(refilings.c.event == event))
            return int(asked)

        return self._archive.write_with(work)

    def begin(self, event: str, wanted: str, at: str) -> Deferred[Refiling]:
        """Begin a run."""

        async def work(sql: Transaction) -> Refiling:
            values = {**_NOTHING, "event": event, "run": 1, "wanted": wanted, "updated_at": at}
            first = self._archive.insert(refilings).values(values)
            anew = {**{name: values[name] for name in _FRESH}, "run": refilings.c.run + 1}
            await sql.execute(first.on_conflict_do_update(index_elements=[refilings.c.event], set_=anew))
            asked, run = refilings.c.asked, refilings.c.run
            ((times, number),) = await sql.rows(select(asked, run).where(refilings.c.event == event))
            return Refiling(times, number, wanted, 0, 0, 0, False)

        return self._archive.write_with(work)

    def advance(self, event: str, state: Refiling, at: str) -> Deferred[bool]:
        """Note how far the run is; False, and nothing noted, when another has begun."""
        here: ColumnElement[bool] = (refilings.c.event == event) & (refilings.c.run == state.run)
        values = {"after_seq": state.after, "seen": state.seen, "changed": state.changed, "done": state.done}

        async def work(sql: Transaction) -> bool:
            return await sql.execute(update(refilings).where(here).values(**values, updated_at=at)) == 1

        return self._archive.write_with(work)


#: A run that has not begun.
_NOTHING = {"asked": 0, "run": 0, "wanted": "", "after_seq": 0, "seen": 0, "changed": 0, "done": False}
#: What a new run sets anew.
_FRESH = ("wanted", "after_seq", "seen", "changed", "done", "updated_at")


def read_items(url: str, event: str, after: int, limit: int) -> Iterator[list[PageItem]]:
    """The visible items of ``event`` in the archive at ``url``, in pages of up to ``limit``, ascending from the
    first one first posted above ``after``, as they are at that moment.  For a process of its own: it blocks,
    and has no transaction open between two pages.  Fails with
    :class:`~afeed.core.errors.ArchiveUnavailable`."""
    columns = (items.c.first_seq, items.c.content, items.c.talk)
    with reading(url) as rows:
        while True:
            these = (items.c.event == event, items.c.removed_seq.is_(None), items.c.first_seq > after)
            page = rows(select(*columns).where(*these).order_by(items.c.first_seq).limit(limit))
            if not page:
                return
            yield [page_item(*row) for row in page]
            after = page[-1][0]


def read_before(url: str, event: str, upto: int, limit: int) -> list[PageItem]:
    """The last ``limit`` visible items first posted at or below ``upto``, ascending."""
    columns = (items.c.first_seq, items.c.content, items.c.talk)
    these = (items.c.event == event, items.c.removed_seq.is_(None), items.c.first_seq <= upto)
    with reading(url) as rows:
        page = rows(select(*columns).where(*these).order_by(items.c.first_seq.desc()).limit(limit))
    return [page_item(*row) for row in reversed(page)]


# -- from a program beside afeed; these block


def ask_beside(url: str, event: str, at: str) -> int | None:
    """As :meth:`FilingStore.ask`, on the archive at ``url``; None for one that is not there yet, or older than
    this program."""
    with writing(url, refilings.name) as (connection, insert):
        if connection is None:
            return None
        first = insert(refilings).values({**_NOTHING, "event": event, "asked": 1, "updated_at": at})
        more = {"asked": refilings.c.asked + 1}
        connection.execute(first.on_conflict_do_update(index_elements=[refilings.c.event], set_=more))
        asked = select(refilings.c.asked).where(refilings.c.event == event)
        return int(connection.execute(asked).scalar_one())


def look_beside(url: str, event: str) -> Refiling | None:
    """As :meth:`FilingStore.refiling`."""
    with reading(url) as rows:
        found = rows(_state_of(event))
    return Refiling(*found[0]) if found else None


def count_items(url: str, event: str) -> int:
    """How many items there are."""
    these = (items.c.event == event, items.c.removed_seq.is_(None))
    with reading(url) as rows:
        return int(rows(select(func.count()).where(*these))[0][0])


def _state_of(event: str) -> Select[Any]:
    table = refilings.c
    columns = (table.asked, table.run, table.wanted, table.after_seq, table.seen, table.changed, table.done)
    return select(*columns).where(table.event == event)
