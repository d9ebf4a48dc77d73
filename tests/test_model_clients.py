"""Every viewer gets every change once, in order, whatever happens to its connections; and the model that says
so finds every fault that is made on purpose.

``AFEED_SEED`` repeats a schedule.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from random import SystemRandom
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase, TestCase

from afeed.core import framing
from afeed.core.cursor import Gap
from afeed.core.normalise.replay import read_recording
from tests.chaos import clients
from tests.chaos.crowd import Crowd, Habits
from tests.chaos.load import Load, write_recording
from tests.chaos.model import Library, Node, Reader, Statement, Tally
from tests.chaos.table import Row
from tests.chaos.wire import LONG_POLL, PARSERS, POLL, SSE, TRANSPORTS, WEBSOCKET, Refused, request
from tests.servers.afeed import AfeedServer
from tests.servers.process import wait_until

#: What a machine does at the same time has nothing to do with what is shown here.
PROPERTY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
AT = "2026-11-21T17:00:06.120Z"
EPOCH = "k3f9"


def posted(seq: int, item_id: str, text: str = "text", kind: str = "item.posted") -> bytes:
    item = {"id": item_id, "source": "push", "text": text}
    return json.dumps(
        {"seq": seq, "at": AT, "type": kind, "version": "1", "item": item}, separators=(",", ":")
    ).encode()


def removed(seq: int, item_id: str) -> bytes:
    return b'{"seq":%d,"at":"%s","type":"item.removed","id":"%s"}' % (seq, AT.encode(), item_id.encode())


def redacted(seq: int) -> bytes:
    return b'{"seq":%d,"at":"%s","type":"redacted"}' % (seq, AT.encode())


class World:
    """A log, one node, and what a viewer is told of it; every method returns the JSON of a message."""

    def __init__(self) -> None:
        self.log: list[bytes] = []
        self.ids: list[str] = []
        self.tally = Tally()
        self.library = Library(self.tally)
        self.node = Node(0)

    def post(self) -> None:
        self.ids.append(f"push:{len(self.log) + 1}")
        self.log.append(posted(len(self.log) + 1, self.ids[-1]))

    def edit(self, which: int) -> None:
        self.log.append(posted(len(self.log) + 1, self.ids[which % len(self.ids)], "edited", "item.edited"))

    def remove(self, which: int) -> None:
        item_id = self.ids.pop(which % len(self.ids))
        for index, change in enumerate(self.log):
            if b'"id":"%s",' % item_id.encode() in change:
                self.log[index] = redacted(index + 1)
        self.log.append(removed(len(self.log) + 1, item_id))

    def reader(self, name: str = "viewer", seq: int | None = 0) -> Reader:
        return Reader(name, self.tally, seq)

    def show(self, reader: Reader, *bodies: bytes, since: int | None = 0) -> None:
        """A connection from ``since`` that brings these messages."""
        asked = self.tally.asked(self.node, since)
        for body in bodies:
            reader.take(self.library.message(body), asked)

    def told(self, after: int, count: int) -> bytes:
        bodies = self.log[after : after + count]
        return framing.changes(f"{EPOCH}:{after + len(bodies)}", bodies).body

    def hello(self, seq: int) -> bytes:
        return framing.hello(EPOCH, seq).body

    def updates(self, after: int, count: int, gap: Gap | None = None) -> bytes:
        bodies = self.log[after : after + count]
        return framing.updates(
            f"{EPOCH}:{after + len(bodies)}", bodies, gap, after + len(bodies) < len(self.log)
        )

    def truth(self) -> list[Statement]:
        return [Statement.read(change) for change in self.log]


#: What happens next: something enters the log, or a viewer (by number) reads some of it over a transport.
EVENTS = st.one_of(
    st.tuples(st.just("post"), st.integers(1, 30), st.just(0), st.just(POLL)),
    st.tuples(st.sampled_from(["edit", "remove"]), st.integers(0, 99), st.just(0), st.just(POLL)),
    st.tuples(st.just("read"), st.integers(0, 2), st.integers(0, 25), st.sampled_from([SSE, POLL])),
)


class Lives:
    """Three viewers who live through a legal history."""

    def __init__(self) -> None:
        self.world = World()
        self.readers = [self.world.reader(f"viewer {number}") for number in range(3)]

    def live(self, events: Sequence[tuple[str, int, int, str]]) -> None:
        for what, number, count, transport in events:
            if what == "post":
                for _ in range(number):
                    self.world.post()
            elif what == "read":
                self.read(self.readers[number], count, transport)
            elif self.world.ids:
                getattr(self.world, what)(number)

    def read(self, reader: Reader, count: int, transport: str) -> None:
        world, seq = self.world, reader.seq or 0
        if transport == POLL:
            if count:
                world.show(reader, world.updates(seq, count), since=seq)
            return
        last = min(seq + count, len(world.log))
        messages = [world.hello(seq)]
        if last > seq:
            messages += [world.told(seq, (last - seq + 1) // 2)]
            half = seq + (last - seq + 1) // 2
            messages += [world.told(half, last - half)] if last > half else []
        messages += [framing.ping(f"{EPOCH}:{last}").body]
        world.show(reader, *messages, since=seq)

    def end(self) -> None:
        for reader in self.readers:
            while (reader.seq or 0) < len(self.world.log):
                self.read(reader, 20, POLL)
        self.world.tally.compare(self.world.truth())


class LegalTests(SynchronousTestCase):
    """What may happen is no fault."""

    @settings(PROPERTY, max_examples=200)
    @given(st.lists(EVENTS, max_size=30))
    def test_no_legal_history_is_found_fault_with(self, events: list[tuple[str, int, int, str]]) -> None:
        lives = Lives()
        lives.live(events)
        lives.end()
        tally = lives.world.tally
        self.assertEqual((dict(tally.faults), tally.details), ({}, []))
        self.assertEqual(tally.deliveries, 3 * len(lives.world.log))

    def test_a_viewer_may_come_back_to_an_earlier_position(self) -> None:
        world = World()
        for _ in range(10):
            world.post()
        world.show(world.reader(), world.hello(0), world.told(0, 10))
        world.show(world.reader(seq=4), world.hello(4), world.told(4, 6), since=4)
        self.assertFalse(world.tally.faults)
        self.assertEqual(world.tally.deliveries, 16)

    def test_who_has_no_position_begins_at_the_head(self) -> None:
        world = World()
        for _ in range(10):
            world.post()
        world.show(world.reader(seq=None), world.hello(8), world.told(8, 2), since=None)
        world.show(world.reader(seq=None), world.updates(7, 3), since=None)
        self.assertFalse(world.tally.faults)

    def test_what_is_removed_while_it_is_on_its_way_was_told_in_time(self) -> None:
        world = World()
        for _ in range(3):
            world.post()
        early = world.told(0, 3)
        asked = world.tally.asked(world.node, 0)
        world.remove(1)
        world.show(world.reader("another", 3), world.hello(3), world.told(3, 1), since=3)
        reader = world.reader()
        for body in (world.hello(0), early, world.told(3, 1)):
            reader.take(world.library.message(body), asked)
        world.tally.compare(world.truth())
        self.assertFalse(world.tally.faults)

    def test_fragments_are_no_difference(self) -> None:
        world = World()
        world.post()
        rich = framing.changes(f"{EPOCH}:1", [framing.with_fragment(world.log[0], '<p>,"fragment":</p>')]).body
        world.show(world.reader(), world.hello(0), rich)
        world.tally.compare(world.truth())
        self.assertFalse(world.tally.faults)


def changed(message: bytes, change: Callable[[list[Any]], list[Any]]) -> bytes:
    """A message with other changes, the cursor as it was."""
    found = json.loads(message)
    found["changes"] = change(found["changes"])
    return json.dumps(found, separators=(",", ":")).encode()


#: Each fault, what is done to a list of changes, and what has to be counted.
SEEDED: dict[str, tuple[Callable[[list[Any], int], list[Any]], dict[str, int]]] = {
    "one is missing": (lambda given, at: [*given[:at], *given[at + 1 :]], {"lost": 1}),
    "one comes twice": (lambda given, at: [*given[: at + 1], *given[at:]], {"repeated": 1}),
    "two change places": (
        lambda given, at: [*given[:at], given[at + 1], given[at], *given[at + 2 :]],
        {"reordered": 1},
    ),
    "one says something else": (
        lambda given, at: [*given[:at], {**given[at], "version": "9"}, *given[at + 1 :]],
        {"altered": 1},
    ),
    "one is redacted without a removal": (
        lambda given, at: [
            *given[:at],
            {"seq": given[at]["seq"], "at": AT, "type": "redacted"},
            *given[at + 1 :],
        ],
        {"hidden": 1},
    ),
}


class SeededFaultTests(SynchronousTestCase):
    """What may not happen is found, wherever it is."""

    @settings(PROPERTY, max_examples=200)
    @given(st.sampled_from(sorted(SEEDED)), st.integers(3, 40), st.data())
    def test_a_fault_among_the_changes_of_a_message(self, name: str, count: int, data: st.DataObject) -> None:
        change, expected = SEEDED[name]
        at = data.draw(st.integers(0, count - 3))
        poll = data.draw(st.booleans())
        world = World()
        for _ in range(count + 5):
            world.post()
        spoilt = (world.updates if poll else world.told)(0, count)
        spoilt = changed(spoilt, lambda given: change(given, at))
        reader = world.reader()
        world.show(reader, *([] if poll else [world.hello(0)]), spoilt)
        world.show(reader, world.hello(count), world.told(count, 5), since=count)
        world.tally.compare(world.truth())
        self.assertEqual({kind: n for kind, n in world.tally.faults.items() if n}, expected)

    @settings(PROPERTY)
    @given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20))
    def test_a_whole_message_is_missing_or_comes_twice(self, one: int, two: int, three: int) -> None:
        for middle, expected in ((0, {"lost": two}), (2, {"repeated": two})):
            world = World()
            for _ in range(one + two + three):
                world.post()
            messages = [world.told(0, one), *[world.told(one, two)] * middle, world.told(one + two, three)]
            world.show(world.reader(), world.hello(0), *messages)
            self.assertEqual(world.tally.faults, expected)

    def faults_of(self, *messages: bytes, since: int | None = 0, posts: int = 10) -> dict[str, int]:
        world = World()
        for _ in range(posts):
            world.post()
        world.show(world.reader(seq=since), *messages, since=since)
        return dict(world.tally.faults)

    def test_a_position_that_moves_silently(self) -> None:
        world = World()
        for _ in range(10):
            world.post()
        self.assertEqual(self.faults_of(world.hello(5), world.told(5, 5)), {"silent": 1})
        self.assertEqual(
            self.faults_of(world.hello(0), world.told(0, 5), framing.ping("k3f9:6").body), {"silent": 1}
        )
        other = framing.changes("new1:5", world.log[:5]).body
        self.assertEqual(self.faults_of(world.hello(0), other), {"silent": 1})
        self.assertEqual(self.faults_of(framing.updates("k3f9:7", [], None, False)), {"silent": 1})
        beyond = world.told(0, 5).replace(b'"k3f9:5"', b'"k3f9:6"')
        self.assertEqual(self.faults_of(world.hello(0), beyond), {"silent": 1})

    def test_a_gap_is_told_but_is_none_that_anybody_expects(self) -> None:
        world = World()
        for _ in range(10):
            world.post()
        gap = Gap(1, 5, "expired")
        told = framing.gap(gap, "k3f9:5").body
        self.assertEqual(self.faults_of(world.hello(5), told, world.told(5, 5)), {"gaps": 1})
        self.assertEqual(self.faults_of(world.updates(5, 5, gap)), {"gaps": 1})

    def test_an_answer_that_claims_too_early_to_be_the_last(self) -> None:
        for since, body in (
            (4, framing.updates("k3f9:4", [], None, False)),
            (None, framing.hello(EPOCH, 4).body),
            (None, framing.updates("k3f9:4", [posted(4, "push:4")], None, True)),
        ):
            world = World()
            for _ in range(10):
                world.post()
            world.show(world.reader("the first"), world.hello(0), world.told(0, 10))
            world.show(world.reader(seq=since), body, since=since)
            self.assertEqual(world.tally.faults, {"untold": 1})

    def test_removed_content_that_is_served_again(self) -> None:
        world = World()
        for _ in range(5):
            world.post()
        stale = world.told(0, 5)
        world.show(world.reader("the first"), world.hello(0), stale)
        world.remove(2)
        world.show(world.reader("the second", 5), world.hello(5), world.told(5, 1), since=5)
        world.show(world.reader("too late"), world.hello(0), stale)
        self.assertEqual(world.tally.faults, {"leaked": 1})
        self.assertIn("push:3", world.tally.details[0])

    def test_removed_content_that_is_served_by_a_node_that_cannot_know_yet(self) -> None:
        world = World()
        for _ in range(5):
            world.post()
        stale = world.told(0, 5)
        world.remove(2)
        world.show(world.reader("the first", 5), world.hello(5), world.told(5, 1), since=5)
        elsewhere = world.tally.asked(Node(1), 0)
        reader = world.reader("elsewhere")
        for body in (world.hello(0), stale):
            reader.take(world.library.message(body), elsewhere)
        self.assertFalse(world.tally.faults)

    def test_a_redaction_that_no_removal_explains(self) -> None:
        world = World()
        world.post()
        world.show(world.reader(), world.hello(0), world.told(0, 1))
        world.log[0] = redacted(1)
        world.tally.compare(world.truth())
        self.assertEqual(world.tally.faults, {"altered": 1})


class WireTests(SynchronousTestCase):
    BODIES = tuple(
        b'{"type":"changes","cursor":"k3f9:1","changes":[],"x":"%s"}' % (b"x" * size)
        for size in (0, 60, 200, 70_000)
    )

    def encoded(self, transport: str) -> bytes:
        if transport in (POLL, LONG_POLL):
            head = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: %d\r\n\r\n"
            return b"".join(head % len(body) + body for body in self.BODIES)
        messages = [framing.Message("changes", "k3f9:1", body) for body in self.BODIES]
        if transport == SSE:
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
            return head + b"".join(map(framing.server_sent_event, messages))
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
        return head + b"".join(b"\x89\x01p" + framing.websocket_frame(message) for message in messages)

    def chunked(self, size: int) -> bytes:
        """An event stream as a proxy sends it, in chunks of so many bytes."""
        head, _, body = self.encoded(SSE).partition(b"\r\n\r\n")
        parts = [body[at : at + size] for at in range(0, len(body), size)]
        chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts]
        return head + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(chunks)

    @settings(PROPERTY)
    @given(
        st.sampled_from([*TRANSPORTS, "chunked"]),
        st.lists(st.integers(0, 75_000), max_size=12),
        st.integers(10, 80_000),
    )
    def test_messages_come_whole_however_they_are_cut(self, transport: str, cuts: list[int], size: int) -> None:
        data = self.chunked(size) if transport == "chunked" else self.encoded(transport)
        parser = PARSERS[SSE if transport == "chunked" else transport]()
        found: list[bytes] = []
        edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
        for start, stop in pairwise(edges):
            found += parser.feed(data[start:stop])
        self.assertEqual(tuple(found), self.BODIES)
        self.assertEqual(len(parser.to_send()), 7 * len(self.BODIES) * (transport == WEBSOCKET))
        self.assertFalse(parser.ended)

    def test_a_stream_in_chunks_ends_with_an_empty_one(self) -> None:
        parser = PARSERS[SSE]()
        found = parser.feed(self.chunked(1000))
        self.assertFalse(parser.ended)
        self.assertEqual((tuple(found), parser.feed(b"0\r\n\r\n")), (self.BODIES, []))
        self.assertTrue(parser.ended)

    def test_a_cut_message_is_no_message(self) -> None:
        for transport in TRANSPORTS:
            found = PARSERS[transport]().feed(self.encoded(transport)[:-1])
            self.assertEqual(tuple(found), self.BODIES[:-1], transport)

    def test_a_refusal_is_told_by_its_status(self) -> None:
        for transport in TRANSPORTS:
            answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}"
            with self.assertRaisesRegex(Refused, "503"):
                PARSERS[transport]().feed(answer)

    def test_a_close_frame_ends_a_websocket_after_what_came_before(self) -> None:
        parser = PARSERS[WEBSOCKET]()
        found = parser.feed(self.encoded(WEBSOCKET) + b"\x88\x02\x03\xe9" + b"\x81\x01x")
        self.assertEqual(len(found), len(self.BODIES))
        self.assertTrue(parser.ended)

    def test_requests_name_the_event_and_the_position(self) -> None:
        for transport, path in ((WEBSOCKET, "ws"), (SSE, "stream"), (POLL, "updates"), (LONG_POLL, "updates")):
            sent = request(transport, "127.0.0.1:1", "rehearsal", "since=k3f9:4").decode()
            self.assertTrue(sent.startswith(f"GET /rehearsal/{path}?since=k3f9:4 HTTP/1.1\r\n"), sent)
            self.assertTrue(sent.endswith("\r\n\r\n"))
            self.assertEqual("Sec-WebSocket-Key" in sent, transport == WEBSOCKET)


class RecordingTests(SynchronousTestCase):
    def test_the_recording_posts_edits_and_removes_and_all_of_it_can_be_played(self) -> None:
        path = Path(self.mktemp())
        write_recording(path, seconds=60, rate=10, seed=3)
        with path.open("rb") as file:
            recording = read_recording(file)
        self.assertEqual(recording.dropped, ())
        kinds = {type(entry.draft).__name__ for entry in recording.entries}
        self.assertEqual(kinds, {"Posted", "Removed"})
        removals = sum(type(entry.draft).__name__ == "Removed" for entry in recording.entries)
        self.assertGreater(removals, 100)
        self.assertGreater(len(recording.entries), 600 + removals)  # the rest are edits


class RowTests(SynchronousTestCase):
    """What a run counts."""

    def setUp(self) -> None:
        self.crowd = Crowd([1], "rehearsal", 0, 0, Habits())
        self.addCleanup(self.crowd.close)

    def test_only_what_went_wrong_is_a_fault(self) -> None:
        self.crowd.cuts, self.crowd.pauses, self.crowd.breaks = 3, 20, 100
        self.crowd.connections.update({POLL: 5000, SSE: 5000})
        row = clients.row("a run", 7, self.crowd, Load([], 1, 1, 0), 4000, [], [])
        self.assertEqual((row.faults, row.clean), (4123, True))

    def test_what_was_accepted_and_is_not_in_the_log_is_lost(self) -> None:
        load = Load([], 1, 1, 0)
        load.accepted.update({"push:1": 1, "push:2": 2, "push:3": 3})
        log = [Statement.read(posted(1, "push:1")), Statement.read(posted(2, "push:3"))]
        row = clients.row("a run", 7, self.crowd, load, 0, [], log)
        self.assertEqual(row.lost, 2)
        self.assertIn("2 accepted items are not in the log", row.remark)

    def test_a_run_that_checked_too_little_proves_nothing(self) -> None:
        self.crowd.tally.deliveries = 99
        self.assertEqual(clients.too_few(self.crowd, 99), [])
        self.assertEqual(clients.too_few(self.crowd, 1000), ["only 99 of 1,000 deliveries were checked"])


class CrowdTests(TestCase):
    """Real servers, a real crowd."""

    timeout = 240

    def live(self, run: Callable[[bool, int], Row]) -> None:
        seed = int(os.environ.get("AFEED_SEED", SystemRandom().randrange(10**6)))
        row = run(False, seed)
        print(row, file=sys.stderr)
        self.assertTrue(row.clean, f"seed {seed}: {row}")
        self.assertGreater(row.deliveries, 20_000)
        self.assertGreater(row.faults, 50)

    def test_nothing_is_lost_or_repeated_at_one_node_that_is_killed_and_restarted(self) -> None:
        self.live(clients.one_node)

    def test_nothing_is_lost_or_repeated_on_the_way_between_two_nodes(self) -> None:
        self.live(clients.two_nodes)

    def test_what_one_node_told_is_known_to_the_other_at_once(self) -> None:
        with clients.nodes(2, seconds=1, seed=0) as (one, other):
            for number in range(60):
                (result,) = one.push({"id": f"hop {number}", "text": "hop"})
                epoch = one.updates(None, limit=1)["epoch"]
                answer = self.patiently(other, f"{epoch}:{result['seq']}")
                self.assertEqual((answer["gap"], answer["epoch"]), (None, epoch))

    def patiently(self, server: AfeedServer, cursor: str) -> dict[str, Any]:
        """What follows ``cursor``.  A node that could not ask the log in time says so with 503, and no gap."""
        found: list[dict[str, Any]] = []

        def answered() -> bool:
            status, _, body = server.request(f"/{server.slug}/updates?wait=0&since={cursor}")
            self.assertIn(status, (200, 503), body)
            found[:] = [json.loads(body)] if status == 200 else []
            return bool(found)

        wait_until(answered, f"an answer to {cursor}")
        return found[0]
