"""``kill -9`` at random moments, under load, with somebody watching on every transport."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from random import Random
from typing import Literal

from tests.chaos.archived import archived, archived_count
from tests.chaos.followers import FOLLOWERS, Follower
from tests.chaos.publisher import Publisher
from tests.chaos.table import Row, scenario
from tests.chaos.verdict import Verdict, judge
from tests.chaos.ways import direct
from tests.servers.afeed import AfeedServer
from tests.servers.process import wait_until
from tests.servers.redis import Redis

LOGS: tuple[Literal["embedded", "redis"], ...] = ("embedded", "redis")

#: How long a client may take at the end to have everything, and the archive (seconds).
CATCH_UP_S = 120.0

#: A kill proves something while items come in: so many have to be accepted for each, on average.
LEAST_PER_KILL = 20


class Witnesses:
    """Load on ``server`` and somebody watching on every transport; a context manager that ends them."""

    def __init__(self, server: AfeedServer, rate: float) -> None:
        self.server = server
        self.publisher = Publisher([direct(server.port)], server.slug, rate)
        self.followers: list[Follower] = [kind(server.port, server.slug) for kind in FOLLOWERS]

    def __enter__(self) -> Witnesses:
        for thread in (self.publisher, *self.followers):
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.publisher.stop()
        for follower in self.followers:
            follower.stop()

    def verdict(self) -> Verdict:
        """End the load, let everybody catch up with the running server, and judge."""
        self.publisher.stop()
        log = self.server.changes(max(self.publisher.accepted.values(), default=0))
        for follower in self.followers:
            wait_until(
                lambda follower=follower: follower.seq >= len(log),  # type: ignore[misc]
                f"the {follower.transport} follower to have all {len(log)} changes (it has {follower.seq})",
                CATCH_UP_S,
            )
        wait_until(
            lambda: archived_count(self.server) >= len(log),
            f"all {len(log)} changes to be archived",
            CATCH_UP_S,
        )
        for follower in self.followers:
            follower.stop()
        return judge(
            log,
            self.publisher.accepted,
            self.followers,
            archive=archived(self.server),
            text_of=Publisher.text_of,
        )


def run_kills(
    server: AfeedServer,
    kills: int,
    seed: int,
    rate: float = 200.0,
    progress: Callable[[int], object] = lambda done: None,
) -> Verdict:
    """Kill ``server`` that many times while items come in at ``rate`` a second, and judge the outcome.

    The followers read on until they have the whole log; the archive must have it as well.  ``progress`` is
    called with the number of kills after each.
    """
    rng = Random(seed)
    server.start()
    with Witnesses(server, rate) as witnesses:
        ready = True
        for done in range(1, kills + 1):
            if ready:
                # A machine that is slow at the moment gets the time for the load that these kills need.
                wait_until(
                    lambda done=done: len(witnesses.publisher.accepted) >= 2 * LEAST_PER_KILL * done,  # type: ignore[misc]
                    "items to be accepted before the next kill",
                )
            # The moment is the point of this: early, so that starts are killed as well, or under load.
            time.sleep(rng.choice((0.05, 0.4, 0.8)) * rng.random() + 0.3 * rng.random())
            server.kill()
            server.launch()
            ready = rng.random() < 0.8
            if ready:
                server.wait_ready()
            progress(done)
        server.wait_ready()
        return witnesses.verdict()


def kill_row(
    log: Literal["embedded", "redis"],
    kills: int,
    seed: int,
    progress: Callable[[int], object] = lambda done: None,
) -> Row:
    """:func:`run_kills` on a node of its own with this kind of log, as a row of the table."""
    with ExitStack() as stack:
        live_log = "embedded"
        if log == "redis":
            redis = Redis()
            stack.callback(redis.close)
            redis.start()
            live_log = redis.url
        server = AfeedServer(live_log=live_log)
        stack.callback(server.close)
        verdict = run_kills(server, kills, seed, progress=progress)
        return idle(verdict.row(f"kill -9, {log} log", seed, kills), verdict.accepted)


def idle(row: Row, accepted: int) -> Row:
    """``row``, with a remark where too few items were ``accepted`` during its faults to prove anything."""
    if accepted >= LEAST_PER_KILL * row.faults:
        return row
    told = f"only {accepted} items were accepted during {row.faults} kills"
    return row._replace(remark="; ".join(filter(None, (row.remark, told))))


@scenario("kills", "kill -9 at random moments, 200 items a second, over both logs")
def kills(long: bool, seed: int) -> list[Row]:
    return [kill_row(log, 1000 if long else 8, seed) for log in LOGS]
