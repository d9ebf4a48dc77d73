"""From bytes to requests: httptools (llhttp) parses, and whatever is too large, too odd or not for us is
refused as soon as that shows."""

from __future__ import annotations

import re
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
from afeed.web.admission import Gate
from afeed.web.exchange import Exchange

#: A GET whose head may be taken for one read before, if its headers are the same bytes.
_METHOD, _VERSION, _BLANK = b"GET ", b" HTTP/1.1", b"\r\n\r\n"
_is_path = re.compile(rb"/[!-~]*").fullmatch
#: Headers longer than this are read anew each time.
_MEMORABLE = 2048


class _Nobody:
    """Answers for a connection that has ended."""

    def admit(self, method: bytes, version: bytes, url: bytes, headers: list[Header]) -> tuple[Exchange, int]:
        raise bad_request("the connection has ended")

    def admit_again(self, before: Exchange, url: bytes) -> Exchange | None:
        return None


_NOBODY = _Nobody()


class RequestReader:
    """Reads the requests of one connection, without any I/O.

    :ivar ready: complete requests, oldest first; who answers takes them out.
    :ivar refusal: what the request behind them is refused with; nothing is read after it.
    :ivar leaving: what came behind the last of them when that asks for a WebSocket, else None.
    :ivar within: ``head`` or ``body`` while a request is incomplete, else empty; it began at ``began``.

    Who asks again and again, as a long-poll does, sends the same headers each time.  They are read once: a GET
    in one piece that differs from the one before only in its path needs no parser.
    """

    def __init__(self, gate: Gate, seconds: Callable[[], float]) -> None:
        self._gate = gate
        self._seconds = seconds
        self._parser: Any = httptools.HttpRequestParser(self)
        self.ready: list[Exchange] = []
        self.refusal: Refused | None = None
        self.leaving: bytes | None = None
        self.began = 0.0
        # The last GET that came alone, and the bytes of its head from the end of the first line on.
        self._before: Exchange | None = None
        self._block = b""
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
        fresh = not self.within and not self.ready
        if fresh and self._before is not None and self._repeated(data, self._before):
            return
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
        elif fresh and len(self.ready) == 1 and not self.within and self.refusal is None:
            self._learn(data, self.ready[0])

    def forget(self) -> None:
        """Nothing more will come: let go of the parser and of the connection, which refer back to this."""
        self._parser = None
        self._gate = _NOBODY
        self._before = None
        self.ready.clear()

    def _learn(self, data: bytes, exchange: Exchange) -> None:
        """Remember a request that was all of ``data``, if others may be compared with it."""
        line, _, block = data.partition(b"\r\n")
        alone = block.find(_BLANK) == len(block) - len(_BLANK)
        ordinary = line.startswith(_METHOD) and line.endswith(_VERSION) and not exchange.last
        if alone and ordinary and len(block) <= _MEMORABLE and exchange.header(b"expect") is None:
            self._before, self._block = exchange, block

    def _repeated(self, data: bytes, before: Exchange) -> bool:
        """Whether ``data`` was the request ``before`` with perhaps another path, and has been admitted."""
        end = len(data) - len(self._block) - 2
        if not (data.endswith(self._block) and data.startswith(_METHOD) and len(data) <= MAX_HEAD):
            return False
        line = data[:end]
        url = line[len(_METHOD) : -len(_VERSION)]
        if data[end : end + 2] != b"\r\n" or not line.endswith(_VERSION) or _is_path(url) is None:
            return False
        exchange = self._gate.admit_again(before, url)
        if exchange is not None:
            self.ready.append(exchange)
        return exchange is not None

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
        self._exchange, self._limit = self._gate.admit(method, version, self._url, self._headers)
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
