"""The simulated X keeps to what X does."""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from random import Random
from typing import Any

from treq.testing import StubTreq
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.lines import LineReader
from afeed.core.normalise.x import read_message, read_page
from tests.servers.process import ServerProcess, answers, free_port, wait_until
from tests.simulators.x import XSimulator
from tests.simulators.xfaults import FAULTS, WrongOption, inject
from tests.simulators.xhttp import Root
from tests.simulators.xmatch import InvalidRule, Matcher
from tests.simulators.xposts import AUTHORS

NOW = 1_772_355_600.0
RULES = "/2/tweets/search/stream/rules"


class MatchTests(SynchronousTestCase):
    def matches(self, rule: str, text: str, **known: Any) -> bool:
        words = text.lower().split()
        facts = {
            "text": text,
            "hashtags": {word[1:] for word in words if word.startswith("#")},
            "mentions": {word[1:] for word in words if word.startswith("@")},
            "username": "ann",
            "lang": "en",
            "is": set(),
            "has": set(),
        }
        return Matcher(rule).matches({**facts, **known})

    def test_and_binds_tighter_than_or(self) -> None:
        self.assertTrue(self.matches("#a #b OR #c", "#c"))
        self.assertTrue(self.matches("#a #b OR #c", "#b #A"))
        self.assertFalse(self.matches("#a #b OR #c", "#a"))
        self.assertFalse(self.matches("#a (#b OR #c)", "#c"))

    def test_terms(self) -> None:
        self.assertTrue(self.matches("keynote", "The Keynote!"))
        self.assertFalse(self.matches("key", "The Keynote!"))
        self.assertTrue(self.matches('"event apart"', "An Event Apart"))
        self.assertTrue(self.matches("from:ann -is:retweet lang:en", "hi"))
        self.assertFalse(self.matches("#a -is:retweet", "#a", **{"is": {"retweet"}}))
        self.assertTrue(self.matches("@ann has:links", "@ann", has={"links"}))
        self.assertFalse(self.matches("#a -#b", "#a #b"))

    def test_rules_that_are_not_valid(self) -> None:
        for rule in ("", "(#a", "#a)", "#a OR", "()", "-(#a)", "is:retweet", "nonsense:x", '"a', "x" * 1025):
            self.assertRaises(InvalidRule, Matcher, rule)

    def test_words_that_make_a_post_match(self) -> None:
        for rule in ("#aea", '(#aea OR #b) -is:retweet "event apart"', "a (b OR c) lang:en"):
            words = " ".join(Matcher(rule).words)
            self.assertTrue(self.matches(rule, words), words)


class ApiTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.x = XSimulator(self.clock, lambda: NOW + self.clock.seconds(), token="t")
        self.http = StubTreq(Root(self.x))

    def ask(self, method: str, path: str, token: str = "t", **options: Any) -> tuple[int, Any, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        response = self.successResultOf(
            self.http.request(method, "http://x.example" + path, headers=headers, reactor=self.clock, **options)
        )
        body = self.successResultOf(self.http.content(response))
        return response.code, json.loads(body), response.headers

    def change(self, query: str = "", **body: Any) -> tuple[int, Any]:
        return self.ask("POST", RULES + query, data=json.dumps(body).encode())[:2]

    def test_needs_the_token_and_knows_its_paths(self) -> None:
        self.assertEqual(self.ask("GET", RULES, token="other")[0], 401)
        self.assertEqual(self.ask("GET", "/2/elsewhere")[0], 404)

    def test_rules_come_and_go(self) -> None:
        self.assertNotIn("data", self.ask("GET", RULES)[1])
        status, answer = self.change(add=[{"value": "#a", "tag": "t"}, {"value": "#b"}])
        self.assertEqual((status, answer["meta"]["summary"]["created"]), (201, 2))
        listed = self.ask("GET", RULES)[1]
        self.assertEqual([rule.get("tag") for rule in listed["data"]], ["t", None])
        status, answer = self.change(delete={"ids": [listed["data"][0]["id"], "77"]})
        self.assertEqual((status, answer["meta"]["summary"]), (200, {"deleted": 1, "not_deleted": 1}))
        self.assertEqual(self.change(delete={"values": ["#b"]})[1]["meta"]["summary"]["deleted"], 1)
        self.assertEqual(self.x.rules, {})

    def test_rule_errors_come_inside_a_2xx(self) -> None:
        self.x.max_rules = 1
        rules = [{"value": "#a"}, {"value": "#a"}, {"value": "(#b"}, {"value": "#c"}]
        status, answer = self.change(add=rules)
        self.assertEqual(status, 201)
        kinds = [error["type"].rpartition("/")[2] for error in answer["errors"]]
        self.assertEqual(kinds, ["duplicate-rules", "invalid-rules", "rule-cap"])
        self.assertEqual(answer["meta"]["summary"], {"created": 1, "not_created": 3, "valid": 1, "invalid": 3})

    def test_dry_run_changes_nothing_and_delete_all_everything(self) -> None:
        self.assertEqual(self.change("?dry_run=true", add=[{"value": "#a"}])[1]["meta"]["summary"]["valid"], 1)
        self.assertEqual(self.x.rules, {})
        self.change(add=[{"value": "#a"}])
        self.change("?delete_all=true")
        self.assertEqual(self.x.rules, {})

    def test_pages_of_rules(self) -> None:
        self.change(add=[{"value": f"#r{n}"} for n in range(7)])
        first = self.ask("GET", RULES + "?max_results=5")[1]
        second = self.ask("GET", RULES + f"?max_results=5&pagination_token={first['meta']['next_token']}")[1]
        self.assertEqual((len(first["data"]), len(second["data"])), (5, 2))
        self.assertNotIn("next_token", second["meta"])

    def test_stream_needs_rules(self) -> None:
        self.assertEqual(self.ask("GET", "/2/tweets/search/stream")[0], 409)

    def test_rate_limit_headers_count_down_to_429_and_reset_with_the_window(self) -> None:
        self.x.limits["rules"] = 2
        left = [self.ask("GET", RULES)[2].getRawHeaders("x-rate-limit-remaining") for _ in range(2)]
        self.assertEqual(left, [["1"], ["0"]])
        status, _, headers = self.ask("GET", RULES)
        reset = int(headers.getRawHeaders("x-rate-limit-reset")[0])
        self.assertEqual(status, 429)
        self.assertTrue(NOW < reset <= NOW + 900)
        self.clock.advance(reset - NOW)
        self.assertEqual(self.ask("GET", RULES)[0], 200)

    def search(self, query: str = "%23a", **options: Any) -> Any:
        extra = "".join(f"&{name}={value}" for name, value in options.items())
        return self.ask("GET", f"/2/tweets/search/recent?query={query}{extra}")[1]

    def test_search_pages_backwards_and_hides_the_last_30_seconds(self) -> None:
        ids = []
        for n in range(25):
            ids.append(self.x.post(f"{n} #a", author=AUTHORS[n % 2]))
            self.x.post(f"{n} #other")
            self.clock.advance(1)
        self.clock.advance(20)  # the last ones are 21 s old
        visible = ids[:16]
        first = self.search()
        self.assertEqual([post["id"] for post in first["data"]], visible[:5:-1])
        self.assertEqual(first["meta"]["newest_id"], visible[-1])
        self.assertEqual(len(first["includes"]["users"]), 2)
        second = self.search(next_token=first["meta"]["next_token"])
        self.assertEqual([post["id"] for post in second["data"]], visible[5::-1])
        self.assertNotIn("next_token", second["meta"])
        page = read_page(json.dumps(first).encode())
        self.assertEqual((len(page.drafts), page.next_token), (10, first["meta"]["next_token"]))

    def test_search_since_an_id_or_within_a_time(self) -> None:
        ids = []
        for n in range(4):
            ids.append(self.x.post(f"{n} #a"))
            self.clock.advance(60)
        self.assertEqual([p["id"] for p in self.search(since_id=ids[1])["data"]], ids[:1:-1])
        self.assertEqual([p["id"] for p in self.search(until_id=ids[1])["data"]], ids[:1])
        found = self.search(start_time="2026-03-01T09:01:00Z", end_time="2026-03-01T09:02:30Z")
        self.assertEqual([p["id"] for p in found["data"]], ids[2:0:-1])
        self.assertEqual(self.search(since_id=ids[3]), {"meta": {"result_count": 0}})

    def test_search_refuses_what_x_refuses(self) -> None:
        self.assertEqual(self.ask("GET", "/2/tweets/search/recent?query=(")[0], 400)
        self.assertEqual(self.ask("GET", "/2/tweets/search/recent?query=a&max_results=5")[0], 400)

    def test_invented_posts_match_the_rules_there_are(self) -> None:
        self.change(
            add=[{"value": "(#aea OR aneventapart) -is:retweet", "tag": "afeed:aea"}, {"value": "cats"}]
        )
        rng = Random(4)
        for _ in range(50):
            self.assertIsNotNone(self.x.message(self.x.invented(rng)))


class Reading(Protocol):
    """Feeds a response to a :class:`LineReader`."""

    def __init__(self) -> None:
        self.reader = LineReader()
        self.messages: list[bytes] = []
        self.over = False

    def dataReceived(self, data: bytes) -> None:
        self.messages += self.reader.feed(data)

    def connectionLost(self, reason: object = None) -> None:
        self.over = True


class StatusesFilterTests(SynchronousTestCase):
    """v1.1's stream, as its emulators are expected to be."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.x = XSimulator(self.clock, lambda: NOW + self.clock.seconds(), token="t")
        self.http = StubTreq(Root(self.x))

    def connect(self, **form: str) -> tuple[int, Reading]:
        response = self.successResultOf(
            self.http.post(
                "http://x.example/1.1/statuses/filter.json",
                headers={"Authorization": 'OAuth oauth_token="x"'},
                data=form,
                unbuffered=True,
                reactor=self.clock,
            )
        )
        reading = Reading()
        response.deliverBody(reading)
        return response.code, reading

    def test_delimited_messages_keep_alives_and_deletes(self) -> None:
        _, reading = self.connect(track="#aea, event apart", delimited="length")
        first = self.x.post("Grüße 👋 #aea")
        self.x.post("nothing")
        self.x.post("An Event, apart: اهلا")
        self.clock.advance(20)
        self.x.delete(first)
        self.x.fault("limit")
        self.x.fault("disconnect")
        self.http.flush()
        messages = [read_message(line) for line in reading.messages]
        texts = [draft.item.text for m in messages for draft in m.drafts if hasattr(draft, "item")]
        self.assertEqual(texts, ["Grüße 👋 #aea", "An Event, apart: اهلا"])
        self.assertEqual(messages[2].drafts[0].id, f"x:{first}")  # type: ignore[union-attr]
        kinds = [message.control.kind for message in messages if message.control]
        self.assertEqual(kinds, ["limit", "disconnect"])
        self.assertEqual(reading.reader.keepalives, 1)
        self.assertTrue(reading.over)

    def test_a_second_connection_evicts_the_first(self) -> None:
        _, first = self.connect(track="a")
        _, second = self.connect(track="a")
        self.http.flush()
        self.assertEqual(json.loads(first.messages[0])["disconnect"]["code"], 2)
        self.assertTrue(first.over)
        self.assertFalse(second.over)

    def test_calm_down_and_a_missing_filter(self) -> None:
        self.x.fault("rate-limited", status=420, on="filter")
        self.assertEqual(self.connect(track="a")[0], 420)
        self.assertEqual(self.connect()[0], 406)


class ByHandTests(SynchronousTestCase):
    def test_starts_by_hand_and_takes_orders(self) -> None:
        server = ServerProcess("x-simulator")
        self.addCleanup(server.close)
        port = free_port()
        root = str(Path(__file__).parents[2])
        server.spawn(
            [sys.executable, "-m", "tests.simulators", "x", "--port", str(port), "--rate", "50"],
            env={"PYTHONPATH": root},
        )
        wait_until(lambda: answers(port), "the simulator to listen")
        wait_until(lambda: f"http://127.0.0.1:{port}" in server.output(), "the simulator to say where it is")

        def control(path: str, body: str) -> str:
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/control/{path}", body.encode(), method="POST"
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.read().decode()

        id_ = control("post", "text=hello").strip()
        self.assertTrue(id_.isdigit())
        self.assertEqual(control("fault", "name=unavailable&times=3"), "done\n")
        self.assertEqual(control("delete", f"id={id_}"), "deleted\n")
        with self.assertRaises(urllib.error.HTTPError) as caught:
            control("fault", "name=unknown")
        self.assertIn(b"unavailable", caught.exception.read())
        with self.assertRaises(urllib.error.HTTPError) as caught:
            control("fault", "name=partial-error")
        self.assertEqual(caught.exception.read(), b"partial-error needs id; options: id\n")


class InjectTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.x = XSimulator(Clock(), now=lambda: NOW)

    def test_an_option_that_is_missing_unknown_or_no_number_is_told_in_a_sentence(self) -> None:
        for name, options, sentence in (
            ("partial-error", {}, "partial-error needs id; options: id"),
            ("no-includes", {}, "no-includes needs id; options: id"),
            ("disconnect-with-post", {}, "disconnect-with-post needs id; options: id"),
            ("no-includes", {"id": "7"}, "there is no post 7"),
            ("close", {"times": "2"}, "close knows no times; options: none"),
            ("unavailable", {"times": "two"}, "times of unavailable must be a number, not two"),
            ("split", {"bytes": "-1"}, "bytes of split must be a number, not -1"),
        ):
            self.assertEqual(str(self.assertRaises(WrongOption, inject, self.x, name, options)), sentence)

    def test_none_clears_the_faults_that_wait(self) -> None:
        inject(self.x, "unavailable", {"times": "3"})
        inject(self.x, "rate-limited", {"on": "search"})
        inject(self.x, "none", {})
        self.assertFalse(any(self.x.refusals.values()))


class DocumentationTests(SynchronousTestCase):
    def test_every_fault_is_documented(self) -> None:
        for name, function in FAULTS.items():
            self.assertTrue(function.__doc__, name)
        text = (Path(__file__).parents[2] / "docs" / "simulators.rst").read_text("utf-8")
        listed = re.findall(r"^``([a-z-]+)``  ", text.partition("Flickr\n------")[0], re.MULTILINE)
        self.assertEqual(sorted(listed), sorted(FAULTS))
