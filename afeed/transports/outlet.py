"""Writing to one client: straight to the socket while it keeps up, and never more than one message ahead.

For a client that reads, the kernel has room (see :mod:`afeed.web.direct`).  What it does not take goes through
the transport, and then nothing is written until that has drained: a slow client costs one message of memory,
and its place in the log is all that has to be remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPullProducer, IPushProducer
from zope.interface import implementer

from afeed.web.direct import is_direct, send_directly


@implementer(IPullProducer)
class DirectOutlet:
    """For a plain TCP (or Unix socket) connection.  ``drained`` is called when a write that returned False is
    out."""

    __slots__ = ("_arming", "_waiting", "drained", "transport")

    def __init__(self, transport: Any, drained: Callable[[], None]) -> None:
        self.transport = transport
        self.drained = drained
        self._arming = self._waiting = False

    def write(self, data: bytes) -> bool:
        """True when the kernel has taken all of ``data``; otherwise wait for ``drained``."""
        sent = send_directly(self.transport, data)
        if sent == len(data):
            return True
        self.transport.write(data[sent:] if sent else data)
        self.wait()
        return False

    def wait(self) -> None:
        """Call ``drained`` once the transport's buffers are empty."""
        if not self._waiting:
            self._waiting = self._arming = True
            self.transport.registerProducer(self, False)
            self._arming = False

    def resumeProducing(self) -> None:
        if not self._arming:  # a pull producer is also resumed when it is registered
            self._waiting = False
            self.transport.unregisterProducer()
            self.drained()

    def stopProducing(self) -> None:
        self._waiting = False

    def release(self) -> None:
        """Let go of the transport, so that it may be closed or used by somebody else."""
        if self._waiting:
            self._waiting = False
            self.transport.unregisterProducer()


@implementer(IPushProducer)
class BufferedOutlet:
    """For any other transport (TLS): its own limit decides when the client is behind."""

    __slots__ = ("_paused", "_released", "drained", "transport")

    def __init__(self, transport: Any, drained: Callable[[], None]) -> None:
        self.transport = transport
        self.drained = drained
        self._paused = self._released = False
        transport.registerProducer(self, True)

    def write(self, data: bytes) -> bool:
        """False when the transport holds more than it likes to; then wait for ``drained``."""
        self.transport.write(data)
        return not self._paused

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        if self._paused:
            self._paused = False
            self.drained()

    def stopProducing(self) -> None:
        self._paused = True

    def release(self) -> None:
        """Let go of the transport."""
        if not self._released:
            self._released = True
            self.transport.unregisterProducer()


Outlet = DirectOutlet | BufferedOutlet


def outlet_for(transport: Any, drained: Callable[[], None]) -> Outlet:
    """The quickest outlet that is safe for ``transport``."""
    if is_direct(transport):
        return DirectOutlet(transport, drained)
    return BufferedOutlet(transport, drained)
