"""WebSocket clients: what they are sent, and what happens to those that do not keep to the protocol."""

from __future__ import annotations

import zlib
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from autobahn.websocket.compress import PerMessageDeflateOffer
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from afeed.settings import Server
from afeed.transports.audience import PING_S
from afeed.transports.websocket import LAST_WORDS_S, MAX_INCOMING, MAX_PINGS, Conversation
from tests.transports.frames import BINARY, CLOSE, PING, PONG, TEXT, Frame, after_handshake, frame
from tests.web.serving import UPGRADE, Caller, House, LiveHouse, eventually, request


class SocketCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House()

    def open(self, target: str = "/e/ws", *headers: str) -> Caller:
        return self.house.call(request(target, *UPGRADE, *headers))

    def frames(self, caller: Caller) -> list[Frame]:
        return after_handshake(caller.received)

    def messages(self, caller: Caller) -> list[Any]:
        return [found.message for found in self.frames(caller) if found.opcode == TEXT]

    def close_code(self, caller: Caller) -> int:
        """The status with which the server closed; nothing follows that frame."""
        last = self.frames(caller)[-1]
        self.assertEqual(last.opcode, CLOSE)
        return last.code


class FeedTests(SocketCase):
    def test_hello_then_changes_as_they_come(self) -> None:
        self.house.post(2)
        caller = self.open()
        self.house.post()
        hello, changes = self.messages(caller)
        self.assertEqual(hello, {"type": "hello", "epoch": "e1", "cursor": "e1:2"})
        self.assertEqual((changes["type"], changes["cursor"]), ("changes", "e1:3"))
        self.assertEqual([change["seq"] for change in changes["changes"]], [3])
        self.assertNotIn("fragment", changes["changes"][0])

    def test_what_was_missed_comes_first(self) -> None:
        self.house.post(450)
        messages = self.messages(self.open("/e/ws?since=e1:10"))
        self.assertEqual([m["type"] for m in messages], ["hello", "changes", "changes", "changes"])
        self.assertEqual(messages[0]["cursor"], "e1:10")
        seqs = [change["seq"] for message in messages[1:] for change in message["changes"]]
        self.assertEqual(seqs, list(range(11, 451)))
        self.assertLessEqual(max(len(message["changes"]) for message in messages[1:]), 200)

    def test_fragments_for_those_who_want_them(self) -> None:
        self.house.post(text="fine")
        (_, changes) = self.messages(self.open("/e/ws?since=e1:0&render=html"))
        self.assertEqual(changes["changes"][0]["fragment"], "<p>fine</p>")

    def test_a_gap_is_told_before_anything_else(self) -> None:
        self.house.post(3)
        hello, gap, changes = self.messages(self.open("/e/ws?since=other:12"))
        self.assertEqual((hello["cursor"], gap["cursor"]), ("e1:0", "e1:0"))
        self.assertEqual((gap["type"], gap["from"], gap["to"], gap["reason"]), ("gap", None, None, "epoch"))
        self.assertEqual(changes["cursor"], "e1:3")

    def test_a_position_in_the_future_is_a_gap(self) -> None:
        self.house.post(3)
        gap = self.messages(self.open("/e/ws?since=e1:9"))[1]
        self.assertEqual((gap["from"], gap["to"], gap["reason"]), (4, 9, "future"))

    def test_a_ping_with_the_cursor_every_15_s(self) -> None:
        self.house.post()
        caller = self.open()
        for count in (1, 2):
            self.house.pass_time(PING_S)
            pings = [m for m in self.messages(caller) if m["type"] == "ping"]
            self.assertEqual(pings, [{"type": "ping", "cursor": "e1:1"}] * count)

    def test_cursors_that_are_none_close_with_4400(self) -> None:
        for since in ("", "-1", "0x10", "18446744073709551616", "e1:-1", "a%00b:1", "e" * 10000):
            caller = self.open(f"/e/ws?since={since}")
            self.assertEqual([found.opcode for found in self.frames(caller)], [CLOSE])
            self.assertEqual(self.close_code(caller), 4400)
            caller.leave()
        self.assertTrue(self.house.nobody_is_left())

    def test_other_members_that_are_wrong_are_refused_before_the_upgrade(self) -> None:
        for query in ("render=xml", "since=e1:0&since=e1:1", "since=%ff"):
            self.assertEqual(self.house.ask(f"/e/ws?{query}", *UPGRADE).status, 400)

    def test_bye_before_the_end(self) -> None:
        caller = self.open()
        self.house.stop()
        messages = self.messages(caller)
        self.assertEqual([message["type"] for message in messages], ["hello", "bye"])
        self.assertGreater(messages[1]["retry_ms"], 0)
        self.assertEqual(self.close_code(caller), 1001)

    def test_before_the_log_was_read_nobody_is_served(self) -> None:
        house = House(started=False)
        self.assertEqual(house.ask("/e/ws", *UPGRADE).status, 503)


