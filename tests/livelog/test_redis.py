"""The live log in Redis."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from itertools import chain
from random import Random
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from afeed.core.cursor import Ancestor
from afeed.core.draft import Removed
from afeed.core.errors import LogDefect, LogUnavailable
from afeed.interfaces import IWitness, Position, Testimony
from afeed.livelog import redis_appends, settle
from afeed.livelog.redis import RedisLog
from tests.livelog.contract import LiveLogContract, LiveLogFixture, eventually, new, random_draft
from tests.livelog.held_contract import FiledStorageContract, HeldKillContract, HeldStorageContract, held
from tests.livelog.patience import Stopwatch
from tests.livelog.samples import AT, HesitantWitness, MemoryWitness, post, posted
from tests.servers.redis import Redis, shared


@implementer(IWitness)
class SilentWitness:
    """Never answers; ``asked`` counts."""

    def __init__(self) -> None:
        self.asked = 0

    def testimony(self, event: str) -> Deferred[Testimony | None]:
        self.asked += 1
        return Deferred()


class RedisFixture(LiveLogFixture):
    """Every log of one test works in the same Redis, which is empty at first."""

    server: Redis

    def setUp(self) -> None:
        super().setUp()
        self.server = self.serve()

    def serve(self) -> Redis:
        server = shared()
        server.cli("FLUSHALL")
        return server

    def make(self, window: int, max_log_bytes: int, rng: Random, now: Callable[[], float]) -> RedisLog:
        return RedisLog(self.server.url, reactor, now, rng, window=window, max_log_bytes=max_log_bytes)

    async def lose(self, log: Any) -> None:
        self.server.cli("FLUSHALL")


class RedisContractTests(RedisFixture, LiveLogContract, TestCase):
    """The contract."""


class RedisHeldTests(RedisFixture, HeldStorageContract, TestCase):
    """What is held."""


class RedisHeldKillTests(RedisFixture, HeldKillContract, TestCase):
    """Kills."""

    def where(self) -> str:
        return self.server.url


class RedisFiledTests(RedisFixture, FiledStorageContract, TestCase):
    """Filings, and changes of the programme."""


class RedisTests(RedisFixture, TestCase):
    """What is Redis's own, with a server that stays up."""

    def keys(self) -> list[str]:
        return sorted(self.server.cli("KEYS", "*").split())

    async def test_all_keys_of_an_event_have_one_hash_tag(self) -> None:
        log = await self.open(["e"])
        await self.append(log, post(1), post(1, "2"), position=Position("x", "1"))
        self.assertEqual({key.partition("}")[0] for key in self.keys()}, {"afeed:{e"})

    async def test_removed_content_is_nowhere_in_redis(self) -> None:
        log = await self.open()
        await self.append(log, post(1, "1", "a secret"), post(1, "2", "a secret"), post(2))
        await self.append(log, Removed("push:1"))
        everything = self.server.cli(
            "LRANGE", next(key for key in self.keys() if key.endswith("log")), "0", "-1"
        )
        self.assertIn("hello", everything)
        self.assertNotIn("secret", everything)

    async def test_callers_share_a_round_trip(self) -> None:
        log = await self.open()
        self.server.cli("CONFIG", "RESETSTAT")
        await gatherResults([log.append("e", None, [post(n)]) for n in range(300)])
        stats = self.server.cli("INFO", "commandstats")
        calls = int(stats.partition("cmdstat_evalsha:calls=")[2].partition(",")[0])
        self.assertLess(calls, 10)

    async def test_a_server_that_forgot_the_scripts_is_taught_again(self) -> None:
        log = await self.open()
        self.server.cli("SCRIPT", "FLUSH")
        self.assertEqual(await self.append(log, post(1)), new(1))
        await log.trim("e", 1)
        self.assertEqual(log.check().state, "ok")

    async def test_a_draft_that_cannot_be_sent_is_refused_and_those_that_came_with_it_are_recorded(
        self,
    ) -> None:
        log = await self.open()
        first = log.append("e", None, [post(0)])
        good = log.append("e", None, [post(1)])
        bad = log.append("e", None, [post(2)], position=Position("x", "\ud800"))
        last = log.append("e", None, [post(3)])
        self.assertEqual([await first, await good, await last], [new(1), new(2), new(3)])
        with self.assertRaises(LogDefect):
            await bad
        self.assertEqual(len(self.flushLoggedErrors(UnicodeEncodeError)), 1)

    async def test_databases_are_apart(self) -> None:
        log = await self.open()
        await self.append(log, post(1))
        other = RedisLog(self.server.url_of(5), reactor, lambda: 0.0, self.rng, window=10, max_log_bytes=10**9)
        self.open_logs.append(other)
        await other.start(["e"], [])
        self.assertEqual((await other.head("e")).seq, 0)

    async def test_a_refilled_log_knows_all_that_the_first_one_knew(self) -> None:
        rng = Random(7)
        drafts = [random_draft(rng) for _ in range(200)]
        self.window = 1000
        log = await self.open()
        # Twice: what was filed before it was posted is recorded the second time.
        await self.append(log, *drafts, *drafts)
        recorded = await self.append(log, *drafts)
        changes = (await log.read("e", 0, 1000)).changes
        await self.close(log)
        for window, page in ((10, 7), (len(changes) - 5, 1000), (1, 1), (1000, 50)):
            self.server.cli("FLUSHALL")
            self.window = window
            self.patch(settle, "PAGE", page)
            log = await self.open(witnesses=[MemoryWitness("old", changes)])
            kept = await log.read("e", 0, 1000)
            self.assertEqual(kept.changes, changes[-window:])
            self.assertEqual(await self.append(log, *drafts), recorded)
            await self.append(log, *(Removed(f"push:{number}") for number in range(6)))
            self.assertNotIn("item.posted", await self.types(log))
            (key,) = [key for key in self.keys() if key.endswith("log")]
            bodies = self.server.cli("LRANGE", key, "0", "-1").splitlines()
            self.assertEqual(log.check().data["bytes"]["e"], sum(map(len, bodies)))
            await self.close(log)

    # Two nodes

    async def test_nodes_share_an_event(self) -> None:
        one, two = await self.open(), await self.open()
        self.assertEqual(await one.head("e"), await two.head("e"))
        self.assertEqual(await self.append(one, post(1)), new(1))
        self.assertEqual(await self.append(two, post(1), post(2)), [(1, False), (2, True)])
        self.assertEqual([c["seq"] for c in await self.changes(two)], [1, 2])
        await eventually(
            lambda: one.head("e").addCallback(lambda head: head.seq == 2), "the other node's change"
        )
        self.assertEqual(await self.changes(one), await self.changes(two))

    async def test_nodes_that_append_at_once_see_the_same_sequence(self) -> None:
        self.window = 1000
        nodes = [await self.open() for _ in range(3)]
        results = await gatherResults(
            [
                node.append("e", None, [post(f"{n}"), post(f"{k}-{n}")])
                for n in range(60)
                for k, node in enumerate(nodes)
            ]
        )
        numbers = sorted(recorded.seq for pair in results for recorded in pair if recorded.new)
        self.assertEqual(numbers, list(range(1, 241)))
        for node in nodes:
            await eventually(
                lambda n=node: n.head("e").addCallback(lambda head: head.seq == 240), "all changes"
            )
        first = (await nodes[0].read("e", 0, 1000)).changes
        self.assertEqual(len(first), 240)
        for node in nodes[1:]:
            self.assertEqual((await node.read("e", 0, 1000)).changes, first)

    async def test_a_removal_on_one_node_redacts_the_memory_of_the_other(self) -> None:
        one, two = await self.open(), await self.open()
        await self.append(one, post(1), post(2))
        await eventually(lambda: two.head("e").addCallback(lambda head: head.seq == 2), "the changes")
        await self.append(one, Removed("push:1"))
        await eventually(lambda: two.head("e").addCallback(lambda head: head.seq == 3), "the removal")
        self.assertEqual(await self.types(two), ["redacted", "item.posted", "item.removed"])

    async def test_two_nodes_that_release_the_same_give_it_one_number(self) -> None:
        one, two = await self.open(), await self.open()
        await one.hold("e", [held(number) for number in range(50)])
        ids = [f"push:{number}" for number in range(50)]
        both = await gatherResults([one.release("e", ids), two.release("e", ids[::-1])])
        numbered = [recorded for recorded in chain(*both) if recorded.new]
        self.assertEqual(sorted(recorded.seq for recorded in numbered), list(range(1, 51)))
        self.assertEqual(sum(recorded == (0, False) for recorded in chain(*both)), 50)
        for node in (one, two):
            await eventually(lambda n=node: n.head("e").addCallback(lambda head: head.seq == 50), "the changes")
        self.window = 100
        three = await self.open()
        found = [change["item"]["id"] for change in await self.changes(three)]
        self.assertEqual(sorted(found), sorted(ids))

    async def test_what_one_node_holds_another_shows_stops_and_releases(self) -> None:
        one, two = await self.open(), await self.open()
        heard: list[str] = []
        one.watch(heard.append)
        await one.hold("e", [held(1), held(2)])
        self.assertEqual([held.item.id for held in await two.held("e", 9)], ["push:1", "push:2"])
        await two.stop_held("e", ["push:1"])
        self.assertEqual([held.item.id for held in await one.held("e", 9)], ["push:2"])
        self.assertEqual(heard, [])
        self.assertEqual(await two.release("e", ["push:2"]), new(1))
        await eventually(lambda: heard, "the hint")
        self.assertEqual([c["item"]["id"] for c in await self.changes(one)], ["push:2"])
        await eventually(lambda: one.check().data["held"] == {"e": 1}, "the count")

    async def test_a_post_costs_one_small_look_up_while_nothing_is_held(self) -> None:
        log = await self.open()
        await self.append(log, post(0))
        self.server.cli("CONFIG", "RESETSTAT")
        await self.append(log, *(post(number) for number in range(1, 101)))
        stats = self.server.cli("INFO", "commandstats")
        calls = dict(re.findall(r"cmdstat_(\w+):calls=(\d+)", stats))
        # Two for every post, to tell whether it is known; one for the whole script.
        self.assertEqual(int(calls["hget"]), 201)
        self.assertNotIn("zrem", calls)
        self.assertFalse([key for key in self.keys() if "held" in key])

    async def test_nothing_is_left_of_what_was_held(self) -> None:
        log = await self.open()
        await log.hold("e", [held(1, until=AT), held(2, "1", "a secret"), held(2, "2", "a secret"), held(3)])
        await log.stop_held("e", ["push:3"])
        self.assertEqual({key.partition("}")[0] for key in self.keys()}, {"afeed:{e"})
        await self.append(log, Removed("push:2"))
        self.assertNotIn("secret", self.server.cli("--no-raw", "HGETALL", "afeed:{e}:held"))
        await log.release("e", ["push:1", "push:3"])
        self.assertFalse([key for key in self.keys() if "held" in key])

    async def test_a_lost_hint_costs_a_second(self) -> None:
        one, two = await self.open(), await self.open()
        await two._hints.stop()
        self.assertFalse(two._hints.up)
        await self.append(one, post(1))
        await eventually(lambda: two.head("e").addCallback(lambda head: head.seq == 1), "the poll")
        self.assertEqual(two.check().state, "ok")

    async def test_a_node_that_was_far_behind_starts_from_the_newest(self) -> None:
        one, two = await self.open(), await self.open()
        await two._hints.stop()
        for start in range(0, 60, 20):
            await self.append(one, *(post(n) for n in range(start, start + 20)))
        await one.trim("e", 50)
        await eventually(lambda: two.head("e").addCallback(lambda head: head.seq == 60), "the poll")
        self.assertEqual([c["seq"] for c in await self.changes(two)], list(range(51, 61)))

    async def test_nodes_that_began_without_the_archive_agree_when_it_returns(self) -> None:
        archives = [MemoryWitness("old", [posted(n) for n in range(1, 4)], away=True) for _ in range(2)]
        nodes = [await self.open(witnesses=[archive]) for archive in archives]
        await self.append(nodes[0], post("a"))
        await self.append(nodes[1], post("b"))
        for archive in archives:
            archive.away = False

        async def agreed() -> bool:
            heads = {await node.head("e") for node in nodes}
            return len(heads) == 1 and heads.pop().seq == 5 and all(n.check().state == "ok" for n in nodes)

        await eventually(agreed, "one history")
        self.assertEqual(await self.append(nodes[1], post("a"), post("c")), [(4, False), (6, True)])
        ids = [c["item"]["id"] for c in await self.changes(nodes[1])]
        self.assertEqual(ids, [f"push:{name}" for name in (1, 2, 3, "a", "b", "c")])

    # Losses while the server stays up

    async def test_a_flushed_database_is_noticed_and_filled_from_memory(self) -> None:
        log = await self.open()
        await self.append(log, *(post(n) for n in range(1, 6)))
        before, head = await self.changes(log), await log.head("e")
        self.server.cli("FLUSHALL")
        await eventually(lambda: log.head("e").addCallback(lambda now: now.epoch != head.epoch), "a new epoch")
        self.assertEqual(await self.changes(log), before)
        self.assertEqual((await log.lineage("e")).ancestors, (Ancestor(head.epoch, 5),))
        self.assertEqual(await self.append(log, post(5), post(6)), [(5, False), (6, True)])

    async def test_the_positions_of_sources_outlive_a_flush_while_their_node_lives(self) -> None:
        log = await self.open()
        await self.append(log, post(1), position=Position("x", "100"))
        await self.append(log, post(2), position=Position("x", "101"))
        epoch = (await log.head("e")).epoch
        self.server.cli("FLUSHALL")
        await eventually(lambda: log.head("e").addCallback(lambda now: now.epoch != epoch), "a new epoch")
        self.assertEqual(await log.position("e", "x"), "101")

    async def test_the_positions_of_sources_outlive_a_flush_that_another_node_makes_good(self) -> None:
        leader, other = await self.open(), await self.open()
        await self.append(leader, post(1), position=Position("x", "100"))
        await eventually(lambda: other.head("e").addCallback(lambda head: head.seq == 1), "the change")
        epoch = (await other.head("e")).epoch
        network: Deferred[None] = Deferred()
        connect = leader._link._connect

        async def connect_later() -> Any:
            await network
            return await connect()

        leader._link._connect = connect_later
        leader._link.abort("a test")
        self.server.cli("FLUSHALL")
        await eventually(
            lambda: other.head("e").addCallback(lambda now: now.epoch != epoch), "the other to restore the log"
        )
        network.callback(None)
        await eventually(lambda: leader._link.up, "the leader to be back")
        self.assertEqual(await other.position("e", "x"), "100")

    async def test_a_position_that_redis_kept_is_not_overwritten(self) -> None:
        log = await self.open()
        await self.append(log, post(1), position=Position("x", "100"))
        self.server.cli("HSET", "afeed:{e}:positions", "x", "102")
        self.server.cli("DEL", next(key for key in self.keys() if key.endswith("log")))
        epoch = (await log.head("e")).epoch
        await eventually(lambda: log.head("e").addCallback(lambda now: now.epoch != epoch), "a new epoch")
        self.assertEqual(await log.position("e", "x"), "102")

    async def test_an_append_after_a_flush_waits_for_the_recovery(self) -> None:
        log = await self.open()
        await self.append(log, *(post(n) for n in range(1, 6)))
        self.server.cli("FLUSHALL")
        self.assertEqual(await self.append(log, post(3), post(6)), [(3, False), (6, True)])

    async def test_a_deleted_list_is_noticed(self) -> None:
        log = await self.open()
        await self.append(log, *(post(n) for n in range(1, 6)))
        head = await log.head("e")
        self.server.cli("DEL", next(key for key in self.keys() if key.endswith("log")))
        await eventually(lambda: log.head("e").addCallback(lambda now: now.epoch != head.epoch), "a new epoch")
        self.assertEqual([c["seq"] for c in await self.changes(log)], [1, 2, 3, 4, 5])

    async def test_nothing_staged_is_left_behind(self) -> None:
        self.server.cli("SADD", "afeed:{e}:staging", "afeed:{e}:dead:")
        self.server.cli("HSET", "afeed:{e}:dead:meta", "epoch", "unfinished")
        self.server.cli("RPUSH", "afeed:{e}:dead:log", "x")
        await self.open(witnesses=[MemoryWitness("old", [posted(1), posted(2)])])
        self.assertEqual(len(self.keys()), 3)
        self.assertFalse([key for key in self.keys() if "dead" in key or "staging" in key])


