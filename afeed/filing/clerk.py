"""Files what comes in, as it comes, and remembers it for what comes next.

Each node has one.  It is asked for every draft that is about to be recorded, which must cost next to nothing,
and hears of every change that was, by whichever node.  Where something better is known later, the node that
runs the sources puts that on record.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from afeed.archive.filings import Correction
from afeed.channel import Channel
from afeed.core.attribution.memory import MOST_WHOLE, Memory, Move
from afeed.core.change import FILED, REMOVED, RESCHEDULED, WITH_ITEM, Change
from afeed.core.draft import Draft, Posted
from afeed.core.errors import ArchiveUnavailable
from afeed.interfaces import IFeed, ISubscriber, PageItem
from afeed.schedules.programme import Programme

#: So many changes or items are dealt with before the reactor has its turn: two milliseconds, or so.
SLICE = 25
#: The pause between two slices, and between a change and its being looked at: viewers come first (seconds).
PAUSE_S = 0.01
#: When the newest items cannot be read they are asked for again after so many seconds.
RETRY_S = 5.0
#: Items in one page of those.
_PAGE = 200

_log = Logger()


class Clerk:
    """``programmes`` has the events whose items are filed, ``channels`` those and others; ``move(event,
    moves)`` hears what is to be filed elsewhere."""

    def __init__(
        self,
        programmes: Mapping[str, Programme],
        channels: Mapping[str, Channel],
        feed: IFeed,
        clock: IReactorTime,
        move: Callable[[str, list[Move]], object],
    ) -> None:
        self.memories = {event: Memory() for event in programmes}
        self._programmes = programmes
        self._channels = channels
        self._feed = feed
        self.clock = clock
        self._move = move
        self._watches = {event: _Watch(self, event, channels[event]) for event in programmes}
        self._told = False
        for programme in programmes.values():
            programme.on_change(self._rescheduled)

    def start(self) -> None:
        """Begin to look at what comes, and recall what was there before."""
        for watch in self._watches.values():
            watch.start()

    def stop(self) -> None:
        """Look no more."""
        for watch in self._watches.values():
            watch.stop()

    def prepare(self, event: str, draft: Draft) -> Draft:
        """``draft`` as it is to be recorded: under its talk.  Never raises, and never waits; while there is no
        schedule it stays as it is."""
        memory = self.memories.get(event)
        if memory is None or not isinstance(draft, Posted):
            return draft
        try:
            talk = memory.file(draft.item)
        except Exception:  # an item under no talk is better than none
            self._defect(event, draft.item.id)
            return draft
        if talk == draft.item.talk:
            return draft
        return Posted(msgspec.structs.replace(draft.item, talk=talk), draft.version)

    def learn(self, corrections: Iterable[Correction]) -> None:
        """These items stay where organisers put them."""
        for one in corrections:
            memory = self.memories.get(one.event)
            if memory is not None:
                memory.fixed[one.id] = one.talk

    def follow(self, event: str, talk: str | None) -> str | None:
        """See :meth:`~afeed.core.attribution.memory.Memory.follow`."""
        memory = self.memories.get(event)
        return talk if memory is None else memory.follow(talk)

    def saw(self, event: str, change: Change) -> None:
        """``change`` was recorded."""
        memory = self.memories[event]
        try:
            moves: list[Move] = []
            if change.type in WITH_ITEM and (item := change.item()) is not None:
                moves = memory.came(item)
            elif change.type == FILED and (filing := change.filing()) is not None:
                moves = memory.filed(filing.id, filing.talk)
            elif change.type == REMOVED and change.id is not None:
                memory.gone(change.id)
            elif change.type == RESCHEDULED:
                self._programmes[event].hint(change.version or "")
        except Exception:  # the next change has to be looked at all the same
            self._defect(event, change.id)
            return
        if moves:
            self._move(event, moves)

    async def recall(self, event: str) -> None:
        """Remember the newest items, as far as they are not remembered yet, where they are filed now."""
        memory = self.memories[event]
        newest: list[PageItem] = []
        before: int | None = None
        while len(newest) < MOST_WHOLE:
            page = await self._feed.page(event, _PAGE, before)
            newest.extend(page.items)
            if page.older is None:
                break
            before = page.older
        for count, found in enumerate(reversed(newest), 1):
            if not memory.knows(found.item.id):
                memory.recall(found.item)
            if count % SLICE == 0:
                await deferLater(self.clock, PAUSE_S)

    def _rescheduled(self, event: str) -> None:
        self.memories[event].index = self._programmes[event].index
        self._watches[event].reweigh()

    def _defect(self, event: str, item_id: str | None) -> None:
        if not self._told:
            self._told = True
            _log.failure(
                "{event}: {id} could not be filed, which is a defect of afeed: please report it. It is shown "
                "all the same; the next defects of this kind are not logged",
                event=event,
                id=item_id,
            )


@implementer(ISubscriber)
class _Watch:
    """Looks at every change of one event, soon after it came."""

    def __init__(self, clerk: Clerk, event: str, channel: Channel) -> None:
        self._clerk = clerk
        self._event = event
        self._channel = channel
        self._upto = 0
        self._at_work: Deferred[None] | None = None
        self._recalling: Deferred[None] | None = None
        self._weighing: Deferred[None] | None = None

    def start(self) -> None:
        self._channel.subscribers.append(self)
        self.ended(0)

    def stop(self) -> None:
        if self in self._channel.subscribers:
            self._channel.subscribers.remove(self)
        for work in (self._at_work, self._recalling, self._weighing):
            if work is not None:
                work.cancel()

    def changed(self, first: int, last: int) -> None:
        """See :class:`~afeed.interfaces.ISubscriber`."""
        if self._at_work is None:
            self._at_work = self._begin(self._work(), self._worked)

    def stalled(self) -> None:
        """Nothing to do: what cannot be recorded now is recorded later."""

    def ended(self, retry_ms: int) -> None:
        """A new epoch: what is in it may be unknown here."""
        self._upto = self._channel.head
        if self._recalling is None:
            self._recalling = self._begin(self._recall(), self._recalled)

    def reweigh(self) -> None:
        """There is another schedule."""
        if self._weighing is not None:
            self._weighing.cancel()
        self._weighing = self._begin(self._reweigh(), self._weighed)

    async def _work(self) -> None:
        while self._upto < self._channel.head:
            await deferLater(self._clerk.clock, PAUSE_S)
            for change in self._channel.window(self._upto, SLICE):
                self._upto = change.seq
                self._clerk.saw(self._event, change)

    def _worked(self, _: object) -> None:
        self._at_work = None

    async def _recall(self) -> None:
        while True:
            try:
                await self._clerk.recall(self._event)
                return
            except ArchiveUnavailable:
                await deferLater(self._clerk.clock, RETRY_S)

    def _recalled(self, _: object) -> None:
        self._recalling = None

    def _weighed(self, _: object) -> None:
        self._weighing = None

    async def _reweigh(self) -> None:
        for count, _ in enumerate(self._clerk.memories[self._event].reweigh(), 1):
            if count % SLICE == 0:
                await deferLater(self._clerk.clock, PAUSE_S)

    def _begin(
        self, work: Coroutine[Deferred[Any], Any, None], ended: Callable[[object], None]
    ) -> Deferred[None] | None:
        """Begin something that calls ``ended`` at its end; None if it has come to that already."""
        doing: Deferred[Any] = Deferred.fromCoroutine(work)
        doing.addErrback(Failure.trap, CancelledError)
        doing.addErrback(self._failed)
        doing.addCallback(ended)
        return None if doing.called else doing

    def _failed(self, failure: Failure) -> None:
        _log.failure(
            "{event}: filing could not go on; it does with what comes next", failure, event=self._event
        )
