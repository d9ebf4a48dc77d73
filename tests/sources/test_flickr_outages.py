"""Outages of Flickr, and of afeed itself, are in the record: in memory, on a clock, into a real kind of log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Any

from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from afeed.core.calendar import Period
from afeed.core.change import timestamp
from afeed.core.draft import Draft
from afeed.core.errors import LogUnavailable
from afeed.core.ledger import PollLedger
from afeed.interfaces import ISink, Position, Recorded
from afeed.metrics import Metrics
from afeed.pipeline import Intake
from afeed.services import Scheduled
from afeed.sources import flickr
from afeed.sources.flickr import OVERLAP_S, TOLD_POLLS, FlickrPoller
from tests.fakes import FakeLead, MemoryLog
from tests.simulators.flickr import FlickrSimulator
from tests.simulators.photos import Photo, invented
from tests.sources.flickrcase import KEY, NOW, STARTS, make_poller

#: An outage of a minute's polls is told after so long.
TOLD_S = TOLD_POLLS * 60.0 + OVERLAP_S
#: Histories of :class:`CompletenessTests`; change the seeds to see others.
SEEDS, FAULTS = range(1, 5), 20
#: Their longest faults (seconds), which have to be in the record.
LONG_S = 2500.0


@implementer(ISink)
class Mortal:
    """Passes offers on until it is killed; what comes then is not recorded any more."""

    def __init__(self, sink: ISink) -> None:
        self._sink = sink
        self.dead = False

    def offer(
        self, event: str, drafts: Sequence[Draft], position: Position | None = None
    ) -> Deferred[list[Recorded]]:
        return Deferred() if self.dead else self._sink.offer(event, drafts, position)

    def dropped(self, event: str, source: str, reason: str, count: int = 1) -> None:
        self._sink.dropped(event, source, reason, count)


class OutageCase(SynchronousTestCase):
    """``self.poller`` feeds ``self.live_log`` from ``self.flickr``, as in a node."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.flickr = FlickrSimulator(self.clock, self.now, key=KEY)
        self.agent = RequestTraversalAgent(self.flickr.root())
        self.live_log = MemoryLog(["conf"])
        self.intake = Intake(self.live_log, self.clock, Metrics(self.now), self.now, FakeLead())
        self.uploads = 0

    def now(self) -> float:
        return NOW + self.clock.seconds()

    def make(self, **options: Any) -> FlickrPoller:
        return make_poller(
            HTTPClient(self.agent),
            "http://flickr.example/services/rest/",
            self.clock,
            stored=lambda: self.live_log.position("conf", "flickr:conf"),
            **options,
        )

    def start(self, **options: Any) -> None:
        """A poller that knows nothing but what the log knows, its first poll done."""
        self.sink = Mortal(self.intake)
        self.poller = self.make(**options)
        self.running = Deferred.fromCoroutine(self.poller.run(self.sink))
        self.running.addErrback(lambda failure: failure.trap(CancelledError) and None)
        self.addCleanup(self.running.cancel)
        self.pass_time(10)

    def stop(self) -> None:
        self.running.cancel()
        self.successResultOf(self.running)

    def kill(self) -> None:
        """As ``kill -9``: nothing is said any more."""
        self.sink.dead = True
        self.stop()

    def pass_time(self, seconds: float, step: float = 1.0) -> None:
        self.agent.flush()
        end = self.clock.seconds() + seconds
        while (left := end - self.clock.seconds()) > 1e-6:
            self.clock.advance(min(step, left))
            self.agent.flush()

    def upload(self, **options: int) -> Photo:
        """Somebody uploads a photo."""
        self.uploads += 1
        photo = invented(self.uploads, int(self.now()))
        photo.indexed = photo.uploaded + options.get("late", 0)
        self.flickr.library.add(photo)
        return photo

    def changes(self, kind: str) -> list[dict[str, Any]]:
        changes = [json.loads(change.json) for change in self.live_log.events["conf"].changes]
        return [change for change in changes if change["type"] == kind]

    def ids(self) -> list[str]:
        return [change["item"]["id"].removeprefix("flickr:") for change in self.changes("item.posted")]

    def gaps(self) -> list[tuple[str, int, str]]:
        return [(gap["state"], gap["fetched"], gap["reason"]) for gap in self.changes("source.gap")]


