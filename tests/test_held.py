"""Posts that wait before anybody sees them, in a real process: nothing of them is told, and nothing is lost."""

from __future__ import annotations

import json
import time
from typing import Any

from twisted.trial.unittest import TestCase

from afeed.core.change import seconds
from tests.chaos.followers import Message, WebSocket
from tests.servers.afeed import AfeedServer
from tests.servers.cluster import Cluster, check
from tests.servers.process import wait_until
from tests.servers.redis import Redis
from tests.test_organisers import ACCOUNT, Organiser, wait_for_archive

MUTED = """
[events.filters]
muted = ["bad word"]
"""


#: How late a post that is due may be shown by a machine that does much else (seconds); on a clock of its own
#: :mod:`tests.test_releasing` has it within one.
LATE_S = 8.0


def holding(seconds: float) -> str:
    return f'\n[events.filters]\nmode = "hold"\nhold_s = {seconds}\n'


class Viewer(WebSocket):
    """Notes the text and the moment of whatever it is shown."""

    def __init__(self, server: AfeedServer) -> None:
        super().__init__(server.port, server.slug)
        self.texts: list[str] = []
        self.at: dict[str, float] = {}
        self.start()

    def take(self, message: Message) -> None:
        super().take(message)
        for change in message.get("changes", ()):
            if "item" in change:
                self.texts.append(change["item"]["text"])
                self.at[change["item"]["text"]] = time.time()


class HeldSuite:
    """Mixed into a test case for each live log below."""

    def server(self, filters: str) -> AfeedServer:
        server = AfeedServer(live_log=self.live_log(), sources=filters, extra=ACCOUNT)
        self.addCleanup(server.close)
        server.start()
        wait_for_archive(server)
        return server

    def viewer(self, server: AfeedServer) -> Viewer:
        found = Viewer(server)
        self.addCleanup(found.stop)
        wait_until(lambda: bool(found.connections and found.cursor != "0"), "a viewer to be there")
        return found

    def test_a_viewer_sees_it_only_when_an_organiser_lets_it_through(self) -> None:
        server = self.server(MUTED)
        viewer = self.viewer(server)
        ann = Organiser()
        self.assertEqual(ann.sign_in(server), 303)
        held, shown = server.push({"id": "1", "text": "a BAD word"}, {"id": "2", "text": "fine"})
        self.assertEqual(held, {"id": "push:1", "seq": None, "new": True, "held": True})
        self.assertEqual((shown["seq"], shown["new"]), (1, True))
        server.push({"id": "3", "text": "bad word, too"})
        wait_until(lambda: viewer.texts == ["fine"], "what is fine")
        self.assertNotIn("BAD", json.dumps(server.changes()))
        self.assertNotIn("BAD", server.request(f"/{server.slug}")[2].decode())
        page = ann.ask(server, f"/admin/events/{server.slug}/held")[1]
        self.assertIn("a BAD word", page)
        self.assertIn("It has a muted word in it: “bad word”.", page)
        self.assertEqual(ann.press(server, "refuse", subject="push:3"), 303)
        self.assertEqual(ann.press(server, "show", subject="push:1"), 303)
        wait_until(lambda: viewer.texts == ["fine", "a BAD word"], "what was let through")
        self.assertEqual([change["seq"] for change in server.changes()], [1, 2])
        # The same version again is not held again.
        server.push({"id": "1", "text": "a BAD word"})
        self.assertNotIn("a BAD word", ann.ask(server, f"/admin/events/{server.slug}/held")[1])
        self.assertEqual(len(server.changes()), 2)

    def test_killed_between_holding_and_showing_it_loses_nothing_and_is_in_time(self) -> None:
        server = self.server(holding(10))
        due = time.time() + 10
        results = server.push(*({"id": str(number), "text": f"post {number}"} for number in range(20)))
        self.assertTrue(all(one["held"] for one in results))
        server.kill()
        server.start()
        ready = time.time()
        viewer = self.viewer(server)
        wait_until(lambda: len(viewer.texts) == 20, "all that was held")
        self.assertEqual(viewer.texts, [f"post {number}" for number in range(20)])
        for change in server.changes():
            at = seconds(change["at"])
            self.assertGreater(at, due - 0.01)  # times are told in milliseconds
            self.assertLess(at, max(due, ready) + LATE_S)

        def released() -> int:
            data: dict[str, Any] = check(server, "held")["data"]
            return int(data["released"])

        wait_until(lambda: released() == 20, "all of them to be counted")
        seqs = [change["seq"] for change in server.changes()]
        self.assertEqual(seqs, list(range(1, 21)))

    def test_each_is_shown_at_its_time_and_not_before(self) -> None:
        server = self.server(holding(3))
        viewer = self.viewer(server)
        due: dict[str, float] = {}
        for number in range(5):
            due[f"post {number}"] = time.time() + 3
            server.push({"id": str(number), "text": f"post {number}"})
            time.sleep(0.3)
        wait_until(lambda: len(viewer.at) == 5, "all that was held")
        for text, at in viewer.at.items():
            self.assertGreater(at, due[text] - 0.01, text)
            self.assertLess(at, due[text] + LATE_S, text)

    def test_what_organisers_set_outlives_a_restart_and_applies_to_the_first_push(self) -> None:
        server = self.server("")
        ann = Organiser()
        ann.sign_in(server)
        fields = {"mode": "everything", "hold_s": "60", "muted": "spoiler", "trusted": ""}
        self.assertEqual(ann.press(server, "filters", **fields), 303)
        server.restart()
        (result,) = server.push({"id": "1", "text": "a spoiler"})
        self.assertTrue(result.get("held"))
        wait_until(lambda: ann.is_known(server), "the database")
        self.assertEqual(ann.press(server, "unfilter"), 303)
        (result,) = server.push({"id": "2", "text": "a spoiler"})
        self.assertEqual(result["new"], True)
        self.assertNotIn("held", result)

    def test_a_removal_takes_what_waits_with_it(self) -> None:
        server = self.server(MUTED)
        ann = Organiser()
        ann.sign_in(server)
        server.push({"id": "1", "text": "fine"})
        server.push({"id": "1", "text": "now with a bad word"})
        self.assertIn("now with", ann.ask(server, f"/admin/events/{server.slug}/held")[1])
        self.assertEqual(ann.press(server, "hide", subject="push:1", seq="1"), 303)
        self.assertNotIn("now with", ann.ask(server, f"/admin/events/{server.slug}/held")[1])


