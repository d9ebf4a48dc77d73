"""The handshake's answer and what a quiet client sends."""

from __future__ import annotations

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.websocket import PING, close_frame, close_status, is_key, switching, without_pongs
from tests.transports.frames import CLOSE, PONG, TEXT, Frame, frame, frames
from tests.transports.frames import PING as PING_OPCODE


class HandshakeTests(SynchronousTestCase):
    def test_the_example_of_the_standard(self) -> None:
        """RFC 6455, section 1.3."""
        self.assertIn(
            b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
            switching(b"dGhlIHNhbXBsZSBub25jZQ=="),
        )

    def test_an_ordinary_client_accepts_it(self) -> None:
        factory = WebSocketClientFactory("ws://feed.example/e/ws")
        factory.protocol = WebSocketClientProtocol
        client = factory.buildProtocol(None)
        client.factory.openHandshakeTimeout = client.openHandshakeTimeout = 0
        transport = StringTransportWithDisconnection()
        transport.protocol = client
        client.makeConnection(transport)
        asked = transport.value()
        self.assertIn(b"Sec-WebSocket-Key: ", asked)
        key = asked.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
        self.assertTrue(is_key(key))
        client.dataReceived(switching(key))
        self.assertEqual(client.state, client.STATE_OPEN)

    def test_what_is_no_key(self) -> None:
        for key in (
            b"",
            b"x",
            b"dGhlIHNhbXBsZSBub25jZQ",
            b"dGhlIHNhbXBsZSBub25j",
            b"dGhlIHNhbXBsZSBub25jZQ==\x00",
        ):
            self.assertFalse(is_key(key), key)
        self.assertFalse(is_key(b"\xff" * 24))
        self.assertFalse(is_key(b"A" * 1000))


class FrameTests(SynchronousTestCase):
    def test_frames_of_the_server(self) -> None:
        self.assertEqual(frames(PING + close_frame(1001)), [Frame(0x89, b""), Frame(0x88, b"\x03\xe9")])

    def test_pongs_are_told_from_everything_else(self) -> None:
        pongs = [frame(PONG, payload) for payload in (b"", b"x", b"x" * 125)]
        others = [frame(opcode, b"x") for opcode in (PING_OPCODE, CLOSE, TEXT)]
        others += [frame(PONG, b"x" * 126), frame(PONG, b"x", masked=False), frame(PONG, b"x", fin=False)]
        others += [frame(PONG, b"x", rsv=1), frame(PONG, b"x")[:-1], b"", b"\x8a"]
        for data in others:
            self.assertEqual(without_pongs(data), data)
            self.assertEqual(without_pongs(b"".join(pongs) + data), data)
        self.assertEqual(without_pongs(pongs[1] + others[0] + pongs[1]), others[0] + pongs[1])

    def test_a_proper_close_is_answered_with_its_status(self) -> None:
        self.assertEqual(close_status(frame(CLOSE)), 1000)
        for code in (1000, 1001, 1011, 3000, 4999):
            for reason in (b"", "tschüß".encode(), b"x" * 123):
                self.assertEqual(close_status(frame(CLOSE, code.to_bytes(2, "big") + reason)), code)

    def test_no_other_frame_is_a_proper_close(self) -> None:
        normal = (1000).to_bytes(2, "big")
        wrong = [frame(CLOSE, code.to_bytes(2, "big")) for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000)]
        wrong += [frame(CLOSE, b"\x03"), frame(CLOSE, normal + b"\xff"), frame(CLOSE, normal + b"x" * 124)]
        wrong += [
            frame(CLOSE, normal, masked=False),
            frame(CLOSE, normal, fin=False),
            frame(CLOSE, normal, rsv=4),
        ]
        wrong += [frame(CLOSE, normal)[:-1], frame(CLOSE, normal) + b"x", frame(PONG, normal), b""]
        for data in wrong:
            self.assertIsNone(close_status(data), data)
