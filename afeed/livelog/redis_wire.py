"""Connections to Redis.

The only module that knows txredisapi, of which it uses the protocol and nothing else: its reconnecting factory
gives up for ever when a connection drops during AUTH or SELECT, and its commands wait without end while there
is no connection.  Importing txredisapi imports the reactor: import this module only once that is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import txredisapi
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import optionsForClientTLS
from twisted.logger import Logger
from twisted.python.failure import Failure

from afeed.core.errors import LogUnavailable
from afeed.livelog.link import CONNECT_SECONDS
from afeed.livelog.redis_address import RedisAddress
from afeed.livelog.redis_commands import ServerError

#: How many seconds asking all sentinels may take together; the rest of ``CONNECT_SECONDS`` is the server's.
SENTINEL_SECONDS = CONNECT_SECONDS / 2


class _Ending:
    """Remembers why the connection ended, for txredisapi says only that it did, and reads nothing from then on,
    which it would: every part of an answer in a later turn."""

    why: str | None = None
    _reading: IDelayedCall | None = None

    def callLater(self, seconds: float, work: Callable[..., object], *arguments: Any) -> IDelayedCall:
        call: IDelayedCall = super().callLater(seconds, work, *arguments)  # type: ignore[misc]
        self._reading = call
        return call

    def connectionLost(self, why: Failure) -> None:
        self.why = _reason(why)
        if self._reading is not None and self._reading.active():
            self._reading.cancel()
        super().connectionLost(why)  # type: ignore[misc]


class _Protocol(_Ending, txredisapi.RedisProtocol):
    """Bytes in and out, exactly as they are: no text becomes a number on the way."""

    def __init__(self) -> None:
        super().__init__(charset=None, convertNumbers=False)


class _SubscriberProtocol(_Ending, txredisapi.SubscriberProtocol):
    def __init__(self, heard: Callable[[bytes, bytes], None]) -> None:
        super().__init__(charset=None, convertNumbers=False)
        self._heard = heard

    def messageReceived(self, pattern: bytes | None, channel: bytes, message: bytes) -> None:
        self._heard(channel, message)


class RedisWire:
    """A connection, with errors that the rest of afeed understands."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def send(self, *command: str | bytes | int) -> Deferred[Any]:
        try:
            sent: Deferred[Any] = self._protocol.execute_command(*command)
        except txredisapi.RedisError:
            return fail(self._lost())
        # Who waits may give up.  The answer comes all the same, and must not be taken for that of the next
        # command.
        answer: Deferred[Any] = Deferred()
        sent.addErrback(self._translate).chainDeferred(answer)
        return answer

    def _lost(self) -> LogUnavailable:
        return LogUnavailable(self._protocol.why or "the connection was lost")

    def _translate(self, failure: Failure) -> None:
        failure.trap(txredisapi.RedisError)
        if not failure.check(txredisapi.ResponseError):
            raise self._lost()
        # Where it was in a script ("script: 3c10..., on @user_script:134.") is of no use to anybody.
        raise ServerError(str(failure.value).partition(" script: ")[0])

    def ended(self) -> Deferred[None]:
        return self._protocol.whenDisconnected().addCallback(lambda _: None)

    def abort(self) -> None:
        if self._protocol.transport is not None:
            self._protocol.transport.abortConnection()


def _reason(why: Failure) -> str | None:
    """In an operator's words why a connection ended; None where there is nothing to add."""
    if why.check(VerificationError):
        return "the host in live_log is not one that the certificate of Redis names"
    if why.check(SSL.Error):
        # [('SSL routines', '', 'certificate verify failed')]
        queue = next(iter(getattr(why.value, "args", ())), None)
        reasons = [entry[-1] for entry in queue] if isinstance(queue, list) else []
        return f"TLS failed: {', '.join(reasons) or 'the other side ended it, and may speak no TLS'}"
    return None


def _factory(protocol: Callable[[], Any]) -> Factory:
    factory = Factory.forProtocol(protocol)
    factory.noisy = False  # it would log its start and its end with every attempt
    return factory


class Connector:
    """Connects to the server at ``address``, or to the master that its sentinels name."""

    _log = Logger()

    def __init__(self, address: RedisAddress, reactor: Any) -> None:
        self._address = address
        self._reactor = reactor

    async def connect(self) -> RedisWire:
        """A connection for commands."""
        endpoint = await self._endpoint()
        return RedisWire(await endpoint.connect(_factory(_Protocol)))

    async def listen(self, heard: Callable[[bytes, bytes], None]) -> RedisWire:
        """A connection for SUBSCRIBE; ``heard`` is called with the channel and the message."""
        endpoint = await self._endpoint()
        return RedisWire(await endpoint.connect(_factory(lambda: _SubscriberProtocol(heard))))

    async def _endpoint(self) -> IStreamClientEndpoint:
        host, port = await self._master()
        endpoint = HostnameEndpoint(self._reactor, host, port, timeout=CONNECT_SECONDS)
        return wrapClientTLS(optionsForClientTLS(host), endpoint) if self._address.tls else endpoint

    async def _master(self) -> tuple[str, int]:
        """Where the server is; asks the sentinels, one after the other, if that is how it is configured.

        Each may take its share of the time that is left, so that silent ones leave some to those after them.
        """
        address = self._address
        if address.service is None:
            return address.hosts[0]
        deadline = self._reactor.seconds() + SENTINEL_SECONDS
        for asked, (host, port) in enumerate(address.hosts):
            share = (deadline - self._reactor.seconds()) / (len(address.hosts) - asked)
            asking = Deferred.fromCoroutine(self._ask(host, port, address.service))
            try:
                master = await asking.addTimeout(max(share, 0.0), self._reactor)
            except CancelledError:
                raise
            except Exception as error:
                self._log.debug(
                    "The sentinel at {host}:{port} does not help: {error}", host=host, port=port, error=error
                )
                continue
            if master is not None:
                return master
        raise ConnectionError(f"no sentinel knows the master of {address.service}")

    async def _ask(self, host: str, port: int, service: str) -> tuple[str, int] | None:
        endpoint = HostnameEndpoint(self._reactor, host, port, timeout=SENTINEL_SECONDS)
        wire = RedisWire(await endpoint.connect(_factory(_Protocol)))
        try:
            reply = await wire.send("SENTINEL", "get-master-addr-by-name", service)
        finally:
            wire.abort()
        return (reply[0].decode("ascii"), int(reply[1])) if reply else None
