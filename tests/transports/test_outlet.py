"""Writing past the transport's buffer: every byte, once, in order, whatever the reader does."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    SSL4ServerEndpoint,
    TCP4ServerEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
    connectProtocol,
    wrapClientTLS,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    PrivateCertificate,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.trial.unittest import SynchronousTestCase, TestCase

from afeed.transports.outlet import BufferedOutlet, DirectOutlet, outlet_for
from tests.transports.frames import TEXT, after_handshake
from tests.web.serving import UPGRADE, Line, LiveHouse, Wire, eventually, request


class Served(Protocol):
    """The server's side of a connection."""

    lost = False

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True


async def turn(reactor: Any, seconds: float = 0) -> None:
    """One turn of the reactor, or a few."""
    waiting: Deferred[None] = Deferred()
    reactor.callLater(seconds, waiting.callback, None)
    await waiting


class FakeSocket:
    """Takes as much as ``room`` says; None raises, as a full or broken socket does."""

    def __init__(self, *room: int | Exception) -> None:
        self.room = list(room)
        self.sent = b""

    def send(self, data: bytes) -> int:
        room = self.room.pop(0)
        if isinstance(room, Exception):
            raise room
        self.sent += data[:room]
        return min(room, len(data))


class FakeTransport:
    """What a DirectOutlet uses of a TCP transport; ``empty`` drains it as the reactor would."""

    def __init__(self, *room: int | Exception) -> None:
        self.socket = FakeSocket(*room)
        self.dataBuffer = b""
        self._tempDataBuffer: list[bytes] = []
        self.disconnecting = False
        self.connected = True
        self.producer: Any = None

    def write(self, data: bytes) -> None:
        self._tempDataBuffer.append(data)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert self.producer is None
        assert not streaming
        self.producer = producer
        producer.resumeProducing()

    def unregisterProducer(self) -> None:
        self.producer = None

    def empty(self) -> None:
        self.socket.sent += self.dataBuffer + b"".join(self._tempDataBuffer)
        self._tempDataBuffer.clear()
        self.dataBuffer = b""
        if self.producer is not None:
            self.producer.resumeProducing()


class DirectOutletTests(SynchronousTestCase):
    def outlet(self, *room: int | Exception) -> DirectOutlet:
        self.drained = 0

        def count() -> None:
            self.drained += 1

        self.transport = FakeTransport(*room)
        return DirectOutlet(self.transport, count)

    def test_what_the_kernel_takes_whole_is_out_at_once(self) -> None:
        outlet = self.outlet(100, 100)
        self.assertTrue(outlet.write(b"one") and outlet.write(b"two"))
        self.assertEqual((self.transport.socket.sent, self.transport.producer), (b"onetwo", None))

    def test_the_rest_of_a_short_write_goes_through_the_transport(self) -> None:
        outlet = self.outlet(2, 100)
        self.assertFalse(outlet.write(b"hello"))
        self.assertEqual((self.transport.socket.sent, self.drained), (b"he", 0))
        self.transport.empty()
        self.assertEqual((self.transport.socket.sent, self.drained), (b"hello", 1))
        self.assertTrue(outlet.write(b"!"))
        self.assertIsNone(self.transport.producer)

    def test_a_full_or_broken_socket_leaves_all_of_it_to_the_transport(self) -> None:
        for error in (BlockingIOError(), BrokenPipeError(), OSError(9, "closed")):
            outlet = self.outlet(error)
            self.assertFalse(outlet.write(b"hello"))
            self.transport.empty()
            self.assertEqual((self.transport.socket.sent, self.drained), (b"hello", 1))

    def test_nothing_overtakes_what_the_transport_still_holds(self) -> None:
        for held in ("dataBuffer", "_tempDataBuffer"):
            outlet = self.outlet()
            setattr(self.transport, held, b"before " if held == "dataBuffer" else [b"before "])
            self.assertFalse(outlet.write(b"behind"))
            self.transport.empty()
            self.assertEqual((self.transport.socket.sent, self.drained), (b"before behind", 1))

    def test_nothing_is_sent_past_a_connection_that_is_being_closed(self) -> None:
        outlet = self.outlet()
        self.transport.disconnecting = True
        self.assertFalse(outlet.write(b"late"))
        self.assertEqual(self.transport._tempDataBuffer, [b"late"])

    def test_waiting_twice_drains_once(self) -> None:
        outlet = self.outlet(0)
        outlet.write(b"a")
        outlet.write(b"b")
        outlet.wait()
        self.transport.empty()
        self.assertEqual((self.transport.socket.sent, self.drained), (b"ab", 1))

    def test_a_released_outlet_is_silent(self) -> None:
        outlet = self.outlet(0)
        outlet.write(b"a")
        outlet.release()
        outlet.release()
        self.transport.empty()
        self.assertEqual((self.drained, self.transport.producer), (0, None))


