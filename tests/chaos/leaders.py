"""The node that runs the sources is killed, or paused and woken again when another has its part: every post of
X is there once, and nobody misses or repeats anything."""

from __future__ import annotations

import signal
import time
from collections import Counter
from typing import Any

from tests.chaos.nodes import Nodes
from tests.chaos.reading import Reading
from tests.chaos.table import Row, scenario
from tests.chaos.watch import unsaid
from tests.chaos.ways import direct
from tests.servers.afeed import AfeedServer
from tests.servers.cluster import TOKEN, check, metric
from tests.servers.process import wait_until
from tests.servers.simulator import Simulator

#: Another node takes over within so many seconds.
TAKEOVER_S = 10.0
#: A paused leader sleeps for so long (seconds), and finds out within as many that it leads no more.
PAUSE_S, FOUND_OUT_S = 15.0, 10.0
#: X's search hides its newest half minute (here a second less, to be sure), and what a node missed is fetched
#: when it no longer does (seconds).
HIDDEN_S, FILLED_S = 29.0, 150.0
#: Pushed items a second, at any node.
RATE = 20.0
LEAST_A_ROUND = 200


class Leading:
    """Three nodes, and an X that allows two streams, so that one which is paused keeps nobody from connecting
    and goes on being given posts."""

    def __init__(self, nodes: Nodes, x: Simulator) -> None:
        self.nodes = nodes
        self.account = nodes.account
        self.cluster = nodes.cluster
        self.faults = 0
        self.longest = 0.0
        self._x = x
        self._posted: list[str] = []
        self._reading = Reading()

    # -- X

    def post(self, text: str) -> str:
        self._posted.append(f"{text} #rehearsal")
        self._x.control("post", text=self._posted[-1])
        return self._posted[-1]

    def recorded(self, node: AfeedServer) -> list[str]:
        """The posts of X in the log, in its order, with what ``node`` has to add to what was read before."""
        self._reading.read(node)
        return self._reading.texts("x")

    def wait_for(self, text: str, node: AfeedServer) -> None:
        wait_until(lambda: text in self.recorded(node), f"{text!r} to be recorded")

    def filled(self, node: AfeedServer) -> None:
        """Return when everything that was posted has been recorded."""
        wait_until(
            lambda: set(self._posted) <= set(self.recorded(node)), "what was missed to be fetched", FILLED_S
        )

    def difference(self) -> tuple[Counter[str], Counter[str]]:
        """What of X is missing in the log, and what is in it too often."""
        expected, found = Counter(self._posted), Counter(self._reading.texts("x"))
        return expected - found, found - expected

    @property
    def gaps(self) -> list[object]:
        """Those that whoever reads the log from its beginning was told."""
        return self._reading.gaps

    # -- who leads

    def streaming(self, node: AfeedServer) -> bool:
        told = check(node, "x")
        return told["state"] == "ok" and told["data"].get("last_byte_at") is not None

    def taken_over(self, began: float, other_than: AfeedServer) -> AfeedServer:
        """The node that leads now; its stream is live."""
        found: list[AfeedServer] = []

        def led() -> bool:
            others = [node for node in self.cluster.nodes if node is not other_than and node.running]
            found[:] = [node for node in others if metric(node, "afeed_leader") == 1]
            return bool(found)

        took = self.account.awaited(led, "another node to lead", TAKEOVER_S, since=began, measure="back")
        self.longest = max(took, self.longest)
        wait_until(lambda: self.streaming(found[0]), "the new leader's stream to be live")
        self.account.holds(len(found) == 1, f"{len(found)} nodes lead")
        return found[0]

    def one_leads(self, leader: AfeedServer) -> None:
        """Note it unless ``leader`` leads alone, and everybody says so, once they all have asked."""
        self.account.settles(lambda: not self._otherwise(leader), lambda: "; ".join(self._otherwise(leader)))

    def _otherwise(self, leader: AfeedServer) -> list[str]:
        """What is said or done as if ``leader`` did not lead alone, in sentences."""
        wrong = []

        def holds(kept: bool, otherwise: str) -> None:
            wrong.extend([] if kept else [otherwise])

        holds(self.cluster.leaders() == [leader], "not exactly one node says that it leads")
        streams = self._x.control("streams")
        holds(streams == "1", f"X has {streams} streams")
        name = check(leader, "leader")["data"]["node"]
        for node in self.cluster.nodes:
            if node is leader or not node.running:
                continue
            for path in ("/readyz", "/healthz"):
                status = node.request(path)[0]
                holds(status == 200, f"{path} of a node that does not lead says {status}")
            x, told = check(node, "x"), check(node, "leader")
            holds((x["state"], x["data"]) == ("ok", {"state": "resting"}), f"X does not rest: {x}")
            holds((told["state"], told["data"]["leader"]) == ("ok", name), f"{name} leads, not: {told}")
            strainer = check(node, "strainer")["detail"]
            holds("another node copies" in strainer, f"the strainer does not rest: {strainer}")
        return wrong

    # -- faults

    def begin(self) -> None:
        """Return when some posts are with all nodes, and those that do not copy know that the archive has
        them."""
        leader = self.cluster.wait_for_leader()
        wait_until(lambda: self.streaming(leader), "the X stream to be live")
        for number in range(5):
            self.post(f"before any fault {number}")
        self.filled(leader)
        wait_until(self.nodes.settled, "every node to know that the archive has it all")

    def kill(self, name: str) -> AfeedServer:
        """Kill the leader, and start it again when another leads, which is returned."""
        first = self.cluster.wait_for_leader()
        wait_until(lambda: self.streaming(first), "the X stream to be live")
        self.one_leads(first)
        first.kill()
        self.faults += 1
        began = time.monotonic()
        for number in range(5):
            self.post(f"{name}: nobody leads {number}")
        second = self.taken_over(began, first)
        self.wait_for(self.post(f"{name}: the successor leads"), second)
        first.start()
        self.one_leads(second)
        return second

    def pause(self, sleeper: AfeedServer, name: str) -> AfeedServer:
        """Pause the leader for longer than its term, and wake it while another leads, which is returned."""
        said = len(sleeper.output())
        sleeper.signal(signal.SIGSTOP)
        self.faults += 1
        began = time.monotonic()
        try:
            asleep = [self.post(f"{name}: given to the sleeper {number}") for number in range(5)]
            leader = self.taken_over(began, sleeper)
            self.wait_for(self.post(f"{name}: it leads while another sleeps"), leader)
            time.sleep(max(0.0, began + PAUSE_S - time.monotonic()))
            # The sleeper's stream has all of them in it, unread.
            streams = self._x.control("streams")
            self.account.holds(streams == "2", f"the sleeper left X: {streams} streams")
        finally:
            sleeper.signal(signal.SIGCONT)
        self.account.awaited(
            lambda: check(sleeper, "leader")["detail"].startswith("Another node runs the sources:"),
            "the sleeper to find out",
            FOUND_OUT_S,
        )
        wait_until(lambda: self._x.control("streams") == "1", "the sleeper to leave X")
        self.one_leads(leader)
        # It had read them all, and X's search does not show them yet: had it recorded them they would be there.
        late = sorted(set(asleep) & set(self.recorded(leader)))
        if time.monotonic() < began + HIDDEN_S:
            self.account.holds(not late, f"written by a node whose term was over: {late}")
        else:
            self.account.notes.append("the machine was too slow to tell who wrote what the sleeper was given")
        for sentence in unsaid(sleeper, ["Another node runs the sources now"], said):
            self.account.holds(False, sentence)
        words = sleeper.output()[said:]
        for bad in ("broke", "Traceback"):
            self.account.holds(bad not in words, f"the log of the sleeper says {bad}")
        return leader


