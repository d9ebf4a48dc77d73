"""Every viewer gets every change once and in order, whatever happens at the same time."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.cursor import Cursor
from afeed.core.draft import Removed
from afeed.core.errors import ArchiveUnavailable
from afeed.hub import Hub
from afeed.transports.audience import LOST_AT, PING_S, PROBED_AT, STALL_S, Audience, Viewer
from afeed.transports.outlet import DirectOutlet
from tests.fakes import MemoryArchive, MemoryLog, a_post, strain
from tests.properties import settings
from tests.transports.test_outlet import FakeTransport
from tests.transports.viewing import Pipe, line

WINDOW = 6


class Hall:
    """One event with an audience, a log that is trimmed to a small window, and an archive that may be late."""

    def __init__(self, window: int = WINDOW) -> None:
        self.clock = Clock()
        self.log = MemoryLog(["e"], window=window)
        self.archive = MemoryArchive()
        self.hub = Hub({"e": lambda item: item.text}, self.log, self.archive, self.clock, window)
        self.hub.start()
        self.channel = self.hub.channels["e"]
        self.delivered: list[tuple[int, int]] = []
        self.audience = Audience(
            self.channel, line, False, self.clock, lambda most: most, lambda *told: self.delivered.append(told)
        )
        self.posted = 0

    def post(self, count: int) -> None:
        self.log.append("e", None, [a_post(self.posted + n + 1) for n in range(count)])
        self.posted += count

    def strain(self) -> None:
        """Let the archive have everything, and the log no more than its window."""
        strain(self.log, self.archive, "e")

    def watch(self, cursor: Cursor | None = None, room: int = 1_000_000) -> Pipe:
        pipe = Pipe(room)
        viewer = Viewer(self.audience, pipe, pipe.loseConnection)
        pipe.viewer = viewer  # type: ignore[attr-defined]
        viewer.start(cursor)
        return pipe


class AudienceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.hall = Hall()
        self.addCleanup(self.hall.hub.stop)

    def test_without_a_cursor_the_stream_begins_at_the_head(self) -> None:
        self.hall.post(3)
        pipe = self.hall.watch()
        self.assertEqual(pipe.messages(), [{"type": "hello", "epoch": "e1", "cursor": "e1:3"}])
        self.hall.post(1)
        self.assertEqual(pipe.messages()[-1]["cursor"], "e1:4")
        self.assertEqual(pipe.seqs(), [4])

    def test_with_a_cursor_it_begins_behind_that(self) -> None:
        self.hall.post(5)
        pipe = self.hall.watch(Cursor("e1", 2))
        self.assertEqual(pipe.types(), ["hello", "changes"])
        self.assertEqual(pipe.messages()[0]["cursor"], "e1:2")
        self.assertEqual(pipe.seqs(), [3, 4, 5])

    def test_a_gap_is_told_between_hello_and_the_first_change(self) -> None:
        self.hall.post(5)
        pipe = self.hall.watch(Cursor("zz", 4))
        self.assertEqual(pipe.types(), ["hello", "gap", "changes"])
        self.assertEqual(pipe.messages()[1]["cursor"], pipe.messages()[0]["cursor"])
        self.assertEqual(pipe.seqs(), [1, 2, 3, 4, 5])

    def test_what_is_older_than_the_window_comes_from_the_archive(self) -> None:
        self.hall.post(40)
        self.hall.strain()
        pipe = self.hall.watch(Cursor("e1", 0))
        self.assertEqual(pipe.seqs(), list(range(1, 41)))

    def test_everything_of_one_turn_is_one_write(self) -> None:
        pipe = self.hall.watch()
        writes: list[bytes] = []
        write = pipe.write
        pipe.write = lambda data: (writes.append(data), write(data))[1]  # type: ignore[method-assign]
        self.hall.post(5)
        self.assertEqual(len(writes), 1)
        self.assertEqual(self.hall.delivered, [(5, 1)])

    def test_a_message_holds_at_most_200_changes(self) -> None:
        hall = Hall()
        hall.hub.channels["e"]._size = 1000
        pipe = hall.watch()
        hall.post(450)
        sizes = [len(m["changes"]) for m in pipe.messages() if m["type"] == "changes"]
        self.assertEqual(sum(sizes), 450)
        self.assertLessEqual(max(sizes), 200)

    def test_a_reader_that_stops_holds_up_nobody_and_goes_on_where_it_was(self) -> None:
        slow, quick = self.hall.watch(room=300), self.hall.watch()
        for _ in range(50):
            self.hall.post(1)
        self.assertEqual(quick.seqs(), list(range(1, 51)))
        self.assertLess(len(slow.held), 1500, "nothing may be queued for a reader that has stopped")
        self.hall.strain()
        while slow.held:
            slow.drain()
        self.assertEqual(slow.seqs(), list(range(1, 51)))

    def test_for_a_reader_that_stops_one_message_is_held_and_not_what_came_with_it(self) -> None:
        hall = Hall(window=1000)
        transport = FakeTransport(10_000, 30, 10_000_000, 10_000_000)
        viewer = Viewer(hall.audience, Pipe(), transport.unregisterProducer)
        viewer.outlet = DirectOutlet(transport, viewer._drained)
        viewer.start(None)
        hall.post(450)
        held = len(b"".join(transport._tempDataBuffer))
        page = hall.channel.page(0, line, False)
        assert page is not None
        self.assertEqual((held, viewer.position), (len(page.data) - 30, 200))
        transport.empty()
        messages = [json.loads(text) for text in transport.socket.sent.splitlines()]
        seqs = [change["seq"] for message in messages for change in message.get("changes", ())]
        self.assertEqual(seqs, list(range(1, 451)))

    def test_nor_is_it_where_the_transport_takes_everything(self) -> None:
        hall = Hall(window=1000)
        pipe = hall.watch(room=30)
        pipe.drain()
        hall.post(450)
        self.assertEqual(pipe.seqs(), list(range(1, 201)))
        while pipe.held:
            pipe.drain()
        self.assertEqual(pipe.seqs(), list(range(1, 451)))

    def test_a_reader_that_does_not_come_back_is_cut_off_and_forgotten(self) -> None:
        slow, quick = self.hall.watch(room=10), self.hall.watch()
        self.hall.post(1)
        for _ in range(STALL_S + 2 * PING_S):
            self.hall.clock.advance(1)
            self.hall.audience.tick()
        self.assertFalse(slow.open)
        self.assertTrue(quick.open)
        self.assertEqual(len(self.hall.audience), 1)

    def test_every_viewer_is_pinged_once_in_fifteen_seconds(self) -> None:
        pipes = [self.hall.watch() for _ in range(40)]
        self.hall.post(1)
        for _ in range(PING_S):
            self.hall.clock.advance(1)
            self.hall.audience.tick()
        for pipe in pipes:
            self.assertEqual(pipe.types(), ["hello", "changes", "ping"])
            self.assertEqual(pipe.messages()[-1]["cursor"], "e1:1")

    def probed(self, answers: bool) -> Pipe:
        """A viewer of an audience whose clients can be asked for an answer, after some minutes."""
        hall = self.hall
        audience = Audience(
            hall.channel, line, False, hall.clock, lambda most: most, lambda *_: None, b'{"type":"probe"}\n'
        )
        pipe = Pipe()
        viewer = Viewer(audience, pipe, pipe.loseConnection)
        viewer.start(None)
        heard = 0
        for _ in range(20 * PING_S):
            hall.clock.advance(1)
            audience.tick()
            pipe.drain()
            if answers and pipe.types().count("probe") > heard:
                heard += 1
                viewer.silent = 0  # as its transport does when anything comes
        return pipe

    def test_a_quiet_viewer_is_asked_now_and_then_and_stays_when_it_answers(self) -> None:
        pipe = self.probed(answers=True)
        self.assertTrue(pipe.open)
        self.assertEqual(pipe.types().count("probe"), 20 // PROBED_AT)
        self.assertEqual(pipe.types().count("ping"), 20)

    def test_a_viewer_that_does_not_answer_is_cut_off(self) -> None:
        pipe = self.probed(answers=False)
        self.assertFalse(pipe.open)
        self.assertEqual(pipe.types().count("probe"), 1)
        self.assertEqual(pipe.types().count("ping"), LOST_AT - 1)

    def test_who_cannot_answer_is_never_asked(self) -> None:
        pipe = self.hall.watch()
        for _ in range(20 * PING_S):
            self.hall.clock.advance(1)
            self.hall.audience.tick()
        self.assertTrue(pipe.open)
        self.assertEqual(pipe.types().count("ping"), 20)

    def test_a_viewer_that_left_is_written_to_no_more(self) -> None:
        pipe = self.hall.watch()
        pipe.viewer.leave()  # type: ignore[attr-defined]
        pipe.open = False
        self.hall.post(3)
        self.assertEqual(len(self.hall.audience), 0)

    def test_a_new_epoch_says_goodbye(self) -> None:
        pipe = self.hall.watch()
        self.hall.post(2)
        self.hall.log.renew("e", "e2", 1)
        self.assertEqual(pipe.types(), ["hello", "changes", "bye"])
        self.assertFalse(pipe.open)

    def test_an_archive_that_is_away_is_a_goodbye_and_never_a_gap(self) -> None:
        self.hall.post(40)
        self.hall.strain()
        self.hall.archive.fault = ArchiveUnavailable("down")
        pipe = self.hall.watch(Cursor("e1", 3))
        self.assertEqual(pipe.types(), ["hello", "bye"])
        self.assertFalse(pipe.open)
        self.assertEqual(len(self.hall.audience), 0)

    def test_fragments_are_rendered_once_for_all(self) -> None:
        rendered: list[str] = []
        hub = Hub(
            {"e": lambda item: rendered.append(item.id) or "<b>"},  # type: ignore[func-returns-value]
            self.hall.log,
            self.hall.archive,
            self.hall.clock,
            WINDOW,
        )
        hub.start()
        self.addCleanup(hub.stop)
        rich = Audience(hub.channels["e"], line, True, self.hall.clock, lambda m: m, lambda *_: None)
        pipes = [Pipe() for _ in range(5)]
        for pipe in pipes:
            Viewer(rich, pipe, pipe.loseConnection).start(None)
        self.hall.post(2)
        for pipe in pipes:
            self.assertEqual([change["fragment"] for change in pipe.changes()], ["<b>", "<b>"])
        self.assertEqual(rendered, ["push:1", "push:2"])


class Crowd(RuleBasedStateMachine):
    """Viewers come, stall, read and leave while changes are appended, removed, archived and trimmed, in any
    order: every viewer has, of everything since its position, each change exactly once and in order."""

    def __init__(self) -> None:
        super().__init__()
        self.hall = Hall()
        self.pipes: list[tuple[Pipe, int]] = []

    @initialize(count=st.integers(0, 15))
    def begin(self, count: int) -> None:
        if count:
            self.hall.post(count)

    @rule(count=st.integers(1, 12))
    def post(self, count: int) -> None:
        self.hall.post(count)

    @rule(which=st.integers(1, 40))
    def remove(self, which: int) -> None:
        self.hall.log.append("e", None, [Removed(f"push:{which}")])

    @rule()
    def strain(self) -> None:
        self.hall.strain()

    @rule(back=st.integers(0, 30), room=st.sampled_from([0, 400, 3000, 1_000_000]))
    def come(self, back: int, room: int) -> None:
        since = max(0, self.hall.channel.head - back)
        self.pipes.append((self.hall.watch(Cursor("e1", since), room), since))

    @rule(data=st.data())
    def read(self, data: Any) -> None:
        if self.pipes:
            data.draw(st.sampled_from(self.pipes))[0].drain()

    @rule(data=st.data())
    def leave(self, data: Any) -> None:
        if self.pipes:
            index = data.draw(st.integers(0, len(self.pipes) - 1))
            pipe, _ = self.pipes.pop(index)
            pipe.viewer.leave()  # type: ignore[attr-defined]
            pipe.open = False

    @rule()
    def tick(self) -> None:
        self.hall.audience.tick()

    @invariant()
    def nothing_missing_nothing_twice_nothing_reordered(self) -> None:
        for pipe, since in self.pipes:
            seqs = pipe.seqs()
            assert seqs == list(range(since + 1, since + 1 + len(seqs))), (since, seqs)
            cursors = [message["cursor"] for message in pipe.messages()]
            assert cursors[-1] == f"e1:{since + len(seqs)}", (cursors, seqs)

    def teardown(self) -> None:
        for pipe, since in self.pipes:
            for _ in range(1000):
                if not pipe.held:
                    break
                pipe.drain()
            assert pipe.seqs() == list(range(since + 1, self.hall.channel.head + 1))
        self.hall.hub.stop()


class CrowdTests(SynchronousTestCase):
    def test_every_interleaving_keeps_the_promise(self) -> None:
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            Crowd, settings=settings(max_examples=150, stateful_step_count=40)
        )
