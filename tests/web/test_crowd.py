"""At most so many connections of one address, and nobody counted who has left."""

from __future__ import annotations

import socket
import struct
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
    serverFromString,
    wrapClientTLS,
)
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase

from afeed.settings import Server
from afeed.transports import websocket
from afeed.web.connection import HEAD_S, IDLE_S, LINGER_S
from afeed.web.crowd import FREE, MOST_STANDING, RETRY_S, STANDING_S, WARN_S, Crowd, Place
from tests.servers.certificates import Authority
from tests.web.serving import TOKEN, UPGRADE, Caller, House, LiveHouse, Wire, eventually, request

#: Room for two of each address; what comes from 127.0.0.1 is internal, what comes from 10.0.0.0/8 a proxy.
SMALL = Server(
    public_url="http://feed.example",
    internal=(ip_network("127.0.0.1/32"),),
    trusted_proxies=(ip_network("10.0.0.0/8"),),
    max_connections_per_address=2,
)
ADDRESS = "192.0.2.7"
STREAM = request("/e/stream")
WAIT = request("/e/updates?since=0&wait=30")
SOCKET = request("/e/ws", *UPGRADE)


class Warnings:
    """The warnings that are logged meanwhile."""

    def __init__(self, case: SynchronousTestCase) -> None:
        self.found: list[str] = []
        globalLogPublisher.addObserver(self)
        case.addCleanup(globalLogPublisher.removeObserver, self)

    def __call__(self, event: dict[str, Any]) -> None:
        if event.get("log_namespace") == "afeed.web.crowd":
            self.found.append(event["log_format"].format(**event))


class CrowdTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.turned_away = 0
        self.crowd = Crowd(SMALL, self.clock.seconds, self._count, lambda accepted: accepted.encode())

    def _count(self) -> None:
        self.turned_away += 1

    def admit(self, peer: str = ADDRESS) -> Place:
        place = self.crowd.admit(peer)
        assert place is not None
        return place

    def test_there_is_room_for_so_many_of_one_address(self) -> None:
        places = [self.admit() for _ in range(3)]
        self.assertEqual([place.full for place in places], [False, False, True])
        self.assertEqual((self.crowd.largest(), self.turned_away), (2, 1))
        self.assertFalse(self.admit("192.0.2.8").full)

    def test_who_leaves_makes_room(self) -> None:
        first, second, third = (self.admit() for _ in range(3))
        third.leave()
        self.assertTrue(self.admit().full)
        first.leave()
        self.assertFalse(self.admit().full)
        self.assertEqual(self.crowd.largest(), 2)
        second.leave()

    def test_nothing_is_remembered_of_who_has_left(self) -> None:
        places = [self.admit(address) for address in (ADDRESS, ADDRESS, ADDRESS, "2001:db8::1")]
        self.assertEqual(len(self.crowd), 2)
        for place in places:
            place.leave()
        self.assertEqual((len(self.crowd), self.crowd.largest()), (0, 0))

    def test_a_network_of_ipv6_is_one_address_and_an_ipv4_address_is_one_however_it_is_written(self) -> None:
        self.assertEqual([self.admit(f"2001:db8::{n}").full for n in range(3)], [False, False, True])
        self.assertFalse(self.admit("2001:db8:0:1::1").full)
        self.assertEqual(
            [self.admit(name).full for name in (f"::ffff:{ADDRESS}", ADDRESS, ADDRESS)], [False, False, True]
        )

    def test_who_is_inside_and_proxies_are_not_counted(self) -> None:
        for peer in ("127.0.0.1", "::ffff:127.0.0.1", "10.1.2.3"):
            for _ in range(5):
                self.assertIs(self.crowd.admit(peer), FREE)
        self.assertEqual(len(self.crowd), 0)
        self.assertTrue(self.crowd.is_proxy("10.1.2.3"))
        self.assertFalse(self.crowd.is_proxy("127.0.0.1"))

    def test_no_more_wait_to_be_told_than_there_is_room_for(self) -> None:
        places = [self.admit() for _ in range(2 + MOST_STANDING)]
        self.assertIsNone(self.crowd.admit(ADDRESS))
        self.assertEqual(self.turned_away, MOST_STANDING + 1)
        places[-1].leave()
        self.assertIsNotNone(self.crowd.admit(ADDRESS))

    def test_one_warning_for_an_address_and_minute(self) -> None:
        warnings = Warnings(self)
        for address in (ADDRESS, ADDRESS, "2001:db8::1"):
            for _ in range(5):
                self.crowd.admit(address)
        self.assertEqual([line.split()[0] for line in warnings.found], [ADDRESS, "2001:db8::/64"])
        self.assertIn("has 2 connections open", warnings.found[0])
        self.clock.advance(WARN_S - 1)
        self.crowd.admit(ADDRESS)
        self.assertEqual(len(warnings.found), 2)
        self.clock.advance(1)
        self.crowd.admit(ADDRESS)
        self.assertEqual(len(warnings.found), 3)

    def test_warnings_about_very_many_addresses_are_bounded(self) -> None:
        warnings = Warnings(self)
        for number in range(2000):
            for _ in range(3):
                self.crowd.admit(f"198.51.{number // 250}.{number % 250}")
        self.assertEqual((len(warnings.found), len(self.crowd._warned)), (1000, 1000))
        self.clock.advance(WARN_S)
        self.crowd.admit("198.51.0.0")
        self.assertEqual((len(warnings.found), len(self.crowd._warned)), (1001, 1))


