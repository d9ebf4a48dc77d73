"""Drafts on their way from a connection to the sink: in order, in batches, and not without bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from afeed.core.draft import Draft
from afeed.interfaces import ISink, Position

#: As much as may wait behind an offer that is under way (bytes of upstream text).
MAX_PENDING = 4 * 1024 * 1024
#: Drafts in one offer.
MAX_BATCH = 500
#: How long an offer may be under way before reading stops although there is room (seconds).
PATIENCE_S = 2.0


class _Lane:
    """What goes to one event: at most one offer at a time, so that retries cannot change the order."""

    def __init__(self) -> None:
        self.pending: list[tuple[Draft, Position | None, int]] = []
        self.since: float | None = None  # when the offer under way began


class Delivery:
    """Offers drafts to ``sink``.

    While an offer to an event is under way, what comes for it waits and goes together afterwards.  ``pause()``
    is called when too much waits or an offer takes too long, ``resume()`` when that is over.
    ``failed(failure)`` is called when the sink refuses for good; nothing is offered after that.
    """

    def __init__(
        self,
        sink: ISink,
        clock: IReactorTime,
        *,
        pause: Callable[[], None],
        resume: Callable[[], None],
        failed: Callable[[Failure], None],
        max_pending: int = MAX_PENDING,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.paused = False
        self._sink = sink
        self._clock = clock
        self._pause = pause
        self._resume = resume
        self._failed = failed
        self._max_pending = max_pending
        self._patience_s = patience_s
        self._lanes: dict[str, _Lane] = {}
        self._size = 0
        self._over = False

    def offer(self, slug: str, drafts: Sequence[Draft], position: Position | None, size: int) -> None:
        """Pass ``drafts`` on, ``position`` with the last of them; ``size`` is what they weigh in bytes."""
        if self._over or not drafts:
            return
        lane = self._lanes.setdefault(slug, _Lane())
        last = len(drafts) - 1
        for index, draft in enumerate(drafts):
            lane.pending.append((draft, position if index == last else None, size if index == last else 0))
        self._size += size
        self._next(slug, lane)
        self._throttle()

    def note(self, slug: str, position: Position) -> None:
        """Have ``position`` stored although nothing came.  Where something is on its way, that brings one that
        is as good."""
        lane = self._lanes.setdefault(slug, _Lane())
        if not self._over and lane.since is None:
            self._dispatch(slug, lane, [], position)

    def stop(self) -> None:
        """Offer what still waits, without waiting for what is under way: the last thing before the end."""
        for slug, lane in self._lanes.items():
            while lane.pending and not self._over:
                self._send(slug, lane)
        self._over = True

    def _next(self, slug: str, lane: _Lane) -> None:
        if lane.since is None and lane.pending and not self._over:
            self._send(slug, lane)

    def _send(self, slug: str, lane: _Lane) -> None:
        batch, lane.pending = lane.pending[:MAX_BATCH], lane.pending[MAX_BATCH:]
        self._size -= sum(size for _, _, size in batch)
        position = next((position for _, position, _ in reversed(batch) if position is not None), None)
        self._dispatch(slug, lane, [draft for draft, _, _ in batch], position)

    def _dispatch(self, slug: str, lane: _Lane, drafts: Sequence[Draft], position: Position | None) -> None:
        lane.since = self._clock.seconds()
        offered = self._sink.offer(slug, drafts, position)
        offered.addCallbacks(lambda _: self._done(slug, lane), self._refused)

    def _done(self, slug: str, lane: _Lane) -> None:
        lane.since = None
        self._next(slug, lane)
        self._throttle()

    def _refused(self, failure: Failure) -> None:
        if not self._over:
            self._over = True
            self._failed(failure)

    def _throttle(self) -> None:
        """Pause at the limit, resume below half of it."""
        if self._over:
            return
        late = self._clock.seconds() - self._patience_s
        slow = any(
            lane.pending and lane.since is not None and lane.since <= late for lane in self._lanes.values()
        )
        if not self.paused and (slow or self._size >= self._max_pending):
            self.paused = True
            self._pause()
        elif self.paused and not slow and self._size <= self._max_pending // 2:
            self.paused = False
            self._resume()
