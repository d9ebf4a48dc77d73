"""``python -m bench.refile [ITEMS] [TALKS]``: a large event is filed again while people watch it.

An event with an archive of a million invented posts, filed by a schedule of a thousand talks, gets another one,
in which the talks of some rooms begin an hour later: afeed files all of it again.  Meanwhile posts come in from
the X simulator and viewers read them; what matters is that these are as quick as before and afterwards.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import structs

from afeed.core.attribution.index import prepare
from afeed.core.attribution.memory import Memory
from afeed.core.attribution.weights import Weights
from afeed.core.item import Item
from afeed.core.schedule.model import Schedule
from bench.archive import World, fill
from bench.feeder import Feeder
from bench.setup import cpu_seconds, fed_server
from bench.table import Table, quantile, rendered
from bench.viewers import Viewers
from tests.servers.afeed import SLUG, AfeedServer
from tests.servers.process import wait_until

VIEWERS, RATE, SECONDS = 100, 50, 30
#: Periods of so many seconds before and after; as many as it takes while all is filed again.
CALM = 3
#: The talks of one room in so many begin an hour later than the first schedule says.
MOVED = 14
#: The share of posts about a talk that say so, and which words of the vocabulary, which begins with the most
#: frequent, are those of titles.
NAMED, ORDINARY, RARE = 0.33, 100, 5000
#: How long a schedule of a thousand talks may take to be read and used (seconds).
READ_S = 60.0


class FiledWorld(World):
    """The same event, its posts under the talks where afeed puts them by the schedule as it is at first.

    Titles have none of the words that are in every text, and every third post about a talk has some of them.
    """

    def __init__(self, items: int, talks: int) -> None:
        super().__init__(items, talks, SLUG, ZoneInfo("UTC"))
        self._titles = {talk.id: talk.title.split() for talk in self.schedule.talks}
        self._memory = Memory()
        self._memory.index = prepare(self.schedule, Weights())

    def title(self) -> str:
        """Four rare words."""
        return " ".join(self.rng.choices(self.vocabulary[ORDINARY:RARE], k=4)).capitalize()

    def said(self, talk: str | None) -> list[str]:
        """Some of its title, or nothing."""
        if talk is None or self.rng.random() >= NAMED:
            return []
        return self.rng.sample(self._titles[talk], self.rng.randint(2, 4))

    def filed(self, item: Item) -> Item:
        """Under the talk that it seems to be about."""
        return structs.replace(item, talk=self._memory.file(item))


def moved(schedule: Schedule) -> Schedule:
    """The same with some rooms an hour later."""
    late = {room.id for room in schedule.rooms[::MOVED]}
    hour = timedelta(hours=1)
    return structs.replace(
        schedule,
        talks=tuple(
            structs.replace(talk, start=talk.start + hour, end=talk.end + hour) if talk.room in late else talk
            for talk in schedule.talks
        ),
    )


def written(schedule: Schedule) -> str:
    """It in afeed's own form."""
    names = {room.id: room.name for room in schedule.rooms}
    lines = [f"timezone = {json.dumps(schedule.timezone)}"]
    for talk in schedule.talks:
        lines += [
            "[[talks]]",
            f"id = {json.dumps(talk.id)}",
            f"title = {json.dumps(talk.title)}",
            f"start = {talk.start:%Y-%m-%dT%H:%M:%SZ}",
            f"minutes = {(talk.end - talk.start).seconds // 60}",
            f"room = {json.dumps(names[talk.room or ''])}",
            f"speakers = {json.dumps([speaker.name for speaker in talk.speakers])}",
            f"abstract = {json.dumps(talk.abstract)}",
        ]
    return "\n".join([*lines, ""])


class Period(NamedTuple):
    """So long posts came in: milliseconds until viewers had them, and the share of a processor afeed took."""

    latencies: Sequence[float]
    share: float


def period(server: AfeedServer, feeder: Feeder) -> Period:
    """Every viewer must have every post."""
    viewers = Viewers(server.port, f"/{SLUG}/ws?render=html", VIEWERS)
    try:
        used = cpu_seconds(server)
        sent = feeder.steady(RATE, RATE * SECONDS)
        share = (cpu_seconds(server) - used) / SECONDS
        time.sleep(2)  # what is on its way to the last viewer
        latencies = []
        for received in viewers.finish():
            missing = sent.keys() - received.keys()
            assert not missing, f"a viewer missed {len(missing)} of {len(sent)} posts"
            latencies += [(received[id_] - at) / 1e6 for id_, at in sent.items()]
    finally:
        viewers.close()
    return Period(latencies, share)


def progress(server: AfeedServer) -> dict[str, Any]:
    """How far filing everything again is, as health has it."""
    _, _, body = server.request("/healthz")
    found: dict[str, Any] = json.loads(body)["checks"]["filing"]["data"]["events"].get(SLUG, {})
    return found


def row(name: str, periods: Sequence[Period]) -> list[str]:
    """What viewers had of it."""
    found = [value for one in periods for value in one.latencies]
    share = sum(one.share for one in periods) / len(periods)
    return [
        name,
        str(len(periods) * SECONDS),
        *(f"{quantile(found, part):.1f}" for part in (0.5, 0.99, 1.0)),
        f"{100 * share:.0f} %",
    ]


def measure(count: int, talks: int, directory: Path) -> Table:
    """Before, meanwhile and after."""
    url = f"sqlite:///{directory}/archive.sqlite3"
    world = FiledWorld(count, talks)
    print(f"{count:,} items in {fill(url, world):,.0f} s", file=sys.stderr, flush=True)
    path = directory / "schedule.toml"
    # Of no use yet, so that nothing is filed before that is to be measured.
    path.write_text("", "utf-8")
    event = f"[events.schedule]\nfile = {json.dumps(str(path))}\ninterval_s = 10\n"
    with fed_server(archive=url, event=event) as (server, feeder):
        before = [period(server, feeder) for _ in range(CALM)]
        path.write_text(written(moved(world.schedule)), "utf-8")
        wait_until(lambda: progress(server).get("seen", 0) > 0, "the schedule to be used", READ_S)
        began = time.monotonic()
        meanwhile = []
        while not progress(server)["done"]:
            meanwhile.append(period(server, feeder))
        took = time.monotonic() - began
        found = progress(server)
        after = [period(server, feeder) for _ in range(CALM)]
    about = (
        f"{found['seen']:,} items of {talks} talks were filed again in {took:.0f} s ({SECONDS} s exact), "
        f"{found['changed']:,} of them elsewhere, while {RATE} posts a second came in and {VIEWERS} WebSocket "
        "viewers read them: milliseconds from just before the simulator writes a post until a viewer has it."
    )
    columns = ("", "seconds", "p50 ms", "p99 ms", "most ms", "server CPU")
    rows = [row("before", before), row("meanwhile", meanwhile), row("after", after)]
    return Table("Filing everything again", about, columns, rows)


def main(items: str = "1000000", talks: str = "1000") -> None:
    """Measure it and print a table."""
    directory = tempfile.mkdtemp(prefix="afeed-refile-")
    try:
        print(rendered(measure(int(items), int(talks), Path(directory))))
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main(*sys.argv[1:])
