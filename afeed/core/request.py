"""What a request head has to be like before anybody looks at what it asks for (RFC 9112)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from afeed.core.http import Header, first_header

MAX_HEAD = 16 * 1024
METHODS = frozenset({b"GET", b"HEAD", b"POST"})
VERSIONS = frozenset({b"1.1", b"1.0"})
#: Chunks of one byte make a body six times as long; more than this is not sent by anybody who means well.
MAX_FRAMING = 8


class Refused(Exception):
    """A request that is answered with this and nothing else, and whose connection is closed; ``page`` says it
    to people, where there is one."""

    page: bytes | None = None

    def __init__(self, status: int, code: str, detail: str, headers: tuple[Header, ...] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers


class Target(NamedTuple):
    """Whom a request is for (``authority``: a host and perhaps a port) and what it asks for."""

    authority: bytes
    path: bytes
    query: bytes


def head_too_large() -> Refused:
    """More than :data:`MAX_HEAD` bytes before the blank line."""
    return Refused(431, "head_too_large", f"a request head has at most {MAX_HEAD} bytes")


def body_too_large(limit: int) -> Refused:
    """More than ``limit`` bytes of body."""
    return Refused(413, "too_large", f"the body has at most {limit} bytes")


def bad_request(detail: str) -> Refused:
    """Not a request as HTTP/1.1 describes it."""
    return Refused(400, "bad_request", detail)


def too_slow() -> Refused:
    """The head or the body did not come in time."""
    return Refused(408, "too_slow", "the request was not complete in time")


def read_target(method: bytes, version: bytes, url: bytes, headers: list[Header]) -> Target:
    """Check the head and find its target (RFC 9112, section 3.2); raises :class:`Refused`.

    Header names are lower case.  The authority of an absolute target wins over the Host header.
    """
    if len(url) + sum(len(name) + len(value) + 4 for name, value in headers) > MAX_HEAD:
        raise head_too_large()
    if version not in VERSIONS:
        raise bad_request("only HTTP/1.1 and HTTP/1.0 are spoken here")
    if method not in METHODS:
        allow: Header = (b"Allow", b"GET, HEAD, POST")
        raise Refused(405, "method_not_allowed", "only GET, HEAD and POST are answered", (allow,))
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version == b"1.1"):
        raise bad_request("a request has exactly one Host header")
    authority = hosts[0] if hosts else b""
    if not url.startswith(b"/"):
        try:
            parts = urlsplit(url)
        except ValueError:
            raise bad_request("the request target is no URL") from None
        if parts.scheme not in (b"http", b"https") or not parts.netloc:
            raise bad_request("the request target is a path")
        authority = parts.netloc
        url = (parts.path or b"/") + (b"?" + parts.query if parts.query else b"")
    return Target(authority, *split_path(url))


def split_path(url: bytes) -> tuple[bytes, bytes]:
    """Path and query of a request target that begins with a slash."""
    path, _, query = url.partition(b"?")
    return path, query.partition(b"#")[0]


def check_body(version: bytes, headers: Iterable[Header], limit: int) -> None:
    """Refuse a body that is announced as larger than ``limit``, or packed in a way nobody here unpacks.

    Lengths that are no numbers, and lengths together with chunks, do not get past the parser.
    """
    headers = tuple(headers)
    length = first_header(headers, b"content-length")
    if length is not None and int(length) > limit:
        raise body_too_large(limit)
    coding = first_header(headers, b"transfer-encoding")
    if coding is not None and (version == b"1.0" or coding.strip().lower() != b"chunked"):
        raise bad_request("the only transfer coding is chunked, in HTTP/1.1")


def raw_head(
    method: bytes, target: bytes, version: bytes, headers: Iterable[Header], without: bytes = b""
) -> bytes:
    """A head as bytes, for somebody else to read; the header ``without`` left out."""
    lines = [b"%b %b HTTP/%b" % (method, target, version)]
    lines += [b"%b: %b" % header for header in headers if header[0] != without]
    return b"\r\n".join(lines) + b"\r\n\r\n"
