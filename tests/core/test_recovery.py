"""What a live log does when it may have lost something."""

from __future__ import annotations

from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.change import EDITED, FILED, GAP, POSTED, REMOVED, RESCHEDULED, Change, compose
from afeed.core.cursor import Ancestor, Cursor, resume
from afeed.core.draft import (
    Draft,
    Filed,
    Posted,
    Removed,
    Rescheduled,
    SourceGap,
    TalkChange,
    TalkFacts,
    prepare,
)
from afeed.core.item import Item
from afeed.core.recovery import (
    MAX_ANCESTORS,
    Line,
    Plan,
    Refill,
    inherit,
    keys_of,
    left_behind,
    plan,
    record_of,
    shared,
)
from tests.properties import given


class SharedTests(SynchronousTestCase):
    def test_lines_of_one_epoch_share_the_shorter(self) -> None:
        self.assertEqual(shared(Line("a", (), 10), Line("a", (), 7)), 7)

    def test_a_line_shares_with_its_ancestor_what_it_took_over(self) -> None:
        child = Line("b", (Ancestor("a", 10),), 30)
        self.assertEqual(shared(child, Line("a", (), 15)), 10)
        self.assertEqual(shared(Line("a", (), 8), child), 8)

    def test_cousins_share_what_both_took_over(self) -> None:
        one, two = Line("b", (Ancestor("a", 10),), 30), Line("c", (Ancestor("a", 12),), 20)
        self.assertEqual(shared(one, two), 10)

    def test_strangers_share_nothing(self) -> None:
        self.assertEqual(shared(Line("a", (), 10), Line("b", (), 10)), 0)

    def test_a_line_that_lost_its_end_shares_no_more_than_it_has(self) -> None:
        self.assertEqual(shared(Line("b", (Ancestor("a", 10),), 4), Line("a", (), 10)), 4)


class PlanTests(SynchronousTestCase):
    def test_nothing_to_do_when_nobody_knows_more(self) -> None:
        self.assertIsNone(plan(None, []))
        self.assertIsNone(plan(Line("a", (), 10), [Line("a", (), 10), Line("a", (), 3), Line("", (), 0)]))
        self.assertIsNone(plan(Line("b", (Ancestor("a", 10),), 12), [Line("a", (), 10)]))

    def test_an_empty_witness_is_no_reason(self) -> None:
        self.assertIsNone(plan(None, [Line("a", (), 10, oldest=11)]))

    def test_a_lost_log_is_filled_from_the_archive(self) -> None:
        archive = Line("a", (Ancestor("z", 5),), 10)
        self.assertEqual(
            plan(None, [archive]),
            Plan((Refill(0, 0, 10),), None, 10, (Ancestor("a", 10), Ancestor("z", 5))),
        )

    def test_a_living_node_adds_what_the_archive_had_not_copied_yet(self) -> None:
        found = plan(None, [Line("a", (), 95), Line("a", (), 100, oldest=90)])
        self.assertEqual(found, Plan((Refill(0, 0, 95), Refill(1, 95, 100)), None, 100, (Ancestor("a", 100),)))

    def test_a_lost_end_is_appended(self) -> None:
        found = plan(Line("a", (), 97), [Line("a", (), 95), Line("a", (), 100, oldest=90)])
        self.assertEqual(found, Plan((Refill(1, 97, 100),), None, 100, (Ancestor("a", 100),)))

    def test_a_hole_that_nobody_can_fill_moves_the_beginning(self) -> None:
        found = plan(Line("a", (), 50), [Line("a", (), 100, oldest=90)])
        self.assertEqual(found, Plan((Refill(0, 89, 100),), None, 100, (Ancestor("a", 100),)))

    def test_what_contradicts_the_archive_is_numbered_anew(self) -> None:
        own = Line("b", (Ancestor("a", 40),), 60)
        found = plan(own, [Line("a", (), 50)])
        ancestors = (Ancestor("a", 50), Ancestor("b", 40))
        self.assertEqual(found, Plan((Refill(0, 0, 50),), 40, 50, ancestors))

    def test_a_node_that_missed_the_end_of_an_epoch_does_not_take_numbers_back(self) -> None:
        own = Line("b", (Ancestor("a", 40),), 60)
        memory = Line("a", (), 45, oldest=30, fleeting=True)
        self.assertEqual(left_behind(own, memory), 40)
        self.assertIsNone(plan(own, [memory]))
        self.assertIsNone(left_behind(own, memory._replace(head=40)))
        self.assertIsNone(left_behind(own, memory._replace(fleeting=False)))
        self.assertIsNone(left_behind(own, Line("b", (), 70, fleeting=True)))
        self.assertIsNotNone(plan(own, [Line("b", (Ancestor("a", 40),), 70, fleeting=True)]))

    def test_strangers_share_nothing_and_the_first_leads(self) -> None:
        found = plan(None, [Line("a", (), 5), Line("b", (), 500)])
        self.assertEqual(found, Plan((Refill(0, 0, 5),), None, 5, (Ancestor("a", 5),)))

    def test_old_ancestors_are_forgotten(self) -> None:
        line = Line("now", tuple(Ancestor(f"e{n}", 1) for n in range(100)), 10)
        ancestors = inherit((line, 10))
        self.assertEqual(len(ancestors), MAX_ANCESTORS)
        self.assertEqual(ancestors[:2], (Ancestor("now", 10), Ancestor("e0", 1)))

    @given(
        st.integers(0, 30),
        st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), max_size=4),
    )
    def test_refills_reach_the_head_in_order_and_within_what_their_witness_has(
        self, held: int, extents: list[tuple[int, int]]
    ) -> None:
        claims = [Line("a", (), max(pair), min(pair)) for pair in extents]
        own = Line("a", (), held) if held else None
        found = plan(own, claims)
        best = max((claim.head for claim in claims), default=0)
        if found is None:
            self.assertLessEqual(best, held)
            return
        self.assertEqual(found.head, best)
        position = held
        for refill in found.refills:
            claim = claims[refill.witness]
            self.assertGreaterEqual(refill.after, position)
            self.assertGreaterEqual(refill.after, claim.oldest - 1)
            self.assertGreater(refill.upto, refill.after)
            self.assertLessEqual(refill.upto, claim.head)
            able = [c for c in claims if c.oldest <= position + 1 and c.head > position]
            if able:
                self.assertEqual(refill.after, position, "a hole that somebody could have filled")
            position = refill.upto
        self.assertEqual(position, best)

    @given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(0, 40))
    def test_no_cursor_is_told_a_silent_lie(self, split: int, ours: int, theirs: int, seq: int) -> None:
        # Two lines that share `split` changes of epoch a, then went on apart as b and c.
        own = Line("b", (Ancestor("a", split),), split + ours)
        archive = Line("c", (Ancestor("a", split),), split + theirs)
        found = plan(own, [archive])
        ancestors = found.ancestors if found is not None else inherit((own, own.head))
        history = {
            "b": [("a", n) if n <= split else ("b", n) for n in range(1, own.head + 1)],
            "c": [("a", n) if n <= split else ("c", n) for n in range(1, archive.head + 1)],
        }
        present = history["c"] if found is not None else history["b"]
        for epoch in ("b", "c"):
            if seq > len(history[epoch]):
                continue
            answer = resume(Cursor(epoch, seq), "new", ancestors, 1, len(present))
            if answer.gap is None:
                self.assertEqual(history[epoch][:seq], present[: answer.seq])


