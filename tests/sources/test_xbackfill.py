"""What the X stream missed is fetched: in memory, on a clock, into a log that recognises repetitions."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from twisted.internet.defer import fail

from afeed.core.backfill import FIRST_S, HIDDEN_S, MARGIN_S
from afeed.core.change import timestamp
from afeed.core.errors import LeaseLost, LogUnavailable
from afeed.metrics import Metrics
from afeed.pipeline import Intake
from afeed.settings import Secret, XAccount
from afeed.sources.x import SETTLE_S, XStream
from afeed.sources.xbackfill import MAX_PAGES
from tests.fakes import FakeLead, MemoryLog
from tests.sources.xcase import NOW, TOKEN, RecordingSink, XCase

#: So long after the stream is live again everything has been found.
FILLED_S = MARGIN_S + HIDDEN_S + 5


class BackFillCase(XCase):
    """The stream feeds a log, as it does in a node."""

    def setUp(self) -> None:
        self.live_log = MemoryLog(["aea", "conf"])
        super().setUp()
        self.sink: Any = Intake(self.live_log, self.clock, Metrics(self.now), self.now, FakeLead())

    def make(self, http: Any) -> XStream:
        account = XAccount(bearer_token=Secret(TOKEN), api_url="http://api.example/")
        return XStream(
            account,
            lambda: self.wanted,
            http,
            self.clock,
            self.now,
            Random(1),
            stored=lambda slug: self.live_log.position(slug, "x"),
        )

    def live(self) -> None:
        """A stream that is live and has nothing left to do."""
        self.start()
        self.advance(FIRST_S, step=5)
        self.assertEqual(self.check().data["filling"], {})
        self.x.requests.clear()

    def outage(self, seconds: float) -> None:
        """Cut the stream and let X answer only after so many seconds."""
        self.cut()
        self.advance(seconds, step=1)
        self.heal()

    def cut(self) -> None:
        self.x.fault("unavailable", times=1000)
        self.x.fault("abort")
        self.flush()
        self.advance(SETTLE_S)

    def heal(self) -> None:
        self.x.refusals.pop("stream", None)
        while not self.x.streams:
            self.advance(1)

    def searches(self) -> int:
        return sum(path == "/2/tweets/search/recent" for _, path in self.x.requests)

    def changes(self, kind: str = "item.posted", event: str = "aea") -> list[dict[str, Any]]:
        changes = [json.loads(change.json) for change in self.live_log.events[event].changes]
        return [change for change in changes if change["type"] == kind]

    def texts(self, event: str = "aea") -> list[str]:
        """What was posted, in the order of the log."""
        return [change["item"]["text"] for change in self.changes(event=event)]

    def gaps(self) -> list[tuple[str, int, str]]:
        return [(gap["state"], gap["fetched"], gap["reason"]) for gap in self.changes("source.gap")]


class OutageTests(BackFillCase):
    def test_posts_of_a_long_outage_are_fetched_oldest_first_and_once(self) -> None:
        self.live()
        self.post("before #aea")
        self.cut()
        for number in range(9):
            self.x.post(f"missed {number} #aea")
            self.x.post("somebody else's #conf")
            self.advance(10, step=1)
        self.heal()
        self.post("live #aea")
        self.advance(FILLED_S)
        self.assertEqual(
            sorted(self.texts()), sorted(["before #aea", "live #aea", *(f"missed {n} #aea" for n in range(9))])
        )
        missed = [text for text in self.texts() if text.startswith("missed")]
        self.assertEqual(missed, sorted(missed))
        self.assertEqual(self.gaps(), [("open", 0, "outage"), ("closed", 9, "outage")])
        opened, closed = self.changes("source.gap")
        self.assertEqual((opened["from"], opened["to"]), (closed["from"], None))
        self.assertGreater(closed["to"], closed["from"])
        self.assertEqual(self.check().state, "ok")

    def test_a_live_post_is_not_behind_the_pages(self) -> None:
        self.live()
        self.cut()
        for number in range(250):
            self.x.post(f"missed {number} #aea")
        self.advance(60, step=1)
        self.heal()
        self.post("live #aea")
        self.assertEqual(self.texts(), ["live #aea"])
        self.advance(2)
        self.post("live again #aea")
        self.assertIn("live again #aea", self.texts())
        self.advance(FILLED_S)
        self.assertEqual(len(self.texts()), 252)
        missed = [int(text.split()[1]) for text in self.texts() if text.startswith("missed")]
        self.assertEqual(missed, list(range(250)))

    def test_posts_within_the_hidden_half_minute_are_found_when_it_is_over(self) -> None:
        self.live()
        self.fault("abort")
        self.x.post("in between #aea", deliver=False)
        self.post("live #aea")
        self.advance(FILLED_S - 10)
        self.assertEqual(self.texts(), ["live #aea"])
        self.advance(10)
        self.assertEqual(self.texts(), ["live #aea", "in between #aea"])
        self.assertEqual(self.gaps(), [])
        self.assertEqual(self.searches(), 1)

    def test_a_stream_that_went_silent_is_filled_in_from_its_last_byte(self) -> None:
        self.live()
        self.x.fault("stall")
        for _ in range(3):
            self.x.post("into the void #aea")
            self.advance(5)
        self.advance(30)
        self.assertEqual(len(self.x.streams), 1)
        self.post("live #aea")
        self.advance(FILLED_S)
        self.assertEqual(self.texts().count("into the void #aea"), 3)

    def test_an_edit_during_the_outage(self) -> None:
        self.live()
        first = self.post("tpyo #aea")
        self.cut()
        self.x.post("typo #aea", edits=first)
        self.advance(60, step=1)
        self.heal()
        self.advance(FILLED_S)
        (edited,) = self.changes("item.edited")
        self.assertEqual((edited["item"]["id"], edited["item"]["text"]), (f"x:{first}", "typo #aea"))

    def test_a_post_that_came_and_went_during_the_outage_is_not_shown(self) -> None:
        self.live()
        self.cut()
        gone = self.x.post("never mind #aea")
        self.x.delete(gone)
        self.advance(60, step=1)
        self.heal()
        self.advance(FILLED_S)
        self.assertEqual(self.texts(), [])

    def test_each_event_is_searched_with_its_own_rule(self) -> None:
        self.wanted = {"aea": "#aea", "conf": "#conf lang:de"}
        self.live()
        self.cut()
        for text, lang in (("one #aea", "en"), ("two #conf", "en"), ("drei #aea #conf", "de")):
            self.x.post(text, lang=lang)
        self.advance(60, step=1)
        self.heal()
        self.advance(FILLED_S + 10)
        self.assertEqual(self.texts("aea"), ["one #aea", "drei #aea #conf"])
        self.assertEqual(self.texts("conf"), ["drei #aea #conf"])

    def test_a_rule_that_x_takes_late_is_filled_in_too(self) -> None:
        self.wanted = {"aea": "#aea"}
        self.live()
        self.x.refuse(503, on="rules", times=3)
        self.wanted = {"aea": "#aea", "conf": "#conf"}
        self.advance(70)
        self.x.post("too early for the rule #conf")
        self.advance(400)
        self.assertEqual(self.texts("conf"), ["too early for the rule #conf"])


class StopTests(BackFillCase):
    def again(self) -> None:
        """Start a new stream, as after a restart: it knows what the log knows."""
        self.stream = self.make(self.http)
        self.start()

    def test_a_night_without_afeed_is_filled_in(self) -> None:
        self.live()
        self.post("good night #aea")
        self.stop()
        self.x.post("3 o'clock #aea")
        self.clock.advance(4 * 3600)
        self.x.post("7 o'clock #aea")
        self.clock.advance(4 * 3600)
        self.x.post("good morning #aea")
        self.again()
        self.advance(FILLED_S + 20)
        self.assertEqual(
            self.texts(), ["good night #aea", "3 o'clock #aea", "7 o'clock #aea", "good morning #aea"]
        )
        self.assertEqual(self.gaps(), [("open", 0, "outage"), ("closed", 3, "outage")])

    def test_a_quick_restart_leaves_no_record_and_no_hole(self) -> None:
        self.live()
        self.advance(17)
        self.stop()
        self.x.post("meanwhile #aea")
        self.clock.advance(3)
        self.again()
        self.advance(FILLED_S + 20)
        self.assertEqual(self.texts(), ["meanwhile #aea"])
        self.assertEqual(self.gaps(), [])

    def test_a_stop_in_the_middle_of_the_filling_loses_nothing(self) -> None:
        self.live()
        self.cut()
        self.x.post("missed #aea")
        self.advance(10, step=1)
        self.heal()
        self.post("live #aea")
        self.advance(10)
        self.stop()
        self.clock.advance(600)
        self.again()
        self.advance(FILLED_S + 20)
        self.assertEqual(self.texts(), ["live #aea", "missed #aea"])
        self.assertEqual(self.gaps()[-1][0], "closed")

    def test_a_quiet_stream_says_from_time_to_time_how_far_it_is(self) -> None:
        self.live()
        self.advance(3600, step=5)
        stored = json.loads(self.live_log.events["aea"].positions["x"])
        self.assertGreater(stored["live_at"], timestamp(self.now() - 45))
        self.assertEqual(self.live_log.events["aea"].changes, [])

    def test_a_stop_before_x_ever_answered_is_filled_in_from_the_first_start_on(self) -> None:
        self.x.fault("unavailable", times=1000)
        self.start()
        self.x.post("early #aea")
        self.advance(30)
        self.stop()
        self.clock.advance(2 * 3600)
        self.x.refusals.clear()
        self.again()
        self.advance(FILLED_S + 20)
        self.assertEqual(self.texts(), ["early #aea"])

    def test_the_first_start_fetches_the_last_quarter_of_an_hour(self) -> None:
        self.x.post("an hour ago #aea")
        self.clock.advance(3600 - 600)
        self.x.post("ten minutes ago #aea")
        self.clock.advance(600)
        self.start()
        self.advance(FILLED_S + 20)
        self.assertEqual(self.texts(), ["ten minutes ago #aea"])
        self.assertEqual(self.gaps(), [])


class OverTests(BackFillCase):
    def test_an_outage_that_outlasts_an_event_has_an_end_and_stays_open(self) -> None:
        self.wanted = {"aea": "#aea", "conf": "#conf"}
        self.live()
        self.cut()
        self.advance(60, step=1)
        self.wanted = {"conf": "#conf"}
        self.advance(120, step=1)
        opened, over = self.changes("source.gap")
        self.assertEqual((over["from"], over["state"], over["reason"]), (opened["from"], "open", "event-over"))
        self.assertLess(over["to"], timestamp(NOW + FIRST_S + 60 + 70))
        self.assertEqual([gap["to"] for gap in self.changes("source.gap", "conf")], [None])
        self.wanted = {}  # and the last one, together with which the source ends
        self.stop()
        self.assertEqual(self.changes("source.gap", "conf")[-1]["reason"], "event-over")

    def test_an_event_that_ends_while_the_stream_is_live_has_no_outage(self) -> None:
        self.wanted = {"aea": "#aea", "conf": "#conf"}
        self.live()
        self.wanted = {"conf": "#conf"}
        self.advance(300, step=1)
        self.cut()
        self.advance(60, step=1)
        self.stop()
        self.assertEqual(self.gaps(), [])

    def test_an_event_whose_days_begin_again_is_filled_in_from_where_they_ended(self) -> None:
        self.live()
        self.cut()
        self.wanted = {}
        self.advance(120, step=1)
        self.x.post("in between #aea")
        self.advance(120, step=1)
        self.x.refusals.clear()
        self.wanted = {"aea": "#aea"}
        self.advance(120 + FILLED_S, step=1)
        self.assertEqual(self.texts(), ["in between #aea"])
        self.assertEqual(self.gaps()[-1], ("closed", 1, "outage"))


class SearchTroubleTests(BackFillCase):
    def test_a_rate_limit_is_respected(self) -> None:
        self.live()
        self.cut()
        self.x.post("missed #aea")
        self.advance(60, step=1)
        self.x.fault("rate-limited", on="search", reset_in=600)
        self.heal()
        self.advance(500)
        self.assertEqual(self.searches(), 1)
        self.assertEqual(self.texts(), [])
        self.assertEqual(self.check().state, "degraded")
        self.assertIn("are missing: the search is refused (HTTP 429", self.check().detail)
        self.assertEqual(self.gaps()[-1], ("open", 0, "search-failed"))
        self.post("the stream goes on #aea")
        self.advance(100)
        self.assertEqual(self.texts(), ["the stream goes on #aea", "missed #aea"])
        self.assertEqual(self.gaps()[-1], ("closed", 1, "outage"))
        self.assertEqual(self.check().state, "ok")

    def test_while_the_search_is_down_the_gap_stays_open_and_closes_later(self) -> None:
        for fault in ("unavailable", "reset", "html", "gzip-bomb", "redirect"):
            self.live()
            self.x.fault(fault, on="search", times=1000, **({"megabytes": 1} if fault == "gzip-bomb" else {}))
            self.cut()
            self.x.post(f"missed {fault} #aea")
            self.advance(60, step=1)
            self.heal()
            self.advance(600, step=1)
            self.assertEqual(self.check().state, "degraded", fault)
            self.assertEqual(self.gaps()[-1][0], "open", fault)
            self.assertLess(self.searches(), 90, fault)
            self.x.refusals.pop("search")
            self.advance(1000, step=1)
            self.assertEqual(self.texts(), [f"missed {fault} #aea"], fault)
            self.assertEqual(self.gaps()[-1], ("closed", 1, "outage"), fault)
            self.assertEqual(self.check().state, "ok", fault)
            self.stop()
            self.setUp()

    def test_pages_that_came_before_a_fault_are_kept(self) -> None:
        self.live()
        self.cut()
        for number in range(250):
            self.x.post(f"missed {number} #aea")
        self.advance(60, step=1)
        self.heal()
        self.post("live #aea")
        self.advance(3.5)
        self.x.fault("rate-limited", on="search", reset_in=300)
        self.advance(10)
        self.assertEqual(len(self.texts()), 201)
        self.advance(400)
        self.assertEqual(len(self.texts()), 251)
        self.assertEqual(len(set(self.texts())), 251)
        self.assertEqual(self.gaps()[-1], ("closed", 250, "outage"))

    def test_the_quota_is_never_exceeded(self) -> None:
        self.live()
        self.cut()
        for number in range(2500):
            self.x.post(f"missed {number} #aea", deliver=False)
        self.advance(60, step=1)
        self.heal()
        self.advance(200)
        self.assertEqual(len(self.texts()), 2500)
        self.assertGreaterEqual(self.searches(), 25)
        self.assertLessEqual(self.searches() * 900 / 200, 450)

    def test_a_rule_that_cannot_be_searched_leaves_the_gap_open_and_says_so(self) -> None:
        self.wanted = {"aea": "#aea sample:50"}
        self.x.change_rules({"add": [{"value": "#aea", "tag": "afeed:aea"}]}, False)
        self.x.change_rules = lambda body, dry_run: (201, {"data": body.get("add", [])})  # type: ignore
        self.live()
        self.outage(60)
        self.advance(FILLED_S)
        self.assertEqual(self.searches(), 0)
        self.assertEqual(self.gaps()[-1], ("open", 0, "not-searchable"))
        self.assertEqual(self.check().state, "degraded")
        self.assertIn("`sample:`", self.check().detail)
        self.post("the stream goes on #aea")
        self.assertEqual(self.texts(), ["the stream goes on #aea"])

    def test_a_rule_that_is_too_long_for_the_search_is_told_in_xs_words(self) -> None:
        self.wanted = {"aea": "#aea -" + "x" * 600}
        self.start()
        self.advance(FIRST_S + 100, step=5)
        self.assertEqual((self.gaps(), self.check().state), ([], "ok"))
        self.outage(60)
        self.advance(FILLED_S)
        self.assertEqual(self.gaps()[-1], ("open", 0, "search-failed"))
        self.assertIn("512 characters", self.check().detail)

    def test_pages_without_end_are_given_up_and_told(self) -> None:
        self.live()
        self.cut()
        posts = json.dumps({"meta": {"result_count": 0, "next_token": "again and again"}}).encode()
        self.x.refuse(200, posts, on="search", times=1000)
        self.advance(60, step=1)
        self.heal()
        self.advance(600)
        self.assertEqual(self.searches(), MAX_PAGES)
        self.assertEqual(self.gaps()[-1], ("open", 0, "too-many"))
        self.assertIn("more than 100 pages", self.check().detail)

    def test_nonsense_from_the_search_is_a_fault_like_others(self) -> None:
        for nonsense in (b"", b"[1", b'"x"', b'{"errors":[{"title":"Boom"}]}', b'{"a":' * 5000, b"\xff\xfe"):
            self.live()
            self.cut()
            self.x.post("missed #aea")
            self.x.refuse(200, nonsense, on="search")
            self.advance(60, step=1)
            self.heal()
            self.post("live #aea")
            self.advance(2)
            self.assertEqual(self.check().state, "degraded", nonsense)
            self.advance(FILLED_S)
            self.assertEqual(self.texts(), ["live #aea", "missed #aea"], nonsense)
            self.assertEqual(self.check().state, "ok", nonsense)
            self.stop()
            self.setUp()

    def test_a_search_that_waits_is_given_up_when_afeed_stops(self) -> None:
        self.live()
        self.cut()
        self.x.fault("rate-limited", on="search", reset_in=600)
        self.advance(60, step=1)
        self.heal()
        self.advance(10)
        self.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class LogTroubleTests(BackFillCase):
    def test_a_log_that_is_away_at_the_start_is_waited_for_before_anything_is_offered(self) -> None:
        self.live()
        self.post("before #aea")
        self.stop()
        position = self.live_log.position
        self.live_log.position = lambda *_: fail(LogUnavailable("away"))  # type: ignore[method-assign]
        self.clock.advance(3600)
        self.x.post("missed #aea")
        self.clock.advance(3600)
        self.stream = self.make(self.http)
        self.start()
        self.advance(60)
        self.assertEqual(self.x.streams, [])
        self.live_log.position = position  # type: ignore[method-assign]
        self.advance(FILLED_S + 20)
        self.assertEqual(self.texts(), ["before #aea", "missed #aea"])

    def test_a_log_that_goes_away_during_the_filling_is_waited_for(self) -> None:
        self.live()
        self.cut()
        self.x.post("missed #aea")
        self.advance(60, step=1)
        self.live_log.fault = LogUnavailable("away")
        self.heal()
        self.advance(120)
        self.assertEqual(self.texts(), [])
        self.live_log.fault = None
        self.advance(60)
        self.assertEqual(self.texts(), ["missed #aea"])
        self.assertEqual(self.gaps()[-1], ("closed", 1, "outage"))

    def test_a_lost_lease_ends_the_source(self) -> None:
        self.live()
        self.cut()
        self.x.post("missed #aea")
        self.advance(60, step=1)
        self.heal()
        self.live_log.fault = LeaseLost("another node runs the sources")
        self.advance(30)
        self.failureResultOf(self.running, LeaseLost)
        self.assertEqual(self.x.streams, [])

    def test_no_position_is_stored_ahead_of_posts_that_wait(self) -> None:
        self.sink = RecordingSink()
        self.start()
        self.post("first #aea")
        self.sink.holding = True
        self.post("held #aea")
        before = self.sink.positions["aea"]
        self.advance(120)
        self.assertEqual(self.sink.positions["aea"], before)
        self.sink.release()
        self.advance(60)
        self.assertGreater(json.loads(self.sink.positions["aea"])["live_at"], json.loads(before)["live_at"])


class TimeTests(BackFillCase):
    def test_the_outage_is_told_while_it_lasts(self) -> None:
        self.live()
        self.cut()
        self.advance(4)
        self.assertEqual(self.gaps(), [])
        self.advance(2)
        (gap,) = self.changes("source.gap")
        self.assertEqual((gap["source"], gap["to"], gap["state"]), ("x", None, "open"))
        self.assertEqual(gap["from"][:16], timestamp(NOW + FIRST_S)[:16])
