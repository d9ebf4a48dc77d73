"""The process that files everything again, as this one sees it."""

from __future__ import annotations

import os
import sys
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from afeed.child import Child
from afeed.core.errors import AfeedError
from afeed.filing.worker import Order, Step

#: A step of a thousand items has a hundred bytes for each; a line that is longer is none of ours.
_MAX_LINE = 4 * 1024 * 1024
#: What the worker may know of the environment: where PostgreSQL's client looks, and nothing secret of others.
_PASSED_ON = ("HOME", "PATH", "SSL_CERT_FILE", "TZ")

_decoder = msgspec.json.Decoder(Step)
_log = Logger()


class WorkerDied(AfeedError):
    """The process ended before it was done."""


class WorkerProcess(Child):
    """``reactor`` starts it; one at a time is asked for steps."""

    def __init__(
        self,
        order: Order,
        reactor: Any,
        program: tuple[str, ...] = (sys.executable, "-m", "afeed.filing.worker"),
    ) -> None:
        super().__init__()
        self._order = order
        self._asked = False
        self._ended = False
        self._waiting: Deferred[Step] | None = None
        environment = {
            name: value for name, value in os.environ.items() if name in _PASSED_ON or name.startswith("PG")
        }
        self.start(reactor, program, environment)

    def next(self) -> Deferred[Step]:
        """Fires with the next step, when the one before is on record.  Fails with :class:`WorkerDied`;
        cancelling ends the process."""
        waiting: Deferred[Step] = Deferred(lambda _: self.kill())
        self._waiting = waiting
        if self._ended:
            self._fail()
        elif self._asked:
            self.tell(b"\n", all=False)
        self._asked = True
        self._answer()
        return waiting

    def connectionMade(self) -> None:
        self.tell(msgspec.json.encode(self._order) + b"\n", all=False)

    def outReceived(self, data: bytes) -> None:
        super().outReceived(data)
        if len(self.out) > _MAX_LINE:
            self.kill()
        else:
            self._answer()

    def processEnded(self, reason: Failure) -> None:
        self._ended = True
        self._answer()
        self._fail()

    def _answer(self) -> None:
        end = self.out.find(b"\n")
        if end < 0 or self._waiting is None:
            return
        line, self.out = bytes(self.out[:end]), self.out[end + 1 :]
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
            if self.words:
                _log.error("The process that files everything again died. It said: {words}", words=self.words)
            waiting.errback(WorkerDied("the process that files everything again ended before it was done"))
