"""The front door: one port for pages, polls, streams and WebSockets.

A :class:`~afeed.web.connection.HttpConnection` reads requests with deadlines and limits, checks whom they are
for, and hands each to the router: the hot paths are answered here without a ``twisted.web`` object, a WebSocket
leaves with the transport, and everything else becomes a ``twisted.web`` request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import Protocol as Typed
from wsgiref.handlers import format_date_time

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from afeed.core.http import Header, Names
from afeed.core.wheel import Wheel
from afeed.settings import Server
from afeed.web.admission import Admission
from afeed.web.connection import HttpConnection
from afeed.web.crowd import Crowd, Place
from afeed.web.exchange import Exchange
from afeed.web.headers import security_headers

_log = Logger()


class Upgraded(Typed):
    """What takes a connection over from HTTP; when that is lost, so is the ``place`` that it had."""

    place: Place

    def makeConnection(self, transport: Any) -> None:
        """Answer the handshake and begin."""

    def dataReceived(self, data: bytes) -> None:
        """As of any protocol."""


class Router(Typed):
    """What becomes of requests."""

    def max_body(self, method: bytes, path: bytes) -> int:
        """How many bytes of body ``path`` takes."""

    def any_host(self, path: bytes, internal: bool) -> bool:
        """Whether ``path`` may be asked for under any host name."""

    def handle(self, exchange: Exchange) -> None:
        """Answer ``exchange``, now or later."""

    def upgrade(self, exchange: Exchange) -> Upgraded | None:
        """The protocol that takes the connection over and answers the handshake, or None after answering
        ``exchange`` with a refusal."""


class Front(Factory):
    """Listens.  ``counted`` is called once per request; ``crowd`` has the places."""

    noisy = False

    def __init__(
        self,
        server: Server,
        router: Router,
        clock: IReactorTime,
        now: Callable[[], float],
        counted: Callable[[], None],
        crowd: Crowd,
    ) -> None:
        self.server = server
        self.router = router
        self.clock = clock
        self.admission = Admission(server, Names(server.public_url, server.cors_origins), router)
        self.protection = tuple(security_headers(server))
        self.deadlines: Wheel[HttpConnection] = Wheel()
        self.connections: set[HttpConnection] = set()
        self.counted = counted
        self.crowd = crowd
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