class HandshakeTests(SocketCase):
    def test_pages_of_other_sites_are_refused_before_the_upgrade(self) -> None:
        for origin in (
            "http://evil.example",
            "null",
            "https://feed.example",
            "http://feed.example:81",
            "http://feed.example.evil",
            "http://evil-feed.example",
            "",
        ):
            answer = self.house.ask("/e/ws", *UPGRADE, f"Origin: {origin}")
            self.assertEqual((answer.status, answer.error), (403, "wrong_origin"), origin)

    def test_our_own_pages_and_programs_are_welcome(self) -> None:
        for headers in (("Origin: http://feed.example",), ("Origin: http://FEED.example:80",), ()):
            self.assertEqual(len(self.messages(self.open("/e/ws", *headers))), 1)

    def test_pages_of_the_configured_sites_are_welcome(self) -> None:
        self.house = House(server=Server(public_url="http://feed.example", cors_origins=("https://a.example",)))
        self.assertEqual(len(self.messages(self.open("/e/ws", "Origin: https://a.example"))), 1)

    def test_no_compression_and_no_subprotocol_is_agreed_on(self) -> None:
        caller = self.open(
            "/e/ws",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
            "Sec-WebSocket-Protocol: chat, superchat",
        )
        head = caller.received.partition(b"\r\n\r\n")[0].lower()
        self.assertTrue(head.startswith(b"http/1.1 101"))
        self.assertNotIn(b"sec-websocket-extensions", head)
        self.assertNotIn(b"sec-websocket-protocol", head)

    def test_a_handshake_without_a_key_or_of_another_version(self) -> None:
        for without in (2, 3):
            headers = [header for at, header in enumerate(UPGRADE) if at != without]
            caller = self.house.call(request("/e/ws", *headers))
            self.assertRegex(caller.received[:13], rb"HTTP/1.1 4\d\d")
            self.assertTrue(caller.closed)

    def test_an_ordinary_request_is_told_what_the_path_is_for(self) -> None:
        self.assertEqual(self.house.ask("/e/ws").error, "not_a_websocket")


