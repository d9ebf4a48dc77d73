"""What is put on record about items that were recorded before: better answers, and what organisers decide.

An organiser's decision wins for ever.  It is first noted in the archive's database, then appended to the log;
whoever appends anything else looks at that database before and after, so that whatever order things happen in,
the decision is the last word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from afeed.archive.filings import Correction, FilingStore
from afeed.core.attribution.memory import Move
from afeed.core.draft import Filed
from afeed.core.errors import ArchiveUnavailable, LeaseLost, LogUnavailable
from afeed.interfaces import ILead, ILiveLog

#: How often a node looks for what was decided at another, in seconds.
LOOK_S = 2.0
#: How long better answers are collected before they are appended, in seconds.
COLLECT_S = 0.25
#: Filings in one append, and how many may wait: what is beyond is found when everything is filed again.
BATCH, MOST_WAITING = 200, 10_000
#: Decisions that are put right in one go.
_DISPLACED = 500

_log = Logger()


class Register:
    """Of the logs of ``events``; ``learn(corrections)`` hears what organisers decided; ``follow(event, talk)``
    gives the id that a talk has now."""

    def __init__(
        self,
        live_log: ILiveLog,
        store: FilingStore,
        events: Iterable[str],
        lead: ILead,
        clock: IReactorTime,
        rng: Random,
        learn: Callable[[Sequence[Correction]], object],
        follow: Callable[[str, str | None], str | None] = lambda event, talk: talk,
    ) -> None:
        self.store = store
        self._live_log = live_log
        self._events = frozenset(events)
        self._lead = lead
        self._clock = clock
        self._rng = rng
        self._learn = learn
        self._follow = follow
        self._decided: dict[tuple[str, str], Correction] = {}
        self._number = 0
        #: Decisions that the log may not have been told of.
        self._unsaid: list[Correction] = []
        #: What waits to be appended, by event and item.
        self._waiting: dict[str, dict[str, str | None]] = {}
        self._flushing: IDelayedCall | None = None
        #: The token of the term in which misplaced decisions were looked for.
        self._settled: str | None = None
        self._told = False
        self._looking = LoopingCall(self._look_again)
        self._looking.clock = clock

    def start(self) -> None:
        """Begin to look for decisions, at once."""
        self._looking.start(LOOK_S)

    def stop(self) -> None:
        """Look no more, and append nothing more."""
        if self._looking.running:
            self._looking.stop()
        if self._flushing is not None and self._flushing.active():
            self._flushing.cancel()
        self._waiting.clear()

    # -- better answers

    def move(self, event: str, moves: Iterable[Move]) -> None:
        """Have these items filed elsewhere soon, if this node runs the sources; else another one does."""
        if self._lead.token is None:
            return
        waiting = self._waiting.setdefault(event, {})
        for one in moves:
            if len(waiting) < MOST_WAITING:
                waiting[one.id] = one.talk
        if waiting and self._looking.running and (self._flushing is None or not self._flushing.active()):
            self._flushing = self._clock.callLater(COLLECT_S, self._flush)

    def _flush(self) -> None:
        Deferred.fromCoroutine(self._append_waiting()).addErrback(self._failed)

    async def _append_waiting(self) -> None:
        for event in tuple(self._waiting):
            waiting = self._waiting[event]
            while waiting:
                moves = [Move(*one) for one, _ in zip(waiting.items(), range(BATCH), strict=False)]
                await self.file(event, moves, f"live:{self._rng.getrandbits(64):016x}")
                for one in moves:
                    if waiting.get(one.id, one.talk) == one.talk:  # else there is a better answer by now
                        waiting.pop(one.id, None)

    async def file(self, event: str, moves: Sequence[Move], mark: str) -> int:
        """Record ``moves`` under ``mark``; how many were new.  What contradicts organisers is left out.

        Raises :class:`~afeed.core.errors.LogUnavailable`, and :class:`~afeed.core.errors.LeaseLost` where this
        node does not run the sources (any more).
        """
        token = self._lead.token
        if token is None:
            raise LeaseLost("another node runs the sources")
        await self._look_if_possible()
        drafts = [Filed(one.id, one.talk, mark) for one in moves if not self._contradicts(event, one)]
        if not drafts:
            return 0
        recorded = await self._live_log.append(event, None, drafts, lease=token)
        await self._look_if_possible()
        late = [self._decided[event, one.id] for one in drafts if self._contradicts(event, one)]
        if late:  # decided in between: said once more, because the last word counts
            again = [self._filed(one, f":{mark}") for one in late]
            await self._live_log.append(event, None, again, lease=token)
        return sum(one.new for one in recorded)

    def _contradicts(self, event: str, move: Move | Filed) -> bool:
        decided = self._decided.get((event, move.id))
        return decided is not None and self._follow(event, decided.talk) != move.talk

    # -- what organisers decide

    async def decide(self, correction: Correction) -> None:
        """Put a decision on record that the database has."""
        self._note([correction])
        await self._live_log.append(correction.event, None, [self._filed(correction)])

    def decided(self, event: str, item_id: str) -> Correction | None:
        """What an organiser decided of this item, as far as this node knows."""
        return self._decided.get((event, item_id))

    async def look(self) -> list[Correction]:
        """Learn what was decided since the last time.  Raises
        :class:`~afeed.core.errors.ArchiveUnavailable`."""
        news = await self.store.corrections(self._number)
        self._note(news)
        if news:
            self._number = max(self._number, news[-1].number)
        self._unsaid.extend(news)
        return news

    def _note(self, corrections: Sequence[Correction]) -> None:
        for one in corrections:
            known = self._decided.get((one.event, one.id))
            if known is None or known.number <= one.number:
                self._decided[one.event, one.id] = one
        self._learn([self._decided[one.event, one.id] for one in corrections])

    async def _look_if_possible(self) -> None:
        try:
            await self.look()
        except ArchiveUnavailable:
            pass  # where nothing can be decided either

    def _look_again(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._catch_up()).addErrback(self._failed)

    async def _catch_up(self) -> None:
        await self.look()
        token = self._lead.token
        if token is None:
            self._unsaid.clear()  # another node says it; this one would look at all of them if it became that
        else:
            if self._settled != token:
                self._unsaid.clear()
                await self._settle(token)
                self._settled = token
            # Whoever decided may have been killed before the log was told.
            unsaid = tuple(self._unsaid)
            await self._say(unsaid, token)
            del self._unsaid[: len(unsaid)]
            await self._append_waiting()
        self._told = False

    async def _settle(self, token: str) -> None:
        """At the beginning of a term: a log that was restored may have lost what was decided."""
        displaced: list[Correction] = []
        after = 0
        while not after or len(displaced) == _DISPLACED:
            displaced = await self.store.displaced(after, _DISPLACED)
            # A talk that has another id now has its items there: that is no displacement.
            lost = [one for one in displaced if self._follow(one.event, one.talk) == one.talk]
            await self._say(lost, token, f":{self._rng.getrandbits(48):012x}")
            after = displaced[-1].number if displaced else 1

    async def _say(self, corrections: Sequence[Correction], token: str, mark: str = "") -> None:
        by_event: dict[str, list[Filed]] = {}
        for one in corrections:
            if one.event in self._events:
                by_event.setdefault(one.event, []).append(self._filed(one, mark))
        for event, drafts in by_event.items():
            for start in range(0, len(drafts), BATCH):
                await self._live_log.append(event, None, drafts[start : start + BATCH], lease=token)

    def _filed(self, correction: Correction, mark: str = "") -> Filed:
        talk = self._follow(correction.event, correction.talk)
        return Filed(correction.id, talk, f"organiser:{correction.number}{mark}")

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError, LeaseLost):
            return
        if not failure.check(ArchiveUnavailable, LogUnavailable):
            _log.failure("Filing could not go on; it is tried again", failure)
        elif not self._told:
            self._told = True
            _log.warn("What is to be filed elsewhere has to wait: {why}", why=failure.getErrorMessage())
