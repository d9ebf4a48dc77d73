"""One connection that is kept up: connect, greet, use, and again after every end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import Any, Generic, NoReturn, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from afeed.core.errors import AfeedError

#: How many seconds connecting may take.
CONNECT_SECONDS = 2.0

#: The longest wait between two attempts, in seconds: a server that returns is found within that time.
MAX_WAIT_SECONDS = 1.0
FIRST_WAIT_SECONDS = 0.05


class Ending(Protocol):
    """A connection: ``ended`` fires when it is gone, ``abort`` ends it."""

    def ended(self) -> Deferred[None]: ...

    def abort(self) -> None: ...


C = TypeVar("C", bound=Ending)


class Link(Generic[C]):
    """Keeps a connection to ``name`` up, until stopped.

    ``connect`` makes one; ``use`` makes it usable and returns (or raises, and the connection is dropped);
    ``lost`` is called when one that was usable has ended.  The wait between attempts doubles from
    ``FIRST_WAIT_SECONDS`` to ``MAX_WAIT_SECONDS`` with full jitter, so that many nodes do not return as one.

    For the log: ``meanwhile`` says what becomes of those who need the connection, ``advise`` what the operator
    may do about a trouble (a sentence and a blank, or nothing).
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        connect: Callable[[], Coroutine[Any, Any, C]],
        use: Callable[[C], Awaitable[None]],
        lost: Callable[[], None],
        reactor: IReactorTime,
        rng: Random,
        *,
        meanwhile: str = "",
        advise: Callable[[str], str] = lambda trouble: "",
    ) -> None:
        self._name = name
        self._connect = connect
        self._use = use
        self._lost = lost
        self._reactor = reactor
        self._rng = rng
        self._meanwhile = meanwhile
        self._advise = advise
        self._why: str | None = None
        self._told: set[str] = set()
        self._connection: C | None = None
        self._running = False
        self._task: Deferred[None] | None = None
        self._first: list[Deferred[None]] = []
        #: Whether the connection can be used now.
        self.up = False
        #: Since when it cannot although it was tried, by the reactor's clock.
        self.since: float | None = None
        #: Why it cannot, in an operator's words; None while it can.
        self.trouble: str | None = "not started"

    def start(self) -> Deferred[None]:
        """Fires when the first attempt has come to an end, whatever that was."""
        first: Deferred[None] = Deferred()
        self._first.append(first)
        self._running = True
        self._task = Deferred.fromCoroutine(self._run())
        return first

    def stop(self) -> Deferred[None]:
        """Fires when the connection is closed and no other will be made."""
        self._running = False
        self.up = False
        self.trouble = "stopped"
        task, self._task = self._task, None
        if self._connection is not None:
            self._connection.abort()
        self._answer()
        stopped: Deferred[None] = Deferred()
        if task is None:
            stopped.callback(None)
            return stopped
        task.addBoth(lambda _: stopped.callback(None))
        task.cancel()
        return stopped

    def abort(self, why: str) -> None:
        """Drop the connection, as one that cannot be trusted any more, because of ``why``; without one nothing
        happens.

        Returns before it has ended, which takes until the next turn of the reactor.  Another is made within
        ``FIRST_WAIT_SECONDS`` of that if this one was up, else as after any attempt that failed.
        """
        if self._connection is not None:
            self._why = why
            self._connection.abort()

    async def _run(self) -> None:
        attempts = 0
        while self._running:
            try:
                await self._once()
                attempts = 0
            except Exception as error:
                if not self._running:
                    return
                if not isinstance(error, (AfeedError, OSError, ConnectError)):
                    self._log.failure("{name} failed in an unexpected way", name=self._name)
                self._note(str(error) or type(error).__name__)
                attempts += 1
            self._answer()
            if not self._running:
                return
            longest = min(MAX_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(attempts, 10))
            await deferLater(self._reactor, self._rng.uniform(0, longest))

    async def _once(self) -> None:
        """From connecting to the end of a connection that was usable; raises if it never became so."""
        connecting: Deferred[C] = Deferred.fromCoroutine(self._connect())
        connection = await connecting.addTimeout(CONNECT_SECONDS, self._reactor, _timed_out)
        self._connection, self._why = connection, None
        ended = connection.ended()
        try:
            await self._use(connection)
            if ended.called:
                raise ConnectionError("the connection was lost at once")
            self._tell_that_it_is_up()
            self.up, self.trouble = True, None
            self._answer()
            await ended
            if self._running:
                self._note(self._why or "the connection was lost")
        finally:
            was_up, self.up = self.up, False
            self._connection = None
            connection.abort()
            if was_up:
                self._lost()

    def _answer(self) -> None:
        waiting, self._first = self._first, []
        for first in waiting:
            first.callback(None)

    def _note(self, trouble: str) -> None:
        # Words of other programs, which become part of a sentence.
        trouble = trouble.rstrip(" .?!")
        self.trouble = trouble
        if self.since is None:
            self.since = self._reactor.seconds()
        if trouble in self._told:
            return
        # Each only once in an outage: some come by turns, every second.
        self._told.add(trouble)
        self._log.error(
            "{name} cannot be used: {trouble}. {advice}It is tried again every second. {meanwhile}",
            name=self._name,
            trouble=trouble,
            advice=self._advise(trouble),
            meanwhile=f"{self._meanwhile}." if self._meanwhile else "",
        )

    def _tell_that_it_is_up(self) -> None:
        self._told.clear()
        if self.since is not None:
            seconds, self.since = self._reactor.seconds() - self.since, None
            self._log.info("{name} can be used again, after {seconds:.1f} s.", name=self._name, seconds=seconds)
        elif self.trouble is not None:
            self._log.info("{name} can be used.", name=self._name)


def _timed_out(result: object, seconds: float) -> NoReturn:
    """Turn the cancellation by a timeout into a sentence."""
    raise ConnectionError(f"no connection within {seconds:g} s")
