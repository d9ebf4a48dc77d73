"""Clients that follow an event through every restart and keep a record of exactly what they were given.

Each runs in a thread of its own, so that what it believes does not depend on the reactor under test.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import threading
from array import array
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from typing import Any

from tests.chaos.verdict import digest

TIMEOUT_S = 20.0

#: What a connection that breaks, or a server that is not there, raises in a client.
FAULTS = (OSError, HTTPException, ValueError, EOFError)


class Follower(threading.Thread):
    """Keeps the position and the record; a subclass knows one transport.

    :ivar seqs: the seq of every change it was given, in the order in which they came; ``digests`` what each
        said (:func:`~tests.chaos.verdict.digest`).
    :ivar gaps: the gaps it was told of; ``connections``: how often it had to connect.
    :ivar void: how many changes it was given that are not part of the record any more, because a new epoch took
        their numbers back and it was told so; ``seqs`` and ``digests`` do not have them.
    """

    transport = ""

    def __init__(self, port: int, slug: str) -> None:
        super().__init__(name=f"follower-{self.transport}", daemon=True)
        self.port = port
        self.slug = slug
        self.cursor = "0"
        self.seqs = array("q")
        self.digests = array("Q")
        self.gaps: list[dict[str, Any]] = []
        self.connections = 0
        self.void = 0
        self._stopping = threading.Event()
        self._awake = threading.Event()
        self._awake.set()
        self._asleep = threading.Event()
        self._socket: socket.socket | None = None

    @property
    def seq(self) -> int:
        """The last seq it has."""
        return int(self.cursor.rpartition(":")[2])

    def stop(self) -> None:
        """Returns when it has ended; what it was given by then stays."""
        self._stopping.set()
        self._awake.set()
        self._cut()
        self.join(TIMEOUT_S + 5)
        assert not self.is_alive(), f"the {self.transport} follower did not end"

    def sleep(self) -> None:
        """Cut the connection and make no other before :meth:`wake`."""
        self._asleep.clear()
        self._awake.clear()
        self._cut()
        assert self._asleep.wait(TIMEOUT_S + 5), f"the {self.transport} follower does not rest"

    def wake(self) -> None:
        self._awake.set()

    def _cut(self) -> None:
        """It may be waiting for the next message, which is up to fifteen seconds away."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        while not self._stopping.is_set():
            if not self._awake.is_set():
                self._asleep.set()
                self._awake.wait()
                continue
            self.connections += 1
            try:
                for message in self.messages():
                    self.take(message)
                    if self._stopping.is_set() or not self._awake.is_set():
                        break
            except FAULTS:
                pass
            self._stopping.wait(0.05)

    def take(self, message: dict[str, Any]) -> None:
        """What any client does with a message."""
        kind = message["type"]
        if kind == "gap":
            self.gaps.append(message)
            if message["reason"] == "epoch" and message["from"] is not None:
                while self.seqs and self.seqs[-1] >= message["from"]:
                    self.seqs.pop()
                    self.digests.pop()
                    self.void += 1
        if kind == "changes":
            for change in message["changes"]:
                self.seqs.append(change["seq"])
                self.digests.append(digest(change))
        if message.get("cursor") is not None:
            self.cursor = message["cursor"]

    def messages(self) -> Iterator[dict[str, Any]]:
        """Connect, and yield messages until the connection ends."""
        raise AssertionError("a transport says how")


class Poller(Follower):
    transport = "poll"

    def messages(self) -> Iterator[dict[str, Any]]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            connection.connect()
            self._socket = connection.sock
            while True:
                connection.request("GET", f"/{self.slug}/updates?since={self.cursor}&wait=2")
                answer = connection.getresponse()
                body = json.loads(answer.read())
                if answer.status != 200:
                    raise ValueError(body)
                if body["gap"] is not None:
                    yield {"type": "gap", **body["gap"]}
                yield {"type": "changes", "cursor": body["cursor"], "changes": body["changes"]}
        finally:
            connection.close()


class EventStream(Follower):
    transport = "sse"

    def messages(self) -> Iterator[dict[str, Any]]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            connection.connect()
            self._socket = connection.sock
            connection.request("GET", f"/{self.slug}/stream", headers={"Last-Event-ID": self.cursor})
            answer = connection.getresponse()
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
        finally:
            connection.close()


class WebSocket(Follower):
    transport = "websocket"

    def messages(self) -> Iterator[dict[str, Any]]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S) as connection:
            self._socket = connection
            key = base64.b64encode(os.urandom(16)).decode()
            connection.sendall(
                f"GET /{self.slug}/ws?since={self.cursor} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
                f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                "Sec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            stream = connection.makefile("rb")
            if b" 101 " not in stream.readline():
                raise ValueError("the upgrade was refused")
            while stream.readline() not in (b"\r\n", b""):
                pass
            while True:
                opcode, payload = self._frame(stream)
                if opcode == 0x1:
                    yield json.loads(payload)
                elif opcode == 0x8:
                    return
                elif opcode == 0x9:
                    mask = os.urandom(4)
                    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
                    connection.sendall(bytes([0x8A, 0x80 | len(payload)]) + mask + masked)

    @staticmethod
    def _frame(stream: Any) -> tuple[int, bytes]:
        def read(count: int) -> bytes:
            data: bytes = stream.read(count)
            if len(data) < count:
                raise EOFError("cut within a frame")
            return data

        first, length = read(2)
        if length >= 126:
            length = int.from_bytes(read(2 if length == 126 else 8), "big")
        return first & 0x0F, read(length)


FOLLOWERS: tuple[type[Follower], ...] = (Poller, EventStream, WebSocket)
