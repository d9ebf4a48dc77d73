"""A disk that is full, read-only or refuses what is written: afeed says so, takes nothing that it cannot keep,
and goes on by itself when the disk does.

The faults are in :mod:`tests.chaos.disk_faults`; ``AFEED_SEED`` repeats what was left to chance.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from random import SystemRandom

from twisted.trial.unittest import TestCase

from tests.chaos.disk_faults import FAULTS, SOME, disk_row


class DiskTests(TestCase):
    """A test for each fault, made below."""

    timeout = 300


def _test_of(name: str) -> Callable[[DiskTests], None]:
    def test(self: DiskTests) -> None:
        seed = int(os.environ.get("AFEED_SEED", SystemRandom().randrange(10**6)))
        row = disk_row(name, False, seed)
        print(row, file=sys.stderr)
        self.assertTrue(row.clean, f"seed {seed}: {row}")
        self.assertGreater(row.deliveries, 3 * 2 * SOME)
        self.assertGreaterEqual(row.faults, FAULTS[name][1])

    test.__doc__ = FAULTS[name][0].__doc__
    return test


for _name in FAULTS:
    setattr(DiskTests, f"test_{_name.replace(' ', '_').replace('-', '_').replace(',', '')}", _test_of(_name))
