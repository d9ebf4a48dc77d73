"""Which node runs the sources: several of them at one lease, on a clock that the test moves."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from afeed.core.errors import LogUnavailable
from afeed.core.health import Check
from afeed.core.leading import EVERY_S, GRACE_S, LEASE_S, SLOW_S, UNKNOWN_S
from afeed.interfaces import ILead, ILease
from afeed.leadership import Leadership


@implementer(ILease)
class TimedLease:
    """What Redis does (:mod:`afeed.livelog.redis_lease`), in plain words.  ``away`` names nodes that cannot
    reach it."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.holder: str | None = None
        self.until = 0.0
        self.away: set[str] = set()
        self.shared = False
        self.calls: list[tuple[Any, ...]] = []

    def forget(self) -> None:
        """Lose everything."""
        self.holder, self.until = None, 0.0

    def _answer(self, token: str, result: Any) -> Deferred[Any]:
        return fail(LogUnavailable("Redis is away.")) if token.split()[0] in self.away else succeed(result())

    def take(self, token: str, seconds: float, known: str | None, patient: bool) -> Deferred[str]:
        self.calls.append(("take", token, known, patient))

        def step() -> str:
            if self.clock.seconds() < self.until and self.holder not in (None, token):
                self.shared = True
                return self.holder or ""
            spared = known is not None and (self.holder is None or (patient and self.holder == known))
            self.holder = known if spared and known is not None else token
            self.until = self.clock.seconds() + seconds
            return self.holder

        return self._answer(token, step)

    def renew(self, token: str, seconds: float) -> Deferred[bool]:
        self.calls.append(("renew", token))

        def step() -> bool:
            if self.holder not in (None, token):
                return False
            self.holder, self.until = token, self.clock.seconds() + seconds
            return True

        return self._answer(token, step)

    def release(self, token: str) -> Deferred[None]:
        self.calls.append(("release", token))

        def step() -> None:
            if self.holder == token:
                self.holder, self.until = "-", 0.0

        return self._answer(token, step)


class NodeStub:
    """One node: ``runs`` says whether its sources do, ``terms`` under which tokens they did."""

    def __init__(self, name: str, lease: TimedLease, seed: int) -> None:
        self.lead = Leadership(name, lease, lease.clock, Random(seed))
        self.runs = False
        self.terms: list[str] = []
        self.ending: Deferred[None] = succeed(None)

    def start(self) -> None:
        self.lead.start(self._begin, self._end, lambda: ["x"] if self.runs else [])

    def _begin(self) -> None:
        assert not self.runs
        assert self.lead.token is not None
        self.runs = True
        self.terms.append(self.lead.token)

    def _end(self) -> Deferred[None]:
        return self.ending.addCallback(lambda _: setattr(self, "runs", False))


class LeadershipCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.lease = TimedLease(self.clock)
        self.a, self.b, self.c = self.nodes = [
            NodeStub(name, self.lease, seed) for seed, name in enumerate("abc")
        ]
        self.addCleanup(lambda: [node.lead.halt() for node in self.nodes])

    def let_pass(self, seconds: float) -> None:
        self.clock.pump([0.1] * round(seconds * 10))

    def running(self) -> str:
        return "".join(node.lead.node for node in self.nodes if node.runs)

    def until_runs(self, wanted: str, seconds: float) -> float:
        """How long it takes until the sources of ``wanted`` and no others run."""
        began = self.clock.seconds()
        while self.running() != wanted:
            self.let_pass(0.1)
            self.assertLess(self.clock.seconds() - began, seconds, f"{self.running()!r} run the sources")
        return self.clock.seconds() - began


