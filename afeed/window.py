"""The newest changes of one event in memory, so that readers near the head need not wait."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from afeed.core.change import REMOVED, WITH_ITEM, Change
from afeed.interfaces import Slice

#: What one event may hold in memory, in bytes of stored changes: 10,000 changes of the largest size that
#: sources admit would be half a gigabyte.
MEMORY_BYTES = 16 * 1024 * 1024


class Window:
    """Changes ``base + 1`` to ``head`` of ``epoch``, at most ``limit`` of them and at most ``max_bytes``.

    A removal redacts the earlier changes of its id here by itself.
    """

    def __init__(self, epoch: str, head: int, limit: int, max_bytes: int = MEMORY_BYTES) -> None:
        self.epoch = epoch
        self.base = head
        self.head = head
        self._limit = limit
        self._max_bytes = max_bytes
        self._changes: dict[int, Change] = {}
        self._seqs: dict[str, list[int]] = {}
        self._bytes = 0

    def extend(self, changes: Iterable[Change]) -> None:
        """Add ``changes``, numbered from ``head + 1`` on; raises :class:`ValueError` where they are not."""
        for change in changes:
            if change.seq != self.head + 1:
                raise ValueError(f"change {change.seq} cannot follow {self.head}")
            if change.type == REMOVED and change.id is not None:
                self._redact(change.id)
            self._changes[change.seq] = change
            self._bytes += len(change.stored)
            self.head = change.seq
            if change.id is not None:
                self._seqs.setdefault(change.id, []).append(change.seq)
            while len(self._changes) > self._limit or (
                self._bytes > self._max_bytes and len(self._changes) > 1
            ):
                self._drop_oldest()

    def slice(self, after: int, limit: int) -> Slice | None:
        """Up to ``limit`` changes above ``after``; None when the first of them is no longer here."""
        if after < self.base:
            return None
        last = min(self.head, after + limit)
        return Slice(self.epoch, after + 1, [self._changes[seq] for seq in range(after + 1, last + 1)])

    def __len__(self) -> int:
        return len(self._changes)

    def newest_first(self) -> Iterator[Change]:
        """The changes from the head backwards."""
        return (self._changes[seq] for seq in range(self.head, self.base, -1))

    def seqs_of(self, item_id: str) -> list[int]:
        """Where changes about this item stand, redacted ones not counted."""
        return self._seqs.get(item_id, [])

    def _redact(self, item_id: str) -> None:
        for seq in self._seqs.pop(item_id, ()):
            change = self._changes[seq]
            if change.type in WITH_ITEM:
                redacted = change.redacted()
                self._bytes += len(redacted.stored) - len(change.stored)
                self._changes[seq] = redacted

    def _drop_oldest(self) -> None:
        self.base += 1
        change = self._changes.pop(self.base)
        self._bytes -= len(change.stored)
        seqs = self._seqs.get(change.id) if change.id is not None else None
        if change.id is not None and seqs is not None:
            seqs.remove(self.base)
            if not seqs:
                del self._seqs[change.id]
