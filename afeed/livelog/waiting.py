"""Waiting for something that comes and goes, such as a connection that can be used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime

from afeed.core.errors import LogUnavailable

T = TypeVar("T")


class Waiting:
    """Those who wait; ``why`` says what is in their way."""

    def __init__(self, clock: IReactorTime, why: Callable[[], str]) -> None:
        self._clock = clock
        self._why = why
        self._waiters: dict[Deferred[Any], Callable[[], Any]] = {}

    def until(self, ready: Callable[[], T | None], patience: float) -> Deferred[T]:
        """Fires with what ``ready`` gives as soon as that is not None; fails with
        :class:`~afeed.core.errors.LogUnavailable` after ``patience`` seconds, or at :meth:`refuse`.  Cancelling
        ends the wait."""
        found = ready()
        if found is not None:
            return succeed(found)
        if patience <= 0:
            return fail(LogUnavailable(self._why()))
        waiter: Deferred[T] = Deferred(self._leave)
        self._waiters[waiter] = ready

        def late(result: object, seconds: float) -> NoReturn:
            raise LogUnavailable(self._why())

        return waiter.addTimeout(patience, self._clock, late)

    def _leave(self, leaving: Deferred[Any]) -> None:
        self._waiters.pop(leaving, None)

    def look(self) -> None:
        """Something has changed: see who need not wait any longer."""
        for waiter, ready in tuple(self._waiters.items()):
            # Whoever was before may have cancelled this one, or changed everything back.
            if not waiter.called and (found := ready()) is not None:
                del self._waiters[waiter]
                waiter.callback(found)

    def refuse(self) -> None:
        """Waiting is of no use any more."""
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters:
            if not waiter.called:
                waiter.errback(LogUnavailable(self._why()))
