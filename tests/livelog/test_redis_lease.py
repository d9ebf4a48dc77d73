"""The lease in a real Redis: terms that run out, and what becomes of them when the server has lost them."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from afeed.core.errors import LeaseLost, LogUnavailable
from afeed.livelog.redis_lease import RedisLease
from tests.livelog.contract import eventually, new
from tests.livelog.samples import post
from tests.livelog.test_redis import RedisFixture
from tests.servers.redis import Redis

A_WHILE, A_MOMENT = 60, 0.05


class LeaseTests(RedisFixture, TestCase):
    async def lapsed(self) -> tuple[Any, Any]:
        """Two nodes; the term of the first, ``a 1``, has run out."""
        first, second = await self.open(), await self.open()
        self.assertEqual(await first.lease.take("a 1", A_MOMENT, None, False), "a 1")
        await eventually(lambda: self.server.cli("EXISTS", "afeed:lease:runs") == "0", "the term to run out")
        return first, second

    async def test_a_term_that_has_run_out_can_be_followed_by_another(self) -> None:
        first, second = await self.lapsed()
        self.assertEqual(await second.lease.take("b 1", A_WHILE, "a 1", False), "b 1")
        self.assertFalse(await first.lease.renew("a 1", A_WHILE))

    async def test_what_was_recorded_under_an_earlier_term_is_refused_from_any_node(self) -> None:
        first, second = await self.lapsed()
        self.assertEqual(await self.append(first, post(1), lease="a 1"), new(1))  # nobody else can have written
        await second.lease.take("b 1", A_WHILE, "a 1", False)
        for log in (first, second):
            with self.assertRaises(LeaseLost):
                await self.append(log, post(2), lease="a 1")
        self.assertEqual(await self.append(second, post(3), lease="b 1"), new(2))

    async def test_a_term_that_has_run_out_goes_on_if_nobody_followed(self) -> None:
        first, second = await self.lapsed()
        self.assertTrue(await first.lease.renew("a 1", A_WHILE))
        self.assertEqual(await second.lease.take("b 1", A_WHILE, "a 1", False), "a 1")

    async def test_whoever_slept_through_a_whole_term_cannot_go_on(self) -> None:
        first, second = await self.lapsed()
        await second.lease.take("b 1", A_WHILE, "a 1", False)
        await second.lease.release("b 1")
        self.assertFalse(await first.lease.renew("a 1", A_WHILE))

    async def test_after_a_fault_of_redis_the_leader_comes_first(self) -> None:
        first, second = await self.lapsed()
        self.assertEqual(await second.lease.take("b 1", A_MOMENT, "a 1", True), "a 1")
        self.assertTrue(await first.lease.renew("a 1", A_WHILE))

    async def test_a_leader_that_does_not_come_back_is_waited_for_no_longer_than_a_term(self) -> None:
        _, second = await self.lapsed()
        self.assertEqual(await second.lease.take("b 1", A_MOMENT, "a 1", True), "a 1")

        async def taken() -> bool:
            return await second.lease.take("b 1", A_WHILE, "a 1", False) == "b 1"

        await eventually(taken, "the term of the absent to run out")

    async def test_a_redis_that_has_forgotten_the_lease_is_reminded_by_the_leader(self) -> None:
        first, second = await self.open(), await self.open()
        await first.lease.take("a 1", A_WHILE, None, False)
        self.server.cli("DEL", "afeed:lease", "afeed:lease:runs")
        with self.assertRaises(LeaseLost):
            await self.append(first, post(1), lease="a 1")
        self.assertTrue(await first.lease.renew("a 1", A_WHILE))
        self.assertEqual(await self.append(first, post(1), lease="a 1"), new(1))
        self.assertEqual(await second.lease.take("b 1", A_WHILE, "a 1", False), "a 1")

    async def test_a_redis_that_has_forgotten_the_lease_is_reminded_by_a_follower(self) -> None:
        first, second = await self.open(), await self.open()
        await first.lease.take("a 1", A_WHILE, None, False)
        self.server.cli("DEL", "afeed:lease", "afeed:lease:runs")
        self.assertEqual(await second.lease.take("b 1", A_WHILE, "a 1", False), "a 1")
        self.assertEqual(await self.append(first, post(1), lease="a 1"), new(1))

    async def test_a_term_is_bounded_by_the_servers_own_clock(self) -> None:
        log = await self.open()
        await log.lease.take("a 1", 60.0, None, False)
        self.assertTrue(0 < int(self.server.cli("PTTL", "afeed:lease:runs")) <= 60_000)
        await log.lease.renew("a 1", 600.0)
        self.assertTrue(60_000 < int(self.server.cli("PTTL", "afeed:lease:runs")) <= 600_000)

    # Whether the node is alone

    async def test_a_leader_hears_of_others_that_would_lead(self) -> None:
        first, second, third = await self.open(), await self.open(), await self.open()
        await first.lease.take("a 1", A_WHILE, None, False)
        self.assertTrue(await first.lease.renew("a 1", A_WHILE))
        self.assertFalse(first.lease.shared)
        for other in (second, third):
            await other.lease.take("b 1", A_WHILE, None, False)
        self.assertTrue(await first.lease.renew("a 1", A_WHILE))
        self.assertTrue(first.lease.shared)

    async def test_who_has_asked_before_a_term_is_not_somebody_else(self) -> None:
        first, second = await self.open(), await self.open()
        await first.lease.take("a 1", A_WHILE, None, False)
        await second.lease.take("b 1", A_WHILE, None, False)
        await first.lease.release("a 1")
        await second.lease.take("b 1", A_WHILE, None, False)
        self.assertTrue(await second.lease.renew("b 1", A_WHILE))
        self.assertFalse(second.lease.shared)

    async def test_a_node_that_was_killed_and_started_again_is_no_other(self) -> None:
        first, again = await self.lapsed()
        self.assertEqual(await first.lease.take("a 1", A_WHILE, None, False), "a 1")
        lease = RedisLease(again._reachable, Clock())
        self.assertEqual(await lease.take("a 2", A_MOMENT, None, False), "a 1")
        self.server.cli("PEXPIRE", "afeed:lease:runs", "1")

        async def taken() -> bool:
            return await lease.take("a 2", A_WHILE, None, False) == "a 2"

        await eventually(taken, "the term of the earlier process to run out")
        self.assertTrue(await lease.renew("a 2", A_WHILE))
        self.assertFalse(lease.shared)

    async def test_a_term_that_somebody_renews_is_another_nodes(self) -> None:
        log, clock = await self.open(), Clock()
        await log.lease.take("a 1", A_WHILE, None, False)
        lease = RedisLease(log._reachable, clock)
        for seconds in (0, 5):
            clock.advance(seconds)
            await lease.take("b 1", 6, None, False)
        self.assertFalse(lease.shared)
        clock.advance(2)
        await lease.take("b 1", 6, None, False)
        self.assertTrue(lease.shared)

    async def test_a_redis_out_of_memory_still_refuses(self) -> None:
        log = await self.open()
        await log.lease.take("a 1", A_WHILE, None, False)
        self.server.cli("CONFIG", "SET", "maxmemory", "1")
        try:
            self.assertEqual(await log.lease.take("b 1", 6, None, False), "a 1")
        finally:
            self.server.cli("CONFIG", "SET", "maxmemory", "0")

    async def test_a_redis_out_of_memory_still_renews(self) -> None:
        log = await self.open()
        await log.lease.take("a 1", A_WHILE, None, False)
        self.server.cli("CONFIG", "SET", "maxmemory", "1")
        try:
            self.assertTrue(await log.lease.renew("a 1", 60.0))
        finally:
            self.server.cli("CONFIG", "SET", "maxmemory", "0")


class AwayTests(RedisFixture, TestCase):
    def serve(self) -> Redis:
        server = Redis()
        self.addCleanup(server.close)
        server.start()
        return server

    async def test_an_outage_makes_everything_fail_within_seconds_and_ends_no_term(
        self,
    ) -> None:
        log = await self.open()
        await log.lease.take("a 1", A_WHILE, None, False)
        self.server.kill()
        await eventually(lambda: log.check().state == "failed", "the log to notice")
        self.patience.ends()
        for step in (
            log.lease.renew("a 1", 60),
            log.lease.take("b 1", 60, None, True),
            log.lease.release("a 1"),
        ):
            with self.assertRaises(LogUnavailable):
                await step
        self.server.start()
        await eventually(lambda: log.check().state == "ok", "the log to be usable again")
        self.assertTrue(await log.lease.renew("a 1", A_WHILE))
        self.assertEqual(await log.lease.take("b 1", A_WHILE, None, False), "a 1")
