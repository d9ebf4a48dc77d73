"""The strainer against a log and an archive in memory: when it copies, what it survives and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from afeed.archive.strainer import CAUSES, Strainer
from afeed.core.change import Change
from afeed.core.draft import Removed
from afeed.core.errors import ArchiveTooNew, ArchiveUnavailable, LogUnavailable
from afeed.interfaces import Head, IArchive, ILiveLog, Lineage
from tests.fakes import MemoryArchive, MemoryLog, a_post, strain

EVENT = "conf"
AWAY = ArchiveUnavailable("connection refused")


class StrainerTestCase(SynchronousTestCase):
    """A strainer at work on two events; the end of the test cancels it."""

    window = 1_000_000

    def setUp(self) -> None:
        self.clock = Clock()
        self.log = MemoryLog([EVENT, "other"], self.window)
        self.archive = MemoryArchive()
        self.copied: list[tuple[str, int]] = []
        self.strainer = self.make()

    def make(self) -> Strainer:
        return Strainer(
            self.log,
            self.archive,
            [EVENT, "other"],
            self.clock,
            Random(7),
            batch=10,
            on_copied=lambda event, seq: self.copied.append((event, seq)),
        )

    def run_it(self) -> Deferred[None]:
        self.running = Deferred.fromCoroutine(self.strainer.run())
        self.addCleanup(self.end)
        return self.running

    def end(self) -> None:
        self.running.cancel()
        self.running.addErrback(lambda failure: failure.trap(CancelledError))
        self.successResultOf(self.running)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def append(self, first: int, last: int, event: str = EVENT) -> None:
        self.successResultOf(
            self.log.append(event, None, [a_post(number) for number in range(first, last + 1)])
        )

    def archived(self, event: str = EVENT) -> list[int]:
        return [change.seq for change in self.archive.stored.get(event, [])]

    def let_pass(self, seconds: float) -> None:
        self.clock.pump([0.1] * round(seconds * 10))

    def state(self) -> str:
        return self.strainer.check().state


class CopyingTests(StrainerTestCase):
    def test_the_fakes_keep_the_interfaces(self) -> None:
        verifyObject(ILiveLog, self.log)
        verifyObject(IArchive, self.archive)

    def test_everything_there_is_is_copied_at_start_in_batches(self) -> None:
        self.append(1, 25)
        self.append(1, 3, "other")
        self.run_it()
        self.assertEqual(self.archived(), list(range(1, 26)))
        self.assertEqual(self.archived("other"), [1, 2, 3])
        self.assertEqual(self.archive.stores, 4)
        self.assertEqual(self.archive.positions[EVENT], Head("e1", 25))

    def test_a_hint_is_followed_within_a_fraction_of_a_second_and_shares_a_transaction(self) -> None:
        self.run_it()
        for number in range(1, 6):
            self.append(number, number)
        self.let_pass(0.2)
        self.assertEqual(self.archived(), [1, 2, 3, 4, 5])
        self.assertEqual(self.archive.stores, 1)

    def test_changes_that_come_one_after_the_other_share_a_transaction_a_second(self) -> None:
        self.run_it()
        for number in range(1, 101):
            self.append(number, number)
            self.let_pass(0.1)
        self.assertLess(self.archive.stores, 20)
        self.let_pass(1)
        self.assertEqual(self.archived(), list(range(1, 101)))

    def test_what_comes_while_a_batch_is_copied_waits_until_it_is_more(self) -> None:
        self.run_it()
        later = iter(range(2, 30))

        def more() -> None:
            number = next(later)
            self.append(number, number)

        self.archive.before_store = more
        self.append(1, 1)
        self.let_pass(5)
        self.assertLess(self.archive.stores, 12)
        self.archive.before_store = None
        self.let_pass(2)
        self.assertEqual(self.archived(), list(range(1, next(later))))

    def test_after_a_silence_nobody_is_kept_waiting_for_what_does_not_come(self) -> None:
        self.run_it()
        for number in range(1, 31):
            self.append(number, number)
            self.let_pass(0.1)
        self.let_pass(5)
        self.append(31, 31)
        self.let_pass(0.2)
        self.assertEqual(self.archived(), list(range(1, 32)))

    def test_the_end_of_a_fault_is_told_although_posts_keep_coming_in(self) -> None:
        self.archive.fault = AWAY
        self.append(1, 3)
        self.run_it()
        self.assertEqual(self.state(), "degraded")
        states: list[str] = []

        def more() -> None:
            states.append(self.state())
            if len(states) < 30:
                # A whole batch, for less than that would wait until it is more.
                self.append(10 * len(states), 10 * len(states) + 9)

        self.archive.before_store = more
        self.archive.fault = None
        self.let_pass(2)
        self.assertEqual(len(states), 30)
        self.assertEqual(set(states[1:]), {"ok"})

    def test_a_lost_hint_costs_seconds_and_no_more(self) -> None:
        self.run_it()
        self.log._watchers.clear()
        self.append(1, 4)
        self.let_pass(3.2)
        self.assertEqual(self.archived(), [1, 2, 3, 4])

    def test_a_busy_event_does_not_keep_the_others_from_being_looked_at(self) -> None:
        self.run_it()
        hear = self.log._watchers.pop()
        self.append(1, 2, "other")
        for number in range(1, 41):
            self.append(number, number)
            hear(EVENT)
            self.let_pass(0.1)
        self.assertEqual(self.archived("other"), [1, 2])

    def test_whoever_asked_hears_what_is_archived(self) -> None:
        self.append(1, 12)
        self.run_it()
        self.assertEqual([seq for event, seq in self.copied if event == EVENT], [0, 10, 12])

    def test_it_goes_on_where_the_archive_stands(self) -> None:
        self.append(1, 12)
        first = self.run_it()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.append(13, 14)
        self.strainer = self.make()
        self.run_it()
        self.assertEqual(self.archived(), list(range(1, 15)))

    def test_a_run_that_was_cancelled_can_be_run_again(self) -> None:
        first = self.run_it()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.append(1, 3)
        self.run_it()
        self.assertEqual(self.archived(), [1, 2, 3])


class TrimmingTests(StrainerTestCase):
    window = 5

    def test_the_log_forgets_only_what_is_archived(self) -> None:
        self.append(1, 25)
        self.archive.fault = AWAY
        self.run_it()
        self.let_pass(30)
        self.assertEqual(self.log.trimmed, [])
        self.archive.fault = None
        self.let_pass(10)
        self.assertEqual(self.archived(), list(range(1, 26)))
        for event, upto in self.log.trimmed:
            self.assertIn((event, upto), self.copied)
        self.assertEqual(self.log.trimmed[-1], (EVENT, 25))
        self.assertEqual(self.log.events[EVENT].base, 20)

    def test_few_changes_are_trimmed_together_a_little_later(self) -> None:
        self.run_it()
        for number in range(1, 9):
            self.append(number, number)
            self.let_pass(0.2)
        self.assertEqual(self.log.trimmed, [])
        self.let_pass(3)
        self.assertEqual(self.log.trimmed, [(EVENT, 8)])

    def test_a_log_that_has_forgotten_what_the_archive_lacks_is_a_loud_hole(self) -> None:
        self.append(1, 25)
        self.log.trim(EVENT, 25)
        self.run_it()
        self.assertEqual(self.archive.holes, [(EVENT, 1, 20)])
        self.assertEqual(self.archived(), [21, 22, 23, 24, 25])
        check = self.strainer.check()
        self.assertEqual(check.state, "failed")
        self.assertIn("changes 1 to 20 were lost", check.detail)
        self.append(26, 27)
        self.let_pass(1)
        self.assertEqual(self.archived(), [21, 22, 23, 24, 25, 26, 27])
        self.assertEqual(self.state(), "failed")


class FaultTests(StrainerTestCase):
    def test_an_archive_that_is_away_at_start_is_opened_when_it_comes(self) -> None:
        self.archive.fault = AWAY
        self.append(1, 3)
        self.run_it()
        self.let_pass(60)
        self.assertEqual(self.archived(), [])
        self.assertEqual(self.state(), "degraded")
        self.assertIn("connection refused", self.strainer.check().detail)
        self.assertLess(self.archive.starts, 20)
        self.archive.fault = None
        self.let_pass(8.2)
        self.assertEqual(self.archived(), [1, 2, 3])
        self.assertEqual(self.state(), "ok")

    def test_attempts_come_at_growing_distances_of_at_most_eight_seconds(self) -> None:
        self.archive.fault = AWAY
        self.run_it()
        attempts = []
        for tenth in range(600):
            before = self.archive.starts
            self.clock.advance(0.1)
            if self.archive.starts > before:
                attempts.append(tenth / 10)
        distances = [later - earlier for earlier, later in pairwise(attempts)]
        self.assertLess(attempts[0], 0.6)
        self.assertGreater(max(distances), 4)
        self.assertLessEqual(max(distances), 8.11)

    def test_an_archive_that_is_back_catches_up_and_is_called_slow_only_for_its_own_slowness(self) -> None:
        store = self.archive.store

        def slowly(event: str, lineage: Lineage, after: int, changes: Sequence[Change]) -> Deferred[None]:
            stored: Deferred[None] = Deferred()
            self.clock.callLater(2, lambda: store(event, lineage, after, changes).chainDeferred(stored))
            return stored

        self.archive.store = slowly  # type: ignore[method-assign]
        self.run_it()
        self.archive.fault = AWAY
        self.append(1, 450)
        self.let_pass(100)
        self.archive.fault = None
        self.let_pass(10)
        check = self.strainer.check()
        self.assertEqual(check.state, "ok", "it is there again")
        self.assertRegex(check.detail, r"catches up: 4\d0 changes are left")
        self.let_pass(60)
        check = self.strainer.check()
        self.assertEqual(check.state, "degraded")
        self.assertRegex(check.detail, "too slow: .* for 6. s")
        self.let_pass(40)
        self.assertEqual((self.state(), len(self.archived())), ("ok", 450))
        self.assertIn("follows the live log", self.strainer.check().detail)

    def test_an_idle_archive_that_goes_away_is_noticed(self) -> None:
        self.run_it()
        self.let_pass(5)
        self.assertEqual(self.state(), "ok")
        self.archive.fault = AWAY
        self.let_pass(3.1)
        self.assertEqual(self.state(), "degraded")

    def logged(self) -> list[tuple[str, str]]:
        """Level and words of what the strainer logs from now on."""
        told: list[tuple[str, str]] = []

        def observe(event: LogEvent) -> None:
            if event["log_namespace"].startswith("afeed.archive"):
                told.append((event["log_level"].name, formatEvent(event)))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        return told

    def test_one_outage_is_one_error_in_the_log_and_its_end_one_line(self) -> None:
        told = self.logged()
        self.run_it()
        self.archive.fault = AWAY
        self.let_pass(40)
        self.archive.fault = None
        self.let_pass(10)
        self.assertEqual([level for level, _ in told], ["error", "info"])
        self.assertIn("connection refused", told[0][1])

    def test_each_cause_of_an_outage_is_logged_once(self) -> None:
        # An administrator's command ends the connection, and then the password is wrong: that is what counts.
        told = self.logged()
        self.run_it()
        for _ in range(2):
            for cause in ("terminated by an administrator", "password authentication failed"):
                self.archive.fault = ArchiveUnavailable(cause)
                self.let_pass(12)
        self.archive.fault = None
        self.let_pass(10)
        self.assertEqual([level for level, _ in told], ["error", "error", "info"])
        self.assertIn("administrator", told[0][1])
        self.assertEqual(told[1][1], "Still nothing is archived: password authentication failed.")

    def test_an_outage_that_always_has_another_cause_does_not_fill_the_log(self) -> None:
        told = self.logged()
        self.run_it()
        for number in range(50):
            self.archive.fault = ArchiveUnavailable(f"query {number} failed")
            self.let_pass(9)
        self.assertEqual(len(told), CAUSES)

    def test_a_log_that_is_away_is_waited_for(self) -> None:
        self.append(1, 2)
        self.run_it()
        self.log.fault = LogUnavailable("Redis is away")
        self.let_pass(20)
        self.assertEqual(self.state(), "degraded")
        self.log.fault = None
        self.append(3, 4)
        self.let_pass(8.2)
        self.assertEqual(self.archived(), [1, 2, 3, 4])
        self.assertEqual(self.state(), "ok")

    def test_an_archive_of_a_newer_afeed_is_a_failure_and_asked_again(self) -> None:
        self.archive.fault = ArchiveTooNew("written by a newer afeed")
        self.run_it()
        self.let_pass(20)
        self.assertEqual(self.state(), "failed")
        self.assertIn("newer", self.strainer.check().detail)
        self.archive.fault = None
        self.let_pass(9)
        self.assertEqual(self.state(), "ok")

    def test_the_lag_is_told_while_the_archive_is_away(self) -> None:
        self.append(1, 5)
        self.run_it()
        self.assertEqual(self.strainer.lag(EVENT), (0, 0.0))
        self.archive.fault = AWAY
        self.append(6, 8)
        self.let_pass(20)
        changes, seconds = self.strainer.lag(EVENT)
        self.assertEqual(changes, 3)
        self.assertGreater(seconds, 10)
        self.assertEqual(self.strainer.check().data[EVENT]["behind"], 3)
        self.archive.fault = None
        self.let_pass(9)
        self.assertEqual(self.strainer.lag(EVENT), (0, 0.0))

    def test_an_archive_that_somebody_else_advances_is_looked_at_again(self) -> None:
        self.append(1, 25)

        def meddle() -> None:
            self.archive.before_store = None
            self.archive.stored[EVENT] = self.log.events[EVENT].changes[:7]
            self.archive.positions[EVENT] = Head("e1", 7)

        self.archive.before_store = meddle
        self.run_it()
        self.let_pass(1.2)
        self.assertEqual(self.archived(), list(range(1, 26)))
        self.assertEqual(self.state(), "ok")


class EpochTests(StrainerTestCase):
    def test_a_new_epoch_that_continues_is_followed(self) -> None:
        self.append(1, 5)
        self.run_it()
        self.log.renew(EVENT, "e2", 5)
        self.append(6, 7)
        self.let_pass(1)
        self.assertEqual(self.archived(), [1, 2, 3, 4, 5, 6, 7])
        self.assertEqual(self.archive.positions[EVENT], Head("e2", 7))
        self.assertEqual(self.state(), "ok")

    def test_a_log_that_lost_what_is_archived_is_refused_loudly_and_nothing_is_overwritten(self) -> None:
        self.append(1, 5)
        self.append(1, 1, "other")
        self.run_it()
        self.log.renew(EVENT, "e2", 3)
        self.append(6, 9)
        self.let_pass(2)
        self.assertEqual(self.state(), "ok", "the log is given time to take up what the archive has")
        self.let_pass(12)
        check = self.strainer.check()
        self.assertEqual(check.state, "failed")
        self.assertIn("e1:5", check.detail)
        self.assertEqual(self.archived(), [1, 2, 3, 4, 5])
        self.append(2, 2, "other")
        self.let_pass(1)
        self.assertEqual(self.archived("other"), [1, 2], "other events go on")

    def test_a_refusal_ends_when_the_log_continues_after_all(self) -> None:
        self.append(1, 5)
        self.run_it()
        events = self.log.events[EVENT]
        kept = list(events.changes)
        self.log.renew(EVENT, "e2", 3)
        self.let_pass(15)
        self.assertEqual(self.state(), "failed")
        events.changes, events.epoch, events.ancestors = kept, "e1", ()
        self.log.renew(EVENT, "e3", 5)
        self.let_pass(2)
        self.assertEqual(self.state(), "ok")


class DrainingTests(StrainerTestCase):
    def test_the_rest_is_copied_before_the_end(self) -> None:
        running = self.run_it()
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.append(1, 25)
        self.log.append(EVENT, None, [Removed("push:1")])
        drained = Deferred.fromCoroutine(self.strainer.drain(2.0))
        self.assertTrue(self.successResultOf(drained))
        self.assertEqual(self.archived(), list(range(1, 27)))

    def test_an_archive_that_is_away_does_not_hold_up_the_end(self) -> None:
        self.append(1, 25)
        self.archive.fault = AWAY
        self.assertFalse(self.successResultOf(Deferred.fromCoroutine(self.strainer.drain(2.0))))

    def test_an_archive_that_hangs_costs_no_more_than_the_time_given(self) -> None:
        self.append(1, 25)
        self.archive.start = Deferred  # type: ignore[method-assign]
        drained = Deferred.fromCoroutine(self.strainer.drain(2.0))
        self.clock.advance(1.9)
        self.assertNoResult(drained)
        self.clock.advance(0.2)
        self.assertFalse(self.successResultOf(drained))


class FollowingTests(StrainerTestCase):
    """Another node copies."""

    def setUp(self) -> None:
        super().setUp()
        self.strainer.copy(False)

    def copy_elsewhere(self) -> None:
        strain(self.log, self.archive, EVENT)

    def test_it_copies_and_trims_nothing_itself(self) -> None:
        self.append(1, 12)
        self.run_it()
        self.append(13, 20)
        self.let_pass(10)
        self.assertEqual((self.archived(), self.log.trimmed), ([], []))

    def test_it_says_within_seconds_how_far_the_archive_is(self) -> None:
        self.append(1, 12)
        self.run_it()
        self.assertEqual(self.strainer.lag(EVENT).changes, 12)
        self.copy_elsewhere()
        self.let_pass(1.2)
        self.assertEqual(self.copied[-2:], [(EVENT, 12), ("other", 0)])
        self.assertEqual(self.strainer.lag(EVENT).changes, 0)
        self.assertEqual(self.strainer.check().detail, "The archive follows the live log; another node copies.")

    def test_it_opens_an_archive_that_comes_late(self) -> None:
        self.archive.fault = AWAY
        self.run_it()
        self.assertEqual(self.state(), "degraded")
        self.archive.fault = None
        self.let_pass(10)
        self.assertEqual(self.state(), "ok")
        self.assertGreater(self.archive.starts, 1)

    def test_an_archive_that_nobody_copies_into_is_told(self) -> None:
        self.append(1, 1)
        self.run_it()
        self.let_pass(50)
        self.assertEqual(self.state(), "ok")
        self.let_pass(15)
        self.assertEqual(self.state(), "degraded")

    def test_its_part_changes_at_once_and_back(self) -> None:
        self.append(1, 12)
        self.run_it()
        self.strainer.copy(True)
        self.let_pass(0.3)
        self.assertEqual(self.archived(), list(range(1, 13)))
        self.strainer.copy(False)
        self.append(13, 14)
        self.let_pass(10)
        self.assertEqual(self.archived(), list(range(1, 13)))
        self.strainer.copy(True)
        self.let_pass(0.3)
        self.assertEqual(self.archived(), list(range(1, 15)))

    def test_a_step_that_another_node_was_quicker_with_is_no_fault(self) -> None:
        """As after a pause in which another node has taken over."""
        self.strainer.copy(True)
        self.run_it()
        self.append(1, 5)

        def overtake() -> None:
            self.archive.before_store = None
            self.copy_elsewhere()
            self.strainer.copy(False)

        self.archive.before_store = overtake
        self.let_pass(0.3)
        self.assertEqual(self.archived(), [1, 2, 3, 4, 5])
        self.assertEqual(self.state(), "ok")
        self.let_pass(3)
        self.assertEqual((self.state(), self.strainer.lag(EVENT).changes), ("ok", 0))
