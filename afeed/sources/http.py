"""HTTP as the sources need it: every wait has a deadline, every body a limit, and no credential travels further
than the host it was meant for.

* Redirects are never followed: the bearer token or API key would go along.
* Bodies are asked for as ``identity``; an answer that is compressed all the same is refused, because a megabyte
  of gzip can unpack to a gigabyte.
* Closing a connection means aborting it: over TLS a polite close waits for the peer, and the peer of a stalled
  connection does not answer.
* Messages of faults name the host, never the query or a header: that is where the secrets are.
"""

from __future__ import annotations

import os
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit

from OpenSSL import SSL
from service_identity import VerificationError
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionLost, DNSLookupError
from twisted.internet.interfaces import IProtocolFactory, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import optionsForClientTLS
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, HTTPConnectionPool, ResponseDone
from twisted.web.error import SchemeNotSupported
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

from afeed import __version__

USER_AGENT = f"afeed/{__version__}"

#: What one look-up may take from the first byte sent to the last one received, in seconds.
TIMEOUT_S = 20.0
#: How long establishing a TCP and TLS connection may take, in seconds.
CONNECT_TIMEOUT_S = 10.0
#: The largest body that :func:`fetch` reads, in bytes.
BODY_LIMIT = 4 * 1024 * 1024

Result = TypeVar("Result")

FaultKind = Literal["network", "certificate", "timeout", "oversize", "encoding", "redirect"]


