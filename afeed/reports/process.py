"""Running the worker."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from afeed.child import Child
from afeed.core.errors import ArchiveUnavailable
from afeed.reports.worker import Answer, Request

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
        protocol.start(self._reactor, self._program)
        return protocol.done


class _Worker(Child):
    def __init__(self, request: bytes) -> None:
        super().__init__()
        self.done: Deferred[Answer] = Deferred(lambda _: self.kill())
        self._request = request

    def connectionMade(self) -> None:
        self.tell(self._request, all=True)
        self._request = b""

    def processEnded(self, reason: Failure) -> None:
        if self.done.called:
            return
        try:
            if reason.check(ProcessDone) is None:
                raise msgspec.DecodeError
            answer = _answers.decode(self.out)
        except msgspec.DecodeError:
            _log.error(
                "The process that makes a report ended without one ({reason}); the page says so.  Please tell "
                "afeed's authors.  It said: {words}",
                reason=reason.getErrorMessage(),
                words=self.words,
            )
            self.done.errback(ArchiveUnavailable("the report could not be made"))
            return
        if answer.report is None:
            self.done.errback(ArchiveUnavailable(answer.problem))
        else:
            self.done.callback(answer)
