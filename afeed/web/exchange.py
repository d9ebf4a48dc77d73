"""One request and its answer, for the paths where speed counts: no more than they need."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from afeed.core.http import Header, first_header, query_members, response_head

if TYPE_CHECKING:
    from afeed.web.front import HttpConnection

_encode = msgspec.json.Encoder().encode
_JSON: Header = (b"Content-Type", b"application/json; charset=utf-8")


class Exchange:
    """A parsed request on its connection.  Header names are lower case; ``client`` is the address of who asked,
    seen through trusted proxies.

    ``gone`` is called without arguments when the client leaves before it was answered, and may be set; so may
    ``hurry``, which is called when it sends nothing more and may have left: what has an end is to end now.
    ``last`` says that the client sends no other request on this connection.
    """

    __slots__ = (
        "body",
        "client",
        "connection",
        "gone",
        "headers",
        "hurry",
        "internal",
        "last",
        "method",
        "path",
        "query",
        "version",
    )

    def __init__(
        self,
        connection: HttpConnection,
        method: bytes,
        version: bytes,
        path: bytes,
        query: bytes,
        headers: list[Header],
        client: str,
        internal: bool,
    ) -> None:
        self.connection = connection
        self.method = method
        self.version = version
        self.path = path
        self.query = query
        self.headers = headers
        self.client = client
        self.internal = internal
        self.body = b""
        self.gone: Any = None
        self.hurry: Any = None
        self.last = False

    @property
    def target(self) -> bytes:
        """Path and query, as they were sent."""
        return self.path + (b"?" + self.query if self.query else b"")

    def header(self, name: bytes) -> bytes | None:
        """The first value of the header ``name`` (lower case)."""
        return first_header(self.headers, name)

    def members(self) -> dict[str, str]:
        """The query string; raises :class:`~afeed.core.errors.BadInput`."""
        return query_members(self.query)

    def respond(self, status: int, headers: Iterable[Header], body: bytes) -> None:
        """Answer, and let the connection go on to its next request."""
        connection = self.connection
        head = response_head(status, (*headers, *connection.common), len(body), connection.closing)
        connection.answer(head if self.method == b"HEAD" else head + body)

    def respond_ready(self, response: bytes) -> None:
        """Answer with a complete response that was made for many."""
        self.connection.answer(response)

    def protected(self, status: int, headers: Iterable[Header], body: bytes) -> None:
        """The same, protected like a page: a browser may be made to open it as one."""
        self.respond(status, (*headers, *self.connection.protection), body)

    def json(self, status: int, value: object, headers: Iterable[Header] = ()) -> None:
        """Answer with ``value`` as JSON."""
        self.protected(status, (_JSON, *headers), _encode(value))

    def error(self, status: int, code: str, detail: str, headers: Iterable[Header] = ()) -> None:
        """Answer with a short error: ``code`` for programs, ``detail`` for people."""
        uncached: Header = (b"Cache-Control", b"no-store")
        self.json(status, {"error": code, "detail": detail}, (uncached, *headers))
