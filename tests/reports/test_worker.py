"""The process that makes reports."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.process import reapProcessHandlers
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from afeed.core.draft import Removed
from afeed.core.errors import ArchiveUnavailable
from afeed.core.report.activity import window
from afeed.reports.maker import talk_window
from afeed.reports.process import ReportProcess
from afeed.reports.worker import Answer, Request, answer, main
from tests.reports.archives import EVENT, day, make_archive

DAY = window(datetime(2026, 11, 21, tzinfo=UTC).timestamp(), datetime(2026, 11, 22, tzinfo=UTC).timestamp())


class WorkerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.schedule, self.drafts = day()

    def request(self, url: str, **other: object) -> Request:
        return Request(**{"archive": url, "event": EVENT, "window": DAY, **other})  # type: ignore[arg-type]

    def test_a_talk_is_told_from_the_rest_of_the_event(self) -> None:
        url = make_archive(self.folder, self.drafts)
        whole = answer(self.request(url))
        assert whole.report is not None
        self.assertEqual((whole.epoch, whole.seq, whole.report.posts), ("e1", 538, 538))
        talk = self.schedule.talk("css")
        assert talk is not None
        assert whole.report.reference is not None
        found = answer(
            self.request(url, talk="css", window=talk_window(talk), reference=whole.report.reference)
        ).report
        assert found is not None
        self.assertEqual((found.posts, found.people, found.photos, found.compared), (33, 12, 3, 505))
        self.assertLessEqual({"queries", "swear", "container"}, {term.text for term in found.words[:4]})
        self.assertIsNone(found.reference)
        self.assertEqual(found.course.bin_s, 60)
        self.assertEqual(sum(found.course.counts) + found.course.before + found.course.after, 33)

    def test_what_was_removed_is_in_no_report(self) -> None:
        secret = "push:42"
        url = make_archive(self.folder, [*self.drafts, Removed(secret)])
        found = answer(self.request(url))
        assert found.report is not None
        self.assertEqual(found.report.posts, 537)
        self.assertNotIn(secret.encode() + b'"', msgspec.json.encode(found))

    def test_why_there_is_none_is_told(self) -> None:
        path = self.folder / "broken"
        path.write_bytes(b"no database" * 100)
        found = answer(self.request(f"sqlite:///{path}"))
        self.assertIsNone(found.report)
        self.assertIn("broken", found.problem)

    def test_request_and_answer_are_json(self) -> None:
        url = make_archive(self.folder, self.drafts[:20])
        target = io.BytesIO()
        main(io.BytesIO(msgspec.json.encode(self.request(url))), target)
        found = msgspec.json.decode(target.getvalue(), type=Answer)
        assert found.report is not None
        self.assertEqual(found.report.posts, 20)


class ProcessTests(TestCase):
    timeout = 180

    def request(self, url: str = "sqlite:////nowhere/at/all") -> Request:
        return Request(archive=url, event=EVENT, window=DAY)

    async def test_a_report_comes_from_another_process(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        _, drafts = day()
        url = make_archive(folder, drafts[:30])
        found = await ReportProcess(reactor).make(self.request(url))
        assert found.report is not None
        self.assertEqual((found.report.posts, found.seq), (30, 30))

    async def test_an_archive_that_is_not_there_has_an_empty_report(self) -> None:
        found = await ReportProcess(reactor).make(self.request())
        assert found.report is not None
        self.assertEqual((found.report.posts, found.epoch), (0, ""))

    async def test_a_process_that_dies_makes_no_report(self) -> None:
        program = (sys.executable, "-c", "import sys; sys.stderr.write('out of luck'); sys.exit(3)")
        failure = await self.assertFailure(
            ReportProcess(reactor, program).make(self.request()), ArchiveUnavailable
        )
        self.assertIn("could not be made", str(failure))

    async def test_an_answer_that_is_none_is_no_report(self) -> None:
        program = (sys.executable, "-c", "print('{}')")
        await self.assertFailure(ReportProcess(reactor, program).make(self.request()), ArchiveUnavailable)

    async def test_nothing_secret_is_in_arguments_or_environment(self) -> None:
        # It answers with what anybody may see of a process.
        program = (
            sys.executable,
            "-c",
            "import os, sys, json; body = sys.stdin.buffer.read();"
            "seen = open('/proc/self/cmdline','rb').read() + open('/proc/self/environ','rb').read();"
            "print(json.dumps({'problem': 'seen' if b'hunter' + b'2' in seen else 'not seen'}))",
        )
        url = "postgresql+psycopg://u:hunter2@localhost/x"
        failure = await self.assertFailure(
            ReportProcess(reactor, program).make(self.request(url)), ArchiveUnavailable
        )
        self.assertEqual(str(failure), "not seen")

    async def test_who_does_not_wait_any_more_ends_the_process(self) -> None:
        program = (sys.executable, "-c", "import time; time.sleep(60)")
        making = ReportProcess(reactor, program).make(self.request())
        reactor.callLater(0.2, making.cancel)
        await self.assertFailure(making, CancelledError)
        end = reactor.seconds() + 60
        while reapProcessHandlers:
            self.assertLess(reactor.seconds(), end, "the process goes on")
            await deferLater(reactor, 0.02)
