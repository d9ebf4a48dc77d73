"""Several real nodes on one Redis and one PostgreSQL: one runs the sources, whoever is killed, paused or
restarted, and nobody misses or repeats anything."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import sys
import time
from collections import Counter
from itertools import count
from random import SystemRandom

from twisted.trial.unittest import TestCase

from tests.chaos.archived import archived
from tests.chaos.hoppers import TRANSPORTS, Hopper, HoppingPublisher, Way
from tests.chaos.verdict import judge
from tests.servers.afeed import AfeedServer
from tests.servers.cluster import TOKEN, Cluster, check, metric
from tests.servers.nginx import SERVER_NAME, NginxServer
from tests.servers.process import wait_until
from tests.servers.simulator import Simulator

#: Another node takes over within so many seconds; the rest is for a loaded machine.
TAKEOVER_S, SLACK_S = 10.0, 5.0
#: A paused leader sleeps this long (seconds).
PAUSE_S = 15.0
#: After a goodbye everybody is back within this time (seconds).
BACK_S = 15.0
#: For so long at most nginx leaves out a node that is back (seconds); see ``fail_timeout``.
NGINX_KNOWS_S = 2.0
RETURN_MS = 3000

SEED = int(os.environ.get("AFEED_SEED", SystemRandom().randrange(10**6)))


def direct(node: AfeedServer) -> Way:
    return Way(node.port, f"127.0.0.1:{node.port}")


class ClusterCase(TestCase):
    timeout = 300

    def hoppers(self, ways: list[Way], *, each: int = 1, hop_s: float | None = None) -> list[Hopper]:
        """``each`` running clients of every transport, stopped at the end of the test."""
        seeds = count(SEED)
        hoppers = [
            Hopper(transport, ways, next(seeds), hop_s=hop_s) for transport in TRANSPORTS for _ in range(each)
        ]
        for hopper in hoppers:
            self.addCleanup(hopper.stop)
            hopper.start()
        return hoppers

    def publish(self, ways: list[Way], rate: float) -> HoppingPublisher:
        publisher = HoppingPublisher(ways, rate)
        self.addCleanup(publisher.stop)
        publisher.start()
        return publisher

    def caught_up(self, hoppers: list[Hopper], head: int) -> None:
        wait_until(lambda: all(hopper.seq >= head for hopper in hoppers), f"all clients to reach {head}", 30)
        for hopper in hoppers:
            hopper.stop()


class LeaderTests(ClusterCase):
    """Three nodes and an X that allows two streams, so that one which is paused keeps nobody from connecting
    and goes on being given posts."""

    def setUp(self) -> None:
        self.x = Simulator("x", "--token", TOKEN, "--keepalive", "1", "--streams", "2")
        self.cluster = Cluster(3, x=self.x)
        for server in (self.cluster, self.x):
            self.addCleanup(server.close)
        self.x.start()
        self.cluster.start()
        self.posted: list[str] = []

    def post(self, text: str) -> None:
        self.posted.append(f"{text} #rehearsal")
        self.x.control("post", text=self.posted[-1])

    def texts(self, node: AfeedServer) -> list[str]:
        posts = [c["item"] for c in node.changes() if c["type"] == "item.posted"]
        return [item["text"] for item in posts if item["source"] == "x"]

    def streaming(self, node: AfeedServer) -> bool:
        told = check(node, "x")
        return told["state"] == "ok" and told["data"].get("last_byte_at") is not None

    def taken_over(self, began: float, other_than: AfeedServer) -> AfeedServer:
        leader = self.cluster.wait_for_leader(other_than=other_than, seconds=TAKEOVER_S + SLACK_S)
        print(f"another node led after {time.monotonic() - began:.1f} s", file=sys.stderr)
        wait_until(lambda: self.streaming(leader), "the new leader's stream to be live")
        return leader

    def assert_one_leads(self, leader: AfeedServer) -> None:
        self.assertEqual(self.cluster.leaders(), [leader])
        self.assertEqual(self.x.control("streams"), "1")
        for node in self.cluster.nodes:
            if node is leader or not node.running:
                continue
            self.assertEqual(node.request("/readyz")[0], 200)
            self.assertEqual(node.request("/healthz")[0], 200)
            self.assertEqual(
                (check(node, "x")["state"], check(node, "x")["data"]), ("ok", {"state": "resting"})
            )
            self.assertEqual(check(node, "leader")["state"], "ok")
            self.assertEqual(check(node, "leader")["data"]["leader"], check(leader, "leader")["data"]["node"])
            self.assertIn("another node copies", check(node, "strainer")["detail"])

    def test_the_leader_is_killed_and_its_successor_paused_and_every_post_is_there_once(self) -> None:
        print(f"seed {SEED}", file=sys.stderr)
        with self.cluster.told_on_failure():
            self.kill_and_pause()

    def kill_and_pause(self) -> None:
        nodes = self.cluster.nodes
        first = self.cluster.wait_for_leader()
        wait_until(lambda: self.streaming(first), "the X stream to be live")
        self.assert_one_leads(first)
        ways = [direct(node) for node in nodes]
        hoppers = self.hoppers(ways, each=2, hop_s=2.0)
        for number in range(5):
            self.post(f"before {number}")
        wait_until(lambda: len(self.texts(first)) == 5, "the posts before")
        for node in nodes:  # also those that do not copy know that the archive has it all
            wait_until(
                lambda node=node: (
                    metric(node, "afeed_log_head") == metric(first, "afeed_log_head")
                    and metric(node, "afeed_strainer_lag_changes") == 0
                ),
                "every node to know of the archive",
            )

        publisher = self.publish(ways, 20.0)  # at any node, whoever leads
        first.kill()
        began = time.monotonic()
        for number in range(5):
            self.post(f"nobody leads {number}")
        second = self.taken_over(began, first)
        self.post("the second leads")
        wait_until(lambda: self.posted[-1] in self.texts(second), "a live post of the second leader")
        first.start()
        self.assert_one_leads(second)

        second.signal(signal.SIGSTOP)
        self.addCleanup(lambda: second.running and second.signal(signal.SIGCONT))
        began = time.monotonic()
        asleep = [f"given to the sleeper {number}" for number in range(5)]
        for text in asleep:
            self.post(text)
        third = self.taken_over(began, second)
        self.post("the third leads")
        wait_until(lambda: self.posted[-1] in self.texts(third), "a live post of the third leader")
        wait_until(lambda: time.monotonic() - began > PAUSE_S, "the pause to be over")
        self.assertEqual(self.x.control("streams"), "2")  # the sleeper's has all of them in it, unread
        second.signal(signal.SIGCONT)
        wait_until(
            lambda: check(second, "leader")["detail"].startswith("Another node runs the sources:"),
            "the sleeper to find out",
            10 + SLACK_S,
        )
        wait_until(lambda: self.x.control("streams") == "1", "the sleeper to leave X")
        self.assert_one_leads(third)
        # It had read them all, and X's search does not show them yet: had it recorded them they would be there.
        self.assertEqual([text for text in self.texts(third) if text.removesuffix(" #rehearsal") in asleep], [])
        self.assertIn("Another node runs the sources now", second.output())
        self.assertNotIn("broke", second.output())
        self.assertNotIn("Traceback", second.output())

        self.post("all awake")
        wait_until(lambda: set(self.posted) <= set(self.texts(third)), "what was missed to be fetched", 150)
        self.assertEqual(sorted(self.texts(third)), sorted(self.posted))
        self.assertEqual(self.cluster.leaders(), [third])
        publisher.stop()
        self.judge(third, hoppers, publisher)

    def judge(self, leader: AfeedServer, hoppers: list[Hopper], publisher: HoppingPublisher) -> None:
        head = leader.changes()[-1]["seq"]
        self.caught_up(hoppers, head)
        wait_until(lambda: metric(leader, "afeed_strainer_lag_changes") == 0, "the archive to have it all")
        wait_until(lambda: len(archived(leader)) == len(leader.changes()), "the archive to have every change")
        verdict = judge(leader.changes(), publisher.accepted, hoppers, archive=archived(leader))
        print(verdict, file=sys.stderr)
        self.assertTrue(verdict.clean, verdict)
        self.assertGreaterEqual(verdict.deliveries, len(hoppers) * head)
        self.assertGreater(verdict.accepted, 200)
        self.assertTrue(all(hopper.connections > 5 for hopper in hoppers))


class RollingRestartTests(ClusterCase):
    """Three nodes behind the real nginx, with the project's own configuration."""

    def setUp(self) -> None:
        self.cluster = Cluster(3, behind_nginx=True)
        self.addCleanup(self.cluster.close)
        self.cluster.start()
        self.nginx = NginxServer([node.port for node in self.cluster.nodes])
        self.addCleanup(self.nginx.close)
        self.nginx.start()
        tls = ssl.create_default_context(cafile=str(self.nginx.directory / "fullchain.pem"))
        self.way = Way(self.nginx.port, SERVER_NAME, tls)

    def test_a_rolling_restart_sends_everybody_on_and_a_killed_node_is_passed_over(self) -> None:
        print(f"seed {SEED}", file=sys.stderr)
        with self.cluster.told_on_failure():
            self.restart_and_kill()

    def restart_and_kill(self) -> None:
        hoppers = self.hoppers([self.way], each=8)
        lasting = [hopper for hopper in hoppers if hopper.transport in ("websocket", "sse")]
        publisher = self.publish([self.way], 50.0)
        wait_until(lambda: all(hopper.seqs for hopper in hoppers), "every client to be served")
        for node in self.cluster.nodes:
            connected = metric(node, "afeed_viewers")
            byes = sum(len(hopper.byes) for hopper in lasting)
            self.assertEqual(node.stop(), -signal.SIGTERM)  # by itself, and not at the deadline
            node.start()
            self.assertGreater(connected, 0)
            self.assertGreater(sum(len(hopper.byes) for hopper in lasting), byes)
            wait_until(
                lambda: not any(hopper.away for hopper in hoppers), "everybody to be back", BACK_S + SLACK_S
            )
            time.sleep(NGINX_KNOWS_S)
        self.assertEqual([hopper.cuts for hopper in lasting], [0] * len(lasting))
        retries = [bye.retry_ms for hopper in lasting for bye in hopper.byes]
        absences = [absence for hopper in hoppers for absence in hopper.absences]
        print(
            f"{len(retries)} goodbyes, to come back after {min(retries)} to {max(retries)} ms; "
            f"the longest absence was {max(absences):.1f} s",
            file=sys.stderr,
        )
        self.assertGreaterEqual(len(retries), len(lasting))
        self.assertTrue(all(0 <= retry <= RETURN_MS for retry in retries))
        self.assertGreater(max(retries) - min(retries), RETURN_MS / 3)
        self.assertGreater(len(set(retries)), len(retries) / 2)
        self.assertLess(max(absences), BACK_S)

        # One of them is killed under all these clients.
        victim = self.cluster.wait_for_leader()
        before = len(publisher.accepted)
        victim.kill()
        wait_until(lambda: len(publisher.accepted) > before + 50, "pushes to go on without it")
        self.cluster.wait_for_leader(other_than=victim)
        publisher.stop()
        self.finish(hoppers, publisher)

    def finish(self, hoppers: list[Hopper], publisher: HoppingPublisher) -> None:
        log = self.way.changes()
        self.caught_up(hoppers, log[-1]["seq"])
        verdict = judge(log, publisher.accepted, hoppers)
        print(verdict, file=sys.stderr)
        self.assertTrue(verdict.clean, verdict)
        self.assertGreater(verdict.accepted, 200)


