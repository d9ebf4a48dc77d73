"""How programs reach a node, or what stands before several; one request at a time."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple

from tests.chaos.wire import Refused
from tests.servers.process import wait_until

#: For so long a program waits for a byte (seconds); pings come every fifteen.
TIMEOUT_S = 40.0

#: What a connection that breaks, or a server that is not there, raises in a program.
FAULTS = (OSError, HTTPException, ValueError, EOFError, Refused)


class Way(NamedTuple):
    """``host`` is what the node is called there; ``tls`` None for plain HTTP."""

    port: int
    host: str
    tls: ssl.SSLContext | None = None

    def connect(self) -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S)
        return plain if self.tls is None else self.tls.wrap_socket(plain, server_hostname=self.host)

    def open(self) -> HTTPConnection:
        """A connection for requests; it is not made again by itself when it ends."""
        connection = HTTPConnection(self.host)
        connection.auto_open = 0
        connection.sock = self.connect()
        return connection


def direct(port: int) -> Way:
    """To the node at this port, with nothing in between."""
    return Way(port, f"127.0.0.1:{port}")


def ask(
    connection: HTTPConnection,
    path: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, Any]:
    """Status and decoded JSON of one request."""
    connection.request(method, path, body, dict(headers or {}))
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def whole_log(way: Way, slug: str, upto: int) -> list[dict[str, Any]]:
    """Every change, as clients see it who come this way, as soon as they see ``upto``; raises
    :class:`AssertionError` when there is a gap.

    It asks for pages of a size for which nobody else asks: a cache may give anybody who asks the same again an
    answer that is a second old.
    """
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = _log(way, slug)
        return bool(found) and found[-1]["seq"] >= upto

    wait_until(there, f"change {upto} to be shown")
    return found


def _log(way: Way, slug: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor, more = "0", True
    with contextlib.closing(way.open()) as connection:
        while more:
            status, page = ask(connection, f"/{slug}/updates?since={cursor}&wait=0&limit=199")
            assert status == 200, page
            assert page["gap"] is None, page["gap"]
            found += page["changes"]
            cursor, more = page["cursor"], page["more"]
    return found
