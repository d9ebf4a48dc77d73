"""Having a schedule parsed by a process, so that nothing in it can hold up or bring down the node."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.interfaces import IProcessTransport, IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from afeed.core.schedule.model import Reading
from afeed.core.schedule.problems import BadSchedule
from afeed.schedules.worker import Answer

#: Seconds from start to answer.  A thousand talks take one or two on a busy machine.
TIMEOUT_S = 60.0
#: Bytes that the answer may have: sanitising adds mark-up to what was let in.
MAX_ANSWER = 64 * 1024 * 1024
#: Of what the process complains, so much is logged (bytes).
_MAX_WORDS = 4000

_answers = msgspec.json.Decoder(Answer)
_log = Logger()


class ProcessParser:
    """Parses in a new process each time.  ``reactor`` starts processes and runs timers; ``program`` is what is
    run, before format and zone."""

    def __init__(
        self,
        reactor: Any,
        *,
        program: tuple[str, ...] = (sys.executable, "-m", "afeed.schedules.worker"),
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._reactor = reactor
        self._program = program
        self._timeout_s = timeout_s

    def parse(self, data: bytes, zone: ZoneInfo, format: str) -> Deferred[Reading]:
        """Fires with the schedule in ``data`` once the process has ended; fails with :class:`BadSchedule`.
        Cancelling kills the process."""
        protocol = _Worker(data, self._reactor, self._timeout_s)
        spawn: IReactorProcess = self._reactor
        # The environment may hold secrets, and the worker needs none of it.
        environment = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONUTF8": "1"}
        spawn.spawnProcess(protocol, self._program[0], [*self._program, format, zone.key], env=environment)
        return protocol.done


class _Worker(ProcessProtocol):
    transport: IProcessTransport | None

    def __init__(self, data: bytes, clock: IReactorTime, timeout_s: float) -> None:
        self.done: Deferred[Reading] = Deferred(lambda _: self._kill())
        self._data = data
        self._out = bytearray()
        self._words = bytearray()
        self._late: str | None = None
        self._timer = clock.callLater(timeout_s, self._time_out, timeout_s)

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.writeToChild(0, self._data)
        self.transport.closeStdin()
        self._data = b""

    def outReceived(self, data: bytes) -> None:
        self._out += data
        if len(self._out) > MAX_ANSWER and self._late is None:
            self._late = "what is in it takes more room than is given to a schedule"
            self._kill()

    def errReceived(self, data: bytes) -> None:
        self._words += data[: _MAX_WORDS - len(self._words)]

    def processEnded(self, reason: Failure) -> None:
        if self._timer.active():
            self._timer.cancel()
        if self.done.called:
            return
        if reason.check(ProcessDone) is None:
            self.done.errback(BadSchedule([self._late or self._died(reason)]))
            return
        try:
            answer = _answers.decode(self._out)
        except msgspec.DecodeError:
            self.done.errback(BadSchedule([self._died(reason)]))
            return
        if answer.reading is not None:
            self.done.callback(answer.reading)
        else:
            self.done.errback(BadSchedule(answer.problems))

    def _died(self, reason: Failure) -> str:
        words = self._words.decode("utf-8", "replace")
        _log.error(
            "The process that parses a schedule ended without an answer ({reason}); the one in use stays.  "
            "Please report this, with the file.  It said: {words}",
            reason=reason.getErrorMessage(),
            words=words,
        )
        return (
            "the process that parses it ended without an answer: it ran out of time or memory, or has a defect"
        )

    def _time_out(self, timeout_s: float) -> None:
        self._late = f"parsing it takes longer than {timeout_s:g} s"
        self._kill()

    def _kill(self) -> None:
        if self.transport is not None:
            with suppress(ProcessExitedAlready):
                self.transport.signalProcess("KILL")
