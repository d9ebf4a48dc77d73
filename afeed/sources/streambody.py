"""The body of an answer that is not meant to end, with a watchdog."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from afeed.sources.http import causes


class End(Enum):
    """Why a stream is over."""

    CLOSED = "closed"  # the server ended it properly
    BROKEN = "broken"  # the connection was lost in the middle
    STALLED = "stalled"  # nothing came for too long
    LEFT = "left"  # afeed ended it


class Ending(NamedTuple):
    """Why and, in a sentence without a full stop, what happened."""

    end: End
    reason: str


class StreamBody(Protocol):
    """Passes the bytes of a response to ``received`` until the stream is over.

    ``ended`` fires once with an :class:`Ending`, or fails with what :meth:`fail` was given; the connection is
    closed by then.  When no byte has come for ``stall_s`` seconds the stream counts as dead; while it is paused
    the watchdog sleeps.
    """

    def __init__(self, clock: IReactorTime, stall_s: float, received: Callable[[bytes], None]) -> None:
        self.ended: Deferred[Ending] = Deferred(lambda _: self._shut())
        self.paused = False
        self.last_byte: float | None = None  # on the clock
        self._clock = clock
        self._stall_s = stall_s
        self._received = received
        self._alive = clock.seconds()
        self._watchdog: IDelayedCall | None = None
        self._over = False

    def connectionMade(self) -> None:
        self._watch()
        if self.paused:
            self._transport_pause()

    def dataReceived(self, data: bytes) -> None:
        if self._over:
            return
        self._alive = self.last_byte = self._clock.seconds()
        try:
            self._received(data)
        except Exception:
            self.fail(Failure())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if reason.check(ResponseDone, PotentialDataLoss):
            self._finish(Ending(End.CLOSED, "the server ended the stream"))
        else:
            cause = type(causes(reason.value)[-1]).__name__
            self._finish(Ending(End.BROKEN, f"the connection broke ({cause})"))

    def leave(self, reason: str) -> None:
        """End the stream from this side."""
        self._finish(Ending(End.LEFT, reason))

    def fail(self, failure: Failure) -> None:
        """End the stream because of an error on this side."""
        if not self._over:
            self._shut()
            self.ended.errback(failure)

    def pause(self) -> None:
        """Stop reading."""
        if not self.paused:
            self.paused = True
            self._transport_pause()

    def resume(self) -> None:
        """Read again; the watchdog starts anew."""
        if self.paused:
            self.paused = False
            self._alive = self._clock.seconds()
            if self.transport is not None and not self._over:
                cast(IPushProducer, self.transport).resumeProducing()

    def _transport_pause(self) -> None:
        if self.transport is not None and not self._over:
            cast(IPushProducer, self.transport).pauseProducing()

    def _watch(self) -> None:
        """Look again when the stream would be dead if nothing came until then: one timer, whatever the
        traffic."""
        silent = 0.0 if self.paused else self._clock.seconds() - self._alive
        if silent >= self._stall_s:
            self._watchdog = None
            self._finish(Ending(End.STALLED, f"nothing came for {silent:.0f} s, not even a keep-alive"))
        else:
            self._watchdog = self._clock.callLater(self._stall_s - silent, self._watch)

    def _finish(self, ending: Ending) -> None:
        if not self._over:
            self._shut()
            self.ended.callback(ending)

    def _shut(self) -> None:
        self._over = True
        if self._watchdog is not None and self._watchdog.active():
            self._watchdog.cancel()
        if self.transport is not None:
            self.transport.loseConnection()
