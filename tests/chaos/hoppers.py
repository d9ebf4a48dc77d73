"""Clients that go from node to node with their position, and such a publisher: over any transport, directly or
through nginx, with a record of exactly what they were given and of every goodbye."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import ssl
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPResponse
from random import Random
from typing import Any, NamedTuple

from tests.chaos.followers import FAULTS
from tests.chaos.verdict import digest
from tests.servers.afeed import PUSH_TOKEN, SLUG

TIMEOUT_S = 40.0

Message = dict[str, Any]


class Way(NamedTuple):
    """How a node, or what stands before several, is reached: ``host`` is what it is called there, ``tls`` None
    for plain HTTP."""

    port: int
    host: str
    tls: ssl.SSLContext | None = None

    def connect(self) -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S)
        return plain if self.tls is None else self.tls.wrap_socket(plain, server_hostname=self.host)

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Status and decoded JSON of one request on a connection of its own."""
        with contextlib.closing(self.connect()) as connected:
            answer = _request(connected, self.host, method, path, body, headers)
            return answer.status, json.loads(answer.read())

    def changes(self, slug: str = SLUG) -> list[dict[str, Any]]:
        """The whole log."""
        found: list[dict[str, Any]] = []
        cursor, more = "0", True
        while more:
            status, page = self.ask(f"/{slug}/updates?since={cursor}&wait=0&limit=200")
            assert (status, page["gap"]) == (200, None), page
            found += page["changes"]
            cursor, more = page["cursor"], page["more"]
        return found


def _request(
    connected: socket.socket,
    host: str,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> HTTPResponse:
    connection = HTTPConnection(host)
    connection.sock = connected
    connection.request(method, path, body, dict(headers or {}))
    return connection.getresponse()


class Goodbye(NamedTuple):
    """One ``bye``: when (monotonic seconds), and after how many milliseconds to come back."""

    at: float
    retry_ms: int


class Hopper(threading.Thread):
    """Follows the event by ``transport``, a name in :data:`TRANSPORTS`, and takes the next of ``ways`` whenever
    it connects: after every cut and goodbye, and by itself after ``hop_s`` seconds (None: never).

    :ivar seqs: what it was given, with ``digests``, ``gaps`` as in :class:`tests.chaos.followers.Follower`.
    :ivar byes: the goodbyes; :ivar absences: how long it took after each until something came again (seconds).
    :ivar cuts: how often a connection ended otherwise, not counting its own hops.
    """

    def __init__(self, transport: str, ways: Sequence[Way], seed: int, *, hop_s: float | None = None) -> None:
        super().__init__(name=f"hopper-{transport}-{seed}", daemon=True)
        self.transport = transport
        self.ways = list(ways)
        self.hop_s = hop_s
        self.cursor = "0"
        self.seqs = array("q")
        self.digests = array("Q")
        self.gaps: list[Message] = []
        self.byes: list[Goodbye] = []
        self.absences: list[float] = []
        self.cuts = self.connections = 0
        self._rng = Random(seed)
        self._left_at: float | None = None
        self._stopping = threading.Event()
        self._socket: socket.socket | None = None

    @property
    def seq(self) -> int:
        return int(self.cursor.rpartition(":")[2])

    @property
    def away(self) -> bool:
        """Whether it was told goodbye and nothing has come since."""
        return self._left_at is not None

    def stop(self) -> None:
        self._stopping.set()
        connected = self._socket
        if connected is not None:
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)
        self.join(TIMEOUT_S + 5)
        assert not self.is_alive(), f"{self.name} did not end"

    def run(self) -> None:
        number = self._rng.randrange(len(self.ways))
        while not self._stopping.is_set():
            way = self.ways[number % len(self.ways)]
            number += 1
            pause = 0.05
            try:
                pause = self._follow(way)
            except FAULTS:
                self.cuts += not self._stopping.is_set()
            finally:
                if self._socket is not None:
                    self._socket.close()
            self._stopping.wait(pause)

    def _follow(self, way: Way) -> float:
        """One connection, to its end; the seconds to wait before the next."""
        self.connections += 1
        until = float("inf")
        if self.hop_s is not None:
            until = time.monotonic() + self.hop_s * self._rng.uniform(0.5, 1.5)
        self._socket = way.connect()
        for message in TRANSPORTS[self.transport](self._socket, way.host, lambda: self.cursor):
            if self._stopping.is_set():
                return 0.0
            if message["type"] == "bye":
                self.byes.append(Goodbye(time.monotonic(), message["retry_ms"]))
                self._left_at = time.monotonic()
                return float(message["retry_ms"] / 1000)
            self._take(message)
            if time.monotonic() > until:
                return 0.0
        raise EOFError("the connection ended without a goodbye")

    def _take(self, message: Message) -> None:
        if self._left_at is not None:
            self.absences.append(time.monotonic() - self._left_at)
            self._left_at = None
        if message["type"] == "gap":
            self.gaps.append(message)
        for change in message.get("changes", ()):
            self.seqs.append(change["seq"])
            self.digests.append(digest(change))
        if message.get("cursor") is not None:
            self.cursor = message["cursor"]


