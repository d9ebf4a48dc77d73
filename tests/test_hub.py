"""The hub keeps every event in step with its log and knows what a page shows."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from afeed.core.change import Change
from afeed.core.cursor import Ancestor, Cursor, Gap, Resume
from afeed.core.draft import RESTORED, Filed, Posted, Removed
from afeed.core.errors import ArchiveUnavailable, LogUnavailable
from afeed.core.item import Item
from afeed.core.outages import Outage
from afeed.hub import ASK_PATIENCE_S, LOG_PATIENCE_S, TROUBLED_PATIENCE_S, Hub
from afeed.interfaces import FeedPage, IFeed, IWitness, PageItem, Slice
from tests.core.test_outages import OVER, a_gap
from tests.fakes import MemoryArchive, MemoryLog, a_post, an_item, strain


def render(item: Item) -> str:
    return f"<article>{item.text}</article>"


class Listener:
    """Records what a channel tells."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def changed(self, first: int, last: int) -> None:
        self.heard.append((first, last))

    def ended(self, retry_ms: int) -> None:
        self.heard.append("ended")

    def stalled(self) -> None:
        self.heard.append("stalled")


class HubTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.log = MemoryLog(["e", "other"], window=10)
        self.archive = MemoryArchive()

    def start(self, window: int = 10) -> Hub:
        hub = Hub({"e": render, "other": render}, self.log, self.archive, self.clock, window)
        self.successResultOf(hub.start())
        self.addCleanup(hub.stop)
        return hub

    def post(self, first: int, last: int) -> None:
        self.log.append("e", None, [a_post(number) for number in range(first, last + 1)])

    def archive_all(self) -> None:
        """Copy the log as the strainer would, and trim it."""
        strain(self.log, self.archive, "e")

    def page(self, hub: Hub, limit: int = 5, before: int | None = None) -> FeedPage:
        return self.successResultOf(hub.page("e", limit, before))

    def ids(self, page: FeedPage) -> list[str]:
        return [found.item.id for found in page.items]

    def test_interfaces(self) -> None:
        hub = self.start()
        verifyObject(IFeed, hub)
        verifyObject(IWitness, hub)

    def test_what_was_appended_is_told_in_the_turn_in_which_it_was(self) -> None:
        hub = self.start()
        listener = Listener()
        hub.channels["e"].subscribers.append(listener)
        self.post(1, 3)
        self.assertEqual(listener.heard, [(1, 3)])
        self.assertEqual(hub.channels["e"].cursor, "e1:3")
        self.assertEqual(hub.channels["other"].cursor, "e1:0")

    def test_what_was_there_before_the_start_is_in_the_window(self) -> None:
        self.post(1, 30)
        channel = self.start(window=10).channels["e"]
        self.assertEqual((channel.first, channel.head, channel.floor), (21, 30, 1))

    def test_hints_during_a_read_lead_to_one_more(self) -> None:
        hub = self.start()
        channel = hub.channels["e"]
        waiting: Deferred[Slice] = Deferred()
        read, self.log.read = self.log.read, lambda *_: waiting  # type: ignore[method-assign]
        self.log.tell("e")
        self.log.read = read  # type: ignore[method-assign]
        self.post(1, 2)
        self.assertEqual(channel.head, 0)
        waiting.callback(Slice("e1", 1, []))
        self.assertEqual(channel.head, 2)

    def flood(self, hub: Hub) -> Listener:
        """Somebody to write to who takes 3 ms, and two changes at once."""
        listener, clock, log = Listener(), self.clock, self.log

        class Slow(Listener):
            def changed(self, first: int, last: int) -> None:
                clock.rightNow += 0.003
                listener.changed(first, last)

        hub.channels["e"].subscribers.append(Slow())
        log.append("e", None, [a_post(1), a_post(2)])
        return listener

    def test_in_a_flood_what_comes_during_a_rest_is_told_together(self) -> None:
        hub = self.start()
        listener = self.flood(hub)
        for number in (3, 4, 5):
            self.post(number, number)
        self.assertEqual(listener.heard, [(1, 2)])
        self.clock.advance(0.006)
        self.assertEqual(listener.heard, [(1, 2), (3, 5)])

    def test_a_hub_that_stops_during_a_rest_tells_nothing_more(self) -> None:
        hub = self.start()
        listener = self.flood(hub)
        self.post(3, 3)
        hub.stop()
        self.clock.advance(1)
        self.assertEqual(listener.heard, [(1, 2)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_flood_keeps_nobody_waiting_who_asks_what_is_known_by_now(self) -> None:
        hub = self.start()
        listener = self.flood(hub)
        self.post(3, 3)
        seeking = Deferred.fromCoroutine(hub.channels["e"].seek(Cursor("e1", 9)))
        self.assertNoResult(seeking)
        self.post(4, 4)
        self.clock.advance(0.006)
        self.post(5, 5)
        self.assertEqual(listener.heard, [(1, 2), (3, 4)])
        self.assertEqual(self.successResultOf(seeking).gap, Gap(5, 9, "future"))
        self.clock.advance(1)

    def test_a_log_that_is_back_with_a_flood_is_no_longer_in_trouble(self) -> None:
        hub = self.start()
        self.log.fault = LogUnavailable("gone")
        self.log.tell("e")
        self.assertEqual(hub.check().state, "failed")
        self.log.fault = None
        self.flood(hub)
        self.assertEqual(hub.check().state, "ok")
        self.clock.advance(1)

    def test_a_lost_hint_costs_nothing_once_the_next_comes(self) -> None:
        hub = self.start()
        self.log._watchers.clear()
        self.post(1, 2)
        self.assertEqual(hub.channels["e"].head, 0)
        hub.hint("e")
        self.assertEqual(hub.channels["e"].head, 2)

    def test_a_log_that_is_away_at_the_start_is_followed_when_it_is_back(self) -> None:
        self.log.fault = LogUnavailable("no route")
        hub = self.start()
        self.assertFalse(hub.channels["e"].ready)
        self.assertEqual(hub.check().state, "failed")
        self.log.fault = None
        self.clock.advance(1)
        self.assertTrue(hub.channels["e"].ready)
        self.assertEqual(hub.check().state, "ok")

    def test_a_log_that_goes_away_is_followed_on_from_where_it_was(self) -> None:
        hub = self.start()
        self.post(1, 2)
        self.log.fault = LogUnavailable("gone")
        self.log.tell("e")
        self.assertEqual(hub.check().state, "failed")
        self.assertIn("gone", hub.check().detail)
        self.log.fault = None
        self.post(3, 4)
        self.clock.advance(1)
        self.assertEqual(hub.channels["e"].head, 4)
        self.assertEqual(hub.check().state, "ok")

    def test_a_log_that_takes_nothing_is_told_within_a_second_and_so_is_its_end(self) -> None:
        hub = self.start()
        listener, channel = Listener(), hub.channels["e"]
        channel.subscribers.append(listener)
        for trouble in ("the disk is full", None):
            self.log.trouble = trouble
            self.assertEqual(listener.heard, [])
            for _ in range(5):  # once, however long it lasts
                self.clock.advance(1)
            self.assertEqual((listener.heard, channel.stalled), (["stalled"], trouble is not None))
            listener.heard.clear()

    def test_the_log_is_asked_how_it_is_once_a_second_and_not_for_every_event(self) -> None:
        self.start()
        check, asked = self.log.check, []
        self.log.check = lambda: asked.append(1) or check()  # type: ignore[method-assign,func-returns-value]
        self.clock.pump([1] * 3)
        self.assertEqual(len(asked), 3)

    def test_a_log_that_cannot_be_followed_is_told_and_its_end_after_what_was_missed(self) -> None:
        hub = self.start()
        listener = Listener()
        hub.channels["e"].subscribers.append(listener)
        self.log.fault = LogUnavailable("gone")
        self.log.tell("e")
        self.assertEqual(listener.heard, [])
        self.clock.advance(1)
        self.assertEqual(listener.heard, ["stalled"])
        self.log.fault = None
        self.post(1, 2)
        self.assertEqual(listener.heard, ["stalled", (1, 2), "stalled"])
        self.assertFalse(hub.channels["e"].stalled)

    def test_a_failure_that_is_over_at_once_is_told_to_nobody(self) -> None:
        hub = self.start()
        listener = Listener()
        hub.channels["e"].subscribers.append(listener)
        self.log.fault = LogUnavailable("gone")
        self.log.tell("e")
        self.log.fault = None
        self.clock.advance(2)
        self.assertEqual(listener.heard, [])

    def test_one_event_that_is_not_followed_does_not_delay_the_others(self) -> None:
        hub = self.start()
        read = self.log.read
        self.log.read = lambda event, *rest: (  # type: ignore[method-assign]
            fail(LogUnavailable("gone")) if event == "other" else read(event, *rest)
        )
        self.log.tell("other")
        self.clock.advance(1)
        self.assertEqual({slug: one.stalled for slug, one in hub.channels.items()}, {"e": False, "other": True})

    def test_a_log_that_cannot_even_say_how_it_is_does_not_end_the_looking(self) -> None:
        hub = self.start()
        check, self.log.check = self.log.check, lambda: 1 / 0  # type: ignore[method-assign,return-value]
        self.clock.advance(1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.log.check = check  # type: ignore[method-assign]
        self.log.trouble = "full"
        self.clock.advance(1)
        self.assertTrue(hub.channels["e"].stalled)

    def test_a_new_epoch_sends_everybody_away_and_knows_its_parent(self) -> None:
        hub = self.start()
        listener = Listener()
        hub.channels["e"].subscribers.append(listener)
        self.post(1, 5)
        self.log.renew("e", "e2", 3)
        channel = hub.channels["e"]
        self.assertEqual(listener.heard, [(1, 5), "ended"])
        self.assertEqual((channel.cursor, channel.ancestors), ("e2:3", (Ancestor("e1", 3),)))
        self.assertEqual(channel.locate(Cursor("e1", 5)), Resume(3, Gap(4, None, "epoch")))

    def test_a_removal_takes_the_content_out_of_the_window(self) -> None:
        hub = self.start()
        self.log.append("e", None, [a_post(1, "canary"), a_post(1, "canary two", "2"), a_post(2)])
        self.log.append("e", None, [Removed("push:1")])
        channel = hub.channels["e"]
        body = channel.updates(0, 10, None, rich=True)
        assert body is not None
        self.assertNotIn(b"canary", body)
        self.assertEqual([c.type for c in channel.newest_first()],
                         ["item.removed", "item.posted", "redacted", "redacted"])  # fmt: skip

    def test_a_removal_also_covers_what_the_archive_has_not_yet_redacted(self) -> None:
        self.post(1, 30)
        self.archive_all()
        hub = self.start(window=10)
        self.log.append("e", None, [Removed("push:2")])
        bodies = self.successResultOf(Deferred.fromCoroutine(hub.channels["e"].history(0, 5, rich=False)))
        self.assertIn(b'"redacted"', bodies[1])
        self.assertNotIn("push:2", self.ids(self.page(hub, limit=100)))

    def test_history_comes_from_the_log_and_then_from_the_archive(self) -> None:
        self.post(1, 30)
        hub = self.start(window=10)
        channel = hub.channels["e"]
        history = self.successResultOf(Deferred.fromCoroutine(channel.history(3, 4, rich=False)))
        self.archive_all()
        self.assertEqual(self.log.events["e"].base, 20)
        archived = self.successResultOf(Deferred.fromCoroutine(channel.history(3, 4, rich=False)))
        self.assertEqual(history, archived)
        self.assertTrue(history[0].startswith(b'{"seq":4,'))

    def test_history_that_nobody_can_tell_now_is_unavailable_and_no_gap(self) -> None:
        self.post(1, 30)
        self.archive_all()
        hub = self.start(window=10)
        self.archive.fault = ArchiveUnavailable("down")
        self.failureResultOf(
            Deferred.fromCoroutine(hub.channels["e"].history(3, 4, rich=False)), ArchiveUnavailable
        )

    def old_ones(self, hub: Hub) -> Deferred[list[bytes]]:
        return Deferred.fromCoroutine(hub.channels["e"].history(3, 4, rich=False))

    def test_the_archive_tells_what_the_log_does_not_within_a_second(self) -> None:
        self.post(1, 30)
        hub = self.start(window=10)
        expected = self.successResultOf(self.old_ones(hub))
        self.archive_all()
        self.log.read = lambda *_: Deferred()  # type: ignore[method-assign]
        for trouble, seconds in ((None, LOG_PATIENCE_S), ("Redis is away", TROUBLED_PATIENCE_S)):
            self.log.trouble = trouble
            asked = self.old_ones(hub)
            self.clock.advance(seconds - 0.01)
            self.assertNoResult(asked)
            self.clock.advance(0.01)
            self.assertEqual(self.successResultOf(asked), expected)

    def test_a_slow_log_is_waited_for_when_there_is_no_archive(self) -> None:
        self.post(1, 30)
        hub = self.start(window=10)
        expected = self.successResultOf(self.old_ones(hub))
        self.archive.fault = ArchiveUnavailable("down")
        read = self.log.read

        def slowly(event: str, after: int, limit: int) -> Deferred[Slice]:
            answer: Deferred[Slice] = Deferred()
            self.clock.callLater(2.5, read(event, after, limit).chainDeferred, answer)
            return answer

        self.log.read = slowly  # type: ignore[method-assign]
        asked = self.old_ones(hub)
        self.clock.pump([0.5] * 7)
        self.assertEqual(self.successResultOf(asked), expected)

    def test_a_log_that_is_away_and_an_archive_that_is_as_well_are_told_soon(self) -> None:
        self.post(1, 30)
        hub = self.start(window=10)
        self.archive.fault = ArchiveUnavailable("down")
        self.log.trouble = "Redis is away"
        self.log.read = lambda *_: Deferred()  # type: ignore[method-assign]
        asked = self.old_ones(hub)
        self.clock.advance(TROUBLED_PATIENCE_S)
        self.failureResultOf(asked, ArchiveUnavailable)

    def test_a_position_that_only_a_log_that_hangs_could_know_is_refused_soon(self) -> None:
        self.post(1, 3)
        channel = self.start().channels["e"]
        self.log.refresh = lambda event: Deferred()  # type: ignore[method-assign]
        asked = Deferred.fromCoroutine(channel.seek(Cursor("e1", 7)))
        self.assertNoResult(asked)
        self.clock.advance(ASK_PATIENCE_S)
        self.failureResultOf(asked, LogUnavailable)

    def test_a_range_that_is_really_gone_becomes_a_gap_for_who_asks_again(self) -> None:
        self.post(1, 30)
        self.archive_all()
        hub = self.start(window=10)
        del self.archive.stored["e"][4:8]  # 5 to 8 are nowhere any more
        channel = hub.channels["e"]
        self.failureResultOf(Deferred.fromCoroutine(channel.history(4, 4, rich=False)), ArchiveUnavailable)
        self.assertEqual(channel.locate(Cursor("e1", 4)), Resume(8, Gap(5, 8, "expired")))

    def test_the_oldest_is_asked_for_again_when_it_was_not_known_at_the_start(self) -> None:
        self.post(1, 30)
        self.archive_all()
        self.archive.fault = ArchiveUnavailable("down")
        channel = self.start(window=10).channels["e"]
        self.assertIsNone(channel.locate(Cursor("e1", 3)))
        self.assertEqual(channel.locate(Cursor("e1", 25)), Resume(25, None))
        self.failureResultOf(Deferred.fromCoroutine(channel.seek(Cursor("e1", 3))), ArchiveUnavailable)
        self.archive.fault = None
        found = self.successResultOf(Deferred.fromCoroutine(channel.seek(Cursor("e1", 3))))
        self.assertEqual(found, Resume(3, None))

    def test_a_position_that_another_node_has_told_already_is_no_gap(self) -> None:
        hub = self.start()
        channel = hub.channels["e"]
        self.post(1, 3)
        told, self.log._watchers[:] = list(self.log._watchers), []
        self.post(4, 6)

        def refresh(event: str) -> Deferred[None]:
            for watcher in told:
                watcher(event)
            return succeed(None)

        self.log.refresh = refresh  # type: ignore[method-assign]
        self.assertEqual(channel.head, 3)
        self.assertIsNone(channel.locate(Cursor("e1", 6)))
        found = self.successResultOf(Deferred.fromCoroutine(channel.seek(Cursor("e1", 6))))
        self.assertEqual((found, channel.head), (Resume(6, None), 6))

    def test_an_epoch_that_another_node_knows_already_is_no_gap(self) -> None:
        channel = self.start().channels["e"]
        self.post(1, 3)
        told, self.log._watchers[:] = list(self.log._watchers), []
        self.log.renew("e", "e2", 3)
        self.assertIsNone(channel.locate(Cursor("e2", 3)))
        self.log._watchers[:] = told
        self.assertEqual(
            self.successResultOf(Deferred.fromCoroutine(channel.seek(Cursor("e2", 3)))), Resume(3, None)
        )

    def test_a_position_that_nobody_has_told_is_a_gap_once_the_log_was_asked(self) -> None:
        channel = self.start().channels["e"]
        self.post(1, 3)
        for cursor, gap in (
            (Cursor("e1", 5), Gap(4, 5, "future")),
            (Cursor("e9", 2), Gap(None, None, "epoch")),
        ):
            self.assertIsNone(channel.locate(cursor))
            found = self.successResultOf(Deferred.fromCoroutine(channel.seek(cursor)))
            self.assertEqual(found, Resume(0, gap))

    def test_nobody_is_told_of_a_gap_that_a_log_out_of_reach_might_deny(self) -> None:
        hub = self.start()
        self.post(1, 3)
        channel = hub.channels["e"]
        self.log.fault = LogUnavailable("no route")
        self.failureResultOf(Deferred.fromCoroutine(channel.seek(Cursor("e1", 5))), LogUnavailable)

    def test_who_asks_while_the_hub_reads_waits_for_it(self) -> None:
        hub = self.start()
        channel = hub.channels["e"]
        waiting: Deferred[Slice] = Deferred()
        read, self.log.read = self.log.read, lambda *_: waiting  # type: ignore[method-assign]
        self.log.tell("e")
        self.log.read = read  # type: ignore[method-assign]
        self.post(1, 4)
        seeking = Deferred.fromCoroutine(channel.seek(Cursor("e1", 4)))
        gone = Deferred.fromCoroutine(channel.seek(Cursor("e1", 4)))
        self.assertNoResult(seeking)
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        waiting.callback(Slice("e1", 1, []))
        self.assertEqual(self.successResultOf(seeking), Resume(4, None))

    def test_a_removal_outlives_the_window_until_the_archive_has_heard_of_it(self) -> None:
        self.post(1, 30)
        self.archive_all()
        hub = self.start(window=10)
        self.log.append("e", None, [Removed("push:5")])
        self.post(31, 60)
        channel = hub.channels["e"]
        bodies = self.successResultOf(Deferred.fromCoroutine(channel.history(4, 1, rich=False)))
        self.assertIn(b'"redacted"', bodies[0])
        for copied, unheard in ((30, {"push:5"}), (31, set())):
            hub.copied("e", copied)
            with channel.removals() as removed:
                self.assertEqual(set(removed), unheard)

    def test_what_is_removed_and_archived_while_history_is_read_is_not_told_any_more(self) -> None:
        self.post(1, 30)
        self.archive_all()
        hub = self.start(window=10)
        channel = hub.channels["e"]
        stale = self.successResultOf(self.archive.read("e", 4, 2))
        reading: Deferred[list[Change]] = Deferred()
        self.archive.read = lambda *_: reading  # type: ignore[method-assign]
        self.log.append("e", None, [Removed("push:5")])
        self.log.events["e"].base = 20  # the log answers for nothing below it
        history = Deferred.fromCoroutine(channel.history(4, 2, rich=False))
        self.assertNoResult(history)
        self.log.append("e", None, [Removed("push:6")])
        hub.copied("e", channel.head)
        reading.callback(stale)
        told = [json.loads(body)["type"] for body in self.successResultOf(history)]
        self.assertEqual(told, ["redacted", "redacted"])
        self.assertEqual(channel._reading, [])

    def test_a_page_does_not_show_what_is_removed_and_archived_while_it_is_put_together(self) -> None:
        self.post(1, 30)
        self.archive_all()
        hub = self.start(window=10)
        stale = self.successResultOf(self.archive.items("e", 30, 6))
        reading: Deferred[list[PageItem]] = Deferred()
        self.archive.items = lambda *_: reading  # type: ignore[method-assign]
        page = hub.page("e", 5, 6)
        self.log.append("e", None, [Removed("push:5")])
        hub.copied("e", 31)
        reading.callback(stale)
        self.assertEqual(self.ids(self.successResultOf(page)), ["push:4", "push:3", "push:2", "push:1"])

    def test_what_was_restored_is_shown_while_the_archive_has_heard_of_nothing(self) -> None:
        self.post(1, 30)
        self.archive_all()
        hub = self.start(window=10)
        self.log.append("e", None, [Removed("push:5"), Removed("push:29")])
        self.log.append("e", None, [a_post(5, "again", RESTORED + "a"), a_post(29, "again", RESTORED + "b")])
        page = self.successResultOf(hub.page("e", 40))
        shown = [(one.seq, one.item.id) for one in page.items[:4]]
        self.assertEqual(shown, [(34, "push:29"), (33, "push:5"), (30, "push:30"), (28, "push:28")])
        self.assertEqual(len(page.items), 30)
        channel = hub.channels["e"]
        told = self.successResultOf(Deferred.fromCoroutine(channel.history(4, 1, rich=False)))
        self.assertIn(b'"redacted"', told[0])

    def test_a_removal_the_archive_has_not_heard_of_is_known_after_a_restart_too(self) -> None:
        self.post(1, 30)
        self.archive_all()
        self.log.append("e", None, [Removed("push:5")])
        self.log.window = 100
        self.post(31, 60)
        channel = self.start(window=10).channels["e"]
        self.assertGreater(channel.first, 31)
        bodies = self.successResultOf(Deferred.fromCoroutine(channel.history(4, 1, rich=False)))
        self.assertIn(b'"redacted"', bodies[0])

    def test_a_subscriber_that_fails_is_sent_away_and_the_others_hear_everything(self) -> None:
        hub = self.start()
        failing, listener = Listener(), Listener()
        failing.changed = lambda first, last: 1 / 0  # type: ignore[method-assign]
        hub.channels["e"].subscribers += [failing, listener]
        self.post(1, 2)
        self.assertEqual(failing.heard, ["ended"])
        self.assertEqual(listener.heard, [(1, 2)])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_there_is_more_as_soon_as_there_is_more(self) -> None:
        hub = self.start()
        self.post(1, 5)
        channel = hub.channels["e"]
        first = channel.updates(3, 2, None, rich=False)
        self.post(6, 7)
        then = channel.updates(3, 2, None, rich=False)
        assert first is not None
        assert then is not None
        self.assertIn(b'"more":false', first)
        self.assertIn(b'"more":true', then)

    def test_the_newest_are_those_that_fit_into_one_answer(self) -> None:
        hub = self.start()
        self.log.append("e", None, [a_post(number, "x" * 60_000) for number in range(1, 9)])
        channel = hub.channels["e"]
        after = channel.newest_after(8, rich=False)
        body = channel.updates(after, 8, None, rich=False)
        assert body is not None
        self.assertEqual([change["seq"] for change in json.loads(body)["changes"]], [7, 8])

    def test_large_items_do_not_fill_the_memory(self) -> None:
        hub = self.start(window=10_000)
        for start in range(0, 600, 100):
            self.log.append("e", None, [a_post(start + n, "x" * 60_000) for n in range(100)])
        held = sum(len(change.stored) for change in hub.channels["e"].newest_first())
        self.assertLess(held, 20 * 1024 * 1024)
        self.assertEqual(hub.channels["e"].head, 600)

    # -- pages

    def test_a_page_has_the_outages_between_its_posts(self) -> None:
        hub = self.start()
        self.post(1, 2)
        self.log.append("e", None, [a_gap(1)])
        self.post(3, 5)
        self.log.append("e", None, [a_gap(1, OVER, "closed", 1), a_gap(2)])
        self.assertEqual(self.page(hub).gaps, [Outage(8, a_gap(2)), Outage(3, a_gap(1, OVER, "closed", 1))])
        page = self.page(hub, limit=3)
        self.assertEqual((self.ids(page), page.older), (["push:5", "push:4", "push:3"], 4))
        self.assertEqual(page.gaps, [Outage(8, a_gap(2))])
        self.assertEqual([gap.seq for gap in self.page(hub, before=4).gaps], [3])

    def test_outages_before_the_window_come_from_the_archive(self) -> None:
        self.log.append("e", None, [a_gap(1, OVER), a_gap(2)])
        self.post(1, 28)
        self.archive_all()
        hub = self.start(window=10)
        self.assertEqual(self.page(hub).gaps, [Outage(30, a_gap(2))])
        self.assertEqual([gap.seq for gap in self.page(hub, limit=50).gaps], [2, 1])

    def test_outages_that_the_archive_could_not_tell_of_at_the_start_are_asked_for_again(self) -> None:
        self.log.append("e", None, [a_gap(1)])
        self.post(1, 28)
        self.archive_all()
        self.archive.fault = ArchiveUnavailable("down")
        hub = self.start(window=10)
        self.assertEqual(self.page(hub).gaps, [])
        self.archive.fault = None
        hub.copied("e", 29)
        self.assertEqual(self.page(hub).gaps, [Outage(29, a_gap(1))])

    def test_the_archive_is_asked_for_earlier_outages_once_at_a_time(self) -> None:
        asked: list[Deferred[Any]] = []

        def gaps(event: str) -> Deferred[Any]:
            asked.append(Deferred())
            return asked[-1]

        self.archive.gaps = gaps  # type: ignore[method-assign]
        self.post(1, 30)
        hub = self.start()
        of_e = asked[:1]
        del asked[:]
        for seq in range(10, 30):
            hub.copied("e", seq)
        self.assertEqual(len(asked), 0)
        of_e[0].errback(ArchiveUnavailable("away"))
        hub.copied("e", 30)
        self.assertEqual(len(asked), 1)
        # An answer about the log as it was is no answer: it is asked again.
        self.log.renew("e", "e2", 29)
        self.assertEqual(len(asked), 1)
        asked[0].callback([(3, a_gap(1))])
        self.assertEqual(len(asked), 2)
        asked[1].callback([(4, a_gap(2))])
        hub.copied("e", 30)
        self.assertEqual(len(asked), 2)
        self.assertEqual([outage.gap for outage in self.page(hub).gaps], [a_gap(2)])

    def test_without_a_log_a_page_has_the_outages_of_the_archive(self) -> None:
        self.post(1, 3)
        self.log.append("e", None, [a_gap(1)])
        self.archive_all()
        self.log.fault = LogUnavailable("no route")
        hub = self.start()
        self.clock.advance(1)
        page = self.page(hub)
        self.assertEqual((len(page.items), page.gaps, page.stalled), (3, [Outage(4, a_gap(1))], True))

    def test_a_page_says_whether_posts_are_delayed(self) -> None:
        hub = self.start()
        self.assertFalse(self.page(hub).stalled)
        self.log.trouble = "full"
        self.clock.advance(1)
        self.assertTrue(self.page(hub).stalled)

    def test_a_prompt_page_leaves_out_what_was_fetched_late(self) -> None:
        hub = self.start()
        late = [Posted(replace(an_item(n), created_at="2026-01-01T00:00:00Z"), "1") for n in range(3, 6)]
        self.post(1, 2)
        self.log.append("e", None, late)
        self.post(6, 6)
        for _ in range(2):  # from the window, and from the archive
            page = self.successResultOf(hub.page("e", 3, prompt=True))
            self.assertEqual(self.ids(page), ["push:6", "push:2", "push:1"])
            self.assertEqual(self.ids(self.page(hub, limit=3)), ["push:6", "push:5", "push:4"])
            self.archive_all()
            hub = self.start(window=2)

    def test_a_prompt_page_is_full_behind_any_number_of_posts_that_came_late(self) -> None:
        late = [Posted(replace(an_item(n), created_at="2026-01-01T00:00:00Z"), "1") for n in range(9, 200)]
        self.post(1, 8)
        self.log.append("e", None, late)
        self.archive_all()
        reads: list[str] = []
        read = self.archive.read
        self.archive.read = lambda *asked: reads.append("read") or read(*asked)  # type: ignore[func-returns-value,method-assign]
        hub = self.start(window=10)
        page = self.successResultOf(hub.page("e", 5, prompt=True))
        self.assertEqual((self.ids(page), page.older), ([f"push:{n}" for n in range(8, 3, -1)], 4))
        self.log.fault = LogUnavailable("no route")
        page = self.successResultOf(self.start(window=10).page("e", 5, prompt=True))
        self.assertEqual((self.ids(page), page.older), ([f"push:{n}" for n in range(8, 3, -1)], 4))
        self.assertEqual(reads, [])

    def test_without_a_log_a_page_shows_what_the_archive_has(self) -> None:
        self.post(1, 30)
        self.archive_all()
        self.log.fault = LogUnavailable("no route")
        hub = self.start()
        page = self.page(hub, limit=5)
        self.assertEqual(self.ids(page), [f"push:{n}" for n in (30, 29, 28, 27, 26)])
        self.assertEqual((page.cursor, page.older), ("e1:30", 26))

    def test_posts_that_only_the_log_holds_are_never_left_out_of_a_page(self) -> None:
        self.post(1, 30)
        self.archive_all()
        self.log.window = 1000
        self.post(31, 100)
        hub = self.start(window=10)
        page = self.page(hub, limit=50)
        self.assertEqual((len(page.items), page.older), (10, 91))
        self.failureResultOf(hub.page("e", 50, page.older), ArchiveUnavailable)

    def test_what_is_removed_while_the_archive_is_asked_is_not_shown(self) -> None:
        self.post(1, 30)
        self.archive_all()
        hub = self.start(window=10)
        asked: Deferred[list[PageItem]] = Deferred()
        items, self.archive.items = self.archive.items, lambda *_: asked  # type: ignore[method-assign]
        waiting = hub.page("e", 50)
        self.log.append("e", None, [Removed("push:3"), Removed("push:28")])
        asked.callback(self.successResultOf(items("e", 50, 21)))
        shown = self.ids(self.successResultOf(waiting))
        self.assertNotIn("push:3", shown)
        self.assertNotIn("push:28", shown)

    def test_a_page_has_the_newest_items_and_says_whether_there_are_older(self) -> None:
        self.post(1, 7)
        hub = self.start()
        page = self.page(hub, limit=5)
        self.assertEqual(self.ids(page), [f"push:{n}" for n in (7, 6, 5, 4, 3)])
        self.assertEqual((page.cursor, page.older), ("e1:7", 3))
        last = self.page(hub, limit=5, before=page.older)
        self.assertEqual((self.ids(last), last.older), (["push:2", "push:1"], None))

    def test_paging_back_goes_on_into_the_archive(self) -> None:
        self.post(1, 30)
        self.archive_all()
        hub = self.start(window=10)
        seen: list[str] = []
        before: int | None = None
        while True:
            page = self.page(hub, limit=4, before=before)
            seen += self.ids(page)
            before = page.older
            if before is None:
                break
        self.assertEqual(seen, [f"push:{n}" for n in range(30, 0, -1)])

    def test_an_old_item_is_shown_with_an_edit_the_archive_does_not_know_yet(self) -> None:
        self.post(1, 30)
        self.archive_all()
        hub = self.start(window=10)
        self.log.append("e", None, [a_post(5, "corrected", "2")])
        texts = {found.item.id: found.item.text for found in self.page(hub, limit=100).items}
        self.assertEqual(texts["push:5"], "corrected")

    def test_a_page_shows_items_under_the_talk_they_are_filed_under_now(self) -> None:
        self.post(1, 30)
        self.log.append("e", None, [Filed("push:3", "old", "1"), Filed("push:5", "old", "1")])
        self.archive_all()
        hub = self.start(window=10)
        self.log.append("e", None, [Filed("push:5", "new", "2"), Filed("push:29", "new", "1")])
        self.log.append("e", None, [a_post(3, "corrected", "2"), a_post(29, "corrected", "2")])
        items = {found.item.id: found.item for found in self.page(hub, limit=100).items}
        talks = {item_id: item.talk for item_id, item in items.items() if item.talk is not None}
        self.assertEqual(talks, {"push:3": "old", "push:5": "new", "push:29": "new"})
        self.assertEqual(items["push:3"].text, "corrected")

    def test_without_an_archive_a_page_shows_what_is_at_hand(self) -> None:
        self.post(1, 30)
        self.archive_all()
        hub = self.start(window=10)
        self.archive.fault = ArchiveUnavailable("down")
        page = self.page(hub, limit=50)
        self.assertEqual((len(page.items), page.older), (10, 21))
        self.failureResultOf(hub.page("e", 50, page.older), ArchiveUnavailable)

    # -- witness

    def test_the_window_is_testimony(self) -> None:
        self.post(1, 30)
        hub = self.start(window=10)
        told = self.successResultOf(hub.testimony("e"))
        assert told is not None
        self.assertEqual((told.epoch, told.oldest, told.head), ("e1", 21, 30))
        self.assertEqual([change.seq for change in self.successResultOf(told.read(24, 3))], [25, 26, 27])
        self.assertIsNone(self.successResultOf(hub.testimony("other")))
