"""Which talks were moved, by what the log says."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.draft import Rescheduled, TalkChange
from afeed.web.moves import Moves
from tests.web.serving import House


def a_change(id: str, *kinds: str) -> TalkChange:
    return TalkChange(
        id=id, kinds=kinds, title="T", start="2026-11-22T12:00:00Z", end="2026-11-22T13:00:00Z", room=None
    )


class MovesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House()
        self.addCleanup(self.house.stop)
        self.moves = Moves(self.house.hub.channels)

    def tell(self, mark: str, *talks: TalkChange) -> None:
        self.house.log.append("e", None, [Rescheduled(mark=mark, version=mark, talks=talks)])

    def test_a_talk_that_was_moved_is_known_from_then_on(self) -> None:
        self.assertEqual(self.moves("e"), frozenset())
        self.tell("1", a_change("a", "moved"), a_change("b", "renamed"), a_change("c", "cancelled", "moved"))
        self.house.post(3)
        self.assertEqual(self.moves("e"), {"a", "c"})
        self.tell("2", a_change("d", "moved"))
        self.assertEqual(self.moves("e"), {"a", "c", "d"})
        self.assertEqual(self.moves("e"), {"a", "c", "d"})

    def test_what_was_told_before_the_process_began_counts_as_far_as_it_is_at_hand(self) -> None:
        self.tell("1", a_change("a", "moved"))
        self.assertEqual(Moves(self.house.hub.channels)("e"), {"a"})
