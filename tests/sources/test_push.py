"""Items that other programs publish."""

from __future__ import annotations

import hmac
import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.errors import LogFull, LogUnavailable
from afeed.core.filters import Filters
from afeed.interfaces import Recorded
from afeed.organisers.filtering import Rules
from tests.web.samples import make_event
from tests.web.serving import OPEN, TOKEN, Answer, House, request

JSON, NDJSON = "Content-Type: application/json", "Content-Type: application/x-ndjson"
BEARER = f"Authorization: Bearer {TOKEN}"


class PushTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House()
        self.logged: list[str] = []
        observer = lambda event: self.logged.append(repr(event))  # noqa: E731
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def push(self, body: object, *headers: str) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.house.ask("/e/items", *(headers or (BEARER, JSON)), method="POST", body=data)

    def assert_refused(self, answer: Answer, status: int, code: str) -> None:
        self.assertEqual((answer.status, answer.error), (status, code))
        self.assertEqual(self.house.log.events["e"].head, 0)
        self.assertNotIn(TOKEN, answer.body.decode() + repr(answer.headers) + "".join(self.logged))

    def change(self, seq: int) -> Any:
        return json.loads(self.house.log.events["e"].changes[seq - 1].json)

    # -- taken

    def test_an_item_is_recorded_shown_and_acknowledged(self) -> None:
        viewer = self.house.call(request("/e/updates?since=0"))
        answer = self.push({"id": "1", "text": "hello"})
        self.assertEqual(answer.status, 201)
        self.assertEqual(answer.json, {"results": [{"id": "push:1", "seq": 1, "new": True}]})
        self.assertEqual(answer.headers["cache-control"], "no-store")
        item = viewer.answer.json["changes"][0]["item"]
        self.assertEqual((item["text"], item["created_at"]), ("hello", "2027-01-15T08:00:00Z"))

    def test_the_same_body_again_gets_the_same_number(self) -> None:
        body = {"id": "1", "text": "hello", "author": {"name": "Ann"}}
        self.push(body)
        self.house.now += 60
        again = self.push(dict(reversed(body.items())))
        self.assertEqual(
            (again.status, again.json["results"]), (201, [{"id": "push:1", "seq": 1, "new": False}])
        )

    def test_a_different_body_is_an_edit(self) -> None:
        self.push({"id": "1", "text": "helo"})
        answer = self.push({"id": "1", "text": "hello"})
        self.assertEqual(answer.json["results"], [{"id": "push:1", "seq": 2, "new": True}])
        self.assertEqual(self.change(2)["type"], "item.edited")

    def test_several_at_once(self) -> None:
        answer = self.push([{"id": "1", "text": "a"}, {"id": "2", "text": "b"}, {"id": "1", "text": "a"}])
        self.assertEqual([result["seq"] for result in answer.json["results"]], [1, 2, 1])

    def test_one_item_a_line(self) -> None:
        kinds = ("x-ndjson", "ndjson", "jsonl", "x-jsonlines", "X-NDJSON; charset=utf-8")
        for number, kind in enumerate(kinds):
            lines = b'{"id":"a%d","text":"a"}\n\n{"id":"b%d","text":"b"}\n' % (number, number)
            answer = self.push(lines, BEARER, f"Content-Type: application/{kind}")
            self.assertEqual(len(answer.json["results"]), 2, kind)

    def test_new_items_are_counted(self) -> None:
        for _ in range(2):
            self.push([{"id": "1", "text": "a"}, {"id": "2", "text": "b"}])
        self.assertIn('afeed_items_total{event="e",source="push"} 2.0', self.house.metrics.text().decode())

    def test_the_scheme_may_be_written_in_any_case(self) -> None:
        self.assertEqual(
            self.push({"id": "1", "text": "a"}, f"Authorization: bearer {TOKEN}", JSON).status, 201
        )

    # -- refused

    def test_before_and_after_the_days_of_the_event_the_answer_says_when(self) -> None:
        for moment in (OPEN.start - 1, OPEN.end):
            self.house.now = moment
            answer = self.push({"id": "1", "text": "too early, too late"})
            self.assert_refused(answer, 403, "not_now")
            self.assertIn("from 2027-01-14T08:00Z to 2027-01-22T08:00Z", answer.json["detail"])
        self.house.now = OPEN.start
        self.assertEqual(self.push({"id": "1", "text": "in time"}).status, 201)

    def test_strangers_are_not_told_when(self) -> None:
        self.house.now = OPEN.end
        self.assert_refused(self.push({"id": "1", "text": "a"}, JSON), 401, "unauthorized")

    def test_wrong_tokens(self) -> None:
        for value in (
            "",
            "Bearer",
            "Bearer ",
            f"Bearer {TOKEN}x",
            f"Bearer {TOKEN[:-1]}",
            f"Basic {TOKEN}",
            TOKEN,
            "Bearer \xff\xfe",
            f"Bearer {TOKEN} {TOKEN}",
        ):
            answer = self.push({"id": "1", "text": "a"}, f"Authorization: {value}", JSON)
            self.assertEqual(answer.headers["www-authenticate"], "Bearer")
            self.assertEqual((answer.status, answer.error), (401, "unauthorized"))
        self.assert_refused(self.push({"id": "1", "text": "a"}, JSON), 401, "unauthorized")

    def test_a_token_in_the_query_is_no_token(self) -> None:
        answer = self.house.ask(f"/e/items?token={TOKEN}", JSON, method="POST", body=b"{}")
        self.assert_refused(answer, 401, "unauthorized")

    def test_tokens_are_compared_in_constant_time(self) -> None:
        compared: list[tuple[bytes, bytes]] = []
        original = hmac.compare_digest
        self.patch(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or original(a, b))
        self.push({"id": "1", "text": "a"}, "Authorization: Bearer wrong", JSON)
        self.push({"id": "1", "text": "a"})
        self.assertEqual(compared, [(b"wrong", TOKEN.encode()), (TOKEN.encode(), TOKEN.encode())])

    def test_an_event_without_pushes(self) -> None:
        self.house.push._gates = {}
        self.assert_refused(self.push({"id": "1", "text": "a"}), 404, "no_push")

    def test_only_post(self) -> None:
        for method in ("GET", "HEAD"):
            answer = self.house.ask("/e/items", BEARER, method=method)
            self.assertEqual((answer.status, answer.headers["allow"]), (405, "POST"))

    def test_types_that_forms_and_plain_pages_can_send(self) -> None:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
            answer = self.push({"id": "1", "text": "a"}, BEARER, f"Content-Type: {kind}")
            self.assert_refused(answer, 415, "wrong_type")
        self.assert_refused(self.push({"id": "1", "text": "a"}, BEARER), 415, "wrong_type")

    def test_a_body_of_ten_megabytes(self) -> None:
        head = request("/e/items", BEARER, JSON, "Content-Length: 10000000", method="POST")
        self.assert_refused(self.house.call(head).answer, 413, "too_large")

    def test_bodies_that_are_no_items(self) -> None:
        deep = b"[" * 100_000
        for body in (
            b"",
            b"{",
            b"[]",
            b"null",
            b"1",
            b'"x"',
            b"\xff",
            deep,
            b'{"id":' + deep,
            b"{}",
            b'{"id":"1"}',
            b'{"text":"x"}',
            b'{"id":1,"text":"x"}',
            b'{"id":"1","text":NaN}',
        ):
            self.assert_refused(self.push(body), 400, "bad_item")
        self.assertIn(b'reason="malformed"', self.house.metrics.text())

    def test_one_bad_item_among_good_ones_refuses_all_and_is_named(self) -> None:
        answer = self.push([{"id": "1", "text": "a"}, {"id": "2", "text": 7}])
        self.assert_refused(answer, 400, "bad_item")
        self.assertEqual(answer.json["detail"], "item 1, text: must be a string")

    def test_more_items_than_are_taken_at_once(self) -> None:
        self.assert_refused(self.push([{"id": str(n), "text": "x"} for n in range(501)]), 400, "bad_item")

    def test_a_log_that_takes_nothing(self) -> None:
        for fault, code in ((LogUnavailable("away"), "log_unavailable"), (LogFull("full"), "log_full")):
            self.house.log.fault = fault
            answer = self.push({"id": "1", "text": "a"})
            self.assertEqual(answer.headers["retry-after"], "5")
            self.assert_refused(answer, 503, code)

    def test_while_stopping(self) -> None:
        self.house.push.close()
        answer = self.push({"id": "1", "text": "a"})
        self.assertEqual(answer.headers["retry-after"], "5")
        self.assert_refused(answer, 503, "stopping")

    def test_a_defect_is_logged_and_not_told(self) -> None:
        self.house.log.fault = ZeroDivisionError("inside")
        answer = self.push({"id": "1", "text": "a"})
        self.assertNotIn(b"inside", answer.body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assert_refused(answer, 500, "internal")

    # -- the order of things

    def test_nothing_is_acknowledged_before_it_is_durable(self) -> None:
        durable: Deferred[list[Recorded]] = Deferred()
        self.house.log.append = lambda *args, **kwargs: durable
        caller = self.house.call(
            request("/e/items", BEARER, JSON, method="POST", body=b'{"id":"1","text":"a"}')
        )
        self.assertEqual(caller.received, b"")
        durable.callback([Recorded(7, True)])
        self.assertEqual(caller.answer.json["results"], [{"id": "push:1", "seq": 7, "new": True}])

    def test_a_caller_that_leaves_does_not_take_its_item_back(self) -> None:
        durable: Deferred[list[Recorded]] = Deferred()
        self.house.log.append = lambda *args, **kwargs: durable
        caller = self.house.call(
            request("/e/items", BEARER, JSON, method="POST", body=b'{"id":"1","text":"a"}')
        )
        caller.leave()
        durable.callback([Recorded(1, True)])
        self.assertIn('afeed_items_total{event="e",source="push"} 1.0', self.house.metrics.text().decode())
        self.assertTrue(self.house.nobody_is_left())


class HoldingTests(SynchronousTestCase):
    """Where organisers want to see some of it first."""

    def setUp(self) -> None:
        self.house = House()
        rules = Rules([make_event("e", filters=Filters(muted=("bad",)))], lambda: self.house.now)
        self.house.push._holds = rules.holds

    def push(self, *items: object) -> list[dict[str, Any]]:
        body = json.dumps(items).encode()
        answer = self.house.ask("/e/items", BEARER, JSON, method="POST", body=body)
        self.assertEqual(answer.status, 201)
        results: list[dict[str, Any]] = answer.json["results"]
        return results

    def test_the_caller_is_told_what_is_held_and_what_is_shown(self) -> None:
        bad, fine = {"id": "1", "text": "so BAD"}, {"id": "2", "text": "fine"}
        self.assertEqual(
            self.push(bad, fine),
            [
                {"id": "push:1", "seq": None, "new": True, "held": True},
                {"id": "push:2", "seq": 1, "new": True},
            ],
        )
        self.assertEqual(self.push(bad), [{"id": "push:1", "seq": None, "new": False, "held": True}])
        text = self.house.metrics.text().decode()
        self.assertIn('afeed_items_total{event="e",source="push"} 1.0', text)
        self.assertIn('afeed_held_total{event="e",reason="muted",source="push"} 1.0', text)

    def test_it_is_nowhere_to_be_seen_until_it_is_released(self) -> None:
        viewer = self.house.call(request("/e/updates?since=0"))
        self.push({"id": "1", "text": "bad"})
        self.assertEqual(viewer.received, b"")
        self.house.log.release("e", ["push:1"])
        (change,) = viewer.answer.json["changes"]
        self.assertEqual((change["seq"], change["type"], change["item"]["text"]), (1, "item.posted", "bad"))

    def test_while_the_log_is_away_the_caller_comes_again(self) -> None:
        self.house.log.fault = LogUnavailable("away")
        body = json.dumps({"id": "1", "text": "bad"}).encode()
        answer = self.house.ask("/e/items", BEARER, JSON, method="POST", body=body)
        self.assertEqual((answer.status, answer.error), (503, "log_unavailable"))