class BufferedOutletTests(SynchronousTestCase):
    def test_it_is_for_everything_that_is_no_plain_connection(self) -> None:
        line = Line()
        outlet = outlet_for(line, lambda: None)
        self.assertIsInstance(outlet, BufferedOutlet)
        self.assertIs(line.producer, outlet)

    def test_a_paused_transport_is_drained_once(self) -> None:
        drained: list[int] = []
        line = Line()
        outlet = BufferedOutlet(line, lambda: drained.append(1))
        self.assertTrue(outlet.write(b"a"))
        outlet.pauseProducing()
        self.assertFalse(outlet.write(b"b"))
        outlet.resumeProducing()
        outlet.resumeProducing()
        self.assertEqual((drained, line.value()), ([1], b"ab"))
        outlet.release()
        outlet.release()
        self.assertIsNone(line.producer)
        outlet.stopProducing()
        self.assertFalse(outlet.write(b"c"))


class ConnectedCase(TestCase):
    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.drained = 0

    async def connect(self, server: Any, client: Any = None) -> tuple[Served, Wire]:
        made: Deferred[Served] = Deferred()

        class Accepting(Served):
            def connectionMade(self) -> None:
                made.callback(self)

        port = await server.listen(Factory.forProtocol(Accepting))
        self.addCleanup(port.stopListening)
        wire = Wire()
        address = port.getHost()
        client = client or HostnameEndpoint(self.reactor, b"127.0.0.1", address.port)
        await connectProtocol(client, wire)
        served = await made
        self.addCleanup(lambda: Deferred.fromCoroutine(self.hang_up(served, wire)))
        return served, wire

    async def hang_up(self, served: Served, wire: Wire) -> None:
        for end in (served, wire):
            end.transport.abortConnection()  # type: ignore[union-attr]
        await eventually(self.reactor, lambda: served.lost and wire.closed)

    def _drained(self) -> None:
        self.drained += 1


class RealSocketTests(ConnectedCase):
    async def test_a_reader_that_pauses_at_random_gets_every_byte_in_order(self) -> None:
        served, wire = await self.connect(TCP4ServerEndpoint(self.reactor, 0, interface="127.0.0.1"))
        transport: Any = served.transport
        transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        rng = Random(20261121)
        outlet = outlet_for(transport, self._drained)
        self.assertIsInstance(outlet, DirectOutlet)
        written = bytearray()
        behind = False
        was = shorts = pongs = 0
        for number in range(400):
            if rng.random() < 0.2:
                (wire.transport.pauseProducing if rng.random() < 0.5 else wire.transport.resumeProducing)()
            if rng.random() < 0.2:  # somebody else writes through the transport, as autobahn does
                pong = b"<pong %d>" % number
                transport.write(pong)
                written += pong
                pongs += 1
            if behind and self.drained > was:
                behind = False
            if not behind:
                was = self.drained
                data = b"[%d %s]" % (number, bytes([97 + number % 26]) * rng.randrange(20_000))
                written += data
                behind = not outlet.write(data)
                shorts += behind
            if rng.random() < 0.5:
                await turn(self.reactor)
        wire.transport.resumeProducing()
        await wire.until(lambda: len(wire.received) >= len(written), self.reactor)
        self.assertTrue(wire.received == bytes(written), "the streams differ")
        self.assertGreater(min(shorts, self.drained, pongs), 5)
        outlet.release()

    async def test_a_reader_that_stops_costs_one_message_and_is_drained_when_it_goes_on(self) -> None:
        served, wire = await self.connect(TCP4ServerEndpoint(self.reactor, 0, interface="127.0.0.1"))
        wire.transport.pauseProducing()
        transport: Any = served.transport
        outlet = outlet_for(transport, self._drained)
        sent = 0
        message = b"x" * 100_000
        before = -1
        while self.drained > before:  # until the kernel has no room any more; it may be late in making some
            before = self.drained
            while outlet.write(message):
                sent += 1
            sent += 1
            self.assertLess(sent, 1000)
            self.assertLessEqual(transport._tempDataLen + len(transport.dataBuffer), len(message))
            await turn(self.reactor, 0.05)
        wire.transport.resumeProducing()
        await wire.until(lambda: len(wire.received) == sent * len(message), self.reactor)
        await eventually(self.reactor, lambda: self.drained == before + 1)
        self.assertTrue(outlet.write(b"more"))

    async def test_a_reader_that_vanishes_ends_the_connection_and_raises_nothing(self) -> None:
        served, wire = await self.connect(TCP4ServerEndpoint(self.reactor, 0, interface="127.0.0.1"))
        outlet = outlet_for(served.transport, self._drained)
        wire.transport.abortConnection()
        while not served.lost:
            outlet.write(b"x" * 1000)
            await turn(self.reactor)
        outlet.write(b"behind the end")
        outlet.release()

    async def test_a_unix_socket_is_written_directly_too(self) -> None:
        path = self.mktemp()
        served, wire = await self.connect(
            UNIXServerEndpoint(self.reactor, path), UNIXClientEndpoint(self.reactor, path)
        )
        outlet = outlet_for(served.transport, self._drained)
        self.assertIsInstance(outlet, DirectOutlet)
        self.assertTrue(outlet.write(b"hello"))
        await wire.until(lambda: wire.received == b"hello", self.reactor)


