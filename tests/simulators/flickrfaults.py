"""What can go wrong with Flickr, by name: ``simulator.faults.append("502")`` or ``POST /control/fault`` with
``name=502``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.web.server import NOT_DONE_YET

from tests.simulators.photos import failure

SORRY = "Sorry, the Flickr API service is not currently available."
HTML = b"<!DOCTYPE html><html><head><title>Bad Gateway</title></head><body><h1>:(</h1></body></html>"

Fault = Callable[[Any, Any, bytes], Any]


def _fail(code: int, message: str) -> Fault:
    def answer(reactor: Any, request: Any, body: bytes) -> bytes:
        return json.dumps(failure(code, message)).encode()

    return answer


def _status(status: int, body: bytes, content_type: str = "text/html", **headers: str) -> Fault:
    def answer(reactor: Any, request: Any, _: bytes) -> bytes:
        request.setResponseCode(status)
        request.setHeader("Content-Type", content_type)
        for name, value in headers.items():
            request.setHeader(name.replace("_", "-"), value)
        return body

    return answer


def _wrapped(reactor: Any, request: Any, body: bytes) -> bytes:
    return b"jsonFlickrApi(" + body + b")"


def _truncated(reactor: Any, request: Any, body: bytes) -> bytes:
    return body[: len(body) * 2 // 3]


def _closed(reactor: Any, request: Any, body: bytes) -> int:
    request.transport.abortConnection()
    return NOT_DONE_YET


def _silent(reactor: Any, request: Any, body: bytes) -> int:
    return NOT_DONE_YET


def _dribbled(reactor: Any, request: Any, body: bytes) -> int:
    """Twenty bytes a second, all of them valid so far."""

    def write() -> None:
        request.write(b" ")

    _repeat(reactor, request, write, 0.05)
    return NOT_DONE_YET


def _endless(reactor: Any, request: Any, body: bytes) -> int:
    """As much as the line takes, without end."""
    _repeat(reactor, request, lambda: request.write(b'{"photos":' + b" " * 256 * 1024), 0.001)
    return NOT_DONE_YET


def _repeat(reactor: Any, request: Any, call: Callable[[], None], seconds: float) -> None:
    loop = LoopingCall(call)
    loop.clock = reactor
    request.notifyFinish().addErrback(lambda _: loop.running and loop.stop())
    loop.start(seconds)


FAULTS: dict[str, Fault] = {
    "100": _fail(100, "Invalid API Key (Key has invalid format)"),
    "105": _fail(105, "Service currently unavailable"),
    "201": _fail(201, SORRY),
    "0": _fail(0, SORRY),
    "1": _fail(1, "Too many tags in ALL query"),
    "xml": _status(200, b'<?xml version="1.0" ?><rsp stat="fail"><err code="105" msg="x"/></rsp>', "text/xml"),
    "html": _status(200, HTML),
    "502": _status(502, HTML),
    "429": _status(429, b"Too Many Requests", "text/plain", Retry_After="120"),
    "403": _status(403, b"Forbidden", "text/plain"),
    "redirect": _status(302, b"", Location="https://example.org/login"),
    "jsonp": _wrapped,
    "truncated": _truncated,
    "close": _closed,
    "silent": _silent,
    "dribble": _dribbled,
    "endless": _endless,
}
"""What may go into :attr:`FlickrSimulator.faults`."""

#: Those that no operator has to do anything about.
PASSING = sorted(FAULTS.keys() - {"1", "100", "403", "redirect"})
