"""A process that does one piece of work for this one: what all kinds of them have in common."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IProcessTransport, IReactorProcess
from twisted.internet.protocol import ProcessProtocol

#: Of what a process complains, so much is kept to be logged (bytes).
MAX_WORDS = 4000


class Child(ProcessProtocol):
    """What it writes to standard output is gathered in ``out``."""

    transport: IProcessTransport | None

    def __init__(self) -> None:
        self.out = bytearray()
        self._words = bytearray()

    def start(
        self, reactor: IReactorProcess, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        """Start ``command``, a program and what it is told.  It knows nothing of this process's environment,
        which may hold secrets, but where Python finds its modules, and ``environment``."""
        known = {
            **(environment or {}),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "PYTHONUTF8": "1",
        }
        reactor.spawnProcess(self, command[0], [*command], env=known)

    def tell(self, data: bytes, *, all: bool) -> None:
        """Write ``data`` to its standard input, and close that where this is ``all``."""
        assert self.transport is not None
        self.transport.writeToChild(0, data)
        if all:
            self.transport.closeStdin()

    def kill(self) -> None:
        """End it, unless it has ended."""
        if self.transport is not None:
            with suppress(ProcessExitedAlready):
                self.transport.signalProcess("KILL")

    @property
    def words(self) -> str:
        """What it wrote to standard error."""
        return self._words.decode("utf-8", "replace")

    def outReceived(self, data: bytes) -> None:
        self.out += data

    def errReceived(self, data: bytes) -> None:
        self._words += data[: MAX_WORDS - len(self._words)]