class TurnedAwayTests(SynchronousTestCase):
    """What clients see of it, byte by byte."""

    def setUp(self) -> None:
        self.house = House(server=SMALL)
        self.addCleanup(self.house.stop)

    def call(self, data: bytes = b"", peer: str = ADDRESS) -> Caller:
        return self.house.call(data, peer)

    def fill(self, peer: str = ADDRESS) -> list[Caller]:
        return [self.call(peer=peer) for _ in range(2)]

    def metric(self) -> str:
        lines = self.house.metrics.text().decode().splitlines()
        return next(line.split()[1] for line in lines if line.startswith("afeed_turned_away_total"))

    def assert_turned_away(self, caller: Caller) -> None:
        answer = caller.answer
        self.assertEqual((answer.status, answer.error), (429, "too_many_connections"))
        self.assertEqual(answer.headers["retry-after"], str(RETRY_S))
        self.assertEqual(answer.headers["cache-control"], "no-store")
        self.assertEqual(answer.headers["connection"], "close")
        self.assertTrue(caller.closed)

    def test_one_too_many_is_told_so_and_let_go(self) -> None:
        self.fill()
        for data in (request("/e/updates?since=0&wait=0"), STREAM, SOCKET, request("/e"), request("/healthz")):
            caller = self.call(data)
            self.assert_turned_away(caller)
            caller.leave()
        self.assertEqual((self.metric(), len(self.house.page_requests)), ("5.0", 0))

    def test_those_who_are_here_are_served_as_before(self) -> None:
        here, _ = self.fill()
        self.call(STREAM)
        for _ in range(3):
            here.send(request("/e/updates?since=0&wait=0"))
        self.assertEqual([answer.status for answer in here.answers], [200] * 3)

    def test_another_address_is_served(self) -> None:
        self.fill()
        self.assertEqual(self.call(request("/e/updates?since=0&wait=0"), "192.0.2.8").answer.status, 200)

    def test_people_get_a_page(self) -> None:
        self.fill()
        answer = self.call(request("/e", "Accept: text/html,*/*;q=0.8")).answer
        self.assertEqual((answer.status, answer.body), (429, b"<!doctype html>crowd"))
        self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")
        self.assertIn("default-src 'none'", answer.headers["content-security-policy"])
        self.assertEqual(answer.headers["retry-after"], str(RETRY_S))

    def test_a_body_is_not_waited_for(self) -> None:
        self.fill()
        head = request("/e/items", f"Authorization: Bearer {TOKEN}", "Content-Length: 100000", method="POST")
        self.assert_turned_away(self.call(head))

    def test_who_says_nothing_is_let_go_soon(self) -> None:
        self.fill()
        silent = self.call()
        self.house.pass_time(STANDING_S + 2)
        self.assertTrue(silent.closed)
        slow = self.call(b"GET / HTTP/1.1\r\n")
        self.house.pass_time(HEAD_S + LINGER_S + 3)
        self.assertTrue(slow.closed)

    def test_a_flood_is_cut_off_unheard(self) -> None:
        self.fill()
        standing = [self.call() for _ in range(MOST_STANDING)]
        flood = [self.call(request("/e")) for _ in range(5)]
        self.assertEqual([(one.received, one.closed) for one in flood], [(b"", True)] * 5)
        self.assertFalse(any(one.closed for one in standing))
        for one in (*flood, *standing):
            one.leave()
        self.assertEqual(len(self.house.crowd), 1)

    def test_who_is_let_go_for_being_idle_makes_room(self) -> None:
        here = self.fill()
        self.house.pass_time(IDLE_S + 2)
        self.assertTrue(all(one.closed for one in here))
        for one in here:
            one.leave()
        self.assertEqual(len(self.house.crowd), 0)


