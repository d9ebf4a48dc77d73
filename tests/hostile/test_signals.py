"""SIGHUP, by which other servers read their configuration again: afeed only says what it is worth."""

from __future__ import annotations

import signal

from twisted.trial.unittest import SynchronousTestCase

from tests.servers.afeed import SLUG, AfeedServer
from tests.servers.cluster import metric
from tests.servers.process import wait_until
from tests.test_process import Pusher

_PUSH = '[[events.sources]]\ntype = "push"\ntoken_env = "AFEED_PUSH_TOKEN"\n'


class HangUpTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = AfeedServer()
        self.addCleanup(self.server.close)
        self.server.start()

    def configure(self, old: str, new: str) -> None:
        text = self.server.config_path.read_text("utf-8")
        self.assertIn(old, text)
        self.server.config_path.write_text(text.replace(old, new), "utf-8")

    def hang_up(self, answer: str) -> None:
        """Send SIGHUP, and wait until afeed says ``answer``."""
        said = self.server.output().count(answer)
        self.server.signal(signal.SIGHUP)
        wait_until(lambda: self.server.output().count(answer) > said, f"afeed to say {answer!r}")

    def posted(self) -> list[str]:
        return [change["item"]["id"] for change in self.server.changes() if change["type"] == "item.posted"]

    def test_config_40_a_faulty_configuration(self) -> None:
        self.server.push({"id": "1", "text": "kept"})
        self.configure('timezone = "UTC"', 'timezone = "Mars/Olympus"')
        self.hang_up("Mars/Olympus")
        self.assertEqual(metric(self.server, "afeed_configuration_mistakes"), 1)
        self.server.push({"id": "2", "text": "taken as before"})
        self.assertEqual(self.posted(), ["push:1", "push:2"])
        self.configure("Mars/Olympus", "UTC")
        self.hang_up("is sound")
        self.assertEqual(metric(self.server, "afeed_configuration_mistakes"), 0)

    def test_config_41_a_source_that_is_dropped_delivers_until_the_next_start_and_loses_nothing(self) -> None:
        pusher = Pusher(self.server)
        pusher.start()
        wait_until(lambda: len(pusher.accepted) >= 20, "some items to be accepted")
        self.configure(_PUSH, "")
        self.hang_up("is sound")
        before = len(pusher.accepted)
        wait_until(lambda: len(pusher.accepted) >= before + 20, "more items to be accepted")
        self.server.stop()
        accepted = pusher.stop()
        self.server.start()
        posted = self.posted()
        self.assertEqual(len(posted), len(set(posted)), "shown twice")
        self.assertEqual(set(accepted) - set(posted), set(), "lost")
        self.assertEqual(self.server.request(f"/{SLUG}/items", method="POST", body=b"{}")[0], 404)
