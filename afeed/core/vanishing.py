"""Which posts to look up again, and which of those that are gone upstream to believe.

A stream that tells nothing of deletions leaves one way to hear of them: to ask again, politely, for what is
shown.  A removal is final, so an answer that would take most of what was asked for is believed only when it is
given twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence

#: Of an answer to at least ``FEW`` ids, more than this part gone is too much to be believed at once.
FEW, MOST = 10, 0.5


class Rounds:
    """Goes through what is shown in batches of at most ``size``, newest first, over and over."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._batches: deque[tuple[str, tuple[str, ...]]] = deque()
        self._doubted: set[tuple[str, str]] = set()

    @property
    def over(self) -> bool:
        """Whether a new round is to begin."""
        return not self._batches

    def begin(self, shown: Mapping[str, Sequence[str]]) -> None:
        """A new round: the ids that each event shows, newest first.  The events take turns."""
        self._doubted &= {(event, id_) for event, ids in shown.items() for id_ in ids}
        batches = {
            event: [tuple(ids[start : start + self._size]) for start in range(0, len(ids), self._size)]
            for event, ids in shown.items()
        }
        for turn in range(max(map(len, batches.values()), default=0)):
            self._batches.extend((event, found[turn]) for event, found in batches.items() if turn < len(found))

    def next(self) -> tuple[str, tuple[str, ...]]:
        """The event and the ids to ask for now; raises :class:`IndexError` when the round is over."""
        return self._batches[0]

    def answered(self, gone: Collection[str]) -> list[str]:
        """The answer to :meth:`next` says that ``gone`` are; those to be removed, in the order of the batch."""
        event, ids = self._batches.popleft()
        missing = [id_ for id_ in ids if id_ in gone]
        doubtful = len(ids) >= FEW and len(missing) > MOST * len(ids)
        believed = [id_ for id_ in missing if not doubtful or (event, id_) in self._doubted]
        self._doubted -= {(event, id_) for id_ in ids}
        if doubtful:
            self._doubted |= {(event, id_) for id_ in missing if id_ not in believed}
        return believed