class MisbehaviourTests(SocketCase):
    """The rows ws-09 to ws-24 of what hostile clients send."""

    def closed_with(self, code: int, *sent: bytes) -> None:
        caller = self.open()
        for data in sent:
            caller.send(data)
        self.assertEqual(self.close_code(caller), code, sent[0][:20])
        self.house.post()
        self.assertEqual(self.close_code(caller), code, "something was written after the close frame")
        self.assertEqual(self.house.stages.viewers()["e", "websocket"], 0)
        self.house.pass_time(LAST_WORDS_S)
        self.assertTrue(caller.closed)
        caller.leave()

    def test_reserved_bits(self) -> None:
        for rsv in (1, 2, 4):
            self.closed_with(1002, frame(TEXT, b"x", rsv=rsv))

    def test_reserved_opcodes(self) -> None:
        for opcode in (3, 11):
            self.closed_with(1002, frame(opcode, b"x"))

    def test_control_frames_that_are_too_long_or_in_pieces(self) -> None:
        for opcode in (CLOSE, PING, PONG):
            self.closed_with(1002, frame(opcode, b"x" * 126))
            self.closed_with(1002, frame(opcode, b"", fin=False))

    def test_frames_without_a_mask(self) -> None:
        self.closed_with(1002, frame(PING, b"x", masked=False))

    def test_a_continuation_of_nothing(self) -> None:
        self.closed_with(1002, frame(0, b"x"))

    def test_close_codes_that_must_not_be_sent(self) -> None:
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000):
            self.closed_with(1002, frame(CLOSE, code.to_bytes(2, "big")))
        self.closed_with(1002, frame(CLOSE, b"\x03"))

    def test_a_close_reason_that_is_no_text(self) -> None:
        self.closed_with(1007, frame(CLOSE, b"\x03\xe8\xff\xfe"))

    def test_lengths_that_are_no_lengths(self) -> None:
        self.closed_with(1002, frame(TEXT, length=b"\x7f" + (1 << 63).to_bytes(8, "big")))
        self.closed_with(1002, frame(TEXT, b"hello", length=b"\x7e\x00\x05"))

    def test_a_huge_frame_is_refused_at_its_head(self) -> None:
        self.closed_with(1009, frame(TEXT, length=b"\x7f" + (1 << 40).to_bytes(8, "big")))
        self.closed_with(1009, frame(BINARY, length=b"\x7e" + (MAX_INCOMING + 1).to_bytes(2, "big")))

    def test_data_of_any_kind(self) -> None:
        for opcode in (TEXT, BINARY):
            self.closed_with(1003, frame(opcode, b"{}"))
            self.closed_with(1003, frame(opcode))

    def test_data_in_very_small_pieces_is_refused_at_the_first(self) -> None:
        self.closed_with(1003, frame(TEXT, fin=False), *[frame(0, fin=False)] * 1000)
        self.closed_with(1003, frame(TEXT, b"a", fin=False) + frame(0, b"b", fin=False) * 1000)

    def test_compressed_data_that_was_never_agreed_on(self) -> None:
        bomb = zlib.compress(b"\0" * 200_000)[2:-4]
        self.closed_with(1002, frame(TEXT, bomb[:500], rsv=4))

    def test_a_flood_of_pings(self) -> None:
        caller = self.open()
        caller.send(frame(PING, b"still there?") * MAX_PINGS)
        pongs = [found for found in self.frames(caller) if found.opcode == PONG]
        self.assertEqual(pongs, [Frame(0x8A, b"still there?")] * MAX_PINGS)
        caller.send(frame(PING) * 1000)
        self.assertEqual(self.close_code(caller), 1008)

    def test_pings_at_a_sensible_pace_are_always_answered(self) -> None:
        caller = self.open()
        for number in range(100):
            caller.send(frame(PING, b"%d" % number))
            for found in self.frames(caller):
                if found.opcode == PING:
                    caller.send(frame(PONG, found.payload))
            self.house.pass_time(1)
        self.assertIn(Frame(0x8A, b"99"), self.frames(caller))

    def test_a_close_is_answered_and_the_connection_ends(self) -> None:
        caller = self.open()
        caller.send(frame(CLOSE, b"\x03\xe8"))
        self.assertEqual(self.close_code(caller), 1000)
        self.assertTrue(caller.closed)

    def test_who_only_listens_and_leaves_needs_no_autobahn(self) -> None:
        made: list[Conversation] = []
        self.patch(Conversation, "begin", lambda conversation, socket: made.append(conversation))
        caller = self.open()
        self.house.pass_time(3 * PING_S)
        caller.send(frame(PONG) + frame(PONG, b"x") + frame(CLOSE, b"\x03\xe9"))
        self.assertEqual(self.close_code(caller), 1001)
        self.assertTrue(caller.closed)
        self.house.post()
        self.assertEqual(self.close_code(caller), 1001)
        caller.leave()
        self.assertTrue(self.house.nobody_is_left())
        self.assertEqual(made, [])

    def test_a_goodbye_is_agreed_to_behind_pongs(self) -> None:
        caller = self.open()
        self.house.hub.stop()
        caller.send(frame(PONG) + frame(CLOSE, b"\x03\xe9"))
        self.assertTrue(caller.closed)

    def test_a_slow_reader_has_time_to_read_the_goodbye(self) -> None:
        caller = self.open()
        self.house.hub.stop()
        self.assertEqual(self.messages(caller)[-1]["type"], "bye")
        self.house.pass_time(LAST_WORDS_S - 1)
        self.assertFalse(caller.transport.disconnected)
        self.house.pass_time(1)
        self.assertTrue(caller.transport.disconnected)

    def test_a_close_that_is_not_answered_ends_the_connection_all_the_same(self) -> None:
        caller = self.open()
        caller.send(frame(TEXT, b"x"))
        self.assertFalse(caller.closed)
        self.house.pass_time(LAST_WORDS_S)
        self.assertTrue(caller.transport.disconnected)

    def test_a_client_that_says_goodbye_and_does_not_read_is_cut_off(self) -> None:
        caller = self.open()
        caller.send(frame(CLOSE, b"\x03\xe8"))
        self.assertFalse(caller.transport.disconnected)
        self.house.pass_time(LAST_WORDS_S)
        self.assertTrue(caller.transport.disconnected)

    def test_a_client_that_does_not_answer_pings_is_cut_off(self) -> None:
        caller = self.open()
        self.house.pass_time(57)
        self.assertTrue(caller.transport.disconnected)

    def test_who_leaves_is_forgotten_with_every_timer(self) -> None:
        before = len(self.house.clock.getDelayedCalls())
        for data in (b"", frame(TEXT, b"x"), frame(CLOSE), frame(PING)):
            caller = self.open()
            caller.send(data)
            caller.leave()
        self.assertTrue(self.house.nobody_is_left())
        self.assertEqual(len(self.house.clock.getDelayedCalls()), before)


