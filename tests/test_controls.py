"""Tests of the tests: without a protection the harness finds what that protects from; with it, nothing."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from msgspec import structs
from twisted.trial.unittest import TestCase

from afeed.core.change import POSTED, compose, timestamp
from afeed.core.draft import Posted, prepare
from tests.chaos.archived import archived_count
from tests.chaos.failpoints import BY_NAME
from tests.chaos.followers import EventStream
from tests.chaos.kills import Witnesses
from tests.chaos.sabotaged import SabotagedServer
from tests.chaos.verdict import Verdict, judge
from tests.fakes import an_item
from tests.servers import postgresql
from tests.servers.process import wait_until
from tests.servers.redis import Redis


class ControlTests(TestCase):
    timeout = 300

    def redis(self, **options: Any) -> Redis:
        redis = Redis(**options)
        self.addCleanup(redis.close)
        redis.start()
        return redis

    def server(self, **settings: Any) -> SabotagedServer:
        server = SabotagedServer(**settings)
        self.addCleanup(server.close)
        return server


class DedupeTests(ControlTests):
    """A publisher that was not answered sends again.  That nothing is shown twice with deduplication is in
    :mod:`tests.test_fail_points`, at the same moment."""

    def check(self, live_log: str) -> None:
        server = self.server(live_log=live_log, without=["dedupe"])
        point = BY_NAME["push.before-answer"]
        server.doom(point)
        with Witnesses(server, 400) as witnesses:
            server.die(point)
            server.start()
            accepted = witnesses.publisher.accepted
            wait_until(lambda: len(accepted) > 100, "a hundred items to be taken")
            verdict = witnesses.verdict()
        self.assertFalse(verdict.clean)
        self.assertGreater(verdict.repeated, 0, verdict)
        self.assertIn("is in the log more than once", "; ".join(verdict.details))

    def test_without_it_the_embedded_log_shows_an_item_twice(self) -> None:
        self.check("embedded")

    def test_without_it_the_log_in_redis_shows_an_item_twice(self) -> None:
        self.check(self.redis().url)


class EpochTests(ControlTests):
    """A viewer who has more than what is left of a log, because Redis lost what the archive did not have."""

    def verdict(self, without: Sequence[str]) -> tuple[Verdict, EventStream]:
        """What the viewer was given and told, when as many new items have taken the numbers of the lost
        ones."""
        redis = self.redis(append_only=False)
        server = self.server(live_log=redis.url, without=without)
        server.start()
        viewer = EventStream(server.port, server.slug)
        viewer.start()
        self.addCleanup(viewer.stop)
        server.push(*self.items("kept", 20))
        wait_until(lambda: archived_count(server) == 20, "what is kept to be archived")
        path = server.directory / server.archive.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, isolation_level=None)) as locker:
            locker.execute("BEGIN IMMEDIATE")
            server.push(*self.items("lost", 30))
            wait_until(lambda: viewer.seq == 50, "the viewer to have everything")
            viewer.sleep()
            server.kill()
            redis.restart(lose=True)
        server.start()
        server.push(*self.items("new", 60))
        viewer.wake()
        wait_until(lambda: viewer.seq == 80, "the viewer to have everything again")
        viewer.stop()
        return judge(server.changes(), {}, [viewer]), viewer

    @staticmethod
    def items(name: str, count: int) -> list[dict[str, str]]:
        return [{"id": f"{name}-{number}", "text": f"{name} {number}"} for number in range(count)]

    def test_without_it_a_viewer_silently_lacks_what_took_old_numbers(self) -> None:
        verdict, viewer = self.verdict(["epochs"])
        self.assertFalse(verdict.clean)
        self.assertEqual((viewer.gaps, verdict.gaps), ([], 0))
        self.assertEqual(verdict.differing, 30, verdict)

    def test_with_it_the_viewer_is_told_and_has_the_rest(self) -> None:
        verdict, viewer = self.verdict([])
        self.assertEqual([(gap["from"], gap["reason"]) for gap in viewer.gaps], [(21, "epoch")])
        self.assertEqual(viewer.void, 30)
        self.assertEqual((verdict.lost, verdict.differing, verdict.repeated, verdict.reordered), (0, 0, 0, 0))


class FencingTests(ControlTests):
    """A leader that is paused, and goes on when another leads.  Each node plays a recording of its own, so that
    the log tells who wrote."""

    def written(self, without: Sequence[str]) -> list[str]:
        """The names of those who wrote, in the order of the log."""
        redis = self.redis()
        archive = postgresql.shared().create_database()
        nodes = {}
        for name in ("first", "second"):
            node = nodes[name] = self.server(
                live_log=redis.url,
                archive=archive,
                without=without,
                sources='[[events.sources]]\ntype = "replay"\nfile = "day.jsonl"\n',
            )
            (node.directory / "day.jsonl").write_bytes(self.recording(name))
        first, second = nodes.values()
        first.start()
        wait_until(lambda: "first" in self.names(first), "the first node to play its recording")
        second.start()
        first.signal(signal.SIGSTOP)
        wait_until(lambda: "second" in self.names(second), "the second node to lead", 40)
        first.signal(signal.SIGCONT)
        wait_until(lambda: self.resting(first), "the first node to know that it does not lead", 20)
        return self.names(second)

    @staticmethod
    def recording(name: str) -> bytes:
        """Ten posts a second, for minutes."""
        items = (structs.replace(an_item(number, name), id=f"push:{name}-{number}") for number in range(3000))
        lines = [compose(prepare(Posted(i, "1")), POSTED, timestamp(n / 10)) for n, i in enumerate(items)]
        return b"\n".join(lines)

    @staticmethod
    def names(node: SabotagedServer) -> list[str]:
        return [change["item"]["text"] for change in node.changes() if change["type"] == POSTED]

    @staticmethod
    def resting(node: SabotagedServer) -> bool:
        told = json.loads(node.request("/healthz")[2])["checks"]["replay:rehearsal"]
        return bool(told["data"].get("state") == "resting")

    def late(self, names: Sequence[str]) -> int:
        """How often the first node wrote after the second had begun."""
        return names[names.index("second") :].count("first")

    def test_without_it_a_leader_that_was_paused_writes_into_the_term_of_another(self) -> None:
        self.assertGreater(self.late(self.written(["fencing"])), 0)

    def test_with_it_nothing_of_the_old_term_is_recorded(self) -> None:
        self.assertEqual(self.late(self.written([])), 0)
