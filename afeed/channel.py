"""One event as this node serves it: the newest changes in memory, ready to be written to any transport.

A channel does no I/O.  The hub puts changes in, transports take pages out; what is older than the window comes
from the hub by way of ``older``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from afeed.core import framing
from afeed.core.change import GAP, REMOVED, WITH_ITEM, Change
from afeed.core.cursor import Ancestor, Cursor, Gap, Resume, resume
from afeed.core.draft import SourceGap
from afeed.core.item import Item
from afeed.core.outages import Outages
from afeed.interfaces import ISubscriber, Lineage
from afeed.window import Window

Encode = Callable[[framing.Message], bytes]

#: Encoded pages are kept until they take this much together; then all are forgotten and built again on demand.
CACHE_BYTES = 8 * 1024 * 1024
#: So many of the newest changes are kept with their fragments; older ones are rendered when asked for.
RICH_KEPT = 500

_log = Logger()


class Page(NamedTuple):
    """Changes ready to be written: ``last`` is the position of a client that has taken them in."""

    last: int
    data: bytes


def _present(change: Change, removed: Mapping[str, int]) -> Change:
    """``change`` as it may be shown when these items are removed, each by the change of that number."""
    if change.seq < removed.get(change.id or "", 0) and change.type in WITH_ITEM:
        return change.redacted()
    return change


class Channel:
    """The window of one event, its positions, and those who listen.

    :ivar head: the last seq known here; :ivar first: the seq of the oldest change in the window (head + 1
    when empty); :ivar floor: the oldest seq that exists anywhere, None while that is not known; :ivar stalled:
    whether new changes cannot be taken or shown for now, so that viewers are to be told; :ivar outages: what
    became of the sources' outages; :ivar recalled: whether those before the window are among them.
    """

    def __init__(
        self,
        event: str,
        size: int,
        render: Callable[[Item], str],
        older: Callable[[str, int, int], Deferred[list[Change]]],
        find_floor: Callable[[Channel], Deferred[int]],
        catch_up: Callable[[Channel], Deferred[None]],
    ) -> None:
        self.event = event
        self.epoch: str | None = None
        self.ancestors: tuple[Ancestor, ...] = ()
        self.head = 0
        self.floor: int | None = None
        self.stalled = False
        self.outages = Outages()
        self.recalled = False
        self.subscribers: list[ISubscriber] = []
        self._size = size
        self._render = render
        #: What the items of a talk say of it, as HTML.
        self.label: Callable[[str | None], str] = lambda talk: ""
        self._older = older
        self._find_floor = find_floor
        self._catch_up = catch_up
        self._window = Window("", 0, size)
        # The newest changes with their fragments, as they were asked for.
        self._rich: dict[int, bytes] = {}
        # The position of every removal that the archive may not have heard of.
        self._removed: dict[str, int] = {}
        # The same for every read of the archive that is under way, from when it began.
        self._reading: list[dict[str, int]] = []
        self._pages: dict[tuple[object, ...], Page] = {}
        self._pages_bytes = 0

    # -- what the hub puts in

    @property
    def ready(self) -> bool:
        """Whether the log has been read; until then nobody can be served."""
        return self.epoch is not None

    def reset(
        self,
        lineage: Lineage,
        head: int,
        changes: Sequence[Change],
        removed: Mapping[str, int],
        retry_ms: int,
    ) -> None:
        """Begin (again) with the newest ``changes`` of an epoch; who listened is sent away to come back.

        ``removed`` has the position of the removals before these changes that the archive does not have yet.
        """
        had_listeners = self.ready
        self.epoch, self.ancestors, self.head = lineage.epoch, lineage.ancestors, head
        self.floor = None
        self._window = Window(lineage.epoch, changes[0].seq - 1 if changes else head, self._size)
        self._removed = dict(removed)
        for reading in self._reading:
            reading.update(removed)
        self.outages, self.recalled = Outages(), False
        self._rich.clear()
        self._forget_pages()
        self._extend(changes)
        if had_listeners:
            self.close(retry_ms)

    def add(self, changes: Sequence[Change]) -> None:
        """Append ``changes``, the first of them numbered head + 1, and tell every subscriber.

        A subscriber that fails is sent away, to come back with the position it has; the others are told all
        the same.
        """
        first = self.head + 1
        if changes[0].seq != first:
            raise ValueError(f"{self.event}: got change {changes[0].seq} where {first} was due")
        self._extend(changes)
        self.head = changes[-1].seq
        for subscriber in tuple(self.subscribers):
            try:
                subscriber.changed(first, self.head)
            except Exception:
                _log.failure("{event}: telling viewers of a change failed; they start anew", event=self.event)
                self._end(subscriber, 0)

    def stall(self, stalled: bool) -> None:
        """Tell every subscriber that new changes cannot be taken or shown, or that this is over; what they know
        already is not told again."""
        if stalled == self.stalled:
            return
        self.stalled = stalled
        for subscriber in tuple(self.subscribers):
            try:
                subscriber.stalled()
            except Exception:  # it learns of it by the next ping; the others still have to hear
                _log.failure("{event}: telling viewers of a delay failed", event=self.event)

    def close(self, retry_ms: int) -> None:
        """Send everybody away."""
        for subscriber in tuple(self.subscribers):
            self._end(subscriber, retry_ms)

    def recall(self, archived: Sequence[tuple[int, SourceGap]]) -> None:
        """Take in what the archive knows of outages."""
        self.outages.recall((seq, gap) for seq, gap in archived if seq <= self.head)
        self.recalled = True

    def forget_fragments(self) -> None:
        """What was rendered would look different now."""
        self._rich.clear()
        self._forget_pages()

    def copied(self, seq: int) -> None:
        """The archive has everything up to ``seq``, removals included."""
        self._removed = {item_id: at for item_id, at in self._removed.items() if at > seq}

    def _end(self, subscriber: ISubscriber, retry_ms: int) -> None:
        try:
            subscriber.ended(retry_ms)
        except Exception:  # the other subscribers still have to hear of it
            _log.failure("{event}: sending viewers away failed", event=self.event)

    def _extend(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.type == REMOVED and change.id is not None:
                self._removed[change.id] = change.seq
                for removed in self._reading:
                    removed[change.id] = change.seq
                for seq in self._window.seqs_of(change.id):
                    self._rich.pop(seq, None)
                    self._forget_pages()
            elif change.type == GAP:
                self.outages.add(change)
        self._window.extend(changes)

    # -- what transports take out

    @property
    def first(self) -> int:
        """The seq of the oldest change in the window; head + 1 when there is none."""
        return self._window.base + 1

    @property
    def cursor(self) -> str:
        """The head as a cursor."""
        return f"{self.epoch}:{self.head}"

    def cursor_at(self, seq: int) -> str:
        return f"{self.epoch}:{seq}"

    def locate(self, cursor: Cursor) -> Resume | None:
        """Where a client with ``cursor`` goes on; None when others have to be asked before it is told of a gap:
        then ask :meth:`seek`."""
        found = self._resume(cursor)
        return None if self._unheard_of(found) or self._unbounded(found) else found

    async def seek(self, cursor: Cursor) -> Resume:
        """As :meth:`locate`, after asking what there is to be known: the log for what another node may have
        told, and anybody for the oldest change that still exists.

        Raises :class:`~afeed.core.errors.LogUnavailable` or :class:`~afeed.core.errors.ArchiveUnavailable`
        when that cannot be known.
        """
        if self._unheard_of(self._resume(cursor)):
            await self._catch_up(self)
        while self._unbounded(found := self._resume(cursor)):
            await self._find_floor(self)
        return found

    def _resume(self, cursor: Cursor) -> Resume:
        assert self.epoch is not None
        oldest = self.first if self.floor is None else self.floor
        return resume(cursor, self.epoch, self.ancestors, oldest, self.head)

    @staticmethod
    def _unheard_of(found: Resume) -> bool:
        """Whether this answers a position of which nothing is known here, at least not yet."""
        return found.gap is not None and (found.gap.reason == "future" or found.gap.first is None)

    def _unbounded(self, found: Resume) -> bool:
        """Whether there is a gap of which nobody can say where it ends before the floor is known."""
        return found.gap is not None and self.floor is None and self.first > 1

    def page(self, after: int, encode: Encode, rich: bool) -> Page | None:
        """The changes above ``after`` as one message of at most 200 changes and 256 KB, encoded.

        None when they are older than the window: ask :meth:`history`.  ``after`` must be below the head.
        """
        if after < self.first - 1:
            return None
        stop = min(after + framing.MAX_CHANGES, self.head)
        key = (after, stop, encode, rich)
        found = self._pages.get(key)
        if found is None:
            bodies, _ = self._bodies(after, framing.MAX_CHANGES, rich)
            last = after + len(bodies)
            found = self._keep(key, Page(last, encode(framing.changes(self.cursor_at(last), bodies))))
        return found

    def newest_after(self, limit: int, rich: bool) -> int:
        """The position behind which the newest changes begin that fit into one answer of up to ``limit``."""
        after = max(self.head - limit, self._window.base)
        sizes = [len(self._rich_body(one) if rich else one.json) + 1 for one in self.window(after, limit)]
        while len(sizes) > 1 and sum(sizes) > framing.MAX_BYTES:
            after += 1
            del sizes[0]
        return after

    def updates(self, after: int, limit: int, gap: Gap | None, rich: bool) -> bytes | None:
        """The answer to a poll with up to ``limit`` changes above ``after``; None as for :meth:`page`."""
        if after < self.first - 1:
            return None
        if gap is not None:
            return self._updates(after, limit, gap, rich).data
        end = (min(after + limit, self.head), after + limit < self.head)
        key = ("updates", after, end, rich, self.stalled)
        found = self._pages.get(key)
        return (found or self._keep(key, self._updates(after, limit, None, rich))).data

    def _updates(self, after: int, limit: int, gap: Gap | None, rich: bool) -> Page:
        bodies, more = self._bodies(after, limit, rich)
        last = after + len(bodies)
        return Page(last, framing.updates(self.cursor_at(last), bodies, gap, more, self.stalled))

    async def history(self, after: int, limit: int, rich: bool) -> list[bytes]:
        """Changes above ``after`` that the window no longer holds, at most ``limit`` of them and 256 KB.

        Raises :class:`~afeed.core.errors.ArchiveUnavailable` when nobody who has them answers.
        """
        with self.removals() as removed:
            older = await self._older(self.event, after, limit)
        changes = [_present(change, removed) for change in older]
        bodies = [self._encode_body(change, rich) for change in changes]
        _, stop = next(framing.portions([len(body) for body in bodies]), (0, 0))
        return bodies[:stop]

    @contextmanager
    def removals(self) -> Iterator[Mapping[str, int]]:
        """For a read of the archive that begins and ends within: the items of whose removal it may not have
        heard when it was read, even if it has by the time of the answer, and the position of that.  What is
        posted above it was restored."""
        removed = dict(self._removed)
        self._reading.append(removed)
        try:
            yield removed
        finally:
            self._reading = [other for other in self._reading if other is not removed]

    def newest_first(self) -> Iterator[Change]:
        """The window from the head backwards."""
        return self._window.newest_first()

    def window(self, after: int, limit: int) -> list[Change]:
        """Up to ``limit`` changes of the window above ``after``."""
        found = self._window.slice(max(after, self._window.base), limit)
        return [] if found is None else found.changes

    def _bodies(self, after: int, limit: int, rich: bool) -> tuple[list[bytes], bool]:
        bodies: list[bytes] = []
        total = 0
        for change in self.window(after, limit):
            body = self._rich_body(change) if rich else change.json
            total += len(body) + 1
            if bodies and total > framing.MAX_BYTES:
                break
            bodies.append(body)
        return bodies, after + len(bodies) < self.head

    def _rich_body(self, change: Change) -> bytes:
        body = self._rich.get(change.seq)
        if body is None:
            body = self._encode_body(change, True)
            if change.seq > self.head - RICH_KEPT:
                self._rich[change.seq] = body
                while len(self._rich) > RICH_KEPT:
                    del self._rich[next(iter(self._rich))]
        return body

    def _encode_body(self, change: Change, rich: bool) -> bytes:
        if not rich:
            return change.json
        item = change.item()
        if item is not None:
            return framing.with_fragment(change.json, self._render(item))
        filing = change.filing()
        return change.json if filing is None else framing.with_fragment(change.json, self.label(filing.talk))

    def _keep(self, key: tuple[object, ...], page: Page) -> Page:
        if self._pages_bytes > CACHE_BYTES:
            self._forget_pages()
        self._pages[key] = page
        self._pages_bytes += len(page.data)
        return page

    def _forget_pages(self) -> None:
        self._pages.clear()
        self._pages_bytes = 0
