"""Requests that nobody should send, over real sockets to a real ``twistd afeed``."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.hostile.raw import exchange, head, shared_server
from tests.servers.afeed import PUSH_TOKEN, SLUG
from tests.web.serving import answers

#: As X-Forwarded-For of a peer that is not trusted.
_SPOOFED = "X-Forwarded-For: 127.0.0.1"


class RequestTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = shared_server()
        self.server.push({"id": "1", "text": "one"}, {"id": "2", "text": "two"})

    def tearDown(self) -> None:
        self.assertEqual(self.server.request("/readyz")[0], 200)
        output = self.server.output()
        self.assertNotIn("Traceback", output)
        self.assertNotIn("should not have happened", output)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def head(self, target: str | bytes, *lines: str, **options: Any) -> bytes:
        return head(target, *lines, host=self.host, **options)

    def answer(self, data: bytes) -> Any:
        """The one answer to ``data``."""
        found = answers(exchange(self.server.port, data))
        self.assertEqual(len(found), 1, data[:200])
        return found[0]

    def refused(self, status: int, *requests: bytes, error: str | None = None) -> None:
        for data in requests:
            answer = self.answer(data)
            self.assertEqual(answer.status, status, data[:200])
            if error is not None:
                self.assertEqual(answer.error, error, data[:200])

    def post(self, *lines: str, body: bytes = b"", kind: str = "application/json") -> bytes:
        authorized = (f"Authorization: Bearer {PUSH_TOKEN}", f"Content-Type: {kind}")
        return self.head(f"/{SLUG}/items", *authorized, *lines, method="POST") + body

    # -- framing

    def test_http_02_two_lengths(self) -> None:
        for second in (2, 3):
            self.refused(400, self.post("Content-Length: 2", f"Content-Length: {second}", body=b"{}"))

    def test_http_03_lengths_that_are_no_numbers(self) -> None:
        self.refused(
            400, *(self.post(f"Content-Length: {text}") for text in ("+5", "0x5", "-1", "1_0", "", "5 5"))
        )

    def test_http_04_lengths_beyond_all_measure(self) -> None:
        self.refused(413, *(self.post(f"Content-Length: {digits}") for digits in ("9" * 20, "9" * 9)))

    def test_http_05_transfer_codings(self) -> None:
        codings = ("xchunked", "chunked, identity", "\x0bchunked", "identity", "gzip, chunked")
        self.refused(400, *(self.post(f"Transfer-Encoding: {name}", body=b"0\r\n\r\n") for name in codings))

    def test_http_06_chunks(self) -> None:
        for chunk in (
            b"0x5\r\nhello\r\n",
            b"-1\r\nhello\r\n",
            b"5;a=b\nhello\r\n",
            b"5\r\nhello!\r\n",
        ):
            self.refused(400, self.post("Transfer-Encoding: chunked", body=chunk))

    def test_http_08_a_form_of_ten_thousand_parts(self) -> None:
        parts = b"".join(
            b'--b\r\nContent-Disposition: form-data; name="%d"\r\n\r\nx\r\n' % n for n in range(10_000)
        )
        wide = b"--b\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n--b--"
        for body in (parts + b"--b--", wide):
            for target in ("/", f"/{SLUG}"):
                lines = ("Content-Type: multipart/form-data; boundary=b", f"Content-Length: {len(body)}")
                self.refused(413, self.head(target, *lines, method="POST") + body)

    def test_http_09_and_10_drips(self) -> None:
        """A head must be there in 10 s and a body in 30 s, however regularly a little of it comes."""
        found: dict[str, tuple[bytes, float]] = {}

        def drip(name: str, first: bytes, drop: bytes) -> None:
            began = time.monotonic()
            received = b""
            with socket.create_connection(("127.0.0.1", self.server.port), timeout=1) as connection:
                connection.sendall(first)
                while time.monotonic() - began < 60:
                    try:
                        part = connection.recv(4096)
                    except TimeoutError:
                        connection.sendall(drop)
                        continue
                    except ConnectionError:
                        break
                    if not part:
                        break
                    received += part
            found[name] = received, time.monotonic() - began

        threads = [
            threading.Thread(target=drip, args=arguments)
            for arguments in (
                ("head", f"GET / HTTP/1.1\r\nHost: {self.host}\r\n".encode(), b"X-Y: z\r\n"),
                ("body", self.post("Content-Length: 1000"), b" "),
            )
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name, seconds in (("head", 10), ("body", 30)):
            received, took = found[name]
            self.assertEqual(answers(received)[0].status, 408, name)
            self.assertGreater(took, seconds - 2, name)
            self.assertLess(took, seconds + 15, name)

    def test_http_14_folded_headers(self) -> None:
        self.refused(400, self.head("/", "X: a\r\n b"))

    # -- whom and what

    def test_http_16_absolute_targets(self) -> None:
        self.refused(421, self.head("http://evil.example/"), error="wrong_host")
        self.assertEqual(self.answer(self.head(f"http://{self.host}/readyz")).status, 200)

    def test_http_17_versions_and_methods_that_are_none(self) -> None:
        self.refused(400, b"GET /\r\n\r\n", self.head("/", version="9.9"), b"G\0T / HTTP/1.1\r\n\r\n")

    def test_http_18_methods_that_are_not_answered(self) -> None:
        for method in ("TRACE", "PUT", "DELETE", "CONNECT"):
            target = self.host if method == "CONNECT" else "/"
            answer = self.answer(self.head(target, method=method))
            self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, HEAD, POST"), method)

    # -- what clients ask for

    def test_http_20_and_21_cursors_that_are_none(self) -> None:
        for since in (
            "",
            "-1",
            "1e9",
            "18446744073709551616",
            "0x10",
            "%D9%A1%D9%A2",
            "e:1:2",
            "%00",
            "1" * 9000,
        ):
            for path in ("updates", "stream"):
                self.refused(400, self.head(f"/{SLUG}/{path}?since={since}"), error="bad_cursor")

    def test_http_22_an_unknown_epoch_is_a_gap(self) -> None:
        body = self.answer(self.head(f"/{SLUG}/updates?since=zzzz:12&wait=0")).json
        self.assertEqual(body["gap"]["reason"], "epoch")
        self.assertEqual([change["seq"] for change in body["changes"]], [1, 2])

    def test_http_25_limits(self) -> None:
        for limit, count in (("0", 1), ("-1", 1), ("1000000000", 2)):
            body = self.answer(self.head(f"/{SLUG}/updates?since=0&wait=0&limit={limit}")).json
            self.assertEqual(len(body["changes"]), count, limit)
        for limit in ("NaN", "1e9", "", "%201"):
            self.refused(400, self.head(f"/{SLUG}/updates?limit={limit}"), error="bad_request")

    def test_http_26_a_wait_beyond_all_measure_is_taken_for_the_longest(self) -> None:
        answer = self.answer(self.head(f"/{SLUG}/updates?since=1&wait=999999"))
        self.assertEqual([change["seq"] for change in answer.json["changes"]], [2])

    def test_http_27_event_ids_that_are_none(self) -> None:
        for value in ("a\rb", "a\0b", "x" * 10_000, "e:1 2", "-1"):
            received = exchange(self.server.port, self.head(f"/{SLUG}/stream", f"Last-Event-ID: {value}"))
            self.assertEqual(answers(received)[0].status, 400, value[:20])
            self.assertNotIn(value.encode("latin-1"), received)

    def test_http_31_paths_that_try_to_leave(self) -> None:
        targets = (
            "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/static/../../afeed.toml",
            "/static/%2e%2e%2ftap.py",
            "/static/feed.js%00.js", "/static/..%5ctap.py", "//evil.example", "//evil.example/%2e%2e",
            "/static//etc/passwd", f"/{SLUG}/../healthz", "/%ff",
        )  # fmt: skip
        for target in targets:
            answer = self.answer(self.head(target, "Connection: close"))
            self.assertEqual(answer.status, 404, target)
            self.assertNotIn("location", answer.headers)
            self.assertNotIn(b"root:", answer.body)

    def test_http_33_what_a_form_of_another_site_can_send(self) -> None:
        body = b'{"id":"evil","text":"x"}'
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"):
            self.refused(415, self.post(f"Content-Length: {len(body)}", body=body, kind=kind))

    def test_http_40_nobody_is_believed_about_whom_he_speaks_for(self) -> None:
        for line in (
            _SPOOFED,
            "X-Forwarded-For: " + ", ".join(["10.0.0.1"] * 100),
            "X-Forwarded-For: fe80::1%eth0",
        ):
            self.refused(403, self.head("/metrics", line))

    def test_http_46_a_thousand_ranges(self) -> None:
        page = self.answer(self.head(f"/{SLUG}", "Connection: close"))
        ranges = "Range: bytes=" + ",".join(["0-"] * 1000)
        asked = self.answer(self.head(f"/{SLUG}", "Connection: close", ranges))
        self.assertIn(asked.status, (200, 416))
        self.assertLessEqual(len(asked.body), len(page.body) + 1000)

    def test_http_48_words_that_would_change_the_log(self) -> None:
        text = "\x1b[2J\r\n2026-11-21 [fake] line"
        body = json.dumps({"id": "log\r\n", "text": text}).encode()
        self.refused(400, self.post(f"Content-Length: {len(body)}", body=body))
        self.answer(self.head("/%1b[2J%0d%0a[fake]", "User-Agent: \x1b[2J", "Connection: close"))
        self.assertNotIn("\x1b", self.server.output())
        self.assertFalse([line for line in self.server.output().splitlines() if line.startswith("[fake]")])

    def test_http_49_insides_are_for_insiders(self) -> None:
        self.refused(403, self.head("/metrics", _SPOOFED))
        outside = self.answer(self.head("/healthz?verbose=1", _SPOOFED)).json
        inside = self.answer(self.head("/healthz")).json
        self.assertLess(len(json.dumps(outside)), len(json.dumps(inside)))
        self.assertNotIn(PUSH_TOKEN, json.dumps(inside))