def self_signed() -> PrivateCertificate:
    """A certificate for ``localhost`` that nobody else has seen."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    both = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(
        Encoding.PEM
    )
    return PrivateCertificate.loadPEM(both)


class EncryptedTests(TestCase):
    """afeed's own TLS, without a proxy in front."""

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor

    async def open(self) -> LiveHouse:
        certificate = self_signed()
        options: CertificateOptions = certificate.options()
        live = await LiveHouse(self.reactor).open(
            endpoint=SSL4ServerEndpoint(self.reactor, 0, options, interface="127.0.0.1")
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(live.close()))
        trust = trustRootFromCertificates([Certificate.loadPEM(certificate.dumpPEM())])
        self.endpoint = wrapClientTLS(
            optionsForClientTLS("localhost", trustRoot=trust),
            HostnameEndpoint(self.reactor, b"127.0.0.1", live.port.getHost().port),
        )
        return live

    async def test_ordinary_requests_and_refusals(self) -> None:
        live = await self.open()
        wire = await live.connect(request("/readyz") + request("/e/updates?wait=0"), endpoint=self.endpoint)
        await wire.until(lambda: wire.received.count(b"HTTP/1.1 200") == 2, self.reactor)
        wire.send(b"\0")
        await wire.until(lambda: wire.closed, self.reactor)
        self.assertIn(b"HTTP/1.1 400", wire.received)

    async def test_a_websocket_takes_the_encrypted_connection_over(self) -> None:
        live = await self.open()
        wire = await live.connect(request("/e/ws", *UPGRADE), endpoint=self.endpoint)
        await wire.until(lambda: b'"hello"' in wire.received, self.reactor)
        self.assertFalse(live.house.front.connections)
        live.house.post()
        wire.send(b"\x89\x80abcd")
        await wire.until(lambda: b"\x8a\x00" in wire.received and b'"seq":1' in wire.received, self.reactor)

    async def test_a_reader_that_stops_is_behind_and_catches_up(self) -> None:
        live = await self.open()
        wire = await live.connect(request("/e/ws", *UPGRADE), endpoint=self.endpoint)
        await wire.until(lambda: b'"hello"' in wire.received, self.reactor)
        wire.transport.pauseProducing()
        (audience,) = (a for a in live.house.stages.of["e"].audiences.values() if len(a))
        while audience._careful:
            live.house.post(100, "x" * 1000)
            await turn(self.reactor)
        live.house.post(100, "x" * 1000)
        total = live.house.posted
        wire.transport.resumeProducing()
        last = f'"seq":{total},'.encode()
        await wire.until(lambda: last in wire.received, self.reactor)
        await wire.until(lambda: _seqs(wire.received)[-1:] == [total], self.reactor)
        self.assertEqual(_seqs(wire.received), list(range(1, total + 1)))
        await eventually(self.reactor, lambda: bool(audience._careful))


def _seqs(received: bytes) -> list[int]:
    found = [frame.message for frame in after_handshake(received) if frame.opcode == TEXT]
    return [change["seq"] for message in found for change in message.get("changes", ())]
