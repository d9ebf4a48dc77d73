"""What organisers hid, whom they blocked and what they did, in the archive's database."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, delete, func, select, update
from twisted.internet.defer import Deferred

from afeed.archive.engine import Transaction
from afeed.archive.store import SqlArchive
from afeed.archive.tables import blocked_authors, hidden_items, organiser_actions
from afeed.core.draft import key
from afeed.core.item import Item, decode_item, encode_item

_PLACE = re.compile(r"[0-9-]{10}T[0-9:.]{12}Z_[0-9a-f]{32}\Z")
#: What is replaced where an item is hidden that is hidden already.
_FRESH = ("content", "hidden_at", "because", "version", "removed")


#: What stands between an item's id and the talk under which an organiser put it, in the subject of an action.
FILED_UNDER = " > "


class Action(NamedTuple):
    """What an organiser did: ``at`` is an RFC 3339 time, ``event`` a slug, ``subject`` an item's id or an
    author's key."""

    at: str
    account: str
    address: str
    action: str
    event: str | None = None
    subject: str | None = None


class Hidden(NamedTuple):
    """An item that is hidden, since ``at``; ``because`` of which blocked author, None where it was meant
    itself."""

    item: Item
    at: str
    because: str | None

    @property
    def place(self) -> str:
        """Where it stands among others that are hidden; see :func:`is_place`."""
        return f"{self.at}_{key(self.item.id).hex()}"


def is_place(text: str) -> bool:
    """Whether ``text`` could be a :attr:`Hidden.place`."""
    return _PLACE.match(text) is not None


class Blocked(NamedTuple):
    """An author who is blocked at an event, since ``at``; ``name`` is for people."""

    event: str
    key: str
    name: str
    at: str


