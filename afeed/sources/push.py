"""Other programs publish: ``POST /<slug>/items`` with a bearer token.

It answers requests and stands among the sources all the same, for that is what it is to the rest of afeed: a
way for items to come in, with a name, a token and days on which it is open, read by a normaliser of its own.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from afeed.core.calendar import Period
from afeed.core.change import timestamp
from afeed.core.draft import Draft, Held
from afeed.core.errors import BadInput, LogFull, LogUnavailable
from afeed.core.http import Header
from afeed.core.normalise.push import read_push
from afeed.interfaces import ILiveLog, Recorded
from afeed.metrics import Metrics
from afeed.settings import Secret
from afeed.sorting import Admits, Holds, Outcome, Prepare, as_it_is, everything, nothing, sorted_out
from afeed.web.exchange import Exchange

MAX_BODY = 1024 * 1024
_TYPES = (
    b"application/json",
    b"application/x-ndjson",
    b"application/ndjson",
    b"application/jsonl",
    b"application/x-jsonlines",
)
_RETRY: Header = (b"Retry-After", b"5")

_log = Logger()


@attrs.frozen(kw_only=True)
class Gate:
    """Who may publish and when: those that bear ``token``, while the event's sources run."""

    token: Secret
    open: Period


class Push:
    """The push sources of all events: ``gates`` has every event that takes pushes.

    Unlike other sources a caller can be told to come again, so nothing waits here: while the log is away the
    answer is 503.
    """

    def __init__(
        self,
        gates: Mapping[str, Gate],
        log: ILiveLog,
        metrics: Metrics,
        now: Callable[[], float],
        admits: Admits = everything,
        holds: Holds = nothing,
        prepare: Prepare = as_it_is,
    ) -> None:
        self._gates = gates
        self._live_log = log
        self._metrics = metrics
        self._now = now
        self._admits = admits
        self._holds = holds
        self._prepare = prepare
        self._closed = False

    def close(self) -> None:
        """Refuse what comes from now on."""
        self._closed = True

    def handle(self, exchange: Exchange, event: str) -> None:
        """Answer 201 with the results once everything in the body is durable."""
        gate = self._gates.get(event)
        if gate is None:
            exchange.error(404, "no_push", "this event takes no pushed items")
        elif exchange.method != b"POST":
            exchange.error(405, "method_not_allowed", "items are posted", ((b"Allow", b"POST"),))
        elif not _bears(exchange.header(b"authorization"), gate.token):
            exchange.error(
                401, "unauthorized", "the token is missing or wrong", ((b"WWW-Authenticate", b"Bearer"),)
            )
        elif self._now() not in gate.open:
            first, last = (timestamp(moment)[:16] + "Z" for moment in gate.open)
            exchange.error(403, "not_now", f"this event takes items from {first} to {last}, and not now")
        elif (exchange.header(b"content-type") or b"").partition(b";")[0].strip().lower() not in _TYPES:
            exchange.error(415, "wrong_type", "send application/json or application/x-ndjson")
        elif self._closed:
            exchange.error(503, "stopping", "afeed is being stopped or restarted", (_RETRY,))
        else:
            work = Deferred.fromCoroutine(self._record(exchange, event))
            work.addErrback(self._failed, exchange)

    async def _record(self, exchange: Exchange, event: str) -> None:
        content_type = (exchange.header(b"content-type") or b"").decode("latin-1")
        now = self._now()
        try:
            posted = read_push(exchange.body, content_type, timestamp(now)[:19] + "Z")
        except BadInput as error:
            self._metrics.dropped(event, "push", "malformed", 1)
            exchange.error(400, "bad_item", str(error))
            return
        outcomes = await sorted_out(
            event,
            posted,
            self._admits,
            self._holds,
            lambda _: self._metrics.dropped(event, "push", "blocked", 1),
            lambda held: self._keep(event, held),
            lambda some, last: self._take(event, some),
            self._prepare,
        )
        results = [_result(draft.item.id, outcome) for draft, outcome in zip(posted, outcomes, strict=True)]
        fresh = sum(outcome.recorded.new and not outcome.held for outcome in outcomes)
        if fresh:
            self._metrics.item(event, "push", now, fresh)
        exchange.json(201, {"results": results}, ((b"Cache-Control", b"no-store"),))

    async def _keep(self, event: str, held: Sequence[Held]) -> list[bool]:
        news = await self._live_log.hold(event, held)
        for one, new in zip(held, news, strict=True):
            if new:
                self._metrics.held(event, "push", one.reason)
        return news

    async def _take(self, event: str, drafts: Sequence[Draft]) -> list[Recorded]:
        # Where everything was held, no round trip is made for nothing.
        return await self._live_log.append(event, None, drafts) if drafts else []

    def _failed(self, failure: Failure, exchange: Exchange) -> None:
        if failure.check(LogFull):
            exchange.error(503, "log_full", "the live log is full until the archive has caught up", (_RETRY,))
        elif failure.check(LogUnavailable):
            exchange.error(503, "log_unavailable", "the live log takes nothing at the moment", (_RETRY,))
        else:
            _log.failure("recording pushed items failed", failure)
            exchange.error(500, "internal", "this should not have happened; it has been logged")


def _result(item_id: str, outcome: Outcome) -> dict[str, Any]:
    """What the caller is told of one item: what is held has no number yet."""
    seq, new = outcome.recorded
    if outcome.held:
        return {"id": item_id, "seq": None, "new": new, "held": True}
    return {"id": item_id, "seq": seq, "new": new}


def _bears(authorization: bytes | None, token: Secret) -> bool:
    scheme, _, given = (authorization or b"").partition(b" ")
    return scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), token.reveal().encode("utf-8"))