class EmbeddedHeldTests(HeldSuite, TestCase):
    timeout = 180

    def live_log(self) -> str:
        return "embedded"


class RedisHeldTests(HeldSuite, TestCase):
    timeout = 180

    def live_log(self) -> str:
        redis = Redis()
        self.addCleanup(redis.close)
        redis.start()
        return redis.url


class SeveralNodesTests(TestCase):
    timeout = 180

    def test_what_one_node_holds_is_shown_by_the_next_leader_when_the_first_is_killed(self) -> None:
        cluster = Cluster(2)
        self.addCleanup(cluster.close)
        for node in cluster.nodes:
            text = node.config_path.read_text("utf-8")
            event = 'token_env = "AFEED_PUSH_TOKEN"\n'
            node.config_path.write_text(text.replace(event, event + holding(8)) + ACCOUNT, "utf-8")
        cluster.start()
        leader = cluster.wait_for_leader()
        (other,) = [node for node in cluster.nodes if node is not leader]
        other.push({"id": "1", "text": "held at one that does not lead"})
        leader.push({"id": "2", "text": "held at the leader"})
        viewer = Viewer(other)
        self.addCleanup(viewer.stop)
        leader.kill()
        with cluster.told_on_failure():
            wait_until(lambda: len(viewer.texts) == 2, "both")
        self.assertEqual(sorted(viewer.texts), ["held at one that does not lead", "held at the leader"])
        # What is set at one node applies at the other.
        leader.start()
        wait_for_archive(leader)
        ann = Organiser()
        ann.sign_in(leader)
        fields = {"mode": "approve", "hold_s": "60", "muted": "", "trusted": ""}
        self.assertEqual(ann.press(leader, "filters", **fields), 303)
        wait_until(
            lambda: "approved" in ann.ask(other, f"/admin/events/{other.slug}/held")[1],
            "the other node to know",
        )
