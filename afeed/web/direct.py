"""Past the transport's buffer, straight to the socket.

``transport.write`` defers every write to the next turn of the reactor and changes the epoll set twice for it.
While its buffers are empty the kernel can be asked at once, and nearly always takes everything.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.tcp import Connection


def is_direct(transport: Any) -> bool:
    """Whether bytes may go past ``transport``: a plain TCP (or Unix socket) connection."""
    return isinstance(transport, Connection) and not getattr(transport, "TLS", False)


def send_directly(transport: Any, data: bytes) -> int:
    """How many bytes of ``data`` the kernel has taken; the rest is to be written to ``transport``.

    None of it when something is waiting to be written already, or when the connection ends: what is written
    never overtakes what was written before, and errors are met, and told, by the transport alone.
    """
    if transport.dataBuffer or transport._tempDataBuffer or transport.disconnecting or not transport.connected:
        return 0
    try:
        sent: int = transport.socket.send(data)
    except OSError:  # full, or broken
        return 0
    return sent
