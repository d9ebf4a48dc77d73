"""How the X stream keeps its rules, in memory and on a clock."""

from __future__ import annotations

from afeed.sources.x import RECHECK_S
from tests.sources.xcase import XCase


class RuleTests(XCase):
    def values(self) -> dict[str, str]:
        """X's rules, tag -> value."""
        return {rule.get("tag", ""): rule["value"] for rule in self.x.rules.values()}

    def add(self, value: str, tag: str = "") -> None:
        self.x.change_rules({"add": [{"value": value, "tag": tag}]}, False)

    def test_ours_are_added_and_deleted_and_foreign_ones_left_alone(self) -> None:
        self.add("cats", "theirs")
        self.add("dogs")
        self.add("#old", "afeed:old")
        self.add("#was", "afeed:changed")
        self.wanted = {"aea": "#aea", "changed": "#is"}
        self.start()
        self.assertEqual(
            self.values(), {"theirs": "cats", "": "dogs", "afeed:aea": "#aea", "afeed:changed": "#is"}
        )
        rules = self.check().data["rules"]
        self.assertEqual(rules["aea"], {"rule": "#aea", "state": "active", "reason": None})

    def test_right_rules_are_not_touched(self) -> None:
        self.add("#aea", "afeed:aea")
        self.start()
        self.assertEqual([method for method, _ in self.x.requests], ["GET", "GET"])
        self.assertEqual(len(self.x.streams), 1)

    def test_rules_on_several_pages_are_all_read(self) -> None:
        for n in range(2500):
            self.x.rules[str(n)] = {"id": str(n), "value": f"#tag{n}", "tag": f"afeed:gone{n}"}
        self.x.max_rules = 5000
        self.start()
        self.assertEqual(self.values(), {"afeed:aea": "#aea"})
        self.assertEqual([method for method, _ in self.x.requests].count("POST"), 26)

    def test_rules_change_without_reconnecting(self) -> None:
        self.start()
        self.wanted = {"aea": "#aea OR aneventapart", "conf": "#conf"}
        self.advance(RECHECK_S - 1, step=1)
        self.assertEqual(self.values(), {"afeed:aea": "#aea"})
        self.assertEqual(self.check().data["rules"]["conf"]["state"], "pending")
        self.advance(2, step=1)
        self.assertEqual(self.values(), {"afeed:aea": "#aea OR aneventapart", "afeed:conf": "#conf"})
        self.assertEqual(self.connects(), 1)
        self.post("#conf")
        self.assertEqual(self.sink.texts("conf"), ["#conf"])
        self.assertEqual(self.check().data["rules"]["conf"]["state"], "active")

    def test_a_fault_while_rules_change_leaves_the_stream_alone_and_is_tried_again(self) -> None:
        self.start()
        for fault in ("unavailable", "reset", "html"):
            self.x.fault(fault, on="rules")
        self.wanted = {"conf": "#conf"}
        self.advance(3 * RECHECK_S + 1, step=1)
        self.assertEqual(self.values(), {"afeed:aea": "#aea"})
        self.advance(RECHECK_S, step=1)
        self.assertEqual(self.values(), {"afeed:conf": "#conf"})
        self.assertEqual(self.connects(), 1)
        self.assertEqual(self.state(), "ok")

    def test_without_events_there_is_no_connection_and_afterwards_no_rule(self) -> None:
        self.wanted = {}
        self.start()
        self.advance(RECHECK_S + 1, step=1)
        self.assertEqual(self.x.requests, [])
        self.wanted = {"aea": "#aea"}
        self.advance(RECHECK_S + 1, step=1)
        self.assertEqual(len(self.x.streams), 1)
        self.wanted = {}
        self.advance(RECHECK_S + 1, step=1)
        self.assertEqual((self.x.streams, self.values()), ([], {}))
        self.assertEqual(self.state(), "ok")
        requests = len(self.x.requests)
        self.advance(10 * RECHECK_S, step=1)
        self.assertEqual(len(self.x.requests), requests)

    def test_an_event_that_ends_while_x_is_away_ends_the_waiting(self) -> None:
        self.x.fault("unavailable", times=9)
        self.start()
        self.wanted = {}
        self.advance(200, step=1)
        self.assertEqual(self.check().data["state"], "idle")

    def test_two_events_with_the_same_rule_both_get_the_posts(self) -> None:
        self.wanted = {"a": "#aea", "b": "#aea"}
        self.start()
        self.post("#aea")
        self.assertEqual([slug for slug, _, _ in self.sink.offers], ["a", "b"])

    def test_a_foreign_rule_with_the_same_value_does_not_keep_posts_from_us(self) -> None:
        self.add("#aea", "theirs")
        self.start()
        self.post("#aea")
        self.assertEqual(self.sink.texts("aea"), ["#aea"])
        self.assertEqual(self.values()["theirs"], "#aea")

    def test_duplicate_error_is_tolerated(self) -> None:
        problem = {"title": "DuplicateRule", "type": "https://api.x.com/2/problems/duplicate-rules"}
        body = {"errors": [{**problem, "value": "#aea", "id": "1"}], "meta": {"summary": {"created": 0}}}
        self.add("other", "theirs")
        self.x.refuse(200, body, on="change rules")
        self.start()
        self.assertEqual(len(self.x.streams), 1)
        self.assertEqual(self.state(), "ok")