class ModerationStore:
    """Every Deferred may fail with :class:`~afeed.core.errors.ArchiveUnavailable`; then nothing was changed.
    What changes something notes who did it in the same transaction; ``action`` None is afeed itself."""

    def __init__(self, archive: SqlArchive) -> None:
        self._archive = archive

    def hide(self, event: str, items: Sequence[Hidden], action: Action | None) -> Deferred[None]:
        """Keep ``items`` where only organisers see them; they are still to be removed from the log."""
        rows = [
            {
                "event": event,
                "item_key": key(one.item.id),
                "item_id": plain(one.item.id),
                "content": encode_item(one.item),
                "hidden_at": one.at,
                "because": one.because,
                "version": None,
                "removed": False,
            }
            for one in items
        ]

        async def work(sql: Transaction) -> None:
            new = self._archive.insert(hidden_items)
            fresh = {name: new.excluded[name] for name in _FRESH}
            index = [hidden_items.c.event, hidden_items.c.item_key]
            await sql.execute(new.on_conflict_do_update(index_elements=index, set_=fresh), rows)
            await note(sql, action)

        return self._archive.write_with(work)

    def to_remove(self, event: str, limit: int) -> Deferred[list[str]]:
        """Fires with the ids of hidden items that the log may still show, and that nobody is restoring."""
        table = hidden_items.c
        pending = (table.event == event) & table.removed.is_(False) & table.version.is_(None)
        statement = select(table.content).where(pending).order_by(table.item_key).limit(limit)

        async def work(sql: Transaction) -> list[str]:
            return [decode_item(content).id for (content,) in await sql.rows(statement)]

        return self._archive.read_with(work)

    def removed(self, event: str, item_ids: Sequence[str]) -> Deferred[None]:
        """The log shows them no more."""
        return self._change(event, item_ids, removed=True)

    def hidden(self, event: str, limit: int, before: str | None = None) -> Deferred[list[Hidden]]:
        """Fires with the items that were hidden for their own sake, the latest first; those behind the place
        ``before``."""
        table = hidden_items.c
        these: ColumnElement[bool] = table.because.is_(None)
        if before is not None:
            at, _, item_key = before.partition("_")
            earlier = (table.hidden_at == at) & (table.item_key < bytes.fromhex(item_key))
            these = these & ((table.hidden_at < at) | earlier)
        return self._hidden(event, these, limit)

    def hidden_because(self, event: str, limit: int, author: str | None = None) -> Deferred[list[Hidden]]:
        """Fires with the items hidden last because of a blocked author, or of any."""
        because = hidden_items.c.because
        return self._hidden(event, because.is_not(None) if author is None else because == author, limit)

    def _hidden(self, event: str, these: ColumnElement[bool], limit: int) -> Deferred[list[Hidden]]:
        table = hidden_items.c
        columns = (table.content, table.hidden_at, table.because)
        here = select(*columns).where((table.event == event) & these)
        statement = here.order_by(table.hidden_at.desc(), table.item_key.desc()).limit(limit)

        async def work(sql: Transaction) -> list[Hidden]:
            return [Hidden(decode_item(content), at, why) for content, at, why in await sql.rows(statement)]

        return self._archive.read_with(work)

    def find(self, event: str, item_id: str) -> Deferred[Item | None]:
        """Fires with a hidden item, None where it is not hidden."""
        statement = select(hidden_items.c.content).where(_these(event, [item_id]))

        async def work(sql: Transaction) -> Item | None:
            found = await sql.rows(statement)
            return decode_item(found[0][0]) if found else None

        return self._archive.read_with(work)

    def restoring(self, event: str, item_ids: Sequence[str], version: str) -> Deferred[list[tuple[Item, str]]]:
        """Fires with those of the items that are hidden, and the versions under which they are to be posted:
        ``version``, or that of an earlier attempt which may have been recorded."""
        here = _these(event, item_ids)
        columns = (hidden_items.c.content, hidden_items.c.version)

        async def work(sql: Transaction) -> list[tuple[Item, str]]:
            unset = hidden_items.c.version.is_(None)
            await sql.execute(update(hidden_items).where(here, unset).values(version=version))
            found = await sql.rows(select(*columns).where(here))
            return [(decode_item(content), chosen) for content, chosen in found]

        return self._archive.write_with(work)

    def restored(
        self, event: str, posted: Sequence[tuple[Item, str]], action: Action | None = None
    ) -> Deferred[None]:
        """Drop the items that were ``posted`` again under these versions.  What was hidden anew meanwhile has
        another version, or none, and stays."""
        # No two attempts choose the same version, so none of these belongs to an item of somebody else's.
        chosen = hidden_items.c.version.in_(sorted({version for _, version in posted}))
        return self._drop(_these(event, [item.id for item, _ in posted]) & chosen, action)

    def blame(self, event: str, item_ids: Sequence[str], because: str) -> Deferred[None]:
        """Let hidden items be hidden because of another blocked author."""
        return self._change(event, item_ids, because=because)

    def _change(self, event: str, item_ids: Sequence[str], **values: object) -> Deferred[None]:
        statement = update(hidden_items).where(_these(event, item_ids)).values(**values)

        async def work(sql: Transaction) -> None:
            await sql.execute(statement)

        return self._archive.write_with(work)

    def forget(self, event: str, item_ids: Sequence[str]) -> Deferred[None]:
        """Drop hidden items that are gone upstream."""
        return self._drop(_these(event, item_ids), None)

    def _drop(self, these: ColumnElement[bool], action: Action | None) -> Deferred[None]:
        async def work(sql: Transaction) -> bool:
            touched = await sql.execute(delete(hidden_items).where(these))
            await note(sql, action)
            return touched > 0

        return self._archive.erase_with(work)

    def block(self, blocked: Blocked, action: Action) -> Deferred[None]:
        """Remember that an author is blocked."""

        async def work(sql: Transaction) -> None:
            new = self._archive.insert(blocked_authors).values(
                event=blocked.event, author_key=blocked.key, name=blocked.name, blocked_at=blocked.at
            )
            index = [blocked_authors.c.event, blocked_authors.c.author_key]
            await sql.execute(new.on_conflict_do_nothing(index_elements=index))
            await note(sql, action)

        return self._archive.write_with(work)

    def unblock(self, event: str, author: str, action: Action) -> Deferred[None]:
        """Forget that."""

        async def work(sql: Transaction) -> None:
            here = (blocked_authors.c.event == event) & (blocked_authors.c.author_key == author)
            await sql.execute(delete(blocked_authors).where(here))
            await note(sql, action)

        return self._archive.write_with(work)

    def blocked(self) -> Deferred[list[Blocked]]:
        """Fires with all who are blocked, at every event, the latest first."""
        table = blocked_authors.c
        columns = (table.event, table.author_key, table.name, table.blocked_at)

        async def work(sql: Transaction) -> list[Blocked]:
            found = await sql.rows(select(*columns).order_by(table.blocked_at.desc(), table.author_key))
            return [Blocked(*row) for row in found]

        return self._archive.read_with(work)

    def unblocked(self, event: str) -> Deferred[list[str]]:
        """Fires with the keys of authors who are not blocked, or not any more, and because of whom something
        is hidden all the same."""
        blocked = select(blocked_authors.c.author_key).where(blocked_authors.c.event == event)
        because = hidden_items.c.because
        here = (hidden_items.c.event == event) & because.is_not(None) & because.not_in(blocked)
        statement = select(because).where(here).distinct().order_by(because)

        async def work(sql: Transaction) -> list[str]:
            return [key for (key,) in await sql.rows(statement)]

        return self._archive.read_with(work)

    def actions(self, limit: int) -> Deferred[list[Action]]:
        """Fires with what organisers did last, the latest first."""
        table = organiser_actions.c
        columns = (table.at, table.account, table.address, table.action, table.event, table.subject)

        async def work(sql: Transaction) -> list[Action]:
            return [
                Action(*row) for row in await sql.rows(select(*columns).order_by(table.id.desc()).limit(limit))
            ]

        return self._archive.read_with(work)

    def count(self) -> Deferred[int]:
        """Fires with a number that grows with every action."""

        async def work(sql: Transaction) -> int:
            ((last,),) = await sql.rows(select(func.max(organiser_actions.c.id)))
            return last or 0

        return self._archive.read_with(work)


def _these(event: str, item_ids: Sequence[str]) -> ColumnElement[bool]:
    """The rows of hidden items."""
    return (hidden_items.c.event == event) & hidden_items.c.item_key.in_([key(id_) for id_ in item_ids])


async def note(sql: Transaction, action: Action | None) -> None:
    """Put ``action`` on record, in the transaction that does it."""
    if action is not None:
        values = {**action._asdict(), "subject": None if action.subject is None else plain(action.subject)}
        await sql.execute(organiser_actions.insert(), values)


def plain(text: str) -> str:
    """Text that any database takes; what has to be found again goes by its key."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\0")
