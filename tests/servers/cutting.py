"""A TCP proxy on the way to a server, with the faults of middleboxes: it refuses WebSockets, cuts connections,
or lets them stand and passes nothing on.

::

    proxy = CuttingProxy(server.port)
    proxy.start()
    proxy.swallowing = True         # from now on nothing gets through on any WebSocket
    proxy.cut()                     # every connection is reset
    proxy.close()

It runs in threads of its own; the attributes may be set at any time.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time

from tests.servers.process import free_port

#: How soon a connection notices what it is told, in seconds.
TICK_S = 0.02
#: Closing with this linger resets a connection: the other end sees an error, not an end.
RESET = struct.pack("ii", 1, 0)


class CuttingProxy:
    """Passes everything on to 127.0.0.1:``target``, unless told otherwise.

    :ivar away: every connection is reset as soon as it comes; :ivar refuses_upgrades: WebSockets are answered
    502; :ivar cut_after: seconds after which a WebSocket is reset, None for never; :ivar swallowing: what goes
    through WebSockets in either direction is lost; :ivar cuts: WebSockets that were reset so far.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.away = self.refuses_upgrades = self.swallowing = False
        self.cut_after: float | None = None
        self.cuts = 0
        self._target = target
        self._listener: socket.socket | None = None
        #: Connections are numbered as they come; those below are to be reset, or forgotten.
        self._count = self._cut_below = self._forgotten_below = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Reset every connection there is."""
        self._cut_below = self._count

    def forget(self) -> None:
        """Lose whatever goes through the WebSockets there are, as a router does that has dropped its table; new
        ones work."""
        self._forgotten_below = self._count

    def close(self) -> None:
        """Stop listening, and reset what there is."""
        self.away = True
        self.cut()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            self._listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(client, self._count), daemon=True).start()
            self._count += 1

    def _serve(self, client: socket.socket, number: int) -> None:
        with client, contextlib.suppress(OSError):  # whoever goes first ends it
            if self.away:
                _reset(client)
                return
            head = client.recv(65536)
            upgrade = b"upgrade: websocket" in head.lower()
            if upgrade and self.refuses_upgrades:
                client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", self._target)) as server:
                server.sendall(head)
                if self._pump(client, server, upgrade, number):
                    self.cuts += upgrade
                    _reset(client)
                    _reset(server)

    def _pump(self, client: socket.socket, server: socket.socket, upgrade: bool, number: int) -> bool:
        """Pass data on until either side ends the connection, or (True) it is to be cut."""
        began = time.monotonic()
        other = {client: server, server: client}
        while True:
            readable, _, _ = select.select(tuple(other), (), (), TICK_S)
            limit = self.cut_after if upgrade else None
            if number < self._cut_below or (limit is not None and time.monotonic() - began > limit):
                return True
            for source in readable:
                data = source.recv(65536)
                if not data:
                    return False
                if not (upgrade and (self.swallowing or number < self._forgotten_below)):
                    other[source].sendall(data)


def _reset(end: socket.socket) -> None:
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    end.close()
