"""Where a client goes on, whatever it comes back with."""

from __future__ import annotations

from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.cursor import MAX_SEQ, Ancestor, Cursor, Gap, Resume, parse_cursor, resume
from afeed.core.errors import BadCursor
from tests.properties import given

ANCESTORS = (Ancestor("b", 40), Ancestor("a", 25))


def go_on(text: str, oldest: int = 1, head: int = 50) -> Resume:
    return resume(parse_cursor(text), "c", ANCESTORS, oldest, head)


class ParseTests(SynchronousTestCase):
    def test_a_cursor_is_an_epoch_and_a_number(self) -> None:
        self.assertEqual(parse_cursor("k3f9:42"), Cursor("k3f9", 42))

    def test_a_bare_number_means_the_present_epoch(self) -> None:
        self.assertEqual(parse_cursor("42"), Cursor(None, 42))

    def test_everything_else_is_refused(self) -> None:
        for text in (
            "", "-1", "1e9", "0x10", "١٢", str(2**64), str(MAX_SEQ + 1), "a:", ":1", "a:b", "a:01", "A:1",
            "a:1:2", "a:+1", "a: 1", "a:1\n", "\n1", "a" * 17 + ":1", "9" * 1_000_000, "null", "a\0:1", "1.0",
        ):  # fmt: skip
            with self.assertRaises(BadCursor, msg=repr(text[:20])):
                parse_cursor(text)

    @given(st.text())
    def test_anything_else_at_all_is_a_cursor_or_a_bad_one(self, text: str) -> None:
        try:
            cursor = parse_cursor(text)
        except BadCursor:
            return
        self.assertEqual(str(cursor), text)


class ResumeTests(SynchronousTestCase):
    def test_any_position_of_the_present_epoch_is_served(self) -> None:
        for seq in (0, 1, 49, 50):
            self.assertEqual(go_on(f"c:{seq}"), Resume(seq, None))
            self.assertEqual(go_on(str(seq)), Resume(seq, None))

    def test_an_old_epoch_goes_on_silently_as_far_as_it_is_shared(self) -> None:
        self.assertEqual(go_on("b:40"), Resume(40, None))
        self.assertEqual(go_on("a:25"), Resume(25, None))

    def test_beyond_what_is_shared_there_is_a_gap_from_there(self) -> None:
        self.assertEqual(go_on("b:41"), Resume(40, Gap(41, None, "epoch")))
        self.assertEqual(go_on("a:30"), Resume(25, Gap(26, None, "epoch")))

    def test_an_unknown_epoch_begins_with_the_oldest_after_a_gap(self) -> None:
        self.assertEqual(go_on("z:12", oldest=5), Resume(4, Gap(None, None, "epoch")))

    def test_the_beginning_of_any_epoch_is_the_beginning(self) -> None:
        self.assertEqual(go_on("z:0"), Resume(0, None))

    def test_the_future_begins_with_the_oldest_after_a_gap(self) -> None:
        self.assertEqual(go_on("c:60"), Resume(0, Gap(51, 60, "future")))

    def test_what_is_really_gone_is_an_expired_range(self) -> None:
        self.assertEqual(go_on("c:3", oldest=11), Resume(10, Gap(4, 10, "expired")))

    def test_an_old_epoch_whose_shared_part_is_gone_has_one_gap_over_both(self) -> None:
        self.assertEqual(go_on("a:30", oldest=31), Resume(30, Gap(26, 30, "epoch")))

    @given(
        epoch=st.sampled_from([None, "c", "b", "a", "z"]),
        seq=st.integers(0, 80),
        oldest=st.integers(1, 51),
        head=st.just(50),
    )
    def test_a_client_is_never_moved_forward_without_being_told(
        self, epoch: str | None, seq: int, oldest: int, head: int
    ) -> None:
        found = resume(Cursor(epoch, seq), "c", ANCESTORS, oldest, head)
        self.assertTrue(oldest - 1 <= found.seq <= head)
        if found.gap is None:
            self.assertEqual(found.seq, seq)
