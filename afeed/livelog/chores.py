"""What is done now and then for the file of the embedded log, in the thread that works on it: a disk that hangs
holds up nobody else."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from afeed.core.errors import LogUnavailable
from afeed.livelog.database import Database
from afeed.livelog.writer import Writer

#: How often, in seconds, a log in trouble tries to write.
PROBE_SECONDS = 2.0

#: How often, in seconds, it is looked whether the file is still there.
LOOK_SECONDS = 1.0

#: How soon after a removal, in seconds, its text is out of every file.
TIDY_SECONDS = 1.0


class Chores:
    """:ivar absence: why the file was not found when that was last looked at, None where it was"""

    def __init__(self, writer: Writer, reactor: IReactorTime) -> None:
        self.absence: str | None = None
        self._writer = writer
        self._reactor = reactor
        self._calls: dict[str, IDelayedCall] = {}
        self._running = False

    def start(self) -> None:
        """Look after the file from now on."""
        self._running, self.absence = True, None
        self._look_soon()

    def stop(self) -> None:
        """Begin nothing more."""
        self._running = False
        for call in self._calls.values():
            call.cancel()
        self._calls.clear()

    def _soon(self, name: str, seconds: float, work: Callable[[], None]) -> None:
        """Do ``work`` in ``seconds``, unless something of this name is due already."""

        def run() -> None:
            del self._calls[name]
            work()

        if self._running and name not in self._calls:
            self._calls[name] = self._reactor.callLater(seconds, run)

    def probe_soon(self) -> None:
        """See whether a trouble is over, so that health tells it even when nobody appends."""
        self._soon("probe", PROBE_SECONDS, self._probe)

    def _probe(self) -> None:
        self._writer.write(Database.touch).addErrback(lambda failure: failure.trap(LogUnavailable))

    def _look_soon(self) -> None:
        self._soon("look", LOOK_SECONDS, self._look)

    def _look(self) -> None:
        def looked(found: str | Failure | None) -> None:
            if not isinstance(found, Failure):
                self.absence = found
            self._look_soon()

        if self._writer.stuck:
            # One look is on its way, and others would only queue up behind it.
            self._look_soon()
        else:
            self._writer.read(Database.absence).addBoth(looked)

    def tidy_soon(self) -> None:
        """Removed text is still in the write-ahead log.  All removals of a second share the work."""
        self._soon("tidy", TIDY_SECONDS, self._tidy)

    def _tidy(self) -> None:
        def again(result: bool | Failure) -> None:
            if result is not True:
                self.tidy_soon()

        self._writer.read(Database.tidy).addBoth(again)
