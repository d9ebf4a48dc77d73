"""Frames that nobody should send, over real sockets to a real ``twistd afeed``.

The cases are those of the Autobahn test suite (families 1 to 7, 9 and 10; their numbers are in the names), as
far as they mean something to a server that takes no data: where the suite expects an echo, the answer here is
1003 ("clients only listen here"), or 1009 at the head of a frame that is larger than any that is read. Families
12 and 13 are about compression, which is never agreed on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from twisted.trial.unittest import SynchronousTestCase

from afeed.transports.websocket import MAX_INCOMING, MAX_PINGS
from tests.hostile.raw import WebSocket, exchange, head, resident_kb, shared_server
from tests.servers.afeed import SLUG
from tests.transports.frames import BINARY, CLOSE, PING, PONG, TEXT, Frame, frame
from tests.web.serving import UPGRADE, answers

_GOODBYE = frame(CLOSE, b"\x03\xe8")


class Case(NamedTuple):
    """What is ``sent``, in these pieces; the status of the server's close frame, and the payloads that come
    back in pongs before it."""

    name: str
    sent: tuple[bytes, ...]
    code: int
    pongs: tuple[bytes, ...] = ()


def _sized(opcode: int, size: int) -> bytes:
    """A frame with ``size`` bytes, in the shortest encoding of its length."""
    if size < 126:
        length = bytes([size])
    elif size < 65536:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    return frame(opcode, b"*" * size, length=length)


def _data() -> Iterator[Case]:
    """1.*: messages of all sizes, text and binary, in one piece and in small ones."""
    for family, opcode in ((1, TEXT), (2, BINARY)):
        for number, size in enumerate((0, 125, 126, 127, 128, 65535, 65536), 1):
            code = 1009 if size > MAX_INCOMING else 1003
            yield Case(f"1.{family}.{number}", (_sized(opcode, size),), code)
        whole = _sized(opcode, 1000)
        yield Case(f"1.{family}.8", tuple(whole[at : at + 97] for at in range(0, len(whole), 97)), 1003)


def _pings() -> Iterator[Case]:
    for number, payload in enumerate(
        (b"", b"Hello, world!", b"\0\xff\xfe\xfd\xfc\xfb\0\xff", b"\xfe" * 125), 1
    ):
        yield Case(f"2.{number}", (frame(PING, payload), _GOODBYE), 1000, (payload,))
    yield Case("2.5", (frame(PING, b"\xfe" * 126), _GOODBYE), 1002)
    chopped = frame(PING, b"\xfe" * 125)
    yield Case("2.6", (*(chopped[at : at + 1] for at in range(len(chopped))), _GOODBYE), 1000, (b"\xfe" * 125,))
    yield Case("2.7", (frame(PONG), _GOODBYE), 1000)
    yield Case("2.8", (frame(PONG, b"unsolicited"), _GOODBYE), 1000)
    yield Case("2.9", (frame(PONG, b"unsolicited"), frame(PING, b"p"), _GOODBYE), 1000, (b"p",))
    ten = tuple(b"payload-%d" % number for number in range(10))
    yield Case("2.10", (*(frame(PING, payload) for payload in ten), _GOODBYE), 1000, ten)
    yield Case("2.11", (b"".join(frame(PING, payload) for payload in ten) + _GOODBYE,), 1000, ten)


def _reserved() -> Iterator[Case]:
    """3.*: reserved bits; 4.*: reserved opcodes, alone and behind other frames."""
    for number, (opcode, rsv) in enumerate(
        ((TEXT, 4), (TEXT, 3), (TEXT, 2), (TEXT, 7), (BINARY, 6), (PING, 5), (CLOSE, 7)), 1
    ):
        yield Case(f"3.{number}", (frame(opcode, b"", rsv=rsv), frame(PING)), 1002)
    yield Case("3.8", (frame(PING, b"x"), frame(PING, rsv=1)), 1002, (b"x",))
    for family, first in ((1, 3), (2, 11)):
        for number in range(5):
            sent = (frame(first + number, b"payload" if number % 2 else b""), frame(PING))
            yield Case(f"4.{family}.{number + 1}", sent, 1002)
        yield Case(f"4.{family}.6", (frame(PING, b"x") + frame(first),), 1002, (b"x",))


def _pieces() -> Iterator[Case]:
    """5.*: fragments."""
    yield Case("5.1", (frame(PING, b"a", fin=False), frame(0, b"b")), 1002)
    yield Case("5.2", (frame(PONG, b"a", fin=False), frame(0, b"b")), 1002)
    two = (frame(TEXT, b"fragment1", fin=False), frame(0, b"fragment2"))
    yield Case("5.3", two, 1003)
    yield Case("5.4", (b"".join(two),), 1003)
    yield Case("5.5", tuple(bytes([byte]) for byte in b"".join(two)), 1003)
    yield Case("5.6", (two[0], frame(PING, b"x"), two[1]), 1003)
    yield Case("5.7", (two[0] + frame(PING, b"x") + two[1],), 1003)
    yield Case("5.8", (frame(PING, b"x"), *two), 1003, (b"x",))
    for number, (fin, chopped) in enumerate(
        ((True, False), (True, True), (True, False), (False, False), (False, True), (False, False)), 9
    ):
        lone = frame(0, b"non-continuation payload", fin=fin) + frame(TEXT, b"Hello, world!")
        yield Case(f"5.{number}", tuple(bytes([byte]) for byte in lone) if chopped else (lone,), 1002)
    yield Case("5.15", (*two, frame(0, b"fragment3", fin=False), frame(TEXT, b"fragment4")), 1003)
    yield Case("5.16", ((frame(0, b"f", fin=False) + frame(TEXT, b"f", fin=False)) * 2,), 1002)
    yield Case("5.17", ((frame(0, b"f") + frame(TEXT, b"f")) * 2,), 1002)
    yield Case("5.18", (frame(TEXT, b"fragment1", fin=False), frame(TEXT, b"fragment2")), 1003)
    yield Case("5.19", (two[0] * 5, frame(PING, b"x"), two[1]), 1003)
    yield Case("5.20", (frame(TEXT, b"a", fin=False) + frame(0, b"a", fin=False) * 100_000,), 1003)


def _closing() -> Iterator[Case]:
    """7.*: ways to say goodbye, and 6.* for the words in them: whether data is UTF-8 is not looked at."""
    yield Case("6.3.1", (frame(TEXT, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited"),), 1003)
    yield Case("7.1.1", (frame(TEXT, b"Hello World!"),), 1003)
    yield Case("7.1.2", (_GOODBYE, _GOODBYE), 1000)
    yield Case("7.1.3", (_GOODBYE, frame(PING)), 1000)
    yield Case("7.1.4", (_GOODBYE, frame(TEXT, b"x")), 1000)
    yield Case("7.1.5", (frame(TEXT, b"fragment1", fin=False), _GOODBYE, frame(0, b"fragment2")), 1003)
    yield Case("7.1.6", (_sized(TEXT, 256 * 1024), _GOODBYE), 1009)
    yield Case("7.3.1", (frame(CLOSE),), 1000)
    yield Case("7.3.2", (frame(CLOSE, b"a"),), 1002)
    yield Case("7.3.3", (frame(CLOSE, b"\x03\xe8"),), 1000)
    yield Case("7.3.4", (frame(CLOSE, b"\x03\xe8" + b"*" * 12),), 1000)
    yield Case("7.3.5", (frame(CLOSE, b"\x03\xe8" + b"*" * 123),), 1000)
    yield Case("7.3.6", (frame(CLOSE, b"\x03\xe8" + b"*" * 124),), 1002)
    yield Case("7.5.1", (frame(CLOSE, b"\x03\xe8\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited"),), 1007)
    valid = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    for number, code in enumerate(valid, 1):
        yield Case(f"7.7.{number}", (frame(CLOSE, code.to_bytes(2, "big")),), code)
    for number, code in enumerate((0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 1015, 5000, 65535), 1):
        yield Case(f"7.9.{number}", (frame(CLOSE, code.to_bytes(2, "big")),), 1002)


def _large() -> Iterator[Case]:
    """9.*: large messages, in one piece and in many; 10.1.1: one that is cut by its sender."""
    for family, opcode in ((1, TEXT), (2, BINARY)):
        for number, kilobytes in enumerate((64, 256, 1024, 4096), 1):
            yield Case(f"9.{family}.{number}", (_sized(opcode, kilobytes * 1024),), 1009)
    for family, opcode in ((3, TEXT), (4, BINARY)):
        for number, size in enumerate((64, 256, 1024, 4096), 1):
            pieces = frame(opcode, b"*" * size, fin=False) + frame(0, b"*" * size, fin=False) * 64
            yield Case(f"9.{family}.{number}", (pieces,), 1009 if size > MAX_INCOMING else 1003)
    pieces = _sized(TEXT, 1300)
    yield Case("10.1.1", (bytes([pieces[0] & 127]) + pieces[1:],), 1009)


def _lengths() -> Iterator[Case]:
    """Beyond the suite: lengths that are none, no mask, control frames that are too long."""
    yield Case("length of 2**63", (frame(TEXT, length=b"\x7f" + (1 << 63).to_bytes(8, "big")),), 1002)
    yield Case("length of 2**40", (frame(TEXT, length=b"\x7f" + (1 << 40).to_bytes(8, "big")),), 1009)
    yield Case("length in too many bytes", (frame(TEXT, b"hello", length=b"\x7e\x00\x05"),), 1002)
    yield Case("4097 bytes", (_sized(TEXT, 4097),), 1009)
    yield Case("no mask", (frame(PING, b"x", masked=False),), 1002)
    for opcode in (PING, PONG, CLOSE):
        yield Case(f"control frame {opcode} of 126 bytes", (frame(opcode, b"\x03\xe8" * 63),), 1002)


def _json() -> Iterator[Case]:
    """Whatever is in a message, it is not read."""
    for words in (b"[]", b"null", b'{"op":"subscribe"}', b"[" * 1000, b'{"a":NaN,"a":1}', b'{"ack":"e1:99"}'):
        yield Case(words[:20].decode(), (frame(TEXT, words),), 1003)


class FrameTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = shared_server()

    def tearDown(self) -> None:
        self.assertEqual(self.server.request("/readyz")[0], 200)
        self.assertNotIn("Traceback", self.server.output())

    def check(self, cases: Iterator[Case]) -> None:
        for case in cases:
            with WebSocket(self.server.port, f"/{SLUG}/ws?since=0") as client:
                self.assertEqual(client.status, 101, case.name)
                for piece in case.sent:
                    client.send(piece)
                found = client.last_words()
            self.assertEqual(found[0].message["type"], "hello", case.name)
            self.assertEqual(found[-1].opcode, CLOSE, f"{case.name} was cut off")
            self.assertEqual(found[-1].code, case.code, case.name)
            self.assertEqual(tuple(one.payload for one in found if one.opcode == PONG), case.pongs, case.name)

    def test_autobahn_1_data(self) -> None:
        self.check(_data())

    def test_autobahn_2_pings(self) -> None:
        self.check(_pings())

    def test_autobahn_3_and_4_what_is_reserved(self) -> None:
        self.check(_reserved())

    def test_autobahn_5_fragments(self) -> None:
        self.check(_pieces())

    def test_autobahn_6_and_7_goodbyes(self) -> None:
        self.check(_closing())

    def test_autobahn_9_and_10_large_messages(self) -> None:
        self.check(_large())

    def test_lengths_and_masks(self) -> None:
        self.check(_lengths())

    def test_messages_of_any_kind(self) -> None:
        self.check(_json())

    def test_a_flood_of_pings(self) -> None:
        with WebSocket(self.server.port, f"/{SLUG}/ws") as client:
            client.send(frame(PING) * 1000)
            found = client.last_words()
        self.assertEqual(found[-1].code, 1008)
        self.assertLessEqual(sum(one.opcode == PONG for one in found), MAX_PINGS)

    def test_compression_is_not_agreed_on_and_a_bomb_is_a_broken_frame(self) -> None:
        offer = "Sec-WebSocket-Extensions: permessage-deflate"
        with WebSocket(self.server.port, f"/{SLUG}/ws", offer) as client:
            self.assertNotIn(b"extensions", client.answer.lower())
            client.send(frame(TEXT, b"\0" * 500, rsv=4))
            self.assertEqual(client.last_words()[-1].code, 1002)

    def test_who_goes_on_sending_behind_the_goodbye_is_not_kept_and_cut_off(self) -> None:
        before = resident_kb(self.server.pid)
        with WebSocket(self.server.port, f"/{SLUG}/ws") as client:
            client.send(frame(TEXT, b"x"))
            found = client.read_until(lambda found: bool(found) and found[-1].opcode == CLOSE)
            self.assertEqual(found[-1].code, 1003)
            for _ in range(640):
                client.send(b"\0" * 65536)
            self.assertLess(resident_kb(self.server.pid) - before, 20_000)


class HandshakeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = shared_server()
        self.host = f"127.0.0.1:{self.server.port}"

    def status(self, *lines: str) -> int:
        (answer,) = answers(exchange(self.server.port, head(f"/{SLUG}/ws", *UPGRADE, *lines, host=self.host)))
        return answer.status

    def test_pages_of_other_sites_are_refused_before_the_upgrade(self) -> None:
        port = self.server.port
        for origin in (
            "http://evil.example",
            "null",
            f"https://127.0.0.1:{port}",
            f"http://127.0.0.1:{port + 1}",
            f"http://127.0.0.1:{port}.evil.example",
            "http://127.0.0.1",
        ):
            self.assertEqual(self.status(f"Origin: {origin}"), 403, origin)

    def test_an_unknown_subprotocol_is_passed_over(self) -> None:
        for lines in (("Sec-WebSocket-Protocol: soap",), (f"Origin: http://{self.host}",)):
            with WebSocket(self.server.port, f"/{SLUG}/ws", *lines) as client:
                self.assertEqual(client.status, 101)
                self.assertNotIn(b"sec-websocket-protocol", client.answer.lower())

    def test_cursors_that_are_none_and_those_of_another_epoch(self) -> None:
        for since in ("-1", "e1:-1", "18446744073709551616", "x" * 10_000):
            with WebSocket(self.server.port, f"/{SLUG}/ws?since={since}") as client:
                self.assertEqual(client.last_words()[-1].code, 4400, since[:20])
        for since, reason in (("zzzz:12", "epoch"), ("999999", "future")):
            with WebSocket(self.server.port, f"/{SLUG}/ws?since={since}") as client:
                gap = client.read_until(lambda found: len(found) > 1)[1]
                self.assertEqual((gap.message["type"], gap.message["reason"]), ("gap", reason))

    def test_the_same_position_on_two_sockets_is_served_on_both(self) -> None:
        head_before = self.server.updates(limit=1)["cursor"]

        def changes(found: list[Frame]) -> list[str]:
            messages = [one.message for one in found if one.opcode == TEXT]
            return [c["item"]["id"] for m in messages if m["type"] == "changes" for c in m["changes"]]

        with (
            WebSocket(self.server.port, f"/{SLUG}/ws?since={head_before}") as one,
            WebSocket(self.server.port, f"/{SLUG}/ws?since={head_before}") as other,
        ):
            for client in (one, other):
                client.read_until(bool)
            self.server.push({"id": "twice-served", "text": head_before})
            for client in (one, other):
                found = client.read_until(lambda found: bool(changes(found)))
                self.assertEqual(changes(found), ["push:twice-served"])
