"""A disk that is full, read-only or refuses what is written: afeed says so, takes nothing that it cannot keep,
and goes on by itself when the disk does."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

from twisted.trial.unittest import TestCase

from tests.chaos.disks import SmallDisk
from tests.chaos.kills import Witnesses
from tests.servers.afeed import AfeedServer
from tests.servers.process import wait_until

#: Within this time health tells of a fault and of its end (seconds): ten, and some slack for a busy machine.
TOLD_S = 15.0

#: On a full disk there may be room in the files that are there already (seconds).
FILLED_S = 40.0

SOME = 60


class DiskTests(TestCase):
    timeout = 300

    def disk(self) -> SmallDisk:
        disk = SmallDisk()
        self.addCleanup(disk.close)
        return disk

    def server(self, disk: SmallDisk | None = None, **settings: Any) -> AfeedServer:
        """A node that sees ``disk``."""
        if disk is not None:
            settings["twistd"] = [*disk.within, str(Path(sys.executable).with_name("twistd"))]
        server = AfeedServer(**settings)
        server.within = () if disk is None else disk.within
        self.addCleanup(server.close)
        return server

    def all_on(self, disk: SmallDisk) -> AfeedServer:
        """A node with log and archive on ``disk``."""
        data_dir = f"{disk.path}/var"
        return self.server(disk, data_dir=data_dir, archive=f"sqlite:///{data_dir}/archive.sqlite3")

    def archive_on(self, disk: SmallDisk) -> AfeedServer:
        return self.server(disk, archive=f"sqlite:///{disk.path}/archive.sqlite3")

    def checks(self, server: AfeedServer) -> dict[str, Any]:
        try:
            told: dict[str, Any] = json.loads(server.request("/healthz")[2])["checks"]
        except OSError:
            return {}
        return told

    def red(self, server: AfeedServer, *names: str) -> list[str]:
        """What those of ``names`` say that are not well."""
        checks = self.checks(server)
        return [checks[name]["detail"] for name in names if name in checks and checks[name]["state"] != "ok"]

    def wait_red(self, server: AfeedServer, *names: str) -> str:
        wait_until(lambda: bool(self.red(server, *names)), f"one of {names} to turn red", TOLD_S)
        return " ".join(self.red(server, *names))

    def wait_green(self, server: AfeedServer) -> None:
        def green() -> bool:
            checks = self.checks(server)
            return bool(checks) and all(check["state"] == "ok" for check in checks.values())

        wait_until(green, f"everything to be well again, not {self.checks(server)}", TOLD_S)

    def taken(self, witnesses: Witnesses, count: int = SOME) -> None:
        accepted = witnesses.publisher.accepted
        goal = len(accepted) + count
        wait_until(lambda: len(accepted) >= goal, f"{count} more items to be taken", 30)

    def assertWhole(self, witnesses: Witnesses) -> None:
        verdict = witnesses.verdict()
        self.assertTrue(verdict.clean, verdict)


class FullTests(DiskTests):
    def test_nothing_is_taken_while_it_is_full_and_everything_goes_on_when_there_is_room(self) -> None:
        disk = self.disk()
        server = self.all_on(disk)
        server.start()
        pid = server.pid
        with Witnesses(server, 200.0) as witnesses:
            self.taken(witnesses)
            for _ in range(2):
                refused = len(witnesses.publisher.refused)
                disk.fill()
                wait_until(lambda: len(witnesses.publisher.refused) > refused, "a push to be refused", FILLED_S)  # noqa: B023
                self.assertEqual({status for status, _ in witnesses.publisher.refused}, {503})
                detail = self.wait_red(server, "live_log")
                self.assertIn("full", detail)
                self.assertIn("look at the disk that holds data_dir", detail)
                self.assertEqual(server.request(f"/{server.slug}")[0], 200)
                disk.free()
                self.wait_green(server)
                self.taken(witnesses)
            self.assertEqual(server.pid, pid)
            self.assertWhole(witnesses)
        self.assertIn("Look at the disk", server.output())

    def test_a_full_disk_of_the_archive_holds_up_nobody_else(self) -> None:
        disk = self.disk()
        server = self.archive_on(disk)
        server.start()
        with Witnesses(server, 200.0) as witnesses:
            self.taken(witnesses)
            disk.fill()
            detail = self.wait_red(server, "archive")
            self.assertIn("full", detail)
            self.taken(witnesses)
            self.assertEqual(witnesses.publisher.refused, [])
            disk.free()
            self.wait_green(server)
            self.taken(witnesses)
            self.assertWhole(witnesses)

    def test_a_start_on_a_full_disk_waits_for_room(self) -> None:
        disk = self.disk()
        server = self.all_on(disk)
        server.start()
        with Witnesses(server, 200.0) as witnesses:
            self.taken(witnesses)
            server.kill()
            # What SQLite makes anew at every start.
            disk.do(f"rm -f {disk.path}/var/*-shm")
            disk.fill()
            server.launch()
            wait_until(lambda: bool(self.checks(server)), "it to answer", 20)
            detail = self.wait_red(server, "start", "live_log")
            self.assertNotIn("damaged", server.output())
            self.assertIn("look at the disk that holds data_dir", detail)
            disk.free()
            server.wait_ready(TOLD_S)
            self.wait_green(server)
            self.taken(witnesses)
            self.assertWhole(witnesses)

    def test_a_disk_on_the_brink_and_kills_at_any_moment(self) -> None:
        seed = SystemRandom().randrange(10**6)
        print(f"{self.id()}: seed {seed}", file=sys.stderr)
        rng = Random(seed)
        disk = self.disk()
        server = self.all_on(disk)
        server.start()
        with Witnesses(server, 200.0) as witnesses:
            for turn in range(6):
                self.taken(witnesses, rng.randrange(1, 40))
                disk.fill()
                if turn % 3 == 2:
                    server.kill()
                    server.launch()
                else:
                    refused = len(witnesses.publisher.refused)
                    wait_until(lambda: len(witnesses.publisher.refused) > refused, "a refusal", FILLED_S)  # noqa: B023
                disk.free()
                server.wait_ready()
            self.assertWhole(witnesses)


class ReadOnlyTests(DiskTests):
    def test_a_read_only_data_dir_is_refused_at_the_start(self) -> None:
        disk = self.disk()
        server = self.all_on(disk)
        server.start()
        with Witnesses(server, 200.0) as witnesses:
            self.taken(witnesses)
            server.stop()
            disk.remount("ro")
            server.launch()
            self.assertEqual(server.wait(), 2)
            self.assertIn("store.data_dir", server.output())
            self.assertIn("written to", server.output())
            disk.remount("rw")
            server.start()
            self.taken(witnesses)
            self.assertWhole(witnesses)

    def test_a_read_only_archive_is_refused_at_the_start(self) -> None:
        disk = self.disk()
        server = self.archive_on(disk)
        server.start()
        with Witnesses(server, 200.0) as witnesses:
            self.taken(witnesses)
            server.stop()
            disk.remount("ro")
            server.launch()
            self.assertEqual(server.wait(), 2)
            self.assertIn("may not be read and written to", server.output())
            disk.remount("rw")
            server.start()
            self.taken(witnesses)
            self.assertWhole(witnesses)


class RefusingTests(DiskTests):
    """The system refuses what is written, from one moment to the next: a disk that failed and was made
    read-only, a quota."""

    def test_nothing_is_taken_while_writing_fails_and_everything_goes_on_afterwards(self) -> None:
        server = self.server()
        server.start()
        wal = Path(server.directory, "var", "live.sqlite3-wal")
        with Witnesses(server, 400.0) as witnesses:
            for _ in range(2):
                limit = server.output_path.stat().st_size + 200_000
                wait_until(lambda: wal.stat().st_size > limit, "the write-ahead log to grow")  # noqa: B023
                resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
                detail = self.wait_red(server, "live_log")
                self.assertIn("look at the disk that holds data_dir", detail)
                unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
                resource.prlimit(server.pid, resource.RLIMIT_FSIZE, unlimited)
                self.wait_green(server)
                self.taken(witnesses)
            self.assertIn(503, {status for status, _ in witnesses.publisher.refused})
            self.assertWhole(witnesses)
