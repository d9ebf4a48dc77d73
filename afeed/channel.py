"""One event as this node serves it: the newest changes in memory, ready to be written to any transport.

A channel does no I/O.  The hub puts changes in, transports take pages out; what is older than the window comes
from the hub by way of ``older``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from afeed.core import framing
from afeed.core.change import REDACTED, REMOVED, Change
from afeed.core.cursor import Ancestor, Cursor, Gap, Resume, resume
from afeed.core.item import Item
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
        self._window = Window("", 0, size)
        # The newest changes with their fragments, as they were asked for.
        self._rich: dict[int, bytes] = {}
        # The position of every removal that the archive may not have heard of.
        self._removed: dict[str, int] = {}
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

    def close(self, retry_ms: int) -> None:
        """Send everybody away."""
        for subscriber in tuple(self.subscribers):
            self._end(subscriber, retry_ms)

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
                for seq in self._window.seqs_of(change.id):
                    self._rich.pop(seq, None)
                    self._forget_pages()
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
        key = ("updates", after, min(after + limit, self.head), after + limit < self.head, rich)
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
        """``change`` as it may be shown now."""
        if change.id in self._removed and change.type not in (REMOVED, REDACTED):
            return change.redacted()
        return change

    def is_removed(self, item_id: str) -> bool:
        """Whether the item was removed so recently that the archive may not have heard of it."""
        return item_id in self._removed

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
