"""How long somebody who guesses waits."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.throttle import (
    FORGET_S,
    FREE,
    LEAST_S,
    MOST_S,
    NONE,
    attempt,
    attempts_key,
    known_browser_key,
    network_of,
)


class AttemptTests(SynchronousTestCase):
    def test_waits_begin_after_some_slips_and_double_up_to_a_bound(self) -> None:
        found, now, waits = NONE, 1_800_000_000, []
        for _ in range(FREE + 12):
            wait, found = attempt(found, now)
            self.assertEqual(wait, 0)
            pause = found.next_at - now
            waits.append(pause)
            now += pause
        self.assertEqual(waits[: FREE - 1], [0] * (FREE - 1))
        self.assertEqual(waits[FREE - 1 : FREE + 2], [LEAST_S, 2 * LEAST_S, 4 * LEAST_S])
        self.assertEqual(waits[-1], MOST_S)

    def test_http_38_the_sixth_at_once_has_to_wait_and_costs_nothing(self) -> None:
        found, now = NONE, 1_800_000_000
        for _ in range(5):
            wait, found = attempt(found, now)
            self.assertEqual(wait, 0)
        for later in (0, 1, LEAST_S - 1):
            self.assertEqual(attempt(found, now + later), (LEAST_S - later, found))
        self.assertEqual(attempt(found, now + LEAST_S)[0], 0)

    def test_what_is_long_ago_is_forgotten(self) -> None:
        found, now = NONE, 1_800_000_000
        for _ in range(FREE):
            _, found = attempt(found, now)
        _, found = attempt(found, now + FORGET_S + 1)
        self.assertEqual((found.failures, found.next_at), (1, now + FORGET_S + 1))

    def test_any_number_of_failures_stays_within_what_a_database_holds(self) -> None:
        _, found = attempt(NONE._replace(failures=2**40, last_at=1000), 1000)
        self.assertEqual(found.next_at, 1000 + MOST_S)


class KeyTests(SynchronousTestCase):
    def test_a_network_is_an_address_or_an_ipv6_customer(self) -> None:
        for address, expected in (
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("somewhere", "somewhere"),
        ):
            self.assertEqual(network_of(address), expected)

    def test_other_addresses_are_not_kept_waiting(self) -> None:
        self.assertNotEqual(attempts_key("ann", "192.0.2.7"), attempts_key("ann", "192.0.2.8"))
        self.assertEqual(attempts_key("ann", "2001:db8::1"), attempts_key("ann", "2001:db8::2"))

    def test_made_up_names_fill_no_table(self) -> None:
        keys = {attempts_key(f"name{n}", "192.0.2.7") for n in range(5000)}
        self.assertLessEqual(len(keys), 256)

    def test_a_known_browser_is_known_for_one_account(self) -> None:
        keys = {known_browser_key(account, id_hash) for account in ("ann", "ben") for id_hash in (b"1", b"2")}
        self.assertEqual(len(keys), 4)
