"""One request and its answer, for the paths where speed counts: no more than they need."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from afeed.core.http import Header, first_header, response_head
from afeed.core.request import Refused

if TYPE_CHECKING:
    from afeed.web.connection import HttpConnection

_encode = msgspec.json.Encoder().encode
_JSON: Header = (b"Content-Type", b"application/json; charset=utf-8")
_HTML: Header = (b"Content-Type", b"text/html; charset=utf-8")
_UNCACHED: Header = (b"Cache-Control", b"no-store")


class Exchange:
    """A parsed request on its connection.  Header names are lower case; ``client`` is the address of who asked,
    seen through trusted proxies; ``ours`` says that it was asked for under a name of this server.

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
        "last",
        "method",
        "ours",
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
        ours: bool,
    ) -> None:
        self.connection = connection
        self.method = method
        self.version = version
        self.path = path
        self.query = query
        self.headers = headers
        self.client = client
        self.ours = ours
        self.body = b""
        self.gone: Any = None
        self.hurry: Any = None
        self.last = False

    @property
    def internal(self) -> bool:
        """Whether health details and metrics may be shown to who asks."""
        return self.connection.internal(self.headers)

    @property
    def target(self) -> bytes:
        """Path and query, as they were sent."""
        return self.path + (b"?" + self.query if self.query else b"")

    def header(self, name: bytes) -> bytes | None:
        """The first value of the header ``name`` (lower case)."""
        return first_header(self.headers, name)

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

    def refuse(self, refusal: Refused) -> None:
        """Answer with ``refusal``."""
        if refusal.page is None:
            self.error(refusal.status, refusal.code, refusal.detail, refusal.headers)
        else:
            self.protected(refusal.status, (_HTML, _UNCACHED, *refusal.headers), refusal.page)

    def error(self, status: int, code: str, detail: str, headers: Iterable[Header] = ()) -> None:
        """Answer with a short error: ``code`` for programs, ``detail`` for people."""
        self.json(status, {"error": code, "detail": detail}, (_UNCACHED, *headers))
