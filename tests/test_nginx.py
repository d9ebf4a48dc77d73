"""Real traffic through a real nginx with ``etc/nginx.conf`` in front of a real afeed."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.servers.afeed import PUSH_TOKEN, SLUG, AfeedServer
from tests.servers.nginx import SERVER_NAME, NginxServer
from tests.servers.process import free_port, wait_until

#: How many viewers wait at the same position, and how many requests of theirs afeed may see at most; an answer
#: is good for a second, so one more for each that nginx takes for them all.
CROWD, MOST_PASSED_ON = 40, 4


def node() -> AfeedServer:
    """An afeed that is configured as the head of ``etc/nginx.conf`` says."""
    server = AfeedServer(server='trusted_proxies = ["127.0.0.1/32"]')
    text = server.config_path.read_text("utf-8")
    ours = f'public_url = "{server.url}"'
    assert ours in text
    server.config_path.write_text(text.replace(ours, f'public_url = "https://{SERVER_NAME}"'), "utf-8")
    return server


class NginxTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.node = node()
        self.addCleanup(self.node.close)
        self.node.start()
        # The first node of the list is out of order: nobody notices.
        self.nginx = NginxServer([free_port(), self.node.port])
        self.addCleanup(self.nginx.close)
        self.nginx.start()
        self.tls = ssl.create_default_context(cafile=str(self.nginx.directory / "fullchain.pem"))

    def connect(self) -> ssl.SSLSocket:
        """A TLS connection to nginx."""
        plain = socket.create_connection(("127.0.0.1", self.nginx.port), timeout=60)
        secure = self.tls.wrap_socket(plain, server_hostname=SERVER_NAME)
        self.addCleanup(secure.close)
        return secure

    def request(
        self,
        path: str,
        *,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection(SERVER_NAME)
        connection.sock = self.connect()
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, answer.headers, data

    def updates(self, query: str) -> dict[str, Any]:
        status, _, body = self.request(f"/{SLUG}/updates?{query}")
        self.assertEqual(status, 200, body)
        answer: dict[str, Any] = json.loads(body)
        return answer

    def push(self, name: str) -> None:
        headers = {"Authorization": f"Bearer {PUSH_TOKEN}", "Content-Type": "application/json"}
        item = json.dumps({"id": name, "text": f"post {name}"}).encode()
        status, _, body = self.request(f"/{SLUG}/items", method="POST", body=item, headers=headers)
        self.assertEqual(status, 201, body)

    def metric(self, name: str) -> float:
        text = self.node.request("/metrics")[2].decode()
        return sum(map(float, re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)))

    def read_until(self, connection: ssl.SSLSocket, wanted: bytes, received: bytes = b"") -> bytes:
        while wanted not in received:
            data = connection.recv(65536)
            self.assertTrue(data, f"the connection ended before {wanted!r}: {received!r}")
            received += data
        return received

    def test_plain_http_is_sent_to_https(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.nginx.plain_port, timeout=60)
        connection.request("GET", f"/{SLUG}", headers={"Host": SERVER_NAME})
        answer = connection.getresponse()
        self.assertEqual(answer.status, 301)
        self.assertEqual(answer.headers["Location"], f"https://{SERVER_NAME}/{SLUG}")
        connection.close()

    def test_pages_and_pushes(self) -> None:
        self.push("1")
        status, headers, body = self.request(f"/{SLUG}")
        self.assertEqual(status, 200)
        self.assertIn(b"post 1", body)
        self.assertIn("Content-Security-Policy", headers)

    def test_the_key_of_a_report_is_in_no_log_though_a_node_is_out_of_order(self) -> None:
        for number in range(4):
            status, _, _ = self.request(f"/{SLUG}/talks/keynote/report?key=secret-{number}")
            self.assertEqual(status, 404)
        self.assertNotIn("secret-", self.nginx.output())

    def test_metrics_stay_inside(self) -> None:
        self.assertEqual(self.request("/metrics")[0], 404)

    def test_events_come_through_at_once(self) -> None:
        stream = self.connect()
        stream.sendall(f"GET /{SLUG}/stream HTTP/1.1\r\nHost: {SERVER_NAME}\r\n\r\n".encode("ascii"))
        received = self.read_until(stream, b"event: hello")
        self.push("1")
        # The socket's own deadline is the test: a buffer would keep this small event back.
        self.assertIn(
            b'"push:1"', self.read_until(stream, b"\n\n", self.read_until(stream, b'"push:1"', received))
        )

    def test_a_websocket_comes_through(self) -> None:
        viewer = self.connect()
        viewer.sendall(
            f"GET /{SLUG}/ws HTTP/1.1\r\nHost: {SERVER_NAME}\r\nOrigin: https://{SERVER_NAME}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode("ascii")
        )
        received = self.read_until(viewer, b'{"type":"hello"')
        self.assertIn(b" 101 ", received.splitlines()[0])
        self.assertIn(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", received)  # RFC 6455, section 1.3
        self.push("1")
        self.read_until(viewer, b'"push:1"', received)

    def test_a_page_of_another_site_may_not_open_a_websocket(self) -> None:
        headers = {
            "Origin": "https://elsewhere.example",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        self.assertEqual(self.request(f"/{SLUG}/ws", headers=headers)[0], 403)

    def test_a_long_poll_with_nothing_new_ends_properly(self) -> None:
        cursor = self.updates("limit=1")["cursor"]
        answer = self.updates(f"since={cursor}&wait=2")
        self.assertEqual((answer["cursor"], answer["changes"]), (cursor, []))

    def test_one_request_answers_a_crowd_that_waits_at_the_same_position(self) -> None:
        self.push("before")
        cursor = self.updates("limit=1")["cursor"]
        before = self.metric("afeed_requests_total")
        answers: list[dict[str, Any]] = []
        sent = threading.Semaphore(0)

        def wait() -> None:
            connection = self.connect()
            query = f"/{SLUG}/updates?since={cursor}&wait=25&render=html"
            connection.sendall(f"GET {query} HTTP/1.0\r\nHost: {SERVER_NAME}\r\n\r\n".encode("ascii"))
            sent.release()
            received = b""
            while data := connection.recv(65536):
                received += data
            answers.append(json.loads(received.partition(b"\r\n\r\n")[2]))

        crowd = [threading.Thread(target=wait, daemon=True) for _ in range(CROWD)]
        for thread in crowd:
            thread.start()
        for _ in crowd:
            self.assertTrue(sent.acquire(timeout=60))
        asked = 0

        def waits() -> bool:
            nonlocal asked
            asked += 1  # looking is a request, too
            return self.metric("afeed_viewers") >= 1

        wait_until(waits, "a poll to wait at afeed")
        began = time.monotonic()
        self.push("news")
        for thread in crowd:
            thread.join(60)
        seconds = int(time.monotonic() - began)
        self.assertEqual(len(answers), CROWD)
        self.assertEqual({answer["changes"][0]["item"]["id"] for answer in answers}, {"push:news"})
        passed_on = self.metric("afeed_requests_total") - before - asked - 2  # the push, and this look itself
        self.assertLessEqual(passed_on, MOST_PASSED_ON + seconds)
