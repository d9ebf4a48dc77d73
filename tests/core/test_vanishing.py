"""Which posts to look up again, and whom to believe."""

from __future__ import annotations

from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.vanishing import Rounds
from tests.properties import given


def ids(count: int) -> list[str]:
    return [str(number) for number in range(count)]


class RoundsTests(SynchronousTestCase):
    def test_nothing_shown_is_nothing_to_ask_for(self) -> None:
        rounds = Rounds(100)
        self.assertTrue(rounds.over)
        rounds.begin({"aea": [], "conf": []})
        self.assertTrue(rounds.over)
        self.assertRaises(IndexError, rounds.next)

    def test_the_events_take_turns_and_the_newest_come_first(self) -> None:
        rounds = Rounds(2)
        rounds.begin({"a": ids(5), "b": ids(1)})
        asked = []
        while not rounds.over:
            asked.append(rounds.next())
            rounds.answered([])
        self.assertEqual(asked, [("a", ("0", "1")), ("b", ("0",)), ("a", ("2", "3")), ("a", ("4",))])

    def test_what_is_gone_is_removed(self) -> None:
        rounds = Rounds(100)
        rounds.begin({"a": ids(50)})
        self.assertEqual(rounds.answered({"7", "3", "strange"}), ["3", "7"])

    def test_a_question_that_failed_is_asked_again(self) -> None:
        rounds = Rounds(100)
        rounds.begin({"a": ids(3)})
        self.assertEqual(rounds.next(), rounds.next())

    def test_an_answer_that_would_take_most_is_believed_when_it_is_given_twice(self) -> None:
        rounds = Rounds(100)
        rounds.begin({"a": ids(20)})
        self.assertEqual(rounds.answered(ids(15)), [])
        rounds.begin({"a": ids(20)})
        self.assertEqual(rounds.answered(ids(14)), ids(14))

    def test_a_doubtful_answer_that_is_taken_back_removes_nothing(self) -> None:
        rounds = Rounds(100)
        for gone in (ids(20), [], ids(20)):
            rounds.begin({"a": ids(20)})
            self.assertEqual(rounds.answered(gone), [])

    def test_the_few_posts_of_a_small_event_may_all_go(self) -> None:
        rounds = Rounds(100)
        rounds.begin({"a": ids(3)})
        self.assertEqual(rounds.answered(ids(3)), ids(3))

    @given(st.dictionaries(st.sampled_from("abc"), st.integers(0, 40)), st.integers(1, 9))
    def test_a_round_asks_for_everything_once(self, counts: dict[str, int], size: int) -> None:
        shown = {event: ids(count) for event, count in counts.items()}
        rounds = Rounds(size)
        rounds.begin(shown)
        asked: dict[str, list[str]] = {event: [] for event in shown}
        while not rounds.over:
            event, batch = rounds.next()
            self.assertTrue(0 < len(batch) <= size)
            asked[event].extend(batch)
            rounds.answered([])
        self.assertEqual(asked, shown)
