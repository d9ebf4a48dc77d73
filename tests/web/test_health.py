"""What operators and their machines are told."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.health import Check
from tests.web.serving import House, request

STRANGER = "203.0.113.9"


def check(name: str, state: str) -> Check:
    return Check(name=name, state=state, detail=f"{name} is {state}", data={"since": 7})  # type: ignore[arg-type]


class HealthTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House()
        self.house.checks = [check("log", "ok"), check("archive", "degraded")]

    def test_a_degraded_component_is_told_and_stays_green(self) -> None:
        answer = self.house.ask("/healthz")
        self.assertEqual((answer.status, answer.json["status"]), (200, "degraded"))
        self.assertEqual(
            answer.json["checks"]["archive"],
            {"state": "degraded", "detail": "archive is degraded", "data": {"since": 7}},
        )
        self.assertEqual(answer.headers["cache-control"], "no-store")

    def test_one_failed_component_turns_it_red(self) -> None:
        self.house.checks.append(check("x", "failed"))
        answer = self.house.ask("/healthz")
        self.assertEqual((answer.status, answer.json["status"]), (503, "failed"))

    def test_all_well_and_nothing_at_all(self) -> None:
        for checks in ([check("log", "ok")], []):
            self.house.checks = checks
            answer = self.house.ask("/healthz")
            self.assertEqual((answer.status, answer.json["status"]), (200, "ok"))

    def test_strangers_learn_the_states_and_no_details(self) -> None:
        for target in ("/healthz", "/healthz?verbose"):
            answer = self.house.ask(target, peer=STRANGER)
            self.assertEqual(
                answer.json,
                {"status": "degraded", "checks": {"log": {"state": "ok"}, "archive": {"state": "degraded"}}},
            )

    def test_a_request_that_was_forwarded_by_somebody_unknown_is_a_stranger(self) -> None:
        for header in ("X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "X-Real-IP: 127.0.0.1"):
            self.assertNotIn("viewers", self.house.ask("/healthz", header).json)
            self.assertEqual(self.house.ask("/metrics", header).status, 403)

    def test_viewers_by_event_and_transport(self) -> None:
        self.house.call(request("/e/stream"))
        self.assertEqual(
            self.house.ask("/healthz").json["viewers"], {"e": {"poll": 0, "websocket": 0, "sse": 1}}
        )

    def test_ready_says_which_component_is_not(self) -> None:
        answer = self.house.ask("/readyz")
        self.assertEqual((answer.status, answer.json["ready"]), (200, True))
        self.assertEqual(answer.json["checks"], self.house.ask("/healthz").json["checks"])
        self.house.is_ready = False
        answer = self.house.ask("/readyz")
        self.assertEqual((answer.status, answer.json["ready"]), (503, False))
        stranger = self.house.ask("/readyz", peer=STRANGER).json["checks"]
        self.assertTrue(all(set(check) == {"state"} for check in stranger.values()))

    def test_no_answer_can_be_framed_or_taken_for_a_page(self) -> None:
        for path in ("/metrics", "/healthz", "/readyz"):
            for peer in ("127.0.0.1", STRANGER):
                headers = self.house.ask(path, peer=peer).headers
                self.assertEqual(headers["x-content-type-options"], "nosniff", path)
                self.assertIn("default-src 'none'", headers["content-security-policy"], path)
                self.assertEqual(headers["x-frame-options"], "DENY", path)

    def test_metrics_are_for_those_inside(self) -> None:
        answer = self.house.ask("/metrics")
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.headers["content-type"].startswith("text/plain; version=0.0.4"))
        self.assertIn(b"afeed_viewers", answer.body)
        answer = self.house.ask("/metrics", peer=STRANGER)
        self.assertEqual((answer.status, answer.error), (403, "internal_only"))

    def test_head(self) -> None:
        answer = self.house.ask("/healthz", method="HEAD")
        self.assertEqual((answer.status, answer.body), (200, b""))
