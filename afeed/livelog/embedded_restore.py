"""The embedded live log as :func:`afeed.livelog.settle.settle` sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred

from afeed.core.change import Change
from afeed.core.draft import Record
from afeed.core.recovery import Line, Plan, record_of
from afeed.livelog.database import Database
from afeed.livelog.settle import renewed
from afeed.livelog.taken import Moved
from afeed.livelog.writer import Writer


class EmbeddedRestoring:
    """``gate`` is called before the first step after which appends must wait."""

    def __init__(self, writer: Writer, gate: Callable[[], object]) -> None:
        self._writer = writer
        self._gate = gate

    def line(self, event: str) -> Deferred[Line | None]:
        def work(database: Database) -> Line | None:
            state = database.state(event)
            if state is None:
                return None
            return Line(state.epoch, state.ancestors, state.head, state.base + 1)

        return self._writer.read(work)

    def stage(self, event: str, own: Line | None, plan: Plan) -> Deferred[int]:
        self._gate()

        def work(database: Database) -> int:
            state = database.state(event)
            if (state.head if state is not None else None) != (own.head if own is not None else None):
                # An append was faster than the gate.
                raise Moved
            if state is not None and plan.tail_after is None:
                return state.id
            return database.create(None, "unfinished", ())

        return self._writer.write(work)

    def restore(self, handle: int, changes: Sequence[Change], keep_above: int) -> Callable[[], Deferred[None]]:
        return lambda: self._writer.write(lambda database: database.restore(handle, changes, keep_above))

    def publish(
        self, event: str, handle: int | None, own: Line | None, epoch: str, plan: Plan | None
    ) -> Deferred[None]:
        def work(database: Database) -> None:
            state = database.state(event)
            if plan is None or handle is None:
                if state is None or own is None:
                    database.create(event, epoch, ())
                else:
                    database.renew(state.id, epoch, renewed(own))
                return
            if state is not None and plan.tail_after is not None:
                tail = database.read(event, plan.tail_after, state.head).changes
                records = [(record_of(change), change.at) for change in tail]
                database.record(handle, [(record, at) for record, at in records if record is not None])
            database.renew(handle, epoch, plan.ancestors)
            if state is None or state.id != handle:
                database.publish(handle, event)

        return self._writer.write(work)

    def offer(self, event: str, records: Sequence[tuple[Record, str]]) -> Deferred[None]:
        def work(database: Database) -> None:
            state = database.state(event)
            assert state is not None
            database.record(state.id, records)

        return self._writer.write(work)
