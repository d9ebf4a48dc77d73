"""Changes over WebSocket: autobahn does the handshake and the control frames, the audience writes ready
frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionRequest
from twisted.internet.interfaces import IReactorTime

from afeed.core.cursor import Cursor
from afeed.transports.audience import Audience, Viewer

#: A client has nothing to send but control frames, whose payload is at most 125 bytes.
MAX_INCOMING = 1024
GOING_AWAY, UNSUPPORTED_DATA, BAD_CURSOR = 1001, 1003, 4400


class FeedSocket(WebSocketServerProtocol):
    """One WebSocket client.  The front door has checked who it is and what it asks for before it gets here."""

    _viewer: Viewer | None = None

    def attend(self, audience: Audience | None, cursor: Cursor | None) -> None:
        """What to do once the handshake is done: join ``audience`` at ``cursor``, or, without one, say that
        the cursor is none."""
        self._audience = audience
        self._cursor = cursor

    def onConnect(self, request: ConnectionRequest) -> None:
        """Accept, without any subprotocol: none of those offered is ours."""

    def onOpen(self) -> None:
        if self._audience is None:
            self.sendClose(BAD_CURSOR, "bad cursor")
            return
        self._viewer = Viewer(self._audience, self.transport, self._hang_up)
        self._viewer.start(self._cursor)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self._let_go()
        self.sendClose(UNSUPPORTED_DATA, "clients only listen here")

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self._let_go()

    def sendCloseFrame(self, *args: Any, **kwargs: Any) -> None:
        # Once a close frame is on its way nothing may follow it.
        self._let_go()
        super().sendCloseFrame(*args, **kwargs)

    def _hang_up(self) -> None:
        self.sendClose(GOING_AWAY)

    def _let_go(self) -> None:
        viewer, self._viewer = self._viewer, None
        if viewer is not None:
            viewer.leave()


def websocket_factory(reactor: IReactorTime) -> Callable[[], FeedSocket]:
    """Makes :class:`FeedSocket` protocols with every limit of autobahn's set.

    Compression stays off: frames are made once for everybody, and a compressor per client costs 300 KB.
    Origins are checked by the front door, which knows ``public_url``.
    """
    factory = WebSocketServerFactory(reactor=reactor)
    factory.protocol = FeedSocket
    factory.setProtocolOptions(
        webStatus=False,
        maxFramePayloadSize=MAX_INCOMING,
        maxMessagePayloadSize=MAX_INCOMING,
        openHandshakeTimeout=10,
        closeHandshakeTimeout=1,
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