# -- transports: messages of one connection, from the position that ``cursor()`` gives


def _polls(connected: socket.socket, host: str, cursor: Callable[[], str], wait: int) -> Iterator[Message]:
    while True:
        path = f"/{SLUG}/updates?since={cursor()}&wait={wait}"
        answer = _request(connected, host, "GET", path)
        body = json.loads(answer.read())
        if answer.status != 200:
            raise ValueError(body)
        if body["gap"] is not None:
            yield {"type": "gap", **body["gap"]}
        yield {"type": "changes", "cursor": body["cursor"], "changes": body["changes"]}
        if answer.getheader("Connection", "").lower() == "close":
            raise EOFError("no other request on this connection")


def long_poll(connected: socket.socket, host: str, cursor: Callable[[], str]) -> Iterator[Message]:
    return _polls(connected, host, cursor, 10)


def poll(connected: socket.socket, host: str, cursor: Callable[[], str]) -> Iterator[Message]:
    for message in _polls(connected, host, cursor, 0):
        yield message
        time.sleep(0.2)


def events(connected: socket.socket, host: str, cursor: Callable[[], str]) -> Iterator[Message]:
    answer = _request(connected, host, "GET", f"/{SLUG}/stream", headers={"Last-Event-ID": cursor()})
    if answer.status != 200:
        raise ValueError(answer.status)
    block: list[bytes] = []
    for line in answer:
        # Only a blank line completes an event; a connection cut within one leaves nothing behind.
        if line == b"\n":
            yield from (json.loads(part[6:]) for part in block if part.startswith(b"data: "))
            block = []
        else:
            block.append(line)


def websocket(connected: socket.socket, host: str, cursor: Callable[[], str]) -> Iterator[Message]:
    key = base64.b64encode(os.urandom(16)).decode()
    connected.sendall(
        f"GET /{SLUG}/ws?since={cursor()} HTTP/1.1\r\nHost: {host}\r\n"
        f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    stream = connected.makefile("rb")

    def read(count: int) -> bytes:
        data = stream.read(count)
        if len(data) < count:
            raise EOFError("cut within a frame")
        return data

    if b" 101 " not in stream.readline():
        raise ValueError("the upgrade was refused")
    while stream.readline() not in (b"\r\n", b""):
        pass
    while True:
        first, length = read(2)
        if length >= 126:
            length = int.from_bytes(read(2 if length == 126 else 8), "big")
        payload = read(length)
        if first & 0x0F == 0x1:
            yield json.loads(payload)
        elif first & 0x0F == 0x8:
            return


TRANSPORTS: Mapping[str, Callable[[socket.socket, str, Callable[[], str]], Iterator[Message]]] = {
    "websocket": websocket,
    "sse": events,
    "long-poll": long_poll,
    "poll": poll,
}


class HoppingPublisher(threading.Thread):
    """Pushes ``rate`` items a second, in batches of five, each until it was accepted, by one of ``ways`` after
    the other.

    :ivar accepted: the id and seq of every item that was answered 201, the first time it was.
    """

    def __init__(self, ways: Sequence[Way], rate: float) -> None:
        super().__init__(name="publisher", daemon=True)
        self.ways = list(ways)
        self.pause = 5 / rate
        self.accepted: dict[str, int] = {}
        self.attempts = 0
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()
        self.join(TIMEOUT_S + 5)
        assert not self.is_alive(), "the publisher did not end"

    def run(self) -> None:
        number = 0
        while not self._stopping.is_set():
            batch = [{"id": f"{number}.{n}", "text": f"Item {number}.{n}"} for n in range(5)]
            while not self._stopping.is_set() and not self._push(batch):
                self._stopping.wait(0.05)
            number += 1
            self._stopping.wait(self.pause)

    def _push(self, batch: list[dict[str, str]]) -> bool:
        way = self.ways[self.attempts % len(self.ways)]
        self.attempts += 1
        headers = {"Authorization": f"Bearer {PUSH_TOKEN}", "Content-Type": "application/json"}
        body = json.dumps(batch).encode()
        try:
            status, answer = way.ask(f"/{SLUG}/items", method="POST", body=body, headers=headers)
        except FAULTS:
            return False
        if status != 201:
            return False
        for result in answer["results"]:
            self.accepted.setdefault(result["id"], result["seq"])
        return True
