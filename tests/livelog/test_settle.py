"""Restoring a log: the steps, and what happens when one of them fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any
from unittest import mock

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from afeed.core.change import Change
from afeed.core.cursor import Ancestor
from afeed.core.errors import ArchiveUnavailable, LogUnavailable
from afeed.core.recovery import Line, Plan
from afeed.interfaces import IWitness, Testimony
from afeed.livelog import settle as module
from afeed.livelog.settle import ATTEMPTS, TESTIMONY_SECONDS, Heard, Outcome, hear, settle
from afeed.livelog.taken import Moved
from tests.livelog.samples import MemoryWitness, posted


@implementer(IWitness)
class PagedWitness:
    """Hands over nothing until :meth:`give` is called; ``asked`` are the positions it was asked for."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked: list[tuple[int, Deferred[list[Change]]]] = []
        self.cancelled = 0

    def testimony(self, event: str) -> Deferred[Testimony | None]:
        return succeed(Testimony("old", (), 1, self.count, self._read))

    def _read(self, after: int, limit: int) -> Deferred[list[Change]]:
        def cancelled(_: object) -> None:
            self.cancelled += 1

        reading: Deferred[list[Change]] = Deferred(cancelled)
        self.asked.append((after, reading))
        return reading

    def give(self) -> None:
        """Answer the last question with ten changes."""
        after, reading = self.asked[-1]
        reading.callback([posted(seq) for seq in range(after + 1, min(after + 10, self.count) + 1)])


class SlowLog:
    """An empty log that adds a page when told to; ``prepared`` and ``added`` are the first seqs of pages."""

    def __init__(self) -> None:
        self.prepared: list[int] = []
        self.added: list[int] = []
        self.adding: list[Deferred[None]] = []
        self.cancelled = 0
        self.published: list[str] = []

    async def line(self, event: str) -> Line | None:
        return None

    async def stage(self, event: str, own: Line | None, plan: Plan) -> str:
        return "staged"

    def restore(self, handle: Any, changes: Sequence[Change], keep_above: int) -> Callable[[], Deferred[None]]:
        first = changes[0].seq
        self.prepared.append(first)

        def add() -> Deferred[None]:
            self.added.append(first)
            self.adding.append(Deferred(self._cancelled))
            return self.adding[-1]

        return add

    def _cancelled(self, _: object) -> None:
        self.cancelled += 1

    async def publish(self, event: str, handle: Any, own: Line | None, epoch: str, plan: Plan | None) -> None:
        self.published.append(epoch)

    async def offer(self, event: str, records: Any) -> None:
        raise AssertionError("there is nothing to offer to an empty log")


@implementer(IWitness)
class SilentWitness:
    """Answers nothing by itself; ``asked`` has every question, ``cancelled`` counts those nobody waits for."""

    def __init__(self) -> None:
        self.asked: dict[str, Deferred[Testimony | None]] = {}
        self.cancelled = 0

    def testimony(self, event: str) -> Deferred[Testimony | None]:
        self.asked[event] = Deferred(self._cancel)
        return self.asked[event]

    def _cancel(self, _: object) -> None:
        self.cancelled += 1


@implementer(IWitness)
class BrokenWitness:
    def testimony(self, event: str) -> Deferred[Testimony | None]:
        raise ZeroDivisionError


