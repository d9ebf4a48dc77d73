"""When entries of a recording are due, and how they are dated."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.draft import Posted
from afeed.core.normalise.replay import Entry, Recording
from afeed.core.playing import MAX_BATCH, MAX_LATE_S, PAUSE_S, START, Place, Player, parse_place
from tests.fakes import a_post

NOW = 1_772_355_600.0


def recording(*times: float) -> Recording:
    """One post at each of ``times``, written when it happened."""
    entries = tuple(Entry(at, a_post(number), at) for number, at in enumerate(times))
    return Recording(entries, times[-1] if times else 0.0, ())


class PlaceTests(SynchronousTestCase):
    def test_a_place_survives_as_text(self) -> None:
        self.assertEqual(parse_place(str(Place(3, 41))), Place(3, 41))

    def test_what_is_not_a_place_is_the_start(self) -> None:
        for text in (None, "", "7", "1:2:3", "-1:2", "a:b", "1:", ":1", "٣:١", "1:" + "9" * 30):
            self.assertEqual(parse_place(text), START)


class PlayerTests(SynchronousTestCase):
    def ids(self, player: Player, seconds: float, now: float = NOW) -> list[str]:
        """What is due, and recorded at once."""
        drafts = player.due(seconds, now)
        player.advance(len(drafts))
        return [draft.item.id for draft in drafts if isinstance(draft, Posted)]

    def test_what_happened_at_the_beginning_is_due_at_once_and_together(self) -> None:
        player = Player(recording(0, 0, 0, 60), 1.0, False, START)
        self.assertEqual(player.wait(500.0), 0.0)
        self.assertEqual(self.ids(player, 500.0), ["push:0", "push:1", "push:2"])
        self.assertEqual(player.wait(500.0), 60.0)

    def test_speed_divides_every_pause(self) -> None:
        player = Player(recording(0, 60, 90), 30.0, False, START)
        player.wait(0.0)
        self.ids(player, 0.0)
        self.assertAlmostEqual(player.wait(0.0), 2.0)
        self.assertAlmostEqual(player.wait(1.5), 0.5)
        player.wait(2.0)
        self.assertEqual(self.ids(player, 2.0), ["push:1"])
        self.assertAlmostEqual(player.wait(2.0), 1.0)

    def test_the_end_is_the_end_without_loop(self) -> None:
        player = Player(recording(0, 1), 1.0, False, Place(0, 1))
        player.wait(0.0)
        self.assertEqual(self.ids(player, 0.0), ["push:1"])
        self.assertTrue(player.done)

    def test_the_next_round_comes_after_a_pause_with_ids_of_its_own(self) -> None:
        player = Player(recording(0, 10), 1.0, True, START)
        player.wait(0.0)
        self.ids(player, 0.0)
        player.wait(10.0)
        self.ids(player, 10.0)
        self.assertEqual(player.place, Place(1, 0))
        self.assertAlmostEqual(player.wait(10.0), PAUSE_S)
        player.wait(10.0 + PAUSE_S)
        self.assertEqual(self.ids(player, 10.0 + PAUSE_S), ["push:0~1"])

    def test_a_recording_of_one_moment_is_not_played_in_a_tight_loop(self) -> None:
        player = Player(recording(0), 1000.0, True, START)
        player.wait(0.0)
        self.ids(player, 0.0)
        self.assertEqual(player.wait(0.0), PAUSE_S)

    def test_a_place_goes_on_at_once_where_it_stopped(self) -> None:
        player = Player(recording(0, 100, 200), 1.0, True, Place(2, 1))
        self.assertEqual(player.wait(7.0), 0.0)
        self.assertEqual(self.ids(player, 7.0), ["push:1~2"])
        self.assertEqual(player.wait(7.0), 100.0)

    def test_a_place_beyond_a_recording_that_became_shorter(self) -> None:
        self.assertTrue(Player(recording(0, 1), 1.0, False, Place(0, 9)).done)
        self.assertEqual(Player(recording(0, 1), 1.0, True, Place(0, 9)).place, Place(1, 0))

    def test_a_little_lateness_is_made_up(self) -> None:
        player = Player(recording(0, 1, 2, 30), 1.0, False, START)
        player.wait(0.0)
        self.ids(player, 0.0)
        player.wait(4.0)
        self.assertEqual(self.ids(player, 4.0), ["push:1", "push:2"])
        self.assertEqual(player.wait(4.0), 26.0)

    def test_after_a_jump_of_the_clock_it_goes_on_where_it_stopped(self) -> None:
        player = Player(recording(*range(1000)), 1.0, False, START)
        player.wait(0.0)
        self.ids(player, 0.0)
        self.assertEqual(player.wait(3600.0), 0.0)
        self.assertEqual(self.ids(player, 3600.0), ["push:1"])
        self.assertEqual(player.wait(3600.0), 1.0)
        self.assertGreater(3600.0, MAX_LATE_S)

    def test_an_offer_is_bounded(self) -> None:
        player = Player(recording(*[0] * (MAX_BATCH + 10)), 1.0, False, START)
        player.wait(0.0)
        self.assertEqual(len(self.ids(player, 0.0)), MAX_BATCH)
        self.assertEqual(player.wait(0.0), 0.0)
        self.assertEqual(len(self.ids(player, 0.0)), 10)

    def test_posts_are_dated_by_the_present_with_pauses_as_played(self) -> None:
        entries = (Entry(0.0, a_post(0), -600.0), Entry(60.0, a_post(1), 60.0))
        player = Player(Recording(entries, 60.0, ()), 30.0, False, START)
        player.wait(0.0)
        (first,) = player.due(0.0, NOW)
        player.advance(1)
        player.wait(2.0)
        (second,) = player.due(2.0, NOW + 2)
        assert isinstance(first, Posted)
        assert isinstance(second, Posted)
        self.assertEqual(first.item.created_at, "2026-03-01T08:59:40Z")  # 600 s before, at 30 times the speed
        self.assertEqual(second.item.created_at, "2026-03-01T09:00:02Z")

    def test_an_edit_agrees_with_its_post_about_when_that_was_written(self) -> None:
        entries = (Entry(0.0, a_post(0), 0.0), Entry(90.0, a_post(0, "better", "2"), 0.0))
        player = Player(Recording(entries, 90.0, ()), 30.0, False, START)
        player.wait(0.0)
        (post,) = player.due(0.0, NOW)
        player.advance(1)
        player.wait(3.0)
        (edit,) = player.due(3.0, NOW + 3)
        assert isinstance(post, Posted)
        assert isinstance(edit, Posted)
        self.assertEqual(post.item.created_at, edit.item.created_at)

    def test_an_empty_recording_is_refused(self) -> None:
        self.assertRaises(ValueError, Player, recording(), 1.0, True, START)
