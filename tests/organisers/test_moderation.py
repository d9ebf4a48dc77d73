"""Hiding and restoring, blocking and unblocking, with a log in memory."""

from __future__ import annotations

import json
from typing import Any

from msgspec import structs
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from afeed.core.draft import Posted, Removed
from afeed.core.errors import ArchiveUnavailable, BadInput, LogUnavailable
from afeed.core.item import UNKNOWN_AUTHOR, Author
from afeed.hub import Hub
from afeed.interfaces import ISubscriber, Recorded
from afeed.metrics import Metrics
from afeed.organisers import moderation as moderation_module
from afeed.organisers.blocks import Blocks
from afeed.organisers.moderation import LEARN_S, LOOK_S, Actor, Moderation, NotThere
from afeed.pipeline import NOT_RECORDED, Intake
from tests.fakes import FakeLead, MemoryArchive, MemoryLog, an_item, strain
from tests.organisers.memory import MemoryModerationStore
from tests.web.samples import make_item

ANN = Actor("ann", "192.0.2.7")


class Node:
    """One node beside others, which share log, archive and store."""

    def __init__(self, log: MemoryLog, archive: MemoryArchive, store: MemoryModerationStore) -> None:
        self.clock = Clock()
        self.hub = Hub({event: lambda item: item.text for event in log.events}, log, archive, self.clock, 1000)
        self.hub.start()
        self.blocks = Blocks()
        self.metrics = Metrics(self.clock.seconds)
        self.intake = Intake(log, self.clock, self.metrics, self.clock.seconds, FakeLead(), self.blocks.admits)
        channels = self.hub.channels
        kept: Any = store
        self.moderation = Moderation(kept, self.blocks, log, self.hub, channels, self.clock, lambda: 1.8e9)
        self.moderation.start()

    def stop(self) -> None:
        self.moderation.stop()
        self.hub.stop()


class ModerationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.log = MemoryLog(["e"])
        self.archive = MemoryArchive()
        self.store = MemoryModerationStore()
        self.node = self.start()
        self.moderation = self.node.moderation

    def start(self) -> Node:
        node = Node(self.log, self.archive, self.store)
        self.addCleanup(node.stop)
        return node

    def offer(self, number: int, handle: str = "ben", text: str = "hello", version: str = "1") -> Recorded:
        item = an_item(number, text, handle=handle)
        (recorded,) = self.successResultOf(self.node.intake.offer("e", [Posted(item, version)]))
        return recorded

    def shown(self, node: Node | None = None) -> list[str]:
        """The ids on the page, oldest first."""
        page = self.successResultOf((node or self.node).hub.page("e", 1000))
        return [one.item.id for one in reversed(page.items)]

    def do(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def fails(self, work: Any, *expected: type[Exception]) -> None:
        self.failureResultOf(Deferred.fromCoroutine(work), *expected)

    def hidden(self) -> list[str]:
        found = (self.store.hidden("e", 1000), self.store.hidden_because("e", 1000))
        return [hidden.item.id for one in found for hidden in self.successResultOf(one)]

    def rows(self) -> list[str]:
        """The same while the database is away."""
        return [item_id for _, item_id in self.store.items]

    # -- items

    def test_what_is_hidden_is_gone_from_log_and_pages_and_kept_apart(self) -> None:
        self.offer(1, text="rude")
        self.offer(2)
        self.do(self.moderation.hide("e", 1, "push:1", ANN))
        self.assertEqual(self.shown(), ["push:2"])
        self.assertEqual(
            [change.type for change in self.log.events["e"].changes][::2], ["redacted", "item.removed"]
        )
        self.assertNotIn("rude", repr([change.stored for change in self.log.events["e"].changes]))
        self.assertEqual(self.store.items["e", "push:1"].item.text, "rude")

    def test_later_versions_stay_hidden_with_it(self) -> None:
        self.offer(1)
        self.do(self.moderation.hide("e", 1, "push:1", ANN))
        self.assertFalse(self.offer(1, text="edited", version="2").new)
        self.assertEqual(self.shown(), [])

    def test_what_is_restored_is_shown_as_it_was(self) -> None:
        self.offer(1, text="fine after all")
        self.offer(2)
        self.do(self.moderation.hide("e", 1, "push:1", ANN))
        self.do(self.moderation.restore("e", "push:1", ANN))
        self.assertEqual(self.shown(), ["push:2", "push:1"])
        change = json.loads(self.log.events["e"].changes[-1].json)
        self.assertEqual((change["type"], change["item"]["text"]), ("item.posted", "fine after all"))
        self.assertEqual(self.hidden(), [])
        # And so on, as often as somebody changes their mind.
        for _ in range(2):
            seq = self.log.events["e"].head
            self.do(self.moderation.hide("e", seq, "push:1", ANN))
            self.assertEqual(self.shown(), ["push:2"])
            self.do(self.moderation.restore("e", "push:1", ANN))
            self.assertEqual(self.shown(), ["push:2", "push:1"])

    def test_what_was_restored_is_edited_and_deleted_by_its_author(self) -> None:
        self.offer(1)
        self.do(self.moderation.hide("e", 1, "push:1", ANN))
        self.do(self.moderation.restore("e", "push:1", ANN))
        self.assertFalse(self.offer(1).new)
        self.assertTrue(self.offer(1, text="edited", version="2").new)
        self.node.intake.offer("e", [Removed("push:1")])
        self.assertEqual(self.shown(), [])

    def test_what_is_long_ago_can_be_hidden_too(self) -> None:
        for number in range(1, 40):
            self.offer(number)
        self.log.window = 10
        strain(self.log, self.archive, "e")
        node = self.start()
        self.do(node.moderation.hide("e", 3, "push:3", ANN))
        self.assertEqual(self.hidden(), ["push:3"])

    def test_what_is_not_there_is_not_hidden_or_restored(self) -> None:
        self.offer(1)
        for seq, item_id in ((1, "push:2"), (9, "push:9"), (0, "push:1")):
            self.fails(self.moderation.hide("e", seq, item_id, ANN), NotThere)
        self.fails(self.moderation.restore("e", "push:1", ANN), NotThere)
        self.assertEqual((self.shown(), self.store.noted), (["push:1"], []))

    def test_every_act_says_who_did_it_from_where(self) -> None:
        self.offer(1)
        self.do(self.moderation.hide("e", 1, "push:1", ANN))
        self.do(self.moderation.restore("e", "push:1", Actor("ben", "2001:db8::1")))
        acts = [(one.account, one.address, one.action, one.event, one.subject) for one in self.store.noted]
        self.assertEqual(
            acts,
            [
                ("ann", "192.0.2.7", "hide", "e", "push:1"),
                ("ben", "2001:db8::1", "restore", "e", "push:1"),
            ],
        )

    def test_while_the_log_is_away_hiding_waits_for_it(self) -> None:
        self.offer(1)
        self.log.fault = LogUnavailable("away")
        self.fails(self.moderation.hide("e", 1, "push:1", ANN), LogUnavailable)
        self.node.clock.advance(LOOK_S)
        self.log.fault = None
        self.node.clock.advance(LOOK_S)
        self.assertEqual(self.shown(), [])
        self.assertEqual(self.hidden(), ["push:1"])

    def test_what_still_has_to_be_removed_is_not_forgotten_by_a_restart(self) -> None:
        self.offer(1)
        self.log.fault = LogUnavailable("away")
        self.fails(self.moderation.hide("e", 1, "push:1", ANN), LogUnavailable)
        self.node.stop()
        self.log.fault = None
        self.assertEqual(self.shown(), ["push:1"])
        self.node = self.start()
        self.assertEqual((self.shown(), self.hidden()), ([], ["push:1"]))

    def test_what_another_node_restored_meanwhile_is_not_removed(self) -> None:
        other = self.start()
        self.offer(1)
        self.log.fault = LogUnavailable("away")
        self.fails(self.moderation.hide("e", 1, "push:1", ANN), LogUnavailable)
        self.log.fault = None
        self.do(other.moderation.restore("e", "push:1", ANN))
        for node in (self.node, other):
            node.clock.advance(LOOK_S)
            self.assertEqual((self.shown(node), self.hidden()), (["push:1"], []))

    def test_trouble_at_one_event_keeps_no_other_waiting(self) -> None:
        self.node.stop()
        self.log = MemoryLog(["d", "e", "f"])
        self.node = self.start()
        for event in self.log.events:
            self.log.append(event, None, [Posted(an_item(1), "1")])
        self.log.fault = LogUnavailable("away")
        for event in self.log.events:
            self.fails(self.node.moderation.hide(event, 1, "push:1", ANN), LogUnavailable)
        self.log.fault = None
        append = self.log.append
        troubles: dict[str, Exception] = {"d": LogUnavailable("away"), "e": RuntimeError("a defect")}

        def append_at_some(event: str, *given: Any) -> Any:
            return fail(troubles[event]) if event in troubles else append(event, *given)

        self.log.append = append_at_some  # type: ignore[method-assign, assignment]
        self.node.clock.advance(LOOK_S)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        heads = {event: state.head for event, state in self.log.events.items()}
        self.assertEqual(heads, {"d": 1, "e": 1, "f": 2})
        troubles.clear()
        self.node.clock.advance(LOOK_S)
        self.assertEqual({state.head for state in self.log.events.values()}, {2})

    def test_while_the_database_is_away_nothing_is_hidden_and_lost(self) -> None:
        self.offer(1)
        self.store.fault = ArchiveUnavailable("away")
        self.fails(self.moderation.hide("e", 1, "push:1", ANN), ArchiveUnavailable)
        self.assertEqual(self.shown(), ["push:1"])

    def test_restoring_that_ended_half_way_is_finished_by_another_attempt(self) -> None:
        self.offer(1)
        self.do(self.moderation.hide("e", 1, "push:1", ANN))
        append = self.log.append

        def append_and_lose_the_database(*given: Any) -> Any:
            self.store.fault = ArchiveUnavailable("away")
            return append(*given)

        self.log.append = append_and_lose_the_database  # type: ignore[method-assign]
        self.fails(self.moderation.restore("e", "push:1", ANN), ArchiveUnavailable)
        self.log.append = append  # type: ignore[method-assign]
        self.store.fault = None
        self.assertEqual((self.shown(), self.hidden()), (["push:1"], ["push:1"]))
        head = self.log.events["e"].head
        self.do(self.moderation.restore("e", "push:1", ANN))
        self.assertEqual((self.shown(), self.hidden()), (["push:1"], []))
        self.assertEqual(self.log.events["e"].head, head)

    def test_what_is_hidden_again_while_it_is_restored_is_not_lost(self) -> None:
        self.offer(1, text="once more")
        self.do(self.moderation.hide("e", 1, "push:1", ANN))
        other = self.start()
        append = self.log.append

        def append_and_hide(*given: Any) -> Any:
            """Another organiser, at another node, is as quick as can be."""
            self.log.append = append  # type: ignore[method-assign]
            appended = append(*given)
            self.do(other.moderation.hide("e", self.log.events["e"].head, "push:1", Actor("ben", "::1")))
            return appended

        self.log.append = append_and_hide  # type: ignore[method-assign]
        self.do(self.moderation.restore("e", "push:1", ANN))
        self.assertEqual((self.shown(), self.hidden()), ([], ["push:1"]))
        self.do(self.moderation.restore("e", "push:1", ANN))
        self.assertEqual((self.shown(), self.hidden()), (["push:1"], []))

    def test_what_its_author_deletes_while_it_is_hidden_is_gone_for_good(self) -> None:
        self.offer(1)
        self.do(self.moderation.hide("e", 1, "push:1", ANN))
        self.store.fault = ArchiveUnavailable("away")
        self.node.intake.offer("e", [Removed("push:1")])
        self.node.clock.advance(LOOK_S)
        self.store.fault = None
        self.assertEqual(self.hidden(), ["push:1"])
        self.node.clock.advance(LOOK_S)
        self.assertEqual(self.hidden(), [])
        self.fails(self.moderation.restore("e", "push:1", ANN), NotThere)

    # -- authors

    def test_the_items_of_a_blocked_author_go_and_later_ones_do_not_come(self) -> None:
        for number, handle in ((1, "troll"), (2, "ben"), (3, "TROLL"), (4, "cleo")):
            self.offer(number, handle)
        self.do(self.moderation.block("e", 1, "push:1", ANN))
        self.assertEqual(self.shown(), ["push:2", "push:4"])
        self.assertEqual(sorted(self.hidden()), ["push:1", "push:3"])
        head = self.log.events["e"].head
        self.assertEqual(self.offer(5, "troll"), NOT_RECORDED)
        self.assertEqual(self.log.events["e"].head, head)
        self.assertIn('reason="blocked",source="push"} 1.0', self.node.metrics.text().decode())
        mixed = [Posted(an_item(6, handle="troll"), "1"), Posted(an_item(7, handle="ben"), "1")]
        self.assertEqual(
            self.successResultOf(self.node.intake.offer("e", mixed)), [NOT_RECORDED, Recorded(head + 1, True)]
        )

    def test_unblocking_shows_what_was_hidden_for_it_and_lets_more_come(self) -> None:
        for number, handle in ((1, "troll"), (2, "ben"), (3, "troll"), (4, "troll")):
            self.offer(number, handle)
        self.do(self.moderation.hide("e", 3, "push:3", ANN))
        blocked = self.do(self.moderation.block("e", 1, "push:1", ANN))
        self.fails(self.moderation.restore("e", "push:3", ANN), BadInput)
        self.do(self.moderation.unblock("e", blocked.key, ANN))
        # What was hidden for its own sake stays hidden.
        self.assertEqual((sorted(self.shown()), self.hidden()), (["push:1", "push:2", "push:4"], ["push:3"]))
        self.assertTrue(self.offer(5, "troll").new)
        self.assertEqual([one.action for one in self.store.noted], ["hide", "block", "unblock"])

    def test_unblocking_that_ended_half_way_is_finished_by_itself(self) -> None:
        self.patch(moderation_module, "BATCH", 2)
        numbers = range(1, 8)
        for number in numbers:
            self.offer(number, "troll")
        everything = [f"push:{number}" for number in numbers]
        append = self.log.append

        def unblock_and_lose(what: str, later: int) -> None:
            """Everything is hidden, and while it is shown again the log or the database goes away."""
            self.do(self.moderation.block("e", self.log.events["e"].head, self.shown()[-1], ANN))
            self.assertEqual((self.shown(), sorted(self.hidden())), ([], everything))
            batches = iter(range(later))

            def lose(*given: Any) -> Any:
                if next(batches, None) is None:
                    if what == "log":
                        return fail(LogUnavailable("away"))
                    self.store.fault = ArchiveUnavailable("away")
                return append(*given)

            self.log.append = lose  # type: ignore[method-assign]
            expected = LogUnavailable if what == "log" else ArchiveUnavailable
            self.fails(self.moderation.unblock("e", "push:@troll", ANN), expected)
            self.node.clock.advance(LOOK_S)
            self.assertNotEqual(self.rows(), [])
            self.log.append = append  # type: ignore[method-assign]
            self.store.fault = None

        def finished() -> None:
            self.assertEqual((sorted(self.shown()), self.hidden()), (everything, []))
            posted = [change.id for change in self.log.events["e"].changes if change.type == "item.posted"]
            self.assertEqual(sorted(posted), everything)

        for what in ("log", "database"):
            for later in (0, 1, 3):
                unblock_and_lose(what, later)
                self.node.clock.advance(LOOK_S)
                finished()
        # Where the process ends, the next one or another goes on.
        unblock_and_lose("log", 2)
        self.node.stop()
        self.node = self.start()
        finished()

    def test_what_two_blocked_authors_brought_is_hidden_until_both_are_let_in(self) -> None:
        shared = structs.replace(an_item(1, handle="ben"), shared_by=Author(name="Troll", handle="troll"))
        self.log.append("e", None, [Posted(shared, "1")])
        self.offer(2, "troll")
        self.offer(3, "ben")
        troll = self.do(self.moderation.block("e", 2, "push:2", ANN))
        ben = self.do(self.moderation.block("e", 3, "push:3", ANN))
        head = self.log.events["e"].head
        self.do(self.moderation.unblock("e", troll.key, ANN))
        self.assertEqual((self.shown(), sorted(self.hidden())), (["push:2"], ["push:1", "push:3"]))
        # It was not shown for a moment either.
        self.assertEqual([change.id for change in self.log.events["e"].changes[head:]], ["push:2"])
        self.do(self.moderation.unblock("e", ben.key, ANN))
        self.assertEqual((sorted(self.shown()), self.hidden()), (["push:1", "push:2", "push:3"], []))

    def test_other_nodes_and_the_next_start_know_who_is_blocked(self) -> None:
        other = self.start()
        self.offer(1, "troll")
        self.do(self.moderation.block("e", 1, "push:1", ANN))
        # Before the other node has heard of it, it lets one in: it goes as soon as anybody sees it.
        late = Posted(an_item(2, handle="troll"), "1")
        self.assertTrue(self.successResultOf(other.intake.offer("e", [late]))[0].new)
        self.assertEqual(self.shown(), [])
        other.clock.advance(LOOK_S)
        for node in (other, self.start()):
            again = Posted(an_item(3, handle="troll"), "1")
            self.assertEqual(self.successResultOf(node.intake.offer("e", [again])), [NOT_RECORDED])
        self.do(self.moderation.unblock("e", "push:@troll", ANN))
        other.clock.advance(LOOK_S)
        self.assertTrue(self.successResultOf(other.intake.offer("e", [again]))[0].new)

    def test_a_node_that_has_not_heard_of_an_unblocking_does_not_undo_it(self) -> None:
        other = self.start()
        self.offer(1, "troll")
        self.do(self.moderation.block("e", 1, "push:1", ANN))
        other.clock.advance(LOOK_S)
        self.do(self.moderation.unblock("e", "push:@troll", ANN))
        self.assertEqual((self.shown(), self.shown(other), self.hidden()), (["push:1"], ["push:1"], []))
        other.clock.advance(LOOK_S)
        self.assertEqual(self.shown(other), ["push:1"])

    def test_a_node_that_learns_late_hides_what_came_meanwhile(self) -> None:
        self.offer(1, "troll")
        self.do(self.moderation.block("e", 1, "push:1", ANN))
        self.node.stop()
        self.store.fault = ArchiveUnavailable("away")
        node = self.start()
        self.node = node
        self.assertTrue(self.offer(2, "troll").new)
        self.store.fault = None
        node.clock.advance(LOOK_S)
        self.assertEqual(self.shown(), [])
        self.assertEqual(sorted(self.hidden()), ["push:1", "push:2"])

    def test_who_is_blocked_can_be_known_before_anything_comes(self) -> None:
        self.offer(1, "troll")
        self.do(self.moderation.block("e", 1, "push:1", ANN))
        store: Any = self.store
        blocks = Blocks()
        moderation = Moderation(store, blocks, self.log, self.node.hub, {}, self.node.clock, lambda: 1.8e9)
        self.do(moderation.learn())
        self.assertEqual(blocks.at("e"), {"push:@troll"})

    def test_whom_the_configuration_blocks_stays_out_whatever_organisers_do(self) -> None:
        blocks = Blocks({"e": ("@troll", "x:@spam")})

        def admitted(event: str, **about: Any) -> bool:
            return blocks.admits(event, Posted(make_item(1, **about), "1"))

        troll, ben = Author(name="T", handle="Troll"), Author(name="Ben", handle="ben")
        for _ in range(2):
            self.assertFalse(admitted("e", author=troll))
            self.assertFalse(admitted("e", author=ben, shared_by=troll))
            self.assertFalse(admitted("e", source="x", author=Author(name="S", handle="spam")))
            self.assertTrue(admitted("e", source="flickr", author=Author(name="S", handle="spam")))
            self.assertTrue(admitted("e", author=ben))
            self.assertTrue(admitted("other", author=troll))
            blocks.know([])  # as after an unblocking
        self.assertTrue(blocks.admits("e", Removed("push:1")))

    def test_the_start_does_not_wait_long_for_it(self) -> None:
        self.store.fault = ArchiveUnavailable("away")
        self.do(self.moderation.learn())
        self.store.blocked = Deferred  # type: ignore
        learning = Deferred.fromCoroutine(self.moderation.learn())
        self.node.clock.advance(LEARN_S - 0.1)
        self.assertNoResult(learning)
        self.node.clock.advance(0.1)
        self.assertIsNone(self.successResultOf(learning))
        # But it ends with the start.
        learning = Deferred.fromCoroutine(self.moderation.learn())
        learning.cancel()
        self.failureResultOf(learning, CancelledError)

    def test_what_of_a_blocked_author_could_not_be_hidden_is_hidden_later(self) -> None:
        self.offer(1, "troll")
        self.do(self.moderation.block("e", 1, "push:1", ANN))
        self.store.fault = ArchiveUnavailable("away")
        # Another node let it in.
        self.log.append("e", None, [Posted(an_item(2, handle="troll"), "1")])
        self.assertEqual(len(self.flushLoggedErrors(ArchiveUnavailable)), 1)
        self.node.clock.advance(LOOK_S)
        self.store.fault = None
        self.assertEqual(self.shown(), ["push:2"])
        self.node.clock.advance(LOOK_S)
        self.assertEqual((self.shown(), sorted(self.hidden())), ([], ["push:1", "push:2"]))

    def test_an_edit_by_which_an_item_becomes_a_blocked_authors_hides_it(self) -> None:
        self.offer(1, "troll")
        self.do(self.moderation.block("e", 1, "push:1", ANN))
        self.log.append("e", None, [Posted(an_item(2, handle="ben"), "1")])
        self.log.append("e", None, [Posted(an_item(2, handle="troll"), "2")])
        self.assertEqual(self.shown(), [])

    def test_an_author_of_whom_nothing_is_known_cannot_be_blocked(self) -> None:
        item = make_item(1, author=UNKNOWN_AUTHOR)
        self.log.append("e", None, [Posted(item, "1")])
        self.fails(self.moderation.block("e", 1, "push:1", ANN), BadInput)
        self.assertEqual(self.shown(), ["push:1"])

    def test_it_listens_as_subscribers_do(self) -> None:
        for subscriber in self.node.hub.channels["e"].subscribers:
            verifyObject(ISubscriber, subscriber)
        self.log.renew("e", "e2", 0)
        self.offer(1, "troll")
        self.do(self.moderation.block("e", 1, "push:1", ANN))
        self.log.append("e", None, [Posted(an_item(2, handle="troll"), "1")])
        self.assertEqual(self.shown(), [])

    def test_a_defect_in_a_look_is_told_and_looking_goes_on(self) -> None:
        self.store.fault = RuntimeError("a defect")
        self.node.clock.advance(LOOK_S)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.store.fault = None
        self.offer(1, "troll")
        self.do(self.moderation.block("e", 1, "push:1", ANN))
        self.assertEqual(self.shown(), [])