class FlickrOutageTests(OutageCase):
    def test_an_outage_is_told_when_it_has_lasted_and_closed_with_what_was_fetched(self) -> None:
        self.start()
        self.upload()
        self.pass_time(120)
        self.flickr.lasting = "502"
        self.pass_time(TOLD_S - 70)
        self.assertEqual(self.gaps(), [])
        missed = [self.upload() for _ in range(3)]
        self.pass_time(71)
        (gap,) = self.changes("source.gap")
        self.assertEqual((gap["source"], gap["to"], gap["state"]), ("flickr:conf", None, "open"))
        self.assertEqual(gap["from"][:16], timestamp(NOW + 120)[:16])
        check = self.poller.check()
        self.assertEqual(check.state, "failed")
        self.assertIn(f"What was uploaded since {gap['from']} is missing", check.detail)
        self.assertIn("502", check.data["missing"][0])
        self.pass_time(3600, step=5)
        self.assertEqual(len(self.gaps()), 1)
        self.flickr.lasting = None
        with capturedLogs() as logged:
            self.pass_time(900, step=5)
        self.assertEqual(self.ids()[1:], [photo.id for photo in missed])
        self.assertEqual(self.gaps(), [("open", 0, "outage"), ("closed", 3, "outage")])
        opened, closed = self.changes("source.gap")
        self.assertEqual(closed["from"], opened["from"])
        self.assertGreater(closed["to"], timestamp(NOW + 120 + 3600))
        self.assertEqual((self.poller.check().state, self.poller.check().data["missing"]), ("ok", []))
        self.assertTrue(any("3 photos from" in (formatEvent(event) or "") for event in logged), logged)

    def test_a_short_outage_leaves_no_record(self) -> None:
        for fault in ("429", "close", "html"):
            self.start()
            self.flickr.lasting = fault
            self.pass_time(250, step=5)
            self.flickr.lasting = None
            self.pass_time(900, step=5)
            self.assertEqual((self.gaps(), self.poller.check().state), ([], "ok"), fault)
            self.stop()
            self.setUp()

    def test_it_is_told_on_time_although_the_next_poll_is_far_away(self) -> None:
        self.start()
        self.flickr.lasting = "100"  # asked again after a quarter of an hour only
        self.pass_time(60 + TOLD_S)
        self.assertEqual(self.gaps(), [("open", 0, "outage")])
        self.assertLessEqual(len(self.flickr.requests), 3)

    def test_a_source_that_is_polled_rarely_has_its_outages_told_late(self) -> None:
        self.start(interval_s=7200.0)
        self.pass_time(3 * 7200, step=60)
        self.assertEqual(self.gaps(), [])
        self.flickr.lasting = "502"
        self.pass_time(TOLD_POLLS * 7200 + OVERLAP_S, step=60)
        self.assertEqual(self.gaps(), [("open", 0, "outage")])

    def test_a_search_that_does_not_come_to_its_end_closes_nothing_and_counts(self) -> None:
        self.start(per_page=25)
        self.flickr.lasting = "502"
        self.pass_time(TOLD_S + 120, step=5)
        missed = [self.upload().id for _ in range(60)]
        self.flickr.lasting = None
        while len(self.ids()) < 25:
            self.pass_time(1)
        self.flickr.lasting = "close"
        self.pass_time(60)
        self.assertLess(len(self.ids()), 60)
        self.assertEqual([state for state, _, _ in self.gaps()], ["open"])
        self.flickr.lasting = None
        self.pass_time(900, step=5)
        self.assertEqual(self.ids(), missed)
        self.assertEqual(self.gaps()[-1], ("closed", 60, "outage"))

    def test_more_than_one_search_can_give_is_fetched_before_it_is_closed(self) -> None:
        self.patch(flickr, "MAX_RESULTS", 100)
        self.start(per_page=25)
        self.flickr.lasting = "502"
        self.pass_time(1000, step=5)
        for _ in range(250):
            self.upload()
            self.clock.advance(1)
        self.flickr.lasting = None
        self.pass_time(900, step=5)
        self.assertEqual(len(self.ids()), 250)
        self.assertEqual(self.gaps(), [("open", 0, "outage"), ("closed", 250, "outage")])

    def test_what_is_older_than_the_outage_is_not_counted(self) -> None:
        late = self.upload(late=700)
        self.clock.advance(60)
        self.start()
        self.flickr.lasting = "502"
        self.pass_time(TOLD_S + 120, step=5)
        missed = self.upload()
        self.flickr.lasting = None
        self.pass_time(900, step=5)
        self.assertEqual(sorted(self.ids()), sorted([late.id, missed.id]))
        self.assertEqual(self.gaps()[-1], ("closed", 1, "outage"))

    def test_a_second_outage_is_another_one(self) -> None:
        self.start()
        for _ in range(2):
            self.flickr.lasting = "html"
            self.upload()
            self.pass_time(1200, step=5)
            self.flickr.lasting = None
            self.pass_time(900, step=5)
        self.assertEqual(self.gaps(), [("open", 0, "outage"), ("closed", 1, "outage")] * 2)
        self.assertEqual(len({gap["from"] for gap in self.changes("source.gap")}), 2)

    def test_a_log_that_is_away_meanwhile_is_told_when_it_is_back(self) -> None:
        self.start()
        self.flickr.lasting = "502"
        self.live_log.fault = LogUnavailable("away")
        self.pass_time(TOLD_S + 120, step=5)
        missed = self.upload()
        self.flickr.lasting = None
        self.pass_time(900, step=5)
        self.assertEqual((self.ids(), self.gaps()), ([], []))
        self.live_log.fault = None
        self.pass_time(900, step=5)
        self.assertEqual(self.ids(), [missed.id])
        self.assertEqual(self.gaps(), [("open", 0, "outage"), ("closed", 1, "outage")])


