"""When people posted about a talk, as a drawing."""

from datetime import UTC, datetime, timedelta

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.schedule.model import Talk
from afeed.web.activity import Activity, activity

_START = datetime(2026, 11, 21, 17, 0, tzinfo=UTC)


class ActivityTests(SynchronousTestCase):
    def draw(self, posts: dict[str, int], minutes: int = 45) -> Activity:
        end = _START + timedelta(minutes=minutes)
        drawn = activity(posts, Talk(guid="1", id="a", title="A", start=_START, end=end), UTC)
        assert drawn is not None
        return drawn

    def test_begin_and_end_of_the_talk_are_marked(self) -> None:
        drawn = self.draw({"2026-11-21T17:05": 3})
        self.assertEqual([tick.text for tick in drawn.ticks], ["17:00", "17:45"])
        self.assertEqual([tick.x for tick in drawn.ticks], [drawn.start, drawn.end])

    def test_times_that_would_run_into_one_another_are_not_both_written(self) -> None:
        drawn = self.draw({"2026-11-21T17:00": 3}, minutes=2)
        self.assertEqual([tick.text for tick in drawn.ticks], ["17:00"])

    def test_every_post_is_in_a_bar_or_counted_outside(self) -> None:
        drawn = self.draw({"2026-11-21T16:59": 1, "2026-11-21T17:05": 3, "2026-11-23T09:00": 2, "odd": 5})
        self.assertEqual(sum(bar.posts for bar in drawn.bars), 4)
        self.assertEqual(drawn.outside, 2)
        self.assertEqual(drawn.most, 3)

    def test_without_posts_near_it_there_is_none(self) -> None:
        talk = Talk(guid="1", id="a", title="A", start=_START, end=_START + timedelta(hours=1))
        self.assertIsNone(activity({"2026-11-25T17:05": 3}, talk, UTC))
