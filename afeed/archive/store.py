"""The archive: the live log in SQL, for good."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from zope.interface import implementer

from afeed.archive import queries, schema
from afeed.archive.engine import Database, Transaction, Work
from afeed.core.change import REDACTED, Change, redact, timestamp
from afeed.core.cursor import Ancestor, Cursor
from afeed.core.errors import ArchiveConflict, ArchiveUnavailable, ArchiveUnusable
from afeed.core.health import Check
from afeed.core.item import decode_item
from afeed.core.straining import Folded, continues, fold
from afeed.interfaces import Head, IArchive, IWitness, Lineage, PageItem, Testimony

log = Logger()

#: Seconds between attempts to empty the write-ahead log after a removal, while readers are in the way.
_SCRUB_RETRY = 1.0


@implementer(IArchive, IWitness)
class SqlArchive:
    """The archive behind a SQLAlchemy URL, ``sqlite:///FILE`` or ``postgresql+psycopg://...``.

    ``now`` gives the time of day in seconds since 1970; ``readers`` is how many reads run side by side;
    ``timeout`` bounds a read, and a third of a write, in seconds.  Raises :class:`ValueError` for other URLs.
    """

    def __init__(
        self, url: str, reactor: Any, now: Callable[[], float], *, readers: int = 3, timeout: float = 5.0
    ) -> None:
        self._database = Database(url, reactor, readers=readers, timeout=timeout)
        self._reactor = reactor
        self._now = now
        self._started = False
        self._starting: list[Deferred[None]] = []
        self._check = self._checked("degraded", "not connected yet")
        self._scrubbing: IDelayedCall | None = None

    def start(self) -> Deferred[None]:
        """See :meth:`IArchive.start`; harmless when it was started before."""
        waiting: Deferred[None] = Deferred()
        if self._started:
            waiting.callback(None)
            return waiting
        self._starting.append(waiting)
        if len(self._starting) == 1:
            Deferred.fromCoroutine(self._start()).addBoth(self._start_ended)
        return waiting

    def stop(self) -> Deferred[None]:
        """See :meth:`IArchive.stop`."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._started = False
        if self._scrubbing is not None and self._scrubbing.active():
            self._scrubbing.cancel()
        await self._database.close()
        self._check = self._checked("degraded", "closed")

    def check(self) -> Check:
        """See :meth:`IArchive.check`.  It is as old as the last use; the strainer uses the archive every few
        seconds."""
        return self._check

    def position(self, event: str) -> Deferred[Head | None]:
        """See :meth:`IArchive.position`."""

        async def work(sql: Transaction) -> Head | None:
            return await _position(sql, event)

        return self._read(work)

    def store(self, event: str, lineage: Lineage, after: int, changes: Sequence[Change]) -> Deferred[None]:
        """See :meth:`IArchive.store`."""
        if [change.seq for change in changes] != list(range(after + 1, after + 1 + len(changes))):
            raise ValueError(f"the changes to store are not numbered from {after + 1} on without holes")
        folded = fold(changes)
        if folded.unreadable:
            log.error(
                "Changes {seqs} of {event} are archived as they are, but their items cannot be read and will "
                "be on no page; this is a defect of afeed, please report it.",
                seqs=folded.unreadable,
                event=event,
            )

        async def work(sql: Transaction) -> bool:
            await self._advance(sql, event, lineage, after, after + len(changes))
            return await self._write(sql, event, folded)

        return self._written(work)

    def skip(self, event: str, lineage: Lineage, after: int, upto: int) -> Deferred[None]:
        """See :meth:`IArchive.skip`."""

        async def work(sql: Transaction) -> bool:
            await self._advance(sql, event, lineage, after, upto)
            insert, at = self._database.backend.insert, timestamp(self._now())
            await sql.execute(queries.hole(insert, event, after + 1, upto, lineage.epoch, at))
            return False

        return self._written(work)

    def read(self, event: str, after: int, limit: int) -> Deferred[list[Change]]:
        """See :meth:`IArchive.read`."""

        async def work(sql: Transaction) -> list[Change]:
            return [
                Change.decode(seq, stored) for seq, stored in await sql.rows(queries.read(event, after, limit))
            ]

        return self._read(work)

    def extent(self, event: str) -> Deferred[tuple[int, int]]:
        """See :meth:`IArchive.extent`."""

        async def work(sql: Transaction) -> tuple[int, int]:
            return await _extent(sql, event)

        return self._read(work)

    def items(self, event: str, limit: int, before: int | None = None) -> Deferred[list[PageItem]]:
        """See :meth:`IArchive.items`."""

        async def work(sql: Transaction) -> list[PageItem]:
            found = await sql.rows(queries.visible_items(event, limit, before))
            return [PageItem(seq, decode_item(content)) for seq, content in found]

        return self._read(work)

    def testimony(self, event: str) -> Deferred[Testimony | None]:
        """See :meth:`IWitness.testimony`."""

        async def work(sql: Transaction) -> Testimony | None:
            position = await _position(sql, event)
            if position is None:
                return None
            found = await sql.rows(queries.ancestors(event))
            ancestors = tuple(Ancestor(epoch, shared) for epoch, shared in found)
            oldest, last = await _extent(sql, event)
            if last == 0:
                oldest = position.seq + 1
            return Testimony(position.epoch, ancestors, oldest, position.seq, partial(self.read, event))

        return self._read(work)

    async def _start(self) -> None:
        database = self._database
        try:
            await database.workers.run(partial(schema.prepare, database.url, database.backend))
        except (ArchiveUnavailable, ArchiveUnusable) as error:
            unusable = isinstance(error, ArchiveUnusable)
            self._check = self._checked("failed" if unusable else "degraded", str(error))
            raise
        self._started = True
        self._check = self._checked("ok", "ready")
        # A process that was killed may have left content that was removed in the write-ahead log.
        self._scrub()

    def _start_ended(self, result: Any) -> None:
        waiting, self._starting = self._starting, []
        for deferred in waiting:
            if not deferred.called:
                deferred.callback(result)

    def _read(self, work: Work[Any]) -> Deferred[Any]:
        if not self._started:
            return self._not_started()
        return self._database.read(work).addCallbacks(self._worked, self._failed)

    def _written(self, work: Work[bool]) -> Deferred[None]:
        """A transaction whose result says whether it overwrote content."""
        if not self._started:
            return self._not_started()
        writing = self._database.write(work, committed=self._scrub_if).addCallbacks(self._worked, self._failed)
        return writing.addCallback(lambda _: None)

    def _not_started(self) -> Deferred[Any]:
        refused: Deferred[Any] = Deferred()
        refused.errback(ArchiveUnavailable("the archive is not connected yet"))
        return refused

    def _worked(self, result: Any) -> Any:
        if self._started:
            self._check = self._checked("ok", "ready")
        return result

    def _failed(self, failure: Any) -> Any:
        if self._started and failure.check(ArchiveUnavailable):
            self._check = self._checked("degraded", failure.getErrorMessage())
        return failure

    def _checked(self, state: Any, detail: str) -> Check:
        at = timestamp(self._now())
        return Check(
            name="archive", state=state, detail=detail, data={"database": self._database.name, "as_of": at}
        )

    async def _advance(self, sql: Transaction, event: str, lineage: Lineage, after: int, upto: int) -> None:
        """Move the position, or fail with :class:`ArchiveConflict`.  First of all, for it locks the event."""
        insert, at = self._database.backend.insert, timestamp(self._now())
        stored = await _position(sql, event, lock=True)
        if stored is None:
            touched = 0
            if after == 0:
                touched = await sql.execute(queries.first_position(insert, event, lineage.epoch, upto, at))
        else:
            fits = stored.seq == after and continues(Cursor(*stored), lineage.epoch, lineage.ancestors)
            touched = 0
            if fits:
                touched = await sql.execute(queries.advance(event, stored, (lineage.epoch, upto), at))
        if touched != 1:
            found = "empty" if stored is None else "at {}:{}".format(*stored)
            raise ArchiveConflict(f"the archive of {event} is {found}, not at {lineage.epoch}:{after}")
        if stored is None or stored.epoch != lineage.epoch:
            await sql.execute(queries.forget_ancestors(event))
            if lineage.ancestors:
                rows = [
                    {"event": event, "epoch": ancestor.epoch, "shared": ancestor.shared}
                    for ancestor in lineage.ancestors
                ]
                await sql.execute(insert(queries.epochs), rows)

    async def _write(self, sql: Transaction, event: str, folded: Folded) -> bool:
        """The rows and what follows from them; whether content was overwritten."""
        insert = self._database.backend.insert
        overwritten = []
        if folded.removals:
            keys = [removal.key for removal in folded.removals]
            overwritten = [
                {"b_event": event, "b_seq": seq, "b_type": REDACTED, "b_stored": redact(stored)}
                for seq, stored in await sql.rows(queries.content_of(event, keys))
            ]
        if overwritten:
            await sql.execute(queries.redact_change, overwritten)
        if folded.rows:
            rows = [
                {
                    "event": event,
                    "seq": change.seq,
                    "type": change.type,
                    "at": change.at,
                    "item_key": item_key,
                    "stored": change.stored,
                }
                for change, item_key in folded.rows
            ]
            await sql.execute(insert(queries.changes), rows)
        if folded.items:
            states = [
                {
                    "event": event,
                    "item_key": state.key,
                    "item_id": _plain(state.id),
                    "first_seq": state.first_seq,
                    "seq": state.seq,
                    "version": _plain(state.version),
                    "source": _plain(state.source),
                    "handle": _plain(state.handle),
                    "created_at": _plain(state.created_at),
                    "content": state.content,
                }
                for state in folded.items
            ]
            await sql.execute(queries.put_items(insert), states)
        if folded.removals:
            tombstones = [
                {
                    "event": event,
                    "item_key": removal.key,
                    "item_id": _plain(removal.id),
                    "first_seq": removal.seq,
                    "seq": removal.seq,
                    "removed_seq": removal.seq,
                }
                for removal in folded.removals
            ]
            await sql.execute(queries.remove_items(insert), tombstones)
        return bool(overwritten)

    def _scrub_if(self, overwritten: bool) -> None:
        """After a removal, see that the database's files forget too; nobody waits for it."""
        if overwritten and self._started:
            self._scrub()

    def _scrub(self) -> None:
        self._scrubbing = None
        Deferred.fromCoroutine(self._scrub_once())

    async def _scrub_once(self) -> None:
        try:
            done = await self._database.scrub()
        except ArchiveUnavailable as error:
            done = False
            log.warn(
                "What was removed is gone from the archive's tables but may still be in its write-ahead log: "
                "{error}; afeed tries again.",
                error=error,
            )
        if not done and self._started and self._scrubbing is None:
            self._scrubbing = self._reactor.callLater(_SCRUB_RETRY, self._scrub)


async def _position(sql: Transaction, event: str, lock: bool = False) -> Head | None:
    found = await sql.rows(queries.position(event, lock=lock))
    return Head(*found[0]) if found else None


async def _extent(sql: Transaction, event: str) -> tuple[int, int]:
    first, last, skipped = (await sql.rows(queries.extent(event)))[0]
    if skipped is not None and first is not None:
        first = max(first, skipped + 1)
    return (1, 0) if first is None or first > last else (first, last)


def _plain(text: str | None) -> str | None:
    """Text that any database takes: PostgreSQL knows no NUL, and UTF-8 no half of a surrogate pair.  The
    item's JSON has it as it was."""
    if text is None:
        return None
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\0")