class TermTests(LeadershipCase):
    def test_it_is_what_the_intake_knows(self) -> None:
        verifyObject(ILead, self.a.lead)
        verifyObject(ILease, self.lease)

    def test_a_node_alone_leads_in_the_turn_in_which_it_starts(self) -> None:
        self.a.start()
        self.assertTrue(self.a.runs)
        self.assertEqual(self.a.lead.token, self.lease.holder)

    def test_one_of_several_leads_for_as_long_as_it_lives(self) -> None:
        for node in self.nodes:
            node.start()
        self.let_pass(300)
        self.assertEqual(self.running(), "a")
        self.assertEqual(len(self.a.terms), 1)
        self.assertEqual([node.lead.token for node in (self.b, self.c)], [None, None])

    def test_nodes_that_start_together_do_not_ask_together_for_ever(self) -> None:
        self.a.start()
        self.b.start()
        moments: dict[str, list[float]] = {"renew": [], "take": []}
        for _ in range(600):
            before = len(self.lease.calls)
            self.let_pass(0.1)
            for call in self.lease.calls[before:]:
                moments[call[0]].append(self.clock.seconds())
        self.assertNotEqual(moments["renew"], moments["take"])
        self.assertGreaterEqual(len(moments["take"]), 60 / EVERY_S - 1)

    def test_a_leader_that_is_killed_is_followed_within_ten_seconds(self) -> None:
        for node in self.nodes:
            node.start()
        self.let_pass(60)
        self.a.lead._running.cancel()  # nothing is said any more, as after SIGKILL
        self.a.runs = False
        while not self.running():
            self.let_pass(0.1)
        self.assertLessEqual(self.clock.seconds() - 60, LEASE_S + EVERY_S + 0.2)

    def test_a_leader_that_stops_is_followed_within_two_seconds(self) -> None:
        self.a.start()
        self.b.start()
        self.let_pass(10)
        self.successResultOf(self.a.lead.halt())
        self.assertIsNotNone(self.a.lead.token)  # good for the sources' last words
        self.a.runs = False
        self.successResultOf(self.a.lead.resign())
        self.assertIsNone(self.a.lead.token)
        self.assertLessEqual(self.until_runs("b", 3), 2)

    def test_every_term_has_a_token_of_its_own(self) -> None:
        self.a.start()
        self.b.start()
        for _ in range(5):
            self.lease.holder, self.lease.until = "-", 0.0
            self.let_pass(4)
        tokens = [term for node in self.nodes for term in node.terms]
        self.assertGreater(len(tokens), 3)
        self.assertEqual(len(set(tokens)), len(tokens))
        for token in tokens:
            name, _, word = token.partition(" ")
            self.assertIn(name, "ab")
            self.assertEqual(len(word), 24)

    def test_a_defect_does_not_keep_a_node_from_ever_leading(self) -> None:
        take, faults = self.lease.take, [ZeroDivisionError(), ZeroDivisionError()]
        self.lease.take = lambda *args: fail(faults.pop()) if faults else take(*args)  # type: ignore[method-assign]
        self.a.start()
        self.let_pass(5)
        self.assertEqual(self.running(), "a")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)


class LossTests(LeadershipCase):
    def setUp(self) -> None:
        super().setUp()
        self.a.start()
        self.b.start()
        self.let_pass(5)

    def take_over(self) -> None:
        """b leads, and a has not heard of it."""
        self.lease.away = {"a"}
        self.let_pass(LEASE_S + 2 * EVERY_S)
        self.assertEqual(self.running(), "ab")
        self.lease.away = set()

    def test_whoever_learns_of_another_stops_its_sources(self) -> None:
        self.take_over()
        self.assertLessEqual(self.until_runs("b", 3), EVERY_S + 0.2)
        self.assertIsNone(self.a.lead.token)
        self.let_pass(30)
        self.assertEqual(self.running(), "b")
        self.assertIn("Another node runs the sources: b.", self.a.lead.check().detail)

    def test_a_refused_append_makes_it_ask_at_once(self) -> None:
        self.take_over()
        token = self.a.lead.token
        assert token is not None
        self.assertFalse(self.successResultOf(self.a.lead.doubted(token)))
        self.assertEqual(self.running(), "b")
        self.assertFalse(self.successResultOf(self.a.lead.doubted(token)))

    def test_a_log_that_has_forgotten_everything_does_not_end_the_term(self) -> None:
        token = self.a.lead.token
        assert token is not None
        self.lease.forget()
        self.assertTrue(self.successResultOf(self.a.lead.doubted(token)))
        self.let_pass(30)
        self.assertEqual((self.running(), self.a.lead.token), ("a", token))

    def test_whoever_asks_first_after_the_log_has_forgotten_the_term_goes_on(self) -> None:
        token = self.a.lead.token
        for _ in range(50):
            self.lease.forget()
            self.let_pass(0.7)
        self.assertEqual((self.running(), self.a.lead.token), ("a", token))

    def test_while_nobody_can_be_asked_a_refused_append_is_tried_again(self) -> None:
        self.lease.away = {"a"}
        assert self.a.lead.token is not None
        self.assertTrue(self.successResultOf(self.a.lead.doubted(self.a.lead.token)))

    def test_sources_that_take_their_time_to_end_are_waited_for(self) -> None:
        self.take_over()
        self.a.ending = Deferred()
        self.let_pass(5)
        self.lease.release(self.b.terms[0])
        self.b.lead.halt()
        self.b.runs = False
        self.let_pass(10)
        self.assertEqual(len(self.a.terms), 1)
        self.a.ending.callback(None)
        self.let_pass(2)
        self.assertEqual((self.running(), len(self.a.terms)), ("a", 2))

    def test_a_stop_waits_for_them_too(self) -> None:
        self.take_over()
        self.a.ending = Deferred()
        self.let_pass(5)
        halted = self.a.lead.halt()
        self.assertNoResult(halted)
        self.a.ending.callback(None)
        self.successResultOf(halted)

    def test_a_failure_to_stop_them_is_told_and_does_not_end_its_part(self) -> None:
        self.take_over()
        self.a.ending = fail(ZeroDivisionError())
        self.let_pass(5)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIn("Another node", self.a.lead.check().detail)

    def test_a_failure_at_once_does_not_end_its_part_either(self) -> None:
        self.take_over()

        def end() -> Deferred[None]:
            raise ZeroDivisionError

        self.a.lead._end = end
        self.let_pass(5)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.a.lead.check().data["state"], "follows")


