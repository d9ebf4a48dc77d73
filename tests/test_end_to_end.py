"""The main job, from outside: posts and photos go in at simulated upstreams and come out of a real process."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

from twisted.trial.unittest import TestCase

from tests.servers.afeed import AfeedServer
from tests.servers.process import wait_until
from tests.servers.simulator import Simulator

TOKEN = "simulated-token"


class EndToEndTests(TestCase):
    """One afeed, an X and a Flickr."""

    timeout = 300

    def setUp(self) -> None:
        self.x = Simulator("x", "--token", TOKEN, "--keepalive", "2")
        self.flickr = Simulator("flickr", "--tag", "rehearsal", "--every", "1")
        self.afeed = AfeedServer(
            sources="""
[[events.sources]]
type = "x"
rule = "#rehearsal"

[[events.sources]]
type = "flickr"
tags = ["rehearsal"]
interval_s = 1
""",
            extra=f"""
[accounts.x]
bearer_token_env = "AFEED_X_BEARER_TOKEN"
api_url = "{self.x.url}"

[accounts.flickr]
api_key_env = "AFEED_FLICKR_API_KEY"
api_url = "{self.flickr.url}/services/rest/"
""",
            env={"AFEED_X_BEARER_TOKEN": TOKEN, "AFEED_FLICKR_API_KEY": "an-invented-key-0123456789"},
        )
        for server in (self.afeed, self.x, self.flickr):
            self.addCleanup(server.close)
        self.x.start()
        self.flickr.start()
        self.afeed.start()

    def check(self, name: str) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.afeed.request("/healthz")[2])["checks"][name]
        return told

    def wait_for(self, what: str, text: str) -> dict[str, Any]:
        """The newest change that is of type ``what`` and contains ``text``."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [c for c in self.afeed.changes() if c["type"] == what and text in json.dumps(c)]
            return bool(found)

        wait_until(there, f"{what} with {text!r}; afeed said: {self.afeed.output()[-2000:]}")
        return found[-1]

    def wait_red(self, name: str, state: str, words: str) -> None:
        """Return when the check ``name`` is in this state and says ``words``."""

        def told() -> bool:
            check = self.check(name)
            return check["state"] == state and words in check["detail"]

        wait_until(told, f"{name} to be {state} and to say {words!r}; it says {self.check(name)}")

    def test_posts_and_photos_are_live_archived_edited_and_resumed(self) -> None:
        wait_until(lambda: self.check("x")["state"] == "ok", "the X stream to be live")
        post_id = self.x.control("post", text="Doors open #rehearsal & coffee")
        first = self.wait_for("item.posted", "Doors open")
        self.assertEqual(first["item"]["text"], "Doors open #rehearsal & coffee")
        self.assertEqual(first["item"]["source"], "x")
        self.assertEqual(first["item"]["id"], f"x:{post_id}")
        self.x.control("post", text="Doors open at nine #rehearsal", edits=post_id)
        edited = self.wait_for("item.edited", "at nine")
        self.assertEqual(edited["item"]["id"], first["item"]["id"])
        self.x.control("delete", id=post_id)
        self.wait_for("item.removed", f"x:{post_id}")
        self.assertNotIn("Doors open", json.dumps(self.afeed.changes()))
        self.x.control("post", text="somebody else's #conference")

        photo = self.wait_for("item.posted", '"kind": "photo"')["item"]
        (media,) = photo["media"]
        self.assertEqual(photo["source"], "flickr")
        for member in ("url", "thumb_url", "owner", "licence"):
            self.assertTrue(media[member], f"a photo has its {member}: {media}")

        # Stop afeed, post meanwhile what only the stream could tell, and go on without a gap in the log.
        cursor = self.afeed.updates()["cursor"]
        self.afeed.kill()
        self.afeed.start()
        wait_until(lambda: self.check("x")["state"] == "ok", "the X stream to be live again")
        self.x.control("post", text="Second act #rehearsal")
        self.wait_for("item.posted", "Second act")
        resumed = self.afeed.updates(cursor)
        self.assertIsNone(resumed["gap"])
        seqs = [change["seq"] for change in self.afeed.changes()]
        self.assertEqual(seqs, list(range(1, len(seqs) + 1)))
        self.assertNotIn("somebody else", json.dumps(self.afeed.changes()))

        head = int(self.afeed.updates(limit=1)["cursor"].partition(":")[2])
        archive = self.afeed.directory / "var" / "archive.sqlite3"

        def archived() -> bool:
            with closing(sqlite3.connect(f"file:{archive}?mode=ro", uri=True)) as reader:
                (count,) = reader.execute("SELECT count(*) FROM changes WHERE seq <= ?", (head,)).fetchone()
            return bool(count == head)

        wait_until(archived, f"all {head} changes to be in the archive")

    def test_a_source_that_fails_fails_alone_and_says_why(self) -> None:
        wait_until(lambda: self.check("x")["state"] == "ok", "the X stream to be live")
        wait_until(lambda: self.check("flickr:rehearsal")["state"] == "ok", "Flickr to be polled")
        self.flickr.kill()
        self.wait_red("flickr:rehearsal", "degraded", "127.0.0.1")
        self.assertNotIn("an-invented-key-0123456789", self.afeed.output())
        self.assertEqual(self.check("x")["state"], "ok")
        self.x.control("post", text="still here #rehearsal")
        self.wait_for("item.posted", "still here")
        self.flickr.start()
        wait_until(lambda: self.check("flickr:rehearsal")["state"] == "ok", "Flickr to be polled again", 90)

    def test_a_wrong_token_is_told_and_not_hammered(self) -> None:
        self.x.control("fault", name="unauthorized")
        self.x.control("fault", name="close")
        self.wait_red("x", "failed", "401")
        self.assertNotIn(TOKEN, self.afeed.output())
        status, _, body = self.afeed.request("/healthz")
        self.assertEqual((status, json.loads(body)["status"]), (503, "failed"))
        self.assertEqual(self.afeed.push({"id": "1", "text": "the feed goes on"})[0]["new"], True)
