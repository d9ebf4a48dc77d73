"""Bytes to a server and back, without a library that would correct them."""

from __future__ import annotations

import atexit
import socket
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tests.servers.afeed import AfeedServer
from tests.transports.frames import CLOSE, Frame, frame, frames
from tests.web.serving import UPGRADE

#: Long for anything that answers at once, also on a machine that has much else to do.
DEADLINE_S = 30.0


@cache
def shared_server() -> AfeedServer:
    """A real server for all tests of a process, none of which is to leave a trace in it."""
    server = AfeedServer()
    atexit.register(server.close)
    server.start()
    return server


def head(target: str | bytes, *lines: str, host: str, method: str = "GET", version: str = "1.1") -> bytes:
    """A request head with a Host header, blank line included."""
    path = target if isinstance(target, bytes) else target.encode("latin-1")
    first = method.encode() + b" " + path + b" HTTP/" + version.encode()
    rest = [f"Host: {host}", *lines]
    return b"\r\n".join([first, *(line.encode("latin-1") for line in rest)]) + b"\r\n\r\n"


def exchange(port: int, data: bytes, seconds: float = DEADLINE_S) -> bytes:
    """Everything that is answered to ``data`` by a server that closes the connection after it, or that is told
    by our closing ours that nothing more comes."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:  # refused before everything was sent
            pass
        return _until(connection, lambda received: False)


def _until(connection: socket.socket, enough: Callable[[bytes], bool], received: bytes = b"") -> bytes:
    while not enough(received):
        try:
            part = connection.recv(65536)
        except ConnectionResetError:
            break
        if not part:
            break
        received += part
    return received


def resident_kb(pid: int) -> int:
    """The memory that process ``pid`` has in use."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


class WebSocket:
    """One WebSocket client that sends whatever it is given."""

    def __init__(self, port: int, target: str, *lines: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(head(target, *UPGRADE, *lines, host=f"127.0.0.1:{port}"))
        received = _until(self._socket, lambda received: b"\r\n\r\n" in received)
        self.answer, _, self._received = received.partition(b"\r\n\r\n")

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    @property
    def status(self) -> int:
        return int(self.answer.split()[1])

    def send(self, data: bytes) -> None:
        """Send ``data``, or as much of it as the server takes before it closes."""
        try:
            self._socket.sendall(data)
        except OSError:
            pass

    def read_until(self, enough: Callable[[list[Frame]], bool]) -> list[Frame]:
        """All frames so far, once ``enough`` of them have come or the server has closed."""
        self._received = _until(self._socket, lambda received: enough(frames(received)), self._received)
        return frames(self._received)

    def last_words(self) -> list[Frame]:
        """All frames, up to the server's close frame if it sends one; answers that, and waits for the end."""
        found = self.read_until(lambda found: bool(found) and found[-1].opcode == CLOSE)
        self.send(frame(CLOSE, found[-1].payload[:2] if found else b""))
        self._received = _until(self._socket, lambda received: False, self._received)
        return frames(self._received)
