"""One connection to the front door: requests are read, handed to the router, and answered in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import implementer

from afeed.core.http import Header
from afeed.core.request import Refused, too_slow
from afeed.web.crowd import FREE, STANDING_S, Place
from afeed.web.direct import is_direct, send_directly
from afeed.web.exchange import Exchange
from afeed.web.reading import RequestReader

if TYPE_CHECKING:
    from afeed.web.front import Front

#: Seconds until the whole head, and the whole request, must be there; and how long a connection may be idle,
#: or an answer lie unread.
HEAD_S, REQUEST_S, IDLE_S = 10, 30, 75
#: How long a client that goes on sending after its last answer may take to notice.
LINGER_S = 2

_log = Logger()


@implementer(IPushProducer, IHalfCloseableProtocol)
class HttpConnection(Protocol):
    """One HTTP/1.1 connection.  Requests are answered one at a time, in order; while one is, or while the
    client does not read its answers, nothing more is read than what came with it.

    At any time either somebody works on an answer or a deadline is set, so no connection stays for ever.

    :ivar closing: whether the answer being written is the last one; :ivar peer: the address at the other end.
    """

    transport: Any

    def __init__(self, front: Front) -> None:
        self._front = front
        self._place: Place = FREE
        self._reader = RequestReader(self, front.clock.seconds)
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
        host = getattr(self.transport.getPeer(), "host", None)
        self.peer = "127.0.0.1" if host is None else str(host)  # a Unix socket is local
        crowd = self._front.crowd
        self._proxied = crowd.is_proxy(self.peer)
        self._direct = is_direct(self.transport)
        try:
            self.transport.setTcpNoDelay(True)
        except AttributeError:  # not TCP
            pass
        self.transport.registerProducer(self, True)
        place = FREE if self._proxied or host is None else crowd.admit(self.peer)
        if place is None:
            self.closing = self._ending = True
            self.transport.abortConnection()
        else:
            self._place = place
            self._due_in(STANDING_S if place.full else IDLE_S)

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

    def admit(self, method: bytes, version: bytes, url: bytes, headers: list[Header]) -> tuple[Exchange, int]:
        """See :class:`afeed.web.admission.Gate`."""
        exchange, limit = self._front.admission.admit(self, method, version, url, headers)
        if self._place.full:
            raise self._front.crowd.refusal(exchange)
        expects = version == b"1.1" and (exchange.header(b"expect") or b"").lower() == b"100-continue"
        if expects and self._busy is None and not self._reader.ready:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return exchange, limit

    def admit_again(self, before: Exchange, url: bytes) -> Exchange | None:
        """See :class:`afeed.web.admission.Gate`."""
        return self._front.admission.admit_again(before, url)

    def internal(self, headers: list[Header]) -> bool:
        """Whether a request with ``headers`` comes from inside."""
        return self._front.admission.internal(self.peer, headers)

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
        front.counted()
        try:
            if self._proxied and not self._seated(exchange):
                exchange.refuse(front.crowd.refusal(exchange))
            elif leaving:
                self._leave(exchange)
            else:
                front.router.handle(exchange)
        except Exception:
            _log.failure("answering {path} failed", path=exchange.path)
            if self._busy is exchange:
                self.closing = True
                exchange.error(500, "internal", "this should not have happened; it has been logged")

    def _seated(self, exchange: Exchange) -> bool:
        """Whether there is a place for who asks through a proxy, for as long as this takes."""
        place = self._front.crowd.admit(exchange.client)
        if place is not None:
            self._place = place
        return place is not None and not place.full

    def _leave_place(self) -> None:
        place, self._place = self._place, FREE
        place.leave()

    def answer(self, data: bytes) -> None:
        """``data`` is the complete answer to the present request."""
        sent = send_directly(self.transport, data) if self._direct else 0
        if sent < len(data):
            self.transport.write(data[sent:] if sent else data)
        self.finished()

    def finished(self) -> None:
        """The present request has been answered."""
        answered, self._busy = self._busy, None
        if answered is None:
            return  # the client has left meanwhile
        if self._proxied:
            self._leave_place()
        answered.gone = answered.hurry = None  # the reader may keep it for its headers
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
        refused = Exchange(self, b"GET", b"1.1", b"", b"", [], self.peer, False)
        self._busy = refused
        refused.refuse(refusal)

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
        if self._ending:
            self.transport.abortConnection()
        elif self._busy is not None:
            return  # what it was set for is over
        elif self._choked:
            self.transport.abortConnection()
        elif self._reader.within:
            self._refuse(too_slow())
        else:
            self.close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._leave_place()
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
        protocol.place, self._place = self._place, FREE
        if isinstance(transport, ProtocolWrapper):  # TLS
            transport.wrappedProtocol = cast(IProtocol, protocol)
        else:
            transport.protocol = protocol
        self._pause(False)
        protocol.makeConnection(transport)
        if rest:
            protocol.dataReceived(rest)
