"""The file of the embedded live log."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from afeed.livelog.database import Database


class ModeTests(SynchronousTestCase):
    def test_other_users_of_the_machine_can_read_nothing_of_a_new_live_log(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        directory = Path(self.mktemp())
        with closing(Database(directory / "live.sqlite3", window=10, max_bytes=1_000_000).connection):
            modes = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
        self.assertEqual(modes, dict.fromkeys(("live.sqlite3", "live.sqlite3-wal", "live.sqlite3-shm"), 0o600))
        self.assertEqual(directory.stat().st_mode & 0o777, 0o700)
