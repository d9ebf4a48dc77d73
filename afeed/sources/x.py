"""X: one filtered stream for all events.

Each event's rule is kept at X under the tag ``afeed:<slug>``, and the tags of the rules that matched say which
events a post is for.  What is done when, is in :mod:`afeed.core.stream`; how long waits are, in
:mod:`afeed.core.backoff`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from random import Random
from typing import Any, NamedTuple

from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IResponse
from zope.interface import implementer

from afeed.core.backoff import Backoff, Fault
from afeed.core.health import Check
from afeed.core.normalise.x import Message, read_message
from afeed.core.stream import Outcome, State, follow
from afeed.interfaces import ISink, ISource
from afeed.settings import XAccount
from afeed.sources.delivery import Delivery
from afeed.sources.streambody import End, Ending, StreamBody
from afeed.sources.xapi import Refusal, XApi
from afeed.sources.xbackfill import BackFill, Positions, nothing_stored
from afeed.sources.xhealth import Vitals, report
from afeed.sources.xintake import MessageIntake
from afeed.sources.xlookup import Lookup, Shown, shows_nothing
from afeed.sources.xrules import RuleKeeper

#: X sends something at least every 20 s (X API docs: *Consuming streaming data*); half of that again is slack.
STALL_S = 30.0
#: How often it is checked which events want the stream (seconds).
RECHECK_S = 60.0
#: A connection that has lasted this long was a good one (seconds).
LASTING_S = 60.0
#: The least wait between the end of a connection and the next attempt (seconds).
SETTLE_S = 0.05


class Result(NamedTuple):
    """How an activity ended: its outcome, why, and how far away a rate limit's reset is (seconds)."""

    outcome: Outcome
    reason: str = ""
    until_reset: float | None = None


