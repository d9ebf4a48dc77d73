"""From bytes to requests: httptools (llhttp) parses, and whatever is too large, too odd or not for us is
refused as soon as that shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httptools

from afeed.core.http import Header
from afeed.core.request import (
    MAX_FRAMING,
    MAX_HEAD,
    Refused,
    bad_request,
    body_too_large,
    head_too_large,
    raw_head,
)
from afeed.web.exchange import Exchange

#: Decides, once a head is complete, from method, version, request target and headers, whether the request is
#: for us: the exchange and the most bytes of body it may have.  Raises :class:`~afeed.core.request.Refused`.
Admit = Callable[[bytes, bytes, bytes, list[Header]], tuple[Exchange, int]]


def _nobody(method: bytes, version: bytes, url: bytes, headers: list[Header]) -> tuple[Exchange, int]:
    raise bad_request("the connection has ended")


class RequestReader:
    """Reads the requests of one connection, without any I/O.

    :ivar ready: complete requests, oldest first; who answers takes them out.
    :ivar refusal: what the request behind them is refused with; nothing is read after it.
    :ivar leaving: what came behind the last of them when that asks for a WebSocket, else None.
    :ivar within: ``head`` or ``body`` while a request is incomplete, else empty; it began at ``began``.
    """

    def __init__(self, admit: Admit, seconds: Callable[[], float]) -> None:
        self._admit = admit
        self._seconds = seconds
        self._parser: Any = httptools.HttpRequestParser(self)
        self.ready: list[Exchange] = []
        self.refusal: Refused | None = None
        self.leaving: bytes | None = None
        self.began = 0.0
        self._reset()

    def _reset(self) -> None:
        self._url = b""
        self._headers: list[Header] = []
        self._body: list[bytes] = []
        self._received = self._body_bytes = self._limit = 0
        self._exchange: Exchange | None = None
        self.within = ""

    def feed(self, data: bytes) -> None:
        """Read ``data``; the attributes tell what that led to."""
        upgraded: int | None = None
        try:
            self._parser.feed_data(data)
            self._count(len(data))
        except httptools.HttpParserUpgrade as upgrade:
            upgraded = upgrade.args[0]
        except Refused as refusal:
            self.refusal = refusal
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, Refused):
                raise
            self.refusal = error.__context__
        except httptools.HttpParserError as error:
            if str(error) == "Content-Length overflow":
                self.refusal = Refused(413, "too_large", "the body is larger than anything taken here")
            else:
                self.refusal = bad_request(f"this is not an HTTP/1.1 request: {error}")
        # Not among the handlers: there the parser's next error would hide the refusal that it stands for.
        if upgraded is not None:
            self._upgrade(data[upgraded:])

    def forget(self) -> None:
        """Nothing more will come: let go of the parser and of the connection, which refer back to this."""
        self._parser = None
        self._admit = _nobody
        self.ready.clear()

    def _count(self, size: int) -> None:
        """Limit what is still incomplete: the parser itself keeps names, values and trailers of any length."""
        if not self.within or self.ready:
            return
        self._received += size
        if self.within == "head":
            if self._received > MAX_HEAD:
                raise head_too_large()
        elif self._received > MAX_HEAD + MAX_FRAMING * self._limit:
            raise body_too_large(self._limit)

    def _upgrade(self, rest: bytes) -> None:
        asked = self.ready[-1]
        if asked.method == b"GET" and (asked.header(b"upgrade") or b"").lower() == b"websocket":
            self.leaving = rest
            return
        # Other protocols are not spoken here: such a request is read again as if it had not asked, because
        # the parser leaves its body to the other protocol.
        self.ready.pop()
        self._parser = httptools.HttpRequestParser(self)
        self.feed(raw_head(asked.method, asked.target, asked.version, asked.headers, b"upgrade") + rest)

    # -- called by the parser

    def on_message_begin(self) -> None:
        self._reset()
        self.within = "head"
        self.began = self._seconds()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.within == "head":  # trailers mean nothing to anybody here
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        method, version = self._parser.get_method(), self._parser.get_http_version().encode("ascii")
        self._exchange, self._limit = self._admit(method, version, self._url, self._headers)
        self.within = "body"

    def on_body(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes > self._limit:
            raise body_too_large(self._limit)
        self._body.append(data)

    def on_message_complete(self) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        exchange.body = b"".join(self._body)
        # HTTP/1.0 knows persistent connections only by an agreement that is not worth having.
        exchange.last = exchange.version == b"1.0" or not self._parser.should_keep_alive()
        self._reset()
        self.ready.append(exchange)
