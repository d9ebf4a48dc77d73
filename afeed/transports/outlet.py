"""Writing to one client: straight to the socket while it keeps up, and never more than one message ahead.

``transport.write`` defers every write to the next turn of the reactor and changes the epoll set twice for
it.  For a client that reads, the kernel has room and none of that is needed, so :class:`DirectOutlet` calls
``socket.send`` as long as the transport's own buffers are empty.  What the kernel does not take goes through
the transport, and then nothing is written until that has drained: a slow client costs one message of memory,
and its place in the log is all that has to be remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.internet.tcp import Connection
from zope.interface import implementer


@implementer(IPullProducer)
class DirectOutlet:
    """For a plain TCP (or Unix socket) connection.  ``drained`` is called when a write that returned False is
    out."""

    __slots__ = ("_arming", "_waiting", "drained", "send", "transport")

    def __init__(self, transport: Any, drained: Callable[[], None]) -> None:
        self.transport = transport
        self.send: Callable[[bytes], int] = transport.socket.send
        self.drained = drained
        self._arming = self._waiting = False

    def write(self, data: bytes) -> bool:
        """True when the kernel has taken all of ``data``; otherwise wait for ``drained``."""
        transport = self.transport
        sent = 0
        if not (transport.dataBuffer or transport._tempDataBuffer or transport.disconnecting):
            try:
                sent = self.send(data)
            except BlockingIOError:
                pass
            except OSError:
                sent = 0  # the transport's own write meets the same error and ends the connection properly
            if sent == len(data):
                return True
        transport.write(data[sent:] if sent else data)
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

    send = None

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
    if isinstance(transport, Connection) and not getattr(transport, "TLS", False):
        return DirectOutlet(transport, drained)
    return BufferedOutlet(transport, drained)
