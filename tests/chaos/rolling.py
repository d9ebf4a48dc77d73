"""Nodes behind nginx, with the project's own configuration, are restarted one after the other, and one is
killed: whoever is connected is sent on, and misses nothing."""

from __future__ import annotations

import re
import signal
import ssl
import time
from collections import Counter

from tests.chaos.followers import Follower
from tests.chaos.nodes import Nodes
from tests.chaos.promises import within
from tests.chaos.table import Row, scenario
from tests.chaos.ways import Way
from tests.servers.afeed import AfeedServer
from tests.servers.nginx import SERVER_NAME, NginxServer
from tests.servers.process import wait_until

#: After a goodbye everybody is back within this time (seconds).
BACK_S = 15.0
#: For so long at most nginx leaves out a node that is back (seconds); see ``fail_timeout``.
NGINX_KNOWS_S = 2.0
#: A goodbye says to come back after a random time up to this one (milliseconds).
RETURN_MS = 3000
RATE = 50.0
LEAST_A_ROUND = 200


def through(nginx: NginxServer) -> Way:
    """How the nodes are reached by the public: over TLS."""
    tls = ssl.create_default_context(cafile=str(nginx.directory / "fullchain.pem"))
    return Way(nginx.port, SERVER_NAME, tls)


def lasting_at(node: AfeedServer) -> int:
    """How many connections that last are open there."""
    text = node.request("/metrics")[2].decode()
    found = re.findall(r'^afeed_viewers\{[^}]*transport="(?:websocket|sse)"\} (\S+)$', text, re.MULTILINE)
    return int(sum(map(float, found)))


class Rolling:
    """Load and clients that come by ``way``; ``lasting`` are those whose connections last, and who are told
    goodbye."""

    def __init__(self, nodes: Nodes, way: Way) -> None:
        self.nodes = nodes
        self.account = nodes.account
        self.faults = 0
        #: How many lasting connections were open at the nodes that were restarted.
        self.sent_away = 0
        self.publisher = nodes.publish([way], RATE)
        self.followers = nodes.follow([way], each=8)
        self.lasting = [follower for follower in self.followers if follower.transport in ("websocket", "sse")]
        wait_until(lambda: all(follower.seqs for follower in self.followers), "every client to be served")

    def byes(self) -> int:
        return sum(len(follower.byes) for follower in self.lasting)

    def cuts(self) -> list[str]:
        return [cut for follower in self.lasting for cut in follower.cut_by]

    def away(self) -> list[Follower]:
        return [follower for follower in self.followers if follower.away]

    def restart(self, node: AfeedServer) -> None:
        connected, byes = lasting_at(node), self.byes()
        status = node.stop()
        self.account.holds(status == -signal.SIGTERM, f"a node ended with {status}, not by itself")
        node.start()
        self.faults += 1
        self.sent_away += connected
        # Somebody may have come or gone since they were counted.
        self.account.settles(
            lambda: self.byes() - byes >= connected - 1,
            lambda: f"{self.byes() - byes} of {connected} were told goodbye",
        )
        wait_until(lambda: not self.away(), "everybody to be back")
        time.sleep(NGINX_KNOWS_S)

    def kill(self) -> None:
        """Kill the node that runs the sources, under all these clients, and start it again."""
        victim = self.nodes.cluster.wait_for_leader()
        accepted = self.publisher.accepted
        before = len(accepted)
        victim.kill()
        self.faults += 1
        wait_until(lambda: len(accepted) > before + 50, "pushes to go on without it")
        self.nodes.cluster.wait_for_leader(other_than=victim)
        victim.start()
        time.sleep(NGINX_KNOWS_S)

    def goodbyes(self) -> None:
        """Note what was not as promised with those that were told."""
        holds, lasting = self.account.holds, self.lasting
        retries = [bye.retry_ms for follower in lasting for bye in follower.byes]
        longest = max(absence for follower in self.followers for absence in follower.absences)
        self.account.notes.append(
            f"{len(retries)} goodbyes, to come back after {min(retries)} to {max(retries)} ms; "
            f"the longest absence was {longest:.1f} s"
        )
        refused = Counter(status for follower in self.followers for status in follower.refused)
        if refused:
            # By a node that was just being stopped or started; nobody's connection was cut by that.
            told = ", ".join(f"{count} with {status}" for status, count in sorted(refused.items()))
            self.account.notes.append(f"attempts to connect that were refused: {told}")
        holds(refused.keys() <= {"503"}, f"attempts to connect were refused otherwise than with 503: {refused}")
        holds(len(retries) >= len(lasting), f"{len(retries)} goodbyes to {len(lasting)} clients")
        holds(self.sent_away >= len(lasting), f"only {self.sent_away} connections were open at a restart")
        holds(all(0 <= retry <= RETURN_MS for retry in retries), "some are told to stay away too long")
        spread = max(retries) - min(retries)
        holds(spread > RETURN_MS / 3, f"all are told to come back within {spread} ms")
        holds(len(set(retries)) > len(retries) / 2, "many are told to come back at the same time")
        holds(longest <= within(BACK_S, self.account.long), f"a client was away for {longest:.1f} s")


def rolling_row(rounds: int, long: bool, seed: int) -> Row:
    """So many times restart every node, then kill one."""
    with Nodes(3, long, seed, behind_nginx=True) as nodes, nodes.cluster.told_on_failure():
        nginx = NginxServer([node.port for node in nodes.servers])
        nodes.callback(nginx.close)
        nginx.start()
        way = through(nginx)
        rolling = Rolling(nodes, way)
        for _ in range(rounds):
            for follower in rolling.lasting:
                follower.cut_by.clear()  # by the kill before
            for node in nodes.servers:
                rolling.restart(node)
            cuts = rolling.cuts()
            nodes.account.holds(not cuts, f"{len(cuts)} connections were cut without a goodbye: {cuts[:5]}")
            rolling.kill()
        rolling.goodbyes()
        verdict = nodes.verdict(rolling.publisher, way)
        few = f"only {verdict.accepted} items were accepted"
        nodes.account.holds(verdict.accepted >= LEAST_A_ROUND * rounds, few)
        row = nodes.account.row(verdict.row("rolling restart behind nginx", seed, rolling.faults))
        return row._replace(
            recovery_s=max(absence for follower in rolling.followers for absence in follower.absences)
        )


@scenario("rolling-restart", "three nodes behind nginx restarted one after the other, and one killed")
def rolling_restart(long: bool, seed: int) -> Row:
    return rolling_row(10 if long else 1, long, seed)
