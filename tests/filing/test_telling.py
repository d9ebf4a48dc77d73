"""Everybody is told of a new schedule once, by one of several nodes, whoever is killed when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import structs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.errors import LogUnavailable
from afeed.core.schedule.model import Schedule
from afeed.filing.telling import Telling
from tests.fakes import FakeLead, MemoryLog
from tests.filing.support import BOATS, EVENT, GULLS, LAMPS, SCHEDULE, FakeProgramme, programme_of, talk, told
from tests.schedules.test_keeper import at_once

MOVED = programme_of(LAMPS, structs.replace(BOATS, room="main", start=GULLS.start, end=GULLS.end), GULLS)


class Node:
    """A node that leads."""

    def __init__(self, log: MemoryLog, folder: Path, schedule: Schedule | None = SCHEDULE) -> None:
        self.clock = Clock()
        self.programme = FakeProgramme(schedule=schedule)
        self.lead = FakeLead()
        programmes: Any = {EVENT: self.programme}
        self.telling = Telling(programmes, log, self.lead, folder, at_once, self.clock)
        self.running = Deferred.fromCoroutine(self.telling.run())

    def use(self, schedule: Schedule) -> None:
        self.programme.use(schedule)
        self.clock.advance(1.0)

    def stop(self) -> None:
        self.running.addErrback(lambda failure: failure.trap(CancelledError) and None)
        self.running.cancel()


class TellingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.log = MemoryLog([EVENT])
        self.folder = Path(self.mktemp())

    def node(self, folder: str = "a", schedule: Schedule | None = SCHEDULE) -> Node:
        made = Node(self.log, self.folder / folder, schedule)
        self.addCleanup(made.stop)
        return made

    def test_of_the_first_schedule_nothing_is_told(self) -> None:
        node = self.node()
        self.assertEqual(told(self.log), [])
        self.assertTrue(node.telling.settled(EVENT))

    def test_what_moved_is_told_in_words_that_need_no_schedule(self) -> None:
        node = self.node()
        node.use(MOVED)
        (change,) = told(self.log)
        self.assertEqual(change["version"], node.programme.edition)
        self.assertEqual(
            change["talks"],
            [
                {
                    "id": "boats",
                    "kinds": ["moved"],
                    "title": "Folding paper boats",
                    "start": "2026-11-21T11:00:00Z",
                    "end": "2026-11-21T11:45:00Z",
                    "room": "Main",
                    "before": {
                        "title": "Folding paper boats",
                        "start": "2026-11-21T09:00:00Z",
                        "end": "2026-11-21T09:45:00Z",
                        "room": "Side",
                    },
                }
            ],
        )
        node.clock.pump([1.0] * 9)
        self.assertEqual(len(told(self.log)), 1)

    def test_a_schedule_that_comes_back_is_told_again(self) -> None:
        node = self.node()
        for schedule in (MOVED, SCHEDULE, MOVED):
            node.use(schedule)
        self.assertEqual(len(told(self.log)), 3)

    def test_what_was_withdrawn_is_told_as_cancelled(self) -> None:
        self.node().use(programme_of(LAMPS, GULLS))
        (change,) = told(self.log)
        self.assertEqual([(one["id"], one["kinds"]) for one in change["talks"]], [("boats", ["cancelled"])])

    def test_of_two_nodes_one_tells(self) -> None:
        one, other = self.node("a"), self.node("b")
        one.use(MOVED)
        other.use(MOVED)
        self.assertEqual(len(told(self.log)), 1)
        other.use(SCHEDULE)
        one.use(SCHEDULE)
        self.assertEqual(len(told(self.log)), 2)

    def test_what_a_node_was_killed_before_telling_the_next_one_tells(self) -> None:
        one, other = self.node("a"), self.node("b")
        other.lead.token = None
        one.stop()
        other.use(MOVED)
        self.assertEqual(told(self.log), [])
        other.lead.token = "n 2"
        other.clock.advance(1.0)
        self.assertEqual(len(told(self.log)), 1)

    def test_after_a_restart_it_is_known_what_was_told(self) -> None:
        first = self.node()
        first.stop()
        # The new version was imported, and the process killed before anything was told.
        again = self.node(schedule=MOVED)
        self.assertEqual(len(told(self.log)), 1)
        again.stop()
        self.node(schedule=MOVED)
        self.assertEqual(len(told(self.log)), 1)

    def test_a_node_that_has_never_seen_the_old_version_makes_nothing_up(self) -> None:
        self.node("a").stop()
        fresh = self.node("b", MOVED)
        self.assertEqual(told(self.log), [])
        self.assertTrue(fresh.telling.settled(EVENT))
        fresh.use(SCHEDULE)
        self.assertEqual(len(told(self.log)), 1)

    def test_many_talks_are_told_in_several_changes(self) -> None:
        many = [talk(f"t{number}", f"Talk {number}", 9) for number in range(450)]
        node = self.node(schedule=programme_of(*many))
        node.use(programme_of(*(structs.replace(one, title=f"{one.title}!") for one in many)))
        self.assertEqual([len(change["talks"]) for change in told(self.log)], [200, 200, 50])

    def test_a_changed_abstract_is_worth_no_word(self) -> None:
        node = self.node()
        node.use(programme_of(structs.replace(LAMPS, abstract="<p>longer</p>"), BOATS, GULLS))
        self.assertEqual(told(self.log), [])
        self.assertTrue(node.telling.settled(EVENT))

    def test_nothing_is_told_of_a_version_that_may_not_be_the_newest(self) -> None:
        node = self.node()
        node.programme.sure = False
        node.use(MOVED)
        self.assertEqual(told(self.log), [])
        node.programme.sure = True
        node.clock.advance(1.0)
        self.assertEqual(len(told(self.log)), 1)

    def test_while_the_log_is_away_it_waits_and_health_says_so(self) -> None:
        node = self.node()
        self.log.fault = LogUnavailable("away")
        node.use(MOVED)
        self.assertEqual(node.telling.check().state, "degraded")
        self.log.fault = None
        node.clock.advance(1.0)
        self.assertEqual(len(told(self.log)), 1)
        self.assertEqual(node.telling.check().state, "ok")
