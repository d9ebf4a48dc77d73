"""Several real nodes on one Redis and one PostgreSQL, with clients that go from node to node."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import count
from typing import Any

from tests.chaos.account import Account
from tests.chaos.archived import archived
from tests.chaos.followers import Follower
from tests.chaos.publisher import Publisher
from tests.chaos.verdict import Verdict, judge
from tests.chaos.ways import Way, direct, whole_log
from tests.chaos.wire import TRANSPORTS
from tests.servers.afeed import SLUG, AfeedServer
from tests.servers.cluster import Cluster, metric
from tests.servers.process import wait_until
from tests.servers.simulator import Simulator

#: How long clients may take at the end to have everything, and the archive (seconds).
CATCH_UP_S = 60.0


class Nodes(ExitStack):
    """A :class:`~tests.servers.cluster.Cluster`, running, and what goes on at it; all of it ends with this.

    :ivar account: what was promised and not kept.
    """

    def __init__(
        self, size: int, long: bool, seed: int, *, x: Simulator | None = None, behind_nginx: bool = False
    ) -> None:
        super().__init__()
        self.account = Account(long)
        self.followers: list[Follower] = []
        self._seeds = count(seed)
        self.cluster = Cluster(size, x=x, behind_nginx=behind_nginx)
        self.callback(self.cluster.close)
        try:
            self.cluster.start()
        except BaseException:
            self.close()
            raise

    @property
    def servers(self) -> Sequence[AfeedServer]:
        return self.cluster.nodes

    @property
    def ways(self) -> list[Way]:
        """Straight to each node."""
        return [direct(node.port) for node in self.servers]

    def follow(self, ways: Sequence[Way], *, each: int = 1, hop_s: float | None = None) -> list[Follower]:
        """``each`` clients of every transport."""
        new = [
            Follower(transport, ways, SLUG, seed=next(self._seeds), hop_s=hop_s)
            for transport in TRANSPORTS
            for _ in range(each)
        ]
        for follower in new:
            self.callback(follower.stop)
            follower.start()
        self.followers += new
        return new

    def publish(self, ways: Sequence[Way], rate: float) -> Publisher:
        publisher = Publisher(ways, SLUG, rate)
        self.callback(publisher.stop)
        publisher.start()
        return publisher

    def verdict(self, publisher: Publisher, way: Way) -> Verdict:
        """End the load, let everybody and the archive catch up with what is the log by this way, and judge."""
        publisher.stop()
        log = whole_log(way, SLUG, max(publisher.accepted.values(), default=0))
        head = log[-1]["seq"]
        for follower in self.followers:
            wait_until(
                lambda follower=follower: follower.seq >= head,  # type: ignore[misc]
                f"{follower.name} to have all {head} changes (it has {follower.seq})",
                CATCH_UP_S,
            )
            follower.stop()
        found: list[dict[str, Any]] = []

        def copied() -> bool:
            found[:] = archived(self.servers[0])
            return len(found) >= len(log)

        wait_until(copied, f"all {len(log)} changes to be archived", CATCH_UP_S)
        return judge(log, publisher.accepted, self.followers, archive=found, text_of=Publisher.text_of)

    def settled(self) -> bool:
        """Whether every node has the same head and knows that the archive has all of it."""
        heads = {metric(node, "afeed_log_head") for node in self.servers}
        return len(heads) == 1 and not any(metric(node, "afeed_strainer_lag_changes") for node in self.servers)
