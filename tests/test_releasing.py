"""What is due is shown in time, whoever was away meanwhile."""

from __future__ import annotations

from random import Random
from typing import Any

import attrs
from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.change import timestamp
from afeed.core.draft import Held
from afeed.core.errors import LogUnavailable
from afeed.core.filters import Filters
from afeed.metrics import Metrics
from afeed.releasing import COUNT_S, LATE_S, SELDOM_S, Releaser
from afeed.services import Supervised
from tests.fakes import MemoryLog, an_item

NOON = 1_800_000_000.0


class ReleaserTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.log = MemoryLog(["e", "other"])
        self.filters = {"e": Filters(mode="hold", hold_s=10), "other": Filters()}
        self.metrics = Metrics(self.now)
        self.begin()
        self.addCleanup(lambda: self.successResultOf(self.running.stop()))

    def now(self) -> float:
        return NOON + self.clock.seconds()

    def begin(self) -> None:
        """As a process does that begins to lead."""
        self.releaser = Releaser(
            self.log, ("e", "other"), self.filters.__getitem__, self.metrics, self.clock, self.now
        )
        self.running = Supervised("held", self.releaser.run, self.clock, Random(1))
        self.running.start()

    def hold(self, number: int, wait_s: float | None = 10.0, event: str = "e") -> None:
        until = None if wait_s is None else timestamp(self.now() + wait_s)
        self.successResultOf(self.log.hold(event, [Held(an_item(number), "1", "hold", until)]))

    def wait(self, seconds: float) -> None:
        self.clock.pump([0.1] * round(seconds * 10))

    def shown(self, event: str = "e") -> list[str | None]:
        return [change.id for change in self.log.events[event].changes]

    def data(self) -> dict[str, Any]:
        return self.releaser.check().data

    def test_each_is_shown_within_a_second_of_its_time_and_in_order(self) -> None:
        self.hold(1)
        self.wait(3)
        self.hold(2, 20)
        self.hold(3, 4)
        self.wait(3.9)
        self.assertEqual(self.shown(), [])
        self.wait(1)
        self.assertEqual(self.shown(), ["push:3"])
        self.wait(3)
        self.assertEqual(self.shown(), ["push:3", "push:1"])
        self.wait(11)
        self.assertEqual(self.shown()[-1], "push:1")
        self.wait(2)
        self.assertEqual(self.shown()[-1], "push:2")

    def test_what_waits_for_somebody_is_not_shown_by_time(self) -> None:
        self.hold(1, None)
        self.hold(2)
        self.successResultOf(self.log.stop_held("e", ["push:2"]))
        self.wait(3600)
        self.assertEqual(self.shown(), [])

    def test_no_time_passes_once_organisers_want_to_approve_everything(self) -> None:
        self.hold(1)
        for mode in ("approve", "trusted"):
            self.filters["e"] = attrs.evolve(self.filters["e"], mode=mode)
            self.wait(60)
            self.assertEqual(self.shown(), [])
        self.filters["e"] = attrs.evolve(self.filters["e"], mode="hold")
        self.wait(1)
        self.assertEqual(self.shown(), ["push:1"])

    def test_what_is_left_of_a_time_is_kept_where_nothing_is_held_any_more(self) -> None:
        self.hold(1, 10, "other")
        self.wait(9.9)
        self.assertEqual(self.shown("other"), [])
        self.wait(SELDOM_S + 1)
        self.assertEqual(self.shown("other"), ["push:1"])

    def test_a_restart_changes_no_time(self) -> None:
        self.hold(1)
        self.wait(6)
        self.successResultOf(self.running.stop())
        self.begin()
        self.wait(3.9)
        self.assertEqual(self.shown(), [])
        self.wait(1)
        self.assertEqual(self.shown(), ["push:1"])

    def test_what_became_due_while_nobody_led_is_shown_at_once(self) -> None:
        for number in range(500):
            self.hold(number)
        self.successResultOf(self.running.stop())
        self.wait(30)
        self.assertEqual(self.shown(), [])
        self.begin()
        self.assertEqual(len(self.shown()), 500)

    def test_a_log_that_is_away_is_told_of_once_and_what_is_due_is_shown_when_it_is_back(self) -> None:
        told: list[str] = []
        observer = lambda event: told.append(formatEvent(event))  # noqa: E731
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.hold(1)
        self.wait(1)
        self.log.fault = LogUnavailable("no answer")
        self.wait(20)
        check = self.releaser.check()
        self.assertEqual(check.state, "degraded")
        self.assertIn("no answer", check.detail)
        self.assertEqual(sum("has to wait" in line for line in told), 1)
        self.log.fault = None
        self.wait(1)
        self.assertEqual((self.shown(), self.releaser.check().state), (["push:1"], "ok"))

    def test_a_moment_without_the_log_is_no_news(self) -> None:
        self.log.fault = LogUnavailable("no answer")
        self.wait(LATE_S - 1)
        self.assertEqual(self.releaser.check().state, "ok")

    def test_health_and_metrics_tell_what_waits(self) -> None:
        self.assertEqual(self.releaser.check().detail, "Nothing waits to be shown.")
        self.hold(1, None)
        self.wait(100)
        self.hold(2)
        self.hold(3)
        self.successResultOf(self.log.stop_held("e", ["push:3"]))
        self.wait(COUNT_S + 1)
        data = self.data()
        self.assertEqual((data["waiting"], data["stopped"], data["released"]), (2, 1, 0))
        self.assertIn("2 posts wait", self.releaser.check().detail)
        text = self.metrics.text().decode()
        self.assertIn('afeed_held_items{event="e",state="waiting"} 2.0', text)
        self.assertIn('afeed_held_items{event="e",state="stopped"} 1.0', text)
        self.assertIn('afeed_held_oldest_seconds{event="e"}', text)
        self.wait(10)
        data = self.data()
        self.assertEqual((data["waiting"], data["released"]), (1, 1))
        self.assertIn('afeed_released_total{event="e"} 1.0', self.metrics.text().decode())
        self.assertIn("1 post waits", self.releaser.check().detail)

    def test_a_defect_is_told_and_it_goes_on(self) -> None:
        due = self.log.due
        self.log.due = lambda *given: 1 / 0  # type: ignore
        self.hold(1)
        self.wait(1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        broken = self.running.broken()
        assert broken is not None
        self.assertEqual(broken.state, "failed")
        self.log.due = due  # type: ignore
        self.wait(12)
        self.assertEqual(self.shown(), ["push:1"])
