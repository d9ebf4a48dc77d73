"""Finding the server and connecting to it."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from afeed.core.errors import LogUnavailable
from afeed.livelog.link import CONNECT_SECONDS, Link
from afeed.livelog.redis_address import parse_redis_url
from afeed.livelog.redis_wire import Connector, RedisWire, _Protocol
from tests.livelog.contract import eventually
from tests.livelog.patience import Stopwatch


class _Silent(Protocol):
    """Accepts and never answers."""

    def connectionMade(self) -> None:
        self.factory.accepted.append(self)  # type: ignore[union-attr]


class _Sentinel(Protocol):
    """Answers everything with one address."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"*2\r\n$9\r\n127.0.0.1\r\n$4\r\n7001\r\n")  # type: ignore[union-attr]


class EndTests(TestCase):
    def test_nothing_is_read_from_a_connection_that_has_ended(self) -> None:
        protocol = _Protocol()
        protocol.makeConnection(StringTransport())
        sent = RedisWire(protocol).send("HGETALL", "key")
        protocol.dataReceived(b"*2\r\n$1\r\na\r\n$1\r\nb\r\n")
        protocol.connectionLost(Failure(ConnectionDone()))
        self.failureResultOf(sent, LogUnavailable)
        self.assertEqual(reactor.getDelayedCalls(), [])


class CancelTests(TestCase):
    async def test_who_gives_up_leaves_the_answer_to_nobody_else(self) -> None:
        protocol = _Protocol()
        protocol.makeConnection(StringTransport())
        wire = RedisWire(protocol)
        given_up, waiting = wire.send("GET", "a"), wire.send("GET", "b")
        given_up.cancel()
        self.failureResultOf(given_up, CancelledError)
        protocol.dataReceived(b"$1\r\na\r\n$1\r\nb\r\n")
        self.assertEqual(await waiting, b"b")

    def test_an_error_that_nobody_waits_for_is_none(self) -> None:
        protocol = _Protocol()
        protocol.makeConnection(StringTransport())
        given_up = RedisWire(protocol).send("GET", "a")
        given_up.cancel()
        self.failureResultOf(given_up, CancelledError)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.flushLoggedErrors(), [])


class SentinelTests(TestCase):
    def setUp(self) -> None:
        self.accepted: list[Protocol] = []

    def listen(self, protocol: type[Protocol]) -> str:
        factory = Factory.forProtocol(protocol)
        factory.accepted = self.accepted  # type: ignore[attr-defined]
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return f"127.0.0.1:{port.getHost().port}"

    def connector(self, *sentinels: str) -> Connector:
        return Connector(parse_redis_url(f"redis+sentinel://{','.join(sentinels)}/feed"), reactor)

    async def ended(self) -> None:
        """Wait until nobody is connected to a silent sentinel any more."""
        await eventually(lambda: all(not p.transport.connected for p in self.accepted), "ended connections")

    async def test_a_cancelled_search_asks_no_further_sentinel(self) -> None:
        connector = self.connector(self.listen(_Silent), self.listen(_Silent))
        searching: Deferred[Any] = Deferred.fromCoroutine(connector._master())
        await eventually(lambda: self.accepted, "the first sentinel")
        searching.cancel()
        with self.assertRaises(CancelledError):
            await searching
        await self.ended()
        self.assertEqual(len(self.accepted), 1)

    async def test_sentinels_that_are_silent_leave_time_for_the_one_that_answers(self) -> None:
        connector = self.connector(*(self.listen(_Silent) for _ in range(4)), self.listen(_Sentinel))
        took = Stopwatch()
        self.assertEqual(await connector._master(), ("127.0.0.1", 7001))
        self.assertLess(took.stop(), CONNECT_SECONDS)
        await self.ended()

    async def test_stop_is_prompt_while_sentinels_are_silent(self) -> None:
        connector = self.connector(*(self.listen(_Silent) for _ in range(3)))

        async def use(wire: RedisWire) -> None:
            raise AssertionError("there is nothing to use")

        link: Link[RedisWire] = Link("Redis", connector.connect, use, lambda: None, reactor, Random(1))
        link.start()
        await eventually(lambda: self.accepted, "the first sentinel")
        stopped = link.stop()
        await deferLater(reactor, 0)
        self.assertTrue(stopped.called)
        await self.ended()
