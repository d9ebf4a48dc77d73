"""Work that needs a reactor, from a program that does not run in one.

The command itself stays in the main thread, so that Ctrl-C ends it at once; the reactor runs beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from threading import Thread
from types import TracebackType
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import blockingCallFromThread

T = TypeVar("T")

#: How long the end of the reactor is waited for, in seconds.
_PATIENCE_S = 5.0


class Background:
    """A reactor in a thread, while a ``with`` block lasts.  A process can have one of these, once."""

    def __enter__(self) -> Background:
        from twisted.internet import reactor

        self._reactor: Any = reactor
        self._thread = Thread(
            target=reactor.run,
            kwargs={"installSignalHandlers": False},
            name="afeed-reactor",
            daemon=True,
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reactor.callFromThread(self._reactor.stop)
        self._thread.join(_PATIENCE_S)

    def call(self, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        """Run ``work(reactor)`` there; its result or exception becomes that of this call, which blocks."""

        def begin() -> Any:
            return Deferred.fromCoroutine(work(self._reactor))

        found: T = blockingCallFromThread(self._reactor, begin)
        return found
