"""Messages as bytes, and as frames and events."""

from __future__ import annotations

import json

from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from afeed.core import framing
from afeed.core.cursor import Gap
from tests.properties import given


class MessageTests(SynchronousTestCase):
    def test_hello_tells_where_the_stream_goes_on(self) -> None:
        self.assertEqual(
            json.loads(framing.hello("k3f9", 40).body), {"type": "hello", "epoch": "k3f9", "cursor": "k3f9:40"}
        )

    def test_a_gap_has_null_where_a_bound_is_unknown(self) -> None:
        self.assertEqual(
            json.loads(framing.gap(Gap(41, None, "epoch"), "k3f9:40").body),
            {"type": "gap", "from": 41, "to": None, "reason": "epoch", "cursor": "k3f9:40"},
        )

    def test_changes_are_put_in_as_they_are(self) -> None:
        message = framing.changes("k3f9:2", [b'{"seq":1}', b'{"seq":2}'])
        self.assertEqual(
            json.loads(message.body),
            {"type": "changes", "cursor": "k3f9:2", "changes": [{"seq": 1}, {"seq": 2}]},
        )

    def test_ping_and_bye(self) -> None:
        self.assertEqual(json.loads(framing.ping("a:1").body), {"type": "ping", "cursor": "a:1"})
        self.assertEqual(json.loads(framing.bye(1500).body), {"type": "bye", "retry_ms": 1500})

    def test_a_delay_is_one_more_member_while_it_lasts(self) -> None:
        for message in (framing.hello("a", 1, True), framing.ping("a:1", True)):
            self.assertIs(json.loads(message.body)["stalled"], True)
        self.assertIs(json.loads(framing.ping("a:1", False).body)["stalled"], False)
        self.assertIs(json.loads(framing.updates("a:1", [], None, False, True))["stalled"], True)

    def test_the_answer_to_a_poll(self) -> None:
        self.assertEqual(
            json.loads(framing.updates("k3f9:42", [b'{"seq":42}'], None, False)),
            {"epoch": "k3f9", "cursor": "k3f9:42", "changes": [{"seq": 42}], "gap": None, "more": False},
        )
        self.assertEqual(
            json.loads(framing.updates("k3f9:4", [], Gap(1, 4, "expired"), True))["gap"],
            {"from": 1, "to": 4, "reason": "expired", "cursor": "k3f9:4"},
        )

    def test_a_fragment_is_one_more_member(self) -> None:
        body = framing.with_fragment(b'{"seq":1}', '<b title="x">\n</b>')
        self.assertEqual(json.loads(body), {"seq": 1, "fragment": '<b title="x">\n</b>'})


class EncodingTests(SynchronousTestCase):
    def test_frames_of_every_length_class_are_final_unmasked_text(self) -> None:
        for size, head in ((125, 2), (126, 4), (65535, 4), (65536, 10)):
            frame = framing.websocket_frame(framing.Message("x", None, b"a" * size))
            self.assertEqual(frame[0], 0x81)
            self.assertEqual(len(frame), head + size)
            length = frame[1] if head == 2 else int.from_bytes(frame[2:head], "big")
            self.assertEqual(length, size)

    def test_an_event_has_type_id_and_one_line_of_data(self) -> None:
        event = framing.server_sent_event(framing.ping("a:1"))
        self.assertEqual(event, b'event: ping\nid: a:1\ndata: {"type":"ping","cursor":"a:1"}\n\n')

    def test_a_goodbye_leaves_the_last_event_id_alone(self) -> None:
        self.assertNotIn(b"id:", framing.server_sent_event(framing.bye(1)))


class PortionTests(SynchronousTestCase):
    @given(st.lists(st.integers(0, 400), max_size=60), st.integers(1, 10), st.integers(1, 900))
    def test_portions_are_complete_in_order_and_within_their_limits(
        self, sizes: list[int], limit: int, most: int
    ) -> None:
        portions = list(framing.portions(sizes, limit, most))
        self.assertEqual([i for start, stop in portions for i in range(start, stop)], list(range(len(sizes))))
        for start, stop in portions:
            self.assertTrue(0 < stop - start <= limit)
            self.assertTrue(stop - start == 1 or sum(sizes[start:stop]) <= most)
