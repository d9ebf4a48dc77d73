"""Many deadlines, one sweep."""

from __future__ import annotations

from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.wheel import Wheel
from tests.properties import given


class WheelTests(SynchronousTestCase):
    def test_a_deadline_is_never_early_and_at_most_a_second_late(self) -> None:
        wheel: Wheel[str] = Wheel()
        wheel.set("a", 10.4)
        self.assertEqual(wheel.expired(10.4), [])
        self.assertEqual(wheel.expired(11.0), ["a"])
        self.assertEqual(wheel.expired(12.0), [])

    def test_the_last_word_counts(self) -> None:
        wheel: Wheel[str] = Wheel()
        wheel.set("a", 5)
        wheel.set("a", 20)
        self.assertEqual(wheel.expired(15), [])
        wheel.discard("a")
        wheel.discard("a")
        self.assertEqual(wheel.expired(30), [])
        self.assertEqual(len(wheel), 0)

    def test_a_deadline_in_the_past_is_due_at_the_next_sweep(self) -> None:
        wheel: Wheel[str] = Wheel()
        wheel.expired(100)
        wheel.set("late", 3)
        self.assertEqual(wheel.expired(101), ["late"])

    def test_a_jump_of_the_clock_skips_nothing(self) -> None:
        wheel: Wheel[int] = Wheel()
        for second in range(0, 1000, 7):
            wheel.set(second, second)
        self.assertEqual(sorted(wheel.expired(10_000_000)), list(range(0, 1000, 7)))

    @given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 50), st.floats(0, 3)), max_size=60))
    def test_every_key_is_due_once_in_its_time(self, steps: list[tuple[int, float, float]]) -> None:
        wheel: Wheel[int] = Wheel()
        due: dict[int, float] = {}
        now = 0.0
        for key, at, pass_s in steps:
            wheel.set(key, now + at)
            due[key] = now + at
            now += pass_s
            for found in wheel.expired(now):
                self.assertLessEqual(due.pop(found), now)
            for at_latest in due.values():
                self.assertGreater(at_latest + 2, now)
        self.assertEqual(sorted(wheel.expired(now + 100)), sorted(due))
