"""What a disk that loses what it had promised to keep does to log and archive: the end of a write-ahead log is
missing, or something in the middle of it is not what was written."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random, SystemRandom

from twisted.trial.unittest import TestCase

from tests.chaos.archived import archived, archived_count
from tests.chaos.followers import EventStream
from tests.chaos.verdict import Verdict, judge
from tests.servers.afeed import AfeedServer
from tests.servers.process import wait_until

#: So many times is each tear repeated, at other places.
ROUNDS = int(os.environ.get("AFEED_TEARS", "1"))


def cut(path: Path, rng: Random) -> None:
    """Lose the end."""
    os.truncate(path, rng.randrange(path.stat().st_size))


def garble(path: Path, rng: Random) -> None:
    """Have another byte somewhere."""
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def lose(path: Path, rng: Random) -> None:
    """Lose all of it."""
    path.unlink()


def extend(path: Path, rng: Random) -> None:
    """Have more at the end: what was being written when the power failed."""
    with path.open("ab") as file:
        file.write(rng.randbytes(rng.randrange(1, 10_000)))


Tear = Callable[[Path, Random], None]


class TornTests(TestCase):
    timeout = 120 + 60 * ROUNDS

    def setUp(self) -> None:
        self.seed = int(os.environ.get("AFEED_SEED", SystemRandom().randrange(10**6)))
        print(f"{self.id()}: seed {self.seed}", file=sys.stderr)
        self.rng = Random(self.seed)

    def after(self, tear: Tear, *names: str) -> Verdict:
        """The verdict after ``tear`` was applied to the write-ahead logs of ``names``, when as many new items
        have come as could have been lost: all that was accepted must be there, or the viewer told."""
        server = AfeedServer()
        self.addCleanup(server.close)
        server.start()
        viewer = EventStream(server.port, server.slug)
        viewer.start()
        self.addCleanup(viewer.stop)
        accepted = {}
        for number in range(40):
            for result in server.push(*self.items(f"early-{number}", 1 + number % 3)):
                accepted[result["id"]] = result["seq"]
        wait_until(lambda: archived_count(server) == len(accepted) == viewer.seq, "all to be archived and seen")
        viewer.sleep()
        server.kill()
        for name in names:
            tear(server.directory / "var" / f"{name}-wal", self.rng)
        server.start()
        for number in range(30):
            server.push(*self.items(f"late-{number}", 5))
        viewer.wake()
        log = server.changes()
        wait_until(lambda: viewer.seq >= len(log), "the viewer to have everything")
        wait_until(lambda: archived_count(server) >= len(log), "all to be archived again")
        viewer.stop()
        kept = {id_: seq for id_, seq in accepted.items() if not viewer.gaps or seq < viewer.gaps[0]["from"]}
        verdict = judge(log, kept, [viewer], archive=archived(server))
        server.close()
        return verdict

    @staticmethod
    def items(name: str, count: int) -> list[dict[str, str]]:
        return [{"id": f"{name}-{number}", "text": f"{name} {number}"} for number in range(count)]

    def check(self, tear: Tear, *names: str, told: bool = False) -> None:
        """``told``: a gap is as it should be where something is lost for good."""
        for round_ in range(ROUNDS):
            verdict = self.after(tear, *names)
            if told:
                verdict = verdict._replace(gaps=0)
            self.assertTrue(verdict.clean, f"seed {self.seed}, round {round_}: {verdict}")

    def test_a_log_that_lost_its_end_is_filled_from_the_archive(self) -> None:
        self.check(cut, "live.sqlite3")

    def test_a_log_with_a_wrong_byte_is_filled_from_the_archive(self) -> None:
        self.check(garble, "live.sqlite3")

    def test_a_log_without_its_write_ahead_log_is_filled_from_the_archive(self) -> None:
        self.check(lose, "live.sqlite3")

    def test_what_was_half_written_is_harmless(self) -> None:
        self.check(extend, "live.sqlite3", "archive.sqlite3")

    def test_an_archive_that_lost_its_end_is_filled_from_the_log(self) -> None:
        self.check(cut, "archive.sqlite3")

    def test_an_archive_with_a_wrong_byte_is_filled_from_the_log(self) -> None:
        self.check(garble, "archive.sqlite3")

    def test_who_has_seen_what_both_have_lost_is_told(self) -> None:
        self.check(cut, "live.sqlite3", "archive.sqlite3", told=True)

    def test_who_has_seen_what_is_wrong_in_both_is_told(self) -> None:
        self.check(garble, "live.sqlite3", "archive.sqlite3", told=True)
