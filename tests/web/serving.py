"""The whole front door over a log and an archive in memory, and clients that speak HTTP to it byte by byte."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from typing import Any

import attrs
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from afeed.core.calendar import Period
from afeed.core.change import timestamp
from afeed.core.health import Check
from afeed.core.http import Names
from afeed.hub import Hub
from afeed.metrics import Metrics
from afeed.settings import Secret, Server
from afeed.sources.push import Gate, Push
from afeed.transports.router import Routes
from afeed.transports.stage import Stages
from afeed.transports.websocket import websocket_factory
from afeed.web.crowd import Crowd
from afeed.web.exchange import Exchange
from afeed.web.front import Front
from afeed.web.health import Health
from tests.fakes import MemoryArchive, MemoryLog, a_post, strain

NOW = 1_800_000_000.0
#: When the event takes pushes.
OPEN = Period(NOW - 86_400, NOW + 7 * 86_400)
TOKEN = "correct-horse-battery-staple"
SERVER = Server(public_url="http://feed.example", trusted_proxies=(ip_network("10.0.0.0/8"),))
UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)
#: Nothing here takes longer, on a busy machine either; a condition that is not met by then never will be.
DEADLINE_S = 60


@attrs.frozen
class Answer:
    """``headers`` have lower-case names; each is expected once."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"])


def answers(data: bytes, heads: int = 0) -> list[Answer]:
    """The complete answers at the beginning of ``data``; the first ``heads`` of them have no body because the
    request was HEAD."""
    found: list[Answer] = []
    while b"\r\n\r\n" in data:
        head, _, rest = data.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            assert name.lower() not in headers, f"{name} came twice"
            headers[name.lower()] = value
        code = int(status.split()[1])
        if code < 200 or len(found) < heads:
            body = b""
        elif "content-length" in headers:
            length = int(headers["content-length"])
            if len(rest) < length:
                break
            body, rest = rest[:length], rest[length:]
        elif headers.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                size, _, rest = rest.partition(b"\r\n")
                chunk, rest = rest[: int(size, 16)], rest[int(size, 16) + 2 :]
                if not chunk:
                    break
                body += chunk
        else:
            body, rest = rest, b""
        found.append(Answer(code, headers, body))
        data = rest
    return found


def request(
    target: str | bytes, *headers: str, method: str = "GET", body: bytes = b"", version: str = "1.1"
) -> bytes:
    """A request to the house's own name."""
    path = target if isinstance(target, bytes) else target.encode("ascii")
    lines = [f"{method} ".encode() + path + f" HTTP/{version}".encode(), b"Host: feed.example"]
    lines += [header.encode("latin-1") for header in headers]
    if body:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Line(StringTransport):
    """Forgives to have nothing unregistered, as real transports do."""

    def unregisterProducer(self) -> None:
        self.producer = self.streaming = None


class Caller:
    """A connection without a network: bytes in, bytes out."""

    def __init__(self, front: Front, peer: str = "127.0.0.1") -> None:
        self.transport = Line(peerAddress=IPv4Address("TCP", peer, 4711))
        self.protocol: Any = front.buildProtocol(None)
        self.transport.protocol = self.protocol
        self.protocol.makeConnection(self.transport)

    def send(self, data: bytes) -> Caller:
        # An upgrade replaces the transport's protocol.
        self.transport.protocol.dataReceived(data)
        return self

    def leave(self) -> None:
        self.transport.protocol.connectionLost(Failure(ConnectionDone()))

    @property
    def received(self) -> bytes:
        return self.transport.value()

    @property
    def answers(self) -> list[Answer]:
        return answers(self.received)

    @property
    def answer(self) -> Answer:
        (only,) = self.answers
        return only

    @property
    def closed(self) -> bool:
        return self.transport.disconnecting or self.transport.disconnected


