"""From sources to the log: durable, counted, and waiting while the log is away."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from afeed.core.draft import RESTORED, Draft, Held, Posted, Removed
from afeed.core.errors import LeaseLost, LogDefect, LogFull, LogUnavailable
from afeed.interfaces import ISink, Position, Recorded
from afeed.metrics import Metrics
from afeed.pipeline import NOT_RECORDED, RETRY_S, Intake
from tests.fakes import FakeLead, MemoryLog, a_post


class IntakeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.log = MemoryLog(["e"])
        self.metrics = Metrics(self.clock.seconds)
        self.lead = FakeLead()
        self.intake = Intake(self.log, self.clock, self.metrics, self.clock.seconds, self.lead)

    def text(self) -> str:
        return self.metrics.text().decode()

    def test_it_is_a_sink(self) -> None:
        verifyObject(ISink, self.intake)

    def test_what_is_offered_is_recorded_with_the_position(self) -> None:
        offered = self.intake.offer("e", [a_post(1), a_post(2), a_post(1)], Position("x", "p7"))
        self.assertEqual(
            self.successResultOf(offered), [Recorded(1, True), Recorded(2, True), Recorded(1, False)]
        )
        self.assertEqual(self.successResultOf(self.log.position("e", "x")), "p7")

    def test_new_items_are_counted_and_nothing_else(self) -> None:
        self.intake.offer("e", [a_post(1), a_post(1), a_post(2), Removed("push:1")])
        self.assertIn('afeed_items_total{event="e",source="push"} 2.0', self.text())

    def test_drops_are_counted(self) -> None:
        self.intake.dropped("e", "x", "malformed")
        self.intake.dropped("e", "x", "malformed", 4)
        self.assertIn('afeed_dropped_total{event="e",reason="malformed",source="x"} 5.0', self.text())

    def test_while_the_log_is_away_or_full_offers_wait_and_are_recorded_in_order(self) -> None:
        for number, fault in enumerate((LogUnavailable("away"), LogFull("full"))):
            self.log.fault = fault
            offered = self.intake.offer("e", [a_post(number)])
            self.clock.pump([RETRY_S] * 5)
            self.assertNoResult(offered)
            self.assertIn('afeed_queue_length{event="e"} 1.0', self.text())
            self.log.fault = None
            self.clock.advance(RETRY_S)
            self.assertEqual(self.successResultOf(offered), [Recorded(number + 1, True)])
            self.assertIn('afeed_queue_length{event="e"} 0.0', self.text())

    def test_a_source_that_is_stopped_meanwhile_waits_no_longer(self) -> None:
        self.log.fault = LogUnavailable("away")
        offered = self.intake.offer("e", [a_post(1)])
        offered.cancel()
        self.failureResultOf(offered, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIn('afeed_queue_length{event="e"} 0.0', self.text())

    def test_what_is_offered_is_recorded_under_the_token_of_the_term(self) -> None:
        leases: list[str | None] = []
        append = self.log.append

        def noted(*args, lease=None, **options):  # type: ignore[no-untyped-def]
            leases.append(lease)
            return append(*args, **options)

        self.log.append = noted  # type: ignore[method-assign]
        self.successResultOf(self.intake.offer("e", [a_post(1)]))
        self.lead.token = "n 2"
        self.successResultOf(self.intake.offer("e", [], Position("x", "p")))
        self.assertEqual(leases, ["n 1", "n 2"])

    def test_an_offer_that_outlives_its_term_is_not_recorded_in_the_next(self) -> None:
        self.log.fault = LogUnavailable("away")
        offered = self.intake.offer("e", [a_post(1)])
        self.lead.token = "n 2"
        self.log.fault = None
        leases: list[str | None] = []
        self.log.append = lambda *args, lease, **rest: leases.append(lease) or fail(LeaseLost("no"))  # type: ignore[func-returns-value,method-assign]
        self.clock.advance(RETRY_S)
        self.failureResultOf(offered, LeaseLost)
        self.assertEqual((leases, self.lead.doubts), (["n 1"], ["n 1"]))

    def test_an_offer_whose_term_is_over_does_not_wait_for_the_log_for_ever(self) -> None:
        self.log.fault = LogUnavailable("away")
        for later in ("n 2", None):
            self.lead.token = "n 1"
            offered = self.intake.offer("e", [a_post(1)])
            self.assertNoResult(offered)
            self.lead.token = later
            self.clock.advance(RETRY_S)
            self.failureResultOf(offered, LeaseLost)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_waits_once_it_is_closed(self) -> None:
        self.log.fault = LogUnavailable("away")
        offered = [self.intake.offer("e", [a_post(n)]) for n in range(3)]
        self.intake.close()
        for one in offered:
            self.failureResultOf(one, LeaseLost)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIn('afeed_queue_length{event="e"} 0.0', self.text())
        unanswered: Deferred[list[Recorded]] = Deferred()
        self.log.append = lambda *args, **options: unanswered  # type: ignore[method-assign]
        late = self.intake.offer("e", [a_post(7)])
        unanswered.errback(LogUnavailable("closed"))
        self.failureResultOf(late, LeaseLost)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_node_without_a_term_records_nothing_of_its_sources(self) -> None:
        self.lead.token = None
        self.failureResultOf(self.intake.offer("e", [a_post(1)]), LeaseLost)
        self.assertEqual(self.log.events["e"].head, 0)

    def test_a_lost_lease_is_told_at_once(self) -> None:
        self.log.fault = LeaseLost("another node has it")
        self.failureResultOf(self.intake.offer("e", [a_post(1)]), LeaseLost)
        self.assertEqual(self.lead.doubts, ["n 1"])
        self.assertIn('afeed_queue_length{event="e"} 0.0', self.text())

    def test_a_log_that_had_forgotten_the_lease_is_tried_again(self) -> None:
        self.log.fault = LeaseLost("nobody has it")
        self.lead.goes_on = True
        offered = self.intake.offer("e", [a_post(1)])
        self.log.fault = None
        self.assertNoResult(offered)
        self.clock.advance(RETRY_S)
        self.assertEqual(self.successResultOf(offered), [Recorded(1, True)])

    def break_log(self, *bad: str) -> None:
        """Let the log fail on drafts with these ids, and on positions that are one of them."""
        append = self.log.append

        def fails(event, epoch, drafts, **options):  # type: ignore[no-untyped-def]
            ids = {draft.id if isinstance(draft, Removed) else draft.item.id for draft in drafts}
            position = options.get("position")
            if position is not None:
                ids.add(position.value)
            if ids & set(bad):
                return fail(LogDefect("recording failed because of a defect"))
            return append(event, epoch, drafts, **options)

        self.log.append = fails  # type: ignore[method-assign]

    def test_a_draft_that_the_log_fails_on_does_not_stop_its_source(self) -> None:
        self.break_log("push:2", "push:7")
        drafts = [a_post(1), a_post(2), a_post(3), Removed("push:7")]
        offered = self.intake.offer("e", drafts, Position("x", "p"))
        self.assertEqual(
            self.successResultOf(offered), [Recorded(1, True), NOT_RECORDED, Recorded(2, True), NOT_RECORDED]
        )
        self.assertEqual(self.successResultOf(self.log.position("e", "x")), "p")
        self.assertEqual(len(self.flushLoggedErrors(LogDefect)), 2)

    def test_a_draft_that_the_log_fails_on_is_not_lost_silently(self) -> None:
        self.break_log("push:1")
        seen: list[str] = []
        observer = lambda event: seen.append(formatEvent(event))  # noqa: E731
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.assertEqual(self.successResultOf(self.intake.offer("e", [a_post(1)])), [NOT_RECORDED])
        self.assertIn("push:1", " ".join(seen))
        self.assertIn('afeed_dropped_total{event="e",reason="defect",source="push"} 1.0', self.text())
        self.assertIn('afeed_queue_length{event="e"} 0.0', self.text())
        self.flushLoggedErrors(LogDefect)

    def test_a_draft_that_cannot_even_be_prepared_does_not_stop_its_source(self) -> None:
        drafts = [a_post(1, text="\ud800"), a_post(2)]
        self.assertEqual(
            self.successResultOf(self.intake.offer("e", drafts)), [NOT_RECORDED, Recorded(1, True)]
        )
        self.assertEqual(len(self.flushLoggedErrors(UnicodeEncodeError)), 1)

    def test_a_position_that_the_log_fails_on_does_not_stop_its_source(self) -> None:
        self.break_log("p")
        offered = self.intake.offer("e", [a_post(1)], Position("x", "p"))
        self.assertEqual(self.successResultOf(offered), [Recorded(1, True)])
        self.assertEqual(len(self.flushLoggedErrors(LogDefect)), 1)

    def test_offers_are_counted_as_waiting_until_they_are_durable(self) -> None:
        durable: Deferred[list[Recorded]] = Deferred()
        self.log.append = lambda *args, **kwargs: durable  # type: ignore[assignment,method-assign]
        self.intake.offer("e", [a_post(1), a_post(2)])
        self.assertIn('afeed_queue_length{event="e"} 2.0', self.text())
        durable.callback([Recorded(1, True), Recorded(2, True)])
        self.assertIn('afeed_queue_length{event="e"} 0.0', self.text())


def holds(event: str, draft: Draft) -> Held | None:
    """What says so is held."""
    if isinstance(draft, Posted) and "bad" in draft.item.text:
        return Held(draft.item, draft.version, "muted:bad")
    return None


class HoldingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.log = MemoryLog(["e"])
        self.metrics = Metrics(self.clock.seconds)
        self.lead = FakeLead()
        self.intake = Intake(self.log, self.clock, self.metrics, self.clock.seconds, self.lead, holds=holds)

    def offer(self, *drafts: Draft, position: Position | None = None) -> list[Recorded]:
        return self.successResultOf(self.intake.offer("e", list(drafts), position))

    def held(self) -> list[str]:
        return [one.item.id for one in self.successResultOf(self.log.held("e", 10))]

    def test_what_is_held_has_no_number_and_the_position_goes_on(self) -> None:
        recorded = self.offer(a_post(1, "bad"), a_post(2), position=Position("x", "p7"))
        self.assertEqual(recorded, [Recorded(0, True), Recorded(1, True)])
        self.assertEqual(self.held(), ["push:1"])
        self.assertEqual(self.successResultOf(self.log.position("e", "x")), "p7")
        self.assertEqual(self.offer(a_post(1, "bad"), position=Position("x", "p8")), [Recorded(0, False)])
        self.assertEqual(self.successResultOf(self.log.position("e", "x")), "p8")

    def test_it_is_counted_as_held_and_not_as_shown(self) -> None:
        self.offer(a_post(1, "bad"), a_post(1, "bad"))
        text = self.metrics.text().decode()
        self.assertIn('afeed_held_total{event="e",reason="muted",source="push"} 1.0', text)
        self.assertNotIn("afeed_items_total{", text)

    def test_a_removal_always_passes_and_takes_what_is_held_with_it(self) -> None:
        self.offer(a_post(1, "bad"), a_post(2, "bad"))
        self.assertEqual(self.offer(Removed("push:1")), [Recorded(1, True)])
        self.assertEqual(self.held(), ["push:2"])
        self.assertEqual(self.offer(a_post(1, "bad")), [Recorded(0, False)])
        self.assertEqual(self.held(), ["push:2"])

    def test_an_edit_of_what_is_shown_is_judged_and_the_old_version_stays(self) -> None:
        self.offer(a_post(1, "fine", "1"))
        self.assertEqual(self.offer(a_post(1, "bad", "2")), [Recorded(0, True)])
        self.assertEqual([change.type for change in self.log.events["e"].changes], ["item.posted"])
        (released,) = self.successResultOf(self.log.release("e", ["push:1"]))
        self.assertEqual(released, Recorded(2, True))
        self.assertEqual(self.log.events["e"].changes[-1].type, "item.edited")

    def test_what_was_released_is_not_held_again_in_the_same_version(self) -> None:
        self.offer(a_post(1, "bad"))
        self.successResultOf(self.log.release("e", ["push:1"]))
        self.offer(a_post(1, "bad"))
        self.assertEqual((self.held(), self.log.events["e"].head), ([], 1))

    def test_what_was_restored_is_not_held_when_its_source_sends_it_again(self) -> None:
        self.successResultOf(self.log.append("e", None, [a_post(1, "bad"), Removed("push:1")]))
        again = Posted(a_post(1, "bad").item, f"{RESTORED}1")
        self.successResultOf(self.log.append("e", None, [again]))
        self.offer(a_post(1, "bad"))
        self.assertEqual((self.held(), self.log.events["e"].head), ([], 3))
        # Another version is another matter.
        self.offer(a_post(1, "bad, and worse", "2"))
        self.assertEqual(self.held(), ["push:1"])

    def test_while_the_log_is_away_what_is_to_be_held_waits(self) -> None:
        self.log.fault = LogUnavailable("away")
        offered = self.intake.offer("e", [a_post(1, "bad")])
        self.clock.pump([RETRY_S] * 3)
        self.assertNoResult(offered)
        self.log.fault = None
        self.clock.advance(RETRY_S)
        self.assertEqual(self.successResultOf(offered), [Recorded(0, True)])

    def test_it_is_held_under_the_token_of_the_term(self) -> None:
        self.log.hold = lambda *given, **options: fail(LeaseLost("no"))  # type: ignore[method-assign]
        self.failureResultOf(self.intake.offer("e", [a_post(1, "bad")]), LeaseLost)
        self.assertEqual(self.lead.doubts, ["n 1"])

    def test_one_that_cannot_be_held_because_of_a_defect_keeps_nothing_else_out(self) -> None:
        hold = self.log.hold

        def fails(event, held, **options):  # type: ignore[no-untyped-def]
            if any(one.item.id == "push:2" for one in held):
                return fail(LogDefect("holding failed because of a defect"))
            return hold(event, held, **options)

        self.log.hold = fails  # type: ignore[method-assign]
        recorded = self.offer(*(a_post(n, "bad") for n in (1, 2, 3)), a_post(4))
        self.assertEqual([one.new for one in recorded], [True, False, True, True])
        self.assertEqual(self.held(), ["push:1", "push:3"])
        self.assertEqual(len(self.flushLoggedErrors(LogDefect)), 1)
        self.assertIn('reason="defect"', self.metrics.text().decode())