class LostRedisTests(ClusterCase):
    """Two nodes whose Redis loses data; both, and the archive, remember."""

    def setUp(self) -> None:
        self.cluster = Cluster(2)
        self.addCleanup(self.cluster.close)
        self.cluster.start()
        self.ways = [direct(node) for node in self.cluster.nodes]

    def heads(self) -> set[str]:
        return {way.ask("/rehearsal/updates?limit=1&wait=0")[1]["cursor"] for way in self.ways}

    def epochs(self) -> set[str]:
        return {head.partition(":")[0] for head in self.heads()}

    def healthy(self) -> bool:
        return all(node.request("/healthz")[0] == 200 for node in self.cluster.nodes)

    def lose(self, how: str) -> None:
        """Lose everything while it runs, or what was written in the second before a crash."""
        redis = self.cluster.redis
        if how == "everything":
            redis.cli("FLUSHALL")
            return
        kept = redis.directory / "appendonlydir"
        earlier = redis.directory / "earlier"
        shutil.copytree(kept, earlier)
        pushed = metric(self.cluster.nodes[0], "afeed_log_head")
        wait_until(
            lambda: metric(self.cluster.nodes[0], "afeed_log_head") > pushed + 20, "something more to be lost"
        )
        redis.kill()
        shutil.rmtree(kept)
        earlier.rename(kept)
        redis.start()

    def test_what_two_living_nodes_remember_comes_back_whatever_redis_lost(self) -> None:
        leader = self.cluster.wait_for_leader()
        hoppers = self.hoppers(self.ways, hop_s=3.0)
        publisher = self.publish(self.ways, 50.0)
        wait_until(lambda: len(publisher.accepted) > 50, "something to be lost")
        for how in ("everything", "the last second"):
            (before,) = self.epochs()
            self.lose(how)
            wait_until(
                lambda before=before: len(self.epochs()) == 1 and self.epochs() != {before},
                f"a new epoch ({how})",
            )
            accepted = len(publisher.accepted)
            wait_until(lambda accepted=accepted: len(publisher.accepted) > accepted + 50, "pushes to go on")
            wait_until(self.healthy, "both nodes to be well")
            self.assertEqual(self.cluster.leaders(), [leader])  # its term goes on
        publisher.stop()
        wait_until(lambda: len(self.heads()) == 1, "both nodes to show the same")
        for way in self.ways:
            posted = Counter(c["item"]["id"] for c in way.changes() if c["type"] == "item.posted")
            self.assertEqual(set(publisher.accepted) - set(posted), set(), "accepted, and lost")
            self.assertEqual([id_ for id_, times in posted.items() if times > 1], [])
        self.caught_up(hoppers, way.changes()[-1]["seq"])
        wait_until(lambda: metric(leader, "afeed_strainer_lag_changes") == 0, "the archive to have it all")
        self.assertEqual([change["seq"] for change in archived(leader)], [c["seq"] for c in way.changes()])
        for hopper in hoppers:  # a gap is an explicit word; without one nothing may be missing
            if not hopper.gaps:
                self.assertEqual(sorted(set(hopper.seqs)), list(range(1, hopper.seq + 1)), hopper.name)