def leader_row(rounds: int, long: bool, seed: int) -> Row:
    """So many kills of the leader, each followed by a pause of its successor."""
    x = Simulator("x", "--token", TOKEN, "--keepalive", "1", "--streams", "2")
    try:
        x.start()
        with Nodes(3, long, seed, x=x) as nodes, nodes.cluster.told_on_failure():
            leading = Leading(nodes, x)
            nodes.follow(nodes.ways, each=2, hop_s=2.0)
            leading.begin()
            publisher = nodes.publish(nodes.ways, RATE)
            for number in range(rounds):
                second = leading.kill(f"round {number}")
                third = leading.pause(second, f"round {number}")
                leading.wait_for(leading.post("all awake"), third)
                leading.filled(third)
                nodes.account.holds(nodes.cluster.leaders() == [third], "the leader changed without a reason")
            verdict = nodes.verdict(publisher, direct(third.port))
            few = f"only {verdict.accepted} items were accepted"
            nodes.account.holds(verdict.accepted >= LEAST_A_ROUND * rounds, few)
            leading.recorded(third)
            nodes.account.holds(not leading.gaps, f"gaps were told: {leading.gaps[:3]}")
            return _row(leading, verdict.row("leader killed, leader paused", seed, leading.faults))
    finally:
        x.close()


def _row(leading: Leading, row: Row) -> Row:
    """``row`` with what is wrong with the posts of X, and how long it took."""
    missing, twice = leading.difference()
    told: list[Any] = [f"{text!r} is missing" for text in list(missing)[:3]]
    told += [f"{text!r} came too often" for text in list(twice)[:3]]
    followers = leading.nodes.followers
    leading.account.holds(not told, "; ".join(told))
    leading.account.holds(
        all(follower.connections > 5 for follower in followers), "the clients did not go from node to node"
    )
    leading.account.notes.append(f"another node led after at most {leading.longest:.1f} s")
    row = row._replace(lost=row.lost + missing.total(), repeated=row.repeated + twice.total())
    return leading.account.row(row)


@scenario("leader", "the node that runs the sources is killed, and paused and woken; three nodes")
def leader(long: bool, seed: int) -> Row:
    return leader_row(5 if long else 1, long, seed)
