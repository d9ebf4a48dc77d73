"""The measurements measure what they say."""

from __future__ import annotations

from docutils.core import publish_doctree
from docutils.nodes import table
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.framing import Message, websocket_frame
from bench.__main__ import rendered
from bench.measures import Table, quantile
from bench.viewers import Frames


class FramesTests(SynchronousTestCase):
    def test_frames_of_every_length_arrive_however_they_are_cut(self) -> None:
        bodies = [b"x" * length for length in (0, 1, 125, 126, 65535, 65536)]
        data = b"".join(websocket_frame(Message("changes", None, body)) for body in bodies)
        for step in (1, 2, 3, 1000, len(data)):
            frames = Frames()
            found = [frame for at in range(0, len(data), step) for frame in frames.feed(data[at : at + step])]
            self.assertEqual([payload for _, payload in found], bodies)
            self.assertEqual({opcode for opcode, _ in found}, {1})

    def test_an_incomplete_frame_waits_for_the_rest(self) -> None:
        frames = Frames()
        self.assertEqual(frames.feed(b"\x81\x03ab"), [])
        self.assertEqual(frames.feed(b"c"), [(1, b"abc")])


class FiguresTests(SynchronousTestCase):
    def test_quantiles_are_values_that_occurred(self) -> None:
        values = [float(number) for number in range(1, 102)]
        self.assertEqual(
            [quantile(values, share) for share in (0.0, 0.5, 0.99, 1.0)], [1.0, 51.0, 100.0, 101.0]
        )
        self.assertEqual(quantile([7.0], 0.99), 7.0)

    def test_a_table_is_valid_restructuredtext(self) -> None:
        text = rendered(
            Table("Title", "What was done.", ("store", "p99 ms"), [["embedded, SQLite", "4"], ["b", "5"]])
        )
        tree = publish_doctree(text, settings_overrides={"halt_level": 2, "report_level": 2})
        self.assertEqual(len(list(tree.findall(table))), 1)
