"""Filing everything again: what would be put on record, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.attribution.memory import Memory
from afeed.core.item import Item
from afeed.filing.worker import HORIZON, Order, Step, make_memory, steps
from afeed.interfaces import PageItem
from tests.core.attribution import labelled
from tests.filing.support import CLEAR, SCHEDULE, VAGUE, item


def order(**more: object) -> Order:
    given: dict[str, object] = {
        "url": "",
        "event": "e",
        "schedule": SCHEDULE,
        "weights": {},
        "after": 0,
        "fixed": {},
    }
    return Order(**{**given, **more})  # type: ignore[arg-type]


def pages(items: Sequence[Item], size: int) -> Iterator[list[PageItem]]:
    numbered = [PageItem(seq, one) for seq, one in enumerate(items, 1)]
    return (numbered[start : start + size] for start in range(0, len(numbered), size))


def again(memory: Memory, items: Sequence[Item], size: int = 2) -> dict[str, str | None]:
    """What a whole run moves."""
    return {item_id: talk for step in steps(memory, [], pages(items, size), 0) for item_id, talk in step.moves}


def after(items: Sequence[Item], moves: dict[str, str | None]) -> list[Item]:
    """``items`` once the moves are on record."""
    return [structs.replace(one, talk=moves.get(one.id, one.talk)) for one in items]


class StepTests(SynchronousTestCase):
    def test_only_what_is_to_be_elsewhere_is_moved(self) -> None:
        items = [
            item(1, CLEAR),
            item(2, CLEAR, talk="lamps"),
            item(3, CLEAR, author="cy", talk="boats"),
            item(4, "nothing", 59, author="di", talk="boats"),
            item(5, "nothing", 59, author="ed"),
        ]
        self.assertEqual(again(make_memory(order()), items), {"x:1": "lamps", "x:3": "lamps", "x:4": None})

    def test_a_parent_that_comes_after_its_reply_is_waited_for(self) -> None:
        items = [
            item(1, VAGUE, author="cy", reply_to="x:5"),
            *(item(n, "-", author=f"a{n}") for n in (2, 3, 4)),
        ]
        items.append(item(5, CLEAR))
        self.assertEqual(again(make_memory(order()), items, 2), {"x:1": "lamps", "x:5": "lamps"})

    def test_filing_again_twice_changes_nothing(self) -> None:
        posts = [one.item for one in labelled.posts()]
        wanted = order(schedule=labelled.schedule())
        for size in (7, 50, 1000):
            moves = again(make_memory(wanted), posts, size)
            self.assertGreater(len(moves), 200)
            self.assertEqual(again(make_memory(wanted), after(posts, moves), size), {})

    def test_organisers_are_obeyed(self) -> None:
        fixed = {"x:1": "gulls", "x:2": None}
        items = [item(1, CLEAR), item(2, CLEAR, talk="lamps"), item(3, VAGUE, author="cy", reply_to="x:1")]
        self.assertEqual(
            again(make_memory(order(fixed=fixed)), items), {"x:1": "gulls", "x:2": None, "x:3": "gulls"}
        )

    def test_what_organisers_decided_follows_a_talk_to_another_id(self) -> None:
        renamed = structs.replace(SCHEDULE, aliases={"birds": "gulls"})
        fixed = {"x:1": "birds", "x:2": "gulls"}
        items = [item(1, CLEAR, talk="birds"), item(2, CLEAR, talk="gulls")]
        self.assertEqual(again(make_memory(order(schedule=renamed, fixed=fixed)), items), {"x:1": "gulls"})

    def test_each_step_says_how_far_it_is_and_the_last_that_it_is_the_last(self) -> None:
        items = [item(number, VAGUE, author=f"a{number}") for number in range(1, 11)]
        found = list(steps(make_memory(order()), [], pages(items, 2), 0))
        self.assertEqual([step.after for step in found], [2, 4, 6, 8, 10, 10])
        self.assertEqual(sum(step.seen for step in found), 10)
        self.assertEqual([step.end for step in found], [False] * 5 + [True])
        self.assertEqual(list(steps(make_memory(order()), [], iter([]), 3)), [Step(3, end=True)])
        self.assertGreaterEqual(HORIZON, 2)

    def test_going_on_in_the_middle_knows_what_was_before(self) -> None:
        items = [item(1, CLEAR), item(2, VAGUE, author="cy", reply_to="x:1")]
        before = [PageItem(1, items[0])]
        (step, _) = steps(make_memory(order()), before, iter([[PageItem(2, items[1])]]), 1)
        self.assertEqual(step.moves, [("x:2", "lamps")])


class QualityTests(SynchronousTestCase):
    """The labelled day as afeed files it: by the memory that nodes and the worker have."""

    def setUp(self) -> None:
        self.posts = labelled.posts()
        self.order = order(schedule=labelled.schedule())

    def judge(self, talks: dict[str, str | None]) -> tuple[float, float]:
        filed = [(one.talk, talks[one.item.id]) for one in self.posts]
        right = sum(label == found for label, found in filed if found is not None)
        precision = right / sum(found is not None for _, found in filed)
        return precision, right / sum(label is not None for label, _ in filed)

    def test_as_posts_come_in_with_later_better_answers(self) -> None:
        memory = make_memory(self.order)
        talks: dict[str, str | None] = {}
        for one in self.posts:
            talks[one.item.id] = memory.file(one.item)
            for move in memory.gains(one.item.id):
                talks[move.id] = move.talk
        precision, recall = self.judge(talks)
        self.assertGreaterEqual(precision, 0.94)
        self.assertGreaterEqual(recall, 0.80)

    def test_filed_again(self) -> None:
        items = [one.item for one in self.posts]
        moves = again(make_memory(self.order), items, 1000)
        precision, recall = self.judge({one.id: moves.get(one.id, one.talk) for one in items})
        self.assertGreaterEqual(precision, 0.94)
        self.assertGreaterEqual(recall, 0.80)
