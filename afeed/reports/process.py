"""Running the worker."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.interfaces import IProcessTransport, IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from afeed.core.errors import ArchiveUnavailable
from afeed.reports.worker import Answer, Request

#: Of what the process complains, so much is logged (bytes).
_MAX_WORDS = 4000

_answers = msgspec.json.Decoder(Answer)
_log = Logger()


class ReportProcess:
    """Has each report made by a new process.  ``reactor`` starts processes; ``program`` is what is run."""

    def __init__(
        self, reactor: Any, program: tuple[str, ...] = (sys.executable, "-m", "afeed.reports.worker")
    ) -> None:
        self._reactor = reactor
        self._program = program

    def make(self, request: Request) -> Deferred[Answer]:
        """Fires with the answer once the process has ended; fails with
        :class:`~afeed.core.errors.ArchiveUnavailable` where there is no report in it.  Cancelling kills the
        process."""
        protocol = _Worker(msgspec.json.encode(request))
        spawn: IReactorProcess = self._reactor
        # The environment may hold secrets, and the worker needs none of it.
        environment = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONUTF8": "1"}
        spawn.spawnProcess(protocol, self._program[0], self._program, env=environment)
        return protocol.done


class _Worker(ProcessProtocol):
    transport: IProcessTransport | None

    def __init__(self, request: bytes) -> None:
        self.done: Deferred[Answer] = Deferred(lambda _: self._kill())
        self._request = request
        self._out = bytearray()
        self._words = bytearray()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.writeToChild(0, self._request)
        self.transport.closeStdin()
        self._request = b""

    def outReceived(self, data: bytes) -> None:
        self._out += data

    def errReceived(self, data: bytes) -> None:
        self._words += data[: _MAX_WORDS - len(self._words)]

    def processEnded(self, reason: Failure) -> None:
        if self.done.called:
            return
        try:
            if reason.check(ProcessDone) is None:
                raise msgspec.DecodeError
            answer = _answers.decode(self._out)
        except msgspec.DecodeError:
            _log.error(
                "The process that makes a report ended without one ({reason}); the page says so.  Please tell "
                "afeed's authors.  It said: {words}",
                reason=reason.getErrorMessage(),
                words=self._words.decode("utf-8", "replace"),
            )
            self.done.errback(ArchiveUnavailable("the report could not be made"))
            return
        if answer.report is None:
            self.done.errback(ArchiveUnavailable(answer.problem))
        else:
            self.done.callback(answer)

    def _kill(self) -> None:
        if self.transport is not None:
            with suppress(ProcessExitedAlready):
                self.transport.signalProcess("KILL")
