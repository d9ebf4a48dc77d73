"""Who asked, for whom, and may they: the pure part of the front door."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from afeed.core.errors import BadInput

Header = tuple[bytes, bytes]
Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_DEFAULT_PORTS = {"http": 80, "https": 443}
#: Any of these says that the peer speaks for somebody else.
_FORWARDING = frozenset(
    {
        b"forwarded",
        b"true-client-ip",
        b"via",
        b"x-client-ip",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-proto",
        b"x-forwarded-server",
        b"x-real-ip",
    }
)
#: So many hops are looked at.
_MAX_HOPS = 20
_ZONE = re.compile(r"[A-Za-z0-9._-]{1,16}\Z")
_WITH_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+(?=:)))(?::[0-9]{1,5})?\Z")

REASONS = {
    200: b"OK",
    201: b"Created",
    204: b"No Content",
    304: b"Not Modified",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    413: b"Content Too Large",
    415: b"Unsupported Media Type",
    421: b"Misdirected Request",
    422: b"Unprocessable Content",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    503: b"Service Unavailable",
}


def first_header(headers: Iterable[Header], name: bytes) -> bytes | None:
    """The first value of ``name`` (lower case), None when there is none."""
    return next((value for key, value in headers if key == name), None)


def query_members(raw: bytes, most: int = 20, *, texts: bool = True) -> dict[str, str]:
    """The members of a query string; raises :class:`~afeed.core.errors.BadInput` for repeated ones, for more
    than ``most``, and, where they are ``texts``, for a NUL, which no text has and PostgreSQL takes for a
    fault."""
    if not raw:
        return {}
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=most, errors="strict")
    except ValueError as error:
        raise BadInput(f"the query string is not percent-encoded UTF-8 with at most {most} members") from error
    members = dict(pairs)
    if len(members) != len(pairs):
        raise BadInput("a member of the query string is given twice")
    if texts and any("\0" in name or "\0" in value for name, value in pairs):
        raise BadInput("the query string has a NUL in it")
    return members


def bounded_number(members: dict[str, str], name: str, default: int, low: int, high: int) -> int:
    """A whole number from the query, clamped into ``low..high``; raises
    :class:`~afeed.core.errors.BadInput` for anything that is not a plain decimal number."""
    text = members.get(name)
    if text is None:
        return default
    digits = text[1:] if text[:1] == "-" else text
    if not (digits.isascii() and digits.isdigit()):
        raise BadInput(f"{name} is a whole number from {low} to {high}")
    if len(digits) > 12:  # whatever it is, it is out of range
        return low if digits is not text else high
    return max(low, min(high, int(text)))


class Names:
    """The host names and origins that are ours, as ``public_url`` (and ``cors_origins``) say.

    ``localhost`` and ``127.0.0.1`` are one; a scheme's default port may be given or left out.
    """

    def __init__(self, public_url: str, cors_origins: Iterable[str] = ()) -> None:
        parts = urlsplit(public_url)
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        host = (parts.hostname or "").lower()
        hosts = {"localhost", "127.0.0.1"} if host in ("localhost", "127.0.0.1") else {host}
        forms = {f"[{name}]" if ":" in name else name for name in hosts}
        authorities = {f"{form}:{port}" for form in forms}
        if port == _DEFAULT_PORTS[parts.scheme]:
            authorities |= forms
        self.hosts = frozenset(name.encode("ascii") for name in authorities)
        self.origins = frozenset(f"{parts.scheme}://{name}".encode("ascii") for name in authorities)
        self.cors = frozenset(origin.encode("ascii") for origin in cors_origins)

    def is_ours(self, authority: bytes) -> bool:
        """Whether ``authority`` (a Host header, or that of an absolute request target) names this server."""
        return authority.lower() in self.hosts

    def may_connect(self, origin: bytes | None) -> bool:
        """Whether a page of ``origin`` may open a WebSocket; programs that send no Origin are welcome."""
        return origin is None or origin.lower() in self.origins or origin.lower() in self.cors


@lru_cache(maxsize=4096)
def _address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _within(address: Address | None, networks: Iterable[Network]) -> bool:
    return address is not None and any(address.version == net.version and address in net for net in networks)


def is_among(address: str, networks: Iterable[Network]) -> bool:
    """Whether ``address`` is one of ``networks``; text that is no address never is."""
    return _within(_address(address), networks)


class _Hops(NamedTuple):
    """What ``X-Forwarded-For`` says: the nearest address that is known, and whether that is the client's own
    and not merely the last proxy before something unreadable."""

    nearest: str
    named: bool


def _hops(peer: str, headers: Iterable[Header], proxies: tuple[Network, ...]) -> _Hops:
    """Walk back from the trusted ``peer``, as long as those who speak are trusted themselves."""
    chain = [
        hop
        for name, value in headers
        if name == b"x-forwarded-for"
        for hop in value.decode("latin-1").split(",")
    ]
    nearest = peer
    for hop in reversed(chain[-_MAX_HOPS:]):
        address = _hop(hop.strip())
        if address is None:
            return _Hops(nearest, named=False)
        nearest = str(address)
        if not _within(address, proxies):
            return _Hops(nearest, named=True)
    return _Hops(nearest, named=0 < len(chain) <= _MAX_HOPS)


def _hop(text: str) -> Address | None:
    """An address of ``X-Forwarded-For``, which some proxies give with a port and IPv6 with brackets."""
    _, percent, zone = text.partition("%")
    if percent and not _ZONE.match(zone):  # Python takes anything for one, and it would be shown
        return None
    match = _WITH_PORT.match(text)
    return _address(match[1] or match[2] if match is not None else text)


def client_address(peer: str, headers: Iterable[Header], trusted: Iterable[Network]) -> str:
    """The address of who asks: the peer, or, as far as the peer and the hops before it are trusted proxies,
    the last address of ``X-Forwarded-For`` that is not one of them."""
    proxies = tuple(trusted)
    if not proxies or not _within(_address(peer), proxies):
        return peer
    return _hops(peer, headers, proxies).nearest


def is_internal(
    peer: str, headers: Iterable[Header], trusted: Iterable[Network], internal: Iterable[Network]
) -> bool:
    """Whether health details and metrics may be shown.

    Forwarding headers mean that somebody stands in between.  Such a request is internal only if that is a
    trusted proxy, and it names an internal client in ``X-Forwarded-For``; a client whom it names in another
    header, unreadably or not at all may be anybody.
    """
    headers = tuple(headers)
    if not any(name in _FORWARDING for name, _ in headers):
        return _within(_address(peer), internal)
    proxies = tuple(trusted)
    if not _within(_address(peer), proxies):
        return False
    hops = _hops(peer, headers, proxies)
    return hops.named and _within(_address(hops.nearest), internal)


def response_head(status: int, headers: Iterable[Header], length: int | None, close: bool) -> bytes:
    """Status line and headers, blank line included.  ``length`` None means the body ends with the
    connection."""
    lines = [b"HTTP/1.1 %d %b" % (status, REASONS.get(status, b"Status"))]
    lines += [b"%b: %b" % header for header in headers]
    if length is not None:
        lines.append(b"Content-Length: %d" % length)
    if close or length is None:
        lines.append(b"Connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n"
