"""How long afeed waits, class by class."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.backoff import Backoff, Fault, until_reset

NOW = 1_772_355_600.0


class BackoffTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.backoff = Backoff(Random(1))

    def waits(self, fault: Fault, count: int) -> list[float]:
        return [self.backoff.wait(fault) for _ in range(count)]

    def test_a_drop_is_followed_at_once_but_not_in_a_loop(self) -> None:
        self.assertEqual(self.waits(Fault.DROP, 9), [0, 1, 2, 4, 8, 16, 20, 20, 20])

    def test_dropped_streams_never_use_up_the_50_connections_in_15_minutes_that_x_allows(self) -> None:
        waits = self.waits(Fault.DROP, 50)
        self.assertGreater(sum(waits), 900)

    def test_network_errors_climb_by_a_quarter_second_to_16(self) -> None:
        waits = self.waits(Fault.NETWORK, 70)
        self.assertEqual(waits[:3], [0.25, 0.5, 0.75])
        self.assertEqual(waits[62:66], [15.75, 16.0, 16.0, 16.0])

    def test_http_errors_double_from_5_to_320(self) -> None:
        self.assertEqual(self.waits(Fault.HTTP, 8), [5, 10, 20, 40, 80, 160, 320, 320])

    def test_rate_limits_double_from_60_to_15_minutes(self) -> None:
        self.assertEqual(self.waits(Fault.RATE, 6), [60, 120, 240, 480, 900, 900])

    def test_refusals_are_asked_again_every_15_minutes(self) -> None:
        self.assertEqual(self.waits(Fault.REFUSED, 3), [900, 900, 900])

    def test_ladders_do_not_end(self) -> None:
        for fault in Fault:
            self.assertLessEqual(max(self.waits(fault, 3000)), 900)

    def test_each_ladder_counts_for_itself(self) -> None:
        self.waits(Fault.HTTP, 3)
        self.assertEqual(self.backoff.wait(Fault.NETWORK), 0.25)
        self.assertEqual(self.backoff.wait(Fault.HTTP), 40)
        self.assertEqual(self.backoff.failures(Fault.HTTP), 4)

    def test_data_resets_all_but_the_drops_which_need_a_lasting_connection(self) -> None:
        for fault in Fault:
            self.waits(fault, 3)
        self.backoff.forgive(drops=False)
        self.assertEqual([self.backoff.failures(fault) for fault in Fault], [3, 0, 0, 0, 0])
        self.assertEqual(self.backoff.wait(Fault.HTTP), 5)
        self.backoff.forgive(drops=True)
        self.assertEqual(self.backoff.wait(Fault.DROP), 0)

    def test_upstream_30_waits_until_the_reset_and_a_little_never_less(self) -> None:
        waits = {self.backoff.wait(Fault.RATE, 30.0) for _ in range(200)}
        self.assertGreater(len(waits), 100)
        self.assertGreaterEqual(min(waits), 31.0)
        self.assertLessEqual(max(waits), 32.0)


class UntilResetTests(SynchronousTestCase):
    def test_upstream_30_reset_ahead(self) -> None:
        self.assertEqual(until_reset("0", str(int(NOW) + 400), NOW), 400)
        self.assertEqual(until_reset(None, f" {int(NOW) + 1} ", NOW), 1)
        self.assertEqual(until_reset("0", str(int(NOW) + 900), NOW), 900)

    def test_upstream_31_reset_that_cannot_be(self) -> None:
        for reset in (
            str(int(NOW)),
            str(int(NOW) - 1),
            "-5",
            "1000000000000",
            "1e12",
            "",
            "٣",
            "9" * 400,
            None,
        ):
            self.assertIsNone(until_reset("0", reset, NOW), reset)

    def test_reset_does_not_matter_while_requests_are_left(self) -> None:
        self.assertIsNone(until_reset("49", str(int(NOW) + 400), NOW))
