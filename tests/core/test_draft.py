"""Drafts, and by what logs know them again."""

from __future__ import annotations

from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.draft import (
    KEY_BYTES,
    Filed,
    Held,
    Removed,
    Rescheduled,
    SourceGap,
    key,
    prepare,
    version_order,
)
from tests.fakes import a_post
from tests.properties import given

words = st.lists(st.text(alphabet=st.characters(codec=None), max_size=4), max_size=3)


class KeyTests(SynchronousTestCase):
    def test_a_key_has_16_bytes_and_is_the_same_for_ever(self) -> None:
        self.assertEqual(len(key("x:1", "2")), KEY_BYTES)
        # Logs on disk hold such keys: this one must not change.
        self.assertEqual(key("x:1", "2").hex(), "5b95e2627b10516c07a67fcac52b9c1e")

    @given(words, words)
    def test_different_parts_have_different_keys(self, one: list[str], other: list[str]) -> None:
        self.assertEqual(key(*one) == key(*other), one == other)

    def test_parts_do_not_run_into_each_other(self) -> None:
        self.assertEqual(len({key("a\0b"), key("a", "b"), key("ab"), key("a", "", "b"), key("\0a", "b")}), 5)

    def test_half_a_character_is_no_obstacle(self) -> None:
        self.assertEqual(len(key("\ud83d")), KEY_BYTES)


class VersionTests(SynchronousTestCase):
    def test_numbers_have_an_order_and_all_else_has_none(self) -> None:
        found = [version_order(version) for version in ("0", "7", "007", "1900000000000000001")]
        self.assertEqual(found, [0, 7, 7, 1900000000000000001])
        for version in ("", "b2f", "-1", "1.5", "١٢", str(2**63), "9" * 20):
            self.assertEqual(version_order(version), 0)


class RecordTests(SynchronousTestCase):
    def test_an_item_and_its_versions(self) -> None:
        first, second = prepare(a_post(1, version="1")), prepare(a_post(1, version="2"))
        self.assertEqual((first.kind, first.id, first.order, second.order), ("post", "push:1", 1, 2))
        self.assertEqual(first.id_key, second.id_key)
        self.assertNotEqual(first.version_key, second.version_key)

    def test_a_removal_is_of_the_same_item_and_no_version_of_it(self) -> None:
        removal = prepare(Removed("push:1"))
        self.assertEqual(removal.id_key, prepare(a_post(1)).id_key)
        self.assertNotEqual(removal.version_key, prepare(a_post(1, version="removed")).version_key)

    def test_a_filing_is_of_the_same_item_and_no_version_of_it(self) -> None:
        one, other = prepare(Filed("push:1", "a", "1")), prepare(Filed("push:1", None, "2"))
        self.assertEqual((one.kind, one.id_key, one.order), ("file", prepare(a_post(1)).id_key, 0))
        self.assertEqual(one.version_key, prepare(Filed("push:1", "b", "1")).version_key)
        versions = {one.version_key, other.version_key, prepare(a_post(1, version="1")).version_key}
        self.assertEqual(len(versions | {prepare(Removed("push:1")).version_key}), 4)

    def test_changes_of_the_programme_are_told_apart_by_their_marks(self) -> None:
        one, other = prepare(Rescheduled("1", "v", ())), prepare(Rescheduled("2", "v", ()))
        self.assertEqual((one.kind, one.id_key), ("schedule", other.id_key))
        self.assertNotEqual(one.version_key, other.version_key)
        self.assertEqual(one.version_key, prepare(Rescheduled("1", "w", ())).version_key)

    def test_what_is_held_is_recorded_as_if_it_had_been_posted(self) -> None:
        post = a_post(1, version="7")
        self.assertEqual(prepare(Held(post.item, post.version, "word", None).posted), prepare(post))

    def test_an_outage_that_goes_on_is_a_new_version_of_the_same(self) -> None:
        def gap(**members: object) -> SourceGap:
            values: dict = {
                "source": "x",
                "from_": "a",
                "to": None,
                "state": "open",
                "fetched": 0,
                "reason": "r",
            }
            return SourceGap(**values | members)

        first, closed = prepare(gap()), prepare(gap(to="b", state="closed", fetched=3))
        self.assertEqual((first.kind, first.id_key), ("gap", closed.id_key))
        self.assertNotEqual(first.version_key, closed.version_key)
        self.assertNotEqual(first.id_key, prepare(gap(from_="c")).id_key)
