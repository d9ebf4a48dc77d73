"""The archive: the live log in SQL, for good."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from afeed.archive import queries, schema, transactions
from afeed.archive.backends import Role
from afeed.archive.engine import Database, Transaction, Work
from afeed.core.change import Change, timestamp
from afeed.core.cursor import Ancestor
from afeed.core.draft import SourceGap
from afeed.core.errors import ArchiveUnavailable, ArchiveUnusable
from afeed.core.health import Check
from afeed.core.item import decode_item
from afeed.core.straining import fold
from afeed.interfaces import Head, IArchive, IWitness, Lineage, PageItem, Testimony

log = Logger()
T = TypeVar("T")

#: Seconds between attempts to empty the write-ahead log after a removal, while readers are in the way.
_SCRUB_RETRY = 1.0


_UNTRIED = "not connected yet"
_TRYING = (
    "it is being connected to, and its schema looked at; another program that does the same to its schema is "
    "waited for"
)


@implementer(IArchive, IWitness)
class SqlArchive:
    """The archive behind a SQLAlchemy URL, ``sqlite:///FILE`` or ``postgresql+psycopg://...``.

    ``now`` gives the time of day in seconds since 1970; ``readers`` is how many reads run side by side;
    ``timeout`` bounds a read, in seconds; a write may take half as long again.  Only the restore of a backup is
    ``restoring``: nobody else may use an archive that it has left unfinished.  Raises :class:`ValueError` for
    other URLs.
    """

    def __init__(
        self,
        url: str,
        reactor: Any,
        now: Callable[[], float],
        *,
        readers: int = 3,
        timeout: float = 5.0,
        restoring: bool = False,
    ) -> None:
        self._restoring = restoring
        self._database = Database(url, reactor, readers=readers, timeout=timeout)
        self._reactor = reactor
        self._now = now
        self._started = False
        self._starting: list[Deferred[None]] = []
        self._faults: dict[Role, str] = {}
        self._check = self._checked("degraded", _UNTRIED)
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

    def position(self, event: str, *, to_write: bool = False) -> Deferred[Head | None]:
        """See :meth:`IArchive.position`."""

        async def work(sql: Transaction) -> Head | None:
            return await transactions.position(sql, event)

        # A page must not wait for a lock that only a writer needs.
        if not to_write or "write" not in self._faults:
            return self._read(work)

        # Health wants to know whether that works again.
        async def write_and_work(sql: Transaction) -> Head | None:
            await sql.execute(queries.touch(event, timestamp(self._now())))
            return await work(sql)

        return self._write(write_and_work)

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

        insert = self._database.backend.insert

        async def work(sql: Transaction) -> bool:
            upto = after + len(changes)
            await transactions.advance(sql, insert, event, lineage, after, upto, timestamp(self._now()))
            return await transactions.write(sql, insert, event, folded)

        return self._write_content(work)

    def skip(self, event: str, lineage: Lineage, after: int, upto: int) -> Deferred[None]:
        """See :meth:`IArchive.skip`."""

        insert = self._database.backend.insert

        async def work(sql: Transaction) -> bool:
            at = timestamp(self._now())
            await transactions.advance(sql, insert, event, lineage, after, upto, at)
            await sql.execute(queries.hole(insert, event, after + 1, upto, lineage.epoch, at))
            return False

        return self._write_content(work)

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
            return await transactions.extent(sql, event)

        return self._read(work)

    def items(
        self, event: str, limit: int, before: int | None = None, prompt: bool = False
    ) -> Deferred[list[PageItem]]:
        """See :meth:`IArchive.items`."""
        late = self._database.backend.late if prompt else None

        async def work(sql: Transaction) -> list[PageItem]:
            found = await sql.rows(queries.visible_items(event, limit, before, late))
            return [PageItem(seq, decode_item(content)) for seq, content in found]

        return self._read(work)

    def gaps(self, event: str) -> Deferred[list[tuple[int, SourceGap]]]:
        """See :meth:`IArchive.gaps`."""

        async def work(sql: Transaction) -> list[tuple[int, SourceGap]]:
            return [
                (
                    seq,
                    SourceGap(source=source, from_=from_, to=to, state=state, fetched=fetched, reason=reason),
                )
                for seq, source, from_, to, state, fetched, reason in await sql.rows(queries.gaps(event))
            ]

        return self._read(work)

    def testimony(self, event: str) -> Deferred[Testimony | None]:
        """See :meth:`IWitness.testimony`."""

        async def work(sql: Transaction) -> Testimony | None:
            position = await transactions.position(sql, event)
            if position is None:
                return None
            found = await sql.rows(queries.ancestors(event))
            ancestors = tuple(Ancestor(epoch, shared) for epoch, shared in found)
            oldest, last = await transactions.extent(sql, event)
            if last == 0:
                oldest = position.seq + 1
            return Testimony(position.epoch, ancestors, oldest, position.seq, partial(self.read, event))

        return self._read(work)

    async def _start(self) -> None:
        database = self._database
        if not self._faults and self._check.detail == _UNTRIED:
            self._check = self._checked("degraded", _TRYING)
        try:
            prepare = partial(schema.prepare, database.url, database.backend, restoring=self._restoring)
            await database.workers.run(prepare)
        except (ArchiveUnavailable, ArchiveUnusable) as error:
            unusable = isinstance(error, ArchiveUnusable)
            self._check = self._checked("failed" if unusable else "degraded", str(error))
            raise
        self._started = True
        self._check = self._checked("ok", "ready")
        log.info("The archive can be used: {name}", name=database.name)
        # A process that was killed may have left content that was removed in the write-ahead log.
        self._scrub()

    def _start_ended(self, result: Any) -> None:
        waiting, self._starting = self._starting, []
        for deferred in waiting:
            if not deferred.called:
                deferred.callback(result)

    def _read(self, work: Work[T]) -> Deferred[T]:
        return self._noted("read", lambda: self._database.read(work))

    def _write(self, work: Work[T], committed: Callable[[T], object] | None = None) -> Deferred[T]:
        return self._noted("write", lambda: self._database.write(work, committed))

    def _write_content(self, work: Work[bool]) -> Deferred[None]:
        """A transaction whose result says whether it overwrote content."""
        return self._write(work, committed=self._scrub_if).addCallback(lambda _: None)

    def _noted(self, role: Role, begin: Callable[[], Deferred[T]]) -> Deferred[T]:
        """Remember for health how it went."""
        if not self._started:
            return fail(ArchiveUnavailable("the archive is not connected yet"))

        def worked(result: T) -> T:
            # Where writing works reading does, but not the other way round: think of a full disk.
            for other in (role, "read"):
                self._faults.pop(other, None)
            self._tell()
            return result

        def failed(failure: Failure) -> Failure:
            if failure.check(ArchiveUnavailable):
                self._faults[role] = failure.getErrorMessage()
                self._tell()
            return failure

        return begin().addCallbacks(worked, failed)

    def _tell(self) -> None:
        if not self._started:
            return
        detail = "; ".join(f"{role}: {fault}" for role, fault in sorted(self._faults.items()))
        self._check = self._checked("degraded", detail) if detail else self._checked("ok", "ready")

    def _checked(self, state: Any, detail: str) -> Check:
        at = timestamp(self._now())
        return Check(
            name="archive", state=state, detail=detail, data={"database": self._database.name, "as_of": at}
        )

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
