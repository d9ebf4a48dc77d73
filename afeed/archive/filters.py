"""What organisers keep from the screen, in the archive's database: only where they changed what the
configuration says."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from sqlalchemy import delete, select
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from afeed.archive.engine import Transaction
from afeed.archive.moderation import Action, note
from afeed.archive.store import SqlArchive
from afeed.archive.tables import event_filters
from afeed.core.filters import Filters

_log = Logger()
_decode = msgspec.json.Decoder(Filters).decode


class Changed(NamedTuple):
    """What applies at an event since ``at``, an RFC 3339 time, because of ``account``."""

    filters: Filters
    at: str
    account: str


class FilterStore:
    """Every Deferred may fail with :class:`~afeed.core.errors.ArchiveUnavailable`; then nothing was changed.
    What changes something notes who did it in the same transaction."""

    def __init__(self, archive: SqlArchive) -> None:
        self._archive = archive

    def changed(self) -> Deferred[dict[str, Changed]]:
        """Fires with what was changed, by event.  What this version of afeed cannot read is told and left
        out."""
        table = event_filters.c
        columns = (table.event, table.settings, table.changed_at, table.account)

        async def work(sql: Transaction) -> dict[str, Changed]:
            found: dict[str, Changed] = {}
            for event, settings, at, account in await sql.rows(select(*columns)):
                try:
                    found[event] = Changed(_decode(settings), at, account)
                except msgspec.MsgspecError as error:
                    _log.warn(
                        "The filters of {event} that are kept in the database cannot be read ({why}); those of "
                        "the configuration apply until an organiser saves them again",
                        event=event,
                        why=str(error),
                    )
            return found

        return self._archive.read_with(work)

    def change(self, event: str, changed: Changed, action: Action) -> Deferred[None]:
        """Have ``changed`` apply from now on."""
        fresh = {
            "settings": msgspec.json.encode(changed.filters),
            "changed_at": changed.at,
            "account": changed.account,
        }

        async def work(sql: Transaction) -> None:
            new = self._archive.insert(event_filters).values(event=event, **fresh)
            index = [event_filters.c.event]
            await sql.execute(new.on_conflict_do_update(index_elements=index, set_=fresh))
            await note(sql, action)

        return self._archive.write_with(work)

    def forget(self, event: str, action: Action) -> Deferred[None]:
        """Have the configuration apply again."""

        async def work(sql: Transaction) -> None:
            await sql.execute(delete(event_filters).where(event_filters.c.event == event))
            await note(sql, action)

        return self._archive.write_with(work)

    def note(self, actions: list[Action]) -> Deferred[None]:
        """Put on record what was done elsewhere."""

        async def work(sql: Transaction) -> None:
            for action in actions:
                await note(sql, action)

        return self._archive.write_with(work)
