"""Files everything again, on one node: when the schedule or the weights have changed, and when somebody asks.

The work is done by a process of its own; what comes of it is put on record in batches, which rest whenever the
reactor is late.  How far it is stands in the archive's database, so that a restart, or another node, goes on
where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

import attrs
import msgspec
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from afeed.archive.filings import FilingStore, Refiling
from afeed.core.attribution.memory import Memory, Move
from afeed.core.change import timestamp
from afeed.core.errors import ArchiveUnavailable, LeaseLost, LogUnavailable
from afeed.core.health import Check
from afeed.filing.process import WorkerDied, WorkerProcess
from afeed.filing.register import Register
from afeed.filing.worker import Order
from afeed.interfaces import IArchive
from afeed.schedules.programme import Programme

#: How often it is looked whether there is something to do, and after a fault tried again, in seconds.
LOOK_S, RETRY_S = 2.0, 10.0
#: After each batch viewers have the reactor for this long at least, and for so many times what the batch took
#: or the reactor was late, but no longer than that (seconds).
REST_S, REST_TIMES, REST_MOST_S = 0.005, 1.0, 1.0
#: Filings in one append: each costs two looks at what was decided meanwhile.
BATCH = 100
#: How often it is logged how far it is, in seconds.
TELL_S = 30.0
#: The number of the rules by which items are filed; with another one everything is filed again.
RULES = 1

_log = Logger()

#: What begins to work on an order.
Begin = Callable[[Order], WorkerProcess]


class Again:
    """``url`` is the archive's; ``heads(event)`` gives the last seq of a log; ``settled(event)`` whether the
    schedule in use at this node is the one that all are to have; ``begin`` starts a worker; ``now`` gives
    seconds since 1970."""

    name = "filing"

    def __init__(
        self,
        programmes: Mapping[str, Programme],
        memories: Mapping[str, Memory],
        register: Register,
        store: FilingStore,
        archive: IArchive,
        url: str,
        heads: Callable[[str], int],
        settled: Callable[[str], bool],
        begin: Begin,
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        self._programmes = programmes
        self._memories = memories
        self._register = register
        self._store = store
        self._archive = archive
        self._url = url
        self._heads = heads
        self._settled = settled
        self._begin = begin
        self._clock = clock
        self._now = now
        self._fault: str | None = None
        self._busy: str | None = None
        #: What is wanted of each event, and the last seq that there was when that became known.
        self._since: dict[str, tuple[str, int]] = {}
        self._progress: dict[str, dict[str, Any]] = {}

    async def run(self) -> None:
        """Do what there is to do, until cancelled.  Only for the node that runs the sources."""
        try:
            while True:
                pause = LOOK_S
                for event in self._programmes:
                    if not await self._tried(event):
                        pause = RETRY_S
                await deferLater(self._clock, pause)
        finally:
            self._busy, self._fault = None, None

    def check(self) -> Check:
        """How far it is, as of now."""
        data = {"events": self._progress}
        if self._fault is not None:
            detail = f"Filing everything again has to wait: {self._fault}. What comes in is filed all the same."
            return Check(name=self.name, state="degraded", detail=detail, data=data)
        if self._busy is not None:
            done = self._progress[self._busy]
            found = f"{done['seen']:,} items looked at, {done['changed']:,} moved"
            detail = f"{self._busy} is being filed again: {found}."
            return Check(name=self.name, state="ok", detail=detail, data=data)
        return Check(name=self.name, state="ok", detail="What comes in is filed under its talk.", data=data)

    async def _tried(self, event: str) -> bool:
        try:
            await self._look(event)
        except (CancelledError, LeaseLost):
            raise
        except (ArchiveUnavailable, LogUnavailable, WorkerDied) as error:
            if self._fault is None:
                _log.warn("{event}: filing everything again has to wait: {why}", event=event, why=str(error))
            self._fault = str(error).rstrip(".")
            return False
        finally:
            self._busy = None
        self._fault = None
        return True

    async def _look(self, event: str) -> None:
        programme = self._programmes[event]
        if programme.index is None or not self._settled(event):
            return
        state = await self._store.refiling(event)
        asked = state.asked if state is not None else 0
        wanted = f"{RULES}.{programme.edition}.{weights_mark(programme)}.{asked}"
        if state is not None and state.wanted == wanted and state.done:
            return
        # What comes from now on is filed by this schedule as it comes; what was there must be in the archive.
        since = self._since.get(event)
        if since is None or since[0] != wanted:
            since = self._since[event] = (wanted, self._heads(event))
        copied = await self._archive.position(event)
        if since[1] > (copied.seq if copied is not None else 0):
            return
        if state is None or state.wanted != wanted:
            state = await self._store.begin(event, wanted, timestamp(self._now()))
        await self._file(event, programme, state, wanted)

    async def _file(self, event: str, programme: Programme, state: Refiling, wanted: str) -> None:
        began = told = self._clock.seconds()
        self._busy = event
        self._say(event, state)
        _log.info("{event}: all items are filed again, from {after} on", event=event, after=state.after)
        assert programme.schedule is not None
        order = Order(
            url=self._url,
            event=event,
            schedule=programme.schedule,
            weights=attrs.asdict(programme.weights),
            after=state.after,
            fixed=dict(self._memories[event].fixed),
        )
        worker = self._begin(order)
        try:
            while True:
                step = await worker.next()
                if step.problem is not None:
                    raise WorkerDied(step.problem)
                changed = await self._put(event, step.moves, f"again:{state.run}")
                state = state._replace(
                    after=step.after,
                    seen=state.seen + step.seen,
                    changed=state.changed + changed,
                    done=step.end,
                )
                if not await self._store.advance(event, state, timestamp(self._now())):
                    return  # another node has begun a run of its own
                self._say(event, state)
                if step.end:
                    break
                if self._clock.seconds() - told > TELL_S:
                    told = self._clock.seconds()
                    _log.info("{event}: {seen} items looked at by now", event=event, seen=state.seen)
                if not wanted.startswith(f"{RULES}.{programme.edition}."):
                    return  # there is another schedule by now: all of this begins anew
        finally:
            worker.kill()
        _log.info(
            "{event}: all {seen} items were filed again in {seconds:.0f} s, {changed} of them elsewhere",
            event=event,
            seen=state.seen,
            changed=state.changed,
            seconds=self._clock.seconds() - began,
        )

    async def _put(self, event: str, moves: list[tuple[str, str | None]], mark: str) -> int:
        changed = 0
        for start in range(0, len(moves), BATCH):
            began = self._clock.seconds()
            batch = [Move(*one) for one in moves[start : start + BATCH]]
            changed += await self._register.file(event, batch, mark)
            took = self._clock.seconds() - began
            asked = self._clock.seconds()
            await deferLater(self._clock, REST_S)
            late = self._clock.seconds() - asked - REST_S
            rest = min(REST_TIMES * max(took, late), REST_MOST_S)
            if rest > REST_S:
                await deferLater(self._clock, rest)
        return changed

    def _say(self, event: str, state: Refiling) -> None:
        self._progress[event] = {
            "seen": state.seen,
            "changed": state.changed,
            "after": state.after,
            "done": state.done,
        }


def weights_mark(programme: Programme) -> str:
    """A word that is another one with other weights."""
    return blake2b(msgspec.json.encode(attrs.asdict(programme.weights)), digest_size=6).hexdigest()
