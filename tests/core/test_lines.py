"""From bytes to messages, at every split."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.lines import LineReader
from tests.properties import given

ONE = '{"data":{"id":"1","text":"Grüße 👋 \\n"}}'.encode()
TWO = '{"data":{"id":"2","text":"سلام"}}'.encode()


def read(*chunks: bytes, max_message: int = 1024 * 1024) -> tuple[list[bytes], LineReader]:
    reader = LineReader(max_message)
    return [message for chunk in chunks for message in reader.feed(chunk)], reader


def counts(reader: LineReader) -> tuple[int, int, int]:
    return reader.keepalives, reader.oversize, reader.malformed


def delimited(*messages: bytes) -> bytes:
    """As ``delimited=length`` sends them: the length counts the message's own line end."""
    return b"".join(b"%d\r\n%b\r\n" % (len(message) + 2, message) for message in messages)


class LinesTests(SynchronousTestCase):
    def test_a_message_is_a_line(self) -> None:
        messages, reader = read(ONE + b"\r\n")
        self.assertEqual(messages, [ONE])
        self.assertEqual(counts(reader), (0, 0, 0))

    def test_bare_line_feeds_end_messages_too(self) -> None:
        self.assertEqual(read(ONE + b"\n" + TWO + b"\n")[0], [ONE, TWO])

    def test_a_message_without_its_end_is_not_there_yet(self) -> None:
        reader = LineReader()
        self.assertEqual(reader.feed(ONE + b"\r"), [])
        self.assertEqual(reader.feed(b"\n"), [ONE])

    def test_upstream_04_two_messages_in_one_chunk_keep_their_order(self) -> None:
        self.assertEqual(read(ONE + b"\r\n" + TWO + b"\r\n")[0], [ONE, TWO])

    def test_upstream_03_every_split_gives_the_same_messages(self) -> None:
        wire = b"\r\n" + ONE + b"\r\n\r\n" + TWO + b"\r\n"
        for split in range(len(wire) + 1):
            messages, reader = read(wire[:split], wire[split:])
            self.assertEqual(messages, [ONE, TWO], split)
            self.assertEqual(counts(reader), (2, 0, 0), split)
        self.assertEqual(read(*(wire[i : i + 1] for i in range(len(wire))))[0], [ONE, TWO])

    def test_blank_lines_are_keep_alives(self) -> None:
        messages, reader = read(b"\r\n\r\n \r\n\n")
        self.assertEqual(messages, [])
        self.assertEqual(reader.keepalives, 4)

    def test_upstream_25_byte_order_mark_at_the_start_is_ignored(self) -> None:
        wire = b"\xef\xbb\xbf" + ONE + b"\r\n" + TWO + b"\r\n"
        for split in range(len(wire) + 1):
            self.assertEqual(read(wire[:split], wire[split:])[0], [ONE, TWO], split)

    def test_byte_order_mark_before_a_keep_alive(self) -> None:
        messages, reader = read(b"\xef\xbb\xbf\r\n" + ONE + b"\r\n")
        self.assertEqual((messages, reader.keepalives), ([ONE], 1))

    def test_byte_order_mark_later_is_the_messages_own(self) -> None:
        self.assertEqual(read(b"\r\n\xef\xbb\xbf{}\r\n")[0], [b"\xef\xbb\xbf{}"])

    def test_message_of_exactly_the_limit_passes_and_one_byte_more_does_not(self) -> None:
        for end in (b"\r\n", b"\n"):
            for chunk in (1, 3, 1000):
                wire = b"x" * 10 + end + b"y" * 11 + end + b"z" + end
                chunks = [wire[i : i + chunk] for i in range(0, len(wire), chunk)]
                messages, reader = read(*chunks, max_message=10)
                self.assertEqual(messages, [b"x" * 10, b"z"], (end, chunk))
                self.assertEqual(counts(reader), (0, 1, 0), (end, chunk))

    def test_upstream_07_endless_line_is_dropped_and_costs_no_memory(self) -> None:
        reader = LineReader()
        chunk = b"x" * 65536
        reader.feed(b"\r\n")
        tracemalloc.start()
        try:
            for _ in range(160):
                self.assertEqual(reader.feed(chunk), [])
            grown = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        self.assertLess(grown, 2 * 1024 * 1024)
        self.assertEqual(reader.feed(b"tail\r\n" + ONE + b"\r\n"), [ONE])
        self.assertEqual(counts(reader), (1, 1, 0))

    def test_upstream_07_in_single_bytes(self) -> None:
        reader = LineReader(1000)
        tracemalloc.start()
        try:
            for _ in range(5000):
                reader.feed(b"x")
            grown = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        self.assertLess(grown, 20_000)
        self.assertEqual(reader.feed(b"\n" + ONE + b"\n"), [ONE])


class LengthTests(SynchronousTestCase):
    def test_every_split_of_multibyte_messages(self) -> None:
        wire = b"\r\n" + delimited(ONE, TWO) + b"\r\n" + delimited(ONE)
        for split in range(len(wire) + 1):
            messages, reader = read(wire[:split], wire[split:])
            self.assertEqual(messages, [ONE, TWO, ONE], split)
            self.assertEqual(counts(reader), (2, 0, 0), split)

    def test_line_feeds_inside_a_message_do_not_end_it(self) -> None:
        message = b'{\n "text": "x"\n}'
        self.assertEqual(read(delimited(message, TWO))[0], [message, TWO])

    def test_too_long_a_message_is_skipped_by_its_length(self) -> None:
        wire = delimited(b"\n" * 50, ONE)
        for chunk in (1, 7, 1000):
            messages, reader = read(
                *(wire[i : i + chunk] for i in range(0, len(wire), chunk)), max_message=len(ONE)
            )
            self.assertEqual(messages, [ONE])
            self.assertEqual(counts(reader), (0, 1, 0))

    def test_nonsense_between_messages_is_counted_and_the_next_length_found(self) -> None:
        messages, reader = read(delimited(ONE) + b"what?\r\n9999999999999999\r\n0\r\n-3\r\n" + delimited(TWO))
        self.assertEqual(messages, [ONE, TWO])
        self.assertEqual(counts(reader), (0, 0, 4))


class ChunkTests(SynchronousTestCase):
    @given(
        st.lists(
            st.sampled_from(
                [
                    b"{}",
                    b"x" * 9,
                    b"\n",
                    b"\r\n",
                    b"\r",
                    b" ",
                    b"5",
                    b"4\r\n",
                    b"99",
                    b"\xef\xbb\xbf",
                    b"a\xff",
                    b"7",
                ]
            ),
            max_size=30,
        ).map(b"".join),
        st.lists(st.integers(0, 60), max_size=8).map(sorted),
    )
    def test_what_is_read_does_not_depend_on_the_chunks(self, wire: bytes, cuts: list[int]) -> None:
        chunks = [wire[a:b] for a, b in pairwise([0, *cuts, len(wire)])]
        whole, expected = read(wire, max_message=10)
        parts, reader = read(*chunks, max_message=10)
        self.assertEqual(parts, whole)
        self.assertEqual(counts(reader), counts(expected))
        self.assertTrue(all(len(message) <= 12 for message in whole))