class StopTests(OutageCase):
    def test_a_night_without_afeed_is_told_and_filled_in(self) -> None:
        self.start()
        before = self.upload()
        self.pass_time(120)
        self.stop()
        missed = []
        for _ in range(8):
            self.clock.advance(3600)
            missed.append(self.upload())
        self.start()
        self.assertEqual(self.ids(), [photo.id for photo in (before, *missed)])
        self.assertEqual(self.gaps(), [("open", 0, "outage"), ("closed", 8, "outage")])
        self.assertLess(self.changes("source.gap")[0]["from"], timestamp(NOW + 131))
        self.pass_time(1200, step=5)
        self.assertEqual(len(self.gaps()), 2)

    def test_a_quick_restart_leaves_no_record(self) -> None:
        self.start()
        for seconds in (3, 60, TOLD_S - 80):
            self.upload()
            self.stop()
            self.clock.advance(seconds)
            self.start()
        self.assertEqual((len(self.ids()), self.gaps()), (3, []))

    def test_a_quiet_source_says_from_time_to_time_how_far_it_is(self) -> None:
        self.start()
        self.pass_time(3600, step=5)
        stored = json.loads(self.live_log.events["conf"].positions["flickr:conf"])
        self.assertGreater(stored["live_at"], timestamp(self.now() - 90))
        self.assertEqual(self.live_log.events["conf"].changes, [])

    def test_an_outage_during_which_afeed_is_killed_is_one_outage(self) -> None:
        self.start()
        self.upload()
        self.pass_time(120)
        self.flickr.lasting = "502"
        self.upload()
        self.pass_time(1200, step=5)
        (gap,) = self.changes("source.gap")
        for _ in range(3):
            self.kill()
            self.clock.advance(7200)
            self.start()
            self.upload()
            self.assertIn(f"photos from {gap['from']} on are missing", self.poller.check().data["missing"][0])
        self.flickr.lasting = None
        self.pass_time(900, step=5)
        self.assertEqual(len(self.ids()), 5)
        self.assertEqual(self.gaps(), [("open", 0, "outage"), ("closed", 4, "outage")])

    def test_a_kill_in_the_middle_of_the_filling_is_no_end_of_the_outage(self) -> None:
        self.start(per_page=25)
        self.flickr.lasting = "502"
        self.pass_time(TOLD_S + 120, step=5)
        missed = [self.upload().id for _ in range(100)]
        self.flickr.lasting = None
        while len(self.ids()) < 50:
            self.pass_time(1)
        self.kill()
        self.assertEqual([state for state, _, _ in self.gaps()], ["open"])
        self.clock.advance(30)
        self.start(per_page=25)
        self.pass_time(60)
        self.assertEqual(self.ids(), missed)
        state, fetched, _ = self.gaps()[-1]
        self.assertEqual(state, "closed")
        self.assertGreaterEqual(fetched, 75)  # a page that was recorded last thing was not counted any more

    def test_a_stop_before_flickr_ever_answered_is_an_outage_since_the_first_start(self) -> None:
        earlier = self.upload()
        self.clock.advance(600)
        self.flickr.lasting = "502"
        self.start()
        self.stop()
        self.upload()
        self.clock.advance(3600)
        self.flickr.lasting = None
        self.start()
        self.assertEqual(len(self.ids()), 2)
        self.assertIn(earlier.id, self.ids())
        self.assertEqual(self.gaps(), [("open", 0, "outage"), ("closed", 1, "outage")])
        self.assertEqual(self.changes("source.gap")[0]["from"], timestamp(NOW + 600))


