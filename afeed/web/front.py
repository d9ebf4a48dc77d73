"""The front door: one port for pages, polls, streams and WebSockets.

An :class:`HttpConnection` reads requests with deadlines and limits, checks whom they are for, and hands each
to the router: the hot paths are answered here without a ``twisted.web`` object, a WebSocket leaves with the
transport, and everything else becomes a ``twisted.web`` request.  httptools (llhttp) does the parsing and
refuses whatever could be read in two ways: folded headers, conflicting or odd lengths, bare line feeds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import Protocol as Typed
from urllib.parse import urlsplit
from wsgiref.handlers import format_date_time

import httptools
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from afeed.core.http import Header, Names, client_address, first_header, is_internal
from afeed.core.wheel import Wheel
from afeed.settings import Server
from afeed.web.exchange import Exchange

#: Seconds until the whole head, and the whole request, must be there; and how long a connection may be idle.
HEAD_S, REQUEST_S, IDLE_S = 10, 30, 75
LINGER_S = 2
MAX_HEAD = 16 * 1024
METHODS = frozenset({b"GET", b"HEAD", b"POST"})

_log = Logger()


class Router(Typed):
    """What becomes of requests."""

    def max_body(self, method: bytes, path: bytes) -> int:
        """How many bytes of body ``path`` takes."""

    def any_host(self, path: bytes, internal: bool) -> bool:
        """Whether ``path`` may be asked for under any host name."""

    def handle(self, exchange: Exchange) -> None:
        """Answer ``exchange``, now or later."""

    def upgrade(self, exchange: Exchange) -> Protocol | None:
        """The protocol that takes the connection over, or None after answering ``exchange`` with a
        refusal."""


class _Refused(Exception):
    """Raised out of the parser: answer with this status and close."""

    def __init__(self, status: int, code: str, detail: str, headers: tuple[Header, ...] = ()) -> None:
        super().__init__(detail)
        self.answer = (status, code, detail, headers)


_HEAD_TOO_LARGE = _Refused(431, "head_too_large", f"a request head has at most {MAX_HEAD} bytes")


class HttpConnection(Protocol):
    """One HTTP/1.1 connection.  Requests are answered one at a time, in order; while one is, nothing more is
    read than what came with it."""

    transport: Any

    def __init__(self, front: Front) -> None:
        self._front = front
        self._parser = httptools.HttpRequestParser(self)
        self._queue: list[Exchange] = []
        self._busy: Exchange | None = None
        self._unparsed = b""
        self._paused = self._proceeding = self._lingering = False
        self._refusal: _Refused | None = None
        self._next: Exchange | None = None
        self._body: list[bytes] = []
        self._begin()
        #: Whether the answer being written is the last one.
        self.closing = False

    @property
    def common(self) -> tuple[Header, ...]:
        """Headers of every answer."""
        return self._front.common()

    @property
    def secure(self) -> bool:
        """Whether viewers come by https."""
        return self._front.server.public_url.startswith("https:")

    def connectionMade(self) -> None:
        self._peer = str(getattr(self.transport.getPeer(), "host", "127.0.0.1"))  # a Unix socket is local
        try:
            self.transport.setTcpNoDelay(True)
        except AttributeError:  # not TCP
            pass
        self._front.deadlines.set(self, self._front.clock.seconds() + IDLE_S)

    # -- reading

    def _begin(self) -> None:
        self._url = b""
        self._headers: list[Header] = []
        self._head_bytes = 0
        self._body_bytes = 0
        self._reading = ""  # "", "head" or "body"

    def dataReceived(self, data: bytes) -> None:
        if self._lingering:
            return
        if self._busy is not None or self._queue:
            # A client that sends ahead waits until it has read its answer.
            self._unparsed += data
            self._paused = True
            self.transport.pauseProducing()
            return
        self._feed(data)

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
            if self._reading == "head":
                self._head_bytes += len(data)
                if self._head_bytes > MAX_HEAD:
                    raise _HEAD_TOO_LARGE
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
            return
        except _Refused as refusal:
            self._refusal = refusal
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, _Refused):
                raise
            self._refusal = error.__context__
        except httptools.HttpParserError as error:
            self._refusal = _Refused(400, "bad_request", f"this is not an HTTP/1.1 request: {error}")
        self._proceed()

    def on_message_begin(self) -> None:
        self._begin()
        self._reading = "head"
        self._front.deadlines.set(self, self._front.clock.seconds() + HEAD_S)

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        front = self._front
        headers = self._headers
        method = self._parser.get_method()
        size = len(self._url) + sum(len(name) + len(value) + 4 for name, value in headers)
        if size > MAX_HEAD:
            raise _HEAD_TOO_LARGE
        version = self._parser.get_http_version().encode("ascii")
        if version not in (b"1.1", b"1.0"):
            raise _Refused(400, "bad_request", "only HTTP/1.1 and HTTP/1.0 are spoken here")
        if method not in METHODS:
            raise _Refused(
                405,
                "method_not_allowed",
                "only GET, HEAD and POST are answered",
                ((b"Allow", b"GET, HEAD, POST"),),
            )
        path, query, authority = _target(self._url, headers, version)
        internal = is_internal(self._peer, headers, front.server.trusted_proxies, front.server.internal)
        if not front.names.is_ours(authority) and not front.router.any_host(path, internal):
            raise _Refused(421, "wrong_host", "this server is known under another name")
        limit = front.router.max_body(method, path)
        length = first_header(headers, b"content-length")
        if length is not None and int(length) > limit:
            raise _Refused(413, "too_large", f"the body has at most {limit} bytes")
        self._body_limit = limit
        client = client_address(self._peer, headers, front.server.trusted_proxies)
        self._next = Exchange(self, method, version, path, query, headers, client, internal)
        self._reading = "body"
        front.deadlines.set(self, front.clock.seconds() + REQUEST_S)
        if first_header(headers, b"expect") is not None and not self._queue and self._busy is None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes > self._body_limit:
            raise _Refused(413, "too_large", f"the body has at most {self._body_limit} bytes")
        self._body.append(data)

    def on_message_complete(self) -> None:
        exchange, self._next = self._next, None
        if exchange is None:
            return
        if self._body:
            exchange.body = b"".join(self._body)
            self._body.clear()
        if not self._parser.should_keep_alive():
            exchange.headers.append((b"connection", b"close"))
        self._reading = ""
        self._queue.append(exchange)

    # -- answering

    def _proceed(self) -> None:
        """Take up the next request, as long as none is being answered."""
        if self._proceeding:
            return
        self._proceeding = True
        while self._busy is None and not self.closing:
            if self._queue:
                self._handle(self._queue.pop(0))
            elif self._refusal is not None:
                self._refuse(*self._refusal.answer)
            elif self._unparsed:
                data, self._unparsed = self._unparsed, b""
                self._proceeding = False
                self._feed(data)
                return
            else:
                if not self._reading:
                    self._front.deadlines.set(self, self._front.clock.seconds() + IDLE_S)
                if self._paused:
                    self._paused = False
                    self.transport.resumeProducing()
                break
        self._proceeding = False

    def _handle(self, exchange: Exchange) -> None:
        front = self._front
        self._busy = exchange
        self.closing = (b"connection", b"close") in exchange.headers
        front.deadlines.discard(self)
        front.counted()
        try:
            front.router.handle(exchange)
        except Exception:
            _log.failure("answering {path} failed", path=exchange.path)
            if self._busy is exchange:
                self.closing = True
                exchange.error(500, "internal", "this should not have happened; it has been logged")

    def answer(self, data: bytes) -> None:
        """``data`` is the complete answer to the present request."""
        self.transport.write(data)
        self.finished()

    def finished(self) -> None:
        """The present request has been answered."""
        self._busy = None
        if not self.closing:
            self._proceed()
        elif self._refusal is None:
            self.transport.loseConnection()
        else:
            self._linger()

    def _linger(self) -> None:
        """Close our side, and read on for a moment: closing with unread input would take the answer away from
        the client before it has read it (RFC 9112, section 9.6)."""
        self._lingering = True
        self._front.deadlines.set(self, self._front.clock.seconds() + LINGER_S)
        if self._paused:
            self.transport.resumeProducing()
        try:
            self.transport.loseWriteConnection()
        except AttributeError:  # a transport without half-close
            self.transport.loseConnection()

    def take_over(self) -> None:
        """The present request's handler writes to the transport from now on, until the connection ends."""
        self.closing = True
        self._front.deadlines.discard(self)

    def _refuse(self, status: int, code: str, detail: str, headers: tuple[Header, ...]) -> None:
        self._refusal = _Refused(status, code, detail, headers)
        self.closing = True
        refused = Exchange(self, b"GET", b"1.1", b"", b"", [], self._peer, False)
        self._busy = refused
        refused.error(status, code, detail, headers)

    def expired(self) -> None:
        """A deadline has passed."""
        if self._lingering:
            self.transport.abortConnection()
            return
        if self._busy is not None or self.closing:
            return
        if not self._reading:
            self.closing = True
            self.transport.loseConnection()
            return
        self._refuse(408, "too_slow", "the request was not complete in time", ())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._front.deadlines.discard(self)
        self._front.connections.discard(self)
        exchange, self._busy = self._busy, None
        self._queue.clear()
        if exchange is not None and exchange.gone is not None:
            exchange.gone()

    # -- leaving

    def _upgrade(self, rest: bytes) -> None:
        exchange = self._queue.pop() if self._queue else None
        if exchange is None or self._queue or self._busy is not None:
            self._refuse(400, "bad_request", "an upgrade must not be sent ahead of an answer", ())
            return
        if exchange.method != b"GET" or (exchange.header(b"upgrade") or b"").lower() != b"websocket":
            # Other protocols are not spoken here; such a request may be answered as if it had not asked.
            self._parser = httptools.HttpRequestParser(self)
            self._unparsed = rest
            self._queue.append(exchange)
            self._proceed()
            return
        self._busy = exchange
        self.closing = True
        protocol = self._front.router.upgrade(exchange)
        if protocol is None:
            return
        self._busy = None
        self._front.deadlines.discard(self)
        self._front.connections.discard(self)
        self._front.counted()
        transport = self.transport
        transport.protocol = protocol
        protocol.makeConnection(transport)
        protocol.dataReceived(_raw_head(exchange) + rest)


