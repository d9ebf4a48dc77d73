"""Finds out which posts were deleted: X's filtered stream does not tell.

What is shown is looked up again, a batch at a time and at a polite rate.  What X says is gone, or no longer for
everybody, is removed; an answer that fails, or says nothing about a post, removes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from random import Random

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from afeed.core.backoff import Backoff
from afeed.core.draft import Removed
from afeed.core.errors import AfeedError, LeaseLost
from afeed.core.stream import fault_of
from afeed.core.vanishing import Rounds
from afeed.interfaces import ISink
from afeed.sources.xapi import POSTS_PER_PAGE, Refusal, XApi

#: One batch of up to 100 posts is looked up in this time (seconds).
LOOKUP_S = 60.0
#: So many of the newest posts of each event are looked up again, and for so long (seconds).
SHOWN, SHOWN_S = 1000, 7 * 86400.0

#: ``shown(slug)`` gives the ids at X of what is shown, newest first.
Shown = Callable[[str], Awaitable[list[str]]]


def shows_nothing(slug: str) -> Deferred[list[str]]:
    """For an X stream whose posts are not looked up again."""
    return succeed([])


class Lookup:
    """Looks up what ``shown`` says, for the events of ``wanted()``."""

    log = Logger()

    def __init__(
        self,
        api: XApi,
        wanted: Callable[[], Mapping[str, str]],
        shown: Shown,
        clock: IReactorTime,
        rng: Random,
    ) -> None:
        self._api = api
        self._wanted = wanted
        self._shown = shown
        self._clock = clock
        self._backoff = Backoff(rng)
        self._rounds = Rounds(POSTS_PER_PAGE)
        self._told: str | None = None

    async def run(self, sink: ISink) -> None:
        """Look up until cancelled; raises :class:`~afeed.core.errors.LeaseLost` when the sink does."""
        wait = LOOKUP_S
        while True:
            await deferLater(self._clock, wait)
            try:
                wait = await self._turn(sink)
            except (CancelledError, LeaseLost):
                raise
            except Exception:
                # Deletions are found a little later; nothing else suffers.
                self.log.failure("X: looking for deleted posts failed; it is tried again")
                wait = LOOKUP_S

    async def _turn(self, sink: ISink) -> float:
        """One look-up; the seconds until the next."""
        if self._rounds.over:
            await self._begin()
        if self._rounds.over:
            return LOOKUP_S
        event, ids = self._rounds.next()
        try:
            gone = await self._api.gone(ids)
        except Refusal as refusal:
            wait = max(LOOKUP_S, self._backoff.wait(fault_of(refusal.outcome), refusal.until_reset))
            if self._told != refusal.reason:  # once, however often it is tried
                self._told = refusal.reason
                self.log.warn(
                    "X: posts cannot be looked up to see which were deleted ({reason}). Nothing is removed, "
                    "the stream goes on, and it is tried again in {wait:.0f} s",
                    reason=refusal.reason,
                    wait=wait,
                )
            return wait
        self._backoff.forgive(drops=True)
        self._told = None
        removed = self._rounds.answered(gone)
        if len(removed) < len(gone):
            self.log.warn(
                "X says that {gone} of {asked} posts of {event} are gone, which is unusual: they are looked up "
                "once more before they are removed",
                gone=len(gone),
                asked=len(ids),
                event=event,
            )
        if removed:
            await sink.offer(event, [Removed(f"x:{id_}") for id_ in removed])
            self.log.info("X: {count} posts of {event} were deleted", count=len(removed), event=event)
        return LOOKUP_S

    async def _begin(self) -> None:
        shown = {}
        for slug in self._wanted():
            try:
                shown[slug] = await self._shown(slug)
            except AfeedError as error:
                self.log.debug("{slug}: what is shown is not known right now: {why}", slug=slug, why=str(error))
        self._rounds.begin(shown)
