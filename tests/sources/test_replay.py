"""Playing recordings into a live log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, fail, maybeDeferred, succeed
from twisted.internet.task import Clock, deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.python.threadable import isInIOThread
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

import afeed.sources.replay
from afeed.core.change import EDITED, POSTED, REMOVED, compose, timestamp
from afeed.core.draft import Draft, Removed, prepare
from afeed.core.errors import LogUnavailable
from afeed.core.normalise.replay import Recording, read_recording
from afeed.interfaces import ISink, ISource, Position, Recorded
from afeed.settings import ReplaySource
from afeed.sources.replay import RETRY_S, Replay, read_file, read_in_thread
from tests.fakes import MemoryLog, a_post

NOW = 1_772_355_600
RECORDED = 1_600_000_000


@implementer(ISink)
class Sink:
    """Puts everything into a :class:`MemoryLog`; with ``held`` only once that fires."""

    def __init__(self, log: MemoryLog) -> None:
        self.log = log
        self.sizes: list[int] = []
        self.drops: list[tuple[str, int]] = []
        self.held: Deferred[None] | None = None

    def offer(
        self, event: str, drafts: Sequence[Draft], position: Position | None = None
    ) -> Deferred[list[Recorded]]:
        self.sizes.append(len(drafts))
        if self.held is not None:
            return self.held.addCallback(lambda _: self.log.append(event, None, drafts, position=position))
        return self.log.append(event, None, drafts, position=position)

    def dropped(self, event: str, source: str, reason: str, count: int = 1) -> None:
        self.drops.append((reason, count))


def line(kind: str, draft: Draft, seconds: float) -> bytes:
    """A change ``seconds`` after the recording's first moment."""
    return compose(prepare(draft), kind, timestamp(RECORDED + seconds)) + b"\n"


def posts(*times: float) -> list[bytes]:
    return [line(POSTED, a_post(number), seconds) for number, seconds in enumerate(times)]


class ReplayTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.log = MemoryLog(["conf"])
        self.sink = Sink(self.log)
        self.file = Path(self.mktemp())
        self.running: Deferred[None] | None = None

    def start(
        self,
        *lines: bytes,
        speed: float = 1.0,
        loop: bool = False,
        rewind: bool = False,
        position: Callable[[], Deferred[str | None]] | None = None,
        **options: Any,
    ) -> Replay:
        """A replay of ``lines`` (those of the file as it is for none) at work."""
        if lines:
            self.file.write_bytes(b"".join(lines))
        replay = Replay(
            "conf",
            ReplaySource(file=self.file, speed=speed, loop=loop, rewind=rewind),
            self.clock,
            lambda: NOW + self.clock.seconds(),
            position=position or (lambda: self.log.position("conf", "replay:conf")),
            read=lambda path: maybeDeferred(read_file, path),
            **options,
        )
        self.running = Deferred.fromCoroutine(replay.run(self.sink))
        self.running.addErrback(lambda failure: failure.trap(CancelledError))
        self.addCleanup(self.running.cancel)
        return replay

    def stop(self) -> None:
        assert self.running is not None
        self.running.cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def pass_time(self, seconds: float) -> None:
        self.clock.pump([0.25] * int(seconds * 4))

    @property
    def changes(self) -> list[tuple[str, str | None]]:
        return [(change.type, change.id) for change in self.log.events["conf"].changes]

    @property
    def ids(self) -> list[str | None]:
        return [change_id for _, change_id in self.changes]

    def test_it_is_a_source_with_the_name_of_its_event_unless_it_is_given_another(self) -> None:
        replay = self.start(*posts(0))
        verifyObject(ISource, replay)
        self.assertEqual(replay.name, "replay:conf")
        self.assertEqual(self.start(*posts(0), name="replay:conf:2").name, "replay:conf:2")

    def test_it_keeps_the_recorded_pauses(self) -> None:
        self.start(*posts(0, 10, 12))
        self.assertEqual(self.ids, ["push:0"])
        self.pass_time(9.75)
        self.assertEqual(self.ids, ["push:0"])
        self.pass_time(0.5)
        self.assertEqual(self.ids, ["push:0", "push:1"])
        self.pass_time(2)
        self.assertEqual(self.ids, ["push:0", "push:1", "push:2"])

    def test_speed_shortens_them(self) -> None:
        self.start(*posts(0, 100, 200), speed=50.0)
        self.pass_time(4.25)
        self.assertEqual(len(self.ids), 3)

    def test_edits_and_removals_are_played_too(self) -> None:
        self.start(
            line(POSTED, a_post(1), 0),
            line(EDITED, a_post(1, "better", version="2"), 1),
            line(REMOVED, Removed("push:1"), 2),
        )
        self.pass_time(1)
        self.assertEqual(self.changes, [(POSTED, "push:1"), (EDITED, "push:1")])
        self.pass_time(2)
        self.assertEqual(self.changes[-1], (REMOVED, "push:1"))

    def test_at_the_end_of_a_recording_that_does_not_loop_it_is_silent_and_well(self) -> None:
        replay = self.start(*posts(0, 1))
        self.pass_time(60)
        self.assertEqual(self.ids, ["push:0", "push:1"])
        assert self.running is not None
        self.assertNoResult(self.running)
        self.assertEqual(replay.check().state, "ok")
        self.assertIn("loop = true", replay.check().detail)

    def test_each_round_of_a_loop_has_new_items(self) -> None:
        self.start(*posts(0, 1), loop=True)
        self.pass_time(9)
        self.assertEqual(self.ids, ["push:0", "push:1", "push:0~1", "push:1~1"])

    def test_after_a_restart_it_goes_on_instead_of_beginning_again(self) -> None:
        self.start(*posts(0, 1, 2, 3), loop=True)
        self.pass_time(9.25)  # into the second round
        before = list(self.ids)
        self.assertEqual(before[-2:], ["push:0~1", "push:1~1"])
        self.stop()
        self.pass_time(1000)
        self.start(loop=True)
        self.assertEqual(self.ids, [*before, "push:2~1"])

    def test_a_restart_between_offer_and_answer_repeats_nothing(self) -> None:
        self.sink.held = Deferred()
        self.start(*posts(0, 0, 5))
        self.stop()
        self.sink.held.callback(None)  # the log recorded it although nobody waited any more
        self.sink.held = None
        self.start()
        self.pass_time(6)
        self.assertEqual(self.ids, ["push:0", "push:1", "push:2"])

    def test_while_the_log_is_away_it_waits_and_then_goes_on_in_its_own_pace(self) -> None:
        self.start(*posts(*range(100)))
        self.sink.held = Deferred()
        self.pass_time(60)
        held, self.sink.held = self.sink.held, None
        assert held is not None
        held.callback(None)
        self.assertLessEqual(len(self.ids), 3)
        self.pass_time(10)
        self.assertLessEqual(len(self.ids), 13)
        self.assertGreaterEqual(len(self.ids), 11)

    def test_a_jump_of_the_clock_is_not_made_up_for(self) -> None:
        self.start(*posts(*range(1000)))
        self.clock.advance(500)
        self.assertLessEqual(len(self.ids), 3)
        self.assertLessEqual(max(self.sink.sizes), 2)

    def test_posts_are_dated_by_the_present(self) -> None:
        self.start(*posts(0, 10))
        self.pass_time(10.25)
        items = [change.item() for change in self.log.events["conf"].changes]
        self.assertEqual(
            [item.created_at for item in items if item is not None],
            ["2026-03-01T09:00:00Z", "2026-03-01T09:00:10Z"],
        )

    def test_lines_that_cannot_be_used_are_counted_and_named(self) -> None:
        with capturedLogs() as logged:
            replay = self.start(
                *posts(0), b"{not json\n", *posts(1), b'{"type":"redacted","at":"x"}\n', b"[]\n"
            )
        self.assertEqual(sorted(self.sink.drops), [("duplicate", 1), ("malformed", 2), ("redacted", 1)])
        texts = [formatEvent(event) or "" for event in logged]
        self.assertTrue(any("line 2 " in text and "malformed" in text for text in texts), texts)
        self.assertTrue(any("line 4 " in text and "redacted" in text for text in texts), texts)
        self.assertTrue(any("line 3 " in text and "duplicate" in text for text in texts), texts)
        self.assertEqual(replay.check().data["dropped"], 4)

    def test_a_file_that_is_missing_is_reported_and_looked_for_again(self) -> None:
        replay = self.start()
        self.assertEqual(replay.check().state, "failed")
        self.assertIn("No such file", replay.check().detail)
        self.file.write_bytes(b"".join(posts(0)))
        self.pass_time(RETRY_S)
        self.assertEqual(self.ids, ["push:0"])
        self.assertEqual(replay.check().state, "ok")

    def test_a_file_without_a_usable_line_is_reported(self) -> None:
        for content in (b"", b"\n\n", b"hello\n"):
            replay = self.start(content or b"\n")
            self.assertEqual(replay.check().state, "failed")
            self.assertIn("no usable line", replay.check().detail)
            self.stop()

    def test_a_file_that_is_too_large_is_reported(self) -> None:
        with self.file.open("wb") as file:
            file.truncate(65 * 1024 * 1024)
        replay = self.start()
        self.assertEqual(replay.check().state, "failed")
        self.assertIn("larger than 64 MB", replay.check().detail)

    def test_a_position_that_cannot_be_read_yet_is_waited_for(self) -> None:
        answers = [fail(LogUnavailable("the disk is busy")), succeed("0:1")]
        replay = self.start(*posts(0, 1), position=lambda: answers.pop(0))
        self.assertEqual(replay.check().state, "degraded")
        self.pass_time(5.25)
        self.assertEqual(self.ids, ["push:1"])
        self.assertEqual(replay.check().state, "ok")

    def test_one_that_rewinds_begins_a_new_round_after_a_restart(self) -> None:
        self.start(*posts(0, 1, 60), rewind=True)
        self.pass_time(2)
        self.stop()
        self.start(rewind=True)
        self.pass_time(2)
        self.assertEqual(self.ids, ["push:0", "push:1", "push:0~1", "push:1~1"])

    def test_the_check_says_how_far_it_is(self) -> None:
        replay = self.start(*posts(0, 60))
        data = replay.check().data
        self.assertEqual((data["lap"], data["played"], data["entries"]), (0, 1, 2))
        self.assertEqual(data["last_item_at"], timestamp(NOW))
        self.assertEqual(data["next_item_at"], timestamp(NOW + 60))

    def test_cancelling_ends_it(self) -> None:
        self.start(*posts(0, 60))
        self.stop()
        self.pass_time(120)
        self.assertEqual(self.ids, ["push:0"])


class ThreadTests(TestCase):
    """With the real reactor."""

    async def test_the_file_is_read_in_another_thread(self) -> None:
        file = Path(self.mktemp())
        file.write_bytes(b"".join(posts(0, 1)))
        log = MemoryLog(["conf"])
        offered: Deferred[None] = Deferred()
        log.watch(lambda event: offered.called or offered.callback(None))
        readers: list[bool] = []

        def read(lines: Any) -> Recording:
            readers.append(isInIOThread())
            return read_recording(lines)

        self.patch(afeed.sources.replay, "read_recording", read)
        settings = ReplaySource(file=file, speed=1000.0)
        replay = Replay(
            "conf",
            settings,
            reactor,
            lambda: NOW,
            position=lambda: log.position("conf", "replay:conf"),
            read=partial(read_in_thread, reactor),
        )
        running = Deferred.fromCoroutine(replay.run(Sink(log)))
        running.addErrback(lambda failure: failure.trap(CancelledError))
        self.addCleanup(running.cancel)
        await offered.addTimeout(60, reactor)
        await deferLater(reactor, 0)  # the offer itself is still under way when the log tells of it
        self.assertEqual(readers, [False])
