"""Filing everything again: only what changed is put on record, and a restart goes on where it was."""

from __future__ import annotations

from random import Random
from typing import Any

import attrs
from msgspec import structs
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import deferLater

from afeed.archive.filings import Correction, FilingStore, read_before, read_items
from afeed.archive.moderation import Action
from afeed.archive.store import SqlArchive
from afeed.core.attribution.memory import Memory
from afeed.core.change import FILED
from afeed.core.draft import Posted
from afeed.filing.again import Again
from afeed.filing.process import WorkerDied, WorkerProcess
from afeed.filing.register import Register
from afeed.filing.worker import Order, Step, make_memory, steps
from tests.archive.support import LINEAGE, ArchiveTestCase, SQLiteDatabase, until
from tests.fakes import FakeLead, MemoryLog
from tests.filing.support import BOATS, CLEAR, EVENT, GULLS, LAMPS, SCHEDULE, FakeProgramme, item, programme_of


class InProcess:
    """A worker that is none: two items at a time, and it dies after ``lives`` steps."""

    def __init__(self, order: Order, lives: int = 1000) -> None:
        self.order = order
        self.lives = lives
        before = read_before(order.url, order.event, order.after, 10) if order.after else []
        self.pages = read_items(order.url, order.event, order.after, 2)
        self.steps = steps(make_memory(order), before, self.pages, order.after)
        self.killed = False

    def next(self) -> Deferred[Step]:
        self.lives -= 1
        return succeed(next(self.steps)) if self.lives >= 0 else fail(WorkerDied("it died"))

    def kill(self) -> None:
        self.killed = True
        self.steps.close()
        self.pages.close()


