"""The keeping of a schedule: what is used, what is kept, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.errors import LogUnavailable
from afeed.core.schedule.difference import Succession
from afeed.core.schedule.model import Reading
from afeed.core.schedule.problems import BadSchedule
from afeed.core.schedule.reading import read
from afeed.schedules.keeper import Busy, ScheduleKeeper
from afeed.schedules.kept import Shelf
from afeed.schedules.origin import Content, Mark, OriginFault
from tests.core.schedule.test_difference import PROGRAMME

NOW = 1_795_000_000.0
AMSTERDAM = ZoneInfo("Europe/Amsterdam")
MOVED = PROGRAMME.replace('"Hall 2"', '"Hall 3"')


class FakeOrigin:
    """Has ``text``; fails with ``fault``; answers when ``held`` fires."""

    name = "schedule.toml"

    def __init__(self, text: str = PROGRAMME) -> None:
        self.text = text
        self.fault: Exception | None = None
        self.held: Deferred[None] | None = None
        self.asked: list[Mark] = []

    async def read(self, known: Mark) -> Content:
        self.asked.append(known)
        if self.held is not None:
            await self.held
        if self.fault is not None:
            raise self.fault
        mark = Mark("", "", self.text)
        return Content(None if known.hash == mark.hash else self.text.encode(), mark)


class InProcess:
    """Parses at once, and counts."""

    def __init__(self) -> None:
        self.parsed = 0

    def parse(self, data: bytes, zone: ZoneInfo, format: str) -> Deferred[Reading]:
        self.parsed += 1
        try:
            return succeed(read(data, zone, format))
        except BadSchedule as error:
            return fail(error)


def at_once(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
    try:
        return succeed(function(*arguments))
    except Exception as error:
        return fail(error)


class KeeperTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.origin = FakeOrigin()
        self.parser = InProcess()
        self.shelf = Shelf(Path(self.mktemp()))
        self.adopted: list[Succession] = []
        self.refusal: Exception | None = None

    def keeper(self, **options: Any) -> ScheduleKeeper:
        return ScheduleKeeper(
            "exconf",
            self.origin,
            AMSTERDAM,
            parser=self.parser,
            shelf=self.shelf,
            in_thread=at_once,
            adopt=self.adopt,
            clock=self.clock,
            now=lambda: NOW + self.clock.seconds(),
            rng=Random(3),
            **options,
        )

    async def adopt(self, succession: Succession) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.adopted.append(succession)

    def refresh(self, keeper: ScheduleKeeper) -> bool:
        return self.successResultOf(Deferred.fromCoroutine(keeper.refresh()))

    def kinds(self) -> list[tuple[str, ...]]:
        return [revision.kinds for revision in self.adopted[-1].revisions]

    def test_a_first_version_and_the_next(self) -> None:
        keeper = self.keeper()
        self.assertIsNone(keeper.schedule)
        self.assertEqual(keeper.check().detail, "The schedule is being read.")
        self.assertTrue(self.refresh(keeper))
        self.assertEqual((len(self.adopted), self.kinds()), (1, []))
        self.assertEqual(keeper.check().state, "ok")
        self.assertIn("3 talks, read ", keeper.check().detail)
        self.assertFalse(self.refresh(keeper))
        self.assertEqual(self.parser.parsed, 1, "what has not changed is not parsed")
        self.origin.text = MOVED
        self.assertTrue(self.refresh(keeper))
        self.assertEqual(self.kinds(), [("moved",)])
        self.assertIs(keeper.schedule, self.adopted[-1].schedule)

    def test_other_bytes_of_the_same_content_are_no_new_version(self) -> None:
        keeper = self.keeper()
        self.refresh(keeper)
        self.origin.text = "# a comment\n" + PROGRAMME
        self.assertFalse(self.refresh(keeper))
        self.assertEqual((self.parser.parsed, len(self.adopted)), (2, 1))

    def test_a_version_that_cannot_be_used_leaves_the_old_one_whole(self) -> None:
        keeper = self.keeper()
        self.refresh(keeper)
        before = keeper.schedule
        self.origin.text = PROGRAMME.replace("minutes = 60", 'minutes = "long"')
        self.assertFalse(self.refresh(keeper))
        self.assertIs(keeper.schedule, before)
        check = keeper.check()
        self.assertEqual(check.state, "degraded")
        self.assertIn("line 18: minutes should be a number, not “long”", check.detail)
        self.assertIn("stays in use", check.detail)
        self.assertFalse(self.refresh(keeper))
        self.assertEqual(self.parser.parsed, 2, "it is not parsed again until it changes")
        self.assertEqual(keeper.check().detail, check.detail)
        self.origin.text = MOVED
        self.assertTrue(self.refresh(keeper))
        self.assertEqual((keeper.check().state, keeper.error), ("ok", None))
        self.assertEqual(len(self.flushLoggedErrors()), 0)

    def test_an_origin_that_is_away_is_told_and_does_not_hide_a_refusal(self) -> None:
        keeper = self.keeper()
        self.origin.fault = OriginFault("exconf.example answers with HTTP status 503")
        self.assertFalse(self.refresh(keeper))
        self.assertIn("HTTP status 503); there is none yet.", keeper.check().detail)
        self.origin.fault, self.origin.text = None, "x ="
        self.refresh(keeper)
        refused = keeper.check().detail
        self.origin.fault = OriginFault("away")
        self.refresh(keeper)
        self.assertIn("away", keeper.check().detail)
        self.origin.fault = None
        self.refresh(keeper)
        self.assertEqual(keeper.check().detail, refused)
        self.origin.text = PROGRAMME
        self.refresh(keeper)
        self.assertEqual(keeper.check().state, "ok")

    def test_what_cannot_be_taken_over_is_tried_again(self) -> None:
        keeper = self.keeper()
        self.refresh(keeper)
        before = keeper.schedule
        self.origin.text, self.refusal = MOVED, LogUnavailable("the log is away")
        self.assertFalse(self.refresh(keeper))
        self.assertIs(keeper.schedule, before)
        self.assertIn("the log is away", keeper.check().detail)
        self.assertEqual(len(self.flushLoggedErrors(LogUnavailable)), 1)
        self.refusal = None
        self.assertTrue(self.refresh(keeper))
        self.assertEqual(self.kinds(), [("moved",)])

    def test_a_restart_goes_on_with_what_was_in_use(self) -> None:
        self.refresh(self.keeper())
        self.origin.fault = OriginFault("away")
        keeper = self.keeper()
        self.refresh(keeper)
        assert keeper.schedule is not None
        self.assertEqual(len(keeper.schedule.talks), 3)
        self.assertEqual(self.adopted[-1], Succession(schedule=keeper.schedule, revisions=()))
        self.assertEqual(keeper.check().state, "degraded")
        self.origin.fault, self.origin.text = None, MOVED
        self.refresh(keeper)
        self.assertEqual(self.kinds(), [("moved",)])

    def test_a_restart_with_another_format_or_origin_reads_again(self) -> None:
        self.refresh(self.keeper())
        self.refresh(self.keeper())
        self.assertEqual(self.parser.parsed, 1)
        self.refresh(self.keeper(format="toml"))
        self.assertEqual((self.parser.parsed, self.origin.asked[-1]), (2, Mark()))

    def test_a_damaged_store_is_told_and_imported_anew(self) -> None:
        self.refresh(self.keeper())
        [path] = list(self.shelf._folder.iterdir())
        path.write_bytes(path.read_bytes()[:100])
        keeper = self.keeper()
        self.assertTrue(self.refresh(keeper))
        self.assertEqual(keeper.check().state, "ok")

    def test_import_42_two_imports_at_once(self) -> None:
        keeper = self.keeper()
        self.origin.held = Deferred()
        first = Deferred.fromCoroutine(keeper.refresh())
        self.failureResultOf(Deferred.fromCoroutine(keeper.refresh()), Busy)
        self.origin.held.callback(None)
        self.assertTrue(self.successResultOf(first))
        self.origin.held = None
        self.assertFalse(self.refresh(keeper))

    def test_running_looks_again_and_again_and_backs_off_from_an_origin_in_trouble(self) -> None:
        keeper = self.keeper(interval_s=100.0)
        running = Deferred.fromCoroutine(keeper.run())
        self.assertEqual(len(self.origin.asked), 1)
        self.clock.advance(89)
        self.assertEqual(len(self.origin.asked), 1)
        self.clock.advance(22)
        self.assertEqual(len(self.origin.asked), 2)
        self.origin.fault = OriginFault("away")
        for _ in range(400):
            self.clock.advance(100)
        self.assertLess(len(self.origin.asked), 25)
        self.assertGreater(len(self.origin.asked), 10)
        self.origin.fault = None
        self.clock.advance(4000)
        self.assertEqual(keeper.check().state, "ok")
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelling_in_the_middle_changes_nothing(self) -> None:
        keeper = self.keeper()
        self.refresh(keeper)
        before = keeper.schedule
        self.origin.text, self.origin.held = MOVED, Deferred()
        running = Deferred.fromCoroutine(keeper.run())
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertIs(keeper.schedule, before)
        self.origin.held = None
        self.assertTrue(self.refresh(keeper), "and the next import is not kept waiting")
