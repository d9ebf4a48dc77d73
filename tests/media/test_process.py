"""A real afeed that is killed while it fetches, and one that cannot fetch at all."""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import blockingCallFromThread, deferToThread
from twisted.trial.unittest import TestCase

from afeed.media.store import MediaStore
from tests.media.faulty import JPEG, PNG, PictureHost
from tests.servers.afeed import AfeedServer
from tests.servers.process import wait_until

TWISTD = (sys.executable, str(Path(__file__).with_name("nearby_twistd.py")))


class ProcessTests(TestCase):
    timeout = 400

    def setUp(self) -> None:
        self.host = PictureHost(reactor)
        self.pictures = self.host.listen()
        self.addCleanup(self.host.close)
        self.server = AfeedServer(twistd=TWISTD)
        self.addCleanup(self.server.close)
        text = self.server.config_path.read_text()
        self.server.config_path.write_text(text.replace("hashtags =", "keep_media = true\nhashtags ="))

    def post(self, number: int, *paths: str) -> dict[str, Any]:
        media = [{"type": "photo", "url": f"{self.pictures}{path}"} for path in paths]
        return {"id": str(number), "text": "look", "media": media}

    def check(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.server.request("/healthz")[2])["checks"]["media"]
        return found

    def test_killed_while_it_fetches_it_goes_on_where_it_was(self) -> Deferred[None]:
        def run() -> None:
            self.server.start()
            self.server.push(self.post(1, "/ann.png", "/slow"))
            wait_until(lambda: self.host.asked["/slow"] >= 1, "it is fetching")
            wait_until(lambda: self.check()["data"].get("kept") == 1, "one is kept")
            self.server.kill()
            blockingCallFromThread(reactor, self.host.pictures.__setitem__, "/slow", JPEG)
            self.server.start()
            wait_until(lambda: self.check()["data"].get("kept") == 2, "the other is kept", 120)
            self.assertEqual(self.host.asked["/ann.png"], 1)
            store = MediaStore(self.server.directory / "var" / "media")
            found = {sha for sha, _ in store.names()}
            self.assertEqual(found, {sha256(PNG).digest(), sha256(JPEG).digest()})
            self.assertEqual(list(store.folder.glob("part-*")), [])

        return deferToThread(run)

    def test_whatever_pictures_do_the_feed_goes_on_and_the_stop_is_quick(self) -> Deferred[None]:
        def run() -> None:
            self.server.start()
            faults = (
                "/silent",
                "/endless",
                "/huge",
                "/truncated",
                "/html",
                "/svg",
                "/broken",
                "/busy",
                "/round",
            )
            self.server.push(*(self.post(number, path) for number, path in enumerate(faults)))
            wait_until(lambda: self.check()["data"].get("failed", 0) >= 1, "some are given up", 120)
            (result,) = self.server.push(self.post(99, "/ann.png"))
            self.assertTrue(result["new"])
            self.assertIn(self.check()["state"], ("ok", "degraded"))
            self.assertEqual(self.server.request("/healthz")[0], 200)
            self.server.stop()
            store = MediaStore(self.server.directory / "var" / "media")
            self.assertLessEqual({kind for _, kind in store.names()}, {"png"})

        return deferToThread(run)
