"""Changes over WebSocket.

A viewer says nothing but that it is still there, and at last that it leaves, so most connections need no
WebSocket machine: the front door has read the handshake, the audience writes ready frames, and pongs and a
proper close are told by their bytes.  Only a client that sends anything else gets autobahn, which then does
what the protocol asks for; ten thousand quiet ones cost neither its memory nor its time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionRequest
from twisted.internet.interfaces import IDelayedCall, IProtocol, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import implementer

from afeed.core.cursor import Cursor
from afeed.core.websocket import close_frame, close_status, switching, without_pongs
from afeed.transports.audience import Audience, Viewer
from afeed.web.crowd import FREE

#: A client has nothing to send but control frames, whose payload is at most 125 bytes.
MAX_INCOMING = 1024
#: So many pings in so many seconds are answered; who sends more and reads none of the pongs would have them
#: pile up here.
MAX_PINGS, PINGS_S = 60, 15
#: How long a client may take to read what was written before the close.
LAST_WORDS_S = 10
GOING_AWAY, UNSUPPORTED_DATA, POLICY_VIOLATION, BAD_CURSOR = 1001, 1003, 1008, 4400

_GOODBYE = close_frame(GOING_AWAY)
_CLOSE_OPCODE = 8
#: Takes autobahn to where the client already is.
_HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def close_gently(transport: Any) -> bool:
    """Close our side alone, once everything is written: closing with unread input would take the close frame
    away from a client that is sending still.  False where ``transport`` cannot do that."""
    half = getattr(transport, "loseWriteConnection", None)
    if half is None or isinstance(transport, ProtocolWrapper):
        return False
    half()
    return True


@implementer(IProtocol)
class FeedSocket:
    """One WebSocket client, whom the front door has checked, with its key.

    It joins ``audience`` at ``cursor``; without an audience it is told that its cursor is none.  ``place`` is
    what the front door hands over with the connection.
    """

    __slots__ = (
        "_audience",
        "_conversation",
        "_converse",
        "_cursor",
        "_cut",
        "_key",
        "_reactor",
        "place",
        "transport",
        "viewer",
    )

    def __init__(
        self,
        reactor: IReactorTime,
        converse: Callable[[], Conversation],
        key: bytes,
        audience: Audience | None,
        cursor: Cursor | None,
    ) -> None:
        self._reactor = reactor
        self._converse = converse
        self._key = key
        self._audience = audience
        self._cursor = cursor
        self._conversation: Conversation | None = None
        self._cut: IDelayedCall | None = None
        self.place = FREE
        self.transport: Any = None
        self.viewer: Viewer | None = None

    def makeConnection(self, transport: Any) -> None:
        """Answer the handshake and begin."""
        self.transport = transport
        answer = switching(self._key)
        if self._audience is None:
            transport.write(answer)
            self._talk().end(BAD_CURSOR, "bad cursor")
            return
        self.viewer = Viewer(self._audience, transport, self._hang_up)
        self.viewer.start(self._cursor, answer)

    def connectionMade(self) -> None:
        """All is done by :meth:`makeConnection`."""

    def dataReceived(self, data: bytes) -> None:
        if self.viewer is not None:
            self.viewer.silent = 0
        if self._conversation is not None:
            self._conversation.dataReceived(data)
            return
        said = without_pongs(data)
        if not said:
            return
        if self._cut is not None:
            # Goodbye was said; the first frame of a client that agrees is a close.
            if said[0] & 15 == _CLOSE_OPCODE:
                self.transport.loseConnection()
            return
        status = close_status(said)
        if status is None:
            self._talk().dataReceived(said)
        else:
            self.leave()
            self.transport.write(close_frame(status))
            self.cut_off_later()
            if not close_gently(self.transport):
                self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.place.leave()
        if self._cut is not None and self._cut.active():
            self._cut.cancel()
        self.leave()
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            conversation.connectionLost(reason)

    def leave(self) -> None:
        """Nothing may be written for the audience any more."""
        viewer, self.viewer = self.viewer, None
        if viewer is not None:
            viewer.leave()

    def cut_off_later(self) -> None:
        """Wait for what was written to be read, whoever closes, but not for ever."""
        if self._cut is None:
            self._cut = self._reactor.callLater(LAST_WORDS_S, self.transport.abortConnection)

    def _hang_up(self) -> None:
        self.viewer = None
        if self._conversation is not None:
            self._conversation.end(GOING_AWAY, "")
        else:
            self.transport.write(_GOODBYE)
            self.cut_off_later()

    def _talk(self) -> Conversation:
        if self.viewer is not None:
            self.viewer.share()
        conversation = self._conversation = self._converse()
        conversation.begin(self)
        return conversation


class _OnlyErrors:
    """What autobahn logs to: it warns of everything that a client does wrong, which nobody here can mend, and
    has much to say about every frame."""

    def debug(self, format: str, **fields: object) -> None:
        """Say nothing."""

    info = warn = debug
    error = staticmethod(Logger("autobahn").error)
    failure = staticmethod(Logger("autobahn").failure)


class Conversation(WebSocketServerProtocol):
    """The protocol with a client that sends something: its pings are answered, its close is returned, and all
    else is refused with the code for it."""

    transport: Any

    log = _OnlyErrors()
    _pings = 0
    _pings_since = 0.0

    def begin(self, socket: FeedSocket) -> None:
        """Take part in what has begun already: the handshake was answered by the front door, so what autobahn
        answers to its like goes nowhere."""
        self._socket = socket
        self.makeConnection(socket.transport)
        super().dataReceived(_HANDSHAKE)

    def sendData(self, *args: Any, **kwargs: Any) -> None:
        if self.state != self.STATE_CONNECTING:
            super().sendData(*args, **kwargs)

    def onConnect(self, request: ConnectionRequest) -> None:
        """Accept."""

    def onMessageFrameBegin(self, length: int) -> None:
        super().onMessageFrameBegin(length)
        if not self.failedByMe:  # a frame that is too large has been refused already
            self.end(UNSUPPORTED_DATA, "clients only listen here")

    def onPing(self, payload: bytes) -> None:
        now = self.factory.reactor.seconds()
        if now - self._pings_since > PINGS_S:
            self._pings, self._pings_since = 0, now
        self._pings += 1
        if self._pings > MAX_PINGS:
            self.end(POLICY_VIOLATION, "too many pings")
        else:
            super().onPing(payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self._socket.leave()

    def dataReceived(self, data: bytes) -> None:
        if self.state != self.STATE_CLOSED:  # autobahn would keep it
            super().dataReceived(data)

    def dropConnection(self, abort: bool = False) -> None:
        # Autobahn cuts the connection once both sides have said goodbye; that could take our own words away.
        super().dropConnection(abort and not self.wasClean)

    def _closeConnection(self, abort: bool = False) -> None:
        if abort or not close_gently(self.transport):
            super()._closeConnection(abort)
        if not abort:
            self._socket.cut_off_later()

    def sendCloseFrame(self, *args: Any, **kwargs: Any) -> None:
        # Once a close frame is on its way nothing may follow it.
        self._socket.leave()
        super().sendCloseFrame(*args, **kwargs)
        self._socket.cut_off_later()

    def end(self, code: int, reason: str) -> None:
        """Say goodbye with ``code``."""
        # Autobahn's sendClose allows applications no codes below 3000 but 1000.
        self.sendCloseFrame(code=code, reasonUtf8=reason.encode("utf-8"), isReply=False)


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


#: Makes the protocol of a client from its key, its audience and its cursor.
NewSocket = Callable[[bytes, Audience | None, Cursor | None], FeedSocket]


def websocket_factory(reactor: IReactorTime) -> NewSocket:
    """Makes :class:`FeedSocket` protocols; every limit of autobahn's is set for those who need it.

    Compression stays off: frames are made once for everybody, and a compressor per client costs 300 KB.
    Origins are checked by the front door, which knows ``public_url``; whether a client is still there is seen
    by the audience.
    """
    factory = WebSocketServerFactory(reactor=reactor)
    factory._batched_timer = _Timers(reactor)
    factory.setProtocolOptions(
        webStatus=False,
        failByDrop=False,
        maxFramePayloadSize=MAX_INCOMING,
        maxMessagePayloadSize=MAX_INCOMING,
        openHandshakeTimeout=0,  # there is none to wait for
        closeHandshakeTimeout=0,  # LAST_WORDS_S bounds every way to close
        tcpNoDelay=True,
        perMessageCompressionAccept=lambda offers: None,
    )

    def converse() -> Conversation:
        conversation = Conversation()
        conversation.factory = factory
        return conversation

    def make(key: bytes, audience: Audience | None, cursor: Cursor | None) -> FeedSocket:
        return FeedSocket(reactor, converse, key, audience, cursor)

    return make
