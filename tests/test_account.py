"""What a run finds is in its row."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.chaos import account
from tests.chaos.account import Account
from tests.chaos.promises import SLACK_S
from tests.chaos.table import Row

ROW = Row("power cut", 17, 1, 2, 0, 0, 0)


class FakeTime:
    """Passes only for those who sleep."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class AccountTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.time = FakeTime()
        self.patch(account, "time", self.time)

    def test_a_promise_that_was_kept_leaves_nothing(self) -> None:
        found = Account(True)
        found.holds(True, "something was wrong")
        self.assertEqual(found.row(ROW), ROW)

    def test_a_broken_one_is_told_beside_what_the_row_has(self) -> None:
        found = Account(True)
        found.holds(False, "something was wrong")
        self.assertEqual(found.row(ROW).remark, "something was wrong")
        self.assertEqual(found.row(ROW._replace(remark="gaps: 1")).remark, "something was wrong; gaps: 1")
        self.assertFalse(found.row(ROW).clean)

    def test_what_is_late_breaks_a_promise_and_a_busy_machine_has_some_slack(self) -> None:
        late = self.time.now - 10
        for long, promised, sentences in (
            (True, 9.5, 1),
            (True, 11.0, 0),
            (False, 9.5, 0),
            (False, 9.5 - SLACK_S, 1),
        ):
            found = Account(long)
            took = found.awaited(lambda: True, "a miracle", promised, since=late)
            self.assertEqual(took, 10)
            self.assertEqual(len(found.broken), sentences, (long, promised, found.broken))

    def test_the_longest_time_of_each_kind_is_in_the_row(self) -> None:
        found = Account(True)
        now = self.time.now
        for since in (now - 1, now - 3, now - 2):
            found.awaited(lambda: True, "it", 5, since=since, measure="back")
        found.awaited(lambda: True, "it", 5, since=now - 2, measure="red")
        row = found.row(ROW)
        self.assertEqual((row.recovery_s, row.red_s), (3, 2))
        self.assertIsNone(row.green_s)

    def test_what_never_comes_is_given_up(self) -> None:
        began = self.time.now
        with self.assertRaisesRegex(AssertionError, "in vain for a miracle"):
            Account(True).awaited(lambda: False, "a miracle", 5)
        self.assertGreater(self.time.now - began, 5 + account.PATIENCE_S)

    def test_what_is_so_a_moment_later_settles_and_what_never_is_is_told(self) -> None:
        found = Account(True)
        at = self.time.now + account.SOON_S / 2
        found.settles(lambda: self.time.now > at, lambda: "it was not waited for")
        self.assertEqual(found.broken, [])
        found.settles(lambda: False, lambda: f"not even at {self.time.now > at + account.SOON_S}")
        self.assertEqual(found.broken, ["not even at True"])
