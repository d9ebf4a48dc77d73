"""A long log costs time and no memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from afeed.archive.bulk import PAGE, filling, finish
from afeed.core.backup import Beginning
from afeed.core.change import POSTED, Change, compose
from afeed.core.draft import prepare
from tests.command.support import CommandTestCase, surroundings
from tests.fakes import a_post
from tests.servers.afeed import SLUG, AfeedServer

NOW = "2026-11-21T17:00:00.000Z"
#: What a command runs in, and then says how much memory it ever had, in KiB.
MEASURED = """
import resource, sys
from afeed.command.main import main
status = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(status)
"""


def pages(count: int) -> Iterator[list[Change]]:
    """Posts of some 900 bytes."""
    for first in range(1, count + 1, PAGE):
        yield [
            Change.decode(seq, compose(prepare(a_post(seq, "words " * 40)), POSTED, NOW))
            for seq in range(first, min(first + PAGE, count + 1))
        ]


class MemoryTests(CommandTestCase):
    def fill(self, server: AfeedServer, count: int) -> None:
        """Put ``count`` changes into its archive."""
        (server.directory / "var").mkdir()
        begun = Beginning(event=SLUG, epoch="e1", head=count, ancestors=(), holes=(), positions={})
        url = f"sqlite:///{server.directory}/var/archive.sqlite3"
        with filling(url, "sha", NOW) as archive:
            archive.begin(begun)
            for page in pages(count):
                archive.add(SLUG, page)
        finish(url)

    def peak(self, command: str, server: AfeedServer, *arguments: str) -> int:
        """The most memory that ``command`` had, in KiB."""
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, command, "--config", str(server.config_path), *arguments],
            env=surroundings(),
            capture_output=True,
            text=True,
            timeout=600,
        )
        self.assertEqual(done.returncode, 0, done)
        return int(done.stdout.split()[-1])

    def test_twenty_times_the_changes_take_no_more_memory(self) -> None:
        peaks: dict[str, list[int]] = {"backup": [], "restore": []}
        for count in (2_000, 40_000):
            source, target = self.node("files"), self.node("files")
            self.fill(source, count)
            peaks["backup"].append(self.peak("backup", source, "--force", str(self.out)))
            peaks["restore"].append(self.peak("restore", target, str(self.out)))
        for command, (few, many) in peaks.items():
            # The changes alone are 38,000 times 900 bytes; the databases' own caches fill up to their limits.
            self.assertLess(many - few, 20_000, (command, peaks))
