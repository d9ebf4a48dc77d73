"""Which rules to add and to delete."""

from __future__ import annotations

from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.rules import TAG_PREFIX, NewRule, Plan, Rule, plan, slugs_of, tag_of
from tests.properties import given

slugs = st.sampled_from(["a", "b", "c", "d"])
values = st.sampled_from(["#x", "#y", " #y ", "(#x)", "#z OR #x"])
existing_rules = st.lists(
    st.builds(
        lambda value, tag: (value, tag),
        values.map(str.strip),
        st.one_of(st.none(), st.just(""), st.just("theirs"), slugs.map(tag_of)),
    ),
    max_size=6,
    unique_by=lambda pair: pair[0],
).map(lambda pairs: [Rule(str(n), value, tag) for n, (value, tag) in enumerate(pairs)])


class PlanTests(SynchronousTestCase):
    def test_nothing_there_nothing_wanted(self) -> None:
        self.assertFalse(plan([], {}))

    def test_adds_what_is_missing(self) -> None:
        self.assertEqual(plan([], {"a": "#x"}), Plan((), (NewRule("#x", "afeed:a"),), ()))

    def test_keeps_what_is_right(self) -> None:
        self.assertFalse(plan([Rule("1", "#x", "afeed:a")], {"a": " #x "}))

    def test_deletes_ours_that_nobody_wants_any_more(self) -> None:
        self.assertEqual(plan([Rule("1", "#x", "afeed:a")], {}), Plan((), (), ("1",)))

    def test_leaves_foreign_rules_alone(self) -> None:
        foreign = [Rule("1", "#x", "theirs"), Rule("2", "#y", ""), Rule("3", "#z"), Rule("4", "#w", "xafeed:a")]
        self.assertFalse(plan(foreign, {}))

    def test_a_changed_rule_is_added_before_the_old_one_goes(self) -> None:
        self.assertEqual(
            plan([Rule("1", "#x", "afeed:a")], {"a": "#y"}), Plan((), (NewRule("#y", "afeed:a"),), ("1",))
        )

    def test_a_renamed_event_needs_its_value_free_first(self) -> None:
        self.assertEqual(
            plan([Rule("1", "#x", "afeed:old")], {"new": "#x"}), Plan(("1",), (NewRule("#x", "afeed:new"),), ())
        )

    def test_second_rule_of_ours_with_the_same_tag_goes(self) -> None:
        rules = [Rule("1", "#old", "afeed:a"), Rule("2", "#x", "afeed:a"), Rule("3", "#older", "afeed:a")]
        self.assertEqual(plan(rules, {"a": "#x"}), Plan((), (), ("1", "3")))

    def test_two_events_with_the_same_rule_get_different_values(self) -> None:
        first = plan([], {"b": "#x", "a": "#x"})
        self.assertEqual(first.add, (NewRule("#x", "afeed:a"), NewRule("(#x)", "afeed:b")))
        there = [Rule(str(n), rule.value, rule.tag) for n, rule in enumerate(first.add)]
        self.assertFalse(plan(there, {"b": "#x", "a": "#x"}))

    def test_value_that_a_foreign_rule_has_is_made_different(self) -> None:
        self.assertEqual(plan([Rule("1", "#x", "theirs")], {"a": "#x"}).add, (NewRule("(#x)", "afeed:a"),))

    @given(existing_rules, st.dictionaries(slugs, values, max_size=4))
    def test_carried_out_it_gives_what_is_wanted_and_changes_nothing_foreign(
        self, existing: list[Rule], wanted: dict[str, str]
    ) -> None:
        steps = plan(existing, wanted)
        rules = {rule.id: rule for rule in existing}
        foreign = [rule for rule in existing if not (rule.tag or "").startswith(TAG_PREFIX)]
        for id_ in steps.delete_first:
            del rules[id_]
        for n, new in enumerate(steps.add):
            # X refuses a value that is there already.
            self.assertNotIn(new.value, [rule.value for rule in rules.values()])
            rules[f"new-{n}"] = Rule(f"new-{n}", new.value, new.tag)
        for id_ in steps.delete_after:
            del rules[id_]
        left = list(rules.values())
        self.assertEqual([rule for rule in left if rule in foreign], foreign)
        ours = sorted(rule.tag or "" for rule in left if rule not in foreign)
        self.assertEqual(ours, sorted(tag_of(slug) for slug in wanted))
        self.assertFalse(plan(left, wanted))


class RoutingTests(SynchronousTestCase):
    def test_tags_of_ours_name_the_events(self) -> None:
        tags = ["afeed:b", "theirs", "afeed:a", "afeed:b", "afeed:gone", "", "a"]
        self.assertEqual(slugs_of(tags, {"a": "#x", "b": "#y"}), ["b", "a"])
