"""The live log in Redis."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from afeed.livelog.redis import RedisLog
from tests.livelog.contract import LiveLogContract, LiveLogFixture
from tests.servers.redis import shared


class RedisFixture(LiveLogFixture):
    """Every log of one test works in the same Redis, which is empty at first."""

    def setUp(self) -> None:
        super().setUp()
        self.server = shared()
        self.server.cli("FLUSHALL")

    def make(self, window: int, max_log_bytes: int, rng: Random, now: Callable[[], float]) -> RedisLog:
        return RedisLog(self.server.url, reactor, now, rng, window=window, max_log_bytes=max_log_bytes)

    async def grant(self, log: Any, token: str | None) -> None:
        if token is None:
            self.server.cli("DEL", "afeed:lease")
        else:
            self.server.cli("SET", "afeed:lease", token)

    async def lose(self, log: Any) -> None:
        self.server.cli("FLUSHALL")


class RedisContractTests(RedisFixture, LiveLogContract, TestCase):
    """The contract."""
