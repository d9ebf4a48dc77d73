"""The X stream, in memory and on a clock."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import fail
from twisted.logger import formatEvent, globalLogPublisher
from zope.interface.verify import verifyObject

from afeed.core.draft import Posted
from afeed.core.errors import LeaseLost
from afeed.core.normalise.x import Message
from afeed.interfaces import ISource
from tests.sources.xcase import TOKEN, XCase


class DeliveryTests(XCase):
    def test_is_a_source(self) -> None:
        verifyObject(ISource, self.stream)
        self.assertEqual(self.stream.name, "x")

    def test_a_post_reaches_its_event_with_a_position(self) -> None:
        self.start()
        id_ = self.post("Hello & welcome #aea")
        ((slug, (draft,), position),) = self.sink.offers
        self.assertEqual(slug, "aea")
        assert isinstance(draft, Posted)
        self.assertEqual((draft.item.id, draft.version), (f"x:{id_}", id_))
        self.assertEqual(draft.item.text, "Hello & welcome #aea")
        self.assertEqual(draft.item.author.name, "Ada Okonkwo")
        assert position is not None
        self.assertEqual(position.source, "x")
        self.assertEqual(json.loads(position.value), {"newest_id": id_, "live_at": "2026-03-01T09:00:00.000Z"})

    def test_tags_say_which_events_a_post_is_for(self) -> None:
        self.wanted = {"aea": "#aea", "conf": "#conf OR conference", "both": "(#aea OR #conf) lang:de"}
        self.start()
        self.post("one #aea")
        self.post("two #conf")
        self.post("drei #aea #conf", lang="de")
        self.post("four")
        self.assertEqual(self.sink.texts("aea"), ["one #aea", "drei #aea #conf"])
        self.assertEqual(self.sink.texts("conf"), ["two #conf", "drei #aea #conf"])
        self.assertEqual(self.sink.texts("both"), ["drei #aea #conf"])

    def test_posts_of_foreign_rules_are_ignored_and_counted(self) -> None:
        self.x.change_rules({"add": [{"value": "cats", "tag": "theirs"}]}, False)
        self.start()
        self.post("cats")
        self.assertEqual(self.sink.offers, [])
        self.assertEqual(self.check().data["dropped"], {"foreign": 1})

    def test_message_without_tags_goes_to_the_only_event(self) -> None:
        self.start()
        self.x.send(b'{"data":{"id":"1","text":"from an emulator"}}\r\n')
        self.flush()
        self.assertEqual(self.sink.texts("aea"), ["from an emulator"])

    def test_removal_goes_to_every_event(self) -> None:
        self.wanted = {"a": "#a", "b": "#b"}
        self.start()
        id_ = self.post("#a")
        self.x.delete(id_, compliance=True)
        self.flush()
        self.assertEqual([slug for slug, _, _ in self.sink.offers], ["a", "a", "b"])

    def test_upstream_04_two_objects_in_one_chunk_arrive_in_order_and_in_one_offer(self) -> None:
        self.start()
        first, second = (self.x.post(f"{n} #aea", deliver=False) for n in "12")
        lines = [json.dumps(self.x.message(id_)).encode() + b"\r\n" for id_ in (first, second)]
        self.x.send(b"".join(lines))
        self.flush()
        self.assertEqual(self.sink.texts(), ["1 #aea", "2 #aea"])
        self.assertEqual(len(self.sink.offers), 1)

    def test_upstream_03_message_split_at_every_byte_arrives_once(self) -> None:
        self.start()
        self.x.fault("split", bytes=1)
        self.post("Grüße 👋🏽 #aea")
        self.assertEqual(self.sink.texts(), ["Grüße 👋🏽 #aea"])
        line = json.dumps(self.x.message(self.x.posts[0].id), ensure_ascii=False).encode() + b"\r\n"
        self.x.fault("split", bytes=0)
        for split in range(len(line) + 1):
            self.x.send(line[:split])
            self.flush()
            self.x.send(line[split:])
            self.flush()
        self.assertEqual(self.sink.texts(), ["Grüße 👋🏽 #aea"] * (len(line) + 2))
        self.assertEqual(len({draft for _, drafts, _ in self.sink.offers for draft in drafts}), 1)

    def test_upstream_25_byte_order_mark_is_ignored(self) -> None:
        self.start()
        self.fault("byte-order-mark")
        self.post("#aea")
        self.assertEqual(self.sink.texts(), ["#aea"])

    def test_upstream_07_oversize_line_is_counted_and_the_next_one_read(self) -> None:
        self.start()
        self.fault("oversize")
        self.post("#aea")
        self.assertEqual(self.sink.texts(), ["#aea"])
        self.assertEqual(self.sink.drops, [("aea", "x", "oversize", 1)])

    def test_malformed_line_is_counted_and_the_next_one_read(self) -> None:
        self.wanted = {"a": "#a", "b": "#b"}
        self.start()
        self.fault("garbage")
        self.post("#a")
        self.assertEqual(self.sink.texts("a"), ["#a"])
        self.assertEqual(self.sink.drops, [("", "x", "malformed", 1)])

    def test_errors_beside_a_post_do_not_end_the_stream(self) -> None:
        self.start()
        id_ = self.x.post("#aea", deliver=False)
        self.fault("partial-error", id=id_)
        self.assertEqual(self.sink.texts(), ["#aea"])
        self.assertEqual(self.connects(), 1)

    def test_errors_without_a_post_do_not_end_it_either(self) -> None:
        self.start()
        self.fault("error")
        self.fault("limit")
        self.fault("falling-behind")
        self.post("#aea")
        self.assertEqual(self.sink.texts(), ["#aea"])
        self.assertEqual(self.check().data["dropped"], {"error": 1, "limit": 1, "warning": 1})
        self.assertEqual(self.connects(), 1)

    def test_post_without_its_author_is_shown(self) -> None:
        self.start()
        id_ = self.x.post("#aea", deliver=False)
        self.fault("no-includes", id=id_)
        self.assertEqual(self.sink.texts(), ["#aea"])

    def test_repeated_and_reordered_posts_are_offered_as_they_come(self) -> None:
        """The log knows what it has; a source need not."""
        self.start()
        first = self.x.post("first #aea", deliver=False)
        self.post("second #aea")
        self.x.repeat(first)
        self.x.repeat(first)
        self.flush()
        self.assertEqual(self.sink.texts(), ["second #aea", "first #aea", "first #aea"])
        positions = [json.loads(position.value)["newest_id"] for _, _, position in self.sink.offers if position]
        self.assertEqual(set(positions), {self.x.posts[1].id})

    def test_edit_keeps_the_id_and_has_another_version(self) -> None:
        self.start()
        first = self.post("tpyo #aea")
        second = self.post("typo #aea", edits=first)
        drafts = [draft for _, drafts, _ in self.sink.offers for draft in drafts if isinstance(draft, Posted)]
        self.assertEqual([draft.item.id for draft in drafts], [f"x:{first}"] * 2)
        self.assertEqual([draft.version for draft in drafts], [first, second])

    def test_length_delimited_streams_are_understood(self) -> None:
        self.start()
        id_ = self.x.post("Grüße #aea", deliver=False)
        line = json.dumps(self.x.message(id_), ensure_ascii=False).encode() + b"\r\n"
        self.x.send(b"%d\r\n%b\r\n" % (len(line), line))
        self.flush()
        self.assertEqual(self.sink.texts(), ["Grüße #aea"])


class BackPressureTests(XCase):
    def test_while_an_offer_is_under_way_the_rest_waits_and_goes_together_in_order(self) -> None:
        self.start()
        self.sink.holding = True
        for n in range(5):
            self.post(f"{n} #aea")
        self.assertEqual(self.sink.texts(), ["0 #aea"])
        self.sink.release()
        self.assertEqual([len(drafts) for _, drafts, _ in self.sink.offers], [1, 4])
        self.assertEqual(self.sink.texts(), [f"{n} #aea" for n in range(5)])
        position = self.sink.offers[-1][2]
        assert position is not None
        self.assertEqual(json.loads(position.value)["newest_id"], self.x.posts[-1].id)

    def test_reading_pauses_when_an_offer_takes_too_long_and_goes_on_after_it(self) -> None:
        self.start()
        self.sink.holding = True
        self.post("0 #aea")
        self.advance(2.5)
        self.post("1 #aea")
        self.assertEqual(self.state(), "degraded")
        self.assertIn("paused", self.check().detail)
        for n in range(2, 50):
            self.x.post(f"{n} #aea")
        self.flush()
        self.advance(120)  # longer than the watchdog would wait
        self.assertEqual(self.connects(), 1)
        self.sink.release()
        self.flush()
        self.assertEqual(self.sink.texts(), [f"{n} #aea" for n in range(50)])
        self.assertEqual(self.state(), "ok")

    def test_one_event_that_waits_does_not_hold_up_another_one(self) -> None:
        self.wanted = {"a": "#a", "b": "#b"}
        self.start()
        self.sink.holding = True
        self.post("#a")
        self.post("#b")
        self.assertEqual([slug for slug, _, _ in self.sink.offers], ["a", "b"])

    def test_losing_the_lease_ends_the_run(self) -> None:
        self.start()
        self.sink.offer = lambda *_: fail(LeaseLost("another node has it"))  # type: ignore[method-assign]
        self.post("#aea")
        self.failureResultOf(self.running, LeaseLost)
        self.assertEqual(self.x.streams, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_losing_the_lease_while_there_is_no_connection_ends_the_run_too(self) -> None:
        self.start()
        self.sink.holding = True
        self.post("#aea")
        self.x.fault("unauthorized")
        self.fault("close")
        self.assertEqual(self.check().data["state"], "waiting")
        self.sink.held[0].errback(LeaseLost("another node has it"))
        self.failureResultOf(self.running, LeaseLost)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_was_received_is_offered_when_the_source_is_stopped(self) -> None:
        self.start()
        self.sink.holding = True
        self.post("0 #aea")
        self.post("1 #aea")
        self.stop()
        self.assertEqual(self.sink.texts(), ["0 #aea", "1 #aea"])


class StopTests(XCase):
    def test_cancelling_closes_the_stream_and_leaves_no_timer(self) -> None:
        self.start()
        self.post("#aea")
        self.stop()
        self.assertEqual(self.x.streams, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelling_a_wait(self) -> None:
        self.x.fault("unavailable")
        self.start()
        self.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelling_while_idle(self) -> None:
        self.wanted = {}
        self.start()
        self.assertEqual(self.x.requests, [])
        self.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_can_run_again(self) -> None:
        self.start()
        self.stop()
        self.start()
        self.post("#aea")
        self.assertEqual(self.sink.texts(), ["#aea"])

    def test_a_defect_ends_the_run_and_the_connection(self) -> None:
        def broken(line: bytes) -> Message:
            raise ZeroDivisionError

        self.stream._read_message = broken
        self.start()
        self.post("#aea")
        self.failureResultOf(self.running, ZeroDivisionError)
        self.assertEqual(self.x.streams, [])


class SecretTests(XCase):
    def test_the_token_appears_nowhere_not_even_when_x_quotes_it(self) -> None:
        self.x.refuse(401, {"title": "Unauthorized", "detail": f"no such token: {TOKEN}"})
        self.start()
        self.assertEqual(self.state(), "failed")
        self.assertIn("no such token: <secret>", self.check().detail)
        self.assertNotIn(TOKEN, repr(vars(self.stream)))

    def test_the_token_is_in_no_log_event(self) -> None:
        events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        self.wanted = {"aea": "#aea", "bad": "(#bad"}
        self.x.refuse(401, {"title": "Unauthorized", "detail": TOKEN})
        self.x.refuse(503, {"detail": TOKEN}, on="rules")
        self.start()
        self.advance(1000, step=5)
        self.post("#aea")
        self.fault("error")
        self.fault("disconnect")
        texts = [formatEvent(event) for event in events]
        self.assertTrue(any("HTTP 401" in text for text in texts), texts)
        self.assertTrue(any("does not take the rule of event bad" in text for text in texts), texts)
        self.assertNotIn(TOKEN, repr(texts) + repr([list(event.values()) for event in events]))
