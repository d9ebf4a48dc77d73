"""Several nodes, one of which runs the sources and the strainer: taking, renewing and giving up that part.

What follows what is in :mod:`afeed.core.leading`, who holds the lease in the live log
(:class:`~afeed.interfaces.ILease`).  Every term has a token of its own, and what sources record under the token
of a term that is over is refused by the log: however late a node learns that another leads, it cannot write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from afeed.core.errors import LogUnavailable
from afeed.core.health import Check
from afeed.core.health import State as Health
from afeed.core.leading import (
    EVERY_S,
    GRACE_S,
    LEASE_S,
    SLOW_S,
    STUCK_S,
    UNKNOWN_S,
    Outcome,
    State,
    follow,
    name_in,
)
from afeed.interfaces import ILead, ILease

_log = Logger()


@implementer(ILead)
class Leadership:
    """The part of the node called ``node``, a word that operators know it by.

    ``clock`` measures the terms, ``rng`` makes their tokens and keeps nodes that were started together from
    asking together.
    """

    name = "leader"

    def __init__(self, node: str, lease: ILease, clock: IReactorTime, rng: Random) -> None:
        self.node = node
        self.token: str | None = None
        self._lease = lease
        self._clock = clock
        self._rng = rng
        self._state = State.OVER
        self._begin: Callable[[], None] = lambda: None
        self._end: Callable[[], Deferred[None]] = lambda: succeed(None)
        self._ending: Callable[[], Sequence[str]] = lambda: ()
        self._running: Deferred[None] = succeed(None)
        self._left: list[Deferred[None]] = []
        #: Since when the sources are being stopped (seconds of the clock), and whether it was told that they do
        #: not end.
        self._leaving_since = 0.0
        self._stuck_told = False
        self._candidate = ""
        self._holder: str | None = None
        #: When the lease last said who holds it (seconds of the clock), and why not since.
        self._told_at = 0.0
        self._why: str | None = None

    @property
    def leading(self) -> bool:
        """Whether this node runs the sources."""
        return self._state is State.LEADING

    @property
    def leader(self) -> str | None:
        """The name of the node that runs them, as far as this one knows."""
        token = self.token if self.leading else self._holder
        return None if token is None else name_in(token)

    def start(
        self,
        begin: Callable[[], None],
        end: Callable[[], Deferred[None]],
        ending: Callable[[], Sequence[str]],
    ) -> None:
        """Take part from now on.  ``begin()`` is called when a term begins and must start the sources;
        ``end()`` when it is over, and fires when they have stopped; ``ending()`` names those that were to stop
        and have not yet."""
        self._begin, self._end, self._ending = begin, end, ending
        self._state = State.FOLLOWING
        self._told_at = self._clock.seconds()
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(Failure.trap, CancelledError)

    def halt(self) -> Deferred[None]:
        """Begin no other term, and renew this one no longer: afeed stops.  The token stays good for the
        sources' last words.  Fires once no sources are being stopped because of an earlier term's end."""
        leaving = self._state is State.LEAVING
        self._state = follow(self._state, Outcome.STOPPED)
        self._running.cancel()
        ended: Deferred[None] = Deferred()
        if leaving:
            self._left.append(ended)
        else:
            ended.callback(None)
        return ended

    def resign(self) -> Deferred[None]:
        """After :meth:`halt`, when the sources have stopped: let another node begin.  Fires when it may; fails
        with :class:`~afeed.core.errors.LogUnavailable`, and then the lease runs out by itself."""
        token, self.token = self.token, None
        # A request that was under way may have been granted without anybody here hearing of it.
        token = token or self._candidate
        return self._lease.release(token) if token else succeed(None)

    def doubted(self, token: str) -> Deferred[bool]:
        """See :class:`~afeed.interfaces.ILead`."""
        return Deferred.fromCoroutine(self._doubted(token))

    async def _doubted(self, token: str) -> bool:
        if self.leading and token == self.token:
            await self._renew(token)
        return self.leading and token == self.token

    # -- the machine

    async def _run(self) -> None:
        while True:
            try:
                if self._state is State.LEADING:
                    assert self.token is not None
                    await self._renew(self.token)
                elif self._state is State.FOLLOWING:
                    await self._take()
                elif self._state is State.LEAVING:
                    self._look_whether_stuck()
            except CancelledError:
                raise
            except Exception:  # whatever it is: a node that stopped asking would never lead again
                _log.failure("Asking who runs the sources failed; it is asked again")
            await deferLater(self._clock, EVERY_S * self._rng.uniform(0.8, 1.0))

    async def _take(self) -> None:
        # The same until it is granted: an answer that was lost may have been a yes.
        if not self._candidate:
            self._candidate = f"{self.node} {self._rng.getrandbits(96):024x}"
        token = self._candidate
        try:
            # After so long whoever led has let the sources go, too, and there is nobody to wait for.
            known = self._holder if self._silence() <= GRACE_S else None
            holder = await self._lease.take(token, LEASE_S, known, self._why is not None)
        except LogUnavailable as error:
            self._unanswered(error)
            return
        self._answered()
        if holder != token:
            self._heard_of(holder)
            self._move(Outcome.REFUSED)
        elif self._state is State.FOLLOWING:
            self._candidate, self._holder = "", None
            self.token = token
            self._move(Outcome.GRANTED)

    async def _renew(self, token: str) -> None:
        try:
            granted = await self._lease.renew(token, LEASE_S)
        except LogUnavailable as error:
            if token == self.token:
                self._unanswered(error)
            return
        if token == self.token and self._state is State.LEADING:
            self._answered()
            self._move(Outcome.GRANTED if granted else Outcome.REFUSED)

    def _answered(self) -> None:
        self._told_at, self._why = self._clock.seconds(), None

    def _unanswered(self, error: LogUnavailable) -> None:
        self._why = str(error).rstrip(".")
        late = self._state is State.LEADING and self._lease.shared and self._silence() > GRACE_S
        self._move(Outcome.EXPIRED if late else Outcome.UNANSWERED)

    def _silence(self) -> float:
        return self._clock.seconds() - self._told_at

    def _heard_of(self, holder: str) -> None:
        if holder != self._holder:
            _log.info(
                "{leader} runs the sources and the strainer; this node serves viewers", leader=name_in(holder)
            )
        self._holder = holder

    def _move(self, outcome: Outcome) -> None:
        before, self._state = self._state, follow(self._state, outcome)
        if self._state is before:
            return
        if self._state is State.LEADING:
            _log.info("This node, {node}, runs the sources and the strainer from now on", node=self.node)
            self._begin()
        elif self._state is State.LEAVING:
            self._leave(outcome)

    def _leave(self, outcome: Outcome) -> None:
        self.token = None
        if outcome is Outcome.REFUSED:
            _log.warn(
                "Another node runs the sources now, because this one was not heard of for a while: it was "
                "paused, overloaded or cut off. This one stops its own; nothing is recorded twice"
            )
        else:
            _log.error(
                "For {seconds:.0f} s it could not be confirmed that this node is to run the sources ({why}). "
                "It stops them, so that another can; what is missed is fetched later. See that the live log "
                "can be reached",
                seconds=self._silence(),
                why=self._why,
            )
        self._leaving_since, self._stuck_told = self._clock.seconds(), False
        maybeDeferred(self._end).addErrback(self._end_failed).addCallback(self._ended)

    def _end_failed(self, failure: Failure) -> None:
        _log.failure("Stopping the sources failed", failure)

    def _look_whether_stuck(self) -> None:
        if not self._stuck_told and self._leaving() > STUCK_S:
            self._stuck_told = True
            _log.error("Stopping the sources does not succeed: {what}", what=self._stuck())

    def _leaving(self) -> float:
        return self._clock.seconds() - self._leaving_since

    def _stuck(self) -> str:
        names = " and ".join(self._ending()) or "something"
        return (
            f"{names} has not ended {self._leaving():.0f} s after it was stopped, which is a defect of afeed: "
            "please report it. Until it does this node can run no sources; if it does not, restart afeed here."
        )

    def _ended(self, _: None) -> None:
        self._state = follow(self._state, Outcome.ENDED)
        self._told_at += self._leaving()  # nobody was asked meanwhile
        left, self._left = self._left, []
        for waiting in left:
            waiting.callback(None)

    # -- telling

    def check(self) -> Check:
        """Who runs the sources; ``failed`` while that cannot be known and so perhaps nobody does."""
        health, detail = self._verdict()
        data = {"node": self.node, "leader": self.leader, "state": self._state.value}
        return Check(name=self.name, state=health, detail=detail, data=data)

    def _verdict(self) -> tuple[Health, str]:
        unsure = self._silence() > UNKNOWN_S
        why = f"it cannot be asked since {self._silence():.0f} s: {self._why or 'no answer'}"
        match self._state:
            case State.OVER:
                return "ok", "This node is starting or stopping and runs no sources."
            case State.LEADING if unsure and not self._lease.shared:
                return "degraded", (
                    f"This node runs the sources and goes on, because no other is known, although {why}. See "
                    "that the live log can be reached."
                )
            case State.LEADING if unsure:
                return "degraded", (
                    f"This node runs the sources and may not be meant to, {why}. It stops them {GRACE_S:.0f} s "
                    "after the last answer; see that the live log can be reached."
                )
            case State.LEADING:
                return "ok", "This node runs the sources."
            case State.LEAVING if self._leaving() > STUCK_S:
                return "failed", self._stuck()
            case State.LEAVING if self._leaving() > SLOW_S:
                names = " and ".join(self._ending())
                return "degraded", f"This node stops its sources, and {names} takes its time."
            case State.LEAVING:
                return "ok", "Another node may run the sources; this one stops its own."
        if unsure:
            return "failed", (
                f"Perhaps nobody runs the sources, {why}. It is asked again all the time; see that the live "
                "log can be reached."
            )
        if self._holder is None:
            return "ok", "It is being found out which node runs the sources."
        return "ok", f"Another node runs the sources: {name_in(self._holder)}."
