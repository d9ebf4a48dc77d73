"""Sees to it that the pictures of archived items are fetched, and that those which nothing shows any more go.

Of several nodes the one that leads reads the archive, as it grows, for pictures that are new or gone, and
fetches. All that it knows is in the archive's database, so another goes on where it was, after ``kill -9`` as
well.  Every node deletes its own files.  It is no part of the feed's way: nothing waits for it, and it fails
alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, TypeVar
from urllib.parse import urlsplit

from twisted.internet.defer import CancelledError, Deferred, DeferredList, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from afeed.archive.media import MediaTable, Standing, Wanted
from afeed.core.change import EDITED, POSTED, REMOVED, Change
from afeed.core.draft import key
from afeed.core.errors import ArchiveUnavailable
from afeed.core.health import Check
from afeed.core.hosts import Hosts
from afeed.interfaces import IArchive
from afeed.media.addresses import pictures
from afeed.media.fetching import Fetcher, NotNow, Unfit
from afeed.media.health import media_check
from afeed.media.store import MediaStore

T = TypeVar("T")

#: So many pictures are fetched at once.
AT_ONCE = 6
#: How often it is looked what is to be done, in seconds: while something is, and otherwise.
BUSY_S, IDLE_S = 0.1, 1.0
#: Changes that are looked at in one step.
BATCH = 200
#: Pictures from which those to be fetched next are chosen.
CHOICE = 100
#: After a fault a picture waits so long, doubled each time up to the most, in seconds; and so often it is
#: tried. One that a host puts off again and again is given up after so many seconds.
FIRST_RETRY_S, LAST_RETRY_S, ATTEMPTS, LONGEST_S = 30.0, 6 * 3600.0, 10, 14 * 86_400.0
#: How long to wait where the disk does not take a file, in seconds.
DISK_RETRY_S = 60.0
#: How often it is counted how many there are, in seconds.
COUNT_S = 5.0
#: For so long it is remembered what was deleted; a node that was away for longer compares all its files.
REMEMBER_S = 30 * 86_400.0

_log = Logger()


class Keeper:
    """Keeps the pictures of ``events`` (by slug, whether they are kept), at most ``most_bytes`` of them.

    ``in_thread(function, *arguments)`` does what blocks; ``now`` gives seconds since 1970; ``counted(result)``
    hears of each attempt: ``kept``, ``unfit`` or ``later``.
    """

    name = "media"

    def __init__(
        self,
        archive: IArchive,
        table: MediaTable,
        store: MediaStore,
        fetcher: Fetcher,
        events: Mapping[str, bool],
        most_bytes: int,
        clock: IReactorTime,
        now: Callable[[], float],
        rng: Random,
        in_thread: Callable[..., Deferred[Any]],
        counted: Callable[[str], object] = lambda result: None,
    ) -> None:
        self._archive = archive
        self._table = table
        self._store = store
        self._fetcher = fetcher
        self._events = events
        self._most_bytes = most_bytes
        self._clock = clock
        self._now = now
        self._rng = rng
        self._in_thread = in_thread
        self._counted = counted
        self._hosts = Hosts()
        self._leads = False
        #: What is fetched at the moment, by key.
        self._running: dict[bytes, Deferred[None]] = {}
        #: By event, up to which change its pictures are known; absent while that is not known here.
        self._positions: dict[str, int | None] = {}
        self._behind = False
        #: By event, up to where the archive is, as far as somebody has told.
        self._heads: dict[str, int] = {}
        #: Whether there is nothing to do here: no picture is kept, and none ever was.
        self._idle = False
        #: The number of what was deleted last; None until all files have been compared.
        self._gone: int | None = None
        #: A file must not be deleted between its being written and its being noted.
        self._files = DeferredLock()
        self.standing = Standing(0, 0, 0, None, 0)
        self._count_at = 0.0
        self._trouble: str | None = None
        self._fault: str | None = None
        self._disk: str | None = None

    def lead(self, leads: bool) -> None:
        """Whether this node is the one that fetches."""
        if leads and not self._leads:
            self._positions.clear()
        self._leads = leads
        if not leads:
            for fetching in list(self._running.values()):
                fetching.cancel()

    def copied(self, event: str, seq: int) -> None:
        """The archive has everything up to ``seq``.  Who is told this need not ask."""
        self._heads[event] = seq

    async def run(self) -> None:
        """Until cancelled."""
        told = False
        try:
            while True:
                try:
                    await self._turn()
                    self._trouble, told = None, False
                except ArchiveUnavailable as error:
                    self._trouble = str(error)
                    if not told:
                        _log.warn("What is to be done about pictures waits: {why}", why=self._trouble)
                    told = True
                except OSError as error:
                    # The folder of the files; what was being fetched has a retry of its own.
                    self._disk = _reason(error)
                    if not told:
                        _log.warn("The folder of pictures cannot be used: {why}", why=self._disk)
                    told = True
                busy = self._trouble is None and self._leads and (self._behind or self._running)
                await deferLater(self._clock, BUSY_S if busy else IDLE_S)
        finally:
            await self._let_go()

    async def _let_go(self) -> None:
        running = list(self._running.values())
        for fetching in running:
            fetching.cancel()
        await DeferredList(running)

    async def _turn(self) -> None:
        if self._idle:
            return
        if not any(self._events.values()) and not await self._anything():
            self._idle = True
            return
        await self._delete()
        if not self._leads:
            return
        self._behind = False
        for event, keeps in self._events.items():
            await self._look(event, keeps)
        await self._count()
        await self._fetch()

    async def _anything(self) -> bool:
        """Whether there are, or were, pictures of any event."""
        for event in self._events:
            if await self._table.position(event) is not None:
                return True
        return bool(await self._in_thread(self._store.folder.exists))

    # -- what is new, and what is gone

    async def _look(self, event: str, keeps: bool) -> None:
        """Take one step towards the end of what is archived of ``event``."""
        if event not in self._positions:
            self._positions[event] = await self._table.position(event)
        known = self._positions[event]
        if known is None and not keeps:
            return
        if known is not None and self._heads.get(event, known + 1) <= known:
            return
        changes = await self._archive.read(event, known or 0, BATCH)
        if not changes:
            return
        shown = _shown(changes, keeps)
        upto = changes[-1].seq
        if await self._table.note(event, known, upto, shown, self._now()):
            self._positions[event] = upto
            self._behind = self._behind or len(changes) == BATCH
        else:  # another node believes that it leads, or did until now
            del self._positions[event]

    # -- files that go

    async def _delete(self) -> None:
        """Delete what nothing shows any more; at the start, whatever is here and unknown."""
        if self._gone is None:
            last = await self._table.last_gone()
            await self._compare()
            self._gone = last
        while found := await self._table.gone(self._gone, BATCH):
            await self._drop([(one.sha256, one.kind) for one in found])
            self._gone = found[-1].number

    async def _compare(self) -> None:
        await self._in_thread(self._store.sweep, self._now())
        names = list(await self._in_thread(lambda: list(self._store.names())))
        for first in range(0, len(names), BATCH):
            await self._drop(names[first : first + BATCH])
        if self._leads:
            await self._table.tidy(self._now() - REMEMBER_S)

    async def _drop(self, names: list[tuple[bytes, str]]) -> None:
        await self._files.acquire()
        try:
            shown = await self._table.known([sha for sha, _ in names])
            for sha, kind in names:
                if sha not in shown:
                    await self._in_thread(self._store.drop, sha, kind)
        finally:
            self._files.release()

    def scrub(self) -> Deferred[bool]:
        """Fires with whether the pictures of all that was removed by now are gone from this node."""
        return Deferred.fromCoroutine(self._is_clean())

    async def _is_clean(self) -> bool:
        if self._idle:
            return True
        for event in self._events:
            known = await self._table.position(event)
            if known is not None and await self._archive.read(event, known, 1):
                return False
        return self._gone is not None and not await self._table.gone(self._gone, 1)

    # -- fetching

    async def _count(self) -> None:
        if self._clock.seconds() >= self._count_at:
            self.standing = await self._table.standing()
            self._count_at = self._clock.seconds() + COUNT_S

    @property
    def _full(self) -> bool:
        return self.standing.size >= self._most_bytes

    async def _fetch(self) -> None:
        """Begin with as many as may be under way."""
        if self._full or len(self._running) >= AT_ONCE:
            return
        found = await self._table.due(self._now(), CHOICE, list(self._running))
        blocked: dict[str, tuple[float, list[bytes]]] = {}
        for wanted in found:
            if len(self._running) >= AT_ONCE or not self._leads:
                return
            host = _host(wanted.url)
            wait = self._hosts.wait(host, self._clock.seconds())
            if wait > 0:
                blocked.setdefault(host, (wait, []))[1].append(wanted.key)
                continue
            self._hosts.begin(host, self._clock.seconds())
            fetching = Deferred.fromCoroutine(self._one(wanted, host))
            self._running[wanted.key] = fetching
            fetching.addBoth(self._ended, wanted.key, host)
        if len(found) == CHOICE:
            # One slow host with thousands of pictures must not be in everybody's way.
            for wait, keys in blocked.values():
                await self._table.postpone(keys, self._now() + max(wait, 1.0 + len(keys) / 10))

    def _ended(self, result: Any, media_key: bytes, host: str) -> None:
        self._running.pop(media_key, None)
        self._hosts.end(host)

    async def _one(self, wanted: Wanted, host: str) -> None:
        try:
            result = await self._attempt(wanted, host)
        except CancelledError:
            return  # its turn comes again
        except ArchiveUnavailable as error:
            # It is fetched once more when that is over: what it came to could not be noted.
            self._trouble = str(error)
        except Exception:  # a defect, which is told and costs no other picture
            _log.failure("A picture from {host} could not be dealt with; it is tried again later", host=host)
            self._counted("later")
            next_at = self._retry_at(wanted.attempts)
            await self._table.later(wanted.key, wanted.attempts + 1, next_at, "a defect of afeed")
        else:
            self._counted(result)

    async def _attempt(self, wanted: Wanted, host: str) -> str:
        try:
            picture = await self._fetcher.fetch(wanted.url)
        except Unfit as error:
            self._fault = str(error)
            await self._table.give_up(wanted.key, str(error))
            return "unfit"
        except NotNow as error:
            self._fault = str(error)
            return await self._put_off(wanted, host, error)
        await self._files.acquire()
        try:
            kept = await self._in_thread(self._store.put, picture.body, picture.kind)
            self._disk = None
            known = await self._table.keep(wanted.key, kept, self._now())
        except OSError as error:
            self._disk = _reason(error)
            await self._table.later(wanted.key, wanted.attempts, self._now() + DISK_RETRY_S, self._disk)
            return "later"
        finally:
            self._files.release()
        if known:
            size = self.standing.size + kept.size
            self.standing = self.standing._replace(size=size, kept=self.standing.kept + 1)
        return "kept"

    async def _put_off(self, wanted: Wanted, host: str, error: NotNow) -> str:
        old = self._now() - wanted.since > LONGEST_S
        if old or (error.wait_s is None and wanted.attempts + 1 >= ATTEMPTS):
            await self._table.give_up(wanted.key, str(error))
            return "unfit"
        if error.wait_s is None:
            next_at, attempts = self._retry_at(wanted.attempts), wanted.attempts + 1
        else:  # the host's wish concerns all of its pictures, and is no fault of this one
            self._hosts.pause(host, self._clock.seconds() + error.wait_s)
            next_at, attempts = self._now() + error.wait_s, wanted.attempts
        await self._table.later(wanted.key, attempts, next_at, str(error))
        return "later"

    def _retry_at(self, attempts: int) -> float:
        whole = min(FIRST_RETRY_S * 2.0 ** min(attempts, 30), LAST_RETRY_S)
        return self._now() + whole * self._rng.uniform(0.75, 1.0)

    # -- telling

    def check(self) -> Check:
        """How it is, as far as is known."""
        return media_check(
            self.standing,
            self._most_bytes,
            leads=self._leads,
            trouble=self._trouble,
            disk=self._disk,
            fault=self._fault,
        )


def _shown(changes: list[Change], keeps: bool) -> dict[bytes, tuple[str, ...]]:
    """What the items that ``changes`` are about show in the end."""
    shown: dict[bytes, tuple[str, ...]] = {}
    for change in changes:
        if change.id is None:
            continue
        if change.type == REMOVED:
            shown[key(change.id)] = ()
        elif keeps and change.type in (POSTED, EDITED):
            try:
                item = change.item()
            except ValueError:  # told of by the archive already
                continue
            if item is not None:
                shown[key(change.id)] = pictures(item)
    return shown


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").casefold()
    except ValueError:
        return ""


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