class HttpFault(Exception):
    """There is no usable answer.

    ``kind`` says why: ``network`` (no connection, or it broke), ``certificate`` (the server could not prove who
    it is), ``timeout``, ``oversize``, ``encoding`` (compressed although asked not to), ``redirect``.
    ``str()`` is one sentence for an operator.
    """

    def __init__(self, kind: FaultKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Answer(NamedTuple):
    """A whole answer, whatever its status."""

    status: int
    headers: Headers
    body: bytes


def header(headers: Headers, name: str) -> str | None:
    """The last value of the header ``name``, None when it is absent."""
    values = headers.getRawHeaders(name)
    return values[-1] if values else None


def host_of(url: str) -> str:
    """The part of ``url`` that may be shown: ``host`` or ``host:port``."""
    return urlsplit(url).netloc.rpartition("@")[2]


# -- the client ---------------------------------------------------------------------------------------------


class _Abrupt(ProtocolWrapper):
    """A connection whose every close is an abort."""

    def loseConnection(self) -> None:
        self.abortConnection()


class _AbruptFactory(WrappingFactory[_Abrupt]):
    protocol = _Abrupt
    noisy = False


@implementer(IStreamClientEndpoint)
class AbruptEndpoint:
    """Connects as ``endpoint`` does; what it connects closes at once."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        connected: Deferred[Any] = self._endpoint.connect(_AbruptFactory(protocolFactory))
        return connected.addCallback(lambda wrapper: wrapper.wrappedProtocol)


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """TCP for http, TCP and TLS with the host's name verified for https."""

    def __init__(self, reactor: Any, timeout_s: float, trust: Any) -> None:
        self._reactor = reactor
        self._timeout_s = timeout_s
        self._trust = trust

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        host = uri.host.decode("ascii")
        endpoint: IStreamClientEndpoint = HostnameEndpoint(
            self._reactor, host, uri.port, timeout=self._timeout_s
        )
        if uri.scheme == b"https":
            endpoint = wrapClientTLS(optionsForClientTLS(host, trustRoot=self._trust), endpoint)
        elif uri.scheme != b"http":
            raise SchemeNotSupported(f"unsupported scheme: {uri.scheme!r}")
        return AbruptEndpoint(endpoint)


@implementer(IAgent)
class IdentityAgent:
    """Asks for uncompressed bodies, whatever the caller asked for, and refuses others with
    :class:`HttpFault`."""

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        headers = Headers() if headers is None else headers.copy()
        headers.setRawHeaders("Accept-Encoding", ["identity"])
        answered = self._agent.request(method, uri, headers, bodyProducer)
        return answered.addCallback(self._check, uri)

    def _check(self, response: IResponse, uri: bytes) -> IResponse:
        encodings = [e for e in response.headers.getRawHeaders("Content-Encoding", []) if e != "identity"]
        if encodings:
            discard(response)
            raise HttpFault(
                "encoding",
                f"{host_of(uri.decode('ascii', 'replace'))} sends a compressed answer although afeed asked for "
                "a plain one; it was not unpacked",
            )
        return response


def make_client(reactor: Any, *, connect_timeout_s: float = CONNECT_TIMEOUT_S, trust: Any = None) -> HTTPClient:
    """The HTTP client for sources: one connection a request, certificates verified against ``trust`` (a trust
    root as :func:`twisted.internet.ssl.optionsForClientTLS` takes it; None: the platform's authorities)."""
    endpoints = _Endpoints(reactor, connect_timeout_s, trust)
    pool = HTTPConnectionPool(reactor, persistent=False)
    return HTTPClient(IdentityAgent(Agent.usingEndpointFactory(reactor, endpoints, pool)))


# -- requests -----------------------------------------------------------------------------------------------


async def fetch(
    http: HTTPClient,
    method: str,
    url: str,
    *,
    clock: IReactorTime,
    params: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    json: Any = None,
    timeout_s: float = TIMEOUT_S,
    limit: int = BODY_LIMIT,
) -> Answer:
    """Send a request and read the whole answer, within ``timeout_s`` and up to ``limit`` bytes.

    ``json``, when not None, becomes the request's body.  Raises :class:`HttpFault`; an answer with any status
    but 3xx (304 apart) is none.  Cancelling closes the connection.
    """

    async def attempt() -> Answer:
        response = await _request(http, method, url, clock=clock, params=params, headers=headers, json=json)
        return Answer(response.code, response.headers, await read_body(response, limit))

    return await _within(attempt(), url, clock, timeout_s)


async def open_stream(
    http: HTTPClient,
    method: str,
    url: str,
    *,
    clock: IReactorTime,
    params: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> IResponse:
    """Send a request and return once the head of the answer is there; its body waits for ``deliverBody`` (or
    :func:`read_body` or :func:`discard`: one of them must follow).  Raises :class:`HttpFault`."""
    opening = _request(http, method, url, clock=clock, params=params, headers=headers, json=None)
    return await _within(opening, url, clock, timeout_s)


async def _within(
    request: Coroutine[Deferred[Any], Any, Result], url: str, clock: IReactorTime, timeout_s: float
) -> Result:
    """The result of ``request``; whatever goes wrong with it, being late included, as :class:`HttpFault`."""

    def late(_result: object, _seconds: float) -> Failure:
        return Failure(HttpFault("timeout", f"{host_of(url)} did not answer within {timeout_s:g} s"))

    try:
        return await Deferred.fromCoroutine(request).addTimeout(timeout_s, clock, late)
    except CancelledError:
        raise
    except Exception as error:
        if any(isinstance(cause, CancelledError | ConnectingCancelledError) for cause in causes(error)):
            # Twisted wraps the cancellation of a request in a failure of the request, and has another name
            # for it while it connects; whoever cancelled this must not see a fault and try again.
            raise CancelledError() from None
        raise as_fault(error, url) from None


async def _request(
    http: HTTPClient,
    method: str,
    url: str,
    *,
    clock: IReactorTime,
    params: Sequence[tuple[str, str]],
    headers: Mapping[str, str] | None,
    json: Any,
) -> IResponse:
    sent = Headers({"User-Agent": [USER_AGENT], "Accept": ["application/json"]})
    for name, value in (headers or {}).items():
        sent.setRawHeaders(name, [value])
    body = {} if json is None else {"json": json}
    response: IResponse = await http.request(
        method,
        url,
        params=list(params),
        headers=sent,
        allow_redirects=False,
        unbuffered=True,
        reactor=cast(Any, clock),  # treq would import the global reactor otherwise
        **body,
    )
    if 300 <= response.code < 400 and response.code != 304:
        target = header(response.headers, "Location") or ""
        discard(response)
        raise HttpFault(
            "redirect",
            f"{host_of(url)} redirects to {_place(target)}; afeed does not follow, because its credentials "
            "would go along: check the configured address and whether a proxy or captive portal answers",
        )
    return response


def _place(location: str) -> str:
    """Scheme and host of a redirect's target, which may be anything."""
    try:
        parts = urlsplit(location[:500])
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else "another path"
    except ValueError:
        return "an invalid address"


class _Collector(Protocol):
    """Collects a body up to a limit."""

    def __init__(self, limit: int) -> None:
        self.done: Deferred[bytes] = Deferred(lambda _: self._close())
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._over = False

    def _close(self) -> None:
        self._over = True
        self._parts.clear()
        if self.transport is not None:
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        if self._over:
            return
        self._size += len(data)
        if self._size > self._limit:
            self._close()
            self.done.errback(HttpFault("oversize", f"the answer is larger than {self._limit} bytes"))
            return
        self._parts.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._over:
            return
        self._over = True
        # PotentialDataLoss: neither a length nor chunks; the end of the connection is the end of the body.
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(b"".join(self._parts))
        else:
            self.done.errback(reason)


def read_body(response: IResponse, limit: int = BODY_LIMIT) -> Deferred[bytes]:
    """Fires with the body of ``response``; fails with :class:`HttpFault` beyond ``limit`` bytes.  Cancelling
    closes the connection.  It has no deadline of its own."""
    collector = _Collector(limit)
    response.deliverBody(collector)
    return collector.done


class _Discard(Protocol):
    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()


def discard(response: IResponse) -> None:
    """Close the connection without reading the body."""
    response.deliverBody(_Discard())


# -- faults -------------------------------------------------------------------------------------------------


def causes(error: BaseException | None) -> list[BaseException]:
    """``error`` and what Twisted wrapped in it, innermost last."""
    if error is None:
        return []
    found = [error]
    for reason in getattr(error, "reasons", ()):
        cause = reason.value if isinstance(reason, Failure) else reason
        if isinstance(cause, BaseException):
            found.extend(causes(cause))
    return found


def as_fault(error: BaseException, url: str) -> HttpFault:
    """What went wrong with a request to ``url``, as a fault that an operator understands."""
    chain = causes(error)
    host = host_of(url)
    for cause in chain:
        if isinstance(cause, HttpFault):
            return cause
        if isinstance(cause, VerificationError) or (
            isinstance(cause, SSL.Error) and "certificate" in repr(cause.args)
        ):
            return HttpFault(
                "certificate",
                f"the certificate that {host} shows is not valid for it ({_certificate_error(cause)}); afeed "
                "does not talk to it: check this machine's clock and certificate authorities, and the address",
            )
    inner = chain[-1]
    if isinstance(inner, DNSLookupError):
        return HttpFault("network", f"the name {host} cannot be resolved")
    if isinstance(inner, ConnectionLost):
        return HttpFault("network", f"{host} closed the connection before it had answered")
    if isinstance(inner, ConnectError):
        return HttpFault("network", f"no connection to {host}: {_connect_error(inner)}")
    return HttpFault("network", f"talking to {host} failed: {type(inner).__name__}")


def _connect_error(error: ConnectError) -> str:
    number = error.osError
    return os.strerror(number) if isinstance(number, int) else str(number or type(error).__name__)


def _certificate_error(cause: BaseException) -> str:
    if isinstance(cause, VerificationError):
        return "it belongs to another name"
    reasons = [text for entry in cause.args[0] for text in entry[2:] if text] if cause.args else []
    return ", ".join(map(str, reasons)) or "verification failed"
