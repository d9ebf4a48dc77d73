"""What the archive does for its index beside everything else: filling it for items that are older than it or
that came in a flood, and forgetting what was removed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from afeed.archive.engine import Transaction, Work
from afeed.core.errors import ArchiveUnavailable

log = Logger()
T = TypeVar("T")

#: Seconds between two steps, so that whoever else writes has a turn; and after a fault.
_BREATH_S = 0.02
_RETRY_S = 5.0
#: What came in a flood is indexed after so many seconds without one, and begun after so many in any case.
QUIET_S = 1.0
LONGEST_S = 10.0
#: Tidying takes this share of the time at most, however often something is removed.
_TIDY_SHARE = 0.1


class Upkeep:
    """``write(work)`` is a transaction that writes; ``catch_up`` and ``tidy`` do a step each, blocking, and say
    whether there is more.  ``tidied()`` is called when nothing of what was removed is left."""

    def __init__(
        self,
        reactor: Any,
        write: Callable[[Work[bool]], Deferred[bool]],
        catch_up: Callable[[Connection], bool],
        tidy: Callable[[Connection], bool],
        tidied: Callable[[], object],
    ) -> None:
        self._reactor = reactor
        self._write = write
        self._catch_up = catch_up
        self._tidy = tidy
        self._tidied = tidied
        self._running: list[Deferred[None]] = []
        self._tidying: Deferred[None] | None = None
        self._rest_until = 0.0
        self._again = False
        #: Whether something of a flood is left, and when its turn is: without another flood, and at the latest.
        self._left = False
        self._quiet = self._latest = 0.0

    def start(self) -> None:
        """Index what is not indexed yet."""
        self._launch(self._index())

    def postponed(self) -> None:
        """Something was left to be indexed once it is quieter.  Nobody waits for it."""
        now = self._reactor.seconds()
        self._quiet = now + QUIET_S
        if not self._left:
            self._left = True
            self._latest = now + LONGEST_S
            self._launch(self._index_later())

    def stop(self) -> None:
        """End what is under way; the next start goes on with it."""
        for running in list(self._running):
            running.cancel()

    def removed(self) -> None:
        """Something was taken out of the index: see that nothing of it is left.  Nobody waits for it."""
        self._again = True
        if self._tidying is None:
            self._tidying = self._launch(self._tidy_up())

    @property
    def tidying(self) -> bool:
        """Whether something of what was removed may be left."""
        return self._tidying is not None

    def _launch(self, work: Any) -> Deferred[None]:
        running: Deferred[None] = Deferred.fromCoroutine(work)
        self._running.append(running)

        def ended(result: Any) -> None:
            if running in self._running:
                self._running.remove(running)
            if isinstance(result, Failure) and not result.check(CancelledError):
                log.failure("The upkeep of the archive's index ended: a defect in afeed.", failure=result)

        running.addBoth(ended)
        return running

    async def _index(self) -> None:
        began = self._reactor.seconds()
        steps = await self._steps(self._catch_up)
        if steps > 1:
            log.info(
                "What was in the archive before it could be searched is indexed, in {seconds:.0f} s.",
                seconds=self._reactor.seconds() - began,
            )

    async def _index_later(self) -> None:
        try:
            while True:
                while (wait := min(self._quiet, self._latest) - self._reactor.seconds()) > 0:
                    await deferLater(self._reactor, wait)
                known = self._quiet
                await self._steps(self._catch_up)
                if self._quiet == known:
                    return
                self._latest = self._reactor.seconds() + LONGEST_S
        finally:
            self._left = False

    async def _tidy_up(self) -> None:
        try:
            while self._again:
                await deferLater(self._reactor, max(0.0, self._rest_until - self._reactor.seconds()))
                self._again = False
                began = self._reactor.seconds()
                await self._steps(self._tidy)
                self._tidied()
                ended = self._reactor.seconds()
                self._rest_until = ended + (ended - began) * (1 / _TIDY_SHARE - 1)
        finally:
            self._tidying = None

    async def _steps(self, step: Callable[[Connection], bool]) -> int:
        """Do steps until there is no more; how many it took."""

        async def work(sql: Transaction) -> bool:
            return await sql.at_once(step)

        count = 0
        while True:
            try:
                more = await self._write(work)
            except ArchiveUnavailable as error:
                log.debug("The archive's index waits for the archive: {error}", error=error)
                await deferLater(self._reactor, _RETRY_S)
                continue
            count += 1
            if not more:
                return count
            await deferLater(self._reactor, _BREATH_S)
