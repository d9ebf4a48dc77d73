"""A Redis that comes back empty is filled from the archive, with as much as a large event has, while the node
runs on."""

from __future__ import annotations

from contextlib import ExitStack

from tests.chaos.archived import archived_count
from tests.chaos.promises import RECOVERY_S, within
from tests.chaos.publisher import Publisher
from tests.chaos.redis_scene import Scene
from tests.chaos.table import Row, scenario
from tests.servers.postgresql import PostgreSQL
from tests.servers.process import wait_until

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"

#: Changes in the log when it is lost, in the long form as many as the five seconds are promised for.
COUNTS = {True: 100_000, False: 20_000}
#: Changes held in memory, as it is configured when nobody says otherwise: the archive has to remember the rest.
WINDOW = 10_000
#: Items in one request, and what makes each as long as an ordinary post.
BATCH = 500
PADDING = "<p>" + "x" * 400 + "</p>"


def fill(scene: Scene, count: int) -> None:
    """Have so many items accepted and archived."""
    server, accepted = scene.server, scene.publisher.accepted
    for first in range(0, count, BATCH):
        ids = [f"old-{number}" for number in range(first, min(count, first + BATCH))]
        items = [{"id": id_, "text": Publisher.text_of(id_), "html": PADDING} for id_ in ids]
        for result in server.push(*items):
            accepted[result["id"]] = result["seq"]
    wait_until(lambda: archived_count(server) >= count, f"{count} changes to be archived", 120)


def refill_row(kind: str, long: bool, seed: int) -> Row:
    """Lose everything that Redis has, and see how soon everything is served again."""
    count = COUNTS[long]
    with ExitStack() as stack:
        if kind == POSTGRESQL:
            server = PostgreSQL()
            stack.callback(server.close)
            server.start()
            scene = Scene(long, archive=server.create_database(), window=WINDOW)
        else:
            scene = Scene(long, window=WINDOW)
        stack.enter_context(scene)
        with scene.watch.looks_away():  # the archive is far behind meanwhile, and older pages wait for it
            fill(scene, count)
        epoch = scene.epoch()

        def lose() -> None:
            scene.redis.lose()
            scene.redis.kill()
            scene.redis.lose()

        times = scene.endure(lose, scene.redis.start, 0.0, turns="failed")
        wrong = [] if scene.epoch() != epoch else ["no new epoch was begun"]
        wrong += [
            f"the cursor {seq} from before does not go on"
            for seq in (0, count // 2, count)
            if not goes_on(scene, epoch, seq)
        ]
        limit = within(RECOVERY_S, long)
        if times.served > limit:
            wrong.append(f"everything was served {times.served:.1f} s after Redis was back")
        if times.green is None or times.green > limit:
            wrong.append(f"health was green {times.green} s after Redis was back")
        verdict = scene.judge()
        wrong += scene.watch.trouble[:3]
    row = verdict.row(f"redis refilled from {kind}", seed, 1)
    return row._replace(
        remark="; ".join(filter(None, [row.remark, *wrong])),
        recovery_s=times.served,
        red_s=times.red,
        green_s=times.green,
        note=f"{count:,} changes were put back; an answer took {scene.watch.slowest:.2f} s at most",
    )


def goes_on(scene: Scene, epoch: str, seq: int) -> bool:
    """Whether a client of the ``epoch`` that was lost gets what follows ``seq``, and no gap."""
    answer = scene.server.updates(f"{epoch}:{seq}", limit=1)
    return answer["gap"] is None and [change["seq"] for change in answer["changes"]] == [seq + 1]


@scenario(
    "redis-refill", "Redis comes back empty and is filled from SQLite, from PostgreSQL, with 100,000 changes"
)
def refill(long: bool, seed: int) -> list[Row]:
    return [refill_row(kind, long, seed) for kind in (SQLITE, POSTGRESQL)]
