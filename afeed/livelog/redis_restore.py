"""The Redis live log as :func:`afeed.livelog.settle.settle` sees it: many nodes may do this at once, and one of
them wins, because every step compares the epoch."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any, NamedTuple

from afeed.core.change import Change
from afeed.core.draft import Record
from afeed.core.recovery import Line, Plan, record_of
from afeed.livelog.redis_commands import Batch, Commands, Keys, pack
from afeed.livelog.settle import new_epoch, renewed
from afeed.livelog.taken import Moved

#: How many changes are numbered anew in one step.
_TAIL_PAGE = 500

#: No limit: what had room before has room again.
_UNLIMITED = 2**53


class Place(NamedTuple):
    """Where refills go: the log whose meta key is ``meta``, as long as it is in ``epoch``.  ``staged`` is the
    prefix of its keys while nobody sees it."""

    meta: str
    epoch: str
    staged: str | None


class RedisRestoring:
    """``hold`` is called before the first step that keeps appends from succeeding."""

    def __init__(self, commands: Commands, rng: Random, hold: Callable[[], None]) -> None:
        self._commands = commands
        self._rng = rng
        self._hold = hold
        #: The server that took the last append, as of the last :meth:`line`.
        self.run: str | None = None

    async def line(self, event: str) -> Line | None:
        (state,) = await self._commands.states([event])
        self.run = state.run if state is not None else None
        return state.line if state is not None else None

    async def stage(self, event: str, own: Line | None, plan: Plan) -> Place:
        self._hold()
        keys = Keys(event)
        if own is not None and not await self._commands.close(event, own.epoch, own.head):
            raise Moved
        if own is not None and plan.tail_after is None:
            return Place(keys.meta, own.epoch, None)
        prefix = f"{keys.prefix}{new_epoch(self._rng)}:"
        await self._commands.stage(event, prefix)
        return Place(prefix + "meta", "unfinished", prefix)

    def restore(
        self, handle: Place, changes: Sequence[Change], keep_above: int
    ) -> Callable[[], Coroutine[Any, Any, None]]:
        packed = pack(changes, keep_above)

        async def send() -> None:
            if not await self._commands.restore(handle.meta, handle.epoch, packed, keep_above):
                raise Moved

        return send

    async def publish(
        self, event: str, handle: Place | None, own: Line | None, epoch: str, plan: Plan | None
    ) -> None:
        expected = own.epoch if own is not None else None
        if plan is None or handle is None:
            ancestors = renewed(own) if own is not None else ()
            staged = None
        else:
            ancestors, staged = plan.ancestors, handle.staged
            if own is not None and plan.tail_after is not None:
                await self._number_anew(event, plan.tail_after, own.head, handle.meta)
        if not await self._commands.publish(event, expected, epoch, ancestors, staged):
            raise Moved

    async def offer(self, event: str, records: Sequence[tuple[Record, str]]) -> None:
        if records:
            batches = [Batch(None, None, None, at, [record]) for record, at in records]
            await self._commands.append(event, batches, _UNLIMITED)

    async def _number_anew(self, event: str, after: int, head: int, meta: str) -> None:
        while after < head:
            page = await self._commands.page(event, after, min(_TAIL_PAGE, head - after))
            if not page.changes:
                return
            batches = [
                Batch(None, None, None, change.at, [record])
                for change in page.changes
                if (record := record_of(change)) is not None
            ]
            await self._commands.append(event, batches, _UNLIMITED, meta)
            after = page.changes[-1].seq
