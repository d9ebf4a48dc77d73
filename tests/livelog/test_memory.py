"""The log in memory that other tests use (:class:`tests.fakes.MemoryLog`) does what the real ones do."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from afeed.interfaces import ILiveLog
from tests.fakes import MemoryLog
from tests.livelog.contract import LiveLogFixture
from tests.livelog.held_contract import FiledContract, HeldContract


class MemoryFixture(LiveLogFixture):
    def make(self, window: int, max_log_bytes: int, rng: Random, now: Callable[[], float]) -> Any:
        return MemoryLog(["e", "f"])


class MemoryHeldTests(MemoryFixture, HeldContract, TestCase):
    """What is held."""


class MemoryFiledTests(MemoryFixture, FiledContract, TestCase):
    """Filings, and changes of the programme."""

    def test_it_provides_the_interface(self) -> None:
        verifyObject(ILiveLog, MemoryLog(["e"]))
