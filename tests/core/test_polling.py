"""Polling in pages."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.polling import Offered, Spacing, Walk, jittered, retry_wait
from tests.fakes import a_post


class WalkTests(SynchronousTestCase):
    def pages(self, walk: Walk, claimed: int, counts: list[int]) -> list[int]:
        """The pages asked for when the upstream claims ``claimed`` and delivers ``counts``, then nothing."""
        asked, more = [], True
        while more:
            asked.append(walk.page)
            count = counts[walk.page - 1] if walk.page <= len(counts) else 0
            more = walk.read(count, claimed, None)
        return asked

    def test_all_claimed_pages_are_read_although_one_is_short_and_one_is_empty(self) -> None:
        self.assertEqual(self.pages(Walk(0, 100, 4000), 4, [100, 3, 0, 94]), [1, 2, 3, 4])

    def test_without_a_usable_claim_an_empty_page_is_the_end(self) -> None:
        self.assertEqual(self.pages(Walk(0, 100, 4000), 0, [100, 100]), [1, 2, 3])

    def test_the_limit_ends_it_whatever_is_claimed(self) -> None:
        walk = Walk(0, 500, 4000)
        self.assertEqual(self.pages(walk, 10**9, [500] * 1000), list(range(1, 9)))
        self.assertIsNotNone(walk.rest)

    def test_a_walk_that_ended_by_itself_has_no_rest(self) -> None:
        walk = Walk(100, 500, 4000)
        self.assertFalse(walk.read(500, 1, 900))
        self.assertEqual((walk.newest, walk.rest), (900, None))

    def test_a_walk_that_ended_at_the_limit_goes_on_from_the_newest_upload(self) -> None:
        walk = Walk(100, 2, 4)
        self.assertTrue(walk.read(2, 9, 300))
        self.assertFalse(walk.read(2, 9, 250))
        self.assertEqual(walk.rest, 300)

    def test_thousands_of_photos_in_one_second_do_not_hold_it_up_for_ever(self) -> None:
        walk = Walk(100, 2, 4)
        walk.read(2, 9, 100)
        walk.read(2, 9, 100)
        self.assertEqual(walk.rest, 101)


class OfferedTests(SynchronousTestCase):
    def test_what_was_offered_is_fresh_only_with_other_content(self) -> None:
        offered = Offered(10)
        offered.add(offered.fresh([a_post(1), a_post(2), a_post(3)]))
        seen = [a_post(1), a_post(2, "better", version="2"), a_post(3, version="2"), a_post(4)]
        fresh = offered.fresh(seen)
        self.assertEqual([(post.item.id, post.version) for post in fresh], [("push:2", "2"), ("push:4", "1")])

    def test_an_edit_that_is_taken_back_is_offered_too(self) -> None:
        offered = Offered(10)
        for version, text in enumerate(("first", "second", "first"), 1):
            fresh = offered.fresh([a_post(1, text, str(version))])
            self.assertEqual(len(fresh), 1)
            offered.add(fresh)

    def test_a_repetition_within_one_page_is_offered_once(self) -> None:
        self.assertEqual(len(Offered(10).fresh([a_post(1), a_post(1)])), 1)

    def test_it_forgets_the_oldest_beyond_its_limit(self) -> None:
        offered = Offered(3)
        offered.add([a_post(1), a_post(2), a_post(3)])
        offered.fresh([a_post(1)])  # seen again
        offered.add([a_post(4)])
        self.assertEqual(len(offered), 3)
        self.assertEqual([post.item.id for post in offered.fresh([a_post(1), a_post(2)])], ["push:2"])


class SpacingTests(SynchronousTestCase):
    def test_slots_are_kept_apart(self) -> None:
        spacing = Spacing(1.5)
        self.assertEqual([spacing.reserve(10.0) for _ in range(3)], [0.0, 1.5, 3.0])
        self.assertEqual(spacing.reserve(100.0), 0.0)

    def test_a_key_stays_below_3600_requests_an_hour(self) -> None:
        spacing, now, count = Spacing(), 0.0, 0
        while now < 3600:
            now += spacing.reserve(now)
            count += 1
        self.assertLess(count, 3600)


class WaitTests(SynchronousTestCase):
    def test_waits_double_up_to_a_quarter_of_an_hour_and_a_quarter_of_each_is_jitter(self) -> None:
        rng = Random(3)
        for failures, whole in ((1, 15), (2, 30), (3, 60), (6, 480), (7, 900), (8, 900), (5000, 900)):
            waits = [retry_wait(failures, rng) for _ in range(200)]
            self.assertLessEqual(max(waits), whole)
            self.assertGreaterEqual(min(waits), whole * 0.75)
            self.assertGreater(max(waits) - min(waits), whole * 0.2)

    def test_an_interval_varies_by_a_tenth(self) -> None:
        rng = Random(3)
        intervals = [jittered(60.0, rng) for _ in range(200)]
        self.assertTrue(all(54.0 <= interval <= 66.0 for interval in intervals))
        self.assertGreater(max(intervals) - min(intervals), 10.0)
