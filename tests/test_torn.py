"""What a disk that loses what it had promised to keep does to log and archive.

The tears are in :mod:`tests.chaos.torn`; ``AFEED_SEED`` repeats them at the same places.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random, SystemRandom

from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.chaos.torn import TEARS, cut, extend, garble, torn_row


class TornTests(TestCase):
    """A test for each tear, made below."""

    timeout = 180


def _test_of(name: str) -> Callable[[TornTests], None]:
    def test(self: TornTests) -> None:
        seed = int(os.environ.get("AFEED_SEED", SystemRandom().randrange(10**6)))
        row = torn_row(name, 1, seed)
        print(row, file=sys.stderr)
        self.assertTrue(row.clean, f"seed {seed}: {row}")
        # What came after the tear, at least: of what came before it, nothing may be left.
        self.assertGreaterEqual(row.deliveries, 150)

    return test


for _name in TEARS:
    setattr(TornTests, f"test_{_name.replace(' ', '_').replace('-', '_')}", _test_of(_name))


class TearTests(SynchronousTestCase):
    """What is done to a file is done, somewhere else each time."""

    CONTENT = bytes(range(256)) * 40

    def torn(self, tear: Callable[[Path, Random], None]) -> set[bytes]:
        rng, found = Random(1), set()
        for _ in range(5):
            path = Path(self.mktemp())
            path.write_bytes(self.CONTENT)
            tear(path, rng)
            found.add(path.read_bytes())
        self.assertEqual(len(found), 5)
        return found

    def test_the_end_is_lost(self) -> None:
        for content in self.torn(cut):
            self.assertTrue(self.CONTENT.startswith(content) and content != self.CONTENT)

    def test_one_bit_is_another(self) -> None:
        for content in self.torn(garble):
            wrong = int.from_bytes(content, "big") ^ int.from_bytes(self.CONTENT, "big")
            self.assertEqual(wrong.bit_count(), 1)

    def test_there_is_more_at_the_end(self) -> None:
        for content in self.torn(extend):
            self.assertTrue(content.startswith(self.CONTENT) and content != self.CONTENT)