class OutageTests(LeadershipCase):
    """Redis, or the way to it, is away."""

    def setUp(self) -> None:
        super().setUp()
        self.a.start()
        self.b.start()
        self.let_pass(5)

    def test_a_short_outage_ends_no_term_although_the_lease_ran_out(self) -> None:
        token = self.a.lead.token
        for round_ in range(10):
            self.lease.away = {"a", "b"}
            self.let_pass(LEASE_S + 6 + round_ / 3)
            self.assertEqual(self.running(), "a")
            self.lease.away = set()
            self.let_pass(5)
        self.assertEqual((self.running(), self.a.lead.token), ("a", token))

    def test_a_leader_that_is_cut_off_lets_the_sources_go_after_a_while(self) -> None:
        self.lease.away = {"a", "b"}
        self.let_pass(GRACE_S - 1)
        self.assertEqual(self.running(), "a")
        self.let_pass(2 * EVERY_S + 1)
        self.assertEqual(self.running(), "")

    def test_after_a_long_outage_whoever_asks_first_leads_at_once(self) -> None:
        for forgets in (False, True):
            self.lease.away = {"a", "b"}
            self.let_pass(GRACE_S + 10)
            self.assertEqual(self.running(), "")
            if forgets:
                self.lease.forget()
            self.lease.away = set()
            self.let_pass(EVERY_S + 0.2)
            self.assertEqual(len(self.running()), 1)

    def test_after_a_long_outage_the_same_node_begins_a_new_term(self) -> None:
        self.b.lead.halt()
        self.lease.away = {"a"}
        self.let_pass(60)
        self.lease.away = set()
        self.let_pass(EVERY_S + 0.2)
        self.assertEqual((self.running(), len(set(self.a.terms))), ("a", 2))

    def test_an_answer_that_was_lost_may_have_been_a_yes(self) -> None:
        self.successResultOf(self.a.lead.halt())
        self.successResultOf(self.a.lead.resign())
        self.a.runs = False
        take, lost = self.lease.take, [True]

        def losing(*args: Any) -> Deferred[str]:
            answer = take(*args)
            return fail(LogUnavailable("cut off")) if lost and lost.pop() else answer

        self.lease.take = losing  # type: ignore[method-assign]
        self.assertLessEqual(self.until_runs("b", 6), 2 * EVERY_S + 0.2)

    def test_a_stop_gives_back_what_was_granted_without_an_answer(self) -> None:
        self.c.start()
        self.successResultOf(self.a.lead.halt())
        self.successResultOf(self.a.lead.resign())
        take = self.lease.take
        silent: list[Deferred[str]] = []

        def silence(*args: Any) -> Deferred[str]:
            take(*args)
            silent.append(Deferred())
            return silent[-1]

        self.lease.take = silence  # type: ignore[method-assign]
        self.let_pass(EVERY_S)
        holder = self.lease.holder
        assert holder is not None
        node = self.b if holder.startswith("b") else self.c
        node.lead.halt()
        self.successResultOf(node.lead.resign())
        self.assertEqual(self.lease.holder, "-")


