"""Sessions and failed attempts to sign in, in the archive's database.

There, because it is the one store that every node of every kind of set-up shares and that survives a restart;
a second implementation for a live log in Redis would be one more thing to trust.  While the database is away
nobody signs in or is signed in, and the feed goes on.
"""

from __future__ import annotations

from sqlalchemy import delete, select, update
from twisted.internet.defer import Deferred

from afeed.archive.engine import Transaction
from afeed.archive.store import SqlArchive
from afeed.archive.tables import organiser_sessions as sessions
from afeed.archive.tables import sign_in_attempts as attempts
from afeed.core.sessions import Session
from afeed.core.throttle import NONE, Attempts, attempt

#: Attempts that are long ago are deleted this often at most, in seconds.
CLEAN_S = 3600


class SignIns:
    """Every Deferred may fail with :class:`~afeed.core.errors.ArchiveUnavailable`; times are seconds since
    1970."""

    def __init__(self, archive: SqlArchive) -> None:
        self._archive = archive
        self._cleaned = 0

    def session(self, id_hash: bytes) -> Deferred[Session | None]:
        """Fires with what is known of a session, expired or not."""

        async def work(sql: Transaction) -> Session | None:
            found = await sql.rows(select(sessions).where(sessions.c.id_hash == id_hash))
            return Session(*found[0]) if found else None

        return self._archive.read_with(work)

    def begin(self, session: Session, instead_of: bytes | None, forgive: bytes, oldest: int) -> Deferred[None]:
        """Begin ``session``; end the one that the browser had before, and forget those not used since
        ``oldest`` and the failed attempts under ``forgive``."""

        async def work(sql: Transaction) -> None:
            await sql.execute(delete(sessions).where(sessions.c.used_at < oldest))
            if instead_of is not None:
                await sql.execute(delete(sessions).where(sessions.c.id_hash == instead_of))
            await sql.execute(sessions.insert(), session._asdict())
            await sql.execute(delete(attempts).where(attempts.c.key == forgive))

        return self._archive.write_with(work)

    def touch(self, id_hash: bytes, now: int) -> Deferred[None]:
        """A session was used."""

        async def work(sql: Transaction) -> None:
            await sql.execute(update(sessions).where(sessions.c.id_hash == id_hash).values(used_at=now))

        return self._archive.write_with(work)

    def end(self, id_hash: bytes) -> Deferred[None]:
        """A session is over."""

        async def work(sql: Transaction) -> None:
            await sql.execute(delete(sessions).where(sessions.c.id_hash == id_hash))

        return self._archive.write_with(work)

    def attempt(self, key: bytes, now: int, forget: int) -> Deferred[int]:
        """Count an attempt under ``key``.  Fires with the seconds to wait instead, 0 to go on.  Attempts before
        ``forget`` are forgotten sooner or later."""
        clean = now - self._cleaned >= CLEAN_S
        if clean:
            self._cleaned = now

        async def work(sql: Transaction) -> int:
            if clean:
                await sql.execute(delete(attempts).where(attempts.c.last_at < forget))
            blank = self._archive.insert(attempts).values(key=key, **NONE._replace(last_at=now)._asdict())
            await sql.execute(blank.on_conflict_do_nothing(index_elements=[attempts.c.key]))
            columns = (attempts.c.failures, attempts.c.last_at, attempts.c.next_at)
            # With the row locked, so that of two nodes each counts what the other did.
            (row,) = await sql.rows(select(*columns).where(attempts.c.key == key).with_for_update())
            wait, after = attempt(Attempts(*row), now)
            await sql.execute(update(attempts).where(attempts.c.key == key).values(**after._asdict()))
            return wait

        return self._archive.write_with(work)
