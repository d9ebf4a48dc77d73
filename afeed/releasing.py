"""What was held back for some seconds only is shown when they have passed and nobody has said no.

When each is due is kept with it in the live log, so neither a restart nor another leader changes that.  Only
the leading node releases; another that did so all the same would do no harm, for the log releases each once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from afeed.core.change import seconds, timestamp
from afeed.core.errors import LogUnavailable
from afeed.core.filters import WAITING_FOR_SOMEBODY, Filters
from afeed.core.health import Check
from afeed.interfaces import HeldItem, ILiveLog
from afeed.metrics import Metrics

#: How often what is due is looked for, in seconds: where posts are held for a while, and elsewhere, where only
#: what is left of such a time can be due.
SOON_S = 0.4
SELDOM_S = 5.0
#: How often what is held is counted, in seconds.
COUNT_S = 5.0
#: Released in one step, and read at a time for counting.
BATCH = 200
#: So many are counted at each event, and not more.
MOST_COUNTED = 1000
#: Something is late, and health says so, when it could not be released for so many seconds.
LATE_S = 5.0

_log = Logger()


@attrs.define
class Holding:
    """What is held at one event as of the last look: how many ``waiting`` and ``stopped`` (at most
    :data:`MOST_COUNTED`), and since when the ``oldest`` waits."""

    waiting: int = 0
    stopped: int = 0
    oldest: str | None = None
    next_look: float = 0.0


class Releaser:
    """Releases at ``events`` what is due.

    ``rules(event)`` gives the filters that apply: while everything there waits for an organiser, time releases
    nothing.  ``clock`` measures the looks, ``now`` gives seconds since 1970.
    """

    name = "held"

    def __init__(
        self,
        live_log: ILiveLog,
        events: Sequence[str],
        rules: Callable[[str], Filters],
        metrics: Metrics,
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        self._live_log = live_log
        self._events = tuple(events)
        self._rules = rules
        self._metrics = metrics
        self._clock = clock
        self._now = now
        self._holdings = {event: Holding() for event in events}
        self._released = 0
        #: Since when the log does not answer (seconds of the clock), and why.
        self._away: tuple[float, str] | None = None
        metrics.reading(
            "afeed_held_items",
            "Held back now, as the leading node knows: waiting, or stopped by an organiser.",
            ("event", "state"),
            lambda: [
                ((event, state), float(count))
                for event, held in self._holdings.items()
                for state, count in (("waiting", held.waiting), ("stopped", held.stopped))
            ],
        )
        metrics.reading(
            "afeed_held_oldest_seconds",
            "How long the oldest of what is held waits.",
            ("event",),
            lambda: [((event,), self._age(held)) for event, held in self._holdings.items()],
        )

    async def run(self) -> None:
        """Release what is due and count what is held, until cancelled."""
        self._holdings = {event: Holding() for event in self._events}
        count_at = self._clock.seconds()
        while True:
            try:
                for event in self._events:
                    await self._look(event)
                if self._clock.seconds() >= count_at:
                    for event in self._events:
                        await self._count(event)
                    count_at = self._clock.seconds() + COUNT_S
            except LogUnavailable as error:
                if self._away is None:
                    _log.warn("What is held back has to wait: {why}", why=str(error))
                    self._away = (self._clock.seconds(), str(error))
            else:
                self._away = None
            await deferLater(self._clock, SOON_S)

    async def _look(self, event: str) -> None:
        holding = self._holdings[event]
        mode = self._rules(event).mode
        if mode in WAITING_FOR_SOMEBODY or (mode != "hold" and self._clock.seconds() < holding.next_look):
            return
        while True:
            ids = await self._live_log.due(event, timestamp(self._now()), BATCH)
            if not ids:
                break
            recorded = await self._live_log.release(event, ids)
            shown = sum(one.seq > 0 for one in recorded)
            self._released += shown
            self._metrics.released(event, shown)
            if self._rules(event).mode in WAITING_FOR_SOMEBODY:
                break  # somebody has just said stop
        holding.next_look = self._clock.seconds() + SELDOM_S

    async def _count(self, event: str) -> None:
        held = self._holdings[event]
        waiting, held.oldest = await self._number(event, stopped=False)
        held.waiting = waiting
        held.stopped, _ = await self._number(event, stopped=True)

    async def _number(self, event: str, *, stopped: bool) -> tuple[int, str | None]:
        """How many are held, and since when the first of them is."""
        number, oldest = 0, None
        after: str | None = None
        while number < MOST_COUNTED:
            page: list[HeldItem] = await self._live_log.held(event, BATCH, after, stopped)
            if page and oldest is None:
                oldest = page[0].at
            number += len(page)
            if len(page) < BATCH:
                break
            after = page[-1].item.id
        return number, oldest

    def _age(self, held: Holding) -> float:
        return 0.0 if held.oldest is None else max(0.0, self._now() - seconds(held.oldest))

    def check(self) -> Check:
        """How many wait and for how long; degraded while the log cannot be asked."""
        waiting = sum(held.waiting for held in self._holdings.values())
        stopped = sum(held.stopped for held in self._holdings.values())
        oldest = min((held.oldest for held in self._holdings.values() if held.oldest), default=None)
        data = {"waiting": waiting, "oldest_at": oldest, "released": self._released, "stopped": stopped}
        if self._away is not None and self._clock.seconds() - self._away[0] > LATE_S:
            detail = f"The live log cannot be asked what is held back ({self._away[1]}); nothing is released."
            return Check(name=self.name, state="degraded", detail=detail, data=data)
        if not waiting:
            detail = "Nothing waits to be shown."
        else:
            age = max(self._age(held) for held in self._holdings.values())
            count = f"{MOST_COUNTED} or more posts wait" if waiting >= MOST_COUNTED else f"{waiting} posts wait"
            count = "1 post waits" if waiting == 1 else count
            detail = f"{count} to be shown, the longest for {age:.0f} s; organisers see them under Held."
        return Check(name=self.name, state="ok", detail=detail, data=data)
