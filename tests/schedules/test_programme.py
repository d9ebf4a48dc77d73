"""What the rest of afeed sees of a schedule: the version in use, and who is told of another."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.schedule.announcing import edition
from afeed.schedules.kept import Shelf
from afeed.schedules.origin import OriginFault
from afeed.schedules.programme import HINT_S, Programme, make_programme
from afeed.settings import Event, ScheduleSettings
from tests.schedules.test_keeper import MOVED, NOW, PROGRAMME, FakeOrigin, InProcess, at_once


class ProgrammeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.origin = FakeOrigin()
        self.folder = Path(self.mktemp())
        self.told: list[str] = []

    def make(self) -> Programme:
        event = Event(
            slug="conf",
            name="Conf",
            timezone=ZoneInfo("Europe/Amsterdam"),
            starts=date(2026, 11, 21),
            ends=date(2026, 11, 21),
            schedule=ScheduleSettings(url="https://conf.example/schedule.toml", interval_s=100.0),
        )
        made = make_programme(
            event,
            self.origin,
            InProcess(),
            Shelf(self.folder),
            at_once,
            self.clock,
            lambda: NOW + self.clock.seconds(),
            Random(1),
        )
        made.on_change(self.told.append)
        return made

    def start(self, programme: Programme) -> Deferred[None]:
        running = Deferred.fromCoroutine(programme.run())
        running.addErrback(lambda failure: failure.trap(CancelledError) and None)
        self.addCleanup(running.cancel)
        return running

    def test_a_version_is_ready_for_filing_before_anybody_is_told(self) -> None:
        programme = self.make()
        self.assertEqual((programme.schedule, programme.index, programme.edition), (None, None, ""))
        self.assertFalse(programme.sure)
        programme.on_change(lambda slug: self.told.append(f"{len(programme.schedule.talks)} talks"))  # type: ignore[union-attr]
        self.start(programme)
        assert programme.schedule is not None
        assert programme.index is not None
        self.assertIs(programme.index.schedule, programme.schedule)
        self.assertEqual(programme.edition, edition(programme.schedule))
        self.assertEqual(self.told, ["conf", f"{len(programme.schedule.talks)} talks"])
        self.assertTrue(programme.sure)

    def test_who_cannot_be_told_does_not_keep_others_from_it(self) -> None:
        programme = self.make()
        programme.on_change(lambda slug: 1 // 0)
        programme.on_change(self.told.append)
        self.start(programme)
        self.assertEqual(self.told, ["conf", "conf"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_restart_begins_with_the_version_on_disk_which_may_not_be_the_newest(self) -> None:
        self.start(self.make()).cancel()
        self.origin.fault = OriginFault("the server is away")
        programme = self.make()
        self.start(programme)
        self.assertIsNotNone(programme.schedule)
        self.assertEqual(self.told, ["conf", "conf"])
        self.assertFalse(programme.sure)

    def test_another_version_is_another_edition_and_the_same_again_is_not(self) -> None:
        programme = self.make()
        self.start(programme)
        first = programme.edition
        self.origin.text = PROGRAMME + "\n# nothing\n"
        self.clock.advance(200)
        self.assertEqual((programme.edition, len(self.told)), (first, 1))
        self.origin.text = MOVED
        self.clock.advance(200)
        self.assertNotEqual(programme.edition, first)
        self.assertEqual(len(self.told), 2)

    def test_the_edition_of_two_nodes_is_the_same_whatever_they_had_before(self) -> None:
        programme = self.make()
        self.start(programme)
        self.origin.text = MOVED
        self.clock.advance(200)
        self.folder = Path(self.mktemp())
        fresh = self.make()
        self.start(fresh)
        self.assertEqual(fresh.edition, programme.edition)

    def test_a_hint_has_it_look_soon_and_once(self) -> None:
        programme = self.make()
        self.start(programme)
        looked = len(self.origin.asked)
        programme.hint(programme.edition)
        programme.hint("")
        self.clock.advance(HINT_S[1])
        self.assertEqual(len(self.origin.asked), looked)
        self.origin.text = MOVED
        programme.hint("other")
        programme.hint("other")
        self.clock.advance(HINT_S[1])
        self.assertEqual(len(self.origin.asked), looked + 1)
        self.assertEqual(len(self.told), 2)