class OwnServerFixture(RedisFixture):
    """Every test has a server of its own."""

    append_only = True
    password: str | None = None

    def serve(self) -> Redis:
        server = Redis(append_only=self.append_only, password=self.password)
        self.addCleanup(server.close)
        server.start()
        return server


class RedisFaultTests(OwnServerFixture, TestCase):
    """Faults of the server itself."""

    async def recovered(self, log: Any, epoch: str) -> None:
        """Wait for the epoch after ``epoch``; :mod:`tests.chaos.redis_faults` measures how long it takes."""

        async def done() -> bool:
            return log.check().state != "failed" and (await log.head("e")).epoch != epoch

        await eventually(done, "the recovery")

    async def test_a_restart_begins_an_epoch_that_shares_everything(self) -> None:
        log = await self.open()
        await self.append(log, *(post(n) for n in range(1, 31)), position=Position("x", "1"))
        head, before = await log.head("e"), await self.changes(log)
        self.server.restart()
        await self.recovered(log, head.epoch)
        self.assertEqual((await log.lineage("e")).ancestors, (Ancestor(head.epoch, 30),))
        self.assertEqual(await self.changes(log), before)
        self.assertEqual(await log.position("e", "x"), "1")
        self.assertEqual(await self.append(log, post(4), post(31)), [(4, False), (31, True)])

    async def test_a_restart_keeps_what_is_held(self) -> None:
        log = await self.open()
        await self.append(log, post(1))
        await log.hold("e", [held(2), held(1, "2"), held(3)])
        await log.stop_held("e", ["push:3"])
        epoch = (await log.head("e")).epoch
        self.server.restart()
        await self.recovered(log, epoch)
        self.assertEqual([one.item.id for one in await log.held("e", 9)], ["push:2", "push:1"])
        self.assertEqual([one.item.id for one in await log.held("e", 9, stopped=True)], ["push:3"])
        self.assertEqual(await log.release("e", ["push:1", "push:2"]), new(2, 3))

    async def test_holding_and_releasing_wait_for_a_restart(self) -> None:
        log = await self.open()
        await log.hold("e", [held(1)])
        self.server.restart()
        await eventually(lambda: not log._link.up, "the loss of the connection")
        waiting = gatherResults([log.hold("e", [held(2)]), log.release("e", ["push:1"])])
        self.assertEqual(await waiting, [[True], new(1)])

    async def test_a_server_that_is_not_the_one_that_was_looked_at_takes_nothing(self) -> None:
        log = await self.open()
        await self.append(log, post(1))
        await log.hold("e", [held(2)])
        self.server.cli("HSET", "afeed:{e}:meta", "run", "-")
        for refused in (log.hold("e", [held(3)]), log.release("e", ["push:2"]), log.stop_held("e", ["push:2"])):
            with self.assertRaises(LogUnavailable):
                await refused
        await eventually(lambda: log.check().state != "failed", "the log to be looked at")

        async def released() -> bool:
            try:
                return await log.release("e", ["push:2"]) == new(2)
            except LogUnavailable:
                return False

        await eventually(released, "the release")

    async def test_a_restart_while_no_node_ran_begins_a_new_epoch(self) -> None:
        log = await self.open()
        await self.append(log, post(1))
        epoch = (await log.head("e")).epoch
        await self.close(log)
        self.server.restart()
        log = await self.open()
        self.assertEqual((await log.lineage("e")).ancestors, (Ancestor(epoch, 1),))

    async def test_what_redis_lost_is_filled_from_the_archive_and_the_living_node(self) -> None:
        archive = MemoryWitness("", [])
        log = await self.open(witnesses=[archive])
        await self.append(log, *(post(n) for n in range(1, 31)))
        epoch = (await log.head("e")).epoch
        archive.epoch, archive.changes = epoch, (await log.read("e", 0, 25)).changes
        self.server.restart(lose=True)
        await self.recovered(log, epoch)
        self.assertEqual((await log.lineage("e")).ancestors, (Ancestor(epoch, 30),))
        slice_ = await log.read("e", 0, 100)
        self.assertEqual([c.seq for c in slice_.changes], list(range(21, 31)))
        recorded = await self.append(log, post(1), post(27), post(30), post(31))
        self.assertEqual(recorded, [(1, False), (27, False), (30, False), (31, True)])

    async def test_without_an_archive_the_living_node_gives_what_it_has(self) -> None:
        log = await self.open()
        await self.append(log, *(post(n) for n in range(1, 31)))
        epoch = (await log.head("e")).epoch
        self.server.restart(lose=True)
        await self.recovered(log, epoch)
        slice_ = await log.read("e", 0, 100)
        self.assertEqual((slice_.first_seq, slice_.changes[-1].seq), (21, 30))
        self.assertEqual(await self.append(log, post(30), post(31)), [(30, False), (31, True)])

    async def test_several_nodes_recover_into_one_epoch(self) -> None:
        nodes = [await self.open() for _ in range(3)]
        await self.append(nodes[0], *(post(n) for n in range(1, 6)))
        for node in nodes:
            await eventually(lambda n=node: n.head("e").addCallback(lambda head: head.seq == 5), "the changes")
        epoch = (await nodes[0].head("e")).epoch
        self.server.restart(lose=True)
        for node in nodes:
            await self.recovered(node, epoch)
        self.assertEqual(await self.append(nodes[1], post(5), post(6)), [(5, False), (6, True)])

        async def agreed() -> bool:
            return len({await node.head("e") for node in nodes}) == 1

        await eventually(agreed, "one epoch")
        for node in nodes:
            self.assertEqual([c["seq"] for c in await self.changes(node)], [1, 2, 3, 4, 5, 6])

    async def test_appends_during_a_restart_wait_and_are_recorded_once(self) -> None:
        log = await self.open()
        await self.append(log, post(0))
        waiting = [log.append("e", None, [post(n)]) for n in range(1, 20)]
        self.server.restart()
        results = [await d for d in waiting]
        self.assertEqual([r[0].seq for r in results], list(range(2, 21)))
        self.assertEqual((await log.head("e")).seq, 20)

    async def test_while_redis_is_away_pages_stay_and_appends_fail_in_time(self) -> None:
        log = await self.open()
        await self.append(log, post(1))
        self.server.kill()
        self.assertEqual([c["seq"] for c in await self.changes(log)], [1])
        self.assertEqual((await log.head("e")).seq, 1)
        self.patience.ends()
        took = Stopwatch()
        with self.assertRaises(LogUnavailable):
            await self.append(log, post(2))
        with self.assertRaises(LogUnavailable):
            await log.position("e", "x")
        self.assertLess(took.stop(), 8)
        self.assertEqual(log.check().state, "failed")

    async def test_stop_refuses_at_once_what_waits_for_a_redis_that_is_away(self) -> None:
        log = await self.open()
        await self.append(log, post(1))
        self.server.kill()
        await eventually(lambda: not log._link.up, "the loss of the connection")
        took = Stopwatch()
        waiting = [log.append("e", None, [post(n)]) for n in (2, 3)]
        await self.close(log)
        self.assertLess(took.stop(), 1)
        for refused in waiting:
            self.assertIsInstance(self.failureResultOf(refused).value, LogUnavailable)

    async def test_after_stop_nobody_waits_for_a_redis_that_will_not_come_back(self) -> None:
        log = await self.open()
        await self.close(log)
        for asked in (log.position("e", "x"), log.lease.release("a 1"), log.append("e", None, [post(1)])):
            self.failureResultOf(asked, LogUnavailable)

    async def test_stop_sends_what_can_be_sent(self) -> None:
        log = await self.open()
        waiting = [log.append("e", None, [post(n)]) for n in range(1, 4)]
        await self.close(log)
        self.assertEqual([self.successResultOf(sent) for sent in waiting], [new(1), new(2), new(3)])

    async def test_stop_is_prompt_while_a_witness_is_silent(self) -> None:
        witness = SilentWitness()
        log = self.make(self.window, self.max_log_bytes, self.rng, lambda: self.now)
        self.open_logs.append(log)
        started = log.start(["e", "f"], [witness])
        await eventually(lambda: witness.asked, "the question")
        await self.close(log)
        await started
        self.assertEqual(witness.asked, 2)

    async def test_a_redis_that_hangs_is_noticed_and_used_again(self) -> None:
        log = await self.open()
        await self.append(log, post(1))
        self.server.signal(signal.SIGSTOP)
        try:
            self.patience.ends()
            took = Stopwatch()
            with self.assertRaises(LogUnavailable):
                await self.append(log, post(2))
            self.assertLess(took.stop(), 4)
            await eventually(lambda: log.check().state == "failed", "health to turn red")
        finally:
            self.server.signal(signal.SIGCONT)
        await eventually(lambda: log.check().state == "ok", "health to turn green")
        ((seq, _),) = await self.append(log, post(2))
        self.assertEqual(seq, 2)
        self.assertEqual([c["seq"] for c in await self.changes(log)], [1, 2])

    async def test_a_start_without_redis_is_told_and_made_good_later(self) -> None:
        self.server.kill()
        log = await self.open()
        self.assertEqual(log.check().state, "failed")
        with self.assertRaises(LogUnavailable):
            await log.head("e")
        self.server.start()
        await eventually(lambda: log.check().state == "ok", "Redis")
        self.assertEqual(await self.append(log, post(1)), new(1))

    async def test_a_policy_that_evicts_is_refused_until_it_is_changed(self) -> None:
        self.server.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        log = await self.open()
        check = log.check()
        self.assertEqual(check.state, "failed")
        self.assertIn("maxmemory-policy noeviction", check.detail)
        self.server.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")
        await eventually(lambda: log.check().state == "ok", "health to turn green")

    async def test_memory_that_is_used_up_refuses_the_whole_append(self) -> None:
        log = await self.open()
        await self.append(log, post(1))
        self.server.cli("CONFIG", "SET", "maxmemory", "1")
        with self.assertRaises(LogUnavailable):
            await self.append(log, post(2), post(3), position=Position("x", "1"))
        self.assertEqual(log.check().state, "failed")
        self.assertIsNone(await log.position("e", "x"))
        self.server.cli("CONFIG", "SET", "maxmemory", "0")
        await eventually(lambda: log.check().state == "ok", "health to turn green")
        self.assertEqual(await self.append(log, post(2)), new(2))

    async def test_a_replica_is_refused(self) -> None:
        master = self.server
        self.server = Redis()
        self.addCleanup(self.server.close)
        self.server.start("--replicaof", "127.0.0.1", str(master.port))
        log = await self.open()
        self.assertEqual(log.check().state, "failed")
        self.assertIn("replica", log.check().detail)

    async def test_connections_that_are_cut_come_back(self) -> None:
        log = await self.open()
        await self.append(log, post(1))
        epoch = (await log.head("e")).epoch
        for kind in ("normal", "pubsub", "normal"):
            self.server.cli("CLIENT", "KILL", "TYPE", kind)
            await eventually(lambda: log._link.up and log._hints.up, "both connections")
        self.assertEqual(await self.append(log, post(2)), new(2))
        self.assertEqual((await log.head("e")).epoch, epoch)

    async def test_the_master_is_found_through_sentinels(self) -> None:
        sentinel = Redis()
        self.addCleanup(sentinel.close)
        (sentinel.directory / "sentinel.conf").write_text(
            f"port {sentinel.port}\nbind 127.0.0.1\nsentinel monitor feed 127.0.0.1 {self.server.port} 1\n"
        )
        sentinel.start_sentinel("sentinel.conf")
        url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel.port}/feed/3"
        log = RedisLog(url, reactor, lambda: 0.0, self.rng, window=10, max_log_bytes=10**9)
        self.open_logs.append(log)
        await log.start(["e"], [])
        self.assertEqual(await self.append(log, post(1)), new(1))
        self.assertEqual(self.server.cli("EXISTS", "afeed:{e}:meta", db=3), "1")