class House:
    """One event, ``e``, that takes pushes.  ``pages`` answers what is none of the hot paths (default: 404)."""

    def __init__(
        self,
        clock: Any = None,
        *,
        window: int = 1000,
        server: Server = SERVER,
        pages: Callable[[Exchange], None] | None = None,
        started: bool = True,
        spread: Callable[[int], int] = lambda most: most,
    ) -> None:
        self.clock = Clock() if clock is None else clock
        self.now = NOW
        self.log = MemoryLog(["e"], window=window)
        self.archive = MemoryArchive()
        self.metrics = Metrics(lambda: self.now)
        self.hub = Hub({"e": lambda item: f"<p>{item.text}</p>"}, self.log, self.archive, self.clock, window)
        self.channel = self.hub.channels["e"]
        self.push = Push({"e": Gate(token=Secret(TOKEN), open=OPEN)}, self.log, self.metrics, lambda: self.now)
        self.page_requests: list[Exchange] = []
        self.stages = Stages(self.hub.channels, self.clock, self.metrics, spread)
        self.routes = Routes(
            self.stages.of,
            self.push,
            pages or self._no_page,
            websocket_factory(self.clock),
            Names(server.public_url, server.cors_origins),
        )
        self.checks: list[Check] = []
        self.is_ready = True
        self.routes.answer(
            Health(lambda: self.checks, lambda: self.is_ready, self.stages.viewers, self.metrics).paths
        )
        self.requests = 0
        self.crowd = Crowd(
            server, self.clock.seconds, self.metrics.turned_away.inc, lambda accepted: b"<!doctype html>crowd"
        )
        self.front = Front(server, self.routes, self.clock, lambda: self.now, self._counted, self.crowd)
        self.posted = 0
        if started:
            self.start()

    def start(self) -> None:
        self.hub.start()
        self.stages.start()
        self.front.doStart()

    def stop(self) -> None:
        self.hub.stop()
        self.routes.stop()
        self.stages.stop()
        self.front.stop()

    def _counted(self) -> None:
        self.requests += 1

    def _no_page(self, exchange: Exchange) -> None:
        self.page_requests.append(exchange)
        exchange.error(404, "not_found", "no such page")

    # -- the feed

    def post(self, count: int = 1, text: str = "hello") -> None:
        self.log.append("e", None, [a_post(self.posted + n + 1, text) for n in range(count)])
        self.posted += count

    def strain(self) -> None:
        """Let the archive have everything, and the log no more than its window."""
        strain(self.log, self.archive, "e")

    # -- clients

    def call(self, data: bytes = b"", peer: str = "127.0.0.1") -> Caller:
        caller = Caller(self.front, peer)
        if data:
            caller.send(data)
        return caller

    def ask(self, target: str | bytes, *headers: str, peer: str = "127.0.0.1", **options: Any) -> Answer:
        """What is answered in the same turn."""
        heads = 1 if options.get("method") == "HEAD" else 0
        (only,) = answers(self.call(request(target, *headers, **options), peer).received, heads)
        return only

    def pass_time(self, seconds: int) -> None:
        """Let ``seconds`` pass, one at a time."""
        for _ in range(seconds):
            self.now += 1
            self.clock.advance(1)

    def nobody_is_left(self) -> bool:
        """Whether every trace of every client is gone."""
        return (
            not self.front.connections
            and not len(self.front.deadlines)
            and not len(self.crowd)
            and not any(self.stages.viewers().values())
        )


class Wire(Protocol):
    """A client on a real connection."""

    transport: Any

    def __init__(self) -> None:
        self.received = b""
        self.closed = False
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self._look()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.closed = True
        self._look()

    def _look(self) -> None:
        for condition, waiting in tuple(self._waiting):
            if condition():
                self._waiting.remove((condition, waiting))
                waiting.callback(None)

    def until(self, condition: Callable[[], bool], reactor: Any) -> Deferred[None]:
        """Fires once ``condition`` holds; looked at whenever something arrives."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append((condition, waiting))
        self._look()
        return waiting.addTimeout(DEADLINE_S, reactor)

    def send(self, data: bytes) -> Wire:
        self.transport.write(data)
        return self


class LiveHouse:
    """A :class:`House` on a real port of the loopback interface."""

    def __init__(self, reactor: Any, **options: Any) -> None:
        self.reactor = reactor
        self.house = House(reactor, **options)
        self.wires: list[Wire] = []

    async def open(self, interface: str = "127.0.0.1", endpoint: Any = None) -> LiveHouse:
        endpoint = endpoint or TCP4ServerEndpoint(self.reactor, 0, interface=interface)
        self.port = await endpoint.listen(self.house.front)
        return self

    async def connect(self, data: bytes = b"", wire: Wire | None = None, endpoint: Any = None) -> Wire:
        address = self.port.getHost()
        endpoint = endpoint or HostnameEndpoint(self.reactor, b"127.0.0.1", address.port)
        found = await connectProtocol(endpoint, wire or Wire())
        self.wires.append(found)
        if data:
            found.send(data)
        return found

    async def close(self) -> None:
        await self.port.stopListening()
        self.house.stop()
        for wire in self.wires:
            if not wire.closed:
                wire.transport.abortConnection()
                await wire.until(lambda wire=wire: wire.closed, self.reactor)
        await eventually(self.reactor, self.house.nobody_is_left)


async def eventually(reactor: Any, condition: Callable[[], bool]) -> None:
    """Look at ``condition`` turn after turn until it holds; an AssertionError when it does not in time."""
    end = reactor.seconds() + DEADLINE_S
    while not condition():
        if reactor.seconds() > end:
            raise AssertionError("the condition was not met in time")
        turn: Deferred[None] = Deferred()
        reactor.callLater(0.005, turn.callback, None)
        await turn


def seqs(updates: Answer) -> Sequence[int]:
    """The numbers of the changes in the answer to a poll."""
    return [change["seq"] for change in updates.json["changes"]]


def at(seq: int) -> str:
    """The time the memory log gives to ``seq``."""
    return timestamp(NOW + seq)
