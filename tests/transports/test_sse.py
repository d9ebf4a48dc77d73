"""Changes as server-sent events."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from twisted.trial.unittest import SynchronousTestCase

from afeed.settings import Server
from afeed.transports.audience import PING_S
from afeed.web.connection import IDLE_S
from tests.web.serving import Caller, House, request


class Event(NamedTuple):
    """As a browser's EventSource understands it."""

    type: str
    id: str | None
    data: Any


def events(stream: bytes) -> list[Event]:
    """Read a stream as the HTML standard says (section 9.2.6, without comments, which are not used)."""
    found = []
    for block in stream.decode("utf-8").split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append(Event(fields.pop("event"), fields.pop("id", None), json.loads(fields.pop("data"))))
        assert not fields, fields
    return found


class StreamTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House()

    def open(self, query: str = "", *headers: str) -> Caller:
        return self.house.call(request(f"/e/stream{query}", *headers))

    def events(self, caller: Caller) -> list[Event]:
        return events(caller.received.partition(b"\r\n\r\n")[2])

    def test_the_head_says_what_it_is_and_that_nobody_may_keep_it(self) -> None:
        headers = self.open().answer.headers
        self.assertEqual(headers["content-type"], "text/event-stream")
        self.assertEqual(headers["cache-control"], "no-store")
        self.assertEqual(headers["x-accel-buffering"], "no")
        self.assertEqual(headers["connection"], "close")
        self.assertNotIn("content-length", headers)

    def test_hello_then_what_was_missed_then_changes_then_pings_then_bye(self) -> None:
        self.house.post(2)
        caller = self.open("?since=e1:1")
        self.house.post()
        self.house.pass_time(PING_S)
        self.house.stop()
        found = self.events(caller)
        self.assertEqual([event.type for event in found], ["hello", "changes", "changes", "ping", "bye"])
        self.assertEqual([event.id for event in found], ["e1:1", "e1:2", "e1:3", "e1:3", None])
        self.assertEqual([event.data["type"] for event in found], [event.type for event in found])
        self.assertEqual([change["seq"] for change in found[2].data["changes"]], [3])
        self.assertTrue(caller.closed)

    def test_a_gap_is_told_behind_hello(self) -> None:
        self.house.post(2)
        hello, gap, changes = self.events(self.open("?since=other:5"))
        self.assertEqual((hello.id, gap.id, changes.id), ("e1:0", "e1:0", "e1:2"))
        self.assertEqual((gap.type, gap.data["reason"]), ("gap", "epoch"))

    def test_last_event_id_wins(self) -> None:
        self.house.post(3)
        hello, changes = self.events(self.open("?since=e1:0", "Last-Event-ID: e1:2"))
        self.assertEqual((hello.id, changes.id), ("e1:2", "e1:3"))

    def test_event_ids_that_are_none_are_refused_and_not_repeated(self) -> None:
        for value in ("", "x", "e1:-1", "e1:1 e1:2", "a" * 10_000, "\xff"):
            answer = self.house.ask("/e/stream", f"Last-Event-ID: {value}")
            self.assertEqual((answer.status, answer.error), (400, "bad_cursor"))
            self.assertNotIn(b"aaaa", answer.body)
        for value in (b"e1:1\0", b"e1:1\rX: y", b"e1:1\n"):
            head = b"GET /e/stream HTTP/1.1\r\nHost: feed.example\r\nLast-Event-ID: " + value + b"\r\n\r\n"
            self.assertEqual(self.house.call(head).answer.status, 400)

    def test_text_with_line_breaks_stays_one_event(self) -> None:
        self.house.post(text="a\nb\r\nc\u2028d\n\nevent: fake\ndata: {}")
        (_, changes) = self.events(self.open("?since=0"))
        self.assertEqual(
            changes.data["changes"][0]["item"]["text"], "a\nb\r\nc\u2028d\n\nevent: fake\ndata: {}"
        )

    def test_fragments_for_those_who_want_them(self) -> None:
        self.house.post(text="fine")
        (_, changes) = self.events(self.open("?since=0&render=html"))
        self.assertEqual(changes.data["changes"][0]["fragment"], "<p>fine</p>")

    def test_what_else_a_client_sends_is_ignored(self) -> None:
        caller = self.open()
        caller.send(request("/readyz") * 3)
        self.house.post()
        self.assertEqual([event.type for event in self.events(caller)], ["hello", "changes"])
        self.assertEqual(caller.transport.producerState, "producing")

    def test_a_stream_lasts(self) -> None:
        caller = self.open()
        self.house.pass_time(IDLE_S * 2)
        self.assertFalse(caller.closed)

    def test_head_has_no_stream(self) -> None:
        caller = self.house.call(request("/e/stream", method="HEAD"))
        self.assertTrue(caller.received.startswith(b"HTTP/1.1 200"))
        self.assertTrue(caller.received.endswith(b"\r\n\r\n"))
        self.assertTrue(caller.closed)

    def test_it_is_only_read(self) -> None:
        self.assertEqual(self.house.ask("/e/stream", method="POST").status, 405)

    def test_a_client_that_does_not_read_its_bye_is_cut_off(self) -> None:
        caller = self.open()
        self.house.log.renew("e", "e2", 0)
        self.assertTrue(caller.closed)
        self.assertFalse(caller.transport.disconnected)
        self.house.pass_time(IDLE_S + 1)
        self.assertTrue(caller.transport.disconnected)

    def test_scripts_of_the_configured_sites_may_read(self) -> None:
        house = House(server=Server(public_url="http://feed.example", cors_origins=("https://a.example",)))
        caller = house.call(request("/e/stream", "Origin: https://a.example"))
        self.assertEqual(caller.answer.headers["access-control-allow-origin"], "https://a.example")
