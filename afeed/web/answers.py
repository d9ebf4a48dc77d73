"""How pages and files are answered: entity tags, caching, compression."""

from __future__ import annotations

import re

from twisted.web import http
from twisted.web.iweb import IRequest

HTML = b"text/html; charset=utf-8"
JSON = b"application/json"

_NEVER = re.compile(rb"q=0(?:\.0{0,3})?\Z")


def answer(
    request: IRequest,
    body: bytes,
    gzipped: bytes | None,
    *,
    content_type: bytes,
    tag: str,
    cache: bytes,
    vary: bytes = b"Accept-Encoding",
) -> bytes:
    """Set the headers for ``body`` and return what to send: ``gzipped`` where the client takes it, nothing
    when it has it already (304).

    ``vary`` names the headers of a request that the answer depends on.  The tag is weak, as both forms share it
    (RFC 9110, section 8.8.3).
    """
    etag = b'W/"%s"' % tag.encode("ascii")
    request.setHeader(b"etag", etag)
    request.setHeader(b"cache-control", cache)
    request.setHeader(b"vary", vary)
    if _has(request, etag):
        request.setResponseCode(http.NOT_MODIFIED)
        return b""
    request.setHeader(b"content-type", content_type)
    if gzipped is not None and _takes_gzip(request):
        request.setHeader(b"content-encoding", b"gzip")
        body = gzipped
    request.setHeader(b"content-length", b"%d" % len(body))
    return body


def _has(request: IRequest, etag: bytes) -> bool:
    """Whether ``If-None-Match`` names ``etag``, by weak comparison (RFC 9110, section 13.1.2)."""
    named = request.getHeader(b"if-none-match")
    if named is None:
        return False
    tags = [tag.strip() for tag in named.split(b",")]
    return b"*" in tags or etag in tags or etag.removeprefix(b"W/") in tags


def _takes_gzip(request: IRequest) -> bool:
    """Whether ``Accept-Encoding`` lists gzip with a weight other than 0 (RFC 9110, section 12.5.3)."""
    for part in (request.getHeader(b"accept-encoding") or b"").split(b","):
        coding, _, parameter = part.partition(b";")
        if coding.strip().lower() == b"gzip":
            return _NEVER.match(parameter.strip().lower()) is None
    return False