class RedisAskingAgainTests(RedisFixture, TestCase):
    """Witnesses that were away, and connections that come and go meanwhile."""

    async def test_a_witness_that_was_away_is_asked_until_it_answers(self) -> None:
        archive = MemoryWitness("old", [posted(n) for n in range(1, 4)], away=True)
        log = await self.open(witnesses=[archive])
        await eventually(lambda: archive.asked >= 3, "the third question")
        archive.away = False
        await eventually(lambda: log.head("e").addCallback(lambda head: head.seq == 3), "the archive's changes")

    async def test_commands_of_a_dead_connection_are_not_used_again(self) -> None:
        log = await self.open(witnesses=[MemoryWitness("old", [posted(1)], away=True)])
        dead = log._care
        log._link.abort("a test")
        await eventually(lambda: log._care is not dead and log._link.up, "another connection")
        fresh = log._care
        # Looks that end well, and others that do not, although their connection has ended long ago.
        dead.begin()
        dead._broke(Failure(LogUnavailable("a test")))
        self.assertIs(await log._usable("e", 0), fresh.commands)
        self.assertTrue(log._link.up)
        dead.end()

    async def test_a_connection_that_ends_as_it_becomes_usable_is_forgotten(self) -> None:
        log = await self.open()
        log._link._lost = lambda: None  # as if it had never been usable
        await log._link.stop()
        await eventually(lambda: log._care is None, "the end of the connection")


