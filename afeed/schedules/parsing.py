"""Having a schedule parsed by a process, so that nothing in it can hold up or bring down the node."""

from __future__ import annotations

import sys
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from afeed.child import Child
from afeed.core.schedule.model import Reading
from afeed.core.schedule.problems import BadSchedule
from afeed.schedules.worker import Answer

#: Seconds from start to answer.  A thousand talks take one or two on a busy machine.
TIMEOUT_S = 60.0
#: Bytes that the answer may have: sanitising adds mark-up to what was let in.
MAX_ANSWER = 64 * 1024 * 1024

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
        protocol.start(self._reactor, (*self._program, format, zone.key))
        return protocol.done


class _Worker(Child):
    def __init__(self, data: bytes, clock: IReactorTime, timeout_s: float) -> None:
        super().__init__()
        self.done: Deferred[Reading] = Deferred(lambda _: self.kill())
        self._data = data
        self._late: str | None = None
        self._timer = clock.callLater(timeout_s, self._time_out, timeout_s)

    def connectionMade(self) -> None:
        self.tell(self._data, all=True)
        self._data = b""

    def outReceived(self, data: bytes) -> None:
        super().outReceived(data)
        if len(self.out) > MAX_ANSWER and self._late is None:
            self._late = "what is in it takes more room than is given to a schedule"
            self.kill()

    def processEnded(self, reason: Failure) -> None:
        if self._timer.active():
            self._timer.cancel()
        if self.done.called:
            return
        if reason.check(ProcessDone) is None:
            self.done.errback(BadSchedule([self._late or self._died(reason)]))
            return
        try:
            answer = _answers.decode(self.out)
        except msgspec.DecodeError:
            self.done.errback(BadSchedule([self._died(reason)]))
            return
        if answer.reading is not None:
            self.done.callback(answer.reading)
        else:
            self.done.errback(BadSchedule(answer.problems))

    def _died(self, reason: Failure) -> str:
        _log.error(
            "The process that parses a schedule ended without an answer ({reason}); the one in use stays.  "
            "Please report this, with the file.  It said: {words}",
            reason=reason.getErrorMessage(),
            words=self.words,
        )
        return (
            "the process that parses it ended without an answer: it ran out of time or memory, or has a defect"
        )

    def _time_out(self, timeout_s: float) -> None:
        self._late = f"parsing it takes longer than {timeout_s:g} s"
        self.kill()
