"""Changes by polling."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.draft import Removed
from afeed.core.errors import ArchiveUnavailable
from afeed.settings import Server
from afeed.transports.longpoll import STALLED_WAIT_S
from tests.fakes import a_post
from tests.web.serving import TOKEN, Caller, House, request, seqs


class PollCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House()

    def park(self, query: str = "since=e1:0", *headers: str) -> Caller:
        caller = self.house.call(request(f"/e/updates?{query}", *headers))
        self.assertEqual(caller.received, b"")
        return caller

    def waiting(self) -> int:
        return self.house.stages.viewers()["e", "poll"]


class PlainPollTests(PollCase):
    def test_the_answer_of_an_empty_event(self) -> None:
        answer = self.house.ask("/e/updates")
        self.assertEqual(
            answer.json, {"epoch": "e1", "cursor": "e1:0", "changes": [], "gap": None, "more": False}
        )
        self.assertEqual(answer.headers["content-type"], "application/json; charset=utf-8")
        self.assertEqual(answer.headers["cache-control"], "public, max-age=1")
        self.assertEqual(answer.headers["x-content-type-options"], "nosniff")

    def test_without_since_the_newest_come_at_once(self) -> None:
        self.house.post(300)
        answer = self.house.ask("/e/updates")
        self.assertEqual(seqs(answer), list(range(101, 301)))
        self.assertEqual((answer.json["cursor"], answer.json["more"]), ("e1:300", False))
        self.assertEqual(seqs(self.house.ask("/e/updates?limit=3")), [298, 299, 300])

    def test_limit_and_more_lead_through_everything(self) -> None:
        self.house.post(10)
        cursor, more, seen = "e1:0", True, []
        while more:
            answer = self.house.ask(f"/e/updates?since={cursor}&limit=4&wait=0")
            cursor, more = answer.json["cursor"], answer.json["more"]
            seen.append(seqs(answer))
        self.assertEqual(seen, [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]])

    def test_limits_and_waits_are_clamped_and_nonsense_is_refused(self) -> None:
        self.house.post(300)
        for limit, count in (("0", 1), ("-1", 1), ("1000000000", 200)):
            self.assertEqual(len(seqs(self.house.ask(f"/e/updates?limit={limit}"))), count)
        for query in ("limit=NaN", "wait=NaN", "wait=1e3", "render=xml", "wait=1&wait=2"):
            answer = self.house.ask(f"/e/updates?{query}")
            self.assertEqual((answer.status, answer.error), (400, "bad_request"))

    def test_cursors_that_are_none(self) -> None:
        for since in ("", "-1", "1e9", str(2**64), "0x10", "%D9%A1%D9%A2", "e1:", "e1%00:1"):
            answer = self.house.ask(f"/e/updates?since={since}")
            self.assertEqual((answer.status, answer.error), (400, "bad_cursor"), since)
            self.assertEqual(answer.headers["cache-control"], "no-store")

    def test_a_bare_number_means_the_present_epoch(self) -> None:
        self.house.post(3)
        self.assertEqual(seqs(self.house.ask("/e/updates?since=2")), [3])

    def test_fragments_for_those_who_want_them(self) -> None:
        self.house.post(text="fine")
        plain, rich = (
            self.house.ask(f"/e/updates?since=0{more}").json["changes"][0] for more in ("", "&render=html")
        )
        self.assertEqual(rich.pop("fragment"), "<p>fine</p>")
        self.assertEqual(plain, rich)

    def test_it_is_only_read(self) -> None:
        answer = self.house.ask("/e/updates", method="POST", body=b"{}")
        self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, HEAD"))

    def test_head_answers_at_once(self) -> None:
        answer = self.house.ask("/e/updates?since=e1:0", method="HEAD")
        self.assertEqual((answer.status, answer.body), (200, b""))

    def test_a_removed_item_is_gone_at_once(self) -> None:
        self.house.post(text="regrettable")
        self.assertIn(b"regrettable", self.house.ask("/e/updates?since=0").body)
        self.house.log.append("e", None, [Removed("push:1")])
        answer = self.house.ask("/e/updates?since=0")
        self.assertNotIn(b"regrettable", answer.body)
        self.assertEqual([change["type"] for change in answer.json["changes"]], ["redacted", "item.removed"])

    def test_before_the_log_was_read_nobody_is_served(self) -> None:
        answer = House(started=False).ask("/e/updates")
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "5"))


class GapTests(PollCase):
    def test_an_unknown_epoch_is_a_gap_and_never_silently_the_newest(self) -> None:
        self.house.post(3)
        answer = self.house.ask("/e/updates?since=unknown:12")
        self.assertEqual(answer.json["gap"], {"from": None, "to": None, "reason": "epoch", "cursor": "e1:0"})
        self.assertEqual(seqs(answer), [1, 2, 3])

    def test_the_changes_behind_a_gap_are_not_before_its_cursor(self) -> None:
        # A page moves to the gap's cursor first, and then takes only what is above it.
        self.house.post(5)
        for since in ("unknown:12", "e1:9"):
            answer = self.house.ask(f"/e/updates?since={since}&limit=3")
            begin = int(answer.json["gap"]["cursor"].partition(":")[2])
            self.assertEqual(seqs(answer), [begin + 1, begin + 2, begin + 3])

    def test_the_future_is_a_gap_and_is_answered_without_waiting(self) -> None:
        self.house.post(3)
        answer = self.house.ask("/e/updates?since=e1:7&wait=30")
        self.assertEqual(answer.json["gap"], {"from": 4, "to": 7, "reason": "future", "cursor": "e1:0"})

    def test_a_position_shared_with_the_epoch_before_goes_on_silently(self) -> None:
        self.house.post(5)
        self.house.log.renew("e", "e2", 3)
        self.house.posted = 10
        self.house.post(2)
        answer = self.house.ask("/e/updates?since=e1:3")
        self.assertEqual((answer.json["gap"], answer.json["cursor"], seqs(answer)), (None, "e2:5", [4, 5]))
        answer = self.house.ask("/e/updates?since=e1:5")
        self.assertEqual(answer.json["gap"], {"from": 4, "to": None, "reason": "epoch", "cursor": "e2:3"})

    def test_what_nobody_has_any_more_is_a_gap(self) -> None:
        house = House(window=5, started=False)
        house.post(20)
        house.log.trim("e", 20)
        house.start()
        answer = house.ask("/e/updates?since=e1:2")
        self.assertEqual(answer.json["gap"], {"from": 3, "to": 15, "reason": "expired", "cursor": "e1:15"})
        self.assertEqual(seqs(answer), [16, 17, 18, 19, 20])


class HistoryTests(PollCase):
    def setUp(self) -> None:
        self.house = House(window=5)
        self.house.post(20)
        self.house.strain()
        self.house.post(2)

    def test_what_the_window_no_longer_holds_comes_from_the_archive(self) -> None:
        cursor, seen = "e1:0", []
        while True:
            answer = self.house.ask(f"/e/updates?since={cursor}&limit=7&wait=0")
            self.assertIsNone(answer.json["gap"])
            seen += seqs(answer)
            cursor = answer.json["cursor"]
            if not answer.json["more"]:
                break
        self.assertEqual(seen, list(range(1, 23)))

    def test_while_the_archive_is_away_it_is_said_and_no_gap_is_claimed(self) -> None:
        self.house.archive.fault = ArchiveUnavailable("gone fishing")
        answer = self.house.ask("/e/updates?since=e1:2")
        self.assertEqual((answer.status, answer.error), (503, "archive_unavailable"))
        self.assertEqual(answer.headers["retry-after"], "5")
        self.assertEqual(seqs(self.house.ask("/e/updates?since=e1:20")), [21, 22])

    def test_a_client_that_leaves_while_the_archive_is_read_is_forgotten(self) -> None:
        read: Deferred[object] = Deferred()
        cancelled: list[object] = []
        read.addErrback(cancelled.append)
        self.house.archive.read = lambda *asked: read
        caller = self.house.call(request("/e/updates?since=e1:2"))
        self.assertEqual(caller.received, b"")
        caller.leave()
        self.assertEqual(len(cancelled), 1)
        self.assertTrue(self.house.nobody_is_left())

    def test_more_than_a_window_at_once_is_answered_from_the_log(self) -> None:
        caller = self.park("since=e1:22&limit=3")
        self.house.post(10)
        self.assertEqual(self.house.channel.first, 28)
        self.assertEqual(seqs(caller.answer), [23, 24, 25])

    def test_a_log_that_was_trimmed_past_a_waiting_poll_has_it_ask_again(self) -> None:
        caller = self.park("since=e1:22&limit=3")
        watchers, self.house.log._watchers = self.house.log._watchers, []
        self.house.post(30)
        self.house.strain()
        self.house.log._watchers = watchers
        self.house.log.tell("e")
        self.assertEqual((caller.answer.status, caller.answer.error), (503, "restarting"))
        self.assertEqual(seqs(self.house.ask("/e/updates?since=e1:22&limit=3")), [23, 24, 25])


class WaitingTests(PollCase):
    def test_nothing_new_until_the_time_is_over(self) -> None:
        caller = self.park("since=e1:0&wait=10")
        self.house.pass_time(8)
        self.assertEqual(caller.received, b"")
        self.house.pass_time(3)
        self.assertEqual((seqs(caller.answer), caller.answer.json["cursor"]), ([], "e1:0"))
        self.assertEqual(caller.answer.headers["cache-control"], "public, max-age=1")
        self.assertEqual(self.waiting(), 0)

    def test_nobody_waits_longer_than_30_s(self) -> None:
        caller = self.park("since=e1:0&wait=999999")
        self.house.pass_time(31)
        self.assertEqual(caller.answer.status, 200)

    def test_without_wait_it_is_25_s(self) -> None:
        caller = self.park()
        self.house.pass_time(23)
        self.assertEqual(caller.received, b"")
        self.house.pass_time(3)
        self.assertEqual(caller.answer.status, 200)

    def known_elsewhere(self) -> tuple[Caller, Deferred[None]]:
        """A poll from a position that only another node has told; the answer of the log when it is asked."""
        asked: Deferred[None] = Deferred()
        self.house.log.refresh = lambda event: asked
        caller = self.house.call(request("/e/updates?since=e1:3&wait=30"))
        self.house.post(3)
        return caller, asked

    def test_a_position_that_only_another_node_knew_may_be_waited_at(self) -> None:
        caller, asked = self.known_elsewhere()
        asked.callback(None)
        self.assertEqual((caller.received, self.waiting()), (b"", 1))

    def test_so_may_it_while_posts_are_delayed_but_not_for_long(self) -> None:
        caller, asked = self.known_elsewhere()
        self.house.log.trouble = "the disk is full"
        self.house.pass_time(1)
        asked.callback(None)
        self.house.pass_time(STALLED_WAIT_S)
        self.assertIs(caller.answer.json["stalled"], True)

    def test_who_closed_its_side_while_the_log_was_asked_gets_its_answer_at_once(self) -> None:
        caller, asked = self.known_elsewhere()
        caller.protocol.readConnectionLost()
        asked.callback(None)
        self.assertEqual(caller.answer.json["changes"], [])

    def test_a_change_answers_everybody_with_the_same_bytes(self) -> None:
        callers = [self.park() for _ in range(3)]
        limited = self.park("since=e1:0&limit=1")
        rich = self.park("since=e1:0&render=html")
        self.assertEqual(self.waiting(), 5)
        self.house.post(2)
        self.assertEqual(len({caller.received for caller in callers}), 1)
        self.assertEqual(seqs(callers[0].answer), [1, 2])
        self.assertEqual((seqs(limited.answer), limited.answer.json["more"]), ([1], True))
        self.assertIn("fragment", rich.answer.json["changes"][0])
        self.assertEqual(self.waiting(), 0)

    def test_the_answer_is_the_same_as_that_of_a_poll_that_did_not_wait(self) -> None:
        caller = self.park()
        self.house.post()
        self.assertEqual(self.house.ask("/e/updates?since=e1:0").body, caller.answer.body)

    def test_the_next_poll_on_the_same_connection_waits_again(self) -> None:
        caller = self.park()
        caller.send(request("/e/updates?since=e1:1"))
        self.house.post()
        self.assertEqual([seqs(answer) for answer in caller.answers], [[1]])
        self.assertEqual(self.waiting(), 1)
        self.house.post()
        self.assertEqual([seqs(answer) for answer in caller.answers], [[1], [2]])

    def test_who_leaves_does_not_keep_the_others_from_their_answer(self) -> None:
        first, second = self.park(), self.park()
        first.leave()
        self.house.post()
        self.assertEqual((first.received, seqs(second.answer)), (b"", [1]))

    def test_deliveries_are_counted(self) -> None:
        self.park(), self.park()
        self.house.post(3)
        self.assertIn('afeed_deliveries_total{transport="poll"} 6.0', self.house.metrics.text().decode())

    def test_a_new_epoch_sends_everybody_away_to_ask_again(self) -> None:
        caller = self.park()
        self.house.log.renew("e", "e2", 0)
        self.assertEqual((caller.answer.status, caller.answer.error), (503, "restarting"))
        self.assertEqual(caller.answer.headers["retry-after"], "1")
        self.assertEqual(self.waiting(), 0)

    def test_a_stop_sends_everybody_away(self) -> None:
        caller = self.park()
        self.house.stop()
        self.assertEqual((caller.answer.status, caller.answer.error), (503, "restarting"))

    def test_those_sent_away_come_back_within_the_time_allowed_and_not_all_at_once(self) -> None:
        moments = iter((0, 1, 1000, 1001, 3000))
        self.house = House(spread=lambda most: next(moments) if most == 3000 else self.fail(str(most)))
        callers = [self.park() for _ in range(5)]
        self.house.hub.stop(3000)
        self.assertEqual(
            [caller.answer.headers["retry-after"] for caller in callers], ["1", "1", "1", "2", "3"]
        )

    def test_a_poll_that_breaks_does_not_leave_the_others_hanging(self) -> None:
        callers = [self.park(f"since=e1:0&limit={limit}") for limit in (1, 2, 2, 3)]
        channel = self.house.channel
        updates = channel.updates

        def broken(after: int, limit: int, *rest: Any) -> bytes | None:
            if limit == 2:
                raise ZeroDivisionError
            return updates(after, limit, *rest)

        self.patch(channel, "updates", broken)
        self.house.post()
        self.assertEqual([caller.answer.status for caller in callers], [200, 500, 500, 200])
        self.assertEqual(callers[1].answer.error, "internal")
        self.assertEqual(self.waiting(), 0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.house.post()

    def test_a_connection_that_breaks_while_it_is_answered_is_cut_and_the_others_are_answered(self) -> None:
        callers = [self.park() for _ in range(3)]

        def broken(data: bytes) -> None:
            raise ZeroDivisionError

        self.patch(callers[1].transport, "write", broken)
        self.house.post()
        self.assertEqual([seqs(callers[at].answer) for at in (0, 2)], [[1], [1]])
        self.assertTrue(callers[1].transport.disconnected)
        self.assertEqual(self.waiting(), 0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class OtherSitesTests(PollCase):
    def setUp(self) -> None:
        self.house = House(server=Server(public_url="http://feed.example", cors_origins=("https://a.example",)))

    def test_scripts_of_the_configured_sites_may_read(self) -> None:
        answer = self.house.ask("/e/updates", "Origin: https://a.example")
        self.assertEqual(answer.headers["access-control-allow-origin"], "https://a.example")
        self.assertEqual(answer.headers["vary"], "Origin")

    def test_they_may_read_what_is_wrong_as_well(self) -> None:
        answer = self.house.ask("/e/updates?since=x", "Origin: https://a.example")
        self.assertEqual(answer.headers["access-control-allow-origin"], "https://a.example")

    def test_scripts_of_other_sites_may_not(self) -> None:
        for headers in (("Origin: https://b.example",), ("Origin: null",), ()):
            answer = self.house.ask("/e/updates", *headers)
            self.assertNotIn("access-control-allow-origin", answer.headers)
            self.assertEqual(answer.headers["vary"], "Origin")

    def test_two_sites_that_wait_get_their_own_headers_and_one_body(self) -> None:
        ours, theirs = self.park("since=0", "Origin: https://a.example"), self.park("since=0")
        self.house.post()
        self.assertIn("access-control-allow-origin", ours.answer.headers)
        self.assertNotIn("access-control-allow-origin", theirs.answer.headers)
        self.assertEqual(ours.answer.body, theirs.answer.body)

    def test_without_configured_sites_the_answer_varies_with_nothing(self) -> None:
        self.assertNotIn("vary", House().ask("/e/updates", "Origin: https://a.example").headers)

    def test_tokens_are_not_asked_for(self) -> None:
        self.house.log.append("e", None, [a_post(1)])
        answer = self.house.ask("/e/updates", f"Authorization: Bearer {TOKEN}")
        self.assertEqual(answer.status, 200)
