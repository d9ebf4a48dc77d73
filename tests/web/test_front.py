"""The front door: which requests it takes, which it refuses, in what order and how long it waits."""

from __future__ import annotations

import gc
import json
import weakref
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase, TestCase

from afeed.core.request import MAX_HEAD
from afeed.settings import Server
from afeed.web import connection
from afeed.web.connection import HEAD_S, IDLE_S, REQUEST_S
from afeed.web.exchange import Exchange
from tests.web.serving import TOKEN, UPGRADE, House, LiveHouse, answers, eventually, request

POST_HEAD = b"POST /e/items HTTP/1.1\r\nHost: feed.example\r\nContent-Type: application/json\r\n"
AUTHORIZED = (f"Authorization: Bearer {TOKEN}", "Content-Type: application/json")


class HouseCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House()

    def refused(self, data: bytes, status: int, code: str) -> None:
        """``data`` gets this one answer, and the connection is closed."""
        caller = self.house.call(data)
        self.assertEqual([answer.status for answer in caller.answers], [status], data[:100])
        answer = caller.answer
        self.assertEqual(answer.error, code)
        self.assertEqual(answer.headers["connection"], "close")
        self.assertEqual(answer.headers["cache-control"], "no-store")
        self.assertIn("default-src 'none'", answer.headers["content-security-policy"])
        self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
        self.assertTrue(caller.closed)
        caller.leave()
        self.assertTrue(self.house.nobody_is_left())