class HearTests(SynchronousTestCase):
    """Asking the witnesses."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.archive, self.memory = SilentWitness(), MemoryWitness("old", [posted(1), posted(2)])

    def hear(self, *archive: IWitness) -> Deferred[dict[str, Heard]]:
        return Deferred.fromCoroutine(hear("abc", archive, [self.memory], self.clock))

    def test_a_witness_that_hangs_costs_its_time_once_and_not_for_every_event(self) -> None:
        hearing = self.hear(self.archive)
        self.assertEqual(list(self.archive.asked), ["a", "b", "c"])
        self.clock.advance(TESTIMONY_SECONDS - 0.1)
        self.assertNoResult(hearing)
        self.clock.advance(0.2)
        for heard in self.successResultOf(hearing).values():
            self.assertEqual(heard.silent, 1)
            ((line, _),) = heard.said
            self.assertEqual((line.head, line.fleeting), (2, True))

    def test_everyone_is_heard_in_order(self) -> None:
        hearing = self.hear(self.archive)
        for answer in reversed(self.archive.asked.values()):
            answer.callback(None)
        for heard in self.successResultOf(hearing).values():
            self.assertEqual([line.fleeting for line, _ in heard.said], [False, True])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_witness_that_breaks_is_passed_over(self) -> None:
        heard = self.successResultOf(self.hear(BrokenWitness()))
        self.assertEqual([(len(one.said), one.silent) for one in heard.values()], [(1, 1)] * 3)

    def test_cancelling_leaves_no_question_behind(self) -> None:
        hearing = self.hear(self.archive)
        hearing.cancel()
        self.failureResultOf(hearing, CancelledError)
        self.assertEqual(self.archive.cancelled, 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class SettleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(module, "PAGE", 10)
        self.clock = Clock()
        self.log = SlowLog()
        self.stories: list[str] = []

    def settle(self, *witnesses: IWitness) -> Deferred[Outcome]:
        return Deferred.fromCoroutine(self._settle(witnesses))

    def remind(self, *memories: IWitness) -> Deferred[Outcome]:
        """With nothing but what nodes remember."""
        return Deferred.fromCoroutine(self._settle((), memories))

    async def _settle(self, archive: Sequence[IWitness], memories: Sequence[IWitness] = ()) -> Outcome:
        heard = await hear(["e"], archive, memories, self.clock)
        return await settle(
            self.log,
            "e",
            heard["e"],
            reactor=self.clock,
            rng=Random(1),
            window=100,
            doubtful=lambda: False,
            announce=self.stories.append,
        )

    def test_the_next_page_is_read_and_prepared_while_one_is_added(self) -> None:
        witness = PagedWitness(30)
        settled = self.settle(witness)
        witness.give()
        self.assertEqual((self.log.added, [after for after, _ in witness.asked]), ([1], [0, 10]))
        witness.give()
        self.assertEqual((self.log.prepared, self.log.added), ([1, 11], [1]))
        self.assertEqual([after for after, _ in witness.asked], [0, 10, 20])
        self.log.adding[0].callback(None)
        self.assertEqual(self.log.added, [1, 11])
        witness.give()
        self.log.adding[1].callback(None)
        self.assertEqual(self.log.published, [])
        self.log.adding[2].callback(None)
        self.assertEqual(self.successResultOf(settled), Outcome(0, True))
        self.assertEqual(len(self.log.published), 1)
        self.assertIn("filled up to 30", self.stories[0])

    def test_a_page_that_cannot_be_added_ends_it_and_nothing_more_is_read(self) -> None:
        witness = PagedWitness(30)
        settled = self.settle(witness)
        witness.give()
        witness.give()
        self.log.adding[0].errback(LogUnavailable("the connection to Redis was lost"))
        self.failureResultOf(settled, LogUnavailable)
        self.assertEqual((self.log.added, witness.cancelled), ([1], 1))
        self.assertEqual(self.log.published, [])

    def test_a_witness_that_leaves_is_passed_over_once_what_it_gave_is_added(self) -> None:
        leaving, other = PagedWitness(30), MemoryWitness("old", [posted(seq) for seq in range(1, 21)])
        settled = self.settle(leaving, other)
        leaving.give()
        leaving.asked[-1][1].errback(ArchiveUnavailable("the archive is away"))
        for _ in range(2):
            self.log.adding[-1].callback(None)
        self.assertEqual(self.successResultOf(settled), Outcome(1, True))
        self.assertEqual(self.log.added, [1, 1, 11])
        self.assertIn("filled up to 20", self.stories[0])

    def test_a_witness_that_does_not_answer_is_given_up(self) -> None:
        witness = PagedWitness(30)
        settled = self.settle(witness)
        self.clock.advance(module.READ_SECONDS)
        self.assertEqual(self.successResultOf(settled), Outcome(1, True))
        self.assertEqual((self.log.added, self.stories), ([], []))

    def test_a_witness_that_has_less_than_it_said_is_passed_over(self) -> None:
        witness = PagedWitness(30)
        settled = self.settle(witness)
        witness.asked[-1][1].callback([])
        self.assertEqual(self.successResultOf(settled), Outcome(1, True))

    def test_cancelling_leaves_nothing_under_way(self) -> None:
        witness = PagedWitness(30)
        settled = self.settle(witness)
        witness.give()
        settled.cancel()
        self.failureResultOf(settled, CancelledError)
        self.assertEqual((witness.cancelled, self.log.cancelled), (1, 1))

    def test_a_log_that_others_change_while_something_is_offered_to_it_is_no_defect(self) -> None:
        own = Line("new", (Ancestor("old", 0),), 0)
        with (
            mock.patch.object(self.log, "line", return_value=own),
            mock.patch.object(self.log, "offer", side_effect=Moved),
        ):
            self.failureResultOf(self.remind(MemoryWitness("old", [posted(1)])), LogUnavailable)

    def test_a_log_that_others_change_all_the_time_is_left_to_them(self) -> None:
        witness = MemoryWitness("old", [posted(1)])
        with mock.patch.object(self.log, "stage", side_effect=Moved) as stage:
            self.failureResultOf(self.settle(witness), LogUnavailable)
        self.assertEqual(stage.call_count, ATTEMPTS)
