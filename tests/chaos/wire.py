"""The viewers' side of the four transports, byte by byte: requests to send, and messages out of what arrives.

Nothing here holds a socket, and nothing is looked at beyond what divides messages.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable
from typing import Protocol

WEBSOCKET, SSE, LONG_POLL, POLL = "websocket", "sse", "long-poll", "poll"
TRANSPORTS = (WEBSOCKET, SSE, LONG_POLL, POLL)

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.I)
_TEXT, _CLOSE, _PING = 1, 8, 9


class Refused(Exception):
    """The node answered, but not with what was asked for; the argument is the status (or close code)."""


class Parser(Protocol):
    """Takes what a connection received.  ``ended`` says that the node will send nothing more."""

    ended: bool

    def feed(self, data: bytes) -> list[bytes]:
        """The JSON of every message that ``data`` completes; raises :class:`Refused`."""

    def to_send(self) -> bytes:
        """What the protocol has to answer by itself."""


class _Answers:
    """Answers to requests over HTTP, each with a length."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.ended = False

    def feed(self, data: bytes) -> list[bytes]:
        buffer = self._buffer
        buffer += data
        found = []
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(buffer, 0, end)
            if length is None:
                raise Refused(f"an answer without a length: {bytes(buffer[:end])!r}")
            stop = end + 4 + int(length[1])
            if len(buffer) < stop:
                break
            if buffer[9:12] != b"200":
                raise Refused(buffer[9:12].decode("ascii"))
            found.append(bytes(buffer[end + 4 : stop]))
            del buffer[:stop]
        return found

    def to_send(self) -> bytes:
        return b""


class _Chunks:
    """Takes the chunks apart (RFC 9112, 7.1) in which proxies send what has no length."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """What is in the chunks that ``data`` completes."""
        buffer, found = self._buffer, bytearray()
        buffer += data
        while not self.ended and (end := buffer.find(b"\r\n")) >= 0:
            size = int(bytes(buffer[:end]).partition(b";")[0], 16)
            stop = end + 2 + size
            if len(buffer) < stop + 2:
                break
            found += buffer[end + 2 : stop]
            del buffer[: stop + 2]
            self.ended = size == 0
        return bytes(found)


class _Stream:
    """What both streams begin with: the head of an answer, after which everything is the stream."""

    status = b""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._chunks: _Chunks | None = None
        self._open = self.ended = False

    def feed(self, data: bytes) -> list[bytes]:
        buffer = self._buffer
        buffer += data if self._chunks is None else self._chunks.feed(data)
        if not self._open:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return []
            if buffer[9:12] != self.status:
                raise Refused(buffer[9:12].decode("ascii"))
            chunked = _CHUNKED.search(buffer, 0, end) is not None
            del buffer[: end + 4]
            self._open = True
            if chunked:
                self._chunks = _Chunks()
                buffer[:] = self._chunks.feed(bytes(buffer))
        if self._chunks is not None:
            self.ended = self._chunks.ended
        return self.messages(buffer)

    def messages(self, buffer: bytearray) -> list[bytes]:
        """Take complete messages from the front of ``buffer``."""
        raise NotImplementedError

    def to_send(self) -> bytes:
        return b""


class _Events(_Stream):
    """An event stream; only a blank line completes an event."""

    status = b"200"

    def messages(self, buffer: bytearray) -> list[bytes]:
        end = buffer.rfind(b"\n\n")
        if end < 0:
            return []
        blocks = bytes(buffer[:end]).split(b"\n\n")
        del buffer[: end + 2]
        return [block[block.index(b"data: ") + 6 :] for block in blocks]


class _Frames(_Stream):
    """A WebSocket (RFC 6455); servers do not mask."""

    status = b"101"

    def __init__(self) -> None:
        super().__init__()
        self._pongs = bytearray()

    def messages(self, buffer: bytearray) -> list[bytes]:
        found: list[bytes] = []
        start, held = 0, len(buffer)
        while held - start >= 2 and not self.ended:
            length, head = buffer[start + 1], start + 2
            if length > 125:
                head += 2 if length == 126 else 8
                if held < head:
                    break
                length = int.from_bytes(buffer[start + 2 : head], "big")
            if held < head + length:
                break
            self._take(buffer[start] & 0x0F, bytes(buffer[head : head + length]), found)
            start = head + length
        del buffer[:start]
        return found

    def _take(self, opcode: int, payload: bytes, found: list[bytes]) -> None:
        if opcode == _TEXT:
            found.append(payload)
        elif opcode == _PING:
            self._pongs += bytes([0x8A, 0x80 | len(payload)]) + bytes(4) + payload  # masked with zeros
        elif opcode == _CLOSE:
            self.ended = True

    def to_send(self) -> bytes:
        pongs, self._pongs = bytes(self._pongs), bytearray()
        return pongs


PARSERS: dict[str, Callable[[], Parser]] = {
    WEBSOCKET: _Frames,
    SSE: _Events,
    LONG_POLL: _Answers,
    POLL: _Answers,
}


def request(transport: str, host: str, slug: str, query: str) -> bytes:
    """What asks for ``query`` (``since=...&...``) over ``transport``."""
    path = {WEBSOCKET: "ws", SSE: "stream"}.get(transport, "updates")
    lines = [f"GET /{slug}/{path}?{query} HTTP/1.1", f"Host: {host}"]
    if transport == WEBSOCKET:
        key = base64.b64encode(os.urandom(16)).decode("ascii")
        lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        lines += [f"Sec-WebSocket-Key: {key}"]
    return "\r\n".join([*lines, "", ""]).encode("ascii")