class ProxiedTests(SynchronousTestCase):
    """Behind a proxy the client counts whom it names, for as long as something is done for it."""

    def setUp(self) -> None:
        self.house = House(server=SMALL)
        self.addCleanup(self.house.stop)

    def call(self, path: str, *headers: str, client: str = ADDRESS, peer: str = "10.0.0.1") -> Caller:
        return self.house.call(request(path, f"X-Forwarded-For: {client}", *headers), peer)

    def here(self) -> int:
        return self.house.crowd.largest()

    def test_sockets_streams_and_waiting_polls_count(self) -> None:
        for path, *headers in (("/e/ws", *UPGRADE), ("/e/stream",), ("/e/updates?since=0&wait=30",)):
            callers = [self.call(path, *headers) for _ in range(2)]
            self.assertEqual(self.here(), 2, path)
            refused = self.call("/e/ws", *UPGRADE)
            self.assertEqual(refused.answer.status, 429, path)
            other = self.call("/e/stream", client="192.0.2.8")
            self.assertEqual(other.received[:15], b"HTTP/1.1 200 OK")
            for caller in (*callers, refused):
                caller.leave()
            self.assertEqual(self.here(), 1, path)
            other.leave()
            self.assertEqual(self.here(), 0, path)

    def test_a_connection_that_a_proxy_keeps_counts_for_nobody(self) -> None:
        proxy = self.call("/e/updates?since=0&wait=0")
        for number in range(50):
            proxy.send(request("/e/updates?since=0&wait=0", f"X-Forwarded-For: 198.51.100.{number}"))
        self.assertEqual([answer.status for answer in proxy.answers], [200] * 51)
        self.assertEqual(len(self.house.crowd), 0)

    def test_a_poll_that_was_answered_counts_no_more(self) -> None:
        self.call("/e/updates?since=0&wait=30")
        self.call("/e/updates?since=0&wait=30")
        self.assertEqual(self.here(), 2)
        self.house.post()
        self.assertEqual(self.here(), 0)

    def test_a_poll_whose_time_is_over_counts_no_more(self) -> None:
        self.call("/e/updates?since=0&wait=5")
        self.assertEqual(self.here(), 1)
        self.house.pass_time(7)
        self.assertEqual(self.here(), 0)

    def test_the_connection_of_the_proxy_stays_after_a_refusal(self) -> None:
        self.call("/e/stream")
        self.call("/e/stream")
        proxy = self.call("/e/updates?since=0&wait=0")
        self.assertEqual((proxy.answer.status, proxy.closed), (429, False))
        proxy.send(request("/e/updates?since=0&wait=0", "X-Forwarded-For: 192.0.2.8"))
        self.assertEqual([answer.status for answer in proxy.answers], [429, 200])

    def test_who_is_not_named_is_not_counted(self) -> None:
        for header in ("X-Forwarded-For: unknown", "X-Forwarded-For: 10.0.0.2", "Via: 1.1 proxy"):
            for _ in range(4):
                caller = self.house.call(request("/e/stream", header), "10.0.0.1")
                self.assertEqual(caller.received[:15], b"HTTP/1.1 200 OK")
        self.assertEqual(len(self.house.crowd), 0)

    def test_what_a_stranger_claims_is_not_believed(self) -> None:
        for number in range(3):
            caller = self.call("/e/stream", client=f"198.51.100.{number}", peer=ADDRESS)
        self.assertEqual(caller.answer.status, 429)

    def test_a_socket_that_is_refused_for_another_reason_counts_no_more(self) -> None:
        caller = self.call("/e/ws", *UPGRADE, "Origin: https://evil.example")
        self.assertEqual(caller.answer.status, 403)
        self.assertEqual(self.here(), 0)


