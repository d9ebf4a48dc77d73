"""The X stream against the simulator on a real socket."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet import reactor, ssl
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import Clock, deferLater
from twisted.internet.tcp import Client
from twisted.trial.unittest import TestCase

from afeed.settings import Secret, XAccount
from afeed.sources.http import make_client
from afeed.sources.x import XStream
from tests.servers.process import PATIENCE_S
from tests.simulators.x import XSimulator
from tests.sources.xcase import TOKEN, RecordingSink

#: After so many seconds without a word a stream counts as dead.
STALL_S = 30.0


def certificate(name: str, days: int) -> ssl.PrivateCertificate:
    """A self-signed certificate for ``name`` that ends in so many days."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    end = datetime.now(UTC) + timedelta(days=days)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=30))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return ssl.PrivateCertificate.loadPEM(built.public_bytes(pem) + private)


class SocketCase(TestCase):
    """A simulator that listens, and a stream that is started by :meth:`start`."""

    timeout = 240
    #: Where a test has put one: what the stream waits by. Else it goes by the real time.
    clock: Clock | None = None

    def setUp(self) -> None:
        self.x = XSimulator(reactor, time.time, token=TOKEN, keepalive_s=0.3)
        self.sink = RecordingSink()
        self.port = self.listen(None)

    def listen(self, shown: ssl.PrivateCertificate | None) -> IListeningPort:
        site = self.x.site()
        if shown is None:
            port = reactor.listenTCP(0, site, interface="127.0.0.1")
        else:
            port = reactor.listenSSL(0, site, shown.options(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return port

    def start(self, url: str | None = None, trust: Any = None) -> None:
        url = url or f"http://127.0.0.1:{self.port.getHost().port}"
        self.stream = XStream(
            XAccount(bearer_token=Secret(TOKEN), api_url=url),
            lambda: {"aea": "#aea"},
            make_client(reactor, trust=trust),
            self.clock or reactor,
            time.time,
            Random(1),
            stall_s=STALL_S,
        )
        self.running = Deferred.fromCoroutine(self.stream.run(self.sink))
        self.addCleanup(self.stop)

    async def stop(self) -> None:
        self.running.addErrback(lambda _: None)
        self.running.cancel()
        await self.until(lambda: not self.x.streams, "the streams to be closed")

    async def until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            self.assertLess(time.monotonic(), deadline, f"waited in vain for {what}")
            await deferLater(reactor, 0.01)
            if self.clock is not None:
                self.clock.advance(0.05)

    async def opened(self) -> None:
        """Wait until the stream is open on both sides and has brought something."""
        await self.until(lambda: self.x.streams, "a stream")
        await self.until(lambda: self.stream.check().data["last_byte_at"], "a keep-alive")

    async def arrived(self, *texts: str) -> None:
        await self.until(lambda: len(self.sink.texts()) >= len(texts), f"{texts}")
        self.assertEqual(self.sink.texts(), list(texts))


class StreamTests(SocketCase):
    async def test_posts_arrive_in_order(self) -> None:
        self.start()
        await self.opened()
        texts = [f"{n} 👋 #aea" for n in range(300)]
        for text in texts:
            self.x.post(text)
        await self.arrived(*texts)
        self.assertEqual(self.stream.check().state, "ok")

    async def reconnects(self, fault: str) -> None:
        self.start()
        await self.opened()
        self.x.post("before #aea")
        await self.arrived("before #aea")
        first = self.x.streams[0]
        self.x.fault(fault)
        await self.until(lambda: self.x.streams and self.x.streams[0] is not first, "another stream")
        self.x.post("after #aea")
        await self.arrived("before #aea", "after #aea")
        self.assertEqual(self.stream.check().data["reconnects"], 1)

    async def test_reconnects_after_an_end_without_a_word(self) -> None:
        await self.reconnects("close")

    async def test_reconnects_after_a_reset(self) -> None:
        await self.reconnects("abort")

    async def test_upstream_36_reconnects_after_a_bad_chunk(self) -> None:
        await self.reconnects("bad-chunk")

    async def test_reconnects_after_an_operational_disconnect(self) -> None:
        await self.reconnects("disconnect")

    async def test_upstream_02_stalled_connection_is_cut_and_replaced(self) -> None:
        self.clock = Clock()
        self.start()
        await self.opened()
        stalled = self.x.streams[0]
        self.x.fault("stall")
        self.clock.advance(STALL_S)
        await self.until(lambda: self.x.streams and self.x.streams[0] is not stalled, "another stream")
        self.assertNotIn(stalled, self.x.streams)
        self.x.post("back #aea")
        await self.arrived("back #aea")

    async def test_stalled_tls_connection_is_cut_although_the_peer_never_answers(self) -> None:
        shown = certificate("localhost", 20)
        port = self.listen(shown)
        url = f"https://localhost:{port.getHost().port}"
        self.clock = Clock()
        self.start(url, ssl.trustRootFromCertificates([shown]))
        await self.opened()
        stalled = self.x.streams[0]
        self.x.fault("stall")
        stalled.request.channel.transport.pauseProducing()  # it does not read our goodbye either
        self.clock.advance(STALL_S)
        await self.until(lambda: self.stream.check().data["reconnects"] == 1, "the watchdog")
        # The server has not noticed and refuses a second stream: nothing may be connected now.
        await self.until(lambda: "TooManyConnections" in self.stream.check().detail, "the second attempt")
        await self.until(lambda: not any(isinstance(r, Client) for r in reactor.getReaders()), "the cut")
        stalled.request.channel.transport.resumeProducing()
        await self.until(lambda: stalled not in self.x.streams, "the server to see the reset")

    async def test_back_pressure_stops_reading_from_the_socket(self) -> None:
        self.start()
        await self.opened()
        self.assertTrue(any(isinstance(reader, Client) for reader in reactor.getReaders()))
        self.sink.holding = True
        count = 4_000  # some 12 MB: more than may be pending and the sockets' buffers hold
        for n in range(count):
            self.x.post(f"{n} " + "x" * 3000 + " #aea")
        await self.until(lambda: "paused" in self.stream.check().detail, "the pause")
        self.assertEqual(len(self.sink.offers), 1)
        # The reactor does not look at the socket any more, so what is pending cannot grow.
        self.assertFalse(any(isinstance(reader, Client) for reader in reactor.getReaders()))
        self.assertLess(self.stream._delivery._size, 6 * 1024 * 1024)
        self.sink.release()
        await self.until(lambda: len(self.sink.texts()) >= count, "all posts")
        numbers = [int(text.partition(" ")[0]) for text in self.sink.texts()]
        self.assertEqual(numbers, list(range(count)))

    async def test_upstream_26_compressed_stream_is_refused(self) -> None:
        self.x.fault("gzip-bomb", times=1)
        self.start()
        await self.until(lambda: "compressed" in self.stream.check().detail, "the fault to be told")
        self.assertEqual(self.stream.check().data["state"], "waiting")
        self.assertEqual(self.sink.drops, [])

    async def test_upstream_34_redirect_is_not_followed(self) -> None:
        elsewhere = XSimulator(reactor, time.time)
        port = reactor.listenTCP(0, elsewhere.site(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.x.fault("redirect", to=f"http://127.0.0.1:{port.getHost().port}/2/tweets/search/stream")
        self.start()
        await self.until(lambda: "redirects" in self.stream.check().detail, "the fault to be told")
        self.assertEqual(elsewhere.requests, [])

    async def test_cancelling_closes_the_connection(self) -> None:
        self.start()
        await self.opened()
        await self.stop()


class CertificateTests(SocketCase):
    async def refused(self, shown: ssl.PrivateCertificate, trust: Any) -> str:
        port = self.listen(shown)
        self.start(f"https://localhost:{port.getHost().port}", trust)
        await self.until(lambda: self.stream.check().data["state"] == "waiting", "the refusal")
        check = self.stream.check()
        self.assertEqual(check.state, "failed")
        self.assertEqual(self.x.requests, [])
        return check.detail

    async def test_upstream_35_expired(self) -> None:
        shown = certificate("localhost", -1)
        self.assertIn(
            "certificate verify failed", await self.refused(shown, ssl.trustRootFromCertificates([shown]))
        )

    async def test_upstream_35_of_another_host(self) -> None:
        shown = certificate("other.example", 20)
        detail = await self.refused(shown, ssl.trustRootFromCertificates([shown]))
        self.assertIn("it belongs to another name", detail)

    async def test_upstream_35_of_nobody_known(self) -> None:
        self.assertIn("is not valid for it", await self.refused(certificate("localhost", 20), None))

    async def test_a_valid_certificate_is_taken(self) -> None:
        shown = certificate("localhost", 20)
        port = self.listen(shown)
        self.start(f"https://localhost:{port.getHost().port}", ssl.trustRootFromCertificates([shown]))
        await self.opened()
        self.x.post("safe #aea")
        await self.arrived("safe #aea")
