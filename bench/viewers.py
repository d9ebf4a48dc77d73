"""Many WebSocket viewers in a process of their own, which note when they receive each item.

The process reads raw sockets with epoll and looks at nothing but frame lengths and item ids, so that it costs
little and the times are the server's.  Times are nanoseconds of the machine's monotonic clock, which all
processes share.
"""

from __future__ import annotations

import base64
import multiprocessing
import os
import re
import selectors
import socket
import time
from array import array
from multiprocessing.connection import Connection

_ITEM = re.compile(rb'"item":\{"id":"[a-z]+:(\d+)"')
_TEXT, _CLOSE = 1, 8
#: How long the viewers wait for the whole of their greeting, in seconds.
GREETING_S = 30


class Frames:
    """Takes bytes of one WebSocket connection apart; servers do not mask."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The opcode and payload of every frame that ``data`` completes."""
        buffer = self._buffer
        buffer += data
        found = []
        start = 0
        while len(buffer) - start >= 2:
            length, head = buffer[start + 1] & 0x7F, 2
            if length == 126:
                head = 4
            elif length == 127:
                head = 10
            if len(buffer) - start < head:
                break
            if head > 2:
                length = int.from_bytes(buffer[start + 2 : start + head], "big")
            end = start + head + length
            if len(buffer) < end:
                break
            found.append((buffer[start] & 0x0F, bytes(buffer[start + head : end])))
            start = end
        del buffer[:start]
        return found


class Viewer:
    """One connection, and what it has received: pairs of an item's number and the time."""

    def __init__(self, port: int, path: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=GREETING_S)
        self.received = array("q")
        self._frames = Frames()
        key = base64.b64encode(os.urandom(16)).decode("ascii")
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode("ascii")
        )
        head = b""
        while b"\r\n\r\n" not in head:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError(f"the server closed the connection after {head!r}")
            head += data
        head, _, rest = head.partition(b"\r\n\r\n")
        if b" 101 " not in head.splitlines()[0]:
            raise ConnectionError(f"the server refused: {head!r}")
        self.greeted = False
        self._take(self._frames.feed(rest), 0)
        while not self.greeted:
            self._take(self._frames.feed(self.socket.recv(65536)), 0)
        self.socket.setblocking(False)

    def read(self) -> None:
        """Take what has arrived."""
        data = self.socket.recv(1 << 18)
        now = time.monotonic_ns()
        if not data:
            raise ConnectionError("the server closed a viewer's connection")
        self._take(self._frames.feed(data), now)

    def _take(self, frames: list[tuple[int, bytes]], now: int) -> None:
        for opcode, payload in frames:
            if opcode == _CLOSE:
                raise ConnectionError(f"the server closed a WebSocket: {payload!r}")
            if opcode == _TEXT:
                self.greeted = self.greeted or payload.startswith(b'{"type":"hello"')
                for match in _ITEM.finditer(payload):
                    self.received.append(int(match[1]))
                    self.received.append(now)


def _watch(port: int, path: str, count: int, parent: Connection) -> None:
    viewers = [Viewer(port, path) for _ in range(count)]
    parent.send("ready")
    with selectors.DefaultSelector() as selector:
        for viewer in viewers:
            selector.register(viewer.socket, selectors.EVENT_READ, viewer)
        selector.register(parent, selectors.EVENT_READ, None)
        watching = True
        while watching:
            for key, _ in selector.select():
                if key.data is None:
                    watching = False
                else:
                    key.data.read()
    parent.send([viewer.received.tobytes() for viewer in viewers])


class Viewers:
    """``count`` viewers of ``ws://127.0.0.1:<port><path>``, connected and greeted when this returns."""

    def __init__(self, port: int, path: str, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_watch, args=(port, path, count, theirs), daemon=True)
        self._process.start()
        theirs.close()
        if not self._connection.poll(GREETING_S) or self._connection.recv() != "ready":
            self.close()
            raise TimeoutError("the viewers could not connect in time")

    def finish(self) -> list[dict[int, int]]:
        """For each viewer, the time at which it received each item.  Ends the viewers."""
        self._connection.send("stop")
        result = []
        for data in self._connection.recv():
            pairs = array("q")
            pairs.frombytes(data)
            result.append(dict(zip(pairs[::2], pairs[1::2], strict=True)))
        self.close()
        return result

    def close(self) -> None:
        """End the viewers, whatever they are doing."""
        self._process.kill()
        self._process.join()
