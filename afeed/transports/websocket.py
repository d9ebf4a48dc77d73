"""Changes over WebSocket: autobahn does the handshake and the control frames, the audience writes ready
frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionRequest
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure

from afeed.core.cursor import Cursor
from afeed.transports.audience import Audience, Viewer

#: A client has nothing to send but control frames, whose payload is at most 125 bytes.
MAX_INCOMING = 1024
#: So many pings in so many seconds are answered; who sends more and reads none of the pongs would have them
#: pile up here.
MAX_PINGS, PINGS_S = 60, 15
#: How long a client may take to read what was written before the close.
LAST_WORDS_S = 10
GOING_AWAY, UNSUPPORTED_DATA, POLICY_VIOLATION, BAD_CURSOR = 1001, 1003, 1008, 4400


class _OnlyErrors:
    """What autobahn logs to: it warns of everything that a client does wrong, which nobody here can mend, and
    has much to say about every frame."""

    def debug(self, format: str, **fields: object) -> None:
        """Say nothing."""

    info = warn = debug
    error = staticmethod(Logger("autobahn").error)
    failure = staticmethod(Logger("autobahn").failure)


class FeedSocket(WebSocketServerProtocol):
    """One WebSocket client.  The front door has checked who it is and what it asks for before it gets here."""

    transport: Any

    log = _OnlyErrors()
    _viewer: Viewer | None = None
    _cut: IDelayedCall | None = None
    _pings = 0
    _pings_since = 0.0

    def attend(self, audience: Audience | None, cursor: Cursor | None) -> None:
        """What to do once the handshake is done: join ``audience`` at ``cursor``, or, without one, say that
        the cursor is none."""
        self._audience = audience
        self._cursor = cursor

    def onConnect(self, request: ConnectionRequest) -> None:
        """Accept, without any subprotocol: none of those offered is ours."""

    def onOpen(self) -> None:
        if self._audience is None:
            self._end(BAD_CURSOR, "bad cursor")
            return
        self._viewer = Viewer(self._audience, self.transport, self._hang_up)
        self._viewer.start(self._cursor)

    def onMessageFrameBegin(self, length: int) -> None:
        super().onMessageFrameBegin(length)
        if not self.failedByMe:  # a frame that is too large has been refused already
            self._end(UNSUPPORTED_DATA, "clients only listen here")

    def onPing(self, payload: bytes) -> None:
        now = self.factory.reactor.seconds()
        if now - self._pings_since > PINGS_S:
            self._pings, self._pings_since = 0, now
        self._pings += 1
        if self._pings > MAX_PINGS:
            self._end(POLICY_VIOLATION, "too many pings")
        else:
            super().onPing(payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self._let_go()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._cut is not None and self._cut.active():
            self._cut.cancel()
        super().connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        if self.state != self.STATE_CLOSED:  # autobahn would keep it
            super().dataReceived(data)

    def dropConnection(self, abort: bool = False) -> None:
        # Autobahn cuts the connection once both sides have said goodbye; that could take our own words away.
        super().dropConnection(abort and not self.wasClean)

    def _closeConnection(self, abort: bool = False) -> None:
        half = getattr(self.transport, "loseWriteConnection", None)
        if abort or half is None or isinstance(self.transport, ProtocolWrapper):
            super()._closeConnection(abort)
        else:
            # Closing with unread input takes the close frame away from a client that is sending still.
            half()
        if not abort:
            self._cut_off_later()

    def sendCloseFrame(self, *args: Any, **kwargs: Any) -> None:
        # Once a close frame is on its way nothing may follow it.
        self._let_go()
        super().sendCloseFrame(*args, **kwargs)
        self._cut_off_later()

    def _cut_off_later(self) -> None:
        """Wait for what was written to be read, whoever closes, but not for ever."""
        if self._cut is None:
            self._cut = self.factory.reactor.callLater(LAST_WORDS_S, self.transport.abortConnection)

    def _hang_up(self) -> None:
        self._end(GOING_AWAY, "")

    def _end(self, code: int, reason: str) -> None:
        # Autobahn's sendClose allows applications no codes below 3000 but 1000.
        self.sendCloseFrame(code=code, reasonUtf8=reason.encode("utf-8"), isReply=False)

    def _let_go(self) -> None:
        viewer, self._viewer = self._viewer, None
        if viewer is not None:
            viewer.leave()


class _Timers:
    """Autobahn's timeouts on the clock that is given; its own run on whatever reactor is installed."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock

    def call_later(self, delay: float, function: Callable[..., Any], *args: Any, **kwargs: Any) -> _Timer:
        """As ``txaio.IBatchedTimer``."""
        return _Timer(self._clock.callLater(delay, function, *args, **kwargs))


class _Timer:
    """One timeout; autobahn cancels it at any time."""

    __slots__ = ("_call",)

    def __init__(self, call: IDelayedCall) -> None:
        self._call = call

    def cancel(self) -> None:
        if self._call.active():
            self._call.cancel()


def websocket_factory(reactor: IReactorTime) -> Callable[[], FeedSocket]:
    """Makes :class:`FeedSocket` protocols with every limit of autobahn's set.

    Compression stays off: frames are made once for everybody, and a compressor per client costs 300 KB.
    Origins are checked by the front door, which knows ``public_url``.
    """
    factory = WebSocketServerFactory(reactor=reactor)
    factory.protocol = FeedSocket
    factory._batched_timer = _Timers(reactor)
    factory.setProtocolOptions(
        webStatus=False,
        failByDrop=False,
        maxFramePayloadSize=MAX_INCOMING,
        maxMessagePayloadSize=MAX_INCOMING,
        openHandshakeTimeout=10,
        closeHandshakeTimeout=0,  # LAST_WORDS_S bounds every way to close
        autoPingInterval=30,
        autoPingTimeout=25,
        tcpNoDelay=True,
        perMessageCompressionAccept=lambda offers: None,
    )

    def make() -> FeedSocket:
        socket = FeedSocket()
        socket.factory = factory
        return socket

    return make
