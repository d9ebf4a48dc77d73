"""What the X stream does when X, or the way to it, fails; in memory and on a clock."""

from __future__ import annotations

from typing import Any

from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.web.iweb import IAgent
from zope.interface import implementer

from afeed.sources.x import STALL_S
from tests.sources.xcase import NOW, XCase


@implementer(IAgent)
class SilentAgent:
    """Never answers."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def request(
        self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None
    ) -> Deferred[Any]:
        self.asked.append(uri)
        return Deferred()


class DropTests(XCase):
    def test_drop_of_an_established_stream_is_followed_at_once(self) -> None:
        for fault in ("close", "abort"):
            self.start()
            self.post("#aea")
            self.fault(fault)
            self.assertEqual(self.connects(), 2, fault)
            self.post("again #aea")
            self.assertEqual(self.sink.texts(), ["#aea", "again #aea"], fault)
            self.assertEqual(self.check().data["reconnects"], 1)
            self.stop()
            self.setUp()

    def test_a_stream_that_is_dropped_again_and_again_is_not_asked_for_in_a_loop(self) -> None:
        self.start()
        for waits in (0, 1, 2, 4, 8, 16, 20, 20):
            self.post("#aea")
            connects = self.connects()
            self.fault("close")
            if waits:
                self.advance(waits - 0.25)
                self.assertEqual(self.connects(), connects)
                self.advance(0.25)
            self.assertEqual(self.connects(), connects + 1)

    def test_after_a_stream_that_lasted_a_drop_is_followed_at_once_again(self) -> None:
        self.start()
        for _ in range(3):
            self.post("#aea")
            self.fault("close")
            self.advance(61)
        self.assertEqual(self.connects(), 4)
        self.fault("close")
        self.assertEqual(self.connects(), 5)

    def test_a_keep_alive_makes_a_stream_an_established_one(self) -> None:
        self.start()
        self.advance(20)
        self.fault("close")
        self.assertEqual(self.connects(), 2)

    def test_a_stream_that_ended_before_anything_came_is_an_http_error(self) -> None:
        self.start()
        self.fault("close")
        self.assertEqual(self.connects(), 1)
        self.advance(4.75)
        self.assertEqual(self.connects(), 1)
        self.advance(0.25)
        self.assertEqual(self.connects(), 2)
        self.fault("close")
        self.advance(9.75)
        self.assertEqual(self.connects(), 2)
        self.advance(0.25)
        self.assertEqual(self.connects(), 3)

    def test_an_empty_200_is_the_same(self) -> None:
        self.x.fault("empty", times=3)
        self.start()
        self.advance(5 + 10 + 19.75)
        self.assertEqual(self.connects(), 3)
        self.advance(0.25)
        self.assertEqual(self.connects(), 4)

    def test_upstream_36_bad_chunk_size_is_a_lost_connection(self) -> None:
        self.start()
        self.post("#aea")
        self.fault("bad-chunk")
        self.assertEqual(self.connects(), 2)
        self.post("again #aea")
        self.assertEqual(self.sink.texts(), ["#aea", "again #aea"])


class DisconnectTests(XCase):
    def test_operational_disconnect_is_followed_at_once(self) -> None:
        for keep_open in (0, 1):
            self.start()
            self.post("#aea")
            self.fault("disconnect", keep_open=keep_open)
            self.assertEqual(self.connects(), 2)
            self.assertEqual(self.check().data["reconnects"], 1)
            self.stop()
            self.setUp()

    def test_reason_of_a_disconnect_before_anything_came(self) -> None:
        self.start()
        self.fault("disconnect", keep_open=1)
        self.assertIn("UpstreamOperationalDisconnect", self.check().detail)
        self.assertEqual(self.x.streams, [])
        self.advance(5)
        self.assertEqual(self.connects(), 2)

    def test_upstream_09_disconnect_beside_a_post_keeps_the_post(self) -> None:
        self.start()
        id_ = self.x.post("last words #aea", deliver=False)
        self.fault("disconnect-with-post", id=id_)
        self.assertEqual(self.sink.texts(), ["last words #aea"])
        self.assertEqual(self.connects(), 2)


class StallTests(XCase):
    def test_upstream_01_keep_alives_alone_keep_it_connected(self) -> None:
        self.start()
        self.advance(65)
        self.assertEqual(self.connects(), 1)
        self.assertEqual(self.sink.offers, [])
        self.assertEqual(self.state(), "ok")
        self.assertEqual(self.check().data["last_byte_at"], "2026-03-01T09:01:00.000Z")

    def test_upstream_02_silence_is_noticed_within_30_s_and_the_connection_replaced(self) -> None:
        self.start()
        self.post("#aea")
        self.advance(7)
        self.post("#aea")
        self.fault("stall")
        self.advance(STALL_S - 0.25)
        self.assertEqual(self.connects(), 1)
        self.advance(0.5)
        self.assertEqual(self.connects(), 2)
        self.assertEqual(len(self.x.streams), 1)
        self.post("back #aea")
        self.assertEqual(self.sink.texts()[-1], "back #aea")

    def test_a_stream_that_never_says_anything_is_not_replaced_at_once(self) -> None:
        self.start()
        self.fault("stall")
        self.advance(STALL_S)
        self.assertEqual((self.connects(), self.x.streams), (1, []))
        self.advance(5)
        self.assertEqual(self.connects(), 2)


class StatusTests(XCase):
    def connects_over(self, seconds: list[float]) -> list[float]:
        """When connections were asked for within these waits, relative to the one before."""
        found = []
        for wait in seconds:
            before = self.connects()
            self.advance(wait - 0.25)
            self.assertEqual(self.connects(), before, f"too early: {wait}")
            self.advance(0.25)
            self.assertEqual(self.connects(), before + 1, f"too late: {wait}")
            found.append(wait)
        return found

    def test_5xx_is_retried_after_5_s_doubling_to_320(self) -> None:
        self.x.fault("unavailable", times=9)
        self.start()
        self.connects_over([5, 10, 20, 40, 80, 160, 320, 320, 320])
        self.assertEqual(len(self.x.streams), 1)

    def test_the_ladder_starts_anew_after_data_not_after_a_mere_200(self) -> None:
        self.x.fault("unavailable", times=2)
        self.start()
        self.advance(15)
        self.x.fault("unavailable", times=2)
        self.fault("close")  # nothing had come: the next step of the ladder
        self.connects_over([20, 40, 80])
        self.post("#aea")
        self.x.fault("unavailable", times=2)
        self.fault("close")
        self.connects_over([5, 10])

    def test_connections_that_cannot_be_made_are_retried_after_a_quarter_second_more_each_time(self) -> None:
        self.x.fault("reset", times=5)
        self.start()
        self.connects_over([0.25, 0.5, 0.75, 1.0, 1.25])
        self.assertEqual(len(self.x.streams), 1)

    def test_no_answer_in_time_is_a_network_error(self) -> None:
        agent = SilentAgent()
        self.stream = self.make(HTTPClient(agent))
        self.start()
        self.advance(19.75)
        self.assertEqual(len(agent.asked), 1)
        self.advance(0.25)
        self.assertIn("api.example did not answer within 20 s", self.check().detail)
        self.advance(0.25)
        self.assertEqual(len(agent.asked), 2)

    def test_upstream_28_http_401_is_not_hammered_and_told(self) -> None:
        self.x.fault("unauthorized", times=2)
        self.start()
        self.assertEqual(self.state(), "failed")
        self.assertIn("HTTP 401, Unauthorized: check the bearer token", self.check().detail)
        self.connects_over([900, 900])
        self.post("#aea")
        self.assertEqual(self.state(), "ok")

    def test_upstream_28_also_when_the_rules_say_so(self) -> None:
        self.x.fault("unauthorized", on="rules", times=2)
        self.start()
        self.assertEqual(self.state(), "failed")
        self.advance(899)
        self.assertEqual(len(self.x.requests), 1)

    def test_upstream_29_http_403_is_told_with_its_reason(self) -> None:
        self.x.fault("forbidden")
        self.start()
        check = self.check()
        self.assertEqual(check.state, "failed")
        self.assertIn("client-not-enrolled", check.detail)
        self.assertEqual(check.data["next_attempt_at"], "2026-03-01T09:15:00.000Z")
        self.advance(899)
        self.assertEqual(self.connects(), 1)

    def test_upstream_30_waits_until_the_reset_and_not_a_moment_less(self) -> None:
        for status in (429, 420):
            self.x.fault("rate-limited", reset_in=300, status=status)
            self.start()
            self.advance(300)
            self.assertEqual(self.connects(), 1, status)
            self.advance(2.25)
            self.assertEqual(self.connects(), 2, status)
            self.stop()
            self.setUp()

    def test_upstream_30_for_the_rules_too(self) -> None:
        self.x.fault("rate-limited", reset_in=300, on="rules")
        self.start()
        self.advance(300)
        self.assertEqual(len(self.x.requests), 1)
        self.advance(2.25)
        self.assertEqual(self.connects(), 1)

    def test_upstream_31_impossible_resets_mean_the_ladder(self) -> None:
        for reset_in in (-10, -int(NOW) - 5, 10**12):
            self.x.fault("rate-limited", reset_in=reset_in, times=6)
            self.start()
            self.connects_over([60, 120, 240, 480, 900, 900])
            self.stop()
            self.setUp()

    def test_too_many_connections_wait_a_minute(self) -> None:
        self.x.max_streams = 0
        self.start()
        self.assertIn("TooManyConnections", self.check().detail)
        self.x.max_streams = 1
        self.connects_over([60])
        self.assertEqual(len(self.x.streams), 1)

    def test_409_synchronises_the_rules_again(self) -> None:
        self.start()
        self.post("#aea")
        self.x.rules.clear()
        self.fault("close")
        self.assertIn("X has no rules in force", self.check().detail)
        self.advance(5)
        self.assertEqual([rule["tag"] for rule in self.x.rules.values()], ["afeed:aea"])
        self.post("again #aea")
        self.assertEqual(self.sink.texts(), ["#aea", "again #aea"])

    def test_409_although_there_are_rules_does_not_become_a_loop(self) -> None:
        self.x.fault("no-rules", times=4)
        self.start()
        self.connects_over([5, 10, 20, 40])
        self.assertEqual(len(self.x.streams), 1)


class StrangerTests(XCase):
    def test_upstream_33_html_is_not_parsed(self) -> None:
        self.x.fault("html")
        self.start()
        self.assertEqual(self.connects(), 1)
        self.assertIn("text/html instead of JSON", self.check().detail)
        self.assertEqual((self.sink.drops, self.check().data["dropped"]), ([], {}))
        self.advance(5)
        self.post("#aea")
        self.assertEqual(self.sink.texts(), ["#aea"])

    def test_upstream_33_for_the_rules_too(self) -> None:
        self.x.fault("html", on="rules")
        self.start()
        self.assertIn("not JSON", self.check().detail)
        self.advance(5)
        self.assertEqual(self.connects(), 1)

    def test_upstream_34_redirects_are_not_followed_and_told(self) -> None:
        for on in ("stream", "rules"):
            self.x.fault("redirect", to="http://elsewhere.example/x?y", on=on, times=2)
            self.start()
            self.assertIn("redirects to http://elsewhere.example;", self.check().detail)
            self.advance(9)
            self.assertEqual(self.state(), "failed")
            self.assertTrue(all(path.startswith("/2/tweets/search") for _, path in self.x.requests))
            self.advance(10)
            self.assertEqual(len(self.x.streams), 1)
            self.stop()
            self.setUp()


class HealthTests(XCase):
    def test_before_and_after_it_runs(self) -> None:
        self.assertEqual(self.state(), "degraded")
        self.start()
        self.assertEqual(self.state(), "ok")
        self.stop()
        self.assertEqual(self.state(), "degraded")
        self.assertIn("not running", self.check().detail)

    def test_nothing_wanted_is_in_order(self) -> None:
        self.wanted = {}
        self.start()
        self.advance(120)
        self.assertEqual(self.state(), "ok")

    def test_degraded_for_the_first_seconds_then_failed_with_why_and_when_next(self) -> None:
        self.start()
        self.post("#aea")
        self.x.fault("unavailable", times=4)
        self.fault("close")
        self.assertEqual(self.state(), "degraded")
        self.advance(7)
        self.assertEqual(self.state(), "degraded")
        self.advance(2)
        check = self.check()
        self.assertEqual(check.state, "failed")
        self.assertEqual(
            check.detail, "no stream: HTTP 503, Service Unavailable; next attempt at 2026-03-01T09:00:15.050Z"
        )
        self.assertEqual(check.data["state"], "waiting")
        self.assertEqual(check.data["last_item_at"], "2026-03-01T09:00:00.000Z")
        self.assertIsNone(check.data["connected_at"])
        self.advance(70)
        self.assertEqual(self.state(), "ok")
        self.assertIsNone(self.check().data["next_attempt_at"])

    def test_streams_that_bring_nothing_do_not_look_healthy(self) -> None:
        self.start()
        self.fault("close")
        self.advance(5)
        self.assertEqual(len(self.x.streams), 1)
        self.assertEqual(self.state(), "degraded")
        self.advance(4)
        self.assertEqual(self.state(), "failed")
        self.advance(20)
        self.assertEqual(self.state(), "ok")