class MalformedRequestTests(HouseCase):
    """The rows http-02 to http-18 of what hostile clients send."""

    def test_two_content_lengths(self) -> None:
        for second in (b"2", b"3"):
            head = POST_HEAD + b"Content-Length: 2\r\nContent-Length: " + second + b"\r\n\r\n{}x"
            self.refused(head, 400, "bad_request")

    def test_lengths_that_are_no_numbers(self) -> None:
        for value in (b"+5", b"0x5", b"-1", b"1_0", b"5,5", b"", b"\xd9\xa1"):
            self.refused(POST_HEAD + b"Content-Length: " + value + b"\r\n\r\nhello", 400, "bad_request")

    def test_lengths_beyond_all_measure_are_refused_at_the_head(self) -> None:
        for value in (b"1048577", b"18446744073709551615", b"99999999999999999999"):
            self.refused(POST_HEAD + b"Content-Length: " + value + b"\r\n\r\n", 413, "too_large")

    def test_pages_take_smaller_bodies_than_pushes(self) -> None:
        self.refused(
            b"POST /e HTTP/1.1\r\nHost: feed.example\r\nContent-Length: 65537\r\n\r\n", 413, "too_large"
        )

    def test_transfer_codings_that_nobody_unpacks(self) -> None:
        for value in (b"xchunked", b"chunked,identity", b"\x0bchunked", b"gzip, chunked", b"chunked, chunked"):
            head = POST_HEAD + b"Transfer-Encoding: " + value + b"\r\n\r\n0\r\n\r\n"
            self.refused(head, 400, "bad_request")

    def test_a_length_together_with_chunks(self) -> None:
        head = POST_HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        self.refused(head, 400, "bad_request")

    def test_chunk_sizes_that_could_be_read_in_two_ways(self) -> None:
        chunked = POST_HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
        for chunk in (b"0x5\r\nhello\r\n", b"-1\r\n", b"5;a=b\nhello\r\n", b"5\nhello\n", b"5 \r\nhello\r\n"):
            self.refused(chunked + chunk + b"0\r\n\r\n", 400, "bad_request")

    def test_folded_headers(self) -> None:
        head = b"GET /e/updates?wait=0 HTTP/1.1\r\nHost: feed.example\r\nX-A: b\r\n c\r\n\r\n"
        self.refused(head, 400, "bad_request")

    def test_bare_line_feeds_and_spaces_before_the_colon(self) -> None:
        self.refused(b"GET / HTTP/1.1\nHost: feed.example\n\n", 400, "bad_request")
        self.refused(b"GET / HTTP/1.1\r\nHost : feed.example\r\n\r\n", 400, "bad_request")

    def test_versions_that_are_not_spoken(self) -> None:
        for line in (b"GET /", b"GET / HTTP/9.9", b"GET / HTTP/2.0", b"GET / HTTP/0.9"):
            self.refused(line + b"\r\nHost: feed.example\r\n\r\n", 400, "bad_request")

    def test_methods_and_targets_with_control_characters(self) -> None:
        self.refused(b"G\0T / HTTP/1.1\r\nHost: feed.example\r\n\r\n", 400, "bad_request")
        self.refused(b"GET /\0 HTTP/1.1\r\nHost: feed.example\r\n\r\n", 400, "bad_request")
        self.refused(b"GET / HTTP/1.1\r\nHost: feed.example\r\nX: a\0b\r\n\r\n", 400, "bad_request")

    def test_an_absolute_target_that_is_no_url_does_not_break_the_connection(self) -> None:
        self.refused(request("http://[bad/"), 400, "bad_request")
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_methods_that_are_not_answered(self) -> None:
        for method in ("TRACE", "PUT", "DELETE", "OPTIONS", "PATCH"):
            caller = self.house.call(request("/", method=method))
            self.assertEqual((caller.answer.status, caller.answer.headers["allow"]), (405, "GET, HEAD, POST"))
            caller.leave()
        self.refused(
            b"CONNECT feed.example:80 HTTP/1.1\r\nHost: feed.example\r\n\r\n", 405, "method_not_allowed"
        )

    def test_a_head_that_is_too_large(self) -> None:
        self.refused(request("/" + "a" * MAX_HEAD), 431, "head_too_large")
        self.refused(request("/", "X: " + "a" * MAX_HEAD), 431, "head_too_large")
        self.refused(request("/", *(f"X-{n}: {'a' * 20}" for n in range(700))), 431, "head_too_large")

    def test_a_head_that_never_ends_is_refused_before_it_does(self) -> None:
        caller = self.house.call(b"GET / HTTP/1.1\r\nHost: feed.example\r\nX: ")
        for _ in range(17):
            caller.send(b"a" * 1024)
        self.assertEqual(caller.answer.status, 431)

    def test_trailers_that_never_end_are_refused(self) -> None:
        caller = self.house.call(
            POST_HEAD.replace(b"/e/items", b"/e") + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: "
        )
        for _ in range(1000):
            caller.send(b"a" * 1024)
            if caller.closed:
                break
        self.assertEqual(caller.answer.status, 413)

    def test_trailers_are_not_taken_for_headers(self) -> None:
        caller = self.house.call(
            POST_HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
            b"Authorization: Bearer " + TOKEN.encode() + b"\r\n\r\n"
        )
        self.assertEqual(caller.answer.status, 401)

    def test_a_body_that_grows_beyond_its_limit_without_saying_so(self) -> None:
        caller = self.house.call(POST_HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(17):
            caller.send(b"10000\r\n" + b"a" * 65536 + b"\r\n")
        self.assertEqual((caller.answer.status, caller.answer.error), (413, "too_large"))

    def test_pipelined_garbage_does_not_take_the_first_answer_away(self) -> None:
        caller = self.house.call(request("/readyz") + b"\0\0\0")
        self.assertEqual([answer.status for answer in caller.answers], [200, 400])
        self.assertTrue(caller.closed)


class WhomARequestIsForTests(HouseCase):
    def test_host_names_of_others(self) -> None:
        for host in (b"evil.example", b"feed.example.evil", b"feed.example:81", b"", b"feed.example, evil"):
            self.refused(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n", 421, "wrong_host")

    def test_missing_and_double_host(self) -> None:
        self.refused(b"GET / HTTP/1.1\r\n\r\n", 400, "bad_request")
        self.refused(request("/", "Host: feed.example"), 400, "bad_request")

    def test_an_absolute_target_of_another_host(self) -> None:
        self.refused(request("http://evil/"), 421, "wrong_host")
        self.refused(request("http://feed.example@evil/"), 421, "wrong_host")
        self.refused(request("ftp://feed.example/"), 400, "bad_request")

    def test_an_absolute_target_of_our_own(self) -> None:
        self.assertEqual(self.house.ask("http://feed.example/e/updates?wait=0").status, 200)
        self.assertEqual(self.house.ask("HTTP://feed.example:80/readyz").status, 200)

    def test_health_checks_from_inside_ask_under_any_name(self) -> None:
        asked = b"GET /healthz HTTP/1.1\r\nHost: 172.17.0.2:8080\r\n\r\n"
        self.assertEqual(self.house.call(asked).answer.status, 200)
        self.assertEqual(self.house.call(asked, peer="203.0.113.9").answer.status, 421)

    def test_the_peer_counts_unless_a_trusted_proxy_forwards(self) -> None:
        seen: list[tuple[str, bool]] = []

        def page(exchange: Exchange) -> None:
            seen.append((exchange.client, exchange.internal))
            exchange.json(200, {})

        house = House(pages=page)
        hundred = ", ".join(f"198.51.100.{n}" for n in range(100))
        house.ask("/", "X-Forwarded-For: 127.0.0.1", peer="203.0.113.9")
        house.ask("/", f"X-Forwarded-For: {hundred}", peer="203.0.113.9")
        house.ask("/", "X-Forwarded-For: 127.0.0.1", peer="127.0.0.1")
        house.ask("/", "X-Forwarded-For: 198.51.100.7, 203.0.113.5", peer="10.0.0.1")
        house.ask("/", "X-Forwarded-For: fe80::1%eth0", peer="10.0.0.1")
        self.assertEqual(
            seen,
            [
                ("203.0.113.9", False),
                ("203.0.113.9", False),
                ("127.0.0.1", False),
                ("203.0.113.5", False),
                ("fe80::1%eth0", False),
            ],
        )


class OrderTests(HouseCase):
    def test_requests_on_one_connection_are_answered_one_after_the_other(self) -> None:
        caller = self.house.call()
        for number in range(3):
            caller.send(request("/readyz"))
            self.assertEqual(len(caller.answers), number + 1)
        self.assertFalse(caller.closed)
        self.assertEqual(self.house.requests, 3)

    def test_requests_that_come_in_single_bytes(self) -> None:
        caller = self.house.call()
        for byte in request("/e/items", *AUTHORIZED, method="POST", body=b'{"id":"1","text":"x"}') * 2:
            caller.send(bytes([byte]))
        self.assertEqual([answer.status for answer in caller.answers], [201, 201])

    def test_pipelined_requests_wait_for_a_parked_poll(self) -> None:
        caller = self.house.call(request("/e/updates?since=e1:0") + request("/readyz"))
        caller.send(request("/e/updates?since=e1:0&wait=0"))
        self.assertEqual(caller.answers, [])
        self.house.post()
        first, second, third = caller.answers
        self.assertEqual(first.json["cursor"], "e1:1")
        self.assertTrue(second.json["ready"])
        self.assertEqual(third.json["cursor"], "e1:1")

    def test_a_client_that_sends_ahead_is_not_read_from(self) -> None:
        caller = self.house.call(request("/e/updates?since=e1:0"))
        caller.send(request("/readyz"))
        self.assertEqual(caller.transport.producerState, "paused")
        self.house.post()
        self.assertEqual(caller.transport.producerState, "producing")
        self.assertEqual(len(caller.answers), 2)

    def test_a_thousand_pipelined_requests(self) -> None:
        caller = self.house.call(request("/readyz") * 1000)
        self.assertEqual([answer.status for answer in caller.answers], [200] * 1000)

    def test_a_large_body_and_the_beginning_of_the_next_head_in_one_piece(self) -> None:
        body = json.dumps([{"id": str(n), "text": "x" * 100} for n in range(300)]).encode()
        caller = self.house.call(request("/e/items", *AUTHORIZED, method="POST", body=body) + b"GET /readyz HT")
        caller.send(b"TP/1.1\r\nHost: feed.example\r\n\r\n")
        self.assertEqual([answer.status for answer in caller.answers], [201, 200])

    def test_connection_close(self) -> None:
        caller = self.house.call(request("/readyz", "Connection: Close") + request("/readyz"))
        self.assertEqual(caller.answer.headers["connection"], "close")
        self.assertTrue(caller.closed)

    def test_http_1_0_is_answered_and_closed(self) -> None:
        for header in ("Accept: */*", "Connection: keep-alive"):
            caller = self.house.call(request("/readyz", header, version="1.0"))
            self.assertEqual(caller.answer.headers["connection"], "close")
            self.assertTrue(caller.closed)

    def test_a_parked_poll_of_a_client_that_wants_to_close(self) -> None:
        caller = self.house.call(request("/e/updates?since=e1:0", "Connection: close"))
        other = self.house.call(request("/e/updates?since=e1:0"))
        self.house.post()
        self.assertEqual(caller.answer.headers["connection"], "close")
        self.assertTrue(caller.closed)
        self.assertNotIn("connection", other.answer.headers)
        self.assertEqual(caller.answer.body, other.answer.body)

    def test_head_has_the_length_and_no_body(self) -> None:
        caller = self.house.call(request("/readyz", method="HEAD") + request("/readyz"))
        head, get = answers(caller.received, heads=1)
        self.assertEqual(head.headers["content-length"], str(len(get.body)))
        self.assertEqual(head.body, b"")

    def test_expect_100_continue(self) -> None:
        head, _, body = request(
            "/e/items", *AUTHORIZED, "Expect: 100-continue", method="POST", body=b'{"id":"1","text":"x"}'
        ).partition(b"\r\n\r\n")
        caller = self.house.call(head + b"\r\n\r\n")
        self.assertEqual(caller.received, b"HTTP/1.1 100 Continue\r\n\r\n")
        caller.send(body)
        self.assertEqual([answer.status for answer in caller.answers], [100, 201])

    def test_nobody_is_asked_to_continue_with_a_body_that_is_too_large(self) -> None:
        head = POST_HEAD + b"Expect: 100-continue\r\nContent-Length: 2000000\r\n\r\n"
        self.refused(head, 413, "too_large")

    def test_a_handler_that_breaks_answers_500_and_closes(self) -> None:
        def broken(exchange: Exchange) -> None:
            raise ZeroDivisionError("a defect")

        house = House(pages=broken)
        caller = house.call(request("/") + request("/readyz"))
        self.assertEqual((caller.answer.status, caller.answer.error), (500, "internal"))
        self.assertNotIn(b"defect", caller.received)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_every_answer_is_dated(self) -> None:
        self.assertEqual(self.house.ask("/readyz").headers["date"], "Fri, 15 Jan 2027 08:00:00 GMT")
        self.house.now += 1
        self.assertEqual(self.house.ask("/readyz").headers["date"], "Fri, 15 Jan 2027 08:00:01 GMT")


class DeadlineTests(HouseCase):
    def test_a_slow_head_is_ended_after_10_s_in_all(self) -> None:
        caller = self.house.call(b"GET / HTTP/1.1\r\n")
        for _ in range(HEAD_S // 2):
            self.assertEqual(caller.answers, [])
            self.house.pass_time(2)
            caller.send(b"X: y\r\n")
        self.house.pass_time(1)
        self.assertEqual((caller.answer.status, caller.answer.error), (408, "too_slow"))
        self.assertTrue(caller.closed)

    def test_a_slow_body_is_ended_after_30_s_in_all(self) -> None:
        caller = self.house.call(b"POST /e/items HTTP/1.1\r\n")
        self.house.pass_time(HEAD_S - 2)
        caller.send(b"Host: feed.example\r\nContent-Length: 100\r\n\r\n")
        for _ in range((REQUEST_S - HEAD_S) // 2):
            self.assertEqual(caller.answers, [])
            self.house.pass_time(2)
            caller.send(b"x")
        self.house.pass_time(4)
        self.assertEqual((caller.answer.status, caller.answer.error), (408, "too_slow"))

    def test_an_idle_connection_is_closed_after_75_s(self) -> None:
        silent = self.house.call()
        kept = self.house.call(request("/readyz"))
        self.house.pass_time(IDLE_S - 1)
        self.assertFalse(silent.closed or kept.closed)
        self.house.pass_time(2)
        self.assertTrue(silent.closed and kept.closed)
        self.assertEqual((silent.received, len(kept.answers)), (b"", 1))

    def test_half_a_head_behind_an_answered_request_has_its_deadline_too(self) -> None:
        caller = self.house.call(request("/readyz") + b"GET / HTT")
        self.assertEqual(len(caller.answers), 1)
        self.house.pass_time(HEAD_S + 1)
        self.assertEqual([answer.status for answer in caller.answers], [200, 408])

    def test_half_a_head_behind_a_parked_poll_gets_its_whole_time(self) -> None:
        caller = self.house.call(request("/e/updates?since=e1:0&wait=20") + b"GET /readyz HTT")
        self.house.pass_time(21)
        self.assertEqual([answer.status for answer in caller.answers], [200])
        caller.send(b"P/1.1\r\nHost: feed.example\r\n\r\n")
        self.assertEqual([answer.status for answer in caller.answers], [200, 200])

    def test_a_parked_poll_outlives_all_deadlines_of_the_front_door(self) -> None:
        caller = self.house.call(request("/e/updates?since=e1:0&wait=30"))
        self.house.pass_time(28)
        self.assertEqual(caller.answers, [])
        self.house.pass_time(3)
        self.assertEqual(caller.answer.json["changes"], [])

    def test_a_client_that_does_not_read_its_answers_is_not_answered_more(self) -> None:
        self.house.post(200, "x" * 1000)
        caller = self.house.call()
        caller.protocol.pauseProducing()  # what a transport does that holds more than the client reads
        for _ in range(10):
            caller.send(request("/e/updates?since=e1:0&wait=0"))
        self.assertEqual((caller.received, caller.transport.producerState), (b"", "paused"))
        caller.protocol.resumeProducing()
        self.assertEqual(len(caller.answers), 10)

    def test_a_client_that_never_reads_is_cut_off(self) -> None:
        caller = self.house.call(request("/readyz"))
        caller.protocol.pauseProducing()
        caller.send(request("/readyz"))
        self.house.pass_time(IDLE_S + 1)
        self.assertTrue(caller.transport.disconnected)

    def test_a_connection_whose_last_answer_is_not_read_is_cut_off(self) -> None:
        caller = self.house.call(request("/readyz", "Connection: close"))
        self.assertTrue(caller.closed)
        self.assertFalse(caller.transport.disconnected)
        self.house.pass_time(IDLE_S + 1)
        self.assertTrue(caller.transport.disconnected)


class LeavingTests(HouseCase):
    def test_a_client_that_leaves_while_parked_is_forgotten(self) -> None:
        caller = self.house.call(request("/e/updates?since=e1:0"))
        self.assertEqual(self.house.stages.viewers()["e", "poll"], 1)
        caller.leave()
        self.assertTrue(self.house.nobody_is_left())
        self.house.post()
        self.house.pass_time(31)
        self.assertEqual(caller.received, b"")

    def test_a_client_that_leaves_while_streaming_is_forgotten(self) -> None:
        caller = self.house.call(request("/e/stream"))
        self.assertEqual(self.house.stages.viewers()["e", "sse"], 1)
        caller.leave()
        self.assertTrue(self.house.nobody_is_left())

    def test_an_answer_that_is_ready_after_the_client_has_left_does_no_harm(self) -> None:
        kept: list[Exchange] = []
        house = House(pages=kept.append)
        caller = house.call(request("/") + request("/"))
        caller.leave()
        kept[0].json(200, {})
        self.assertEqual(len(kept), 1)
        self.assertTrue(house.nobody_is_left())

    def test_stop_closes_what_is_open(self) -> None:
        callers = [
            self.house.call(),
            self.house.call(request("/readyz")),
            self.house.call(request("/e/stream")),
        ]
        self.house.stop()
        self.assertTrue(all(caller.closed for caller in callers))
        self.assertEqual(self.house.clock.getDelayedCalls(), [])


class UpgradeTests(HouseCase):
    def test_another_protocol_is_answered_as_if_it_had_not_been_asked_for(self) -> None:
        headers = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
        caller = self.house.call(request("/readyz", *headers) + request("/readyz"))
        self.assertEqual([answer.status for answer in caller.answers], [200, 200])

    def test_the_body_behind_such_a_request_is_not_taken_for_a_request(self) -> None:
        body = b'{"id":"1","text":"x"}'
        caller = self.house.call(
            request("/e/items", *AUTHORIZED, "Connection: Upgrade", "Upgrade: h2c", method="POST", body=body)
            + request("/readyz")
        )
        self.assertEqual([answer.status for answer in caller.answers], [201, 200])

    def test_a_refused_request_right_behind_one_that_asks_for_another_protocol(self) -> None:
        caller = self.house.call(
            request("/readyz", "Connection: Upgrade", "Upgrade: h2c") + b"GET / HTTP/1.1\r\nHost: evil\r\n\r\n"
        )
        self.assertEqual([answer.status for answer in caller.answers], [200, 421])
        self.assertTrue(caller.closed)

    def test_a_websocket_nowhere(self) -> None:
        caller = self.house.call(request("/nowhere", *UPGRADE))
        self.assertEqual((caller.answer.status, caller.answer.error), (404, "not_found"))
        self.assertTrue(caller.closed)

    def test_an_upgrade_behind_an_ordinary_request(self) -> None:
        caller = self.house.call(request("/readyz"))
        caller.send(request("/e/ws", *UPGRADE))
        first, second = answers(caller.received)
        self.assertEqual((first.status, second.status), (200, 101))
        self.assertEqual(self.house.stages.viewers()["e", "websocket"], 1)

    def test_an_upgrade_sent_ahead_of_an_answer_waits_its_turn(self) -> None:
        caller = self.house.call(request("/e/updates?since=e1:0") + request("/e/ws", *UPGRADE))
        caller.send(b"\x89\x80abcd")
        self.assertEqual(caller.received, b"")
        self.house.post()
        first, second = (part for part in caller.received.split(b"HTTP/1.1 ") if part)
        self.assertEqual((first[:3], second[:3]), (b"200", b"101"))
        self.assertIn(b"\x8a\x00", second)
        self.assertEqual(caller.transport.producerState, "producing")

    def test_what_comes_right_behind_the_head_reaches_the_websocket(self) -> None:
        caller = self.house.call(request("/e/ws", *UPGRADE) + b"\x89\x85abcd" + b"\x09\x07\x0f\x08\x0e")
        self.assertIn(b"\x8a\x05hello", caller.received)

    def test_the_http_objects_are_let_go(self) -> None:
        caller = self.house.call()
        left = weakref.ref(caller.protocol)
        caller.protocol = None
        gc.disable()
        self.addCleanup(gc.enable)
        caller.send(request("/e/ws", *UPGRADE))
        self.assertIsNone(left())
        self.assertFalse(self.house.front.connections)
        self.assertFalse(len(self.house.front.deadlines))

    def test_an_ordinary_connection_is_let_go_as_well(self) -> None:
        caller = self.house.call(request("/readyz"))
        left = weakref.ref(caller.protocol)
        gc.disable()
        self.addCleanup(gc.enable)
        caller.leave()
        caller.transport.protocol = caller.transport.producer = caller.protocol = None  # as a real one does
        self.assertIsNone(left())


class SecureTests(SynchronousTestCase):
    def test_the_scheme_is_that_of_the_public_url(self) -> None:
        seen: list[bool] = []

        def page(exchange: Exchange) -> None:
            seen.append(exchange.connection.secure)
            exchange.json(200, {})

        for url in ("http://feed.example", "https://feed.example"):
            House(server=Server(public_url=url), pages=page).ask("/")
        self.assertEqual(seen, [False, True])


class UnixSocketTests(SynchronousTestCase):
    def test_a_peer_without_an_address_is_local(self) -> None:
        house = House()
        transport = StringTransport(peerAddress=object())
        protocol: Any = house.front.buildProtocol(None)
        protocol.makeConnection(transport)
        protocol.dataReceived(request("/metrics"))
        self.assertIn(b"HTTP/1.1 200", transport.value())


class RealConnectionTests(TestCase):
    """What only a kernel can show."""

    async def open(self, **options: Any) -> LiveHouse:
        from twisted.internet import reactor

        live = await LiveHouse(reactor, **options).open()
        self.addCleanup(lambda: Deferred.fromCoroutine(live.close()))
        return live

    async def test_a_client_that_goes_on_sending_reads_the_refusal(self) -> None:
        self.patch(connection, "LINGER_S", 60)  # time enough to read it, whatever else the machine does
        live = await self.open()
        wire = await live.connect(POST_HEAD + b"Content-Length: 50000000\r\n\r\n")
        chunk = b"x" * 65536
        for _ in range(100):
            wire.send(chunk)
        await wire.until(lambda: len(answers(wire.received)) == 1, live.reactor)
        self.assertEqual(answers(wire.received)[0].status, 413)

    async def test_a_client_that_goes_on_sending_for_ever_is_cut_off(self) -> None:
        live = await self.open()
        wire = await live.connect(b"\0" * 100)
        started = live.reactor.seconds()

        class Endless:
            def resumeProducing(self) -> None:
                wire.transport.write(b"x" * 1000)

            def stopProducing(self) -> None:
                pass

        wire.transport.registerProducer(Endless(), False)
        await wire.until(lambda: wire.closed, live.reactor)
        self.assertEqual(answers(wire.received)[0].status, 400)
        self.assertLess(live.reactor.seconds() - started, IDLE_S / 2, "as if it had only been idle")

    async def test_a_client_that_reads_nothing_makes_no_buffer_grow(self) -> None:
        live = await self.open()
        live.house.post(200, "x" * 1000)
        wire = await live.connect()
        wire.transport.pauseProducing()
        asked = request("/e/updates?since=e1:0&wait=0")
        wire.send(asked * 40)
        await eventually(
            live.reactor, lambda: any(c.transport.producerPaused for c in live.house.front.connections)
        )
        (connection,) = live.house.front.connections
        held = len(connection.transport.dataBuffer) + connection.transport._tempDataLen
        self.assertLess(held, 1_000_000)
        wire.transport.resumeProducing()
        await wire.until(lambda: wire.received.count(b"HTTP/1.1 200") == 40, live.reactor)

    async def test_answers_past_the_buffer_and_through_it_are_whole_and_in_order(self) -> None:
        def page(exchange: Exchange) -> None:
            """Half of the answer goes through the transport's buffer."""
            connection = exchange.connection
            body = exchange.path * 5000
            connection.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
            connection.transport.write(body[:1000])
            connection.answer(body[1000:])

        live = await self.open(pages=page)
        wire = await live.connect()
        wire.transport.pauseProducing()
        paths = [f"/page-{number}" for number in range(60)]
        rng = Random(7)
        for path in paths:
            wire.send(request(path))
            if rng.random() < 0.2:  # what is sent ahead waits; what is sent alone is answered at once
                wire.transport.resumeProducing()
                await deferLater(live.reactor, 0.001)
                wire.transport.pauseProducing()
        wire.transport.resumeProducing()
        await wire.until(lambda: len(answers(wire.received)) == len(paths), live.reactor)
        bodies = [answer.body for answer in answers(wire.received)]
        self.assertEqual(bodies, [path.encode() * 5000 for path in paths])

    async def test_a_client_that_vanishes_while_it_is_answered_raises_nothing(self) -> None:
        live = await self.open()
        live.house.post(200, "x" * 1000)
        wire = await live.connect()
        wire.transport.pauseProducing()
        wire.send(request("/e/updates?since=e1:0&wait=0") * 40)
        await eventually(
            live.reactor, lambda: any(c.transport.producerPaused for c in live.house.front.connections)
        )
        wire.transport.abortConnection()
        await eventually(live.reactor, live.house.nobody_is_left)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_parked_clients_that_vanish_are_forgotten(self) -> None:
        live = await self.open()
        for _ in range(5):
            await live.connect(request("/e/updates?since=e1:0"))
        await eventually(live.reactor, lambda: live.house.stages.viewers()["e", "poll"] == 5)
        for wire in live.wires:
            wire.transport.abortConnection()
        await eventually(live.reactor, live.house.nobody_is_left)

    async def half_closed(self, live: LiveHouse, data: bytes) -> bytes:
        """What a client receives that sends ``data`` and closes its side, until the other is closed too."""
        wire = await live.connect(data)
        wire.transport.loseWriteConnection()
        await wire.until(lambda: wire.closed, live.reactor)
        return wire.received

    async def test_a_client_that_closes_its_side_behind_its_requests_gets_every_answer(self) -> None:
        kept: list[Exchange] = []
        live = await self.open(pages=kept.append)
        live.house.post(2)
        push = request("/e/items", *AUTHORIZED, method="POST", body=b'{"id":"9","text":"x"}')
        for data, statuses in (
            (request("/readyz"), [200]),
            (request("/readyz") + request("/e/updates?since=e1:0") + push, [200, 200, 201]),
            (request("/readyz") + b"GET /ready", [200]),
            (b"nonsense\r\n\r\n", [400]),
            (b"", []),
        ):
            received = await self.half_closed(live, data)
            self.assertEqual([answer.status for answer in answers(received)], statuses, data)
        wire = await live.connect(request("/e"))
        wire.transport.loseWriteConnection()
        await eventually(live.reactor, lambda: bool(kept))
        (connection,) = live.house.front.connections
        await eventually(live.reactor, lambda: connection.heard_all)
        kept[0].json(200, {"late": True})
        await wire.until(lambda: wire.closed, live.reactor)
        self.assertEqual(answers(wire.received)[0].json, {"late": True})

    async def test_a_client_that_closes_its_side_is_not_kept_waiting_for_news(self) -> None:
        live = await self.open()
        polled = await self.half_closed(live, request("/e/updates?since=e1:0&wait=30"))
        self.assertEqual(answers(polled)[0].json["changes"], [])
        streamed = await self.half_closed(live, request("/e/stream"))
        self.assertIn(b"event: hello", streamed)
        await eventually(live.reactor, live.house.nobody_is_left)