class RedisRestoringTests(RedisFixture, TestCase):
    """While a log is being filled, which may take longer than the lease lasts."""

    def waits(self, log: Any) -> None:
        """Health says that ``log`` takes nothing, and for how long."""
        check = log.check()
        self.assertEqual(check.state, "failed")
        self.assertIn("The live log of e is being compared", check.detail)
        self.assertIn("pushes get 503", check.detail)

    async def test_a_start_that_takes_long_keeps_nobody_from_the_lease(self) -> None:
        archive = HesitantWitness()
        log = self.make(self.window, self.max_log_bytes, self.rng, lambda: self.now)
        self.open_logs.append(log)
        started = log.start(["e"], [archive])
        await eventually(lambda: archive.asked, "the log to be filled")
        self.waits(log)
        self.assertEqual(await log.lease.take("a 1", 60, None, False), "a 1")
        self.assertTrue(await log.lease.renew("a 1", 60))
        self.assertNoResult(started)
        archive.give()
        await started
        self.assertEqual(log.check().state, "ok")
        self.assertEqual(await self.append(log, post(3), lease="a 1"), new(3))

    async def test_a_log_that_is_filled_later_is_told_and_holds_nobody_else_up(self) -> None:
        archive = HesitantWitness(away=True)
        log = await self.open(["e", "f"], [archive])
        self.assertEqual(log.check().state, "ok")
        archive.away = False
        await eventually(lambda: archive.asked, "the log to be filled")
        self.waits(log)
        waiting = log.append("e", None, [post(3)])
        self.assertEqual(await log.append("f", None, [post(1)]), new(1))
        self.assertEqual(await log.lease.take("a 1", 60, None, False), "a 1")
        self.assertNoResult(waiting)
        archive.give()
        self.assertEqual(await waiting, new(3))
        await eventually(lambda: log.check().state == "ok", "health to turn green")

    async def test_an_append_is_refused_in_time_while_the_log_is_filled(self) -> None:
        self.patch(redis_appends, "PATIENCE_SECONDS", 0.1)
        archive = HesitantWitness(away=True)
        log = await self.open(witnesses=[archive])
        archive.away = False
        await eventually(lambda: archive.asked, "the log to be filled")
        with self.assertRaises(LogUnavailable) as refusal:
            await self.append(log, post(3))
        self.assertIn("being restored", str(refusal.exception))
        self.waits(log)
        archive.give()


