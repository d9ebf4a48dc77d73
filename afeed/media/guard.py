"""Connections to the public internet and nowhere else, whatever a name resolves to.

A name is resolved once, each address is looked at, and the connection is made to an address that was looked at:
there is no second look-up that could answer something else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.internet.ssl import optionsForClientTLS
from twisted.python.failure import Failure
from twisted.web.client import URI
from twisted.web.error import SchemeNotSupported
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from afeed.sources.http import AbruptEndpoint

#: Whether a connection may be made to an address, given as text.
Allowed = Callable[[str], bool]


class NotPublic(Exception):
    """A name leads only to addresses that are not to be connected to."""


@implementer(IResolutionReceiver)
class _Sieve:
    """Passes on the addresses that are allowed."""

    def __init__(self, receiver: Any, resolver: _Resolver) -> None:
        self._receiver = receiver
        self._resolver = resolver

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        self._receiver.resolutionBegan(resolutionInProgress)

    def addressResolved(self, address: IAddress) -> None:
        if self._resolver.allowed(str(getattr(address, "host", ""))):
            self._resolver.found = True
            self._receiver.addressResolved(address)
        else:
            self._resolver.refused = True

    def resolutionComplete(self) -> None:
        self._receiver.resolutionComplete()


@implementer(IHostnameResolver)
class _Resolver:
    """Resolves as ``resolver`` does; notes whether anything was ``found`` and anything ``refused``."""

    def __init__(self, resolver: Any, allowed: Allowed) -> None:
        self._resolver = resolver
        self.allowed = allowed
        self.found = self.refused = False

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        sieve = _Sieve(resolutionReceiver, self)
        resolution: IHostResolution = self._resolver.resolveHostName(
            sieve, hostName, portNumber, addressTypes, transportSemantics
        )
        return resolution


@implementer(IReactorPluggableNameResolver)
class _Reactor:
    """``reactor`` with another resolver."""

    def __init__(self, reactor: Any, resolver: _Resolver) -> None:
        self._reactor = reactor
        self.nameResolver = resolver

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        raise NotImplementedError("this resolver stays")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


@implementer(IStreamClientEndpoint)
class _Endpoint:
    """Says :class:`NotPublic` where that is why there is no connection."""

    def __init__(self, endpoint: Any, resolver: _Resolver, host: str) -> None:
        self._endpoint = endpoint
        self._resolver = resolver
        self._host = host

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        def failed(failure: Failure) -> Failure:
            if self._resolver.refused and not self._resolver.found:
                return Failure(NotPublic(f"{self._host} is no place on the public internet"))
            return failure

        connected: Deferred[Any] = self._endpoint.connect(protocolFactory)
        return connected.addErrback(failed)


@implementer(IAgentEndpointFactory)
class PublicEndpoints:
    """TCP for http, TCP and TLS for https, to addresses that are ``allowed``; ``trust`` as in
    :func:`afeed.sources.http.make_client`."""

    def __init__(self, reactor: Any, allowed: Allowed, timeout_s: float, trust: Any = None) -> None:
        self._reactor = reactor
        self._allowed = allowed
        self._timeout_s = timeout_s
        self._trust = trust

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        host = uri.host.decode("ascii")
        resolver = _Resolver(self._reactor.nameResolver, self._allowed)
        guarded = _Reactor(self._reactor, resolver)
        endpoint: Any = HostnameEndpoint(guarded, host, uri.port, timeout=self._timeout_s)
        if uri.scheme == b"https":
            endpoint = wrapClientTLS(optionsForClientTLS(host, trustRoot=self._trust), endpoint)
        elif uri.scheme != b"http":
            raise SchemeNotSupported(f"unsupported scheme: {uri.scheme!r}")
        return _Endpoint(AbruptEndpoint(endpoint), resolver, host)
