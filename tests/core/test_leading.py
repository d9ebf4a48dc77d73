"""The table of what a node among several does."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.leading import EVERY_S, GRACE_S, LEASE_S, Outcome, State, drawn, follow, name_in

DRAWN = """\
FOLLOWING GRANTED    -> LEADING
FOLLOWING REFUSED    -> FOLLOWING
FOLLOWING UNANSWERED -> FOLLOWING
FOLLOWING STOPPED    -> OVER
LEADING   GRANTED    -> LEADING
LEADING   REFUSED    -> LEAVING
LEADING   UNANSWERED -> LEADING
LEADING   EXPIRED    -> LEAVING
LEADING   STOPPED    -> OVER
LEAVING   ENDED      -> FOLLOWING
LEAVING   STOPPED    -> OVER
OVER      GRANTED    -> OVER
OVER      REFUSED    -> OVER
OVER      UNANSWERED -> OVER
OVER      EXPIRED    -> OVER
OVER      ENDED      -> OVER
OVER      STOPPED    -> OVER"""


class TableTests(SynchronousTestCase):
    def test_the_table(self) -> None:
        self.assertEqual(drawn(), DRAWN)

    def test_what_cannot_happen_is_a_defect(self) -> None:
        self.assertRaises(KeyError, follow, State.LEAVING, Outcome.GRANTED)

    def test_a_leader_that_is_killed_has_a_successor_within_ten_seconds(self) -> None:
        self.assertLess(LEASE_S + EVERY_S, 10)

    def test_two_requests_in_a_row_may_come_to_nothing(self) -> None:
        self.assertGreater(LEASE_S, 3 * EVERY_S)
        self.assertGreater(GRACE_S, LEASE_S)

    def test_a_token_names_its_node(self) -> None:
        self.assertEqual(name_in("web one:7 0badcafe"), "web one:7")
        self.assertEqual(name_in("-"), "-")
