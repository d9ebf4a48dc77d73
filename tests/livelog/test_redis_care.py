"""Looking after the logs on one connection, with a Redis that answers when the test says so."""

from __future__ import annotations

from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from afeed.interfaces import IWitness
from afeed.livelog.redis_care import POLL_SECONDS, POSITIONS_SECONDS, Care
from afeed.livelog.redis_commands import Commands
from afeed.livelog.redis_health import RedisHealth
from afeed.livelog.redis_mirror import Mirror
from afeed.livelog.settle import TESTIMONY_SECONDS
from tests.livelog.slow_redis import SlowRedis
from tests.livelog.test_settle import SilentWitness


class CareCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.redis = SlowRedis("a", "b")
        self.mirror = Mirror(100)
        self.failures: list[str] = []
        self.changes = 0

    def care(self, *witnesses: IWitness) -> Care:
        care = Care(
            Commands(self.redis, self.clock, "r"),
            tuple(self.redis.logs),
            witnesses,
            self.mirror,
            RedisHealth(),
            reactor=self.clock,
            rng=Random(1),
            window=100,
            changed=self.change,
            failed=self.failures.append,
        )
        self.addCleanup(care.end)
        return care

    def change(self) -> None:
        self.changes += 1

    def settle(self, care: Care) -> Deferred[None]:
        return Deferred.fromCoroutine(care.settle())

    def begin(self, *witnesses: IWitness) -> Care:
        """One that has settled, and begun."""
        care = self.care(*witnesses)
        self.successResultOf(self.settle(care))
        care.begin()
        return care

    def heads(self) -> dict[str, int]:
        return {event: window.head for event, window in self.mirror.windows.items()}


class SettleTests(CareCase):
    def test_an_archive_that_hangs_delays_the_return_of_redis_once_and_not_for_every_event(self) -> None:
        self.redis = SlowRedis(*"abcdef")
        archive = SilentWitness()
        settled = self.settle(self.care(archive))
        self.assertEqual(len(archive.asked), 6)
        self.clock.advance(TESTIMONY_SECONDS)
        self.successResultOf(settled)


class LookTests(CareCase):
    def test_what_others_appended_is_seen_within_a_second(self) -> None:
        self.begin()
        for log in self.redis.logs.values():
            log.append(3)
        self.clock.advance(POLL_SECONDS)
        self.assertEqual((self.heads(), self.failures), ({"a": 3, "b": 3}, []))

    def test_an_event_that_moves_on_while_another_is_read_has_lost_nothing(self) -> None:
        care = self.begin()
        self.redis.logs["a"].append()
        self.redis.prompt = False
        self.clock.advance(POLL_SECONDS)  # where both stand is on its way
        self.redis.logs["b"].append()
        care.hint("b", "old", 1)
        self.redis.answer()
        self.assertEqual((self.heads(), self.failures), ({"a": 1, "b": 1}, []))
        self.assertEqual(self.mirror.suspect, set())

    def test_every_event_that_has_lost_something_is_known_to(self) -> None:
        for log in self.redis.logs.values():
            log.append(3)
        self.begin()
        self.redis.logs["a"].changes.pop()
        del self.redis.logs["b"]
        self.clock.advance(POLL_SECONDS)
        self.assertEqual(self.mirror.suspect, {"a", "b"})
        self.assertEqual(self.failures, ["it has lost changes of a, b, which are put back now"])

    def test_a_log_that_another_node_restores_is_looked_at_anew(self) -> None:
        self.begin()
        self.redis.logs["b"].run = "-"
        self.clock.advance(POLL_SECONDS)
        self.assertEqual(self.failures, ["another node restores the live log of b at the moment"])
        self.assertEqual(self.mirror.suspect, set())


class PositionTests(CareCase):
    """How far the sources have read upstream: who forgets that fills no gap and tells of none."""

    def replace(self) -> None:
        """Another server takes the place of this one, and another node has restored everything it knew."""
        logs = self.redis.logs
        self.redis = SlowRedis(*logs)
        for event, log in logs.items():
            self.redis.logs[event].changes = list(log.changes)
            self.redis.logs[event].epoch = "new"

    def positions(self) -> dict[str, str]:
        return self.redis.logs["a"].positions

    def test_a_node_puts_them_back_although_another_restored_the_log(self) -> None:
        self.begin().end()
        self.mirror.positions["a"] = {"x": "100", "flickr:a": "7"}
        self.replace()
        self.begin()
        self.assertEqual(self.positions(), {"x": "100", "flickr:a": "7"})

    def test_a_node_that_never_led_puts_them_back_too(self) -> None:
        self.positions()["x"] = "100"
        self.begin()
        self.positions().update({"x": "101", "flickr:a": "7"})
        self.clock.pump([POLL_SECONDS] * round(POSITIONS_SECONDS / POLL_SECONDS + 1))
        self.replace()
        self.begin()
        self.assertEqual(self.positions(), {"x": "101", "flickr:a": "7"})

    def test_what_is_there_stands_and_is_not_written_again(self) -> None:
        self.positions()["x"] = "101"
        self.mirror.positions["a"] = {"x": "100"}
        self.begin()
        self.assertEqual(self.positions(), {"x": "101"})
        # A server whose memory is used up would refuse that, and then nothing could be read from it either.
        self.assertNotIn("HSETNX", self.redis.asked)

    def test_they_are_not_forgotten_with_the_server(self) -> None:
        self.positions()["x"] = "100"
        self.begin()
        self.positions().clear()
        self.clock.pump([POLL_SECONDS] * round(POSITIONS_SECONDS / POLL_SECONDS + 1))
        self.assertEqual(self.mirror.positions["a"], {"x": "100"})
