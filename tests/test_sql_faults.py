"""The archive's database misbehaves in every way there is, and the feed does not notice.

``python -m tests.chaos sql`` is the long form: minutes for each fault, ten for a PostgreSQL that is stopped.
"""

from __future__ import annotations

import os
import sys
from random import SystemRandom

from twisted.trial.unittest import SynchronousTestCase

from tests.chaos.sql_faults import postgresql_row, sqlite_row, start_row
from tests.chaos.table import Row


class SqlFaultTests(SynchronousTestCase):
    timeout = 600

    def judge(self, run: object) -> None:
        seed = int(os.environ.get("AFEED_SEED", SystemRandom().randrange(10**6)))
        row: Row = run(False, seed)  # type: ignore[operator]
        print(row, file=sys.stderr)
        self.assertTrue(row.clean, row)
        self.assertGreater(row.deliveries, 300)

    def test_whatever_happens_to_postgresql(self) -> None:
        self.judge(postgresql_row)

    def test_postgresql_that_is_away_or_locked_at_the_start(self) -> None:
        self.judge(start_row)

    def test_an_sqlite_archive_that_another_program_has_locked(self) -> None:
        self.judge(sqlite_row)