@implementer(ISource)
class XStream:
    """Feeds posts from X's filtered stream.

    ``wanted()`` gives the rule of each event by slug and may change with time; it is asked again every 60 s,
    and while it is empty there is no connection.  ``clock`` measures waits, ``now()`` gives Unix time for rate
    limits and reports, ``rng`` the jitter.  A stream on which nothing comes for ``stall_s`` seconds is
    replaced.  ``stored(slug)`` fires with the position last stored for an event: what was posted since then is
    fetched.  ``shown(slug)`` gives the ids of the posts that are shown: those that are deleted are found by
    looking them up again.
    """

    log = Logger()

    def __init__(
        self,
        account: XAccount,
        wanted: Callable[[], Mapping[str, str]],
        http: HTTPClient,
        clock: IReactorTime,
        now: Callable[[], float],
        rng: Random,
        *,
        name: str = "x",
        stall_s: float = STALL_S,
        read_message: Callable[[bytes], Message] = read_message,
        stored: Positions = nothing_stored,
        shown: Shown = shows_nothing,
    ) -> None:
        self.name = name
        self._wanted = wanted
        self._clock = clock
        self._now = now
        self._stall_s = stall_s
        self._read_message = read_message
        self._api = XApi(account, http, clock, now)
        self._rules = RuleKeeper(self._api)
        self._backfill = BackFill(name, self._api, wanted, stored, clock, now, rng)
        self._lookup = Lookup(self._api, wanted, shown, clock, rng)
        self._backoff = Backoff(rng)
        self._vitals = Vitals()
        self._dropped: Counter[str] = Counter()
        self._fault: Fault | None = None
        self._due = 0.0
        self._wanted_then: dict[str, str] = {}
        self._response: IResponse | None = None
        self._body: StreamBody | None = None
        self._failure: Failure | None = None
        self._activities: Mapping[State, Callable[[], Coroutine[Deferred[Any], Any, Result]]] = {
            State.IDLE: self._idle,
            State.SYNCING: self._sync,
            State.CONNECTING: self._connect,
            State.STREAMING: self._stream,
            State.WAITING: self._wait,
        }

    async def run(self, sink: ISink) -> None:
        """Feed ``sink`` until cancelled; raises :class:`~afeed.core.errors.LeaseLost` when the sink does."""
        self._failure = None
        self._delivery = Delivery(
            sink, self._clock, pause=self._pause, resume=self._resume, failed=self._refused_by_sink
        )
        self._backfill.begin(sink, self._delivery)
        self._intake = MessageIntake(
            self.name,
            self._wanted,
            self._now,
            self._read_message,
            sink,
            self._delivery,
            self._dropped,
            self._backfill.position,
        )
        beside = [
            Deferred.fromCoroutine(work).addErrback(self._work_ended)
            for work in (self._backfill.run(), self._lookup.run(sink))
        ]
        self._vitals.started(self._now())
        try:
            while self._failure is None:
                self._activity = Deferred.fromCoroutine(self._activities[self._vitals.state]())
                self._follow(await self._activity)
            self._failure.raiseException()
        except CancelledError:
            if self._failure is not None:
                self._failure.raiseException()
            raise
        finally:
            self._vitals.running = False
            for work in beside:
                work.cancel()
            self._backfill.leave()
            self._delivery.stop()

    def check(self) -> Check:
        """How the connection is, and what has become of each event's rule."""
        paused = self._body is not None and self._body.paused
        rules = self._rules.described(self._wanted())
        return report(
            self.name,
            self._vitals,
            rules,
            dict(self._dropped),
            self._now(),
            stall_s=self._stall_s,
            paused=paused,
            missing=self._backfill.problems(),
            filling=self._backfill.open(),
        )

    # -- the machine

    def _follow(self, result: Result) -> None:
        """Enter the state that the table says comes next."""
        before = self._vitals.state
        move = follow(before, result.outcome)
        self._vitals.state, self._fault = move.state, move.fault
        if move.fault is None:
            if move.state is State.IDLE:
                self._vitals.down_since = None
            return
        wait = self._backoff.wait(move.fault, result.until_reset)
        self._due = self._clock.seconds() + wait
        self._wanted_then = dict(self._wanted())
        self._vitals.went_down(self._now(), result.reason, move.fault, wait)
        if before is State.STREAMING:
            self._vitals.stream_ended(delivered=result.outcome is Outcome.DROPPED)
        if wait >= 1.0:
            self.log.warn(
                "X: {reason}. Next attempt in {wait:.0f} s; other sources are not affected",
                reason=result.reason,
                wait=wait,
            )
        else:
            self.log.info("X: {reason}. Connecting again", reason=result.reason)

    async def _idle(self) -> Result:
        while not self._wanted():
            await self._sleep(RECHECK_S)
        self._vitals.down_since = self._now()
        return Result(Outcome.WANTED)

    async def _sync(self) -> Result:
        wanted = dict(self._wanted())
        await self._backfill.learn(wanted)
        try:
            await self._rules.sync(wanted, self._now())
        except Refusal as refusal:
            return Result(refusal.outcome, f"the rules cannot be set: {refusal.reason}", refusal.until_reset)
        if not wanted:
            return Result(Outcome.UNWANTED)
        if len(self._rules.refused) == len(wanted):
            why = next(iter(self._rules.refused.values()))
            return Result(Outcome.NO_RULES, f"X takes none of the events' rules: {why}")
        return Result(Outcome.SYNCED)

    async def _connect(self) -> Result:
        try:
            self._response = await self._api.stream()
        except Refusal as refusal:
            if refusal.outcome is Outcome.NO_RULES:
                self._rules.forget()
            return Result(refusal.outcome, f"no stream: {refusal.reason}", refusal.until_reset)
        return Result(Outcome.OPENED)

    async def _stream(self) -> Result:
        assert self._response is not None
        response, self._response = self._response, None
        self._intake.begin()
        self._vitals.opened(self._now())
        self._backfill.opened(self._rules.in_force())
        began = self._clock.seconds()
        self._body = body = StreamBody(self._clock, self._stall_s, self._received)
        if self._delivery.paused:
            body.pause()
        self.log.info("X: the stream is open")
        response.deliverBody(body)
        watching = Deferred.fromCoroutine(self._watch_wanted(body))
        watching.addErrback(Failure.trap, CancelledError)
        try:
            ending = await body.ended
        finally:
            watching.cancel()
            self._body = None
        # What was not read any more, or came from a dead connection, counts as missed.
        blind = ending.end is End.STALLED or body.paused
        self._backfill.lost(self._vitals.last_byte_at or self._now() if blind else self._now())
        if self._clock.seconds() - began >= LASTING_S:
            self._backoff.forgive(drops=True)
        return self._ended(ending)

    def _ended(self, ending: Ending) -> Result:
        if ending.end is End.LEFT and self._intake.goodbye is None:
            return Result(Outcome.UNWANTED)
        reason = self._intake.goodbye or ending.reason
        if self._intake.useful:
            return Result(Outcome.DROPPED, reason)
        if ending.end is End.BROKEN:
            return Result(Outcome.NETWORK_ERROR, f"{reason} before anything came")
        return Result(Outcome.BARREN, f"{reason}, and nothing had come")

    async def _wait(self) -> Result:
        # Even a wait of nothing takes a moment, so that X has heard of the old connection's end and does not
        # take the new one for a second.
        await self._sleep(SETTLE_S)
        wanted = dict(self._wanted())
        while wanted and (left := self._due - self._clock.seconds()) > 0:
            # A correction of what is refused need not wait; nothing else ends a wait early.
            if self._fault is Fault.REFUSED and wanted != self._wanted_then:
                break
            await self._sleep(min(left, RECHECK_S))
            wanted = dict(self._wanted())
        if not wanted:
            return Result(Outcome.UNWANTED)
        return Result(Outcome.DUE if self._rules.current(wanted, self._now()) else Outcome.DUE_UNSYNCED)

    async def _watch_wanted(self, body: StreamBody) -> None:
        """Change the rules while the stream goes on: X needs no new connection for that."""
        while True:
            await self._sleep(RECHECK_S)
            try:
                wanted = dict(self._wanted())
                if not wanted:
                    body.leave("no event wants the stream any more")
                    return
                if not self._rules.current(wanted, self._now()):
                    await self._backfill.learn(wanted)
                    await self._rules.sync(wanted, self._now())
            except CancelledError:
                raise
            except Refusal as refusal:
                self.log.warn(
                    "X: the rules cannot be changed: {reason}. The stream goes on with the old ones; "
                    "next attempt in {wait:.0f} s",
                    reason=refusal.reason,
                    wait=RECHECK_S,
                )
            except Exception:
                # The stream is worth more than a change of its rules.
                self.log.failure("X: changing the rules failed; the stream goes on with the old ones")

    def _sleep(self, seconds: float) -> Deferred[None]:
        return deferLater(self._clock, seconds)

    # -- what comes in

    def _received(self, data: bytes) -> None:
        self._vitals.last_byte_at = self._now()
        known = self._intake.useful
        self._intake.received(data)
        self._vitals.last_item_at = self._intake.last_item_at or self._vitals.last_item_at
        if self._intake.useful:
            self._backfill.alive(self._vitals.connected_at or self._now(), self._rules.in_force())
        if self._intake.useful and not known:
            self._backoff.forgive(drops=False)
            self._vitals.came_up()
        if self._intake.goodbye is not None and self._body is not None:
            self._body.leave(self._intake.goodbye)

    # -- back-pressure

    def _pause(self) -> None:
        self.log.warn("X: the live log does not keep up; reading is paused until it does")
        if self._body is not None:
            self._body.pause()

    def _resume(self) -> None:
        self.log.info("X: the live log keeps up again; reading goes on")
        if self._body is not None:
            self._body.resume()

    def _work_ended(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._refused_by_sink(failure)

    def _refused_by_sink(self, failure: Failure) -> None:
        self._failure = failure
        if self._body is not None:
            self._body.fail(failure)
        else:
            self._activity.cancel()
