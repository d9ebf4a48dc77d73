"""A TCP proxy that misbehaves on demand, in threads of its own.

::

    proxy = Proxy(redis.port)
    proxy.mode = "cut"            # accept, and close at once
    ...
    proxy.mode = "pass"
    proxy.close()

=========== ====================================================================================================
``pass``    every byte goes to its end
``cut``     connections are accepted and closed at once, those there are as well
``silent``  connections are accepted and kept, and nothing is passed on any more, in neither direction
``delay``   what the server says arrives ``delay`` seconds late
``muffle``  what is published does not come through, and all else does: as if Pub/Sub had died and nothing
            else
=========== ====================================================================================================
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from typing import Literal

from tests.servers.process import free_port

Mode = Literal["pass", "cut", "silent", "delay", "muffle"]

#: How often a connection looks at the mode, in seconds.
_TICK = 0.02

#: What Redis says to a subscriber that something was published (RESP2).
_MESSAGE = b"*3\r\n$7\r\nmessage\r\n"


class Proxy:
    """Listens on ``port`` and connects to ``target``, both on 127.0.0.1."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.target = target
        self.mode: Mode = "pass"
        self.delay = 0.0
        #: How many connections were accepted.
        self.accepted = 0
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=100)
        self._listener.settimeout(_TICK)
        self._threads = [threading.Thread(target=self._accept, name="proxy", daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """Returns when all connections are closed."""
        self._closing.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a connection of the proxy did not end"
        self._listener.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            self.accepted += 1
            if self.mode == "cut":
                client.close()
                continue
            thread = threading.Thread(target=self._serve, args=(client,), name="proxy-connection", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        target = ("127.0.0.1", self.target)
        with contextlib.suppress(OSError), client, socket.create_connection(target, timeout=2) as server:
            self._pump(client, server)

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        subscriber = False
        late: list[tuple[float, bytes]] = []
        unread = b""
        while not self._closing.is_set() and self.mode != "cut":
            if self.mode == "silent":
                time.sleep(_TICK)
                continue
            while late and (late[0][0] <= time.monotonic() or self.mode != "delay"):
                client.sendall(late.pop(0)[1])
            ready, _, _ = select.select([client, server], [], [], _TICK)
            for one in ready:
                data = one.recv(65536)
                if not data:
                    return
                if one is client:
                    subscriber = subscriber or b"SUBSCRIBE" in data
                    server.sendall(data)
                elif self.mode == "delay":
                    late.append((time.monotonic() + self.delay, data))
                elif self.mode == "muffle" and subscriber:
                    kept, unread = without_messages(unread + data)
                    client.sendall(kept)
                else:
                    client.sendall(unread + data)
                    unread = b""


def without_messages(data: bytes) -> tuple[bytes, bytes]:
    """What Redis says to a subscriber, without what was published; and what cannot be told yet, because more
    of it has to come."""
    kept = b""
    while True:
        before, found, rest = data.partition(_MESSAGE)
        if not found:
            whole = len(data) - _begun(data)
            return kept + data[:whole], data[whole:]
        # Two bulk strings follow: the channel and what was said.
        for _ in range(2):
            length, end, rest = rest.partition(b"\r\n")
            size = int(length[1:]) + 2 if end else 0
            if not end or len(rest) < size:
                return kept + before, data[len(before) :]
            rest = rest[size:]
        kept, data = kept + before, rest


def _begun(data: bytes) -> int:
    """How many bytes at the end of ``data`` may be the beginning of a message."""
    return max(size for size in range(len(_MESSAGE)) if data.endswith(_MESSAGE[:size]))
