"""Parsing in a process of its own: real processes, also ones that die or do not end."""

from __future__ import annotations

import io
import os
import sys

from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.task import LoopingCall, deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from afeed.core.schedule.model import Reading
from afeed.core.schedule.problems import BadSchedule
from afeed.core.schedule.reading import read
from afeed.schedules.parsing import ProcessParser
from afeed.schedules.worker import main
from tests.core.schedule.case import AMSTERDAM
from tests.core.schedule.test_difference import PROGRAMME
from tests.core.schedule.test_frab import EVENT, xml


def program(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", text)


class ProcessTests(TestCase):
    async def refusal(self, parser: ProcessParser, data: bytes = b"x") -> str:
        with self.assertRaises(BadSchedule) as caught:
            await parser.parse(data, AMSTERDAM, "auto")
        return str(caught.exception)

    async def test_the_answer_is_that_of_the_parser(self) -> None:
        reading = await ProcessParser(reactor).parse(PROGRAMME.encode(), AMSTERDAM, "auto")
        self.assertEqual(reading, read(PROGRAMME.encode(), AMSTERDAM))
        with self.assertRaises(BadSchedule) as caught:
            await ProcessParser(reactor).parse(b"Title,Start,End\n", AMSTERDAM, "auto")
        self.assertIn("CSV", str(caught.exception))

    async def test_a_thousand_talks_do_not_hold_up_the_reactor(self) -> None:
        text = "A talk on [feeds](https://feeds.example.org/a), cursors and what stays of them. " * 20
        events = [
            EVENT.replace("f01", f"{number:03x}")
            .replace("First line.", text)
            .replace("Feeds that", f"{number}")
            for number in range(1000)
        ]
        data = xml("".join(events)).encode()
        turns = 0

        def turn() -> None:
            nonlocal turns
            turns += 1

        ticking = LoopingCall(turn)
        ended = ticking.start(0.005)
        try:
            reading: Reading = await ProcessParser(reactor).parse(data, AMSTERDAM, "auto")
        finally:
            ticking.stop()
            await ended
        self.assertEqual(len(reading.schedule.talks), 1000)
        self.assertGreater(turns, 10)

    async def test_a_process_that_does_not_end_is_killed(self) -> None:
        parser = ProcessParser(reactor, program=program("import time; time.sleep(600)"), timeout_s=0.3)
        self.assertEqual(await self.refusal(parser), "parsing it takes longer than 0.3 s")

    async def test_a_process_that_dies_or_babbles_is_no_answer(self) -> None:
        for text in ("import os; os.abort()", "print('{}x')", "raise SystemExit(3)", "print('null')"):
            said = await self.refusal(ProcessParser(reactor, program=program(text)), b"x" * 500_000)
            self.assertIn("ended without an answer", said)

    async def test_cancelling_kills_the_process(self) -> None:
        parser = ProcessParser(reactor, program=program("import time; time.sleep(600)"))
        waiting = parser.parse(b"x", AMSTERDAM, "auto")
        reactor.callLater(0.2, waiting.cancel)
        with self.assertRaises(CancelledError):
            await waiting
        end = reactor.seconds() + 60
        while any("_time_out" in str(call) for call in reactor.getDelayedCalls()):  # its timer goes with it
            self.assertLess(reactor.seconds(), end, "the process goes on")
            await deferLater(reactor, 0.01)

    async def test_the_process_gets_none_of_the_environment(self) -> None:
        self.patch(os, "environ", {**os.environ, "AFEED_X_BEARER_TOKEN": "of-no-account"})
        answer = (
            "import json, os, sys; sys.stdin.read(); "
            "print(json.dumps({'problems': sorted(set(os.environ) - {'LC_CTYPE'})}))"
        )
        said = await self.refusal(ProcessParser(reactor, program=program(answer)))
        self.assertEqual(said, "PYTHONPATH; PYTHONUTF8")


class WorkerTests(SynchronousTestCase):
    def test_it_says_why_in_json(self) -> None:
        target = io.BytesIO()
        main(["toml", "UTC"], io.BytesIO(b"x ="), target)
        self.assertEqual(
            target.getvalue(),
            b'{"reading":null,"problems":["this is not TOML (Invalid value (at end of document))"]}',
        )
