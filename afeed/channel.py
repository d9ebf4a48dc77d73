"""One event as this node serves it: the newest changes in memory, ready to be written to any transport.

A channel does no I/O.  The hub puts changes in, transports take pages out; what is older than the window comes
from the hub by way of ``older``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from twisted.internet.defer import Deferred

from afeed.core import framing
from afeed.core.change import REDACTED, REMOVED, Change
from afeed.core.cursor import Ancestor, Cursor, Gap, Resume, resume
from afeed.core.item import Item
from afeed.interfaces import ISubscriber

Encode = Callable[[framing.Message], bytes]

#: Encoded pages are kept until they take this much together; then all are forgotten and built again on demand.
CACHE_BYTES = 8 * 1024 * 1024


class Page(NamedTuple):
    """Changes ready to be written: ``last`` is the position of a client that has taken them in."""

    last: int
    data: bytes


class _Entry:
    """A change in the window, and the same with its fragment once somebody asked for that."""

    __slots__ = ("change", "rich")

    def __init__(self, change: Change) -> None:
        self.change = change
        self.rich: bytes | None = None


class Channel:
    """The window of one event, its positions, and those who listen.

    :ivar head: the last seq known here; :ivar first: the seq of the oldest change in the window (head + 1
    when empty); :ivar floor: the oldest seq that exists anywhere, None while that is not known.
    """

    def __init__(
        self,
        event: str,
        size: int,
        render: Callable[[Item], str],
        older: Callable[[str, int, int], Deferred[list[Change]]],
        find_floor: Callable[[Channel], Deferred[int]],
    ) -> None:
        self.event = event
        self.epoch: str | None = None
        self.ancestors: tuple[Ancestor, ...] = ()
        self.head = 0
        self.floor: int | None = None
        self.subscribers: list[ISubscriber] = []
        self._size = size
        self._render = render
        self._older = older
        self._find_floor = find_floor
        self._window: deque[_Entry] = deque()
        self._removed: dict[str, int] = {}
        self._pages: dict[tuple[object, ...], Page] = {}
        self._pages_bytes = 0

    # -- what the hub puts in

    @property
    def ready(self) -> bool:
        """Whether the log has been read; until then nobody can be served."""
        return self.epoch is not None

    def reset(
        self, epoch: str, ancestors: tuple[Ancestor, ...], head: int, changes: Sequence[Change], retry_ms: int
    ) -> None:
        """Begin (again) with the newest ``changes`` of ``epoch``; who listened is sent away to come back."""
        had_listeners = self.ready
        self.epoch, self.ancestors, self.head = epoch, ancestors, head
        self._window.clear()
        self._removed.clear()
        self._forget_pages()
        for change in changes[-self._size :]:
            self._push(change)
        if had_listeners:
            for subscriber in tuple(self.subscribers):
                subscriber.ended(retry_ms)

    def add(self, changes: Sequence[Change]) -> None:
        """Append ``changes``, the first of them numbered head + 1, and tell every subscriber."""
        first = self.head + 1
        if changes[0].seq != first:
            raise ValueError(f"{self.event}: got change {changes[0].seq} where {first} was due")
        for change in changes:
            if change.type == REMOVED and change.id is not None:
                self._redact(change.id)
            self._push(change)
        self.head = changes[-1].seq
        for subscriber in tuple(self.subscribers):
            subscriber.changed(first, self.head)

    def close(self, retry_ms: int) -> None:
        """Send everybody away."""
        for subscriber in tuple(self.subscribers):
            subscriber.ended(retry_ms)

    def _push(self, change: Change) -> None:
        if change.type == REMOVED and change.id is not None:
            self._removed[change.id] = change.seq
        self._window.append(_Entry(change))
        if len(self._window) > self._size:
            gone = self._window.popleft().change
            if gone.type == REMOVED and gone.id is not None:
                self._removed.pop(gone.id, None)

    def _redact(self, item_id: str) -> None:
        for entry in self._window:
            if entry.change.id == item_id and entry.change.type != REMOVED:
                entry.change = entry.change.redacted()
                entry.rich = None
        self._forget_pages()

    # -- what transports take out

    @property
    def first(self) -> int:
        return self.head - len(self._window) + 1

    @property
    def cursor(self) -> str:
        """The head as a cursor."""
        return f"{self.epoch}:{self.head}"

    def cursor_at(self, seq: int) -> str:
        return f"{self.epoch}:{seq}"

    def locate(self, cursor: Cursor) -> Resume | None:
        """Where a client with ``cursor`` goes on; None when that takes knowing ``floor`` first: then ask
        :meth:`seek`."""
        assert self.epoch is not None
        oldest = self.first if self.floor is None else self.floor
        found = resume(cursor, self.epoch, self.ancestors, oldest, self.head)
        if self.floor is None and found.gap is not None and self.first > 1:
            return None
        return found

    async def seek(self, cursor: Cursor) -> Resume:
        """As :meth:`locate`, after asking for the oldest change that exists anywhere.

        Raises :class:`~afeed.core.errors.ArchiveUnavailable` when that cannot be known.
        """
        while True:
            found = self.locate(cursor)
            if found is not None:
                return found
            await self._find_floor(self)

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

    def updates(self, after: int, limit: int, gap: Gap | None, rich: bool) -> bytes | None:
        """The answer to a poll with up to ``limit`` changes above ``after``; None as for :meth:`page`."""
        if after < self.first - 1:
            return None
        if gap is not None:
            return self._updates(after, limit, gap, rich).data
        key = ("updates", after, min(after + limit, self.head), rich)
        found = self._pages.get(key)
        return (found or self._keep(key, self._updates(after, limit, None, rich))).data

    def _updates(self, after: int, limit: int, gap: Gap | None, rich: bool) -> Page:
        bodies, more = self._bodies(after, limit, rich)
        last = after + len(bodies)
        return Page(last, framing.updates(self.cursor_at(last), bodies, gap, more))

    async def history(self, after: int, limit: int, rich: bool) -> list[bytes]:
        """Changes above ``after`` that the window no longer holds, at most ``limit`` of them and 256 KB.

        Raises :class:`~afeed.core.errors.ArchiveUnavailable` when nobody who has them answers.
        """
        changes = [self.present(change) for change in await self._older(self.event, after, limit)]
        bodies = [self._encode_body(change, rich) for change in changes]
        _, stop = next(framing.portions([len(body) for body in bodies]), (0, 0))
        return bodies[:stop]

    def present(self, change: Change) -> Change:
        """``change`` as it may be shown now: the archive may not have heard yet that its item was removed."""
        if change.id in self._removed and change.type not in (REMOVED, REDACTED):
            return change.redacted()
        return change

    def newest_first(self) -> Iterator[Change]:
        """The window from the head backwards."""
        return (entry.change for entry in reversed(self._window))

    def window(self, after: int, limit: int) -> list[Change]:
        """Up to ``limit`` changes of the window above ``after``."""
        return [entry.change for entry in self._from(after, limit)]

    def _from(self, after: int, limit: int) -> Iterable[_Entry]:
        start = max(0, after + 1 - self.first)
        behind = len(self._window) - start
        if behind <= limit:  # near the head: walk from the right end, where a deque is quick
            newest = list(islice(reversed(self._window), behind))
            newest.reverse()
            return newest
        return islice(self._window, start, start + limit)

    def _bodies(self, after: int, limit: int, rich: bool) -> tuple[list[bytes], bool]:
        bodies: list[bytes] = []
        total = 0
        for entry in self._from(after, limit):
            if rich:
                if entry.rich is None:
                    entry.rich = self._encode_body(entry.change, True)
                body = entry.rich
            else:
                body = entry.change.json
            total += len(body) + 1
            if bodies and total > framing.MAX_BYTES:
                break
            bodies.append(body)
        return bodies, after + len(bodies) < self.head

    def _encode_body(self, change: Change, rich: bool) -> bytes:
        item = change.item() if rich else None
        return change.json if item is None else framing.with_fragment(change.json, self._render(item))

    def _keep(self, key: tuple[object, ...], page: Page) -> Page:
        if self._pages_bytes > CACHE_BYTES:
            self._forget_pages()
        self._pages[key] = page
        self._pages_bytes += len(page.data)
        return page

    def _forget_pages(self) -> None:
        self._pages.clear()
        self._pages_bytes = 0