class RecordOfTests(SynchronousTestCase):
    at = "2026-11-21T17:00:06.120Z"
    item = Item(id="x:1", source="x", text="t", html="<p>t</p>", created_at="2026-11-21T17:00:05Z")

    def again(self, draft: Draft, type_: str) -> None:
        record = prepare(draft)
        change = Change.decode(7, compose(record, type_, self.at))
        self.assertEqual(record_of(change), record)
        self.assertEqual(keys_of(change), (record.kind, record.id_key, record.version_key, record.order))

    def test_a_change_gives_back_the_record_it_was_made_from(self) -> None:
        self.again(Posted(self.item, "1900000000000000001"), POSTED)
        self.again(Posted(self.item, 'a "quoted" \\ versión'), EDITED)
        self.again(Posted(self.item, ""), POSTED)
        self.again(Removed('x:"1"'), REMOVED)
        gap = SourceGap(source="x", from_="a", to=None, state="open", fetched=0, reason="r")
        self.again(gap, GAP)
        self.again(SourceGap(source="x", from_="a", to="b", state="closed", fetched=3, reason="r"), GAP)

    def test_what_is_recorded_once_gives_it_back_too(self) -> None:
        self.again(Filed('x:"1"', "a \u2028 talk", "mark"), FILED)
        self.again(Filed("x:1", None, ""), FILED)
        before = TalkFacts("T", "2026-11-21T17:00:00Z", "2026-11-21T18:00:00Z", None)
        talk = TalkChange("t", ("moved",), "T", "2026-11-21T17:30:00Z", "2026-11-21T18:00:00Z", "A", before)
        self.again(Rescheduled("m", "v", (talk, TalkChange("u", (), "U", "", "", None))), RESCHEDULED)

    def test_a_change_of_a_later_version_gives_nothing(self) -> None:
        change = Change.decode(7, b'{"at":"%s","type":"question.asked","id":"q:1"}' % self.at.encode())
        self.assertIsNone(record_of(change))
        self.assertIsNone(keys_of(change))

    def test_a_redacted_change_gives_nothing(self) -> None:
        change = Change.decode(7, compose(prepare(Posted(self.item, "1")), POSTED, self.at))
        self.assertIsNone(record_of(change.redacted()))
        self.assertIsNone(keys_of(change.redacted()))