class RefusedRuleTests(XCase):
    def test_an_invalid_rule_is_told_and_the_other_events_go_on(self) -> None:
        self.wanted = {"good": "#good", "bad": "(#bad", "worse": "is:retweet"}
        self.start()
        check = self.check()
        self.assertEqual(check.state, "degraded")
        self.assertEqual(check.data["rules"]["good"]["state"], "active")
        bad = check.data["rules"]["bad"]
        self.assertEqual(
            (bad["state"], bad["reason"]), ("refused", "UnprocessableEntity: missing ) in the rule")
        )
        self.assertIn("bad, worse", check.detail)
        self.post("#good")
        self.assertEqual(self.sink.texts("good"), ["#good"])

    def test_also_when_x_refuses_the_whole_request_because_of_one(self) -> None:
        error = {
            "value": "(#bad",
            "title": "UnprocessableEntity",
            "details": ["missing )"],
            "type": "https://api.x.com/2/problems/invalid-rules",
        }
        self.x.refuse(400, {"errors": [error], "title": "Invalid Request"}, on="change rules")
        self.wanted = {"bad": "(#bad", "good": "#good"}
        self.start()
        rules = self.check().data["rules"]
        self.assertEqual((rules["bad"]["state"], rules["good"]["state"]), ("refused", "active"))
        self.assertEqual(len(self.x.streams), 1)

    def test_when_no_rule_is_taken_nothing_is_connected_and_x_not_hammered(self) -> None:
        self.wanted = {"bad": "(#bad"}
        self.start()
        self.assertEqual(self.connects(), 0)
        self.assertEqual(self.state(), "failed")
        self.assertIn("missing ) in the rule", self.check().detail)
        requests = len(self.x.requests)
        self.advance(899, step=1)
        self.assertEqual(len(self.x.requests), requests)

    def test_a_corrected_rule_need_not_wait(self) -> None:
        self.wanted = {"bad": "(#bad"}
        self.start()
        self.wanted = {"bad": "#bad"}
        self.advance(2 * RECHECK_S, step=1)
        self.assertEqual(len(self.x.streams), 1)
        self.post("#bad")
        self.assertEqual(self.state(), "ok")

    def test_more_rules_than_x_takes(self) -> None:
        self.x.max_rules = 2
        self.wanted = {"a": "#a", "b": "#b", "c": "#c"}
        self.start()
        rules = self.check().data["rules"]
        self.assertEqual([rules[slug]["state"] for slug in "abc"], ["active", "active", "refused"])
        self.assertIn("Rule capacity of 2 reached", rules["c"]["reason"])

    def test_a_changed_rule_finds_room_at_the_cap(self) -> None:
        self.x.max_rules = 2
        self.wanted = {"a": "#a", "b": "#b"}
        self.start()
        self.wanted = {"a": "#a", "b": "#changed"}
        self.advance(RECHECK_S + 1, step=1)
        self.assertEqual({rule["value"] for rule in self.x.rules.values()}, {"#a", "#changed"})
        self.assertEqual(self.state(), "ok")

    def test_what_was_refused_is_tried_again_after_15_minutes(self) -> None:
        self.x.max_rules = 1
        self.wanted = {"a": "#a", "b": "#b"}
        self.start()
        self.x.max_rules = 2
        self.advance(1000, step=1)
        self.assertEqual(self.check().data["rules"]["b"]["state"], "active")
        self.assertEqual(self.connects(), 1)
