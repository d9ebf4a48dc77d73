"""What is known of other items decides where one is filed, also when it becomes known later."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.attribution.index import prepare
from afeed.core.attribution.memory import MOST_LOOKS, Memory, Move
from afeed.core.item import Author, Item
from afeed.core.schedule.model import Room, Schedule, Speaker, Talk


def talk(id: str, title: str, hour: int, room: str = "main", **more: object) -> Talk:
    start = datetime(2026, 11, 21, hour, tzinfo=UTC)
    end = datetime(2026, 11, 21, hour, 45, tzinfo=UTC)
    return Talk(guid=id, id=id, title=title, start=start, end=end, room=room, **more)  # type: ignore[arg-type]


ADA = Speaker(name="Ada Quill", handles=("ada",))

#: Two tracks: the time alone tells nothing.
SCHEDULE = Schedule(
    timezone="UTC",
    rooms=(Room(id="main", name="Main"), Room(id="side", name="Side")),
    talks=(
        talk(
            "lamps", "Lighthouses and their keepers", 9, speakers=(Speaker(name="Ada Quill", handles=("ada",)),)
        ),
        talk("boats", "Folding paper boats", 9, "side"),
        talk("gulls", "What gulls want", 11),
        talk("ropes", "Knots for everybody", 11, "side"),
    ),
)
INDEX = prepare(SCHEDULE)


def item(number: int, text: str, minute: int = 10, author: str = "bo", **more: object) -> Item:
    return Item(
        id=f"x:{number}",
        source="x",
        author=Author(name=author, handle=author),
        text=text,
        html=f"<p>{text}</p>",
        created_at=f"2026-11-21T09:{minute:02}:00Z",
        **more,  # type: ignore[arg-type]
    )


#: Says which talk it is about; says nothing.
CLEAR, VAGUE = "The lighthouses talk by @ada is great, keepers everywhere", "wonderful"


def memory(**sizes: int) -> Memory:
    made = Memory(**sizes)
    made.index = INDEX
    return made


def recorded(made: Memory, one: Item) -> list[Move]:
    """It goes through this node: filed, then recorded."""
    return made.came(structs.replace(one, talk=made.file(one)))


class MemoryTests(SynchronousTestCase):
    def test_without_a_schedule_an_item_stays_where_it_says(self) -> None:
        made = Memory()
        self.assertIsNone(made.file(item(1, CLEAR)))
        self.assertEqual(made.file(item(2, CLEAR, talk="other")), "other")

    def test_a_reply_is_filed_under_its_parents_talk(self) -> None:
        made = memory()
        recorded(made, item(1, CLEAR))
        self.assertEqual(made.file(item(2, VAGUE, author="cy", reply_to="x:1")), "lamps")
        self.assertIsNone(memory().file(item(2, VAGUE, author="cy", reply_to="x:1")))

    def test_a_reply_that_came_before_its_parent_follows_it(self) -> None:
        made = memory()
        self.assertEqual(recorded(made, item(2, VAGUE, author="cy", reply_to="x:1")), [])
        self.assertEqual(recorded(made, item(3, VAGUE, author="di", reply_to="x:2")), [])
        self.assertEqual(recorded(made, item(1, CLEAR)), [Move("x:2", "lamps"), Move("x:3", "lamps")])
        self.assertEqual(made.talk("x:3"), "lamps")

    def test_what_an_author_says_of_a_talk_speaks_for_what_they_said_before(self) -> None:
        made = memory()
        self.assertEqual(recorded(made, item(1, VAGUE)), [])
        self.assertEqual(recorded(made, item(9, VAGUE, author="somebody else")), [])
        self.assertEqual(recorded(made, item(2, CLEAR, 12)), [Move("x:1", "lamps")])
        # What comes after that is filed at once, and nothing is looked at again because of it.
        self.assertEqual(made.file(item(3, VAGUE, 14)), "lamps")
        self.assertEqual(recorded(made, item(3, VAGUE, 14)), [])

    def test_nothing_is_looked_at_again_and_again(self) -> None:
        made = memory()
        recorded(made, item(1, VAGUE, author="cy", reply_to="x:2"))
        recorded(made, item(2, CLEAR))
        moves = []
        for turn in range(10):
            moves += made.filed("x:2", ("gulls", "lamps")[turn % 2])
        self.assertLess(len(moves), MOST_LOOKS)

    def test_an_item_that_is_filed_is_not_taken_out_by_an_edit(self) -> None:
        made = memory()
        recorded(made, item(1, CLEAR))
        self.assertEqual(made.file(item(1, "nothing at all", 59)), "lamps")
        boats = "Folding paper boats, what a talk, paper boats"
        self.assertEqual(made.file(item(1, boats)), "boats")

    def test_an_item_recorded_by_a_node_that_knew_less_is_filed_now(self) -> None:
        made = memory()
        self.assertEqual(made.came(item(1, CLEAR)), [Move("x:1", "lamps")])
        # But what another node has filed stays there, unless that talk does not exist.
        self.assertEqual(made.came(item(2, CLEAR, talk="boats")), [])
        self.assertEqual(made.talk("x:2"), "boats")
        self.assertEqual(made.came(item(3, CLEAR, talk="gone")), [Move("x:3", "lamps")])

    def test_what_an_organiser_decided_stays_and_is_evidence(self) -> None:
        made = memory()
        made.fixed["x:1"] = "gulls"
        made.fixed["x:5"] = None
        self.assertEqual(made.file(item(1, CLEAR)), "gulls")
        self.assertEqual(made.file(item(2, VAGUE, author="cy", reply_to="x:1")), "gulls")
        self.assertIsNone(made.file(item(5, CLEAR)))
        # Also when another node, which did not know of it, recorded an edit.
        self.assertEqual(made.came(item(5, CLEAR + " edited", talk="lamps")), [Move("x:5", None)])

    def test_a_reply_follows_its_parent_when_that_is_filed_by_hand(self) -> None:
        made = memory()
        recorded(made, item(1, VAGUE))
        recorded(made, item(2, VAGUE, author="cy", reply_to="x:1"))
        made.fixed["x:1"] = "boats"
        self.assertEqual(made.filed("x:1", "boats"), [Move("x:2", "boats")])
        self.assertEqual(made.filed("x:1", "boats"), [])

    def test_what_was_removed_speaks_for_nothing_any_more(self) -> None:
        made = memory()
        recorded(made, item(1, CLEAR))
        made.gone("x:1")
        self.assertIsNone(made.file(item(2, VAGUE)))
        self.assertIsNone(made.file(item(3, VAGUE, author="cy", reply_to="x:1")))
        made.gone("x:2")
        made.gone("x:3")
        self.assertEqual(len(made), 0)
        self.assertEqual((made._by_author, made._seen, made._replies, made._whole), ({}, {}, {}, {}))

    def test_it_is_bounded(self) -> None:
        made = memory(most=50, most_whole=10)
        for number in range(1, 400):
            recorded(made, item(number, CLEAR, author=f"a{number % 70}", reply_to=f"x:{number - 1}"))
        self.assertEqual(len(made), 50)
        self.assertEqual(len(made._whole), 10)
        self.assertLessEqual(len(made._by_author), 50)
        self.assertLessEqual(len(made._replies), 50)
        self.assertLessEqual(sum(len(seen) for seen in made._seen.values()), 50)

    def test_what_was_there_before_a_restart_is_evidence_and_nothing_follows_from_it(self) -> None:
        made = memory()
        made.recall(item(1, CLEAR, talk="lamps"))
        made.recall(item(2, VAGUE, author="cy", reply_to="x:1"))
        self.assertEqual(made.talk("x:2"), None)
        self.assertEqual(made.file(item(3, VAGUE)), "lamps")
        self.assertEqual(made.came(item(1, CLEAR, talk="lamps")), [])

    def test_with_another_schedule_items_tell_anew_where_their_author_was(self) -> None:
        made = Memory()
        made.file(item(1, CLEAR, talk="lamps"))
        self.assertIsNone(made.file(item(2, VAGUE)))
        made.index = INDEX
        for _ in made.reweigh():
            pass
        self.assertEqual(made.file(item(3, VAGUE)), "lamps")
        self.assertEqual(made.talk("x:1"), "lamps")
