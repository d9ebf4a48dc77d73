"""Photos from Flickr: ``flickr.photos.search``, asked again and again.

Flickr has no stream, and its search index is late: a photo may turn up minutes after its upload, and when it
was tagged later, hours after.  So each poll asks again for the last ten minutes before the newest upload seen,
and once an hour for everything since the event began; what was offered before is not offered again unless it
has changed.

While Flickr does not answer, or afeed itself is stopped, nothing is lost, only late: when that lasted it is in
the record as an outage, from the last search that came to its end to the next one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from afeed.core.change import seconds, timestamp
from afeed.core.draft import Draft, SourceGap
from afeed.core.errors import LeaseLost, LogUnavailable
from afeed.core.health import Check, State
from afeed.core.ledger import STORE_S, PollLedger
from afeed.core.normalise.flickr import MAX_RESULTS, Page
from afeed.core.polling import Offered, Spacing, Walk, jittered, retry_wait
from afeed.interfaces import ISink, ISource, Position, Recorded
from afeed.settings import FlickrAccount, FlickrSource
from afeed.sources.flickrapi import FlickrApi, Trouble

#: Photos on a page: the most that Flickr gives.
PER_PAGE = 500
#: How far before the newest upload seen each poll begins (seconds).
OVERLAP_S = 600
#: How often everything since the beginning is looked at again (seconds).
SWEEP_S = 3600.0
#: How long after a start for the first time (seconds): a process that is restarted often does it too.
FIRST_SWEEP_S = 600.0
#: Offered photos that are remembered; two full searches.
MEMORY = 2 * MAX_RESULTS
#: When nothing changes until somebody acts, asking is of little use (seconds).
REFUSED_WAIT_S = 900.0
#: For so long polls may fail before the source counts as failed instead of degraded (seconds).
PATIENCE_S = 600.0
#: An outage is recorded when no search came to its end for so many intervals and :data:`OVERLAP_S`: the index
#: itself is often minutes late, so what is shorter delays nothing by more than usual, and one failure is none.
TOLD_POLLS = 3

_log = Logger()


@implementer(ISource)
class FlickrPoller:
    """Photos that carry one of an event's tags.

    ``starts`` (Unix seconds) is the earliest upload of interest, and at ``ends`` the last run is cancelled;
    ``position()`` fires with the value stored last, or None.  ``spacing`` is shared by all pollers of one key.
    ``now()`` gives Unix seconds, ``clock`` runs the timers.
    """

    def __init__(
        self,
        slug: str,
        account: FlickrAccount,
        settings: FlickrSource,
        http: HTTPClient,
        clock: IReactorTime,
        now: Callable[[], float],
        rng: Random,
        *,
        starts: float,
        ends: float = math.inf,
        position: Callable[[], Deferred[str | None]],
        spacing: Spacing | None = None,
        per_page: int = PER_PAGE,
    ) -> None:
        self.name = f"flickr:{slug}"
        self._slug = slug
        self._api = FlickrApi(account, settings, http, clock, per_page)
        self._interval_s = settings.interval_s
        self._clock = clock
        self._now = now
        self._rng = rng
        self._starts = max(int(starts), 0)
        self._ends = ends
        self._position = position
        self._spacing = spacing if spacing is not None else Spacing()

        self._offered = Offered(MEMORY)
        self._ledger = self._restored(None)
        self._stored_at = -math.inf  # what the position that was stored last says of it
        self._left: SourceGap | None = None  # what nobody is going to fetch any more
        self._newest: int | None = None
        self._rest: int | None = None
        self._drops = {sweep: Counter[str]() for sweep in (False, True)}
        self._swept: float | None = None  # clock.seconds() when the last sweep began

        self._failures = 0
        self._error: str | None = None
        self._lasting = False
        self._since = now()  # the last good poll, or the beginning
        self._last_poll: float | None = None
        self._last_item: float | None = None
        self._next: float | None = None
        self._items = 0

    async def run(self, sink: ISink) -> None:
        """Poll until cancelled."""
        await self._recall(sink)
        try:
            while True:
                await self._announce(sink)
                wait = await self._attempt(sink)
                self._next = self._now() + wait
                await self._rest_for(sink, wait)
        except CancelledError:
            if self._now() >= self._ends and (self._failures or self._ledger.told):
                # Not waited for: a log that is away must not hold up the end.
                self._left = self._ledger.over(self._ends)
                last = Deferred.fromCoroutine(self._put(sink, [self._left]))
                last.addErrback(lambda failure: failure.trap(LeaseLost) and None)
            raise

    def check(self) -> Check:
        """``failed`` when an operator has to act or polls have failed for ten minutes, ``degraded`` before
        that."""
        data: dict[str, Any] = {
            "last_poll_at": _time(self._last_poll),
            "last_item_at": _time(self._last_item),
            "next_poll_at": _time(self._next),
            "items": self._items,
            "failures": self._failures,
            "error": self._error,
            "missing": self._missing(),
        }
        state, detail = self._state()
        return Check(name=self.name, state=state, detail=detail, data=data)

    def _state(self) -> tuple[State, str]:
        if self._error is None:
            if self._last_poll is None:
                return "ok", "The first search is under way."
            return "ok", f"Searched without error; {self._items} photos and changes so far."
        detail = f"{self._error} Next attempt at {_time(self._next)}."
        if self._ledger.told:
            detail += f" What was uploaded since {_time(self._ledger.live_at)} is missing until then."
        gone_on = self._now() - self._since >= PATIENCE_S
        return ("failed" if self._lasting or gone_on else "degraded"), detail

    # -- one poll -------------------------------------------------------------------------------------------

    async def _attempt(self, sink: ISink) -> float:
        """One poll, whatever comes of it; the seconds to wait after it."""
        try:
            got_on = await self._poll(sink)
        except Trouble as trouble:
            return self._failed(trouble)
        if self._failures:
            _log.info("{source}: Flickr answers again", source=self.name)
        self._failures, self._error, self._lasting = 0, None, False
        self._since = self._now()
        if got_on and self._rest is not None:
            return 0.0  # there is more than one search can give; requests are spaced anyway
        return jittered(self._interval_s, self._rng)

    def _failed(self, trouble: Trouble) -> float:
        self._failures += 1
        self._error, self._lasting = str(trouble), trouble.lasting
        if trouble.lasting:
            wait = REFUSED_WAIT_S
            _log.error(
                "{source}: {reason} No photos come in until that is put right; trying again in {wait:.0f} s",
                source=self.name,
                reason=str(trouble),
                wait=wait,
            )
        else:
            wait = max(retry_wait(self._failures, self._rng), trouble.wait or 0.0)
            _log.warn(
                "{source}: {reason} Trying again in {wait:.0f} s; what is uploaded meanwhile is fetched then",
                source=self.name,
                reason=str(trouble),
                wait=wait,
            )
        return wait

    async def _poll(self, sink: ISink) -> bool:
        """All pages since where this poll begins; whether there were later uploads than that.  Raises
        :class:`~afeed.sources.flickrapi.Trouble`; what was read before is kept."""
        began = self._now()
        sweep = self._sweep_due()
        drops = Counter[str]()
        walk = Walk(self._begin(sweep), self._api.per_page, MAX_RESULTS)
        more = True
        while more:
            page = await self._page(walk)
            self._last_poll = self._now()
            # A date in the future would hide every photo of the present from the next polls.
            newest = page.newest_upload
            newest = min(newest, int(self._last_poll)) if newest is not None else None
            more = walk.read(page.count, page.pages, newest)
            self._newest = max(self._newest or walk.newest, walk.newest)
            drops.update(page.dropped)
            await self._offer(sink, page)
        if sweep and self._rest is None:
            self._swept = self._clock.seconds()
        self._rest = walk.rest
        self._count(sink, sweep, drops)
        if self._rest is None:
            await self._settle(sink, began)
        return walk.newest > walk.since

    def _sweep_due(self) -> bool:
        """Whether this poll looks at everything again."""
        present = self._clock.seconds()
        if self._swept is None:
            self._swept = present - SWEEP_S + FIRST_SWEEP_S
        return self._newest is None or present - self._swept >= SWEEP_S

    def _begin(self, sweep: bool) -> int:
        """The earliest upload that this poll asks for."""
        if self._rest is not None:
            return self._rest
        if sweep or self._newest is None:
            return self._starts
        return max(self._newest - OVERLAP_S, self._starts)

    async def _offer(self, sink: ISink, page: Page) -> None:
        drafts = self._offered.fresh(page.drafts)
        if drafts:
            recorded = await self._put(sink, drafts)
            new = [draft for draft, result in zip(drafts, recorded, strict=True) if result.new]
            self._ledger.found(seconds(draft.item.created_at) for draft in new)
            self._offered.add(drafts)
            self._items += len(drafts)
            self._last_item = self._now()

    def _count(self, sink: ISink, sweep: bool, drops: Counter[str]) -> None:
        """Report what was dropped and is not known already from the last poll or the last sweep: each sees the
        same photos as the one before it, and more."""
        for reason, count in (drops - (self._drops[True] | self._drops[False])).items():
            sink.dropped(self._slug, self.name, reason, count)
        self._drops[sweep] = drops

    # -- the record -----------------------------------------------------------------------------------------

    def _restored(self, stored: str | None) -> PollLedger:
        told_s = TOLD_POLLS * self._interval_s + OVERLAP_S
        return PollLedger.restored(self.name, stored, self._now(), starts=self._starts, told_s=told_s)

    async def _recall(self, sink: ISink) -> None:
        """Take up where the last run ended."""
        stored = await self._stored()
        self._ledger, self._left = self._restored(stored), None
        newest = self._ledger.newest_id or ""
        usable = newest.isascii() and newest.isdigit() and len(newest) <= 12
        self._newest = int(newest) if usable else None
        if stored is None:
            await self._put(sink)  # from now on a stop is an outage, even if Flickr never answers before it

    async def _announce(self, sink: ISink) -> None:
        """Record an outage that lasts."""
        gap = self._ledger.outage(self._now())
        if gap is not None:
            _log.warn(
                "{source}: nothing was fetched since {since}, which viewers are told now; what was uploaded "
                "since then is fetched as soon as Flickr answers",
                source=self.name,
                since=gap.from_,
            )
            await self._put(sink, [gap])

    async def _settle(self, sink: ISink, began: float) -> None:
        """A search that ``began`` then came to its end: nothing from before is missing."""
        gap = self._ledger.answered(began)
        if gap is not None:
            _log.info(
                "{source}: {count} photos from {since} to {until} were fetched",
                source=self.name,
                count=gap.fetched,
                since=gap.from_,
                until=gap.to,
            )
            await self._put(sink, [gap])
        elif began - self._stored_at >= STORE_S:
            await self._put(sink)

    def _missing(self) -> list[str]:
        """What could not be fetched so far, a sentence without a full stop."""
        why = (self._error or "they are being fetched").rstrip(".")
        if self._ledger.told:
            return [f"photos from {_time(self._ledger.live_at)} on are missing: {why}"]
        if self._left is not None:
            return [f"photos from {self._left.from_} to {self._left.to} are missing: {why}"]
        return []

    async def _put(self, sink: ISink, drafts: Sequence[Draft] = ()) -> list[Recorded]:
        """Offer ``drafts``, and store how far this is."""
        ledger = self._ledger
        newest = None if self._newest is None else str(self._newest)
        recorded = await sink.offer(self._slug, drafts, Position(self.name, ledger.position(newest)))
        self._stored_at = ledger.live_at
        return recorded

    # -- requests -------------------------------------------------------------------------------------------

    async def _page(self, walk: Walk) -> Page:
        await self._sleep(self._spacing.reserve(self._clock.seconds()))
        return await self._api.search(walk)

    # -- waiting --------------------------------------------------------------------------------------------

    async def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            await deferLater(self._clock, seconds)

    async def _rest_for(self, sink: ISink, seconds: float) -> None:
        """Wait for the next poll; on the way there an outage may have lasted for long enough."""
        due = self._clock.seconds() + seconds
        first = max(self._ledger.tells_at() - self._now(), 0.0) + 0.001  # more than what rounding takes away
        if first < seconds:
            await self._sleep(first)
            await self._announce(sink)
        await self._sleep(due - self._clock.seconds())

    async def _stored(self) -> str | None:
        """The stored position; the log may have to come back first."""
        while True:
            try:
                value = await self._position()
            except LogUnavailable as error:
                self._error = f"The stored position cannot be read: {error}."
                self._next = self._now() + 5.0
                await self._sleep(5.0)
            else:
                self._error = None
                return value


def _time(seconds: float | None) -> str | None:
    return timestamp(seconds) if seconds is not None else None