class Listener(WebSocketClientProtocol):
    """An ordinary client, as another program would write it."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[bytes] = []
        self.ended: tuple[int | None, str | None] | None = None

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.messages.append(payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.ended = (code, reason)


class OrdinaryClientTests(TestCase):
    async def listen(self, live: LiveHouse, target: str) -> Listener:
        port = live.port.getHost().port
        factory = WebSocketClientFactory(f"ws://feed.example{target}", reactor=live.reactor, protocols=["chat"])
        factory.setProtocolOptions(
            openHandshakeTimeout=0,
            closeHandshakeTimeout=0,
            perMessageCompressionOffers=[PerMessageDeflateOffer()],
        )
        factory.protocol = Listener
        made: list[Listener] = []
        build = factory.buildProtocol
        factory.buildProtocol = lambda addr: made.append(build(addr)) or made[-1]
        live.reactor.connectTCP("127.0.0.1", port, factory)
        await eventually(live.reactor, lambda: bool(made) and bool(made[0].messages))
        return made[0]

    async def test_a_client_of_another_program(self) -> None:
        from twisted.internet import reactor

        live = await LiveHouse(reactor).open()
        self.addCleanup(lambda: Deferred.fromCoroutine(live.close()))
        live.house.post(3)
        client = await self.listen(live, "/e/ws?since=e1:1")
        self.assertEqual(client.websocket_protocol_in_use, None)
        self.assertEqual(client.websocket_extensions_in_use, [])
        live.house.post()
        await eventually(reactor, lambda: len(client.messages) == 3)
        self.assertIn(b'"cursor":"e1:4"', client.messages[-1])
        client.sendMessage(b"hello")
        await eventually(reactor, lambda: client.ended is not None)
        assert client.ended is not None
        self.assertEqual(client.ended[0], 1003)

    async def test_frames_and_pongs_never_run_into_each_other(self) -> None:
        from twisted.internet import reactor

        live = await LiveHouse(reactor).open()
        self.addCleanup(lambda: Deferred.fromCoroutine(live.close()))
        wire = await live.connect(request("/e/ws", *UPGRADE))
        await wire.until(lambda: b'"hello"' in wire.received, reactor)
        wire.transport.pauseProducing()
        for number in range(MAX_PINGS):
            live.house.post(20, "x" * 1000)
            wire.send(frame(PING, b"%d" % number))
            turn: Deferred[None] = Deferred()
            reactor.callLater(0, turn.callback, None)
            await turn
        wire.transport.resumeProducing()
        last = f'"cursor":"e1:{MAX_PINGS * 20}"'.encode()
        await wire.until(
            lambda: any(last in found.payload for found in after_handshake(wire.received)), reactor
        )
        found = after_handshake(wire.received)
        seqs = [change["seq"] for f in found if f.opcode == TEXT for change in f.message.get("changes", ())]
        self.assertEqual(seqs, list(range(1, MAX_PINGS * 20 + 1)))
        pongs = [f.payload for f in found if f.opcode == PONG]
        self.assertEqual(pongs, [b"%d" % number for number in range(len(pongs))])
        self.assertEqual({f.opcode for f in found}, {TEXT, PONG})

    async def test_a_change_does_not_overtake_a_pong_that_waits_to_be_written(self) -> None:
        from twisted.internet import reactor

        live = await LiveHouse(reactor).open()
        self.addCleanup(lambda: Deferred.fromCoroutine(live.close()))
        answer_ping = Conversation.onPing

        def answer_and_post(conversation: Conversation, payload: bytes) -> None:
            answer_ping(conversation, payload)  # the transport writes it in its next turn
            live.house.post()

        self.patch(Conversation, "onPing", answer_and_post)
        wire = await live.connect(request("/e/ws", *UPGRADE))
        await wire.until(lambda: b'"hello"' in wire.received, reactor)
        for number in range(1, 4):
            wire.send(frame(PING, b"%d" % number))
            last = f'"cursor":"e1:{number}"'.encode()
            await wire.until(lambda last=last: last in wire.received, reactor)
        opcodes = [found.opcode for found in after_handshake(wire.received)]
        self.assertEqual(opcodes, [TEXT, PONG, TEXT, PONG, TEXT, PONG, TEXT])