class EndingTests(TestCase):
    """With real sockets: however a connection ends, nobody is counted afterwards."""

    async def open(self, interface: str = "127.0.0.1", endpoint: Any = None) -> LiveHouse:
        from twisted.internet import reactor

        # Whoever does not answer a goodbye is cut off after this.
        self.patch(websocket, "LAST_WORDS_S", 0.2)
        self.live = LiveHouse(reactor, server=SMALL)
        await self.live.open(interface, endpoint)
        self.addCleanup(lambda: self._closed())
        return self.live

    def _closed(self) -> Any:
        from twisted.internet.defer import Deferred

        return Deferred.fromCoroutine(self.live.close())

    async def connect(self, data: bytes = b"") -> Wire:
        """A client whose address is not internal."""
        port = self.live.port.getHost().port
        endpoint = TCP4ClientEndpoint(self.live.reactor, "127.0.0.1", port, bindAddress=("127.0.0.2", 0))
        return await self.live.connect(data, endpoint=endpoint)

    async def until(self, wire: Wire, *parts: bytes) -> None:
        await wire.until(lambda: all(part in wire.received for part in parts), self.live.reactor)

    async def ends(self, data: bytes, seen: bytes, end: Callable[[Wire], object]) -> None:
        """After ``data`` and once ``seen`` came back, ``end`` leaves nobody."""
        crowd = self.live.house.crowd
        wire = await self.connect(data)
        if seen:
            await self.until(wire, seen)
        await eventually(self.live.reactor, lambda: crowd.largest() == 1)
        found = end(wire)
        if isinstance(found, Awaitable):
            await found
        await eventually(self.live.reactor, lambda: len(crowd) == 0)

    async def test_ws_38_the_third_is_turned_away_and_comes_in_when_there_is_room(self) -> None:
        await self.open()
        first = await self.connect(request("/e/updates?since=0&wait=0"))
        second = await self.connect(SOCKET)
        await self.until(second, b"hello")
        third = await self.connect(SOCKET)
        await third.until(lambda: third.closed, self.live.reactor)
        self.assertIn(b"HTTP/1.1 429 Too Many Requests\r\n", third.received)
        self.assertIn(b"\r\nRetry-After: 30\r\n", third.received)
        self.assertIn(b'{"error":"too_many_connections"', third.received)
        first.transport.abortConnection()
        await eventually(self.live.reactor, lambda: self.live.house.crowd.largest() == 1)
        fourth = await self.connect(SOCKET)
        await self.until(fourth, b"hello")

    async def test_the_client_ends_it(self) -> None:
        await self.open()
        poll = request("/e/updates?since=0&wait=0")
        for data, seen in (
            (b"", b""),
            (b"GET / HT", b""),
            (poll, b"200 OK"),
            (WAIT, b""),
            (STREAM, b"hello"),
            (SOCKET, b"hello"),
        ):
            await self.ends(data, seen, lambda wire: wire.transport.loseConnection())
            await self.ends(data, seen, lambda wire: wire.transport.abortConnection())
            await self.ends(data, seen, lambda wire: wire.transport.loseWriteConnection())
            await self.ends(data, seen, _reset)

    async def test_a_websocket_says_goodbye(self) -> None:
        await self.open()
        close = b"\x88\x82\0\0\0\0\x03\xe8"
        text = b"\x81\x85\0\0\0\0hello"
        for said in (close, text, b"\x89\x80\0\0\0\0" + close, b"\xff" * 20):
            await self.ends(SOCKET, b"hello", lambda wire, said=said: wire.send(said))

    async def test_the_server_ends_it(self) -> None:
        await self.open()
        await self.ends(request("/nothing", "Connection: close")[:-2], b"", lambda wire: wire.send(b"\r\n"))
        await self.ends(b"GET / HTTP/1.1\r\nHost: feed.example\r\n", b"", lambda wire: wire.send(b"\0\r\n\r\n"))
        house = self.live.house
        for data in (STREAM, SOCKET):
            await self.ends(data, b"hello", lambda wire: house.hub.stop(0))
            house.hub.start()
        await self.ends(b"", b"", lambda wire: house.front.stop())
        house.front.doStart()

    async def test_a_handshake_that_fails(self) -> None:
        await self.open()
        bad = request("/e/ws", *UPGRADE, "Origin: https://evil.example")
        await self.ends(bad[:-2], b"", lambda wire: wire.send(b"\r\n"))

    async def test_over_tls(self) -> None:
        from twisted.internet import reactor

        folder = Path(self.mktemp())
        folder.mkdir()
        certificate, key = Authority(folder).issue("127.0.0.1")
        listen = f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={certificate}"
        await self.open(endpoint=serverFromString(reactor, listen.replace("\\", "\\\\")))
        port = self.live.port.getHost().port
        crowd = self.live.house.crowd
        plain = TCP4ClientEndpoint(reactor, "127.0.0.1", port, bindAddress=("127.0.0.2", 0))
        for data in (request("/e/updates?since=0&wait=0"), STREAM, SOCKET):
            for end in ("loseConnection", "abortConnection"):
                wire = await self.live.connect(data, endpoint=wrapClientTLS(CertificateOptions(), plain))
                await self.until(wire, b"HTTP/1.1 ")
                self.assertEqual(crowd.largest(), 1)
                getattr(wire.transport, end)()
                await eventually(reactor, lambda: len(crowd) == 0)
        # One that never begins to speak TLS is one as well.
        wire = await self.connect()
        await eventually(reactor, lambda: crowd.largest() == 1)
        wire.send(b"GET / HTTP/1.1\r\n\r\n")
        await eventually(reactor, lambda: len(crowd) == 0)

    async def test_who_comes_by_a_unix_socket_is_not_counted(self) -> None:
        from twisted.internet import reactor

        path = str(Path(self.mktemp()))
        await self.open(endpoint=UNIXServerEndpoint(reactor, path))
        for _ in range(4):
            wire = await self.live.connect(STREAM, endpoint=UNIXClientEndpoint(reactor, path))
            await self.until(wire, b"200 OK")
        self.assertEqual(len(self.live.house.crowd), 0)


def _reset(wire: Wire) -> None:
    """Leave without a goodbye: the other side gets a reset."""
    handle = wire.transport.getHandle()
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.transport.abortConnection()
