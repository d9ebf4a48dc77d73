"""What a node has seen of Redis, with one that answers when the test says so."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.errors import LogUnavailable
from afeed.livelog.redis_commands import Commands
from afeed.livelog.redis_mirror import Mirror
from tests.livelog.slow_redis import SlowRedis


class FollowTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.redis = SlowRedis("e")
        self.commands = Commands(self.redis, Clock(), "r")
        self.mirror = Mirror(100)
        self.successResultOf(self.follow())
        self.redis.logs["e"].append(3)
        self.redis.prompt = False
        self.redis.asked.clear()

    def follow(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.wait())

    async def wait(self) -> None:
        """As callers do: cancelling theirs cancels what they wait for."""
        await self.mirror.follow(self.commands, "e")

    def head(self) -> int:
        return self.mirror.windows["e"].head

    def test_all_that_come_during_a_look_share_the_next(self) -> None:
        first = self.follow()
        others = [self.follow() for _ in range(5)]
        self.redis.logs["e"].append()
        self.redis.answer(1)
        self.successResultOf(first)
        for other in others:
            self.assertNoResult(other)
        self.redis.answer(1)
        for other in others:
            self.successResultOf(other)
        self.assertEqual((self.head(), self.redis.asked), (4, ["READ", "READ"]))

    def test_whoever_leaves_takes_nothing_from_those_who_share_the_look(self) -> None:
        for leaves in range(3):
            with self.subTest(leaves):
                self.redis.logs["e"].append()
                turns = [self.follow() for _ in range(3)]
                turns[leaves].cancel()
                self.failureResultOf(turns.pop(leaves), CancelledError)
                self.redis.answer()
                for turn in turns:
                    self.successResultOf(turn)
        self.assertEqual(self.head(), 6)

    def test_a_look_that_nobody_waits_for_any_more_is_seen_all_the_same(self) -> None:
        turn = self.follow()
        turn.cancel()
        self.failureResultOf(turn, CancelledError)
        self.redis.answer()
        self.assertEqual((self.head(), self.redis.asked), (3, ["READ"]))

    def test_a_failed_look_fails_for_those_who_waited_for_it_and_the_next_is_another(self) -> None:
        dead, turn = self.redis, self.follow()
        self.redis = SlowRedis("e")
        self.redis.logs["e"].append(3)
        self.commands = Commands(self.redis, Clock(), "r")
        later = self.follow()
        dead.abort()
        failure = self.failureResultOf(turn, LogUnavailable)
        self.assertEqual(failure.getErrorMessage(), "the connection was lost")
        self.successResultOf(later)
        self.assertEqual(self.head(), 3)

    def test_a_defect_is_told_in_the_log_and_the_next_look_goes_on(self) -> None:
        load, faults = self.mirror._catch_up, [ZeroDivisionError()]

        async def broken(*args: object) -> None:
            if faults:
                raise faults.pop()
            await load(*args)  # type: ignore[arg-type]

        self.mirror._catch_up = broken  # type: ignore[method-assign]
        self.failureResultOf(self.follow(), LogUnavailable)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        turn = self.follow()
        self.redis.answer()
        self.successResultOf(turn)
