"""Clients that follow an event through every restart and keep a record of exactly what they were given.

Each runs in a thread of its own, so that what it believes does not depend on the reactor under test.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from typing import Any

TIMEOUT_S = 20.0

#: What a connection that breaks, or a server that is not there, raises in a client.
FAULTS = (OSError, HTTPException, ValueError, EOFError)


class Follower(threading.Thread):
    """Keeps the position and the record; a subclass knows one transport.

    :ivar given: ``(epoch, seq, type, id)`` of every change, in the order in which they came.
    :ivar gaps: the gaps it was told of; :ivar connections: how often it had to connect.
    """

    transport = ""

    def __init__(self, port: int, slug: str) -> None:
        super().__init__(name=f"follower-{self.transport}", daemon=True)
        self.port = port
        self.slug = slug
        self.cursor = "0"
        self.given: list[tuple[str, int, str, str | None]] = []
        self.gaps: list[dict[str, Any]] = []
        self.connections = 0
        self._stopping = threading.Event()

    @property
    def seq(self) -> int:
        """The last seq it has."""
        return int(self.cursor.rpartition(":")[2])

    def stop(self) -> None:
        self._stopping.set()
        self.join(TIMEOUT_S + 5)
        assert not self.is_alive(), f"the {self.transport} follower did not end"

    def run(self) -> None:
        while not self._stopping.is_set():
            self.connections += 1
            try:
                for message in self.messages():
                    self.take(message)
                    if self._stopping.is_set():
                        return
            except FAULTS:
                pass
            self._stopping.wait(0.05)

    def take(self, message: dict[str, Any]) -> None:
        """What any client does with a message."""
        kind = message["type"]
        if kind == "gap":
            self.gaps.append(message)
        if kind == "changes":
            epoch = message["cursor"].partition(":")[0]
            for change in message["changes"]:
                item = change.get("item")
                self.given.append((epoch, change["seq"], change["type"], item["id"] if item else None))
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
