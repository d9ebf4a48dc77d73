"""WebSocket frames byte by byte (RFC 6455, section 5.2), right ones and wrong ones."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Frame(NamedTuple):
    """``first`` is the first byte: FIN, the reserved bits and the opcode."""

    first: int
    payload: bytes

    @property
    def opcode(self) -> int:
        return self.first & 15

    @property
    def code(self) -> int:
        """The status of a close frame."""
        return int.from_bytes(self.payload[:2], "big")

    @property
    def message(self) -> Any:
        return json.loads(self.payload)


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    length: bytes | None = None,
    masked: bool = True,
) -> bytes:
    """A client's frame; ``length`` replaces the whole length field (without the mask bit)."""
    size = len(payload)
    if length is None:
        length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
    mask = b"\x01\x02\x03\x04" if masked else b""
    length = bytes([length[0] | (128 if masked else 0)]) + length[1:]
    body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)) if masked else payload
    return bytes([(128 if fin else 0) | rsv << 4 | opcode]) + length + mask + body


def frames(data: bytes) -> list[Frame]:
    """The complete frames at the beginning of a server's ``data``."""
    found = []
    while len(data) >= 2:
        assert not data[1] & 128, "a server does not mask"
        size, start = data[1], 2
        if size > 125:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        if len(data) < start + size:
            break
        found.append(Frame(data[0], data[start : start + size]))
        data = data[start + size :]
    return found


def after_handshake(data: bytes) -> list[Frame]:
    """The frames behind the answer to the upgrade, which was the last one in ``data``."""
    _, blank, rest = data.partition(b"HTTP/1.1 101")[2].partition(b"\r\n\r\n")
    assert blank, data
    return frames(rest)
