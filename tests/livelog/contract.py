"""What every live log must do: one suite, run against each of them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from zope.interface.verify import verifyObject

from afeed.core.change import Change
from afeed.core.cursor import Ancestor
from afeed.core.draft import (
    RESTORED,
    Draft,
    Filed,
    Posted,
    Removed,
    Rescheduled,
    SourceGap,
    version_order,
)
from afeed.core.errors import EpochChanged, LeaseLost, LogFull
from afeed.interfaces import ILease, ILiveLog, IWitness, Position, Recorded
from tests.livelog.patience import Patience
from tests.livelog.samples import MemoryWitness, gap, post, posted

NOW = 1795280406.12


async def eventually(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> None:
    """Return when ``condition()`` (or what it awaits) is true; fail naming ``what`` at the deadline."""
    deadline = reactor.seconds() + seconds
    while True:
        result = condition()
        if isinstance(result, Awaitable):
            result = await result
        if result:
            return
        if reactor.seconds() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        await deferLater(reactor, 0.01)


def new(*seqs: int) -> list[Recorded]:
    return [Recorded(seq, True) for seq in seqs]


def random_draft(rng: Random) -> Draft:
    number = rng.randrange(6)
    kind = rng.random()
    if kind < 0.12:
        return Removed(f"push:{number}")
    if kind < 0.2:
        return gap("closed", rng.randrange(3))
    if kind < 0.3:
        return Filed(f"push:{number}", rng.choice(["t", None]), str(rng.randrange(4)))
    if kind < 0.33:
        return Rescheduled(str(rng.randrange(3)), "v", ())
    return post(number, rng.choice(["1", "2", "3", "10", "20", "a", "b", "1900000000000000001"]))


class Model:
    """What a log does, in the plainest words: ``changes`` are (seq, type, id)."""

    def __init__(self) -> None:
        self.base = 0
        self.changes: list[tuple[int, str, str | None]] = []
        self._seen: dict[Any, int] = {}
        self._removed: dict[str, int] = {}
        self._highest: dict[str, int] = {}
        self._latest: dict[str, int] = {}

    def append(self, drafts: Sequence[Draft]) -> list[Recorded]:
        return [self._record(draft) for draft in drafts]

    def _record(self, draft: Draft) -> Recorded:
        if isinstance(draft, SourceGap):
            if draft in self._seen:
                return Recorded(self._seen[draft], False)
            return self._add("source.gap", None, draft)
        if isinstance(draft, Rescheduled):
            return self._once("schedule.changed", None, draft.mark)
        item_id = draft.item.id if isinstance(draft, Posted) else draft.id
        if item_id in self._removed:
            return Recorded(self._removed[item_id], False)
        if isinstance(draft, Filed):
            if item_id not in self._latest:
                return Recorded(0, False)
            return self._once("item.filed", item_id, draft.mark)
        if isinstance(draft, Removed):
            self.changes = [
                (s, "redacted", None) if i == item_id and t != "item.filed" else (s, t, i)
                for s, t, i in self.changes
            ]
            recorded = self._add("item.removed", item_id, draft)
            self._removed[item_id] = recorded.seq
            return recorded
        if (item_id, draft.version) in self._seen:
            return Recorded(self._seen[item_id, draft.version], False)
        order = version_order(draft.version)
        if 0 < order < self._highest.get(item_id, 0):
            return Recorded(self._latest[item_id], False)
        type_ = "item.edited" if item_id in self._latest else "item.posted"
        recorded = self._add(type_, item_id, (item_id, draft.version))
        self._latest[item_id] = recorded.seq
        self._highest[item_id] = max(order, self._highest.get(item_id, 0))
        return recorded

    def _once(self, type_: str, item_id: str | None, mark: str) -> Recorded:
        key = (type_, item_id, mark)
        return Recorded(self._seen[key], False) if key in self._seen else self._add(type_, item_id, key)

    def _add(self, type_: str, item_id: str | None, key: Any) -> Recorded:
        seq = len(self.changes) + 1
        self.changes.append((seq, type_, item_id))
        self._seen[key] = seq
        return Recorded(seq, True)


class LiveLogFixture:
    """Mixed into a :class:`twisted.trial.unittest.TestCase` that says how to :meth:`make` the log."""

    window = 10
    max_log_bytes = 1_000_000_000

    def make(self, window: int, max_log_bytes: int, rng: Random, now: Callable[[], float]) -> Any:
        """A log that is not started yet; all those of one test keep their things in the same place."""
        raise NotImplementedError

    def setUp(self) -> None:
        self.patience = Patience(self)  # type: ignore[arg-type]
        self.rng = Random(20261121)
        self.now = NOW
        self.open_logs: list[Any] = []

    async def tearDown(self) -> None:
        for log in list(self.open_logs):
            await self.close(log)

    async def open(self, events: Sequence[str] = ("e",), witnesses: Sequence[IWitness] = ()) -> Any:
        log = self.make(self.window, self.max_log_bytes, self.rng, lambda: self.now)
        self.open_logs.append(log)
        await log.start(events, witnesses)
        return log

    async def close(self, log: Any) -> None:
        self.open_logs.remove(log)
        await log.stop()

    async def changes(self, log: Any, event: str = "e") -> list[dict[str, Any]]:
        return [json.loads(c.json) for c in (await log.read(event, 0, 10_000)).changes]

    async def types(self, log: Any, event: str = "e") -> list[str]:
        return [change["type"] for change in await self.changes(log, event)]

    async def append(self, log: Any, *drafts: Draft, **options: Any) -> list[Recorded]:
        return await log.append("e", None, drafts, **options)

    async def slice(self, log: Any, after: int, limit: int) -> tuple[int, list[Change]]:
        found = await log.read("e", after, limit)
        return found.first_seq, found.changes

    async def lose(self, log: Any) -> None:
        """Lose everything that the (stopped) log had stored."""
        raise NotImplementedError


class LiveLogContract(LiveLogFixture):
    """The suite itself."""

    # Numbers and repetitions

    async def test_provides_the_interface(self) -> None:
        verifyObject(ILiveLog, await self.open())

    async def test_an_empty_log_has_head_0_and_an_epoch_a_cursor_can_name(self) -> None:
        head = await (await self.open()).head("e")
        self.assertEqual(head.seq, 0)
        self.assertRegex(head.epoch, r"\A[a-z0-9]{1,16}\Z")

    async def test_changes_are_numbered_from_1_without_holes(self) -> None:
        log = await self.open()
        self.assertEqual(await self.append(log, post(1), post(2)), new(1, 2))
        self.assertEqual(await self.append(log, post(3)), new(3))
        self.assertEqual([c["seq"] for c in await self.changes(log)], [1, 2, 3])
        self.assertEqual((await log.head("e")).seq, 3)

    async def test_a_change_is_what_the_protocol_says(self) -> None:
        log = await self.open()
        await self.append(log, post("a", "7"))
        (change,) = await self.changes(log)
        self.assertEqual(list(change), ["seq", "at", "type", "version", "item"])
        self.assertEqual(change["at"], "2026-11-21T17:00:06.120Z")
        self.assertEqual((change["type"], change["item"]["id"]), ("item.posted", "push:a"))

    async def test_a_repetition_has_the_old_seq_and_adds_nothing(self) -> None:
        log = await self.open()
        await self.append(log, post(1), post(2))
        self.assertEqual(await self.append(log, post(1)), [Recorded(1, False)])
        self.assertEqual(await self.append(log, post(3), post(2), post(3)), [*new(3), (2, False), (3, False)])
        self.assertEqual((await log.head("e")).seq, 3)

    async def test_another_version_is_an_edit(self) -> None:
        log = await self.open()
        recorded = await self.append(log, post(1, "a"), post(1, "b"), post(1, "a"), post(1, "b"))
        self.assertEqual(recorded, [*new(1, 2), (1, False), (2, False)])
        self.assertEqual(await self.types(log), ["item.posted", "item.edited"])
        await self.append(log, post(1, "c"))
        self.assertEqual(await self.append(log, post(1, "b"), post(1, "a")), [(2, False), (1, False)])

    async def test_a_lower_numeric_version_is_a_late_arrival(self) -> None:
        log = await self.open()
        await self.append(log, post(1, "9"), post(1, "10"))
        self.assertEqual(await self.append(log, post(1, "8")), [Recorded(2, False)])
        self.assertEqual((await log.head("e")).seq, 2)

    async def test_versions_of_19_digits_are_compared_exactly(self) -> None:
        log = await self.open()
        await self.append(log, post(1, "1900000000000000002"))
        late = await self.append(log, post(1, "1900000000000000001"), post(1, "999999999999999999"))
        self.assertEqual(late, [(1, False), (1, False)])
        self.assertEqual(await self.append(log, post(1, "1900000000000000003")), new(2))
        self.assertEqual(await self.append(log, post(1, "9223372036854775807")), new(3))
        self.assertEqual(await self.append(log, post(1, "9223372036854775806")), [(3, False)])

    async def test_a_version_without_a_number_does_not_lower_the_highest(self) -> None:
        log = await self.open()
        await self.append(log, post(1, "5"), post(1, "x"))
        self.assertEqual(await self.append(log, post(1, "4"), post(1, "6")), [(2, False), (3, True)])

    async def test_ids_that_look_alike_are_different(self) -> None:
        log = await self.open()
        ids = ["007", "7", "07", "1_000", "1000", "12.50", "12.5", "1e3", " 7", "7\u200b", "é", "e\u0301", "-1"]
        self.assertEqual(await self.append(log, *map(post, ids)), new(*range(1, len(ids) + 1)))
        self.assertEqual([c["item"]["id"] for c in await self.changes(log)], [f"push:{i}" for i in ids])

    # Removals

    async def test_a_removal_redacts_every_earlier_change_of_its_id(self) -> None:
        log = await self.open()
        await self.append(log, post(1, "a", "secret"), post(2), post(1, "b", "secret too"))
        before = await self.changes(log)
        self.assertEqual(await self.append(log, Removed("push:1")), new(4))
        after = await self.changes(log)
        self.assertEqual([c["type"] for c in after], ["redacted", "item.posted", "redacted", "item.removed"])
        self.assertEqual(after[0], {"seq": 1, "at": before[0]["at"], "type": "redacted"})
        self.assertEqual(after[1], before[1])
        self.assertEqual(after[3]["id"], "push:1")
        self.assertNotIn("secret", json.dumps(after))

    async def test_a_removal_redacts_what_came_in_the_same_batch(self) -> None:
        log = await self.open()
        self.assertEqual(
            await self.append(log, post(1), Removed("push:1"), post(1, "2")), [*new(1, 2), (2, False)]
        )
        self.assertEqual(await self.types(log), ["redacted", "item.removed"])

    async def test_a_tombstone_suppresses_later_posts(self) -> None:
        log = await self.open()
        self.assertEqual(await self.append(log, Removed("push:1")), new(1))
        self.assertEqual(await self.append(log, post(1), post(1, "99")), [(1, False), (1, False)])
        self.assertEqual(await self.types(log), ["item.removed"])

    async def test_what_was_removed_is_posted_again_when_it_is_restored(self) -> None:
        log = await self.open()
        await self.append(log, post(1, "5", "secret"), post(1, "6", "secret"), Removed("push:1"), post(2))
        again = post(1, RESTORED + "a", "shown again")
        self.assertEqual(await self.append(log, again), new(5))
        types = ["redacted", "redacted", "item.removed", "item.posted", "item.posted"]
        self.assertEqual(await self.types(log), types)
        # Repetitions of what there was before are that still; only what is newer is an edit.
        self.assertEqual(
            await self.append(log, again, post(1, "6"), post(1, "4"), post(1, "7")),
            [(5, False), (2, False), (5, False), (6, True)],
        )
        self.assertEqual(await self.types(log), [*types, "item.edited"])

    async def test_what_was_restored_can_be_removed_for_good(self) -> None:
        log = await self.open()
        first, second = RESTORED + "a", RESTORED + "b"
        await self.append(log, post(1, "1", "secret"), Removed("push:1"), post(1, first, "secret"))
        self.assertEqual(await self.append(log, Removed("push:1")), new(4))
        self.assertEqual(await self.append(log, post(1, first), post(1, "9")), [(4, False), (4, False)])
        types = ["redacted", "item.removed", "redacted", "item.removed"]
        self.assertEqual(await self.types(log), types)
        self.assertNotIn("secret", json.dumps(await self.changes(log)))
        await self.close(log)
        log = await self.open()
        self.assertEqual(await self.types(log), types)
        self.assertEqual(await self.append(log, post(1, first), post(1, second)), [(4, False), (5, True)])
        self.assertEqual(await self.append(log, Removed("push:1"), post(1)), [(6, True), (6, False)])

    async def test_restoring_and_removing_may_be_one_step(self) -> None:
        log = await self.open()
        batch = [
            post(1),
            Removed("push:1"),
            post(1, RESTORED + "a"),
            Removed("push:1"),
            post(1, RESTORED + "b"),
        ]
        self.assertEqual(await self.append(log, *batch), new(1, 2, 3, 4, 5))
        self.assertEqual(
            await self.types(log), ["redacted", "item.removed", "redacted", "item.removed", "item.posted"]
        )

    async def test_restoring_what_was_never_removed_is_an_edit(self) -> None:
        log = await self.open()
        await self.append(log, post(1), post(1, RESTORED + "a"), post(2, RESTORED + "a"))
        self.assertEqual(await self.types(log), ["item.posted", "item.edited", "item.posted"])

    async def test_a_repeated_removal_is_a_repetition(self) -> None:
        log = await self.open()
        await self.append(log, post(1), Removed("push:1"))
        self.assertEqual(await self.append(log, Removed("push:1"), Removed("push:1")), [(2, False), (2, False)])

    async def test_a_removal_redacts_also_what_only_the_store_still_holds(self) -> None:
        self.window = 4
        log = await self.open()
        await self.append(log, *(post(n) for n in range(20)))
        await self.append(log, Removed("push:0"), Removed("push:7"))
        types = await self.types(log)
        self.assertEqual([n + 1 for n, type_ in enumerate(types) if type_ == "redacted"], [1, 8])

    async def test_redactions_outlive_a_restart(self) -> None:
        log = await self.open()
        await self.append(log, post(1, "a", "secret"), Removed("push:1"))
        await self.close(log)
        log = await self.open()
        self.assertEqual(await self.types(log), ["redacted", "item.removed"])
        self.assertEqual(await self.append(log, post(1)), [(2, False)])

    # Gaps of sources

    async def test_a_source_gap_is_recorded_once_per_state(self) -> None:
        log = await self.open()
        recorded = await self.append(log, gap(), gap(), gap("closed", 5), gap("closed", 5))
        self.assertEqual(recorded, [*new(1), (1, False), *new(2), (2, False)])
        changes = await self.changes(log)
        self.assertEqual([c["type"] for c in changes], ["source.gap"] * 2)
        self.assertEqual(
            list(changes[0]), ["seq", "at", "type", "source", "from", "to", "state", "fetched", "reason"]
        )

    # Positions

    async def test_a_position_is_stored_with_its_append(self) -> None:
        log = await self.open()
        self.assertIsNone(await log.position("e", "x"))
        await self.append(log, post(1), position=Position("x", "007"))
        await self.append(log, position=Position("flickr:e", "1_000"))
        self.assertEqual(await log.position("e", "x"), "007")
        self.assertEqual(await log.position("e", "flickr:e"), "1_000")
        await self.append(log, post(1), position=Position("x", "12.50 \u0000 é 👩‍🚀"))
        await self.close(log)
        self.assertEqual(await (await self.open()).position("e", "x"), "12.50 \u0000 é 👩‍🚀")

    async def test_a_position_belongs_to_its_event(self) -> None:
        log = await self.open(["e", "f"])
        await log.append("e", None, [], position=Position("x", "1"))
        self.assertIsNone(await log.position("f", "x"))

    async def test_a_refused_append_stores_no_position(self) -> None:
        log = await self.open()
        with self.assertRaises(EpochChanged):
            await log.append("e", "other", [post(1)], position=Position("x", "1"))
        self.assertIsNone(await log.position("e", "x"))
        self.assertEqual((await log.head("e")).seq, 0)

    # Epochs and leases

    async def test_the_right_epoch_is_accepted(self) -> None:
        log = await self.open()
        epoch = (await log.head("e")).epoch
        self.assertEqual(await log.append("e", epoch, [post(1)]), new(1))
        with self.assertRaises(EpochChanged):
            await log.append("e", "", [post(2)])

    async def test_only_the_holder_of_the_lease_may_append_with_one(self) -> None:
        log = await self.open()
        with self.assertRaises(LeaseLost):
            await self.append(log, post(1), lease="mine")
        self.assertEqual(await log.lease.take("mine", 60, None, False), "mine")
        self.assertEqual(await self.append(log, post(1), lease="mine"), new(1))
        await log.lease.release("mine")
        self.assertEqual(await log.lease.take("theirs", 60, None, False), "theirs")
        with self.assertRaises(LeaseLost):
            await self.append(log, post(2), lease="mine", position=Position("x", "1"))
        self.assertEqual(await self.append(log, post(3)), new(2))
        self.assertIsNone(await log.position("e", "x"))
        self.assertEqual([c["item"]["id"] for c in await self.changes(log)], ["push:1", "push:3"])

    async def test_the_lease_is_one_nodes_until_it_is_released(self) -> None:
        log = await self.open()
        verifyObject(ILease, log.lease)
        self.assertEqual(await log.lease.take("a 1", 60, None, False), "a 1")
        self.assertEqual(await log.lease.take("b 1", 60, None, False), "a 1")
        self.assertEqual(await log.lease.take("b 1", 60, "a 1", True), "a 1")
        self.assertTrue(await log.lease.renew("a 1", 60))
        self.assertFalse(await log.lease.renew("b 1", 60))
        await log.lease.release("b 1")
        self.assertTrue(await log.lease.renew("a 1", 60))
        await log.lease.release("a 1")
        self.assertEqual(await log.lease.take("b 1", 60, "a 1", True), "b 1")
        self.assertFalse(await log.lease.renew("a 1", 60))

    async def test_taking_the_lease_again_with_the_same_token_is_granted(self) -> None:
        log = await self.open()
        self.assertEqual(await log.lease.take("a 1", 60, None, False), "a 1")
        self.assertEqual(await log.lease.take("a 1", 60, "b 7", True), "a 1")

    async def test_a_released_term_records_nothing_more(self) -> None:
        log = await self.open()
        await log.lease.take("a 1", 60, None, False)
        await log.lease.release("a 1")
        with self.assertRaises(LeaseLost):
            await self.append(log, post(1), lease="a 1")
        self.assertFalse(await log.lease.renew("a 1", 60))

    async def test_a_refused_append_does_not_touch_those_beside_it(self) -> None:
        log = await self.open()
        first = log.append("e", None, [post(1)])
        refused = log.append("e", "other", [post(2)])
        last = log.append("e", None, [post(3)])
        self.assertEqual(await first, new(1))
        with self.assertRaises(EpochChanged):
            await refused
        self.assertEqual(await last, new(2))

    async def test_a_new_epoch_is_different_for_every_event(self) -> None:
        log = await self.open(["e", "f"])
        self.assertNotEqual((await log.head("e")).epoch, (await log.head("f")).epoch)

    # Room

    async def test_a_full_log_refuses_and_keeps_nothing_of_the_batch(self) -> None:
        self.max_log_bytes = 5000
        log = await self.open()
        await self.append(log, *(post(n, text="x" * 400) for n in range(3)))
        head = await log.head("e")
        with self.assertRaises(LogFull):
            await self.append(log, *(post(n, text="x" * 400) for n in range(3, 9)), position=Position("x", "1"))
        self.assertEqual(await log.head("e"), head)
        self.assertIsNone(await log.position("e", "x"))
        self.assertEqual(await self.append(log, post(0, text="x" * 400)), [(1, False)])
        self.assertEqual(await self.append(log, post(3)), new(4))

    async def test_a_full_log_still_removes(self) -> None:
        self.max_log_bytes = 5000
        log = await self.open()
        await self.append(log, *(post(n, text="x" * 800) for n in range(2)))
        with self.assertRaises(LogFull):
            await self.append(log, post(2, text="x" * 800))
        self.assertEqual(await self.append(log, Removed("push:0")), new(3))
        self.assertEqual(await self.append(log, post(2, text="x" * 800)), new(4))

    async def test_trimming_makes_room(self) -> None:
        self.window, self.max_log_bytes = 2, 20_000
        log = await self.open()
        for start in range(0, 40, 4):
            await self.append(log, *(post(n, text="x" * 400) for n in range(start, start + 4)))
            await log.trim("e", start + 4)
        self.assertEqual((await log.head("e")).seq, 40)

    async def test_trim_leaves_the_window_the_numbers_and_the_keys(self) -> None:
        self.window = 3
        log = await self.open()
        await self.append(log, *(post(n) for n in range(1, 11)), position=Position("x", "1"))
        await log.trim("e", 4)
        self.assertEqual((await log.read("e", 0, 2))[1:], await self.slice(log, 4, 2))
        await log.trim("e", 10)
        await log.trim("e", 2)
        slice_ = await log.read("e", 0, 100)
        self.assertEqual(slice_.first_seq, 8)
        self.assertEqual([c.seq for c in slice_.changes], [8, 9, 10])
        self.assertEqual(await self.append(log, post(1), post(11)), [(1, False), (11, True)])
        self.assertEqual(await self.append(log, Removed("push:2"), post(3, "2")), new(12, 13))
        self.assertEqual(await log.position("e", "x"), "1")

    async def test_a_long_log_is_trimmed_at_once(self) -> None:
        self.window = 3
        log = await self.open()
        for start in range(0, 12_000, 1000):
            await self.append(log, *(post(n, text="") for n in range(start, start + 1000)))
        await log.trim("e", 11_000)
        self.assertEqual((await log.read("e", 0, 1)).first_seq, 11_001)

    async def test_trim_of_an_empty_log_does_nothing(self) -> None:
        log = await self.open()
        await log.trim("e", 100)
        self.assertEqual(await self.append(log, post(1)), new(1))
        self.assertEqual(await self.types(log), ["item.posted"])

    # Reading

    async def test_read_gives_at_most_limit_changes_above_after(self) -> None:
        log = await self.open()
        await self.append(log, *(post(n) for n in range(30)))
        epoch = (await log.head("e")).epoch
        for after, limit in [(0, 1), (0, 30), (5, 10), (19, 5), (25, 100), (29, 1)]:
            slice_ = await log.read("e", after, limit)
            self.assertEqual((slice_.epoch, slice_.first_seq), (epoch, after + 1))
            last = min(30, after + limit)
            self.assertEqual([c.seq for c in slice_.changes], list(range(after + 1, last + 1)))

    async def test_read_at_or_beyond_the_head_is_empty(self) -> None:
        log = await self.open()
        await self.append(log, post(1))
        for after in (1, 2, 99):
            slice_ = await log.read("e", after, 10)
            self.assertEqual((slice_.first_seq, slice_.changes), (after + 1, []))

    async def test_a_read_near_the_head_answers_at_once(self) -> None:
        log = await self.open()
        await self.append(log, *(post(n) for n in range(30)))
        self.assertTrue(log.read("e", 25, 10).called)
        self.assertTrue(log.head("e").called)
        self.assertTrue(log.lineage("e").called)

    async def test_text_arrives_as_it_was_sent(self) -> None:
        log = await self.open()
        texts = ["007", "1_000", "12.50", "", "\u0000\u0001\u001f\u007f", "\r\n$5\r\n", "👩‍🚀 🏳️‍🌈 \U0010ffff"]
        texts += [
            "שלום \u202eabc\u202c",
            '"\\/\b',
            "x" * 60_000,
            "é" * 20_000,
            "%s {0}",
            "\u2028\u2029",
            "'; --",
        ]
        await self.append(log, *(post(n, text=text) for n, text in enumerate(texts)))
        self.assertEqual([c["item"]["text"] for c in await self.changes(log)], texts)
        await self.close(log)
        log = await self.open()
        self.assertEqual([c["item"]["text"] for c in await self.changes(log)], texts)

    async def test_events_do_not_touch_each_other(self) -> None:
        log = await self.open(["e", "e-2", "f"])
        for event in ("e", "e-2", "f"):
            self.assertEqual(await log.append(event, None, [post(1), post(2)]), new(1, 2))
        await log.append("e-2", None, [Removed("push:1")])
        self.assertEqual(await self.types(log, "e"), ["item.posted"] * 2)
        self.assertEqual(await self.types(log, "e-2"), ["redacted", "item.posted", "item.removed"])

    # Many at a time

    async def test_appends_of_many_callers_keep_their_order_and_miss_no_number(self) -> None:
        log = await self.open()
        waiting = [log.append("e", None, [post(f"{n}-{k}") for k in range(3)]) for n in range(100)]
        seqs = [recorded.seq for batch in await gatherResults(waiting) for recorded in batch]
        self.assertEqual(seqs, list(range(1, 301)))
        ids = [c["item"]["id"] for c in await self.changes(log)]
        self.assertEqual(ids, [f"push:{n}-{k}" for n in range(100) for k in range(3)])

    async def test_the_same_item_from_many_callers_is_recorded_once(self) -> None:
        log = await self.open()
        results = await gatherResults([log.append("e", None, [post(1)]) for _ in range(50)])
        self.assertEqual([r[0].new for r in results].count(True), 1)
        self.assertEqual({r[0].seq for r in results}, {1})

    async def test_cancelling_gives_up_the_wait_and_not_half_of_a_write(self) -> None:
        log = await self.open()
        waiting = log.append("e", None, [post(1), post(2)])
        waiting.addErrback(lambda failure: None)
        waiting.cancel()
        await self.append(log, post(3))
        self.assertIn((await log.head("e")).seq, (1, 3))

    async def test_watchers_hear_of_new_changes_that_can_then_be_read_at_once(self) -> None:
        log = await self.open(["e", "f"])
        heard: list[tuple[str, list[int]]] = []

        def watcher(event: str) -> None:
            read: Deferred[Any] = log.read(event, 0, 100)
            read.addCallback(lambda found: heard.append((event, [c.seq for c in found.changes])))

        log.watch(watcher)
        await self.append(log, post(1), post(2))
        await eventually(lambda: ("e", [1, 2]) in heard, "the hint")
        count = len(heard)
        await self.append(log, post(1))
        await log.append("f", None, [post(1)])
        await eventually(lambda: ("f", [1]) in heard, "the other hint")
        self.assertEqual([event for event, _ in heard[count:]], ["f"])

    async def test_a_watcher_that_fails_harms_nobody(self) -> None:
        log = await self.open()
        heard: list[str] = []

        def broken(event: str) -> None:
            raise RuntimeError("a defect of the listener")

        log.watch(broken)
        log.watch(heard.append)
        self.assertEqual(await self.append(log, post(1)), new(1))
        await eventually(lambda: heard == ["e"], "the second watcher")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_random_histories_match_a_simple_model(self) -> None:
        self.window = 20
        for seed in range(8):
            event, rng, model = f"e-{seed}", Random(seed), Model()
            log = await self.open([event])
            for _ in range(12):
                waiting, expected = [], []
                for _ in range(rng.randrange(1, 5)):
                    drafts = [random_draft(rng) for _ in range(rng.randrange(6))]
                    expected.append(model.append(drafts))
                    waiting.append(log.append(event, None, drafts))
                self.assertEqual([await d for d in waiting], expected, f"seed {seed}")
                found = [(c.seq, c.type, c.id) for c in (await log.read(event, model.base, 1000)).changes]
                self.assertEqual(found, model.changes[model.base :], f"seed {seed}")
                if rng.random() < 0.3:
                    upto = rng.randrange(100)
                    await log.trim(event, upto)
                    model.base = max(model.base, min(upto, len(model.changes) - 20))
                if rng.random() < 0.2:
                    await self.close(log)
                    log = await self.open([event])

    # Restarts and recovery

    async def test_a_restart_keeps_everything_and_the_epoch(self) -> None:
        log = await self.open()
        await self.append(log, *(post(n) for n in range(25)), position=Position("x", "1"))
        head, changes = await log.head("e"), await self.changes(log)
        await self.close(log)
        log = await self.open()
        self.assertEqual(await log.head("e"), head)
        self.assertEqual(await self.changes(log), changes)
        self.assertEqual(await log.lineage("e"), (head.epoch, ()))
        self.assertEqual(await self.append(log, post(3), post(25)), [(4, False), (26, True)])

    async def test_witnesses_that_know_no_more_change_nothing(self) -> None:
        log = await self.open()
        await self.append(log, post(1), post(2))
        head = await log.head("e")
        known = (await log.read("e", 0, 1)).changes
        await self.close(log)
        log = await self.open(witnesses=[MemoryWitness(head.epoch, known), MemoryWitness("", [])])
        self.assertEqual(await log.head("e"), head)

    async def test_an_empty_log_is_filled_from_a_witness_in_a_new_epoch(self) -> None:
        archive = MemoryWitness("old", [posted(n) for n in range(1, 2501)], (Ancestor("older", 7),))
        log = await self.open(witnesses=[archive])
        head = await log.head("e")
        self.assertEqual(head.seq, 2500)
        self.assertNotIn(head.epoch, ("old", "older"))
        ancestors = (Ancestor("old", 2500), Ancestor("older", 7))
        self.assertEqual(await log.lineage("e"), (head.epoch, ancestors))
        slice_ = await log.read("e", 0, 100)
        self.assertEqual((slice_.first_seq, len(slice_.changes)), (2491, 10))
        recorded = await self.append(log, post(1), post(2500), post(9999), post(1, "2"))
        self.assertEqual(recorded, [(1, False), (2500, False), (2501, True), (2502, True)])

    async def test_every_kind_of_change_is_restored_with_its_keys(self) -> None:
        log = await self.open()
        await self.append(log, post(1, "5"), post(2), post(1, "6"), gap(), Removed("push:2"), Removed("push:3"))
        remembered = (await log.read("e", 0, 100)).changes
        await self.close(log)
        await self.lose(log)
        log = await self.open(witnesses=[MemoryWitness("old", remembered)])
        self.assertEqual((await log.read("e", 0, 100)).changes, remembered)
        again = await self.append(log, post(1, "5"), post(1, "4"), post(1, "6"), gap(), post(2), post(3))
        self.assertEqual(again, [(1, False), (3, False), (3, False), (4, False), (5, False), (6, False)])
        self.assertEqual(await self.append(log, Removed("push:1")), new(7))
        types = [
            "redacted",
            "redacted",
            "redacted",
            "source.gap",
            "item.removed",
            "item.removed",
            "item.removed",
        ]
        self.assertEqual(await self.types(log), types)

    async def test_a_log_that_came_back_with_less_is_extended(self) -> None:
        log = await self.open()
        await self.append(log, *(post(n) for n in range(1, 4)), position=Position("x", "1"))
        epoch = (await log.head("e")).epoch
        await self.close(log)
        more = [posted(n) for n in range(1, 7)]
        log = await self.open(witnesses=[MemoryWitness(epoch, more)])
        lineage = await log.lineage("e")
        self.assertEqual(lineage.ancestors, (Ancestor(epoch, 6),))
        self.assertEqual([c["seq"] for c in await self.changes(log)], [1, 2, 3, 4, 5, 6])
        self.assertEqual(await log.position("e", "x"), "1")
        self.assertEqual(await self.append(log, post(6), post(2), post(7)), [(6, False), (2, False), (7, True)])

    async def test_changes_that_contradict_the_archive_are_numbered_anew_behind_it(self) -> None:
        log = await self.open()
        await self.append(log, post("a"), post("b"), Removed("push:b"), post(2), position=Position("x", "1"))
        epoch = (await log.head("e")).epoch
        await self.close(log)
        archive = MemoryWitness("old", [posted(n) for n in range(1, 4)])
        log = await self.open(witnesses=[archive])
        lineage = await log.lineage("e")
        self.assertEqual(lineage.ancestors, (Ancestor("old", 3), Ancestor(epoch, 0)))
        changes = await self.changes(log)
        self.assertEqual([c["seq"] for c in changes], [1, 2, 3, 4, 5])
        self.assertEqual([c["item"]["id"] for c in changes[:4]], ["push:1", "push:2", "push:3", "push:a"])
        self.assertEqual(changes[4]["id"], "push:b")
        self.assertEqual(await log.position("e", "x"), "1")

    async def test_what_was_restored_is_so_when_it_is_numbered_anew(self) -> None:
        log = await self.open()
        await self.append(log, post("a"), post("b"), Removed("push:b"), post("b", RESTORED + "a"))
        await self.close(log)
        archive = MemoryWitness("old", [posted(n) for n in range(1, 4)])
        log = await self.open(witnesses=[archive])
        changes = await self.changes(log)
        told = [(c["type"], c.get("id") or c["item"]["id"]) for c in changes[3:]]
        self.assertEqual(
            told, [("item.posted", "push:a"), ("item.removed", "push:b"), ("item.posted", "push:b")]
        )

    async def test_what_a_node_remembers_of_an_ended_epoch_is_offered_again(self) -> None:
        log = await self.open()
        await self.append(log, post(1), post(2), post(3))
        epoch = (await log.head("e")).epoch
        await self.close(log)
        log = await self.open(witnesses=[MemoryWitness(epoch, [posted(n) for n in range(1, 6)])])
        await self.append(log, post("a"))
        head = await log.head("e")
        await self.close(log)
        node = MemoryWitness(epoch, [posted(n) for n in range(3, 9)])
        log = await self.open(witnesses=[MemoryWitness("", []), node])
        self.assertEqual(await log.head("e"), (head.epoch, 9))
        ids = [c["item"]["id"] for c in await self.changes(log)]
        self.assertEqual(ids, [f"push:{name}" for name in (1, 2, 3, 4, 5, "a", 6, 7, 8)])

    async def test_a_witness_that_was_away_is_asked_until_it_answers(self) -> None:
        archive = MemoryWitness("old", [posted(n) for n in range(1, 4)], away=True)
        log = await self.open(witnesses=[archive])
        heard: list[str] = []
        log.watch(heard.append)
        self.assertEqual(await self.append(log, post("a")), new(1))
        archive.away = False
        await eventually(lambda: log.head("e").addCallback(lambda head: head.seq == 4), "the archive's changes")
        self.assertEqual(
            [c["item"]["id"] for c in await self.changes(log)], [f"push:{n}" for n in (1, 2, 3, "a")]
        )
        self.assertIn("e", heard)
        asked = archive.asked
        self.assertEqual(await self.append(log, post(4)), new(5))
        self.assertEqual(archive.asked, asked)

    async def test_a_removal_in_the_archive_holds_after_recovery(self) -> None:
        log = await self.open()
        await self.append(log, post(1), Removed("push:1"), post(2))
        redacted = (await log.read("e", 0, 10)).changes
        epoch = (await log.head("e")).epoch
        await self.close(log)
        await self.lose(log)
        log = await self.open(witnesses=[MemoryWitness(epoch, redacted)])
        self.assertEqual(await self.types(log), ["redacted", "item.removed", "item.posted"])
        self.assertEqual(await self.append(log, post(1)), [(2, False)])

    async def test_what_the_archive_has_as_restored_is_so_after_recovery(self) -> None:
        log = await self.open()
        again = post(1, RESTORED + "a")
        await self.append(log, post(1, "5"), Removed("push:1"), again)
        changes = (await log.read("e", 0, 10)).changes
        epoch = (await log.head("e")).epoch
        await self.close(log)
        await self.lose(log)
        log = await self.open(witnesses=[MemoryWitness(epoch, changes)])
        self.assertEqual(await self.types(log), ["redacted", "item.removed", "item.posted"])
        self.assertEqual(await self.append(log, again, post(1, "6")), [(3, False), (4, True)])
        self.assertEqual(await self.append(log, Removed("push:1"), again), [(5, True), (5, False)])

    # The truth about itself

    async def test_a_sound_log_says_so(self) -> None:
        check = (await self.open()).check()
        self.assertEqual((check.name, check.state), ("live_log", "ok"))

    async def fill(self) -> Any:
        """A log whose last append was refused for want of room."""
        self.window, self.max_log_bytes = 1, 5000
        log = await self.open()
        await self.append(log, *(post(n, text="x" * 800) for n in range(2)))
        with self.assertRaises(LogFull):
            await self.append(log, post(2, text="x" * 800))
        return log

    async def test_health_is_red_while_the_log_is_full(self) -> None:
        log = await self.fill()
        check = log.check()
        self.assertEqual(check.state, "failed")
        self.assertIn("max_log_bytes", check.detail)
        self.assertIn("e", check.detail)
        await self.append(log, post(0, text="x" * 800))
        self.assertEqual(log.check().state, "failed", "a repetition needs no room and shows none")

    async def test_health_is_green_again_after_an_append_that_found_room(self) -> None:
        log = await self.fill()
        await self.append(log, post(2))
        self.assertEqual(log.check().state, "ok")

    async def test_health_is_green_again_after_a_trim_that_made_room(self) -> None:
        log = await self.fill()
        await log.trim("e", 0)
        self.assertEqual(log.check().state, "failed", "nothing was trimmed")
        await log.trim("e", 1)
        self.assertEqual(log.check().state, "ok")

    async def test_health_is_green_after_a_full_log_took_the_next_append_of_the_same_moment(self) -> None:
        self.max_log_bytes = 5000
        log = await self.open()
        await self.append(log, *(post(n, text="x" * 800) for n in range(2)))
        refused = log.append("e", None, [post(2, text="x" * 800)])
        taken = log.append("e", None, [post(3)])
        with self.assertRaises(LogFull):
            await refused
        await taken
        self.assertEqual(log.check().state, "ok")

    async def test_health_is_red_when_the_log_has_exactly_reached_its_limit(self) -> None:
        log = await self.open()
        await self.append(log, post(1))
        self.max_log_bytes = log.check().data["bytes"]["e"]
        await self.close(log)
        log = await self.open()
        self.assertEqual(log.check().state, "failed")

    async def test_a_stopped_log_says_so(self) -> None:
        log = await self.open()
        await self.close(log)
        self.assertEqual(log.check().state, "failed")