class DaysTests(OutageCase):
    """Outside its days a source does not run, and that is no outage."""

    def scheduled(self, end: float) -> Scheduled:
        self.poller = self.make(ends=end)
        scheduled = Scheduled(self.poller, self.intake, Period(STARTS, end), self.clock, self.now)
        running = Deferred.fromCoroutine(scheduled.run())
        running.addErrback(lambda failure: failure.trap(CancelledError) and None)
        self.addCleanup(running.cancel)
        self.pass_time(10)
        return scheduled

    def test_the_time_before_the_event_is_no_outage(self) -> None:
        old = json.dumps({"newest_id": str(STARTS - 86_400 * 365), "live_at": timestamp(STARTS - 86_400 * 365)})
        self.live_log.events["conf"].positions["flickr:conf"] = old
        self.clock.advance(STARTS - NOW)
        photo = self.upload()
        self.start()
        self.assertEqual((self.ids(), self.gaps()), ([photo.id], []))

    def test_the_end_of_the_days_is_no_outage(self) -> None:
        scheduled = self.scheduled(NOW + 600)
        self.pass_time(1200, step=5)
        self.assertEqual(self.gaps(), [])
        self.assertEqual((scheduled.check().state, scheduled.check().data), ("ok", {"state": "resting"}))

    def test_an_outage_that_outlasts_the_event_stays_open_and_health_says_why(self) -> None:
        for told in (True, False):
            scheduled = self.scheduled(NOW + (3600 if told else 600))
            self.flickr.lasting = "502"
            self.pass_time(4000, step=5)
            gap = self.changes("source.gap")[-1]
            self.assertEqual((gap["state"], gap["reason"]), ("open", "event-over"))
            self.assertEqual(gap["to"], timestamp(NOW + (3600 if told else 600)))
            self.assertEqual(len(self.gaps()), 2 if told else 1)
            check = scheduled.check()
            self.assertEqual(check.state, "degraded")
            self.assertIn(f"photos from {gap['from']} to {gap['to']} are missing: Flickr answers", check.detail)
            self.pass_time(3600, step=30)
            self.assertEqual(self.changes("source.gap")[-1], gap)
            self.setUp()


class CompletenessTests(OutageCase):
    """Random faults, stops and kills, one after the other."""

    def strike(self, rng: Random) -> str:
        """One fault, chosen at random, for a while."""
        name = rng.choice(("refused", "broken", "stop", "kill", "late", "quiet"))
        seconds, began = rng.choice((20.0, 90.0, 700.0, LONG_S)), self.now()
        if name in ("refused", "broken"):
            self.flickr.lasting = rng.choice(
                ("502", "429", "201", "100", "redirect") if name == "refused" else ("html", "xml", "truncated")
            )
            self.live(rng, seconds)
            self.flickr.lasting = None
        elif name in ("stop", "kill"):
            if name == "kill":
                self.sink.dead = True
                self.live(rng, rng.random() * 90)
            self.stop()
            self.live(rng, seconds)
            self.start(per_page=25)
        elif name == "late":
            for _ in range(rng.randrange(1, 5)):
                self.upload(late=rng.randrange(30, int(OVERLAP_S) - 60))
        if seconds == LONG_S and name not in ("late", "quiet"):
            self.long.append((timestamp(began), timestamp(began + LONG_S)))
        return name

    def live(self, rng: Random, seconds: float) -> None:
        """Time passes, people upload."""
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            self.pass_time(5, step=5)
            if rng.random() < 0.1:
                self.upload()

    def history(self, seed: int) -> Counter[str]:
        """One history, and what it amounts to."""
        rng = Random(seed)
        found = Counter[str]()
        self.long: list[tuple[str, str]] = []
        self.start(per_page=25)
        for _ in range(FAULTS):
            found[self.strike(rng)] += 1
            self.live(rng, rng.choice((5.0, 120.0, 1000.0)))
        self.pass_time(2 * 3600, step=15)
        self.assertEqual(Counter(self.ids()), Counter(list(self.flickr.library.photos)), f"seed {seed}")
        self.assertEqual(self.poller.check().state, "ok", f"seed {seed}: {self.poller.check().detail}")
        ledger = {gap["from"]: gap for gap in self.changes("source.gap")}
        self.assertEqual({gap["state"] for gap in ledger.values()} - {"closed"}, set(), f"seed {seed}")
        for one, other in pairwise(sorted(ledger)):
            self.assertLessEqual(ledger[one]["to"], other, f"seed {seed}: outages overlap")
        for began, ended in self.long:
            covering = [gap for gap in ledger.values() if gap["from"] <= began and ended <= gap["to"]]
            self.assertEqual(len(covering), 1, f"seed {seed}: from {began} to {ended}")
        self.stop()
        found["outages"], found["photos"] = len(ledger), self.uploads
        return found

    def test_every_photo_is_there_once_and_every_outage_is_closed(self) -> None:
        total = Counter[str]()
        for seed in SEEDS:
            total.update(self.history(seed))
            self.setUp()
        self.assertEqual(sum(total.values()) - total["outages"] - total["photos"], FAULTS * len(SEEDS))
        self.assertGreater(total["outages"], 15)
        self.assertGreater(total["photos"], 500)

    def test_without_the_stored_moment_these_histories_would_show_it(self) -> None:
        """The check can fail: a poller that forgets since when it was not answered leaves outages open."""
        self.patch(PollLedger, "position", lambda ledger, newest_id: json.dumps({"newest_id": newest_id}))
        with self.assertRaises(self.failureException):
            self.test_every_photo_is_there_once_and_every_outage_is_closed()
