"""When to write to everybody again."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.pace import FLOOD_S, MAX_REST_S, QUICK_S, Pace


class PaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pace = Pace()

    def test_changes_that_come_alone_are_never_held_up(self) -> None:
        for number in range(100):
            began = number * 0.007
            self.assertEqual(self.pace.rest(began, began + 0.006, several=False), 0)

    def test_in_a_flood_writing_rests_twice_as_long_as_it_took_and_not_for_long(self) -> None:
        self.assertAlmostEqual(self.pace.rest(0.0, 0.003, several=True), 0.006)
        self.assertEqual(self.pace.rest(0.01, 0.07, several=True), MAX_REST_S)

    def test_few_viewers_need_no_rest(self) -> None:
        self.assertEqual(self.pace.rest(0.0, QUICK_S, several=True), 0)

    def test_a_flood_is_over_when_nothing_came_together_for_a_while(self) -> None:
        self.pace.rest(0.0, 0.003, several=True)
        self.assertGreater(self.pace.rest(FLOOD_S * 0.9, FLOOD_S, several=False), 0)
        self.assertEqual(self.pace.rest(FLOOD_S, FLOOD_S * 1.1, several=False), 0)

    def test_a_clock_that_is_set_back_means_no_rest(self) -> None:
        self.assertEqual(self.pace.rest(5.0, 3.0, several=True), 0)
