"""Work that goes on when whoever waits for it has left."""

from __future__ import annotations

from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

T = TypeVar("T")

_log = Logger()


def shielded(work: Deferred[T]) -> Deferred[T]:
    """Fires as ``work`` does.  Cancelling it ends the wait and not the work, whose failure is then logged: a
    phone that loses its network in the middle of a press has pressed all the same."""
    waiting: Deferred[T] = Deferred()

    def done(result: Any) -> None:
        if not waiting.called:
            waiting.callback(result)
        elif isinstance(result, Failure):
            _log.warn("What nobody waited for any more failed: {why}", why=result.getErrorMessage())

    work.addBoth(done)
    return waiting
