"""Time enough for a machine that does much else, where a log gives up after some seconds, so that operators
hear of it; and how long something took apart from that."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.python.monkey import MonkeyPatcher
from twisted.trial.unittest import TestCase

from afeed.livelog import embedded, redis, redis_appends, redis_commands, redis_lease, writer

#: So long a log waits in these tests for a disk or a server that is there (seconds).
PATIENCE_S = 90.0

_LIMITS: tuple[tuple[Any, str], ...] = (
    (embedded, "PATIENCE_SECONDS"),
    (writer, "PATIENCE_SECONDS"),
    (redis, "PATIENCE_SECONDS"),
    (redis_appends, "PATIENCE_SECONDS"),
    (redis_lease, "PATIENCE_SECONDS"),
    (redis_commands, "COMMAND_SECONDS"),
)


class Patience:
    """All logs have it until the end of ``case``, or :meth:`ends`."""

    def __init__(self, case: TestCase) -> None:
        self._patches: list[MonkeyPatcher] = [case.patch(module, name, PATIENCE_S) for module, name in _LIMITS]

    def ends(self) -> None:
        """From now on they give up as soon as they do for operators."""
        for patch in self._patches:
            patch.restore()


class Stopwatch:
    """Counts the seconds from when it is made, without those for which the reactor was kept from running."""

    _STEP_S = 0.01

    def __init__(self) -> None:
        self._last = reactor.seconds()
        self._counted = 0.0
        self._next = reactor.callLater(self._STEP_S, self._step)

    def _step(self) -> None:
        self._count()
        self._next = reactor.callLater(self._STEP_S, self._step)

    def _count(self) -> None:
        now = reactor.seconds()
        self._counted += min(now - self._last, 2 * self._STEP_S)
        self._last = now

    def stop(self) -> float:
        """The seconds; no more are counted."""
        self._count()
        self._next.cancel()
        return self._counted
