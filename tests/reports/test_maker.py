"""When a report is made anew, and when not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.draft import Removed
from afeed.core.errors import ArchiveUnavailable
from afeed.core.report.keyness import Reference
from afeed.core.report.tally import Tally
from afeed.core.schedule.model import Talk
from afeed.interfaces import Head
from afeed.reports.maker import AGE_S, Reports, event_window, talk_window
from afeed.reports.worker import Answer, Request
from tests.fakes import a_post
from tests.web.samples import make_event
from tests.web.serving import House

START = datetime(2026, 11, 22, 9, tzinfo=UTC)
TALK = Talk(guid="g", id="seams", title="Seams", start=START, end=START + timedelta(minutes=45))


class FakeMaker:
    """Answers when it is told to, or at once."""

    def __init__(self, house: House, clock: Clock) -> None:
        self.house = house
        self.clock = clock
        self.asked: list[Request] = []
        self.takes = 0.0
        self.waiting: list[tuple[Deferred[Answer], Request]] | None = None

    def make(self, request: Request) -> Deferred[Answer]:
        self.asked.append(request)
        if self.waiting is not None:
            later: Deferred[Answer] = Deferred()
            self.waiting.append((later, request))
            return later
        self.clock.advance(self.takes)
        return succeed(self.answer(request))

    def answer(self, request: Request) -> Answer:
        head = self.house.archive.positions["e"]
        report = msgspec.structs.replace(Tally(request.window).report(), reference=Reference(7, {"a": 3}))
        return Answer(report, head.epoch, head.seq)


class ReportsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.house = House()
        self.addCleanup(self.house.stop)
        self.maker = FakeMaker(self.house, self.clock)
        self.event = make_event("e")
        self.reports = Reports(
            "sqlite:///x", self.house.archive, self.maker, self.house.hub.channels, self.clock, lambda: 1000.0
        )
        self.reports.start()
        self.post(1)

    def post(self, number: int) -> None:
        self.house.log.append("e", None, [a_post(number)])
        self.house.strain()

    def whole(self) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(self.reports.of_event(self.event)))

    def talk(self) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(self.reports.of_talk(self.event, TALK)))

    def test_it_is_kept_until_something_has_changed(self) -> None:
        first = self.whole()
        self.clock.advance(3600)
        self.assertIs(self.whole(), first)
        self.assertEqual((first.position, first.at), (Head("e1", 1), 1000.0))
        self.post(2)
        self.assertEqual(self.whole().position, Head("e1", 2))
        self.assertEqual(len(self.maker.asked), 2)

    def test_while_posts_come_in_it_is_made_anew_now_and_then(self) -> None:
        self.maker.takes = 4.0
        first = self.whole()
        self.post(2)
        self.clock.advance(39)
        self.assertIs(self.whole(), first)
        self.clock.advance(1)
        self.assertIsNot(self.whole(), first)

    def test_a_talk_is_compared_with_its_event(self) -> None:
        self.talk()
        whole, talk = self.maker.asked
        self.assertEqual((whole.talk, whole.reference, whole.window), (None, None, event_window(self.event)))
        self.assertEqual((talk.talk, talk.reference), ("seams", Reference(7, {"a": 3})))
        self.assertEqual(talk.window, talk_window(TALK))
        self.assertEqual(talk.window.bin_s, 60)
        # The event is not counted again for the next talk, nor for the page about it.
        other = msgspec.structs.replace(TALK, id="grid")
        self.successResultOf(Deferred.fromCoroutine(self.reports.of_talk(self.event, other)))
        self.whole()
        self.assertEqual([one.talk for one in self.maker.asked], [None, "seams", "grid"])

    def test_a_talk_that_was_moved_has_another_report(self) -> None:
        self.talk()
        moved = msgspec.structs.replace(TALK, start=START + timedelta(hours=1), end=START + timedelta(hours=2))
        self.successResultOf(Deferred.fromCoroutine(self.reports.of_talk(self.event, moved)))
        self.assertEqual(self.maker.asked[-1].window, talk_window(moved))

    def test_what_was_removed_is_shown_no_more_from_that_moment(self) -> None:
        first = self.whole()
        self.house.log.append("e", None, [Removed("push:1")])
        asking = Deferred.fromCoroutine(self.reports.of_event(self.event))
        self.assertNoResult(asking)  # the archive does not know yet
        self.assertEqual(len(self.maker.asked), 1)
        self.house.strain()
        self.clock.advance(0.25)
        second = self.successResultOf(asking)
        self.assertIsNot(second, first)
        self.assertEqual(second.position, Head("e1", 2))

    def test_an_archive_that_does_not_forget_is_not_waited_for_for_ever(self) -> None:
        self.whole()
        self.house.log.append("e", None, [Removed("push:1")])
        asking = Deferred.fromCoroutine(self.reports.of_event(self.event))
        self.clock.pump([0.25] * 30)
        self.failureResultOf(asking, ArchiveUnavailable)

    def test_a_removal_while_it_is_made_makes_it_worthless(self) -> None:
        self.maker.waiting = []
        asking = Deferred.fromCoroutine(self.reports.of_event(self.event))
        ((later, request),) = self.maker.waiting
        made = self.maker.answer(request)
        self.house.log.append("e", None, [Removed("push:1")])
        later.callback(made)
        self.failureResultOf(asking, ArchiveUnavailable)

    def test_an_edit_makes_it_new_after_a_while(self) -> None:
        self.maker.takes = 60.0
        first = self.whole()
        self.house.log.append("e", None, [a_post(1, "edited", "2")])
        self.house.strain()
        self.assertIs(self.whole(), first)
        self.clock.advance(AGE_S)
        self.assertIsNot(self.whole(), first)

    def test_a_new_epoch_makes_everything_new(self) -> None:
        first = self.whole()
        self.house.log.append("e", None, [Removed("push:1")])
        self.house.log.renew("e", "e2", 1)
        self.house.strain()
        self.house.archive.positions["e"] = Head("e2", 1)
        self.assertIsNot(self.whole(), first)

    def test_several_who_ask_for_the_same_wait_for_one(self) -> None:
        self.maker.waiting = []
        asking = [Deferred.fromCoroutine(self.reports.of_event(self.event)) for _ in range(3)]
        ((later, request),) = self.maker.waiting
        later.callback(self.maker.answer(request))
        found = [self.successResultOf(one) for one in asking]
        self.assertEqual(len(self.maker.asked), 1)
        self.assertIs(found[0], found[2])

    def test_one_that_fails_keeps_no_other_waiting(self) -> None:
        self.maker.waiting = []
        asking = [Deferred.fromCoroutine(self.reports.of_event(self.event)) for _ in range(2)]
        self.maker.waiting[0][0].errback(ArchiveUnavailable("away"))
        self.failureResultOf(asking[0], ArchiveUnavailable)
        later, request = self.maker.waiting[1]
        later.callback(self.maker.answer(request))
        self.successResultOf(asking[1])
