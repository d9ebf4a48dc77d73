"""What is missing stays known: after a restore the gap ledger and health say what they said before."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from afeed.core.backfill import Ledger, Span
from afeed.core.change import seconds, timestamp
from afeed.core.draft import SourceGap, prepare
from afeed.interfaces import Position
from afeed.livelog.database import Database
from tests.chaos.archived import archived_gaps
from tests.command.support import CommandTestCase
from tests.fakes import a_post
from tests.servers.afeed import SLUG, AfeedServer
from tests.servers.process import wait_until
from tests.servers.simulator import Simulator

TOKEN = "simulated-token"
SOURCES = """
[[events.sources]]
type = "x"
rule = "#rehearsal"
"""
ACCOUNT = """
[accounts.x]
bearer_token_env = "AFEED_X_BEARER_TOKEN"
api_url = "{url}"
"""


def a_gap(from_: str, to: str | None, state: Any, fetched: int = 0, reason: str = "outage") -> SourceGap:
    return SourceGap(source="x", from_=from_, to=to, state=state, fetched=fetched, reason=reason)


class GapTests(CommandTestCase):
    """An X whose search is refused, so that one outage of this morning could be filled in and one cannot."""

    def setUp(self) -> None:
        super().setUp()
        self.x = Simulator("x", "--token", TOKEN, "--keepalive", "1")
        self.addCleanup(self.x.close)
        self.x.start()
        self.x.control("fault", name="forbidden", on="search", times="1000")
        now = seconds(timestamp(time.time()))
        self.moments = [timestamp(now - hours * 3600) for hours in (4, 3, 2, 1)]
        self.now = now

    def node(self, kind: str) -> AfeedServer:
        return self.stocked(
            kind,
            sources=SOURCES,
            extra=ACCOUNT.format(url=self.x.url),
            env={"AFEED_X_BEARER_TOKEN": TOKEN},
        )

    def record(self, server: AfeedServer) -> None:
        """What the log has after these two outages: every state of both, and the position of X."""
        began, over, again, back = self.moments
        span = Span(seconds(again), seconds(back), seconds(again), 0.0, 3600.0, told=True)
        ledger = Ledger("x", self.now, [span])
        drafts = [
            a_gap(began, None, "open"),
            a_gap(began, over, "open"),
            a_post(1),
            a_gap(began, over, "closed", 1),
            a_gap(again, None, "open"),
            a_gap(again, back, "open", 0, "search-failed"),
        ]
        var = server.directory / "var"
        var.mkdir(mode=0o700)
        database = Database(var / "live.sqlite3", window=10_000, max_bytes=10**9)
        database.begin()
        database.create(SLUG, "e1", ())
        records = [prepare(draft) for draft in drafts]
        database.append(SLUG, None, records, timestamp(self.now), Position("x", ledger.position(None)))
        database.commit()
        database.close()

    def missing(self, server: AfeedServer) -> Sequence[str]:
        """What health says of X once the search has been tried: the outages of this morning, that is."""

        missing: list[str] = []

        def told() -> bool:
            check = json.loads(server.request("/healthz")[2])["checks"]["x"]
            missing[:] = [line for line in check["data"].get("missing", []) if self.moments[2] in line]
            return bool(missing) and check["state"] == "degraded"

        wait_until(told, f"health to tell of what is missing; {server.output()[-2000:]}", 120)
        return missing

    def test_the_ledger_and_health_are_after_a_restore_what_they_were(self) -> None:
        source = self.node("files")
        self.record(source)
        source.start()
        missing = self.missing(source)
        self.assertEqual(len(missing), 1)
        self.assertIn(f"from {self.moments[2]} to {self.moments[3]}", missing[0])
        told = self.backup(source)
        source.stop()
        began, over, again, back = self.moments
        expected = [("x", began, over, "closed", 1), ("x", again, back, "open", 0)]
        for kind in ("files", "servers"):
            target = self.node(kind)
            self.restore(target)
            ledger = [row[:5] for row in archived_gaps(target) if row[1] < self.moments[3]]
            self.assertEqual(ledger, expected)
            self.assertEqual(told["events"][SLUG]["sources"], ["x"])
            target.start()
            self.assertEqual(self.missing(target), missing)
            text = target.request(f"/{SLUG}")[2].decode()
            for moment, kind_of_mark in ((began, "one"), (again, "open")):
                mark = text.partition(f'id="gap-x-{moment}"')[2][:100]
                self.assertIn(f'data-kind="{kind_of_mark}"', mark)
            target.stop()
