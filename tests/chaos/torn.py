"""What a disk that loses what it had promised to keep does to log and archive: the end of a write-ahead log is
missing, or something in the middle of it is not what was written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.chaos.archived import archived, archived_count
from tests.chaos.followers import EventStream
from tests.chaos.table import Row, scenario, totals
from tests.chaos.verdict import Verdict, judge
from tests.servers.afeed import AfeedServer
from tests.servers.process import wait_until

LOG, ARCHIVE = "live.sqlite3", "archive.sqlite3"


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


class Tear(NamedTuple):
    """What is done to the write-ahead logs of ``files``.  ``told`` where something is lost for good: then a gap
    is as it should be, but nothing may be missing that no gap tells of."""

    do: Callable[[Path, Random], None]
    files: tuple[str, ...]
    told: bool = False


TEARS: Mapping[str, Tear] = {
    "log without its end": Tear(cut, (LOG,)),
    "log with a wrong byte": Tear(garble, (LOG,)),
    "log without its write-ahead log": Tear(lose, (LOG,)),
    "half written": Tear(extend, (LOG, ARCHIVE)),
    "archive without its end": Tear(cut, (ARCHIVE,)),
    "archive with a wrong byte": Tear(garble, (ARCHIVE,)),
    "both without their end": Tear(cut, (LOG, ARCHIVE), told=True),
    "both with a wrong byte": Tear(garble, (LOG, ARCHIVE), told=True),
}


def items(name: str, count: int) -> list[dict[str, str]]:
    return [{"id": f"{name}-{number}", "text": f"{name} {number}"} for number in range(count)]


def verdict_after(tear: Tear, rng: Random) -> Verdict:
    """The verdict when as many new items have come as could have been lost: all that was accepted must be
    there, or the viewer told."""
    with ExitStack() as stack:
        server = AfeedServer()
        stack.callback(server.close)
        server.start()
        viewer = EventStream(server.port, server.slug)
        viewer.start()
        stack.callback(viewer.stop)
        accepted: dict[str, int] = {}
        torn = [server.directory / "var" / f"{name}-wal" for name in tear.files]
        number = 0
        while True:
            # One that was written into its database just now is empty: there has to be something to lose.
            while number < 40 or not all(path.stat().st_size for path in torn):
                for result in server.push(*items(f"early-{number}", 1 + number % 3)):
                    accepted[result["id"]] = result["seq"]
                number += 1
                if number >= 40:
                    wait_until(
                        lambda: archived_count(server) == len(accepted) == viewer.seq,
                        "all to be archived and seen",
                    )
            viewer.sleep()
            server.kill()
            if all(path.stat().st_size for path in torn):
                break
            # That was so in the very last moment.
            server.start()
            viewer.wake()
        for path in torn:
            tear.do(path, rng)
        server.start()
        for number in range(30):
            server.push(*items(f"late-{number}", 5))
        viewer.wake()
        log = server.changes()
        wait_until(lambda: viewer.seq >= len(log), "the viewer to have everything")
        wait_until(lambda: archived_count(server) >= len(log), "all to be archived again")
        viewer.stop()
        kept = {id_: seq for id_, seq in accepted.items() if not viewer.gaps or seq < viewer.gaps[0]["from"]}
        verdict = judge(log, kept, [viewer], archive=archived(server))
        return verdict._replace(gaps=0) if tear.told else verdict


def torn_row(name: str, rounds: int, seed: int) -> Row:
    """One of :data:`TEARS`, so many times, at other places."""
    rng = Random(f"{seed}/{name}")
    rows = [verdict_after(TEARS[name], rng).row(name, seed, len(TEARS[name].files)) for _ in range(rounds)]
    sums = totals(rows)
    remarks = [f"round {number}: {row.remark}" for number, row in enumerate(rows) if row.remark]
    return Row(f"torn: {name}", seed, *sums[:5], "; ".join(remarks))


@scenario("torn", "a disk that loses or changes what SQLite had written: log, archive, both")
def torn(long: bool, seed: int) -> list[Row]:
    return [torn_row(name, 12 if long else 1, seed) for name in TEARS]
