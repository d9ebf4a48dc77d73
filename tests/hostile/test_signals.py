"""SIGHUP, by which other servers read their configuration again: afeed has no such thing, and ends."""

from __future__ import annotations

import signal

from twisted.trial.unittest import SynchronousTestCase

from tests.servers.afeed import SLUG, AfeedServer
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

    def hang_up(self) -> None:
        self.server.signal(signal.SIGHUP)
        self.assertEqual(self.server.wait(), -signal.SIGHUP, self.server.output())

    def posted(self) -> list[str]:
        return [change["item"]["id"] for change in self.server.changes() if change["type"] == "item.posted"]

    def test_config_40_a_faulty_configuration(self) -> None:
        self.server.push({"id": "1", "text": "kept"})
        self.configure('timezone = "UTC"', 'timezone = "Mars/Olympus"')
        self.server.push({"id": "2", "text": "kept too"})
        self.hang_up()
        self.server.launch()
        self.assertEqual(self.server.wait(), 2, self.server.output())
        self.assertIn("Mars/Olympus", self.server.output())
        self.configure("Mars/Olympus", "UTC")
        self.server.start()
        self.assertEqual(self.posted(), ["push:1", "push:2"])

    def test_config_41_a_source_that_is_dropped_while_it_delivers_loses_nothing(self) -> None:
        pusher = Pusher(self.server)
        pusher.start()
        wait_until(lambda: len(pusher.accepted) >= 20, "some items to be accepted")
        self.configure(_PUSH, "")
        self.hang_up()
        accepted = pusher.stop()
        self.server.start()
        posted = self.posted()
        self.assertEqual(len(posted), len(set(posted)), "shown twice")
        self.assertEqual(set(accepted) - set(posted), set(), "lost")
        # One more may have become durable whose answer was cut off.
        self.assertLessEqual(len(posted), len(accepted) + 1)
        self.assertEqual(self.server.request(f"/{SLUG}/items", method="POST", body=b"{}")[0], 404)
