"""The data directory belongs to one process at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.errors import DirectoryInUse
from afeed.livelog.lock import hold

_HOLD = """
import sys
from pathlib import Path
from afeed.livelog.lock import hold
release = hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


class LockTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()) / "var"

    def test_the_directory_is_made_and_the_holder_named(self) -> None:
        release = hold(self.directory)
        self.addCleanup(release)
        self.assertEqual((self.directory / "lock").read_text(), f"{os.getpid()}\n")

    def test_other_users_of_the_machine_can_read_neither_the_directory_nor_the_lock(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        self.addCleanup(hold(self.directory))
        self.assertEqual(self.directory.stat().st_mode & 0o777, 0o700)
        self.assertEqual((self.directory / "lock").stat().st_mode & 0o777, 0o600)

    def test_a_directory_that_was_there_keeps_its_mode(self) -> None:
        self.directory.mkdir(parents=True)
        self.directory.chmod(0o750)
        self.addCleanup(hold(self.directory))
        self.assertEqual(self.directory.stat().st_mode & 0o777, 0o750)

    def test_a_second_holder_is_refused_and_told_who_holds_it(self) -> None:
        release = hold(self.directory)
        error = self.assertRaises(DirectoryInUse, hold, self.directory)
        self.assertIn(f"process {os.getpid()}", str(error))
        self.assertIn(str(self.directory), str(error))
        release()
        release()
        hold(self.directory)()

    def test_a_lock_file_that_was_left_behind_means_nothing(self) -> None:
        self.directory.mkdir(parents=True)
        (self.directory / "lock").write_text("99999999\nand more than a number\n")
        release = hold(self.directory)
        self.addCleanup(release)
        self.assertEqual((self.directory / "lock").read_text(), f"{os.getpid()}\n")

    def test_the_lock_of_a_killed_process_is_free(self) -> None:
        root = Path(__file__).parents[2]
        child = subprocess.Popen(
            [sys.executable, "-c", _HOLD, str(self.directory.absolute())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=root,
        )
        assert child.stdout is not None
        assert child.stdin is not None
        try:
            self.assertEqual(child.stdout.readline(), b"held\n")
            error = self.assertRaises(DirectoryInUse, hold, self.directory)
            self.assertIn(f"process {child.pid}", str(error))
        finally:
            child.kill()
            child.wait()
            child.stdout.close()
            child.stdin.close()
        hold(self.directory)()
