"""What the Flickr poller asks for, offers, and does in trouble: in memory, with a clock in hand."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import quote

from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from afeed.core.errors import LogUnavailable
from afeed.core.polling import Spacing
from afeed.interfaces import ISource
from afeed.sources.flickr import FlickrPoller
from tests.simulators.flickr import FlickrSimulator
from tests.simulators.flickrfaults import FAULTS
from tests.simulators.photos import Photo, invented
from tests.sources.flickrcase import KEY, NOW, STARTS, Sink, make_poller, position


class PolicyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.flickr = FlickrSimulator(self.clock, lambda: NOW + self.clock.seconds(), key=KEY)
        self.agent = RequestTraversalAgent(self.flickr.root())
        self.sink = Sink()
        self.running: list[Deferred[None]] = []

    def start(self, **options: Any) -> FlickrPoller:
        """A poller at work, its first poll done."""
        url = options.pop("url", "http://flickr.example/services/rest/")
        poller = make_poller(HTTPClient(self.agent), url, self.clock, **options)
        running = Deferred.fromCoroutine(poller.run(self.sink))
        running.addErrback(lambda failure: failure.trap(CancelledError))
        self.addCleanup(running.cancel)
        self.running.append(running)
        self.pass_time(30)
        return poller

    def pass_time(self, seconds: float, step: float = 1.0) -> None:
        self.agent.flush()
        for _ in range(int(seconds / step)):
            self.clock.advance(step)
            self.agent.flush()

    def add(self, number: int, age: int = 60, **changes: Any) -> Photo:
        """Photo ``number``, uploaded ``age`` seconds ago."""
        photo = invented(number, int(NOW + self.clock.seconds()) - age)
        for name, value in changes.items():
            setattr(photo, name, value)
        self.flickr.library.add(photo)
        return photo

    # -- what is asked for ----------------------------------------------------------------------------------

    def test_it_is_a_source(self) -> None:
        poller = self.start()
        verifyObject(ISource, poller)
        self.assertEqual(poller.name, "flickr:conf")

    def test_the_search_asks_for_public_photos_with_any_tag_oldest_first(self) -> None:
        self.start()
        asked = self.flickr.requests[0]
        expected = {
            "method": "flickr.photos.search",
            "api_key": KEY,
            "format": "json",
            "nojsoncallback": "1",
            "tags": "aneventapart,aea26",
            "tag_mode": "any",
            "sort": "date-posted-asc",
            "per_page": "500",
            "page": "1",
            "min_upload_date": str(STARTS),
        }
        self.assertEqual({name: asked.get(name) for name in expected}, expected)
        extras = set(asked["extras"].split(","))
        self.assertLessEqual({"date_upload", "last_update", "license", "owner_name", "url_l", "url_o"}, extras)

    def test_a_stored_position_is_where_the_first_poll_begins_with_the_overlap(self) -> None:
        self.start(stored=lambda: succeed(position(NOW - 3600)))
        self.assertEqual(self.flickr.requests[0]["min_upload_date"], str(NOW - 3600 - 600))

    def test_a_position_that_is_none_begins_at_the_start_of_the_event(self) -> None:
        strange = ("", "nonsense", "-5", "9" * 40, "٣", "[]", '{"newest_id":7}', '{"live_at":"yesterday"}')
        for stored in (*strange, *(position(newest) for newest in ("nonsense", -5, "9" * 40, "٣"))):
            self.flickr.requests.clear()
            self.start(stored=lambda stored=stored: succeed(stored))
            self.assertEqual(self.flickr.requests[0]["min_upload_date"], str(STARTS), stored)

    def test_a_log_that_is_away_at_the_start_is_waited_for(self) -> None:
        answers = [fail(LogUnavailable("the disk is busy")), succeed(position(NOW - 3600))]
        poller = self.start(stored=lambda: answers.pop(0))
        self.assertEqual(self.flickr.requests[0]["min_upload_date"], str(NOW - 4200))
        self.assertEqual(poller.check().state, "ok")

    # -- what is offered ------------------------------------------------------------------------------------

    def test_photos_are_offered_once_with_the_newest_upload_as_position(self) -> None:
        self.add(1, age=500)
        newest = self.add(2, age=100)
        poller = self.start()
        self.pass_time(300)
        self.assertGreaterEqual(len(self.flickr.requests), 4)
        self.assertEqual(len(self.sink.offers), 1)
        posts, stored = self.sink.offers[0]
        self.assertEqual([post.item.media[0].owner for post in posts], ["Бо Приклад", "例 太郎"])
        self.assertEqual(stored, str(newest.uploaded))
        self.assertEqual(poller.check().data["items"], 2)

    def test_a_new_photo_comes_with_the_next_poll(self) -> None:
        self.start()
        self.add(7, age=5)
        self.pass_time(70)
        self.assertEqual(len(self.sink.ids), 1)

    def test_a_photo_that_changed_is_offered_again(self) -> None:
        photo = self.add(1)
        self.start()
        photo.title, photo.updated = "A better title", photo.uploaded + 30
        self.pass_time(70)
        self.assertEqual(
            [post.item.text for posts, _ in self.sink.offers for post in posts][-1], "A better title"
        )
        self.assertEqual(self.sink.ids, [photo.id, photo.id])

    def test_a_photo_indexed_late_is_found_although_newer_ones_were_seen(self) -> None:
        late = self.add(1, age=500, indexed=int(NOW) + 120)
        seen = self.add(2, age=30)
        self.start()
        self.assertEqual(self.sink.ids, [seen.id])
        self.pass_time(200)
        self.assertEqual(self.sink.ids, [seen.id, late.id])
        self.assertEqual(self.sink.offers[-1][1], str(seen.uploaded))  # the position does not go back

    def test_a_photo_tagged_hours_later_is_found_within_an_hour(self) -> None:
        seen = self.add(1, age=30)
        self.start()
        tagged = self.add(2, age=7200)
        self.pass_time(600)
        self.assertEqual(self.sink.ids, [seen.id])
        self.pass_time(3200, step=5.0)
        self.assertEqual(self.sink.ids, [seen.id, tagged.id])

    def test_after_a_restart_everything_is_looked_at_within_minutes(self) -> None:
        tagged = self.add(1, age=7200)
        self.start(stored=lambda: succeed(position(NOW - 30)))
        self.pass_time(500)
        self.assertEqual(self.sink.ids, [])
        self.pass_time(200)
        self.assertEqual(self.sink.ids, [tagged.id])

    def test_a_night_without_afeed_is_filled_in_oldest_first(self) -> None:
        last = self.add(1, age=30)
        self.start()
        stored = self.sink.stored
        self.running.pop().cancel()
        self.clock.advance(8 * 3600)
        missed = [self.add(number, age=8 * 3600 - 60 * number) for number in range(2, 62)]
        self.sink.offers.clear()
        self.start(stored=lambda: succeed(stored), per_page=25)
        self.assertEqual(self.sink.ids, [last.id, *(photo.id for photo in missed)])
        self.assertEqual(self.sink.offers[-1][1], str(missed[-1].uploaded))

    def test_an_outage_of_flickr_is_filled_in(self) -> None:
        self.start()
        self.flickr.faults.extend(["502"] * 5)
        missed = []
        for number in range(10):
            missed.append(self.add(number, age=5))
            self.pass_time(30)
        self.pass_time(900, step=5.0)
        self.assertEqual(sorted(self.sink.ids), sorted(photo.id for photo in missed))

    def test_a_comment_on_a_photo_changes_nothing(self) -> None:
        photo = self.add(1)
        self.start()
        photo.updated = photo.uploaded + 30
        self.pass_time(70)
        self.assertEqual(self.sink.ids, [photo.id])

    def test_a_short_page_does_not_end_paging(self) -> None:
        photos = [self.add(number, age=1000 - number) for number in range(20)]
        self.flickr.library.wobble.hide = 3
        self.start(per_page=5)
        self.assertEqual([asked["page"] for asked in self.flickr.requests[:4]], ["1", "2", "3", "4"])
        shown = [photo.id for index, photo in enumerate(photos) if (index % 5 + 1) % 3]
        self.assertEqual(self.sink.ids, shown)

    def test_photos_repeated_across_pages_are_offered_once(self) -> None:
        photos = [self.add(number, age=1000 - number) for number in range(20)]
        self.flickr.library.wobble.repeat = 3
        self.start(per_page=5)
        self.assertEqual(self.sink.ids, [photo.id for photo in photos])

    def test_numbers_and_strings_give_the_same_items(self) -> None:
        self.add(1)
        self.start()
        self.flickr.library.wobble.strings = True
        self.sink.offers, before = [], self.sink.offers
        self.start()
        self.assertEqual(self.sink.offers, before)

    def test_hostile_page_counts_and_missing_owners_are_bounded_and_counted(self) -> None:
        """upstream-46 of the hostile inputs."""
        good = self.add(1)
        self.add(2, extra={"owner": None})
        for pages in (10**9, -5, 0):
            self.flickr.library.wobble.pages = pages
            self.flickr.requests.clear()
            self.sink.drops.clear()
            self.sink.offers.clear()
            poller = self.start()
            self.assertLessEqual(len(self.flickr.requests), 8, pages)
            self.assertEqual(self.sink.ids, [good.id])
            self.assertEqual(self.sink.drops, Counter({"malformed": 1}))
            self.assertEqual(poller.check().state, "ok")
            self.pass_time(300)
            self.assertEqual(self.sink.drops, Counter({"malformed": 1}))  # the overlap sees it again and again
            self.assertLessEqual(len(self.flickr.requests), 8 * 7)
            self.running.pop().cancel()

    def test_more_photos_than_one_search_can_give_are_all_fetched_at_once(self) -> None:
        for number in range(4100):
            self.add(number, age=80_000 - number)
        self.start()
        self.assertEqual(len(self.sink.ids), 4100)
        self.assertEqual(len(set(self.sink.ids)), 4100)

    def test_a_photo_from_the_future_does_not_hide_the_present(self) -> None:
        self.add(1, age=-10_000_000, indexed=NOW)
        self.start()
        self.pass_time(60)
        present = self.add(2, age=0)
        self.pass_time(70)
        self.assertIn(present.id, self.sink.ids)

    def test_nothing_is_asked_while_the_log_does_not_take_an_offer(self) -> None:
        self.add(1)
        self.sink.held = Deferred()
        self.start()
        self.pass_time(600)
        self.assertEqual(len(self.flickr.requests), 1)
        self.sink.held.callback(None)
        self.sink.held = None
        self.pass_time(70)
        self.assertEqual(len(self.flickr.requests), 2)

    def test_an_offer_that_failed_is_made_again(self) -> None:
        photo = self.add(1)
        self.sink.held = fail(RuntimeError("defect"))
        poller = make_poller(HTTPClient(self.agent), "http://flickr.example/services/rest/", self.clock)
        running = Deferred.fromCoroutine(poller.run(self.sink))
        self.pass_time(5)
        self.failureResultOf(running, RuntimeError)
        self.sink.held = None
        again = Deferred.fromCoroutine(poller.run(self.sink))
        self.addCleanup(again.cancel)
        again.addErrback(lambda failure: failure.trap(CancelledError))
        self.pass_time(5)
        self.assertEqual(self.sink.ids, [photo.id, photo.id])

    # -- trouble --------------------------------------------------------------------------------------------

    def test_a_configuration_error_is_an_alarm_and_not_hammered(self) -> None:
        for code in ("100", "1"):
            self.flickr.requests.clear()
            self.flickr.lasting = code
            poller = self.start()
            self.pass_time(800)
            self.assertEqual(len(self.flickr.requests), 1)
            check = poller.check()
            self.assertEqual(check.state, "failed")
            self.assertIn(f"code {code}", check.detail)
            self.flickr.lasting = None
            self.pass_time(100)
            self.assertEqual(poller.check().state, "ok")
            self.running.pop().cancel()

    def test_a_passing_error_is_tried_again_with_growing_waits(self) -> None:
        for code in ("105", "201", "0", "502", "429", "html", "xml", "truncated"):
            self.flickr.requests.clear()
            self.flickr.lasting = code
            poller = self.start()
            self.assertEqual(poller.check().state, "degraded", code)
            count = len(self.flickr.requests)
            self.assertGreaterEqual(count, 1 if code == "429" else 2, code)
            self.pass_time(500)
            self.assertLess(len(self.flickr.requests) - count, 6, code)
            self.flickr.lasting = None
            self.pass_time(900)
            self.assertEqual(poller.check().state, "ok", code)
            self.running.pop().cancel()

    def test_ten_minutes_of_passing_errors_are_a_failure(self) -> None:
        self.flickr.lasting = "502"
        poller = self.start()
        self.pass_time(540)
        self.assertEqual(poller.check().state, "degraded")
        self.pass_time(60)
        self.assertEqual(poller.check().state, "failed")
        self.assertIn("502", poller.check().detail)

    def test_retry_after_is_respected(self) -> None:
        self.flickr.faults.append("429")
        self.start()
        self.pass_time(80)
        self.assertEqual(len(self.flickr.requests), 1)
        self.pass_time(20)
        self.assertEqual(len(self.flickr.requests), 2)

    def test_what_was_uploaded_during_an_outage_is_fetched_after_it(self) -> None:
        seen = self.add(1)
        self.start()
        self.flickr.lasting = "201"
        missed = []
        for number in range(2, 12):
            missed.append(self.add(number, age=0).id)
            self.pass_time(300, step=5.0)
        self.flickr.lasting = None
        self.pass_time(900, step=5.0)
        self.assertEqual(self.sink.ids, [seen.id, *missed])

    def test_a_redirect_is_an_alarm_and_the_key_stays_here(self) -> None:
        self.flickr.faults.append("redirect")
        poller = self.start()
        self.assertEqual(poller.check().state, "failed")
        self.assertIn("https://example.org", poller.check().detail)
        self.assertEqual(len(self.flickr.requests), 1)

    def test_the_key_is_in_no_log_and_no_check_even_when_flickr_repeats_it(self) -> None:
        self.flickr.library.add(invented(1, NOW))
        with capturedLogs() as logged:
            poller = self.start()
            texts = []
            for fault in FAULTS:
                if fault in ("silent", "dribble", "endless", "close"):
                    continue
                self.flickr.lasting = fault
                self.pass_time(1800, step=10.0)
                texts.append(repr(poller.check()))
        written = "\n".join(texts + [f"{formatEvent(event)} {event!r}" for event in logged])
        self.assertIn("502", written)
        self.assertNotIn(KEY, written)
        self.assertNotIn(quote(KEY), written)

    def test_pollers_with_one_key_stay_below_its_limit_together(self) -> None:
        spacing = Spacing()
        for _ in range(3):
            self.start(spacing=spacing, interval_s=1.0)
        before = len(self.flickr.requests)
        self.pass_time(3600, step=0.5)
        made = len(self.flickr.requests) - before
        self.assertLess(made, 3600)
        self.assertGreater(made, 2000)

    def test_the_check_says_when_things_happened_and_will(self) -> None:
        poller = self.start()
        data = poller.check().data
        self.assertEqual(data["last_poll_at"], "2026-03-01T09:00:00.000Z")
        self.assertIsNone(data["last_item_at"])
        self.assertRegex(data["next_poll_at"], r"2026-03-01T09:0[01]:")
        self.add(1, age=0)
        self.pass_time(70)
        self.assertRegex(poller.check().data["last_item_at"], r"2026-03-01T09:01:")

    def test_cancelling_ends_it(self) -> None:
        self.start()
        self.running[0].cancel()
        before = len(self.flickr.requests)
        self.pass_time(600)
        self.assertEqual(len(self.flickr.requests), before)
        self.assertEqual(self.clock.getDelayedCalls(), [])
