"""Two nodes whose Redis loses what it had: both, and the archive, remember."""

from __future__ import annotations

import shutil
import time
from random import Random

from tests.chaos.nodes import Nodes
from tests.chaos.promises import HEALTH_S, RECOVERY_S
from tests.chaos.publisher import Publisher
from tests.chaos.table import Row, scenario
from tests.servers.cluster import metric
from tests.servers.process import wait_until

RATE = 50.0
#: As many items are accepted before and after each loss.
SOME = 50

EVERYTHING, LAST_SECOND = "everything", "what was written last"


class Forgetting:
    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self.account = nodes.account
        self.faults = 0
        self.leader = nodes.cluster.wait_for_leader()
        nodes.follow(nodes.ways, hop_s=3.0)
        self.publisher: Publisher = nodes.publish(nodes.ways, RATE)
        self.taken(SOME)

    def heads(self) -> set[str]:
        return {node.updates(limit=1)["cursor"] for node in self.nodes.servers}

    def epochs(self) -> set[str]:
        return {head.partition(":")[0] for head in self.heads()}

    def healthy(self) -> bool:
        return all(node.request("/healthz")[0] == 200 for node in self.nodes.servers)

    def taken(self, count: int) -> None:
        """Return when so many more items were accepted."""
        goal = len(self.publisher.accepted) + count
        wait_until(lambda: len(self.publisher.accepted) >= goal, f"{count} more items to be accepted", 60)

    def lose(self, what: str) -> None:
        """Lose everything while it runs, or what was written in the second before a crash."""
        redis = self.nodes.cluster.redis
        if what == EVERYTHING:
            redis.cli("FLUSHALL")
            return
        kept = redis.directory / "appendonlydir"
        earlier = redis.directory / "earlier"
        shutil.copytree(kept, earlier)
        head = metric(self.leader, "afeed_log_head")
        wait_until(lambda: metric(self.leader, "afeed_log_head") > head + 20, "something more to be lost")
        redis.kill()
        shutil.rmtree(kept)
        earlier.rename(kept)
        redis.start()

    def endure(self, what: str) -> None:
        """Lose it, and see everything come back."""
        (before,) = self.epochs()
        self.lose(what)
        self.faults += 1
        since = time.monotonic()
        accepted = len(self.publisher.accepted)
        awaited = self.account.awaited
        awaited(
            lambda: len(self.publisher.accepted) > accepted,
            "an item to be accepted",
            RECOVERY_S,
            since=since,
            measure="back",
        )
        wait_until(
            lambda: len(self.epochs()) == 1 and self.epochs() != {before}, f"a new epoch after losing {what}"
        )
        awaited(self.healthy, "both nodes to be well", HEALTH_S, since=since, measure="green")
        self.taken(SOME)
        leaders = self.nodes.cluster.leaders()
        self.account.holds(leaders == [self.leader], "the term of the leader did not go on")


def forgetting_row(rounds: int, long: bool, seed: int) -> Row:
    """Lose one thing and another, so many times, in an order of chance."""
    rng = Random(seed)
    with Nodes(2, long, seed) as nodes, nodes.cluster.told_on_failure():
        forgetting = Forgetting(nodes)
        for _ in range(rounds):
            for what in rng.sample((EVERYTHING, LAST_SECOND), 2):
                forgetting.endure(what)
        forgetting.publisher.stop()
        last = max(forgetting.publisher.accepted.values())
        logs = [node.changes(last) for node in nodes.servers]
        nodes.account.holds(logs[0] == logs[1], "the nodes show different logs")
        verdict = nodes.verdict(forgetting.publisher, nodes.ways[0])
        # A gap is an explicit word; what a client was given before and after it is judged like everything.
        nodes.account.notes.append(f"{verdict.gaps} gaps were told")
        row = verdict._replace(gaps=0).row("two nodes' Redis loses data", seed, forgetting.faults)
        return nodes.account.row(row)


@scenario("nodes-redis", "two nodes whose Redis loses everything, or the last second")
def nodes_redis(long: bool, seed: int) -> Row:
    return forgetting_row(10 if long else 1, long, seed)