class AloneTests(LeadershipCase):
    """A node that never heard of another keeps its sources: nobody else could run them, and what they hold
    would be lost."""

    def test_an_outage_of_any_length_ends_no_term(self) -> None:
        self.a.start()
        token = self.a.lead.token
        for seconds in (GRACE_S + 10, 3600):
            self.lease.away = {"a"}
            self.let_pass(seconds)
            self.assertEqual(self.running(), "a")
            check = self.a.lead.check()
            self.assertEqual(check.state, "degraded")
            self.assertIn("goes on", check.detail)
            self.assertNotIn("stops them", check.detail)
            self.lease.away = set()
            self.let_pass(5)
            self.assertEqual((self.running(), self.a.lead.token), ("a", token))
            self.assertEqual(self.a.lead.check().state, "ok")

    def test_after_it_another_that_has_come_meanwhile_may_lead(self) -> None:
        self.a.start()
        self.lease.away = {"a"}
        self.let_pass(60)
        self.b.start()
        self.let_pass(LEASE_S)
        self.lease.away = set()
        self.assertLessEqual(self.until_runs("b", 3), EVERY_S + 0.2)


class HealthTests(LeadershipCase):
    def check(self, node: NodeStub) -> Check:
        return node.lead.check()

    def test_before_the_start(self) -> None:
        self.assertEqual(self.check(self.a).state, "ok")
        self.assertIn("no sources", self.check(self.a).detail)

    def test_who_leads_and_who_follows(self) -> None:
        self.a.start()
        self.b.start()
        for node, state in ((self.a, "leads"), (self.b, "follows")):
            check = self.check(node)
            self.assertEqual((check.name, check.state), ("leader", "ok"))
            self.assertEqual(check.data, {"node": node.lead.node, "leader": "a", "state": state})
        self.assertEqual(self.check(self.a).detail, "This node runs the sources.")
        self.assertEqual(self.check(self.b).detail, "Another node runs the sources: a.")

    def test_no_token_is_told(self) -> None:
        self.a.start()
        assert self.a.lead.token is not None
        secret = self.a.lead.token.partition(" ")[2]
        self.assertNotIn(secret, repr(self.check(self.a)))

    def test_an_outage_is_told_within_ten_seconds_and_so_is_its_end(self) -> None:
        self.a.start()
        self.b.start()
        self.lease.away = {"a", "b"}
        self.let_pass(UNKNOWN_S - EVERY_S)
        self.assertEqual([self.check(node).state for node in (self.a, self.b)], ["ok", "ok"])
        self.let_pass(10 - UNKNOWN_S + EVERY_S)
        self.assertEqual([self.check(node).state for node in (self.a, self.b)], ["degraded", "failed"])
        self.assertIn("Redis is away. It is asked again", self.check(self.b).detail)
        self.let_pass(GRACE_S)
        self.assertEqual(self.check(self.a).state, "failed")
        self.lease.away = set()
        self.let_pass(EVERY_S + 0.2)
        self.assertEqual(self.check(self.b).state, "ok")

    def test_a_node_that_stops_its_sources_says_so(self) -> None:
        self.a.start()
        self.a.ending = Deferred()
        self.lease.holder = "b 1"
        self.let_pass(EVERY_S)
        self.assertIn("stops its own", self.check(self.a).detail)

    def test_a_source_that_does_not_end_is_named_within_ten_seconds(self) -> None:
        self.a.start()
        self.a.ending = Deferred()
        self.lease.holder = "b 1"
        self.let_pass(EVERY_S)
        self.assertEqual(self.check(self.a).state, "ok")
        self.let_pass(SLOW_S + 0.1)
        self.assertEqual(self.check(self.a).state, "degraded")
        self.assertIn("x takes its time", self.check(self.a).detail)
        self.let_pass(10 - SLOW_S - EVERY_S)
        self.assertEqual(self.check(self.a).state, "failed")
        self.assertIn("x has not ended", self.check(self.a).detail)
        self.assertIn("restart afeed", self.check(self.a).detail)
        self.let_pass(10)
        self.a.ending.callback(None)
        self.assertEqual(self.check(self.a).state, "ok")

    def test_a_source_that_does_not_end_is_logged_once_in_each_term(self) -> None:
        seen: list[str] = []
        observer = lambda event: seen.append(formatEvent(event))  # noqa: E731
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.a.start()
        for term in (1, 2):
            self.a.ending = Deferred()
            self.lease.holder, self.lease.until = "b 1", self.clock.seconds() + 1
            self.let_pass(60)
            told = [line for line in seen if "x has not ended" in line]
            self.assertEqual(len(told), term, told)
            self.a.ending.callback(None)
            self.let_pass(5)
