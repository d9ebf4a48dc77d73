"""Viewers are told when nothing new can be shown for a while, and when that is over, on every transport."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.cursor import Cursor
from afeed.transports.audience import PING_S
from afeed.transports.longpoll import STALLED_WAIT_S
from tests.chaos.promises import TOLD_S, within
from tests.servers.afeed import AfeedServer
from tests.servers.process import PATIENCE_S
from tests.servers.redis import Redis
from tests.transports.frames import TEXT, after_handshake
from tests.transports.test_audience import Hall
from tests.transports.test_sse import events
from tests.web.serving import UPGRADE, Caller, House, request

STALLED = {"type": "ping", "cursor": "e1:2", "stalled": True}
OVER = {"type": "ping", "cursor": "e1:2", "stalled": False}
PING = {"type": "ping", "cursor": "e1:2"}


class StalledCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House()
        self.house.post(2)

    def stall(self, trouble: str | None = "the disk is full") -> None:
        """Let the log fail, or (None) mend it, and the hub notice."""
        self.house.log.trouble = trouble
        self.house.pass_time(1)


class StreamingTests(StalledCase):
    """WebSocket and server-sent events."""

    def read(self, caller: Caller) -> list[Any]:
        """Every message so far, those that came twice in succession once: a ping may just be due."""
        if b"text/event-stream" in caller.received:
            found = [event.data for event in events(caller.received.partition(b"\r\n\r\n")[2])]
        else:
            found = [frame.message for frame in after_handshake(caller.received) if frame.opcode == TEXT]
        self.assertEqual(found[0]["type"], "hello")
        return [message for message, _ in itertools.groupby(found)]

    def callers(self) -> list[Caller]:
        return [self.house.call(request("/e/ws", *UPGRADE)), self.house.call(request("/e/stream"))]

    def test_both_ends_of_a_delay_are_told_at_once(self) -> None:
        callers = self.callers()
        self.stall()
        self.stall(None)
        for caller in callers:
            self.assertEqual(self.read(caller)[1:], [STALLED, OVER])

    def test_every_ping_says_so_as_long_as_it_lasts_and_no_longer(self) -> None:
        callers = self.callers()
        self.stall()
        before = [len(caller.received) for caller in callers]
        self.house.pass_time(PING_S)
        for caller, length in zip(callers, before, strict=True):
            self.assertEqual(caller.received[length:].count(b'"stalled":true'), 1)
        self.stall(None)
        self.house.pass_time(PING_S)
        for caller in callers:
            self.assertEqual(self.read(caller)[1:], [STALLED, OVER, PING])

    def test_who_comes_meanwhile_is_told_in_the_first_message(self) -> None:
        self.stall()
        callers = self.callers()
        for caller in callers:
            (hello,) = self.read(caller)
            self.assertIs(hello["stalled"], True)
        self.stall(None)
        for caller in (*callers, *self.callers()):
            hello, *rest = self.read(caller)
            self.assertEqual(rest, [OVER] if "stalled" in hello else [])

    def test_without_a_delay_nobody_is_told_anything(self) -> None:
        callers = self.callers()
        self.house.pass_time(PING_S)
        for caller in callers:
            self.assertEqual(self.read(caller)[1:], [PING])


class SlowReaderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.hall = Hall()
        self.addCleanup(self.hall.hub.stop)

    def stall(self, trouble: str | None = "the disk is full") -> None:
        self.hall.log.trouble = trouble
        self.hall.clock.advance(1)

    def test_who_reads_history_is_told_when_it_has_caught_up(self) -> None:
        self.hall.post(40)
        self.hall.strain()
        slow = self.hall.watch(Cursor("e1", 0), room=300)
        before = slow.messages()
        self.stall()
        self.assertEqual(slow.messages(), before)
        while slow.held:
            slow.drain()
        self.assertEqual(slow.seqs(), list(range(1, 41)))
        self.assertEqual(slow.messages()[-1], {"type": "ping", "cursor": "e1:40", "stalled": True})
        self.assertEqual(slow.types().count("ping"), 1)

    def test_a_delay_that_passed_while_one_read_is_not_worth_a_word(self) -> None:
        self.hall.post(40)
        slow = self.hall.watch(Cursor("e1", 0), room=300)
        self.stall()
        self.stall(None)
        while slow.held:
            slow.drain()
        self.assertNotIn("ping", slow.types())

    def test_who_fell_behind_during_a_delay_hears_of_its_end(self) -> None:
        slow = self.hall.watch(room=300)
        self.stall()
        self.hall.post(20)
        self.stall(None)
        while slow.held:
            slow.drain()
        self.assertEqual(slow.seqs(), list(range(1, 21)))
        self.assertEqual([m["stalled"] for m in slow.messages() if m["type"] == "ping"], [True, False])

    def test_one_frame_is_made_for_all(self) -> None:
        encoded: list[bytes] = []
        encode = self.hall.audience.encode
        self.hall.audience.encode = lambda message: (encoded.append(message.body), encode(message))[1]
        pipes = [self.hall.watch() for _ in range(50)]
        encoded.clear()
        self.stall()
        self.assertEqual(len(encoded), 1)
        self.assertEqual({pipe.types()[-1] for pipe in pipes}, {"ping"})

    def test_an_end_that_a_stopped_reader_did_not_take_is_told_again(self) -> None:
        slow = self.hall.watch(room=60)
        self.stall()  # taken by the connection, which is full with it
        self.stall(None)
        while slow.held:
            slow.drain()
        self.assertIs(slow.messages()[-1]["stalled"], False)


class PollTests(StalledCase):
    def park(self, query: str = "since=e1:2&wait=25") -> Caller:
        caller = self.house.call(request(f"/e/updates?{query}"))
        self.assertEqual(caller.received, b"")
        return caller

    def test_who_waits_is_answered_when_it_begins_and_when_it_ends(self) -> None:
        first = self.park()
        self.stall()
        self.assertIs(first.answer.json["stalled"], True)
        self.assertEqual((first.answer.json["cursor"], first.answer.json["changes"]), ("e1:2", []))
        second = self.park()
        self.stall(None)
        self.assertNotIn("stalled", second.answer.json)
        third = self.park()
        self.house.pass_time(10)
        self.assertEqual(third.received, b"")

    def test_who_asks_meanwhile_waits_for_a_few_seconds_only(self) -> None:
        self.stall()
        caller = self.park()
        self.house.pass_time(STALLED_WAIT_S)
        self.assertIs(caller.answer.json["stalled"], True)

    def test_a_plain_poll_is_told(self) -> None:
        before = self.house.ask("/e/updates?since=e1:0&wait=0").json
        self.stall()
        during = self.house.ask("/e/updates?since=e1:0&wait=0").json
        self.assertEqual(during, {**before, "stalled": True})
        self.stall(None)
        self.assertEqual(self.house.ask("/e/updates?since=e1:0&wait=0").json, before)

    def test_a_poll_that_reads_the_archive_is_told(self) -> None:
        house = House(window=5)
        house.post(20)
        house.strain()
        house.log.trouble = "full"
        house.pass_time(1)
        answer = house.ask("/e/updates?since=e1:0&wait=0").json
        self.assertEqual((answer["changes"][0]["seq"], answer["stalled"]), (1, True))

    def test_such_answers_are_no_deliveries(self) -> None:
        self.park()
        self.stall()
        self.assertNotIn(b'afeed_deliveries_total{transport="poll"}', self.house.ask("/metrics").body)
        self.park()
        self.house.post()
        self.assertIn(b'afeed_deliveries_total{transport="poll"} 1.0', self.house.ask("/metrics").body)


class Listener:
    """A blocking client that keeps what it reads."""

    def __init__(self, server: AfeedServer, target: str, *headers: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port))
        self._received = b""
        head = [f"GET /{server.slug}/{target} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", *headers, "", ""]
        self._socket.sendall("\r\n".join(head).encode())

    def close(self) -> None:
        self._socket.close()

    def read_until(self, part: bytes, seconds: float) -> float:
        """How long it took until ``part`` arrived; what came before it is forgotten."""
        began = time.monotonic()
        while part not in self._received:
            self._socket.settimeout(max(0.01, began + seconds - time.monotonic()))
            try:
                more = self._socket.recv(65536)
            except TimeoutError:
                raise AssertionError(f"{part!r} did not come within {seconds} s: {self._received!r}") from None
            assert more, f"closed instead of {part!r}: {self._received!r}"
            self._received += more
        self._received = self._received.partition(part)[2]
        return time.monotonic() - began


class SilentRedisTests(SynchronousTestCase):
    """A real node on a real Redis that falls silent, as a paused machine does, and comes back."""

    PROMISED_S = within(TOLD_S, os.environ.get("AFEED_CHAOS") == "long")

    def setUp(self) -> None:
        self.redis = Redis()
        self.addCleanup(self.redis.close)
        self.redis.start()
        self.server = AfeedServer(live_log=self.redis.url)
        self.addCleanup(self.server.close)
        self.server.start()
        self.server.push({"id": "1", "text": "before"})

    def pause(self) -> None:
        self.redis.signal(signal.SIGSTOP)
        self.addCleanup(self.resume)

    def resume(self) -> None:
        if self.redis.running:
            self.redis.signal(signal.SIGCONT)

    def listen(self, target: str, *headers: str) -> Listener:
        listener = Listener(self.server, target, *headers)
        self.addCleanup(listener.close)
        return listener

    def check_told(self, listener: Listener) -> None:
        listener.read_until(b'"hello"', PATIENCE_S)
        self.pause()
        listener.read_until(b'"stalled":true', self.PROMISED_S)
        self.resume()
        listener.read_until(b'"stalled":false', self.PROMISED_S)
        self.server.push({"id": "2", "text": "after"})
        listener.read_until(b'"push:2"', PATIENCE_S)

    def test_websocket(self) -> None:
        self.check_told(self.listen("ws", *UPGRADE))

    def test_server_sent_events(self) -> None:
        self.check_told(self.listen("stream"))

    def test_polls(self) -> None:
        cursor = self.server.updates()["cursor"]
        self.assertEqual(self.server.changes()[-1]["item"]["id"], "push:1")
        target = f"updates?since={cursor}&wait=30"
        waiting = self.listen(target)
        self.pause()
        waiting.read_until(b'"stalled":true}', self.PROMISED_S)
        again = self.listen(target)
        self.server.request("/readyz")  # when that is answered, it waits: it came before
        self.resume()
        again.read_until(b'"changes":[]', self.PROMISED_S)
        deadline = time.monotonic() + self.PROMISED_S
        while "stalled" in self.server.updates(cursor, wait=1):
            self.assertLess(time.monotonic(), deadline)
        self.server.push({"id": "2", "text": "after"})
        body = self.server.request(f"/{self.server.slug}/updates?since={cursor}&wait=30")[2]
        self.assertEqual([change["item"]["id"] for change in json.loads(body)["changes"]], ["push:2"])
