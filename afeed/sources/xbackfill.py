"""Fetches from X's recent search what the stream could not deliver.

When which search is made is decided in :mod:`afeed.core.backfill`; here are the requests, their pace, and the
way of what they bring into the log.  Live posts go first: pages are offered apart from them, in small batches,
one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from random import Random

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from afeed.core.backfill import Ledger, Search, unsearchable
from afeed.core.backoff import Backoff
from afeed.core.draft import Draft, SourceGap
from afeed.core.errors import LeaseLost, LogUnavailable
from afeed.core.ledger import STORE_S
from afeed.core.normalise.x import Page
from afeed.core.polling import Spacing
from afeed.core.stream import Outcome, fault_of
from afeed.interfaces import ISink, Position
from afeed.sources.delivery import Delivery
from afeed.sources.xapi import Refusal, XApi

#: Between two searches (seconds): X allows 450 in 15 minutes, and this leaves some to others.
SPACING_S = 2.25
#: Pages of one search, of 100 posts each; what is beyond stays missing.
MAX_PAGES = 100
#: As many posts are held back so that the oldest goes first; a search that finds more is not put in order.
HELD = 500
#: Drafts in one offer.
BATCH = 25
#: The least wait after a search that failed (seconds).
RETRY_S = 5.0
#: How often the log is asked again for the stored position, and this is looked at again after a defect.
PAUSE_S, DEFECT_S = 5.0, 60.0

#: ``position(slug)`` fires with what was last stored for the event, None for nothing.
Positions = Callable[[str], Deferred[str | None]]


def nothing_stored(slug: str) -> Deferred[str | None]:
    """For a log that keeps no positions: every start is the first."""
    return succeed(None)


class BackFill:
    """Keeps a :class:`~afeed.core.backfill.Ledger` per event and fetches what it lacks.

    The stream tells with :meth:`learn`, :meth:`alive`, :meth:`lost` and :meth:`leave` how it is; :meth:`run`
    does the rest.  ``wanted()`` gives the rules of the events of the moment, ``stored(slug)`` the position last
    stored.
    """

    log = Logger()

    def __init__(
        self,
        name: str,
        api: XApi,
        wanted: Callable[[], Mapping[str, str]],
        stored: Positions,
        clock: IReactorTime,
        now: Callable[[], float],
        rng: Random,
    ) -> None:
        self._name = name
        self._api = api
        self._wanted = wanted
        self._stored = stored
        self._clock = clock
        self._now = now
        self._backoff = Backoff(rng)
        self._spacing = Spacing(SPACING_S)
        self._ledgers: dict[str, Ledger] = {}
        self._newest: dict[str, str] = {}
        self._warned: dict[str, str] = {}
        self._stored_at = -math.inf
        self._resume_at = -math.inf  # after a rate limit
        self._nap: Deferred[None] | None = None

    def begin(self, sink: ISink, delivery: Delivery) -> None:
        """The source starts to run: gaps and positions go with what ``delivery`` brings, pages straight to
        ``sink``."""
        self._sink = sink
        self._delivery = delivery
        self._ledgers.clear()

    # -- what the stream tells

    async def learn(self, wanted: Mapping[str, str]) -> None:
        """Read the stored position of every event that is new here.  It must be known before anything of the
        event is offered, because that stores another one."""
        for slug in wanted:
            while slug not in self._ledgers:
                try:
                    stored = await self._stored(slug)
                except LogUnavailable:
                    await deferLater(self._clock, PAUSE_S)
                else:
                    ledger = self._ledgers[slug] = Ledger.restored(self._name, stored, self._now())
                    if stored is None:
                        # From now on nothing may be missing, even if afeed ends before X ever answered.
                        self._delivery.note(slug, Position(self._name, ledger.position(None)))
                    self._wake()

    def opened(self, in_force: Iterable[str]) -> None:
        """The stream is open, with the rules of these events."""
        for slug in in_force:
            if slug in self._ledgers:
                self._ledgers[slug].opened()

    def alive(self, opened_at: float, in_force: Mapping[str, float]) -> None:
        """Something came on the stream, which is open since ``opened_at`` with the rules ``in_force``."""
        now = self._now()
        regained = False
        for slug, ledger in self._ledgers.items():
            if slug not in in_force:
                continue
            if ledger.down:
                regained = True
                self._tell(slug, ledger.regained(max(opened_at, in_force[slug]), now))
            ledger.alive(now)
        if regained or now - self._stored_at >= STORE_S:
            self._store(now)
        if regained:
            self._wake()

    def lost(self, at: float) -> None:
        """The stream is over; it was live until ``at``."""
        for _, ledger in self._active():
            ledger.lost(at)
        self._wake()

    def leave(self) -> None:
        """afeed stops, or all events are over: if the stream is live, it was so until now."""
        now = self._now()
        for ledger in self._ledgers.values():
            ledger.alive(now)
        self._store(now)
        self._announce()

    def _store(self, now: float) -> None:
        self._stored_at = now
        for slug, ledger in self._ledgers.items():
            position = self.position(slug)
            if position is not None and not ledger.down:
                self._delivery.note(slug, position)

    def position(self, slug: str, newest_id: str | None = None) -> Position | None:
        """What is to be stored with a post of the event, whose newest is ``newest_id``; None for an event that
        is not known yet."""
        if newest_id is not None:
            self._newest[slug] = newest_id
        ledger = self._ledgers.get(slug)
        if ledger is None:
            return None
        return Position(self._name, ledger.position(self._newest.get(slug)))

    # -- what is said

    def problems(self) -> list[str]:
        """What is missing and cannot be fetched at present, a sentence each without a full stop."""
        return [f"{slug}: {problem}" for slug, ledger in self._active() for problem in ledger.problems()]

    def open(self) -> dict[str, int]:
        """How many stretches of time of each event are not complete yet."""
        return {slug: len(ledger.spans) for slug, ledger in self._active() if ledger.spans}

    # -- the work

    async def run(self) -> None:
        """Record outages and fill them in until cancelled; raises :class:`~afeed.core.errors.LeaseLost` when
        the sink does."""
        while True:
            try:
                wait = await self._turn()
            except (CancelledError, LeaseLost):
                raise
            except Exception:
                # The stream must not suffer; nothing is forgotten, and the next turn tries again.
                self.log.failure("X: filling in what was missed failed; the stream goes on")
                wait = DEFECT_S
            if wait > 0:
                await self._rest(wait)

    async def _turn(self) -> float:
        """Do what is due; the seconds until there is more."""
        self._announce()
        now = self._now()
        blocked = self._resume_at - self._clock.seconds()
        moments = [ledger.next_at() for _, ledger in self._active()]
        if blocked > 0:
            return min([blocked, *(moment - now for moment in moments if moment > now + 0.05)])
        for slug, ledger in self._active():
            search = ledger.search(now)
            if search is not None:
                await self._fill(slug, ledger, search)
                return 0.0
        return max(0.05, min([DEFECT_S, *(moment - now for moment in moments)]))

    def _active(self) -> Iterator[tuple[str, Ledger]]:
        wanted = self._wanted()
        return ((slug, ledger) for slug, ledger in self._ledgers.items() if slug in wanted)

    def _announce(self) -> None:
        """Record what there is to say of outages that go on."""
        now, wanted = self._now(), self._wanted()
        for slug, ledger in list(self._ledgers.items()):
            if slug in wanted:
                self._tell(slug, ledger.outage(now))
            else:
                # Its days are over.  Should they begin again, what was stored says since when it lacks what.
                if ledger.down:
                    self._tell(slug, ledger.over(now))
                del self._ledgers[slug]

    def _tell(self, slug: str, gap: SourceGap | None) -> None:
        if gap is not None:
            self._delivery.offer(slug, [gap], self.position(slug), 256)

    async def _fill(self, slug: str, ledger: Ledger, search: Search) -> None:
        span, rule = search.span, self._wanted()[slug]
        began = self._now()
        why = unsearchable(rule)
        if why is not None:
            self._missing(slug, ledger.failed(span, "not-searchable", why, math.inf), why)
            return
        try:
            whole = await self._pages(slug, rule, search)
        except Refusal as refusal:
            wait = self._backoff.wait(fault_of(refusal.outcome), refusal.until_reset)
            wait = max(wait, RETRY_S)
            if refusal.outcome is Outcome.RATE_LIMITED:
                self._resume_at = self._clock.seconds() + wait
            why = f"the search is refused ({refusal.reason})"
            self._missing(slug, ledger.failed(span, "search-failed", why, self._now() + wait), why)
            return
        self._backoff.forgive(drops=True)
        self._warned.pop(slug, None)
        if not whole:
            why = f"there were more than {MAX_PAGES} pages, and the oldest posts were not fetched"
            self._missing(slug, ledger.failed(span, "too-many", why, math.inf), why)
            return
        gap = ledger.searched(search, began)
        self._tell(slug, gap)
        if span.fetched and span not in ledger.spans:
            self.log.info("X: {slug}: {count} missed posts were fetched", slug=slug, count=span.fetched)

    def _missing(self, slug: str, gap: SourceGap | None, why: str) -> None:
        self._tell(slug, gap)
        if self._warned.get(slug) != why:  # once, however often it is tried
            self._warned[slug] = why
            self.log.warn(
                "X: what {slug} missed while the stream was away cannot be fetched: {why}. The stream goes on, "
                "and afeed tries again where that can help",
                slug=slug,
                why=why,
            )

    async def _pages(self, slug: str, rule: str, search: Search) -> bool:
        """Read all pages into the log; whether there were no more than there may be."""
        held: list[Draft] = []
        token: str | None = None
        for _ in range(MAX_PAGES):
            try:
                page = await self._page(slug, rule, search, token)
            except Refusal:
                await self._offer(slug, search, held)  # what is there need not wait for the next attempt
                raise
            held[:0] = reversed(page.drafts)
            token = page.next_token
            if token is None or len(held) >= HELD:
                await self._offer(slug, search, held)
            if token is None:
                return True
        await self._offer(slug, search, held)
        return False

    async def _page(self, slug: str, rule: str, search: Search, token: str | None) -> Page:
        await deferLater(self._clock, self._spacing.reserve(self._clock.seconds()))
        page = await self._api.search(rule, search.start, search.end, token)
        self._announce()
        for reason in page.dropped:
            self._sink.dropped(slug, self._name, reason, 1)
        return page

    async def _offer(self, slug: str, search: Search, held: list[Draft]) -> None:
        """Record what is held, the oldest first."""
        while held:
            while self._delivery.paused:
                await deferLater(self._clock, 1.0)
            batch: Sequence[Draft] = held[:BATCH]
            del held[:BATCH]
            recorded = await self._sink.offer(slug, batch)
            search.span.fetched += sum(result.new for result in recorded)

    # -- waiting

    async def _rest(self, seconds: float) -> None:
        self._nap = deferLater(self._clock, seconds)
        try:
            await self._nap
        except CancelledError:
            if self._nap is not None:
                raise
        finally:
            self._nap = None

    def _wake(self) -> None:
        """There may be something to do."""
        nap, self._nap = self._nap, None
        if nap is not None:
            nap.cancel()
