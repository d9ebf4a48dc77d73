"""The little of the WebSocket protocol (RFC 6455) that every client needs: the handshake's answer, and telling
a client that is merely there, or leaves as it should, from one that has something to say."""

from __future__ import annotations

import base64
import binascii
import hashlib

#: Makes the answer to a key one that no other protocol gives by chance (section 1.3).
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES = 16
_FINAL_CLOSE, _FINAL_PONG, _MASKED = 0x88, 0x8A, 0x80
#: What stands before the payload of a client's control frame: two bytes and the mask; and the longest payload.
_CONTROL_HEAD, _MAX_CONTROL = 6, 125
_NORMAL = 1000
#: The status codes with which a client may close (section 7.4).
_STATUSES = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, *range(3000, 5000)})

#: A ping without payload.
PING = b"\x89\x00"


def close_frame(code: int) -> bytes:
    """A server's close frame with ``code`` and no reason."""
    return b"\x88\x02%b" % code.to_bytes(2, "big")


def is_key(key: bytes) -> bool:
    """Whether ``key`` is a ``Sec-WebSocket-Key``: 16 bytes in base64."""
    try:
        return len(binascii.a2b_base64(key, strict_mode=True)) == _KEY_BYTES
    except binascii.Error:
        return False


def switching(key: bytes) -> bytes:
    """The answer that accepts the handshake with this key, without any extension or subprotocol."""
    accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
    )


def without_pongs(data: bytes) -> bytes:
    """What a client has sent besides the whole pongs at the beginning of ``data``."""
    at, end = 0, len(data)
    while end - at >= _CONTROL_HEAD and data[at] == _FINAL_PONG and data[at + 1] & _MASKED:
        size = data[at + 1] & ~_MASKED
        if size > _MAX_CONTROL or end - at < _CONTROL_HEAD + size:
            break
        at += _CONTROL_HEAD + size
    return data[at:]


def close_status(data: bytes) -> int | None:
    """The status to answer with if ``data`` is exactly one whole, proper close frame of a client; else None."""
    size = len(data) - _CONTROL_HEAD
    if not (0 <= size <= _MAX_CONTROL and data[0] == _FINAL_CLOSE and data[1] == _MASKED | size):
        return None
    mask = data[2:_CONTROL_HEAD]
    payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data[_CONTROL_HEAD:]))
    if not payload:
        return _NORMAL
    status = int.from_bytes(payload[:2], "big")
    try:
        payload[2:].decode("utf-8")
    except UnicodeDecodeError:
        return None
    return status if size >= 2 and status in _STATUSES else None