class AgainTests(ArchiveTestCase):
    database_class = SQLiteDatabase

    async def begin(self, count: int = 20) -> None:
        """An archive with ``count`` posts about the lighthouses that nobody has filed."""
        self.log = MemoryLog([EVENT])
        self.log.append(
            EVENT,
            None,
            [Posted(item(number, CLEAR, author=f"a{number}"), "1") for number in range(1, count + 1)],
        )
        #: What has to be in the archive first; less than the log has, where the strainer is late.
        self.head = count
        self.archive: SqlArchive = await self.open()
        self.store = FilingStore(self.archive)
        self.programme = FakeProgramme(schedule=SCHEDULE)
        self.lead = FakeLead()
        self.memory = Memory()
        self.workers: list[InProcess] = []
        self.lives = 1000
        self.settled = True
        await self.strain()
        self.again = self.make_again()

    def make_again(self, begin: Any = None) -> Again:
        programmes: Any = {EVENT: self.programme}
        register = Register(
            self.log,
            self.store,
            programmes,
            self.lead,
            reactor,
            Random(1),
            lambda found: self.learn(found),
            lambda event, talk: self.programme.schedule.aliases.get(talk, talk),  # type: ignore[arg-type,union-attr]
        )
        return Again(
            programmes,
            {EVENT: self.memory},
            register,
            self.store,
            self.archive,
            self.database.url,
            lambda event: self.head,
            lambda event: self.settled,
            begin or self.worker,
            reactor,  # type: ignore[arg-type]
            lambda: 1.8e9,
        )

    def learn(self, corrections: Any) -> None:
        self.memory.fixed.update({one.id: one.talk for one in corrections})

    def worker(self, order: Order) -> Any:
        self.workers.append(InProcess(order, self.lives))
        return self.workers[-1]

    async def strain(self) -> None:
        """Copy what the log has to the archive."""
        position = await self.archive.position(EVENT)
        after = position.seq if position is not None else 0
        changes = self.log.events[EVENT].changes[after:]
        if changes:
            await self.archive.store(EVENT, LINEAGE, after, changes)

    async def run_until(self, condition: Any, again: Again | None = None) -> None:
        """Let it run until ``condition()`` fires with something true."""
        running = Deferred.fromCoroutine((again or self.again).run())
        running.addErrback(lambda failure: failure.trap(CancelledError) and None)
        try:
            while not await condition():
                self.assertFalse(running.called)
                await deferLater(reactor, 0.02)
        finally:
            running.cancel()

    async def is_done(self) -> bool:
        state = await self.store.refiling(EVENT)
        return state is not None and state.done

    def filings(self) -> list[tuple[str, str | None]]:
        found = [change.filing() for change in self.log.events[EVENT].changes if change.type == FILED]
        return [(one.id, one.talk) for one in found if one is not None]

    async def test_what_is_filed_nowhere_is_filed_and_a_second_run_changes_nothing(self) -> None:
        await self.begin()
        await self.run_until(self.is_done)
        self.assertEqual(self.filings(), [(f"x:{number}", "lamps") for number in range(1, 21)])
        await self.strain()
        await self.store.ask(EVENT, "2026-11-21T12:00:00.000Z")

        async def is_done_again() -> bool:
            state = await self.store.refiling(EVENT)
            return state is not None and state.done and state.run == 2

        await self.run_until(is_done_again)
        self.assertEqual(len(self.filings()), 20)
        state = await self.store.refiling(EVENT)
        assert state is not None
        self.assertEqual((state.seen, state.changed), (20, 0))
        self.assertTrue(all(worker.killed for worker in self.workers))
        self.assertEqual(self.again.check().state, "ok")

    async def test_nothing_is_done_twice_for_the_same_schedule_after_a_restart(self) -> None:
        await self.begin()
        await self.run_until(self.is_done)
        again = self.make_again()
        running = Deferred.fromCoroutine(again.run())
        running.addErrback(lambda failure: failure.trap(CancelledError) and None)
        await deferLater(reactor, 0.3)
        running.cancel()
        self.assertEqual(len(self.workers), 1)

    async def test_a_run_that_ended_in_the_middle_goes_on_where_it_was(self) -> None:
        await self.begin()
        self.lives = 3

        async def has_died() -> bool:
            check = self.again.check()
            return check.state == "degraded" and "it died" in check.detail

        await self.run_until(has_died)
        state = await self.store.refiling(EVENT)
        assert state is not None
        self.assertEqual((state.after, state.done), (6, False))
        # Another node goes on; the archive may not have what was filed last.
        self.lives = 1000
        await self.run_until(self.is_done, self.make_again())
        self.assertEqual(self.workers[-1].order.after, 6)
        self.assertEqual(self.filings(), [(f"x:{number}", "lamps") for number in range(1, 21)])

    async def test_what_was_put_on_record_and_not_noted_is_not_recorded_twice(self) -> None:
        await self.begin(6)
        await self.run_until(self.is_done)
        state = await self.store.refiling(EVENT)
        assert state is not None
        # As if the node had been killed between the log and the database.
        await self.store.advance(EVENT, state._replace(after=0, seen=0, changed=0, done=False), "now")
        await self.run_until(self.is_done, self.make_again())
        self.assertEqual(len(self.filings()), 6)

    async def test_another_schedule_begins_another_run(self) -> None:
        await self.begin(4)
        await self.run_until(self.is_done)
        await self.strain()
        self.programme.use(
            programme_of(structs.replace(LAMPS, title="Something else", speakers=()), BOATS, GULLS)
        )

        async def is_second() -> bool:
            state = await self.store.refiling(EVENT)
            return state is not None and state.done and state.run == 2

        await self.run_until(is_second)
        self.assertEqual(self.filings()[4:], [(f"x:{number}", None) for number in range(1, 5)])

    async def test_other_weights_begin_another_run(self) -> None:
        await self.begin(2)
        await self.run_until(self.is_done)
        self.programme.weights = attrs.evolve(self.programme.weights, threshold=50.0)

        async def is_second() -> bool:
            state = await self.store.refiling(EVENT)
            return state is not None and state.done and state.run == 2

        await self.strain()
        await self.run_until(is_second, self.make_again())
        self.assertEqual(self.filings()[2:], [("x:1", None), ("x:2", None)])

    async def test_a_version_that_may_not_be_everybodys_is_waited_for(self) -> None:
        await self.begin(2)
        self.settled = False
        running = Deferred.fromCoroutine(self.again.run())
        running.addErrback(lambda failure: failure.trap(CancelledError) and None)
        await deferLater(reactor, 0.2)
        running.cancel()
        self.assertEqual(self.workers, [])

    async def test_what_the_archive_does_not_have_yet_is_waited_for(self) -> None:
        await self.begin(4)
        self.head = 5
        running = Deferred.fromCoroutine(self.again.run())
        running.addErrback(lambda failure: failure.trap(CancelledError) and None)
        await deferLater(reactor, 0.2)
        running.cancel()
        self.assertEqual(self.workers, [])

    async def test_organisers_are_obeyed(self) -> None:
        await self.begin(3)
        action = Action("2026-11-21T12:00:00.000Z", "ann", "192.0.2.7", "file", EVENT, "x:2 > boats")
        number = await self.store.correct(EVENT, "x:2", "boats", action)
        self.log.append(EVENT, None, [])
        self.learn([Correction(number, EVENT, "x:2", "boats")])
        await self.run_until(self.is_done)
        self.assertEqual(
            [one for one in self.filings() if one[0] != "x:2"], [("x:1", "lamps"), ("x:3", "lamps")]
        )
        self.assertNotIn(("x:2", "lamps"), self.filings())

    async def test_what_they_decided_follows_a_talk_to_another_id(self) -> None:
        await self.begin(3)
        action = Action("2026-11-21T12:00:00.000Z", "ann", "192.0.2.7", "file", EVENT, "x:2 > gulls")
        number = await self.store.correct(EVENT, "x:2", "gulls", action)
        self.learn([Correction(number, EVENT, "x:2", "gulls")])
        self.programme.use(programme_of(LAMPS, BOATS, structs.replace(GULLS, guid="birds", id="birds")))
        await self.run_until(self.is_done)
        self.assertEqual(sorted(self.filings()), [("x:1", "lamps"), ("x:2", "birds"), ("x:3", "lamps")])

    async def test_the_real_process_does_the_same(self) -> None:
        await self.begin()
        workers: list[WorkerProcess] = []

        def begin(order: Order) -> WorkerProcess:
            workers.append(WorkerProcess(order, reactor))
            return workers[-1]

        await self.run_until(self.is_done, self.make_again(begin))
        await until(lambda: all(worker._ended for worker in workers), "the process to end")
        self.assertEqual(self.filings(), [(f"x:{number}", "lamps") for number in range(1, 21)])

    async def test_a_process_that_dies_or_babbles_is_told_of(self) -> None:
        await self.begin(2)
        order = Order(self.database.url, EVENT, SCHEDULE, {}, 0, {})
        for program in (("/bin/false",), ("/bin/echo", "babble")):
            worker = WorkerProcess(order, reactor, program)
            await self.assertFailure(worker.next(), WorkerDied)
            await until(lambda worker=worker: worker._ended, "the process to end")
        self.flushLoggedErrors()
