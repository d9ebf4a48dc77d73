"""The process that files everything again, as this one sees it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from afeed.core.errors import AfeedError
from afeed.filing.worker import Order, Step

#: Of what the process complains, so much is logged (bytes).
_MAX_WORDS = 4000
#: A step of a thousand items has a hundred bytes for each; a line that is longer is none of ours.
_MAX_LINE = 4 * 1024 * 1024
#: What the worker may know of the environment: where PostgreSQL's client looks, and nothing secret of others.
_PASSED_ON = ("HOME", "PATH", "SSL_CERT_FILE", "TZ")

_decoder = msgspec.json.Decoder(Step)
_log = Logger()


class WorkerDied(AfeedError):
    """The process ended before it was done."""


class WorkerProcess(ProcessProtocol):
    """``reactor`` starts it; one at a time is asked for steps."""

    transport: IProcessTransport | None

    def __init__(
        self,
        order: Order,
        reactor: Any,
        program: tuple[str, ...] = (sys.executable, "-m", "afeed.filing.worker"),
    ) -> None:
        self._order = order
        self._out = bytearray()
        self._words = bytearray()
        self._asked = False
        self._ended = False
        self._waiting: Deferred[Step] | None = None
        environment = {
            name: value for name, value in os.environ.items() if name in _PASSED_ON or name.startswith("PG")
        }
        environment |= {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONUTF8": "1"}
        reactor.spawnProcess(self, program[0], [*program], env=environment)

    def next(self) -> Deferred[Step]:
        """Fires with the next step, when the one before is on record.  Fails with :class:`WorkerDied`;
        cancelling ends the process."""
        waiting: Deferred[Step] = Deferred(lambda _: self.kill())
        self._waiting = waiting
        if self._ended:
            self._fail()
        elif self._asked:
            assert self.transport is not None
            self.transport.writeToChild(0, b"\n")
        self._asked = True
        self._answer()
        return waiting

    def kill(self) -> None:
        """End it."""
        if self.transport is not None and not self._ended:
            with suppress(ProcessExitedAlready):
                self.transport.signalProcess("KILL")

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.writeToChild(0, msgspec.json.encode(self._order) + b"\n")

    def outReceived(self, data: bytes) -> None:
        self._out += data
        if len(self._out) > _MAX_LINE:
            self.kill()
        else:
            self._answer()

    def errReceived(self, data: bytes) -> None:
        self._words += data[: _MAX_WORDS - len(self._words)]

    def processEnded(self, reason: Failure) -> None:
        self._ended = True
        self._answer()
        self._fail()

    def _answer(self) -> None:
        end = self._out.find(b"\n")
        if end < 0 or self._waiting is None:
            return
        line, self._out = bytes(self._out[:end]), self._out[end + 1 :]
        waiting, self._waiting = self._waiting, None
        if waiting.called:
            return
        try:
            step = _decoder.decode(line)
        except msgspec.DecodeError:
            waiting.errback(WorkerDied("the process that files everything again says nothing sensible"))
            return
        waiting.callback(step)

    def _fail(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.called:
            words = self._words.decode("utf-8", "replace")
            if words:
                _log.error("The process that files everything again died. It said: {words}", words=words)
            waiting.errback(WorkerDied("the process that files everything again ended before it was done"))