def _target(url: bytes, headers: list[Header], version: bytes) -> tuple[bytes, bytes, bytes]:
    """Path, query string and authority of a request target (RFC 9112, section 3.2)."""
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version == b"1.1"):
        raise _Refused(400, "bad_request", "a request has exactly one Host header")
    authority = hosts[0] if hosts else b""
    if not url.startswith(b"/"):
        parts = urlsplit(url)
        if parts.scheme not in (b"http", b"https") or not parts.netloc:
            raise _Refused(400, "bad_request", "the request target is a path")
        authority = parts.netloc
        url = (parts.path or b"/") + (b"?" + parts.query if parts.query else b"")
    path, _, query = url.partition(b"?")
    return path, query.partition(b"#")[0], authority


def _raw_head(exchange: Exchange) -> bytes:
    target = exchange.path + (b"?" + exchange.query if exchange.query else b"")
    lines = [b"%b %b HTTP/%b" % (exchange.method, target, exchange.version)]
    lines += [b"%b: %b" % header for header in exchange.headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


class Front(Factory):
    """Listens.  ``counted`` is called once per request."""

    noisy = False

    def __init__(
        self,
        server: Server,
        router: Router,
        clock: IReactorTime,
        now: Callable[[], float],
        counted: Callable[[], None],
    ) -> None:
        self.server = server
        self.router = router
        self.clock = clock
        self.names = Names(server.public_url, server.cors_origins)
        self.deadlines: Wheel[HttpConnection] = Wheel()
        self.connections: set[HttpConnection] = set()
        self.counted = counted
        self._now = now
        self._date: tuple[int, tuple[Header, ...]] = (0, ())
        self._sweep = LoopingCall(self._swept)
        self._sweep.clock = clock

    def doStart(self) -> None:
        super().doStart()
        if not self._sweep.running:
            self._sweep.start(1.0, now=False)

    def stop(self) -> None:
        """Close what is still open."""
        if self._sweep.running:
            self._sweep.stop()
        for connection in tuple(self.connections):
            connection.transport.loseConnection()

    def buildProtocol(self, addr: IAddress | None) -> HttpConnection:
        connection = HttpConnection(self)
        self.connections.add(connection)
        return connection

    def common(self) -> tuple[Header, ...]:
        """Headers of every answer: the date, made once a second."""
        second = int(self._now())
        if self._date[0] != second:
            self._date = (second, ((b"Date", format_date_time(second).encode("ascii")),))
        return self._date[1]

    def _swept(self) -> None:
        for connection in self.deadlines.expired(self.clock.seconds()):
            try:
                connection.expired()
            except Exception:  # one connection must not end the sweep of all others
                _log.failure("closing a slow connection failed")
