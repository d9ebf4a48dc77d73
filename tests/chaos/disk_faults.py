"""A disk that is full, read-only or refuses what is written: afeed says so, takes nothing that it cannot keep,
and goes on by itself when the disk does."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.account import Account
from tests.chaos.disks import SmallDisk
from tests.chaos.kills import Witnesses
from tests.chaos.promises import HEALTH_S
from tests.chaos.table import Row, scenario
from tests.servers.afeed import AfeedServer
from tests.servers.process import wait_until

#: On a full disk there may be room in the files that are there already (seconds).
FILLED_S = 90.0
#: As many items are taken before and after each fault, at so many a second.
SOME, RATE = 60, 200.0
#: What an operator is told to do.
ADVICE = "look at the disk that holds data_dir"


def checks(server: AfeedServer) -> dict[str, Any]:
    """The checks of ``/healthz``; none while nobody answers."""
    try:
        told: dict[str, Any] = json.loads(server.request("/healthz")[2])["checks"]
    except OSError:
        return {}
    return told


class Place(ExitStack):
    """A node, a disk that it uses, and what goes on; all of it ends with this."""

    def __init__(self, long: bool) -> None:
        super().__init__()
        self.account = Account(long)
        self.faults = 0
        self.server: AfeedServer
        self.disk: SmallDisk
        self.witnesses: Witnesses

    def prepare(self, *, log: bool = False, archive: bool = False) -> None:
        """A node under load, with its log (and archive), or its archive alone, on a disk that it can fill."""
        settings: dict[str, Any] = {}
        if log or archive:
            self.disk = SmallDisk()
            self.callback(self.disk.close)
            settings["twistd"] = [*self.disk.within, str(Path(sys.executable).with_name("twistd"))]
            data_dir = f"{self.disk.path}/var"
            settings["archive"] = f"sqlite:///{data_dir if log else self.disk.path}/archive.sqlite3"
            if log:
                settings["data_dir"] = data_dir
        self.server = AfeedServer(**settings)
        self.callback(self.server.close)
        self.server.within = self.disk.within if log or archive else ()
        self.server.start()
        self.witnesses = self.enter_context(Witnesses(self.server, RATE))
        self.taken()

    @property
    def refusals(self) -> list[tuple[int, str]]:
        return self.witnesses.publisher.refused

    def red(self, *names: str) -> list[str]:
        """What those of the checks ``names`` say that are not well."""
        told = checks(self.server)
        return [told[name]["detail"] for name in names if name in told and told[name]["state"] != "ok"]

    def wait_red(self, *names: str, says: str, since: float | None = None) -> None:
        """One of ``names`` turns red in time, and says that."""
        self.account.awaited(
            lambda: says in " ".join(self.red(*names)),
            f"one of {names} to turn red and say {says!r}",
            HEALTH_S,
            since=since,
            measure="red",
        )

    def wait_green(self) -> None:
        """Everything is well again, in time."""

        def green() -> bool:
            told = checks(self.server)
            return bool(told) and all(check["state"] == "ok" for check in told.values())

        self.account.awaited(green, "everything to be well again", HEALTH_S, measure="green")

    def refused(self) -> None:
        """Return when another push was refused, as none is while there is still room."""
        before = len(self.refusals)
        wait_until(lambda: len(self.refusals) > before, "a push to be refused", FILLED_S)

    def taken(self, count: int = SOME) -> None:
        accepted = self.witnesses.publisher.accepted
        goal = len(accepted) + count
        wait_until(lambda: len(accepted) >= goal, f"{count} more items to be taken")

    def row(self, name: str, seed: int) -> Row:
        statuses = {status for status, _ in self.refusals}
        self.account.holds(statuses <= {503}, f"pushes were answered {sorted(statuses)}")
        verdict = self.witnesses.verdict()
        words = self.server.output()
        self.account.holds("Traceback" not in words, "there is a traceback in the log")
        return self.account.row(verdict.row(name, seed, self.faults))


def full(place: Place, rounds: int, rng: Random) -> None:
    """Nothing is taken while the disk is full, and everything goes on when there is room."""
    place.prepare(log=True)
    pid = place.server.pid
    for _ in range(rounds):
        place.disk.fill()
        place.faults += 1
        place.refused()
        place.wait_red("live_log", says="full")
        place.wait_red("live_log", says=ADVICE)
        status = place.server.request(f"/{place.server.slug}")[0]
        place.account.holds(status == 200, f"the page was answered {status}")
        place.disk.free()
        place.wait_green()
        place.taken()
    place.account.holds(place.server.running and place.server.pid == pid, "it did not live through it")
    place.account.holds("Look at the disk" in place.server.output(), "the log does not say what to look at")


def archive_full(place: Place, rounds: int, rng: Random) -> None:
    """A full disk of the archive holds up nobody else."""
    place.prepare(archive=True)
    for _ in range(rounds):
        place.disk.fill()
        place.faults += 1
        place.wait_red("archive", says="full")
        place.taken()
        place.disk.free()
        place.wait_green()
        place.taken()
    place.account.holds(not place.refusals, f"{len(place.refusals)} pushes were refused")


def started_full(place: Place, rounds: int, rng: Random) -> None:
    """A start on a full disk waits for room."""
    place.prepare(log=True)
    for _ in range(rounds):
        place.server.kill()
        # What SQLite makes anew at every start.
        place.disk.do(f"rm -f {place.disk.path}/var/*-shm")
        place.disk.fill()
        place.faults += 1
        place.server.launch()
        place.wait_red("start", "live_log", says=ADVICE, since=time.monotonic())
        place.account.holds("damaged" not in place.server.output(), "what is full is called damaged")
        place.disk.free()
        place.wait_green()
        place.server.wait_ready()
        place.taken()


def brink(place: Place, rounds: int, rng: Random) -> None:
    """A disk on the brink, and kills at any moment."""
    place.prepare(log=True)
    for turn in range(3 * rounds):
        place.taken(rng.randrange(1, 40))
        place.disk.fill()
        place.faults += 1
        if turn % 3 == 2:
            place.server.kill()
            place.faults += 1
            place.server.launch()
        else:
            place.refused()
        place.disk.free()
        place.server.wait_ready()


def read_only(place: Place, rounds: int, rng: Random) -> None:
    """A read-only data_dir is refused at the start."""
    place.prepare(log=True)
    _read_only(place, rounds, "store.data_dir", "written to")


def archive_read_only(place: Place, rounds: int, rng: Random) -> None:
    """A read-only archive is refused at the start."""
    place.prepare(archive=True)
    _read_only(place, rounds, "may not be read and written to")


def _read_only(place: Place, rounds: int, *says: str) -> None:
    for _ in range(rounds):
        place.server.stop()
        said = len(place.server.output())
        place.disk.remount("ro")
        place.faults += 1
        place.server.launch()
        status = place.server.wait()
        place.account.holds(status == 2, f"it ended with status {status}")
        words = place.server.output()[said:]
        place.account.holds(all(word in words for word in says), f"it does not say {says}")
        place.disk.remount("rw")
        place.server.start()
        place.taken()


def refusing(place: Place, rounds: int, rng: Random) -> None:
    """The system refuses what is written, from one moment to the next: a disk that failed and was made
    read-only, a quota.  Nothing is taken meanwhile."""
    place.prepare()
    server = place.server
    wal = Path(server.directory, "var", "live.sqlite3-wal")
    for _ in range(rounds):
        limit = server.output_path.stat().st_size + 200_000
        wait_until(lambda: wal.stat().st_size > limit, "the write-ahead log to grow", 60)  # noqa: B023
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        place.faults += 1
        place.wait_red("live_log", says=ADVICE)
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, unlimited)
        place.wait_green()
        place.taken()
    place.account.holds(bool(place.refusals), "no push was refused")


#: What is done, by the name of its row, and how often in the short form and in the long one.
FAULTS: dict[str, tuple[Callable[[Place, int, Random], None], int, int]] = {
    "disk full": (full, 2, 10),
    "disk of the archive full": (archive_full, 1, 10),
    "disk full at the start": (started_full, 1, 10),
    "disk full, and killed": (brink, 2, 30),
    "disk read-only at the start": (read_only, 1, 3),
    "archive read-only at the start": (archive_read_only, 1, 3),
    "writing refused": (refusing, 2, 10),
}


def disk_row(name: str, long: bool, seed: int) -> Row:
    """One of :data:`FAULTS`."""
    inject, short_rounds, long_rounds = FAULTS[name]
    with Place(long) as place:
        inject(place, long_rounds if long else short_rounds, Random(f"{seed}/{name}"))
        return place.row(name, seed)


@scenario("disks", "a disk that is full, read-only or refuses what is written; of the log, of the archive")
def disks(long: bool, seed: int) -> list[Row]:
    return [disk_row(name, long, seed) for name in FAULTS]
