"""The front door: one port for pages, polls, streams and WebSockets.

An :class:`HttpConnection` reads requests with deadlines and limits, checks whom they are for, and hands each
to the router: the hot paths are answered here without a ``twisted.web`` object, a WebSocket leaves with the
transport, and everything else becomes a ``twisted.web`` request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import Protocol as Typed
from wsgiref.handlers import format_date_time

from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol, IPushProducer, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import implementer

from afeed.core.http import Header, Names, client_address, is_internal
from afeed.core.request import Refused, check_body, raw_head, read_target, too_slow
from afeed.core.wheel import Wheel
from afeed.settings import Server
from afeed.web.exchange import Exchange
from afeed.web.headers import security_headers
from afeed.web.reading import RequestReader

#: Seconds until the whole head, and the whole request, must be there; and how long a connection may be idle,
#: or an answer lie unread.
HEAD_S, REQUEST_S, IDLE_S = 10, 30, 75
#: How long a client that goes on sending after its last answer may take to notice.
LINGER_S = 2

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


@implementer(IPushProducer, IHalfCloseableProtocol)
class HttpConnection(Protocol):
    """One HTTP/1.1 connection.  Requests are answered one at a time, in order; while one is, or while the
    client does not read its answers, nothing more is read than what came with it.

    At any time either somebody works on an answer or a deadline is set, so no connection stays for ever.

    :ivar closing: whether the answer being written is the last one.
    """

    transport: Any

    def __init__(self, front: Front) -> None:
        self._front = front
        self._reader = RequestReader(self._admit, front.clock.seconds)
        self._busy: Exchange | None = None
        self._unparsed = b""
        self._refused = self._paused = self._choked = self._proceeding = self._ending = False
        self.heard_all = False
        self._producing = True
        self.closing = False

    @property
    def common(self) -> tuple[Header, ...]:
        """Headers of every answer."""
        return self._front.common()

    @property
    def protection(self) -> tuple[Header, ...]:
        """What tells browsers to be careful with an answer."""
        return self._front.protection

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
        self.transport.registerProducer(self, True)
        self._due_in(IDLE_S)

    def _due_in(self, seconds: float) -> None:
        self._front.deadlines.set(self, self._front.clock.seconds() + seconds)

    # -- reading

    def dataReceived(self, data: bytes) -> None:
        if self.closing:
            return  # nothing behind the last request is of interest
        if self._busy is not None or self._reader.ready or self._choked:
            # A client that sends ahead waits until it has read its answer.
            self._unparsed += data
            self._pause(True)
            return
        self._reader.feed(data)
        self._proceed()

    def _pause(self, wanted: bool) -> None:
        if wanted != self._paused and not self.heard_all:
            self._paused = wanted
            (self.transport.pauseProducing if wanted else self.transport.resumeProducing)()

    def _admit(self, method: bytes, version: bytes, url: bytes, headers: list[Header]) -> tuple[Exchange, int]:
        front, server = self._front, self._front.server
        authority, path, query = read_target(method, version, url, headers)
        internal = is_internal(self._peer, headers, server.trusted_proxies, server.internal)
        if not front.names.is_ours(authority) and not front.router.any_host(path, internal):
            raise Refused(421, "wrong_host", "this server is known under another name")
        limit = front.router.max_body(method, path)
        check_body(version, headers, limit)
        client = client_address(self._peer, headers, server.trusted_proxies)
        exchange = Exchange(self, method, version, path, query, headers, client, internal)
        expects = version == b"1.1" and (exchange.header(b"expect") or b"").lower() == b"100-continue"
        if expects and self._busy is None and not self._reader.ready:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return exchange, limit

    # -- answering

    def _proceed(self) -> None:
        """Take up the next request, as long as none is being answered."""
        if self._proceeding:
            return
        self._proceeding = True
        try:
            while self._busy is None and not self.closing and self._take_up():
                pass
        finally:
            self._proceeding = False

    def _take_up(self) -> bool:
        """One step; False when there is none to take."""
        reader = self._reader
        if self._choked:
            self._due_in(IDLE_S)
            return False
        if reader.ready:
            exchange = reader.ready.pop(0)
            self._handle(exchange, leaving=reader.leaving is not None and not reader.ready)
        elif reader.refusal is not None:
            self._refuse(reader.refusal)
        elif self._unparsed:
            data, self._unparsed = self._unparsed, b""
            reader.feed(data)
        elif self.heard_all:
            self.close()
            return False
        elif reader.within:
            limit = HEAD_S if reader.within == "head" else REQUEST_S
            self._front.deadlines.set(self, reader.began + limit)
            self._pause(False)
            return False
        else:
            self._due_in(IDLE_S)
            self._pause(False)
            return False
        return True

    def _handle(self, exchange: Exchange, leaving: bool) -> None:
        front = self._front
        self._busy = exchange
        self.closing = exchange.last or leaving
        front.deadlines.discard(self)
        front.counted()
        try:
            if leaving:
                self._leave(exchange)
            else:
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
        if self._busy is None:
            return  # the client has left meanwhile
        self._busy = None
        if self.closing:
            self.close()
            return
        # The time for what came ahead of this answer begins now that it is its turn.
        self._reader.began = self._front.clock.seconds()
        self._proceed()

    def take_over(self) -> None:
        """The present request's handler writes to the transport from now on, until it calls
        :meth:`close`."""
        self.closing = True
        self._unregister()

    def _unregister(self) -> None:
        if self._producing:
            self._producing = False
            self.transport.unregisterProducer()

    def lend(self, producer: Any, streaming: bool) -> None:
        """Let ``producer`` write the present answer at the client's pace, until :meth:`take_back`."""
        self.transport.unregisterProducer()
        self.transport.registerProducer(producer, streaming)

    def take_back(self) -> None:
        """What was lent is ours again."""
        self.transport.unregisterProducer()
        self._choked = False
        self.transport.registerProducer(self, True)

    def _refuse(self, refusal: Refused) -> None:
        self.closing = self._refused = True
        refused = Exchange(self, b"GET", b"1.1", b"", b"", [], self._peer, False)
        self._busy = refused
        refused.error(refusal.status, refusal.code, refusal.detail, refusal.headers)

    # -- back-pressure: the transport holds more than the client has read

    def pauseProducing(self) -> None:
        self._choked = True

    def resumeProducing(self) -> None:
        self._choked = False
        self._proceed()

    def stopProducing(self) -> None:
        """The connection is lost; :meth:`connectionLost` follows."""

    # -- ending

    def close(self) -> None:
        """Close once everything is written, and for good when the client does not take it.

        A client that may be sending still is listened to for a moment: closing with unread input would take
        the answer away from it before it has read it (RFC 9112, section 9.6).
        """
        if self._ending:
            return
        self.closing = self._ending = True
        transport = self.transport
        self._unregister()
        sending = self._refused or self._paused or self._reader.leaving is not None
        sending = sending and not self.heard_all
        self._pause(False)
        half = getattr(transport, "loseWriteConnection", None)
        if sending and half is not None and not isinstance(transport, ProtocolWrapper):
            self._due_in(LINGER_S)
            half()
        else:  # TLS ends with a handshake of its own, during which it reads on
            self._due_in(IDLE_S)
            transport.loseConnection()

    def readConnectionLost(self) -> None:
        """The client sends nothing more.  What it has asked for it gets, but it is not kept waiting for what is
        yet to happen: one that has left altogether looks the same."""
        self.heard_all = True
        if self._ending:
            self.transport.loseConnection()
        elif self._busy is None:
            self._proceed()
        elif self._busy.hurry is not None:
            self._busy.hurry()

    def writeConnectionLost(self) -> None:
        """Our own side is closed, as :meth:`close` wanted it."""

    def expired(self) -> None:
        """A deadline has passed."""
        if self._ending or self._choked:
            self.transport.abortConnection()
        elif self._busy is not None:
            return
        elif self._reader.within:
            self._refuse(too_slow())
        else:
            self.close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._forget()
        exchange, self._busy = self._busy, None
        self.closing = self._ending = True
        if exchange is not None and exchange.gone is not None:
            exchange.gone()

    def _forget(self) -> None:
        self._front.deadlines.discard(self)
        self._front.connections.discard(self)
        self._reader.forget()

    # -- leaving

    def _leave(self, exchange: Exchange) -> None:
        protocol = self._front.router.upgrade(exchange)
        if protocol is None:
            return
        rest = (self._reader.leaving or b"") + self._unparsed
        self._busy = None
        self._forget()
        transport = self.transport
        self._unregister()
        if isinstance(transport, ProtocolWrapper):  # TLS
            transport.wrappedProtocol = protocol
        else:
            transport.protocol = protocol
        self._pause(False)
        protocol.makeConnection(transport)
        head = raw_head(exchange.method, exchange.target, exchange.version, exchange.headers)
        protocol.dataReceived(head + rest)


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
        self.protection = tuple(security_headers(server))
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
            connection.close()

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