class RedisWithoutFileTests(OwnServerFixture, TestCase):
    append_only = False

    async def test_a_missing_append_only_file_is_a_warning(self) -> None:
        log = await self.open()
        check = log.check()
        self.assertEqual(check.state, "degraded")
        self.assertIn("appendonly yes", check.detail)
        self.assertEqual(await self.append(log, post(1)), new(1))


class RedisPasswordTests(OwnServerFixture, TestCase):
    password = "s3cret:p@ss/word%"

    async def test_the_password_is_given_and_never_shown(self) -> None:
        log = await self.open()
        self.assertEqual(await self.append(log, post(1)), new(1))
        shown = json.dumps(log.check().data) + log.check().detail + repr(log._address) + str(log._address)
        self.assertNotIn("s3cret", shown)
        await eventually(lambda: log._hints.up, "the hint channel")

    async def test_a_wrong_password_is_told_without_naming_it(self) -> None:
        url = f"redis://:wrong-one@127.0.0.1:{self.server.port}/0"
        log = RedisLog(url, reactor, lambda: 0.0, self.rng, window=10, max_log_bytes=10**9)
        self.open_logs.append(log)
        await log.start(["e"], [])
        self.assertEqual(log.check().state, "failed")
        await eventually(lambda: "WRONGPASS" in log.check().detail, "the reason")
        self.assertNotIn("wrong-one", log.check().detail)
