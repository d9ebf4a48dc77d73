"""From the front door to ``twisted.web``: everything that is not a hot path becomes an ordinary request
there."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.server import Request, Site

from afeed.web.exchange import Exchange


class PageChannel:
    """What a ``twisted.web`` request needs of the channel it came by, for one request."""

    factory = None  # requests are counted by the front door, not logged one by one

    def __init__(self, exchange: Exchange, site: Site) -> None:
        self.site = site
        self._exchange = exchange
        self._connection = exchange.connection
        self.transport = exchange.connection.transport

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        if version == b"HTTP/1.0" and not headers.hasHeader(b"content-length"):
            self._connection.closing = True  # only its end can mark the end of this body
        if self._connection.closing:
            headers.setRawHeaders(b"Connection", [b"close"])
        lines = [b"HTTP/1.1 %b %b" % (code, reason)]
        lines += [b"%b: %b" % (name, value) for name, values in headers.getAllRawHeaders() for value in values]
        self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n")

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def writeSequence(self, data: list[bytes]) -> None:
        self.transport.write(b"".join(data))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._connection.lend(producer, streaming)

    def unregisterProducer(self) -> None:
        self._connection.take_back()

    def requestDone(self, request: Request) -> None:
        self._exchange.gone = None
        self._connection.finished()

    def loseConnection(self) -> None:
        self._connection.close()

    def abortConnection(self) -> None:
        self.transport.abortConnection()

    def getPeer(self) -> IAddress:
        """Whoever asks, as far as proxies are trusted to tell (:func:`afeed.core.http.client_address`)."""
        address = IPv6Address if ":" in self._exchange.client else IPv4Address
        return address("TCP", self._exchange.client, getattr(self.transport.getPeer(), "port", 0))

    def getHost(self) -> IAddress:
        return self.transport.getHost()

    def isSecure(self) -> bool:
        """Whether viewers reach us over TLS, here or at a proxy in front."""
        return self._connection.secure


def hand_over(exchange: Exchange, site: Site) -> None:
    """Let ``site`` answer ``exchange``."""
    request = Request(PageChannel(exchange, site), parsePOSTFormSubmission=False)
    for name, value in exchange.headers:
        request.requestHeaders.addRawHeader(name, value)
    request.parseCookies()
    request.gotLength(len(exchange.body))
    request.handleContentChunk(exchange.body)
    exchange.gone = lambda: request.connectionLost(Failure(ConnectionDone()))
    request.requestReceived(exchange.method, exchange.target, b"HTTP/" + exchange.version)
