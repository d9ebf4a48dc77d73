"""The archive: the live log in SQL, for good."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from afeed.archive import queries, schema, transactions
from afeed.archive.backends import Role
from afeed.archive.engine import Database, Transaction, Work
from afeed.archive.indexing import Indexer, New
from afeed.archive.reading import Reading
from afeed.archive.search_index import SearchIndex
from afeed.archive.upkeep import Upkeep
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


def page_item(seq: int, content: bytes, talk: str | None) -> PageItem:
    """An item as a page shows it: under the talk where it is by now, whatever it said when it was posted."""
    item = decode_item(content)
    return PageItem(seq, item if item.talk == talk else msgspec.structs.replace(item, talk=talk))


_UNTRIED = "not connected yet"
_TRYING = (
    "it is being connected to, and its schema looked at; another program that does the same to its schema is "
    "waited for"
)


@implementer(IArchive, IWitness)
class SqlArchive(Reading):
    """The archive behind a SQLAlchemy URL, ``sqlite:///FILE`` or ``postgresql+psycopg://...``.

    ``now`` gives the time of day in seconds since 1970; ``readers`` is how many reads run side by side;
    ``timeout`` bounds a read, in seconds; a write may take half as long again.  ``zones`` are the time zones of
    the events, by which days and hours are told; who gives them also indexes what is not indexed yet.  Only
    the restore of a backup is ``restoring``: nobody else may use an archive that it has left unfinished.
    Raises :class:`ValueError` for other URLs.
    """

    def __init__(
        self,
        url: str,
        reactor: Any,
        now: Callable[[], float],
        *,
        readers: int = 3,
        timeout: float = 5.0,
        zones: Mapping[str, ZoneInfo] | None = None,
        restoring: bool = False,
    ) -> None:
        self._restoring = restoring
        self._database = Database(url, reactor, readers=readers, timeout=timeout)
        backend = self._database.backend
        #: What changes items does that within its ``around``.
        self._indexing = zones is not None
        self.indexer = Indexer(backend.search, backend.insert, zones or {}, postponed=self._indexing)
        self._upkeep = Upkeep(reactor, self._write, self.indexer.catch_up, self.indexer.tidy, self._tidied)
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
        self._upkeep.stop()
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

        refiled = {one.key for one in folded.filings}
        new = {
            one.key: New(one.first_seq, one.content, one.talk) for one in folded.items if one.key not in refiled
        }
        insert = self._database.backend.insert
        upto, at = after + len(changes), timestamp(self._now())
        postponed = False

        def write(connection: Connection) -> bool:
            nonlocal postponed
            transactions.advance(connection, insert, event, lineage, after, upto, at)
            with self.indexer.around(connection, event, folded.keys(), new) as postponed:
                return transactions.write(connection, insert, event, folded)

        def stored(_: None) -> None:
            if postponed and self._indexing:
                self._upkeep.postponed()

        return self._write_content(lambda sql: sql.at_once(write)).addCallback(stored)

    def skip(self, event: str, lineage: Lineage, after: int, upto: int) -> Deferred[None]:
        """See :meth:`IArchive.skip`."""
        insert = self._database.backend.insert
        at = timestamp(self._now())

        def write(connection: Connection) -> bool:
            transactions.advance(connection, insert, event, lineage, after, upto, at)
            connection.execute(queries.hole(insert, event, after + 1, upto, lineage.epoch, at))
            return False

        return self._write_content(lambda sql: sql.at_once(write))

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
            return [page_item(*row) for row in found]

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

    @property
    def search_index(self) -> SearchIndex:
        """See :attr:`Reading.search_index`."""
        return self._database.backend.search

    @property
    def insert(self) -> queries.Insert:
        """``INSERT`` as this database says it, with its ``on_conflict`` clauses."""
        return self._database.backend.insert

    def read_with(self, work: Work[T]) -> Deferred[T]:
        """Do ``work`` on tables that are not the log's, in a transaction that only reads."""
        return self._read(work)

    def write_with(self, work: Work[T]) -> Deferred[T]:
        """The same in one that writes."""
        return self._write(work)

    def erase_with(self, work: Work[bool]) -> Deferred[None]:
        """The same for work whose result says whether it took content away that nothing may keep."""
        return self._write_content(work)

    def scrub(self) -> Deferred[bool]:
        """Fires with whether content that was removed is gone from the database's files, too, as far as the
        database offers that; False where it is being worked on, or readers were in the way: try again."""
        if self._upkeep.tidying:
            return succeed(False)
        return self._noted("write", self._database.scrub)

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
        if self._indexing:
            self._upkeep.start()

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
            self._upkeep.removed()

    def _tidied(self) -> None:
        if self._started and self._scrubbing is None:
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
