"""The way of the data through one process, on one page.

::

source ──offer──> Intake ──append──> live log ──hint──> hub ──> channels ──> WebSocket, SSE, polls
└──────read────> strainer ──────> archive ──> pages

Sources offer drafts to the :class:`Intake`; from there on nobody knows where an item came from.  What
organisers want to see first is held back, beside the log, until it is released (:mod:`afeed.releasing`).  The
log gives every change its number once it is durable and hints to the hub, which reads in order and hands what
it read to every listener in the same turn of the reactor.  The strainer reads the same log into the archive, at
its own pace.  Of several nodes that share a log one runs sources and strainer, and what its sources offer is
recorded under the token of its term.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from afeed.core.draft import Draft, Filed, Held, Posted, Removed, Rescheduled
from afeed.core.errors import LeaseLost, LogUnavailable
from afeed.interfaces import ILead, ILiveLog, ISink, Position, Recorded
from afeed.metrics import Metrics
from afeed.sorting import NOT_RECORDED, Admits, Holds, Prepare, as_it_is, everything, nothing, sorted_out

#: While the log is away a source's offer is tried again after this many seconds.
RETRY_S = 1.0

_log = Logger()

T = TypeVar("T")


@implementer(ISink)
class Intake:
    """Takes what sources found to the live log, counts it, and waits in their place while the log is away.
    ``lead`` has the token under which it is recorded, ``admits`` says what is let in and ``holds`` what of that
    is held back, ``prepare`` files it."""

    def __init__(
        self,
        log: ILiveLog,
        clock: IReactorTime,
        metrics: Metrics,
        now: Callable[[], float],
        lead: ILead,
        admits: Admits = everything,
        holds: Holds = nothing,
        prepare: Prepare = as_it_is,
    ) -> None:
        self._live_log = log
        self._clock = clock
        self._metrics = metrics
        self._now = now
        self._lead = lead
        self._admits = admits
        self._holds = holds
        self._prepare = prepare
        self._closed = False
        self._waiting: set[Deferred[None]] = set()

    def close(self) -> None:
        """Nothing waits for the log any more: what does is refused with
        :class:`~afeed.core.errors.LeaseLost`."""
        self._closed = True
        for waiting in tuple(self._waiting):
            waiting.cancel()

    def offer(
        self, event: str, drafts: Sequence[Draft], position: Position | None = None
    ) -> Deferred[list[Recorded]]:
        """See :class:`~afeed.interfaces.ISink`."""
        # Of the moment of the offer: one that waits through the end of a term is none of the next.
        token: str | None = self._lead.token
        if token is None:
            return fail(LeaseLost("another node runs the sources"))
        return Deferred.fromCoroutine(self._offer(event, drafts, position, token))

    async def _offer(
        self, event: str, drafts: Sequence[Draft], position: Position | None, token: str
    ) -> list[Recorded]:
        waiting = self._metrics.waiting(event)
        waiting.inc(len(drafts))
        try:
            outcomes = await sorted_out(
                event,
                drafts,
                self._admits,
                self._holds,
                lambda draft: self.dropped(event, _name(draft)[0], "blocked"),
                lambda held: self._keep(event, held, token),
                lambda some, last: self._take(event, some, position if last else None, token),
                self._prepare,
            )
        finally:
            waiting.dec(len(drafts))
        now = self._now()
        fresh = Counter(
            draft.item.source
            for draft, outcome in zip(drafts, outcomes, strict=True)
            if outcome.recorded.new and not outcome.held and isinstance(draft, Posted)
        )
        for source, count in fresh.items():
            self._metrics.item(event, source, now, count)
        return [outcome.recorded for outcome in outcomes]

    async def _keep(self, event: str, held: Sequence[Held], token: str) -> list[bool]:
        """Hold items back; with one that cannot be, because of a defect, as in :meth:`_take`."""
        try:
            news = await self._insist(event, token, lambda: self._live_log.hold(event, held, lease=token))
        except (LeaseLost, CancelledError):
            raise
        except Exception:
            if len(held) == 1:
                self._defect(event, held[0].posted)
                return [False]
            return [new for one in held for new in await self._keep(event, [one], token)]
        for one, new in zip(held, news, strict=True):
            if new:
                self._metrics.held(event, one.item.source, one.reason)
        return news

    async def _take(
        self, event: str, drafts: Sequence[Draft], position: Position | None, token: str
    ) -> list[Recorded]:
        """Record ``drafts``.  One that the log cannot record because of a defect is told, counted and left out,
        for otherwise its source would come to it again and again and never go on."""
        try:
            return await self._append(event, drafts, position, token)
        except (LeaseLost, CancelledError):
            raise
        except Exception:
            if len(drafts) == 1 and position is None:
                self._defect(event, drafts[0])
                return [NOT_RECORDED]
            if not drafts:
                _log.failure(
                    "{event}: the position {position} could not be stored, which is a defect of afeed: please "
                    "report it. The source goes on, and repeats something after a restart",
                    event=event,
                    position=position,
                )
                return []
        # One at a time, so that only those that are to blame are left out.
        recorded = [result for draft in drafts for result in await self._take(event, [draft], None, token)]
        if position is not None:
            await self._take(event, [], position, token)
        return recorded

    def _defect(self, event: str, draft: Draft) -> None:
        source, id_ = _name(draft)
        _log.failure(
            "{event}: {id} could not be recorded and is left out, which is a defect of afeed: please report it",
            event=event,
            id=id_,
        )
        self.dropped(event, source, "defect")

    async def _append(
        self, event: str, drafts: Sequence[Draft], position: Position | None, token: str
    ) -> list[Recorded]:
        return await self._insist(
            event,
            token,
            lambda: self._live_log.append(event, None, drafts, lease=token, position=position),
        )

    async def _insist(self, event: str, token: str, ask: Callable[[], Deferred[T]]) -> T:
        """Ask the log for something, again and again while it is away or full."""
        told = False
        while True:
            try:
                return await ask()
            except LogUnavailable as error:
                if self._closed or self._lead.token != token:
                    # Its source may be gone, and nobody would ever end the waiting.
                    raise LeaseLost("the term in which this was offered is over") from error
                if not told:
                    _log.warn(
                        "{event}: the live log takes nothing at the moment ({why}); what sources bring waits",
                        event=event,
                        why=str(error),
                    )
                    told = True
            except LeaseLost:
                # A log that has forgotten everything has forgotten the lease, too.
                if not await self._lead.doubted(token):
                    raise
            await self._wait()

    async def _wait(self) -> None:
        waiting: Deferred[None] = deferLater(self._clock, RETRY_S)
        self._waiting.add(waiting)
        try:
            await waiting
        except CancelledError:
            if self._closed:
                raise LeaseLost("afeed stops") from None
            raise
        finally:
            self._waiting.discard(waiting)

    def dropped(self, event: str, source: str, reason: str, count: int = 1) -> None:
        """See :class:`~afeed.interfaces.ISink`."""
        self._metrics.dropped(event, source, reason, count)


def _name(draft: Draft) -> tuple[str, str]:
    """The source of ``draft``, and what an operator may call it."""
    if isinstance(draft, Posted):
        return draft.item.source, draft.item.id
    if isinstance(draft, Removed | Filed):
        return draft.id.partition(":")[0], draft.id
    if isinstance(draft, Rescheduled):
        return "schedule", f"version {draft.version} of the programme"
    return draft.source, f"an outage of {draft.source}"
