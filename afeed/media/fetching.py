"""Fetching one picture from wherever somebody's post says that it is.

Nothing of what is fetched is trusted: neither where it leads (:mod:`afeed.media.guard`, at each redirect
again), nor what it says it is (:mod:`afeed.core.pictures`), nor how much it is.  Nothing is unpacked or
decoded, no cookie is kept, and nothing says for which page it is.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import attrs
import idna
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse

from afeed.core.errors import AfeedError
from afeed.core.networks import is_public
from afeed.core.pictures import KINDS, START, kind_of
from afeed.media.guard import Allowed, NotPublic, PublicEndpoints
from afeed.sources.http import (
    CONNECT_TIMEOUT_S,
    USER_AGENT,
    IdentityAgent,
    as_fault,
    causes,
    discard,
    header,
    host_of,
)

#: The largest picture that is kept, in bytes.
LARGEST = 20 * 1024 * 1024
#: How long one may take from the first byte sent to the last received, in seconds, and how long to its head.
TIMEOUT_S, HEAD_S = 120.0, 20.0
#: So many redirects are followed.
REDIRECTS = 5
#: The longest ``Retry-After`` that is believed, in seconds.
LONGEST_RETRY_S = 86_400.0

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: Answers that may be another the next time.
_PASSING = frozenset({408, 425, 429})
#: Below 1024 no other port has pictures, and some have servers that take what a stranger has them sent.
_PORTS = frozenset({80, 443})
#: What the DNS can have: labels of at most 63 characters, 253 in all.
_HOST = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?", re.IGNORECASE)
#: What stands for itself in an address (RFC 3986), and the sign of what is escaped.
_KEPT = "%/:?@!$&'()*+,;=~[]"


class Unfit(AfeedError):
    """There is no picture there that could be kept, and there will not be: asking again would not help."""


class NotNow(AfeedError):
    """There may be one another time.  ``wait_s`` is how long the host wants to be left alone, in seconds; None
    where it does not say."""

    def __init__(self, why: str, wait_s: float | None = None) -> None:
        super().__init__(why)
        self.wait_s = wait_s


@attrs.frozen
class Picture:
    """What was fetched; ``kind`` is one of :data:`afeed.core.pictures.KINDS`."""

    body: bytes = attrs.field(repr=lambda body: f"<{len(body)} bytes>")
    kind: str


class Fetcher:
    """Gets pictures.  ``allowed`` says to which addresses a connection may be made; ``trust`` as in
    :func:`afeed.sources.http.make_client`; ``limit`` is the largest picture in bytes."""

    def __init__(
        self,
        reactor: Any,
        *,
        allowed: Allowed = is_public,
        trust: Any = None,
        limit: int = LARGEST,
        timeout_s: float = TIMEOUT_S,
        head_s: float = HEAD_S,
    ) -> None:
        endpoints = PublicEndpoints(reactor, allowed, CONNECT_TIMEOUT_S, trust)
        pool = HTTPConnectionPool(reactor, persistent=False)
        self._agent = IdentityAgent(Agent.usingEndpointFactory(reactor, endpoints, pool))
        self._reactor = reactor
        self._limit = limit
        self._timeout_s = timeout_s
        self._head_s = head_s

    def fetch(self, url: str) -> Deferred[Picture]:
        """Fires with the picture at ``url``; fails with :class:`Unfit` or :class:`NotNow`.  Cancelling closes
        the connection."""

        def late(_result: object, seconds: float) -> Failure:
            return Failure(NotNow(f"{_host(url)} did not answer within {seconds:g} s"))

        fetching = Deferred.fromCoroutine(self._fetch(url))
        return fetching.addTimeout(self._timeout_s, self._reactor, late)

    async def _fetch(self, url: str) -> Picture:
        for _ in range(REDIRECTS + 1):
            address = _address(url)
            response = await self._head(address, url)
            if response.code not in _REDIRECTS:
                return await self._body(response, url)
            target = header(response.headers, "Location")
            discard(response)
            if not target:
                raise Unfit(f"{_host(url)} redirects to nowhere")
            try:
                url = urljoin(address.decode("ascii"), target)
            except ValueError:
                raise Unfit(f"{_host(url)} redirects to what is no address") from None
        raise Unfit(f"{_host(url)} redirects more than {REDIRECTS} times")

    async def _head(self, address: bytes, url: str) -> IResponse:
        def late(_result: object, seconds: float) -> Failure:
            return Failure(NotNow(f"{_host(url)} did not answer within {seconds:g} s"))

        accepted = ", ".join(KINDS.values())
        headers = Headers({"User-Agent": [USER_AGENT], "Accept": [accepted]})
        try:
            asked = self._agent.request(b"GET", address, headers)
            return await asked.addTimeout(self._head_s, self._reactor, late)
        except Exception as error:
            raise _explained(error, url) from None

    async def _body(self, response: IResponse, url: str) -> Picture:
        if response.code != 200:
            discard(response)
            raise _refused(response, url)
        if response.length is not UNKNOWN_LENGTH and response.length > self._limit:
            discard(response)
            raise Unfit(_too_large(url, self._limit))
        receiver = _Receiver(self._limit, url)
        response.deliverBody(receiver)
        try:
            return await receiver.done
        except Exception as error:
            raise _explained(error, url) from None


class _Receiver(Protocol):
    """Collects a picture, and hangs up as soon as it cannot be one."""

    def __init__(self, limit: int, url: str) -> None:
        self.done: Deferred[Picture] = Deferred(lambda _: self._hang_up())
        self._limit = limit
        self._url = url
        self._body = bytearray()
        self._kind: str | None = None
        self._over = False

    def _hang_up(self) -> None:
        self._over = True
        self._body.clear()
        if self.transport is not None:
            self.transport.loseConnection()

    def _give_up(self, why: str) -> None:
        self._hang_up()
        self.done.errback(Unfit(why))

    def dataReceived(self, data: bytes) -> None:
        if self._over:
            return
        if len(self._body) + len(data) > self._limit:
            self._give_up(_too_large(self._url, self._limit))
            return
        self._body += data
        if self._kind is None and len(self._body) >= START:
            self._kind = kind_of(bytes(self._body[:START]))
            if self._kind is None:
                self._give_up(_no_picture(self._url))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._over:
            return
        self._over = True
        # PotentialDataLoss: neither a length nor chunks; the end of the connection is the end of the body.
        if not reason.check(ResponseDone, PotentialDataLoss):
            self.done.errback(reason)
            return
        kind = self._kind or kind_of(bytes(self._body))
        if kind is None:
            self.done.errback(Unfit(_no_picture(self._url)))
        else:
            self.done.callback(Picture(bytes(self._body), kind))


def _address(url: str) -> bytes:
    """``url`` as it is asked for; raises :class:`Unfit` for one that is not to be."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Unfit("this is no address") from None
    scheme = parts.scheme.lower()
    if scheme not in ("http", "https") or not parts.hostname:
        raise Unfit("only http and https lead to pictures")
    if "@" in parts.netloc:
        raise Unfit("the address has a password in it")
    if port is not None and port not in _PORTS and port < 1024:
        raise Unfit(f"no picture is fetched from port {port}")
    try:
        host = parts.hostname if parts.hostname.isascii() else idna.encode(parts.hostname, uts46=True).decode()
    except UnicodeError:
        raise Unfit("this is no address") from None
    if ":" not in host and _HOST.fullmatch(host) is None:
        raise Unfit("there is no such host")
    where = f"[{host}]" if ":" in host else host
    if port is not None:
        where = f"{where}:{port}"
    # What is escaped already stays as it is, and the part behind # is nobody's business.
    path = quote(parts.path, safe=_KEPT, errors="replace") or "/"
    query = f"?{quote(parts.query, safe=_KEPT, errors='replace')}" if parts.query else ""
    return f"{scheme}://{where}{path}{query}".encode("ascii")


