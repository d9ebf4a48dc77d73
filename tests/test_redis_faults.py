"""Redis misbehaves in every way that is known, and viewers see nothing of it but a delay.

``AFEED_CHAOS=long`` has the faults last as long as they do in ``python -m tests.chaos``.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import sys
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random, SystemRandom
from threading import Thread
from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase, TestCase

from afeed.archive.store import SqlArchive
from afeed.core.errors import LogUnavailable
from afeed.livelog.redis import RedisLog
from tests.chaos.archived import archived_count
from tests.chaos.followers import FOLLOWERS, Follower
from tests.chaos.hints import unhinted
from tests.chaos.promises import ANSWER_S, RECOVERY_S, SLACK_S
from tests.chaos.redis_faults import FAULTS, Fault, late, run_fault
from tests.chaos.redis_scene import Times
from tests.chaos.refill import COUNTS, refill
from tests.chaos.table import rendered
from tests.chaos.watch import Sight, Watch
from tests.livelog.measure_refill import EVENT, fill
from tests.livelog.samples import post
from tests.servers.afeed import AfeedServer
from tests.servers.process import wait_until
from tests.servers.proxy import without_messages
from tests.servers.redis import Redis

LONG = os.environ.get("AFEED_CHAOS") == "long"


class RedisFaultTests(TestCase):
    """One test for each of :data:`tests.chaos.redis_faults.FAULTS`."""

    timeout = 300

    def endure(self, fault: Fault) -> None:
        outcome = run_fault(fault, LONG)
        print(f"{rendered([outcome.row(fault, 0)])}\n{outcome.times}", file=sys.stderr)
        self.assertEqual(outcome.problems, [], outcome.output)
        self.assertTrue(outcome.verdict.clean, outcome.verdict)
        self.assertGreater(outcome.verdict.deliveries, 100)


def _test_of(fault: Fault) -> Any:
    def test(self: RedisFaultTests) -> None:
        self.endure(fault)

    return test


for _fault in FAULTS:
    setattr(RedisFaultTests, f"test_{_fault.name.replace('-', '_')}", _test_of(_fault))


class RealLossTests(TestCase):
    """Where all that knew something are gone, viewers are told exactly what is missing."""

    timeout = 120

    def test_what_neither_redis_nor_the_archive_nor_a_node_has_is_a_gap_and_nothing_else_is(self) -> None:
        redis = Redis()
        self.addCleanup(redis.close)
        redis.start()
        server = AfeedServer(live_log=redis.url)
        self.addCleanup(server.close)
        server.start()
        followers: list[Follower] = [kind(server.port, server.slug) for kind in FOLLOWERS]
        for follower in followers:
            follower.start()
            self.addCleanup(follower.stop)
        server.push(*({"id": f"kept-{n}", "text": "kept"} for n in range(20)))
        wait_until(lambda: archived_count(server) == 20, "the archive to have twenty")
        path = server.directory / "var" / "archive.sqlite3"
        with closing(sqlite3.connect(path, timeout=30)) as archive:
            archive.execute("BEGIN IMMEDIATE")
            server.push(*({"id": f"lost-{n}", "text": "lost"} for n in range(30)))
            self.everybody_has(followers, 50)
            server.kill()
            redis.kill()
            archive.rollback()
        self.assertEqual(archived_count(server), 20)
        redis.lose()
        redis.start()
        server.start()
        again = server.push({"id": "lost-0", "text": "lost"}, {"id": "new", "text": "new"})
        self.assertEqual([result["seq"] for result in again], [21, 22])
        wait_until(lambda: all(follower.gaps for follower in followers), "everybody to be told")
        self.everybody_has(followers, 22)
        for follower in followers:
            (gap,) = follower.gaps
            self.assertEqual((gap["from"], gap["reason"]), (21, "epoch"), follower.transport)
            self.assertEqual((list(follower.seqs), follower.void), (list(range(1, 23)), 30), follower.transport)
        self.assertEqual(
            [change["item"]["id"] for change in server.changes()],
            [f"push:kept-{n}" for n in range(20)] + ["push:lost-0", "push:new"],
        )

    def everybody_has(self, followers: list[Follower], head: int) -> None:
        for follower in followers:
            wait_until(
                lambda follower=follower: len(follower.seqs) == head,  # type: ignore[misc]
                f"the {follower.transport} follower to have {head} changes (it has {len(follower.seqs)})",
            )


class RefillTests(TestCase):
    """A Redis that came back empty is filled from the archive in time."""

    timeout = 300

    def test_a_wiped_redis_is_filled_from_either_archive_and_serves_within_five_seconds(
        self,
    ) -> None:
        for row in refill(LONG, 0):
            print(rendered([row]), file=sys.stderr)
            self.assertTrue(row.clean, row)
            self.assertGreater(row.deliveries, COUNTS[LONG])

    async def test_what_is_only_in_the_archive_is_still_known_as_a_repetition(self) -> None:
        count = 20_000
        redis = Redis()
        self.addCleanup(redis.close)
        redis.start()
        archive = SqlArchive(f"sqlite:///{Path(self.mktemp()).absolute()}", reactor, time.time)
        self.addCleanup(archive.stop)
        await fill(archive, count)
        log = RedisLog(redis.url, reactor, time.time, Random(), window=1000, max_log_bytes=10**9)
        self.addCleanup(log.stop)
        await log.start([EVENT], [archive])
        redis.restart(lose=True)
        while True:
            try:
                ((seq, is_new),) = await log.append(EVENT, None, [post("new")])
                break
            except LogUnavailable:
                pass
        self.assertEqual((seq, is_new), (count + 1, True))
        for known in (1, count // 2, count):
            self.assertEqual(await log.append(EVENT, None, [post(known)]), [(known, False)])


class HintTests(TestCase):
    """Pub/Sub is only a hint."""

    timeout = 120

    def test_without_any_message_of_pubsub_a_change_of_another_node_takes_at_most_a_second_and_a_half(
        self,
    ) -> None:
        row = unhinted(LONG, int(os.environ.get("AFEED_SEED", SystemRandom().randrange(10**6))))
        print(rendered([row]), file=sys.stderr)
        self.assertTrue(row.clean, row)


class SlowServer(ThreadingHTTPServer):
    """Answers as a node does, and page after page when it is told to: ``delays`` has seconds by path."""

    slug = "rehearsal"
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port = self.server_address[1]
        self.delays: dict[str, float] = {}
        self.stalled = False
        self.status = 200


class _Handler(BaseHTTPRequestHandler):
    server: SlowServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        time.sleep(self.server.delays.get(self.path.partition("?")[0], 0.0))
        checks = {"live_log": {"state": "failed" if self.server.stalled else "ok", "detail": "so it is"}}
        body = json.dumps({"checks": checks, **({"stalled": True} if self.server.stalled else {})}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class WatchTests(SynchronousTestCase):
    """Whoever looks must not overlook anything."""

    timeout = 60

    def setUp(self) -> None:
        self.server = SlowServer()
        self.addCleanup(self.server.server_close)
        thread = Thread(target=self.server.serve_forever, daemon=True)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.shutdown)
        self.watch = Watch(self.server, long=True)  # type: ignore[arg-type]
        self.watch.start()
        self.addCleanup(self.watch.stop)
        wait_until(lambda: len(self.watch.sights) > 2, "a first look")

    def test_an_answer_that_hangs_is_trouble(self) -> None:
        self.assertEqual(self.watch.trouble, [])
        self.server.delays["/rehearsal"] = ANSWER_S + 0.1
        slow = re.compile(r"/rehearsal was answered after \d+\.\d s")
        wait_until(lambda: any(map(slow.fullmatch, self.watch.trouble)), "the page to be called slow")
        self.assertGreater(self.watch.slowest, ANSWER_S)

    def test_an_answer_that_is_none_is_trouble(self) -> None:
        self.server.status = 503
        wait_until(lambda: bool(self.watch.trouble), "the answers to be noticed")
        self.assertIn("was answered 503", self.watch.trouble[0])

    def test_what_comes_late_was_not_seen_in_time(self) -> None:
        def delayed(sight: Sight) -> bool:
            return sight.stalled and sight.state("live_log") == "failed"

        since = time.monotonic()
        self.assertIsNone(self.watch.first(since, delayed, 0.2))
        self.server.stalled = True
        wait_until(lambda: self.watch.sights[-1].stalled, "the delay to be seen")
        self.assertIsNone(self.watch.first(since, delayed, 0.2))
        found = self.watch.first(since, delayed, 60)
        assert found is not None
        self.assertEqual(found.detail("live_log"), "so it is")

    def test_who_looks_away_sees_nothing(self) -> None:
        with self.watch.looks_away():
            seen = len(self.watch.sights)
            self.server.status = 503
            time.sleep(0.2)
            self.server.status = 200
            self.assertEqual((len(self.watch.sights), self.watch.trouble), (seen, []))
        wait_until(lambda: len(self.watch.sights) > seen, "another look")


class PromiseTests(SynchronousTestCase):
    """What is late is told, each by itself, and the long form has no slack."""

    GOOD = Times(red=1.0, told=4.0, polled=4.0, served=4.9, green=9.0, detail="")
    FAILING = next(fault for fault in FAULTS if fault.turns == "failed")

    def test_in_time(self) -> None:
        self.assertEqual(late(self.FAILING, self.GOOD, long=True), [])

    def test_each_promise(self) -> None:
        for missed, words in (
            ({"served": RECOVERY_S + 0.1}, "service was back 5.1 s after"),
            ({"green": None}, "not green again"),
            ({"red": None}, "did not turn failed"),
            ({"told": None}, "not all viewers that stream"),
            ({"polled": None}, "no poll was told"),
        ):
            (problem,) = late(self.FAILING, self.GOOD._replace(**missed), long=True)
            self.assertIn(words, problem)
        busy = self.GOOD._replace(served=RECOVERY_S + SLACK_S - 0.1)
        self.assertEqual(late(self.FAILING, busy, long=False), [])


class ProxyTests(TestCase):
    """A proxy that passed everything would make every fault harmless."""

    def test_messages_are_taken_out_wherever_they_are_cut(self) -> None:
        message = b"*3\r\n$7\r\nmessage\r\n$3\r\nabc\r\n$5\r\n12\r\n4\r\n"
        pong = b"*2\r\n$4\r\npong\r\n$0\r\n\r\n"
        stream = message + pong + message + message + pong
        for cut in range(len(stream)):
            kept, rest = without_messages(stream[:cut])
            more, rest = without_messages(rest + stream[cut:])
            self.assertEqual((kept + more, rest), (pong + pong, b""), cut)
