"""The links by which speakers open the reports of their talks, in the archive's database.

Only the hash of a link's key is kept: whoever reads the database, or a copy of it, cannot open a report with
what is there.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import ColumnElement, delete, select, update
from twisted.internet.defer import Deferred

from afeed.archive.engine import Transaction
from afeed.archive.moderation import Action
from afeed.archive.store import SqlArchive
from afeed.archive.tables import organiser_actions, report_links


class Link(NamedTuple):
    """A link that opens the report of ``talk``: made ``at`` an RFC 3339 time by ``account``, and last used on
    the day ``used_at``, None while it was not."""

    event: str
    talk: str
    at: str
    account: str
    used_at: str | None = None


class ReportLinks:
    """Every Deferred may fail with :class:`~afeed.core.errors.ArchiveUnavailable`; then nothing was changed.
    What changes something notes who did it in the same transaction."""

    def __init__(self, archive: SqlArchive) -> None:
        self._archive = archive

    def make(self, key_hash: bytes, link: Link, earlier: Iterable[str], action: Action) -> Deferred[None]:
        """Let the key with this hash open a report.  Fires when it does; the talk's earlier link, also one that
        was made under one of its ``earlier`` ids, opens nothing any more."""
        theirs = _of(link.event, [link.talk, *earlier])
        row = {
            "key_hash": key_hash,
            "event": link.event,
            "talk": link.talk,
            "made_at": link.at,
            "account": link.account,
            "used_at": None,
        }

        async def work(sql: Transaction) -> None:
            await sql.execute(delete(report_links).where(theirs))
            await sql.execute(report_links.insert(), row)
            await sql.execute(organiser_actions.insert(), action._asdict())

        return self._archive.write_with(work)

    def revoke(self, event: str, talks: Iterable[str], action: Action) -> Deferred[bool]:
        """Let no link open the report of the talk with these ids any more.  Fires with whether one did."""
        theirs = _of(event, talks)

        async def work(sql: Transaction) -> bool:
            touched = await sql.execute(delete(report_links).where(theirs))
            if touched:
                await sql.execute(organiser_actions.insert(), action._asdict())
            return touched > 0

        return self._archive.write_with(work)

    def opens(self, event: str, talk: str, key_hash: bytes) -> Deferred[bool]:
        """Fires with whether the key with this hash opens the report of ``talk``.

        The row is found by the talk and its hash compared in constant time, so that how long it takes tells
        nothing about a key."""
        statement = select(report_links.c.key_hash).where(_of(event, [talk]))

        async def work(sql: Transaction) -> bool:
            found = [bytes(known) for (known,) in await sql.rows(statement)]
            return any(hmac.compare_digest(known, key_hash) for known in found)

        return self._archive.read_with(work)

    def used(self, event: str, talk: str, day: str) -> Deferred[None]:
        """Note that the talk's link was used on ``day`` (``2026-11-21``)."""
        table = report_links.c
        unknown = table.used_at.is_(None) | (table.used_at < day)
        statement = update(report_links).where(_of(event, [talk]) & unknown).values(used_at=day)

        async def work(sql: Transaction) -> None:
            await sql.execute(statement)

        return self._archive.write_with(work)

    def of(self, event: str) -> Deferred[dict[str, Link]]:
        """Fires with the links of an event, by talk."""
        table = report_links.c
        columns = (table.event, table.talk, table.made_at, table.account, table.used_at)

        async def work(sql: Transaction) -> dict[str, Link]:
            rows = await sql.rows(select(*columns).where(table.event == event))
            return {row[1]: Link(*row) for row in rows}

        return self._archive.read_with(work)


def _of(event: str, talks: Iterable[str]) -> ColumnElement[bool]:
    return (report_links.c.event == event) & report_links.c.talk.in_(sorted(set(talks)))