def _host(url: str) -> str:
    try:
        return host_of(url)[:200] or "the host"
    except ValueError:
        return "the host"


def _too_large(url: str, limit: int) -> str:
    return f"what {_host(url)} sends is larger than {limit:,} bytes"


def _no_picture(url: str) -> str:
    return f"what {_host(url)} sends is none of {', '.join(KINDS)}"


def _refused(response: IResponse, url: str) -> AfeedError:
    why = f"{_host(url)} answers with HTTP status {response.code}"
    if response.code in _PASSING or response.code >= 500:
        wanted = (header(response.headers, "Retry-After") or "").strip()
        # A date would do as well by the standard; hosts of pictures count in seconds.
        known = wanted.isascii() and wanted.isdigit() and len(wanted) < 10
        return NotNow(why, min(float(wanted), LONGEST_RETRY_S) if known else None)
    return Unfit(why)


def _explained(error: Exception, url: str) -> Exception:
    """What went wrong, as one of the two that callers know."""
    chain = causes(error)
    for cause in chain:
        if isinstance(cause, Unfit | NotNow):
            return cause
        if isinstance(cause, NotPublic):
            return Unfit(str(cause))
        if isinstance(cause, CancelledError | ConnectingCancelledError):
            # Twisted has other names for it while it connects, or waits for the head.
            return CancelledError()
    fault = as_fault(error, url)
    return Unfit(str(fault)) if fault.kind == "encoding" else NotNow(str(fault))
