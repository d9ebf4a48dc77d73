"""Pub/Sub is only a hint: what another node recorded is shown soon although no message of it comes through."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from random import Random
from typing import Any, NamedTuple

from tests.chaos.promises import UNHINTED_S, within
from tests.chaos.table import Row, scenario
from tests.chaos.verdict import digest, judge
from tests.servers.afeed import AfeedServer
from tests.servers.proxy import Proxy
from tests.servers.redis import Redis

#: Items that are pushed at one node and waited for at the other, in the short and in the long form.
COUNTS = {False: 12, True: 300}
#: With hints it takes milliseconds: without them at least one of so many takes longer than this, in seconds.
HINTED_S = 0.2
#: How long an item is waited for, and how long with one request (seconds).
PATIENCE_S, WAIT_S = 60, 10


class Given(NamedTuple):
    """What the other node gave, as :class:`tests.chaos.verdict.Record`."""

    seqs: list[int]
    digests: list[int]
    gaps: list[Mapping[str, Any]]
    transport: str = "other node's"

    def take(self, answer: Mapping[str, Any]) -> None:
        """An answer of ``/updates``."""
        self.seqs.extend(change["seq"] for change in answer["changes"])
        self.digests.extend(digest(change) for change in answer["changes"])
        if answer["gap"] is not None:
            self.gaps.append(answer["gap"])


def unhinted(long: bool, seed: int) -> Row:
    """Push at one node, and wait at another to which nothing that Redis publishes comes through."""
    rng = Random(seed)
    count = COUNTS[long]
    with ExitStack() as stack:
        redis = Redis()
        stack.callback(redis.close)
        redis.start()
        proxy = Proxy(redis.port)
        stack.callback(proxy.close)
        proxy.mode = "muffle"
        one = AfeedServer(live_log=redis.url)
        two = AfeedServer(live_log=f"redis://127.0.0.1:{proxy.port}/0")
        for node in (one, two):
            stack.callback(node.close)
            node.start()
        cursor: str = two.updates()["cursor"]
        accepted: dict[str, int] = {}
        given = Given([], [], [])
        delays = []
        for number in range(count):
            # Not in step with anything that happens once a second.
            time.sleep(rng.random())
            accepted.update(
                (result["id"], result["seq"]) for result in one.push({"id": str(number), "text": "hello"})
            )
            began = time.monotonic()
            came = False
            while not came and time.monotonic() - began < PATIENCE_S:
                found = two.updates(cursor, wait=WAIT_S)
                given.take(found)
                cursor, came = found["cursor"], bool(found["changes"])
            delays.append(time.monotonic() - began)
        row = judge(one.changes(), accepted, [given]).row("Pub/Sub is silent", seed, count)
    wrong = [row.remark] if row.remark else []
    if max(delays) > within(UNHINTED_S, long):
        wrong.append(f"a change took {max(delays):.2f} s without a hint")
    if max(delays) < HINTED_S:
        wrong.append(f"no change took longer than {max(delays):.3f} s: there were hints")
    note = f"a change took {max(delays):.2f} s to the other node at most"
    return row._replace(remark="; ".join(wrong), note=note)


@scenario("hints", "everything that Redis publishes is lost: changes come late to other nodes, and all of them")
def hints(long: bool, seed: int) -> Row:
    return unhinted(long, seed)
