"""``kill -9`` at random moments, under load, with somebody watching on every transport."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from random import Random

from tests.chaos.followers import FOLLOWERS, Follower
from tests.chaos.publisher import Publisher
from tests.chaos.verdict import Verdict, judge
from tests.servers.afeed import AfeedServer
from tests.servers.process import wait_until


def run_kills(server: AfeedServer, kills: int, seed: int, rate: float = 200.0) -> Verdict:
    """Kill ``server`` that many times while items come in at ``rate`` a second, and judge the outcome.

    The followers read on until they have the whole log; the archive must have it as well.
    """
    rng = Random(seed)
    server.start()
    publisher = Publisher(server.port, server.slug, rate)
    followers: list[Follower] = [kind(server.port, server.slug) for kind in FOLLOWERS]
    for thread in (publisher, *followers):
        thread.start()
    try:
        for _ in range(kills):
            # The moment is the point of this: early, so that starts are killed as well, or under load.
            time.sleep(rng.choice((0.05, 0.4, 0.8)) * rng.random() + 0.3 * rng.random())
            server.kill()
            server.launch()
            if rng.random() < 0.8:
                server.wait_ready()
        server.wait_ready()
        publisher.stop()
        log = server.changes()
        for follower in followers:
            wait_until(
                lambda follower=follower: follower.seq >= len(log),  # type: ignore[misc]
                f"the {follower.transport} follower to have all {len(log)} changes (it has {follower.seq})",
                60,
            )
    finally:
        for thread in (publisher, *followers):
            thread.stop()
    verdict = judge(log, publisher.accepted, followers)
    wait_until(lambda: archived(server) == len(log), f"all {len(log)} changes to be archived", 60)
    return verdict


def archived(server: AfeedServer) -> int:
    """How many changes the SQLite archive of ``server`` holds, each once."""
    path = server.directory / "var" / "archive.sqlite3"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)) as reader:
        (count,) = reader.execute("SELECT count(DISTINCT seq) FROM changes").fetchone()
    return int(count)
