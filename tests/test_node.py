"""What is started in which order, and stopped in which, and how long that takes at most."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NoReturn, cast

import attrs
from twisted.application.service import Application, IService
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from afeed.channel import Channel
from afeed.core.errors import (
    ArchiveTooNew,
    ArchiveUnavailable,
    DirectoryInUse,
    LeaseLost,
    LogUnavailable,
    LogUnusable,
)
from afeed.core.health import Check
from afeed.core.leading import EVERY_S, STUCK_S
from afeed.leadership import Leadership
from afeed.metrics import Metrics
from afeed.node import ARCHIVE_PATIENCE_S, Node, Parts
from afeed.organisers.moderation import Moderation
from afeed.pipeline import Intake
from afeed.services import Supervised
from tests.fakes import a_post
from tests.web.serving import TOKEN, House, request


class Recorder:
    """Writes down what happens, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def note(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            return original(*args, **kwargs)

        return noted

    def watch(self, **objects: tuple[Any, str]) -> None:
        """Note the calls of these methods, under these names."""
        for name, (thing, method) in objects.items():
            setattr(thing, method, self.note(name, getattr(thing, method)))

    def since(self, first: str) -> list[str]:
        return self.calls[self.calls.index(first) :]


class FakeStrainer:
    def __init__(self) -> None:
        self.drained: Deferred[None] = succeed(None)
        self.copying: list[bool] = []

    def copy(self, copying: bool) -> None:
        self.copying.append(copying)

    async def run(self) -> None:
        await Deferred()

    async def drain(self, seconds: float) -> None:
        await self.drained

    def check(self) -> Check:
        return Check(name="strainer", state="ok", detail="")


class FakeSource:
    """Offers an item a second, straight to the log."""

    name = "x"

    def __init__(self, house: House) -> None:
        self.house = house
        self.ending: Deferred[None] = succeed(None)
        self.offered = 0

    async def run(self) -> None:
        try:
            while True:
                await deferLater(self.house.clock, 1.0)
                self.offered += 1
                await self.house.log.append("e", None, [a_post(self.offered)])
        finally:
            await self.ending

    def check(self) -> Check:
        return Check(name="x", state="ok", detail="")


class FakeModeration:
    """Learns who is blocked when :attr:`learned` fires."""

    def __init__(self) -> None:
        self.learned: Deferred[None] = Deferred()

    async def learn(self) -> None:
        await self.learned

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


class FakePort:
    def __init__(self) -> None:
        self.open = True

    def stopListening(self) -> Deferred[None]:
        self.open = False
        return succeed(None)


def refuse(status: int, sentence: str) -> NoReturn:
    """As in the foreground."""
    raise SystemExit(status)


class NodeCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(started=False)
        self.clock = self.house.clock
        self.recorder = Recorder()
        self.strainer = FakeStrainer()
        self.sources = [FakeSource(self.house), FakeSource(self.house)]
        self.port = FakePort()
        self.states: list[str] = []
        self.held = False
        self.listening: Deferred[Any] = succeed(self.port)
        self.refuse: dict[str, Exception] = {}
        supervisors = [
            (source, Supervised(f"source {n}", source.run, self.clock, Random(n)))
            for n, source in enumerate(self.sources)
        ]
        leadership = Leadership("n", self.house.log.lease, self.clock, Random(5))
        metrics = Metrics(self.clock.seconds)
        self.intake = Intake(self.house.log, self.clock, metrics, self.clock.seconds, leadership)
        self.parts = Parts(
            preflight=lambda: self._maybe("preflight"),
            hold=self._hold,
            listen=[("tcp:8080", lambda: self.listening)],
            log=self.house.log,
            archive=self.house.archive,
            witnesses=(),
            hub=self.house.hub,
            strainer=self.strainer,  # type: ignore[arg-type]
            strainer_runs=Supervised("strainer", self.strainer.run, self.clock, Random(7)),
            intake=self.intake,
            sources=supervisors,  # type: ignore[arg-type]
            leadership=leadership,
            push=self.house.push,
            stages=self.house.stages,
            routes=self.house.routes,
            front=self.house.front,
            settle=lambda: self._maybe("settle"),
        )
        self.recorder.watch(
            archive_start=(self.house.archive, "start"),
            log_start=(self.house.log, "start"),
            hub_start=(self.house.hub, "start"),
            stages_start=(self.house.stages, "start"),
            strainer_start=(self.parts.strainer_runs, "start"),
            source_start=(supervisors[0][1], "start"),
            push_close=(self.house.push, "close"),
            port_close=(self.port, "stopListening"),
            source_stop=(supervisors[0][1], "stop"),
            other_source_stop=(supervisors[1][1], "stop"),
            log_append=(self.house.log, "append"),
            lease_release=(self.house.log.lease, "release"),
            intake_close=(self.intake, "close"),
            hub_stop=(self.house.hub, "stop"),
            routes_stop=(self.house.routes, "stop"),
            stages_stop=(self.house.stages, "stop"),
            strainer_stop=(self.parts.strainer_runs, "stop"),
            strainer_drain=(self.strainer, "drain"),
            front_stop=(self.house.front, "stop"),
            log_stop=(self.house.log, "stop"),
            archive_stop=(self.house.archive, "stop"),
        )
        self.node = Node(self.parts, self.clock, self.states.append, None, refuse)

    def _maybe(self, step: str) -> None:
        if step in self.refuse:
            raise self.refuse[step]

    def _hold(self) -> Callable[[], None]:
        self._maybe("hold")
        self.held = True

        def release() -> None:
            self.held = False
            self.recorder.calls.append("release")

        return release

    def start(self) -> None:
        self.node.privilegedStartService()
        self.house.front.doStart()
        self.node.startService()

    def stop(self, within: float) -> Deferred[None]:
        """Stop, let ``within`` seconds pass, and expect the end."""
        stopped = self.node.stopService()
        for _ in range(int(within * 20)):
            self.clock.advance(0.05)
        self.successResultOf(stopped)
        self.assertFalse(self.held)
        return stopped


class StartTests(NodeCase):
    def test_the_order(self) -> None:
        self.start()
        order = ["archive_start", "log_start", "hub_start", "stages_start", "strainer_start", "source_start"]
        self.assertEqual(self.recorder.calls, order)
        self.assertTrue(self.node.ready())
        self.assertEqual(self.states, ["READY=1"])
        self.stop(5)

    def test_before_anything_is_taken_it_is_known_who_is_blocked(self) -> None:
        moderation = FakeModeration()
        self.recorder.watch(moderation_start=(moderation, "start"))
        parts = attrs.evolve(self.parts, moderation=cast(Moderation, moderation))
        self.node = Node(parts, self.clock, self.states.append, None, refuse)
        self.start()
        self.assertEqual(self.recorder.calls, ["archive_start"])
        moderation.learned.callback(None)
        self.assertEqual(self.recorder.calls[:3], ["archive_start", "log_start", "hub_start"])
        self.assertIn("moderation_start", self.recorder.calls)
        self.stop(5)

    def test_a_stop_does_not_wait_until_it_is_known_who_is_blocked(self) -> None:
        moderation = FakeModeration()
        parts = attrs.evolve(self.parts, moderation=cast(Moderation, moderation))
        self.node = Node(parts, self.clock, self.states.append, None, refuse)
        self.start()
        self.stop(5)
        self.assertNotIn("log_start", self.recorder.calls)

    def test_the_ports_are_opened_by_twist_too_which_knows_no_privileged_start(self) -> None:
        self.house.front.doStart()
        self.node.startService()
        self.assertTrue(self.held)
        self.stop(0)
        self.assertFalse(self.port.open)

    def test_without_an_archive_the_feed_starts_all_the_same(self) -> None:
        self.house.archive.fault = ArchiveUnavailable("away")
        self.start()
        self.assertTrue(self.node.ready())
        self.stop(5)

    def test_an_archive_that_does_not_answer_is_waited_for_2_s(self) -> None:
        self.house.archive.start = Deferred  # type: ignore[method-assign]
        self.start()
        self.clock.advance(ARCHIVE_PATIENCE_S - 0.1)
        self.assertFalse(self.node.ready())
        logged: list[str] = []

        def observe(event: LogEvent) -> None:
            logged.append(formatEvent(event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        self.clock.advance(0.2)
        self.assertTrue(self.node.ready())
        self.assertIn(f"The archive is not there yet ({self.house.archive.check().detail})", "".join(logged))
        self.stop(5)

    def test_a_log_that_cannot_be_used_is_told_on_healthz(self) -> None:
        self.house.log.start = lambda *args: fail(LogUnusable("it is damaged"))  # type: ignore[method-assign]
        self.start()
        self.assertFalse(self.node.ready())
        first = next(iter(self.node.checks()))
        self.assertEqual((first.name, first.state), ("start", "failed"))
        self.assertIn("it is damaged", first.detail)
        self.assertEqual(self.states, [])
        self.stop(5)

    def test_a_log_that_cannot_be_used_is_not_tried_again(self) -> None:
        starts: list[Any] = []
        self.house.log.start = lambda *args: starts.append(args) or fail(LogUnusable("it is damaged"))  # type: ignore[method-assign,func-returns-value]
        self.start()
        self.clock.pump([60.0] * 10)
        self.assertEqual(len(starts), 1)
        self.stop(5)

    def test_a_defect_at_the_start_is_logged_and_told(self) -> None:
        self.house.log.start = lambda *args: fail(ZeroDivisionError("odd"))  # type: ignore[method-assign]
        self.start()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIn("ZeroDivisionError: odd", next(iter(self.node.checks())).detail)
        self.stop(5)

    def test_a_start_that_fails_is_tried_again_until_it_succeeds(self) -> None:
        start = self.house.log.start
        outcomes: list[Exception] = [ZeroDivisionError("odd"), LogUnavailable("away"), OSError("disk")]
        moments: list[float] = []

        def failing(*args: Any) -> Deferred[None]:
            moments.append(self.clock.seconds())
            return fail(outcomes.pop(0)) if outcomes else start(*args)

        self.house.log.start = failing  # type: ignore[method-assign]
        self.start()
        first = next(iter(self.node.checks()))
        self.assertEqual((first.name, first.state), ("start", "failed"))
        self.assertIn("ZeroDivisionError: odd", first.detail)
        self.assertIn("tried again", first.detail)
        self.assertFalse(self.node.ready())
        self.clock.pump([0.5] * 20)
        self.assertEqual(moments, [0, 1, 3, 7])
        self.assertTrue(self.node.ready())
        self.assertEqual(self.states, ["READY=1"])
        self.assertNotIn("start", [check.name for check in self.node.checks()])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError, OSError)), 2)
        self.stop(5)

    def test_a_later_step_that_fails_does_not_repeat_the_earlier_ones(self) -> None:
        start, outcomes = self.house.hub.start, [ZeroDivisionError("odd")]
        self.house.hub.start = lambda: fail(outcomes.pop()) if outcomes else start()  # type: ignore[method-assign]
        self.start()
        self.assertFalse(self.node.ready())
        self.clock.advance(1)
        self.assertTrue(self.node.ready())
        self.assertEqual(self.recorder.calls.count("log_start"), 1)
        self.assertEqual(self.recorder.calls.count("source_start"), 1)
        self.flushLoggedErrors(ZeroDivisionError)
        self.stop(5)

    def test_a_log_that_was_away_for_long_is_found_within_seconds(self) -> None:
        start, self.house.log.start = (
            self.house.log.start,
            lambda *args: fail(LogUnavailable("the disk is full")),
        )  # type: ignore[method-assign]
        self.start()
        self.clock.pump([1.0] * 570)
        self.house.log.start = start  # type: ignore[method-assign]
        self.clock.pump([1.0] * 6)
        self.assertTrue(self.node.ready())
        self.stop(5)

    def test_a_stop_while_the_start_is_to_be_tried_again(self) -> None:
        self.house.log.start = lambda *args: fail(LogUnavailable("away"))  # type: ignore[method-assign]
        self.start()
        self.stop(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_is_made_or_read_before_privileges_are_shed(self) -> None:
        self.refuse = {"hold": AssertionError("as root"), "preflight": AssertionError("as root")}
        self.node.privilegedStartService()
        self.refuse = {}
        self.house.front.doStart()
        self.node.startService()
        self.assertTrue(self.held)
        self.stop(0)

    def test_what_must_be_refused_is_refused_before_anything_runs(self) -> None:
        for step, error, status in (
            ("hold", DirectoryInUse("another afeed"), 1),
            ("hold", PermissionError("no"), 1),
            ("preflight", ArchiveTooNew("from tomorrow"), 2),
        ):
            self.refuse = {step: error}
            exit = self.assertRaises(SystemExit, self.start)
            self.assertEqual(exit.code, status)
        self.assertEqual(self.recorder.calls, [])

    def test_an_archive_that_is_locked_for_a_moment_does_not_keep_it_from_starting(self) -> None:
        self.refuse = {"preflight": ArchiveUnavailable("locked")}
        self.start()
        self.assertTrue(self.held)
        self.stop(5)

    def test_a_port_that_is_taken_ends_the_program(self) -> None:
        self.listening = fail(CannotListenError("127.0.0.1", 8080, OSError(98, "Address already in use")))
        exit = self.assertRaises(SystemExit, self.node.privilegedStartService)
        self.assertEqual(exit.code, 1)

    def test_every_component_has_a_check(self) -> None:
        self.start()
        names = [check.name for check in self.node.checks()]
        self.assertEqual(names, ["live_log", "hub", "archive", "strainer", "leader", "x", "x"])
        self.stop(5)

    def test_the_observer_is_given_to_the_application(self) -> None:
        seen = lambda event: None  # noqa: E731
        application = Application("afeed")
        Node(self.parts, self.clock, self.states.append, seen, refuse).setServiceParent(application)
        self.assertIs(application.getComponent(ILogObserver), seen)
        other = Application("afeed")
        self.node.setServiceParent(other)
        self.assertIsNone(other.getComponent(ILogObserver, None))
        self.assertEqual(list(IService(other)), [self.node])


class WaitingTests(NodeCase):
    def test_what_the_log_did_not_take_waits_no_longer_than_afeed_lives(self) -> None:
        self.start()
        self.house.log.fault = LogUnavailable("away")
        offered = self.intake.offer("e", [a_post(1)])
        self.assertNoResult(offered)
        self.stop(5)
        self.failureResultOf(offered, LeaseLost)
        self.flushLoggedErrors(LogUnavailable)


class FlushTests(NodeCase):
    def test_every_event_is_flushed_before_goodbye(self) -> None:
        channels = self.house.hub.channels
        hub = self.house.hub
        channels["f"] = Channel("f", 10, lambda item: "", hub._older, hub._floor, hub._caught_up)
        self.house.log.events["f"] = type(self.house.log.events["e"])()
        flushed: list[str] = []
        append = self.house.log.append

        def noted(event: str, *args: Any, **rest: Any) -> Deferred[Any]:
            flushed.append(event)
            return fail(LogUnavailable("away")) if event == "e" else append(event, *args, **rest)

        self.house.log.append = noted  # type: ignore[method-assign]
        self.start()
        self.stop(0)
        self.assertEqual(flushed, ["e", "f"])
        self.assertEqual(len(self.flushLoggedErrors(LogUnavailable)), 1)


class StopTests(NodeCase):
    def setUp(self) -> None:
        super().setUp()
        self.start()

    def test_the_order(self) -> None:
        self.stop(0)
        self.assertEqual(
            self.recorder.since("push_close"),
            [
                "push_close",
                "port_close",
                "source_stop",
                "other_source_stop",
                "log_append",
                "lease_release",
                "intake_close",
                "hub_stop",
                "routes_stop",
                "stages_stop",
                "strainer_stop",
                "strainer_drain",
                "front_stop",
                "log_stop",
                "archive_stop",
                "release",
            ],
        )
        self.assertEqual(self.states, ["READY=1", "STOPPING=1"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_was_accepted_before_is_delivered_before_goodbye(self) -> None:
        stream = self.house.call(request("/e/stream"))
        written: Deferred[Any] = Deferred()
        append = self.house.log.append

        def slow(event: str, epoch: Any, drafts: Any, **rest: Any) -> Deferred[Any]:
            return written.addCallback(lambda _: append(event, epoch, drafts, **rest))

        self.house.log.append = slow  # type: ignore[method-assign]
        push = self.house.call(
            request(
                "/e/items",
                f"Authorization: Bearer {TOKEN}",
                "Content-Type: application/json",
                method="POST",
                body=b'{"id":"last","text":"the last one"}',
            )
        )
        stopped = self.node.stopService()
        self.assertNotIn(b"bye", stream.received)
        written.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(push.answer.status, 201)
        self.assertLess(stream.received.index(b"the last one"), stream.received.index(b'"bye"'))
        self.assertTrue(stream.closed)

    def test_pushes_that_come_during_the_stop_are_refused_and_none_is_lost(self) -> None:
        self.strainer.drained = Deferred()
        stopped = self.node.stopService()
        self.assertFalse(self.node.ready())
        answer = self.house.ask(
            "/e/items",
            f"Authorization: Bearer {TOKEN}",
            "Content-Type: application/json",
            method="POST",
            body=b'{"id":"1","text":"x"}',
        )
        self.assertEqual((answer.status, answer.error), (503, "stopping"))
        self.strainer.drained.callback(None)
        self.successResultOf(stopped)

    def test_nothing_that_a_source_was_told_is_recorded_is_missing(self) -> None:
        for _ in range(5):
            self.clock.advance(1)
        offered = sum(source.offered for source in self.sources)
        self.stop(0)
        self.clock.advance(10)
        self.assertEqual(sum(source.offered for source in self.sources), offered)
        self.assertEqual(self.house.log.events["e"].head, 5)  # both offer the same items

    def test_everything_hangs_and_it_ends_within_5_s_all_the_same(self) -> None:
        for source in self.sources:
            source.ending = Deferred()
        self.house.log.append = lambda *args, **kwargs: Deferred()  # type: ignore[method-assign]
        self.house.log.lease.release = lambda token: Deferred()  # type: ignore[method-assign]
        self.strainer.drained = Deferred()
        self.house.log.stop = Deferred  # type: ignore[method-assign]
        self.house.archive.stop = Deferred  # type: ignore[method-assign]
        self.stop(5)
        self.assertIn("front_stop", self.recorder.calls)

    def test_sources_that_hang_do_so_at_the_same_time(self) -> None:
        for source in self.sources:
            source.ending = Deferred()
        self.stop(1.6)

    def test_an_archive_that_hangs_still_lets_the_log_close(self) -> None:
        self.strainer.drained = Deferred()
        self.stop(3)
        self.assertIn("log_stop", self.recorder.calls)

    def test_what_breaks_on_the_way_does_not_keep_it_from_the_end(self) -> None:
        self.house.log.append = lambda *args, **kwargs: fail(LogUnavailable("away"))  # type: ignore[method-assign]
        self.strainer.drained = fail(ZeroDivisionError())
        self.house.log.stop = lambda: fail(ZeroDivisionError())  # type: ignore[method-assign]
        self.stop(0)
        self.assertEqual(self.recorder.calls[-2:], ["archive_stop", "release"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertEqual(len(self.flushLoggedErrors(LogUnavailable)), 1)

    def test_a_viewer_that_breaks_the_goodbye_does_not_keep_the_log_from_closing(self) -> None:
        def broken(retry_ms: int) -> None:
            raise ZeroDivisionError

        self.house.hub.stop = broken  # type: ignore[method-assign,assignment]
        self.stop(0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.recorder.calls[-3:], ["log_stop", "archive_stop", "release"])


class SeveralNodesTests(NodeCase):
    """Another node shares the log, and leads at first."""

    def setUp(self) -> None:
        super().setUp()
        self.lease = self.house.log.lease
        self.successResultOf(self.lease.take("other 1", 6, None, False))
        self.start()

    def check(self, name: str) -> Check:
        return next(check for check in self.node.checks() if check.name == name)

    def take_over(self) -> None:
        self.lease.release("other 1")
        self.clock.advance(EVERY_S)

    def test_a_follower_serves_and_runs_neither_sources_nor_strainer(self) -> None:
        self.clock.pump([1.0] * 5)
        self.assertTrue(self.node.ready())
        self.assertNotIn("source_start", self.recorder.calls)
        self.assertEqual(self.strainer.copying, [False])
        self.assertEqual(self.check("leader").detail, "Another node runs the sources: other.")
        check = self.check("source 0")
        self.assertEqual((check.state, check.data), ("ok", {"state": "resting"}))
        self.assertIn("other runs it", check.detail)
        self.stop(0)

    def test_a_follower_that_stops_has_nothing_to_drain_and_takes_the_lease_from_nobody(self) -> None:
        self.stop(0)
        self.assertNotIn("strainer_drain", self.recorder.calls)
        self.assertEqual(self.lease.holder, "other 1")

    def test_whoever_takes_over_starts_them(self) -> None:
        self.take_over()
        self.assertIn("source_start", self.recorder.calls)
        self.assertEqual(self.strainer.copying, [False, True])
        self.assertEqual(self.check("leader").detail, "This node runs the sources.")
        self.stop(0)
        self.assertIsNone(self.lease.holder)

    def test_whoever_learns_that_another_leads_stops_them_and_may_lead_again(self) -> None:
        self.take_over()
        self.lease.holder = "other 2"
        self.clock.advance(EVERY_S)
        offered = [source.offered for source in self.sources]
        self.clock.pump([1.0] * 5)
        self.assertEqual([source.offered for source in self.sources], offered)
        self.assertEqual(self.strainer.copying, [False, True, False])
        self.assertEqual(self.check("source 1").data, {"state": "resting"})
        self.lease.release("other 2")
        self.clock.pump([1.0] * 4)
        self.assertGreater(self.sources[0].offered, offered[0])
        self.stop(0)

    def test_a_source_that_does_not_stop_is_named(self) -> None:
        self.take_over()
        self.sources[1].ending = Deferred()
        self.lease.holder = "other 2"
        self.clock.pump([0.5] * int((EVERY_S + STUCK_S + 1) * 2))
        check = self.check("leader")
        self.assertEqual(check.state, "failed")
        self.assertIn("source 1 has not ended", check.detail)
        self.sources[1].ending.callback(None)
        self.assertEqual(self.check("leader").state, "ok")
        self.stop(0)

    def test_a_stop_waits_for_sources_that_are_still_being_stopped(self) -> None:
        self.take_over()
        self.sources[0].ending = Deferred()
        self.lease.holder = "other 2"
        self.clock.advance(EVERY_S)
        stopped = self.node.stopService()
        self.assertNotIn("log_append", self.recorder.since("push_close"))
        self.sources[0].ending.callback(None)
        self.successResultOf(stopped)


class StopDuringStartTests(NodeCase):
    def test_a_start_that_is_not_over_is_given_up(self) -> None:
        cancelled: list[Any] = []
        started: Deferred[None] = Deferred()
        started.addErrback(lambda failure: cancelled.append(failure.type) or failure)
        self.house.log.start = lambda *args: started  # type: ignore[method-assign]
        self.start()
        self.stop(5)
        self.assertEqual(cancelled, [CancelledError])
        self.assertEqual(self.states, ["STOPPING=1"])
        self.assertEqual(self.clock.getDelayedCalls(), [])
