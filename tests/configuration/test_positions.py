"""The line of each key, in every way TOML has of writing one."""

from __future__ import annotations

import tomllib

from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from afeed.configuration.positions import positions
from tests.properties import given

DOCUMENT = """\
# a comment
a.b."c d" = 1
[server]   # another
listen = ["x",  # and one inside
  "y"]
[[events]]
slug = "x"
[[events.sources]]
type = "x"
[[events.sources]]
type = "y"
[events.more]
deep = 1
[[events]]
sources = [{type = "p", q.r = 1},
  {type = "q"}]
"""


class PositionsTests(SynchronousTestCase):
    def test_every_way_of_writing_a_key_has_its_line(self) -> None:
        found = positions(DOCUMENT.encode())
        expected = {
            ("a", "b", "c d"): 2,
            ("server",): 3,
            ("server", "listen"): 4,
            ("server", "listen", 0): 4,
            ("server", "listen", 1): 5,
            ("events",): 6,
            ("events", 0, "slug"): 7,
            ("events", 0, "sources", 0): 8,
            ("events", 0, "sources", 0, "type"): 9,
            ("events", 0, "sources", 1, "type"): 11,
            ("events", 0, "more", "deep"): 13,
            ("events", 1): 14,
            ("events", 1, "sources"): 15,
            ("events", 1, "sources", 0, "q", "r"): 15,
            ("events", 1, "sources", 1, "type"): 16,
        }
        self.assertEqual({path: found.line(path) for path in expected}, expected)

    def test_a_missing_key_has_the_line_of_its_table(self) -> None:
        found = positions(DOCUMENT.encode())
        self.assertEqual(found.line(("events", 1, "name")), 14)
        self.assertEqual(found.line(("store", "window")), 1)

    @given(st.lists(st.lists(st.text(min_size=1, max_size=4), max_size=3), max_size=4))
    def test_every_value_of_a_generated_document_has_its_own_line(self, tables: list[list[str]]) -> None:
        lines = []
        expected = {}
        for index, texts in enumerate(tables):
            lines.append("[[t]]")
            for number, text in enumerate(texts):
                escaped = "".join(f"\\U{ord(character):08x}" for character in text)
                lines.append(f'"{escaped} {number}" = 1')
                expected["t", index, f"{text} {number}"] = len(lines)
        document = "\n".join(lines)
        tomllib.loads(document)
        found = positions(document.encode())
        self.assertEqual({path: found.line(path) for path in expected}, expected)
