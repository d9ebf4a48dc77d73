"""What is posted while afeed is dead is there once it lives again: real processes, real kills."""

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


class KillTests(TestCase):
    """One afeed and an X.  X's search hides its newest half minute, so these tests take a little longer."""

    timeout = 300

    def setUp(self) -> None:
        self.x = Simulator("x", "--token", TOKEN, "--keepalive", "1")
        self.afeed = AfeedServer(
            sources="""
[[events.sources]]
type = "x"
rule = "#rehearsal"
""",
            extra=f'''
[accounts.x]
bearer_token_env = "AFEED_X_BEARER_TOKEN"
api_url = "{self.x.url}"
''',
            env={"AFEED_X_BEARER_TOKEN": TOKEN},
        )
        for server in (self.afeed, self.x):
            self.addCleanup(server.close)
        self.x.start()
        self.start()

    def start(self) -> None:
        self.afeed.start()
        wait_until(self.live, f"the X stream to be live; afeed said: {self.afeed.output()[-2000:]}")

    def check(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.afeed.request("/healthz")[2])["checks"]["x"]
        return told

    def live(self) -> bool:
        check = self.check()
        return check["state"] == "ok" and check["data"]["last_byte_at"] is not None

    def texts(self) -> list[str]:
        return [change["item"]["text"] for change in self.afeed.changes() if change["type"] == "item.posted"]

    def gaps(self) -> list[dict[str, Any]]:
        return [change for change in self.afeed.changes() if change["type"] == "source.gap"]

    def test_posts_made_while_afeed_is_killed_are_all_there_once_and_deleted_ones_are_not(self) -> None:
        posted = []

        def post(text: str) -> None:
            posted.append(f"{text} #rehearsal")
            self.x.control("post", text=posted[-1])

        for number in range(5):
            post(f"before {number}")
        regretted = self.x.control("post", text="regretted #rehearsal")
        wait_until(lambda: len(self.texts()) == 6, "the posts before")
        cursor = self.afeed.updates()["cursor"]
        for kill in range(2):
            self.afeed.kill()
            if kill == 0:
                self.x.control("delete", id=regretted, silent="1")
            for number in range(7):
                post(f"while dead {kill}.{number}")
            self.start()
            post(f"live again {kill}")
            wait_until(lambda: posted[-1] in self.texts(), "the live post")
        # The second kill came before the first gap was filled in: both have to be.
        wait_until(lambda: set(posted) <= set(self.texts()), "what was missed", 120)
        wait_until(lambda: "regretted #rehearsal" not in self.texts(), "the deletion to be noticed", 120)
        wait_until(lambda: self.check()["data"]["filling"] == {}, "the filling to be over", 120)
        self.assertEqual(sorted(self.texts()), sorted(posted))
        resumed = self.afeed.updates(cursor)
        self.assertIsNone(resumed["gap"])
        seqs = [change["seq"] for change in self.afeed.changes()]
        self.assertEqual(seqs, list(range(1, len(seqs) + 1)))
        wait_until(lambda: self.check()["state"] == "ok", "health to be green")
        self.assertNotIn("regretted", json.dumps(self.afeed.changes()))

        def last() -> dict[str, dict[str, Any]]:
            return {gap["from"]: gap for gap in self.gaps()}

        # An outage of a moment is no gap: on a quick machine there may be none.
        wait_until(lambda: {gap["state"] for gap in last().values()} <= {"closed"}, "the gaps to be closed")
        self.assertLessEqual({gap["source"] for gap in last().values()}, {"x"})
        archive = self.afeed.directory / "var" / "archive.sqlite3"
        expected = [(from_, gap["to"], "closed", gap["fetched"]) for from_, gap in sorted(last().items())]

        def ledger() -> list[tuple[Any, ...]]:
            with closing(sqlite3.connect(f"file:{archive}?mode=ro", uri=True)) as reader:
                sql = "SELECT from_at, to_at, state, fetched FROM source_gaps ORDER BY from_at"
                return reader.execute(sql).fetchall()

        wait_until(lambda: ledger() == expected, "the ledger to have the gaps")
