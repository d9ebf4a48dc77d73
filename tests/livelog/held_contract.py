"""What every live log must do with what it holds back, and with filings and changes of the programme: run
against each of them, and the part that needs no storage against the log in memory that other tests use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import gatherResults

from afeed.core.change import POSTED, Change, compose, seconds, timestamp
from afeed.core.cursor import Ancestor
from afeed.core.draft import (
    MOST_TALKS,
    RESTORED,
    Draft,
    Filed,
    Held,
    Removed,
    Rescheduled,
    TalkChange,
    TalkFacts,
    prepare,
)
from afeed.core.errors import LeaseLost, LogFull, LogUnavailable
from afeed.interfaces import Position, Recorded
from tests.fakes import MemoryLog
from tests.livelog.contract import NOW, LiveLogFixture, eventually, new
from tests.livelog.samples import AT, MemoryWitness, post, posted

#: The times that the drafts below are held until.
SOON, LATER = timestamp(NOW + 60), timestamp(NOW + 120)


def held(
    number: int | str, version: str = "1", text: str = "hello", until: str | None = None, reason: str = "word"
) -> Held:
    """The item ``push:<number>``, to be held."""
    draft = post(number, version, text)
    return Held(draft.item, draft.version, reason, until)


def filed(number: int | str, talk: str | None = "t1", mark: str = "1") -> Filed:
    return Filed(f"push:{number}", talk, mark)


def rescheduled(mark: str = "m1") -> Rescheduled:
    before = TalkFacts("Opening", "2026-11-21T17:00:00Z", "2026-11-21T18:00:00Z", "Hall A")
    moved = TalkChange("t1", ("moved", "room"), "Opening", "2026-11-21T17:30:00Z", "2026-11-21T18:00:00Z", None)
    return Rescheduled(mark, "v2", (TalkChange(**{**_fields(moved), "before": before}),))


def _fields(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


VERSIONS = ("1", "2", "3", "10", "a", "b", "1900000000000000001", RESTORED + "a")


async def random_step(log: Any, event: str, rng: Random) -> Any:
    """One call with what ``rng`` says; what came of it."""
    numbers = [rng.randrange(5) for _ in range(rng.randrange(1, 4))]
    ids = [f"push:{number}" for number in numbers]
    kind = rng.random()
    if kind < 0.4:
        until = [rng.choice([None, SOON, LATER]) for _ in numbers]
        drafts = [held(n, rng.choice(VERSIONS), until=at) for n, at in zip(numbers, until, strict=True)]
        return await log.hold(event, drafts)
    if kind < 0.5:
        return await log.stop_held(event, ids)
    if kind < 0.65:
        return await log.release(event, ids)
    if kind < 0.75:
        return sorted(await log.due(event, rng.choice([SOON, LATER]), 100))
    draft: Draft = Removed(ids[0]) if kind < 0.8 else post(numbers[0], rng.choice(VERSIONS))
    return await log.append(event, None, [draft, filed(numbers[-1], mark=str(rng.randrange(3)))])


class Helpers(LiveLogFixture):
    async def hold(self, log: Any, *drafts: Held, **options: Any) -> list[bool]:
        return await log.hold("e", drafts, **options)

    async def release(self, log: Any, *numbers: int | str, **options: Any) -> list[Recorded]:
        return await log.release("e", [f"push:{number}" for number in numbers], **options)

    async def stop_held(self, log: Any, *numbers: int | str) -> None:
        await log.stop_held("e", [f"push:{number}" for number in numbers])

    async def waiting(self, log: Any, **options: Any) -> list[str]:
        """The ids of what is held, or was stopped."""
        return [one.item.id for one in await log.held("e", options.pop("limit", 100), **options)]

    async def due(self, log: Any, at: str = LATER, limit: int = 100) -> list[str]:
        return await log.due("e", at, limit)


class FiledContract(Helpers):
    """Filings, and changes of the programme."""

    async def test_a_filing_is_what_the_protocol_says(self) -> None:
        log = await self.open()
        self.assertEqual(await self.append(log, post(1), filed(1), filed(1, None, "2")), new(1, 2, 3))
        _, first, second = await self.changes(log)
        self.assertEqual(list(first)[:3], ["seq", "at", "type"])
        self.assertEqual((first["type"], first["id"], first["talk"]), ("item.filed", "push:1", "t1"))
        self.assertIsNone(second["talk"])
        found = (await log.read("e", 1, 10)).changes
        self.assertEqual(
            [(c.id, c.filing()) for c in found], [("push:1", filed(1)), ("push:1", filed(1, None, "2"))]
        )

    async def test_a_filing_is_recorded_once_per_mark(self) -> None:
        log = await self.open()
        await self.append(log, post(1), post(2), filed(1))
        again = await self.append(log, filed(1), filed(1, "t2"), filed(2), filed(1, "t1", "2"), filed(1))
        self.assertEqual(again, [(3, False), (3, False), (4, True), (5, True), (3, False)])

    async def test_what_was_never_posted_or_was_removed_is_not_filed(self) -> None:
        log = await self.open()
        await self.append(log, post(1), filed(1), Removed("push:1"), Removed("push:3"))
        recorded = await self.append(log, filed(1), filed(1, "t2", "2"), filed(2), filed(3))
        self.assertEqual(recorded, [(3, False), (3, False), (0, False), (4, False)])
        self.assertEqual(await self.types(log), ["redacted", "item.filed", "item.removed", "item.removed"])

    async def test_a_filing_changes_nothing_for_the_versions_of_its_item(self) -> None:
        log = await self.open()
        await self.append(log, post(1, "5"), filed(1, mark="6"))
        recorded = await self.append(
            log, post(1, "5"), post(1, "6"), filed(1, mark="6"), post(1, "4"), filed(1, mark="7")
        )
        self.assertEqual(recorded, [(1, False), (3, True), (2, False), (3, False), (4, True)])
        self.assertEqual(await self.append(log, Removed("push:1")), new(5))
        types = ["redacted", "item.filed", "redacted", "item.filed", "item.removed"]
        self.assertEqual(await self.types(log), types)

    async def test_what_is_posted_and_filed_in_one_batch_is_both(self) -> None:
        log = await self.open()
        self.assertEqual(
            await self.append(log, filed(1), post(1), filed(1), Removed("push:1"), filed(1, mark="2")),
            [(0, False), (1, True), (2, True), (3, True), (3, False)],
        )

    async def test_a_change_of_the_programme_is_what_the_protocol_says(self) -> None:
        log = await self.open()
        self.assertEqual(await self.append(log, rescheduled()), new(1))
        (change,) = await self.changes(log)
        self.assertEqual((change["type"], change["version"]), ("schedule.changed", "v2"))
        self.assertEqual(
            change["talks"],
            [
                {
                    "id": "t1",
                    "kinds": ["moved", "room"],
                    "title": "Opening",
                    "start": "2026-11-21T17:30:00Z",
                    "end": "2026-11-21T18:00:00Z",
                    "room": None,
                    "before": {
                        "title": "Opening",
                        "start": "2026-11-21T17:00:00Z",
                        "end": "2026-11-21T18:00:00Z",
                        "room": "Hall A",
                    },
                }
            ],
        )
        (found,) = (await log.read("e", 0, 10)).changes
        self.assertEqual((found.id, found.rescheduling(), found.filing()), (None, rescheduled(), None))

    async def test_a_change_of_the_programme_is_recorded_once_per_mark(self) -> None:
        log = await self.open()
        recorded = await self.append(log, rescheduled(), rescheduled(), rescheduled("m2"), rescheduled("m1"))
        self.assertEqual(recorded, [(1, True), (1, False), (2, True), (1, False)])

    def test_a_change_of_the_programme_has_room_for_so_many_talks(self) -> None:
        talk = TalkChange("t", ("added",), "T", "2026-11-21T17:30:00Z", "2026-11-21T18:00:00Z")
        self.assertEqual(len(Rescheduled("m", "v", (talk,) * MOST_TALKS).talks), MOST_TALKS)
        with self.assertRaises(ValueError):  # type: ignore[attr-defined]
            Rescheduled("m", "v", (talk,) * (MOST_TALKS + 1))


class FiledStorageContract(FiledContract):
    """What a log that stores something does with them, too."""

    async def test_a_restart_keeps_what_was_recorded_once(self) -> None:
        log = await self.open()
        await self.append(log, post(1), filed(1), rescheduled())
        changes = await self.changes(log)
        await self.close(log)
        log = await self.open()
        self.assertEqual(await self.changes(log), changes)
        self.assertEqual(await self.append(log, filed(1), rescheduled()), [(2, False), (3, False)])

    async def test_filings_are_restored_with_their_keys(self) -> None:
        log = await self.open()
        await self.append(log, post(1), filed(1), rescheduled(), post(2), filed(2, None, "9"))
        remembered = (await log.read("e", 0, 100)).changes
        await self.close(log)
        await self.lose(log)
        log = await self.open(witnesses=[MemoryWitness("old", remembered)])
        self.assertEqual((await log.read("e", 0, 100)).changes, remembered)
        again: list[Draft] = [filed(1), rescheduled(), filed(2, None, "9"), post(1)]
        self.assertEqual(await self.append(log, *again), [(2, False), (3, False), (5, False), (1, False)])
        self.assertEqual(await self.append(log, filed(1, "t2", "2"), post(1, "2")), new(6, 7))
        await self.append(log, Removed("push:1"))
        types = ["redacted", "item.filed", "schedule.changed", "item.posted", "item.filed", "item.filed"]
        self.assertEqual(await self.types(log), [*types, "redacted", "item.removed"])

    async def test_filings_are_numbered_anew_behind_the_archive(self) -> None:
        log = await self.open()
        await self.append(log, post("a"), filed("a"), rescheduled())
        await self.close(log)
        log = await self.open(witnesses=[MemoryWitness("old", [posted(n) for n in range(1, 3)])])
        types = ["item.posted"] * 3 + ["item.filed", "schedule.changed"]
        self.assertEqual(await self.types(log), types)
        self.assertEqual(await self.append(log, filed("a"), rescheduled()), [(4, False), (5, False)])


class HeldContract(Helpers):
    """Holding back, and what becomes of it."""

    async def test_what_is_held_is_in_nothing_that_is_read_or_told_of(self) -> None:
        log = await self.open()
        heard: list[str] = []
        await self.append(log, post(1))
        log.watch(heard.append)
        self.assertEqual(await self.hold(log, held(2), held(3)), [True, True])
        self.assertEqual((await log.head("e")).seq, 1)
        self.assertEqual([c["item"]["id"] for c in await self.changes(log)], ["push:1"])
        self.assertEqual(await self.append(log, post(4)), new(2))
        self.assertEqual(await self.waiting(log), ["push:2", "push:3"])
        self.assertEqual(heard, ["e"])

    async def test_what_is_held_is_told_as_it_came(self) -> None:
        log = await self.open()
        draft = held("ä", "v 7", "a\u2028secret", SOON, "unknown author")
        await self.hold(log, draft, held(2))
        first, second = await log.held("e", 10)
        self.assertEqual((first.item, first.version), (draft.item, "v 7"))
        self.assertEqual((first.reason, first.until, first.stopped), ("unknown author", SOON, False))
        seconds(first.at)
        self.assertIsNone(second.until)

    async def test_holding_is_idempotent_on_id_and_version(self) -> None:
        log = await self.open()
        self.assertEqual(await self.hold(log, held(1), held(1), held(2)), [True, False, True])
        self.assertEqual(await self.hold(log, held(1, until=SOON), held(2)), [False, False])
        self.assertEqual(await self.waiting(log), ["push:1", "push:2"])
        self.assertEqual(await self.due(log), [], "the first word counts")
        self.assertEqual(await self.hold(log), [])

    async def test_a_newer_version_takes_the_place_of_the_older(self) -> None:
        log = await self.open()
        await self.hold(log, held(1, "9", "old"), held(2))
        self.assertEqual(await self.hold(log, held(1, "10", "new", SOON, "link")), [True])
        first, second = await log.held("e", 10)
        self.assertEqual((first.item.id, first.item.text, first.version), ("push:1", "new", "10"))
        self.assertEqual((first.reason, first.until), ("link", SOON))
        self.assertEqual(second.item.id, "push:2")
        self.assertEqual(await self.hold(log, held(1, "8"), held(1, "9"), held(1, "10")), [False] * 3)
        self.assertEqual(await self.release(log, 1), new(1))
        (change,) = await self.changes(log)
        self.assertEqual((change["type"], change["version"]), ("item.posted", "10"))
        self.assertEqual(change["item"]["text"], "new")

    async def test_versions_without_an_order_are_taken_as_they_come_once(self) -> None:
        log = await self.open()
        self.assertEqual(await self.hold(log, held(1, "a"), held(1, "b")), [True, True])
        self.assertEqual(await self.hold(log, held(1, "a"), held(1, "b"), held(1, "c")), [False, False, True])
        self.assertEqual([one.version for one in await log.held("e", 10)], ["c"])

    async def test_a_version_without_a_number_does_not_lower_the_highest(self) -> None:
        log = await self.open()
        drafts = [held(1, "5"), held(1, "x"), held(1, "4"), held(2, "5"), held(2, "x")]
        self.assertEqual(await self.hold(log, *drafts), [True, True, False, True, True])
        self.assertEqual(await self.append(log, post(1, "4")), new(1))
        self.assertEqual(await self.waiting(log), ["push:1", "push:2"], "it is older than what is held")
        self.assertEqual(await self.release(log, 2), new(2))
        self.assertEqual(await self.append(log, post(2, "4"), post(2, "6")), [(2, False), (3, True)])

    async def test_what_is_recorded_already_is_not_held(self) -> None:
        log = await self.open()
        await self.append(log, post(1, "5"), post(2), Removed("push:2"), Removed("push:3"))
        drafts = [held(1, "5"), held(1, "4"), held(2), held(2, "2"), held(3), held(2, RESTORED + "a")]
        self.assertEqual(await self.hold(log, *drafts), [False] * 6)
        self.assertEqual(await self.waiting(log), [])
        self.assertEqual(await self.hold(log, held(1, "6")), [True])

    async def test_what_is_released_is_recorded_in_the_order_asked_for(self) -> None:
        log = await self.open()
        await self.append(log, post(0))
        await self.hold(log, held(1), held(2), held(3))
        self.assertEqual(await self.release(log, 3, 1), new(2, 3))
        ids = [c["item"]["id"] for c in await self.changes(log)]
        self.assertEqual(ids, ["push:0", "push:3", "push:1"])
        self.assertEqual(await self.waiting(log), ["push:2"])
        self.assertEqual(await self.append(log, post(3), post(1), post(2)), [(2, False), (3, False), (4, True)])

    async def test_what_is_not_held_is_not_released(self) -> None:
        log = await self.open()
        await self.append(log, post(1))
        await self.hold(log, held(2))
        recorded = await self.release(log, 1, 2, 2, 9)
        self.assertEqual(recorded, [(0, False), (2, True), (0, False), (0, False)])
        self.assertEqual(await self.release(log, 2), [(0, False)])
        self.assertEqual(await self.release(log), [])

    async def test_an_edit_of_a_public_item_is_an_edit_when_it_is_released(self) -> None:
        log = await self.open()
        await self.append(log, post(1, "1", "first"))
        await self.hold(log, held(1, "2", "second"))
        self.assertEqual([c["item"]["text"] for c in await self.changes(log)], ["first"])
        self.assertEqual(await self.release(log, 1), new(2))
        self.assertEqual(await self.types(log), ["item.posted", "item.edited"])
        self.assertEqual(await self.append(log, Removed("push:1")), new(3))
        self.assertEqual(await self.types(log), ["redacted", "redacted", "item.removed"])

    async def test_those_who_watch_hear_of_a_release_and_can_read_it(self) -> None:
        log = await self.open()
        await self.hold(log, held(1))
        seen: list[int] = []
        log.watch(
            lambda event: log.read(event, 0, 9).addCallback(lambda found: seen.append(len(found.changes)))
        )
        await self.release(log, 1)
        self.assertEqual((await log.head("e")).seq, 1)
        await eventually(lambda: 1 in seen, "the hint")

    async def test_what_is_posted_after_all_is_not_held_any_more(self) -> None:
        log = await self.open()
        await self.hold(log, held(1), held(2, "5"), held(3, "a"), held(4))
        await self.append(log, post(1), post(2, "6"), post(3, "b"))
        self.assertEqual(await self.waiting(log), ["push:4"])
        self.assertEqual(await self.release(log, 1, 2, 3), [(0, False)] * 3)

    async def test_an_older_version_that_is_posted_leaves_the_newer_one_held(self) -> None:
        log = await self.open()
        await self.hold(log, held(1, "7"))
        self.assertEqual(await self.append(log, post(1, "5")), new(1))
        self.assertEqual(await self.waiting(log), ["push:1"])
        self.assertEqual(await self.append(log, post(1, "5")), [(1, False)])
        self.assertEqual(await self.waiting(log), ["push:1"])
        self.assertEqual(await self.release(log, 1), new(2))
        self.assertEqual(await self.types(log), ["item.posted", "item.edited"])

    async def test_what_is_removed_is_not_held_any_more(self) -> None:
        log = await self.open()
        await self.append(log, post(2, "1"))
        await self.hold(log, held(1, "1", "secret"), held(2, "2", "secret"), held(3, "1", "secret"), held(4))
        await self.stop_held(log, 3)
        self.assertEqual(await self.append(log, *(Removed(f"push:{n}") for n in (1, 2, 3))), new(2, 3, 4))
        self.assertEqual(await self.waiting(log), ["push:4"])
        self.assertEqual(await self.waiting(log, stopped=True), [])
        self.assertEqual(await self.release(log, 1, 2, 3), [(0, False)] * 3)
        self.assertEqual(await self.hold(log, held(1), held(2, "3"), held(3)), [False] * 3)
        self.assertNotIn("secret", json.dumps(await self.changes(log)))

    async def test_filings_and_changes_of_the_programme_release_nothing(self) -> None:
        log = await self.open()
        await self.hold(log, held(1))
        self.assertEqual(await self.append(log, filed(1), rescheduled()), [(0, False), (1, True)])
        self.assertEqual(await self.waiting(log), ["push:1"])

    async def test_what_was_stopped_stays_so_in_the_same_version(self) -> None:
        log = await self.open()
        await self.hold(log, held(1, until=SOON), held(2, until=SOON))
        await self.stop_held(log, 1, 1, 9)
        self.assertEqual(await self.waiting(log), ["push:2"])
        self.assertEqual(await self.waiting(log, stopped=True), ["push:1"])
        self.assertEqual(await self.due(log), ["push:2"])
        self.assertEqual(await self.hold(log, held(1, until=SOON)), [False])
        self.assertEqual(await self.waiting(log, stopped=True), ["push:1"])
        (stopped,) = await log.held("e", 10, stopped=True)
        self.assertTrue(stopped.stopped)

    async def test_what_was_stopped_can_be_released(self) -> None:
        log = await self.open()
        await self.hold(log, held(1))
        await self.stop_held(log, 1)
        self.assertEqual(await self.release(log, 1), new(1))
        self.assertEqual(await self.waiting(log, stopped=True), [])

    async def test_a_newer_version_of_what_was_stopped_waits_for_a_word(self) -> None:
        log = await self.open()
        await self.hold(log, held(1, "1", until=SOON), held(2, "a", until=SOON), held(3))
        await self.stop_held(log, 1, 2)
        drafts = [held(1, "2", until=SOON), held(2, "b", until=SOON), held(2, "a", until=SOON)]
        self.assertEqual(await self.hold(log, *drafts), [True, True, False])
        self.assertEqual(await self.waiting(log), ["push:1", "push:2", "push:3"])
        self.assertEqual(await self.due(log), [], "an edit is no way around a no")
        await self.stop_held(log, 2)
        self.assertEqual(await self.hold(log, held(2, "a"), held(2, "b")), [False, False])
        self.assertEqual(await self.waiting(log, stopped=True), ["push:2"])

    async def test_the_oldest_is_told_of_first_page_by_page(self) -> None:
        log = await self.open()
        for number in range(7):
            await self.hold(log, held(number))
        await self.stop_held(log, 2, 4)
        self.assertEqual(await self.waiting(log, limit=2), ["push:0", "push:1"])
        self.assertEqual(await self.waiting(log, limit=2, after="push:1"), ["push:3", "push:5"])
        self.assertEqual(await self.waiting(log, limit=2, after="push:5"), ["push:6"])
        self.assertEqual(await self.waiting(log, after="push:6"), [])
        self.assertEqual(await self.waiting(log, stopped=True, after="push:2"), ["push:4"])
        gone = await self.waiting(log, limit=2, after="push:4")
        self.assertEqual(gone, ["push:0", "push:1"], "from the beginning when it is not there any more")

    async def test_what_is_due_is_told_longest_due_first(self) -> None:
        log = await self.open()
        times = {1: LATER, 2: SOON, 3: None, 4: "2026-11-21T18:01:05+01:00", 5: SOON}
        await self.hold(log, *(held(number, until=until) for number, until in times.items()))
        self.assertEqual(await self.due(log, timestamp(NOW)), [])
        self.assertEqual(await self.due(log, "2026-11-21T17:01:05Z"), ["push:4"])
        self.assertEqual((await self.due(log, SOON))[0], "push:4")
        self.assertEqual(sorted(await self.due(log, SOON)), ["push:2", "push:4", "push:5"])
        self.assertEqual((await self.due(log))[-1], "push:1")
        self.assertEqual(len(await self.due(log, limit=2)), 2)
        await self.release(log, 4, 2, 5)
        self.assertEqual(await self.due(log), ["push:1"])
        await self.hold(log, held(1, "2", until=None))
        self.assertEqual(await self.due(log), [])

    async def test_a_time_that_is_none_is_refused(self) -> None:
        log = await self.open()
        for until in ("soon", "", "2026-11-21", "2026-11-21T17:00:00", "2026-13-41T17:00:00Z"):
            with self.assertRaises(ValueError):
                await self.hold(log, held(1), held(2, until=until))
        self.assertEqual(await self.waiting(log), [])

    async def test_events_do_not_hold_each_others_items(self) -> None:
        log = await self.open(["e", "f"])
        await log.hold("e", [held(1)])
        await log.hold("f", [held(1), held(2)])
        await log.append("f", None, [Removed("push:1")])
        self.assertEqual(await self.waiting(log), ["push:1"])
        self.assertEqual([one.item.id for one in await log.held("f", 10)], ["push:2"])
        self.assertEqual(await log.release("e", ["push:2"]), [(0, False)])

    async def test_many_who_release_the_same_get_one_number(self) -> None:
        log = await self.open()
        await self.hold(log, held(1))
        results = await gatherResults([log.release("e", ["push:1"]) for _ in range(10)])
        self.assertEqual(sorted(result[0] for result in results), [(0, False)] * 9 + [(1, True)])
        self.assertEqual((await log.head("e")).seq, 1)


class HeldStorageContract(HeldContract):
    """What a log that stores something does with it, too."""

    async def test_random_histories_match_the_log_in_memory(self) -> None:
        self.window = 10_000
        for seed in range(6):
            event, rng = f"e-{seed}", Random(seed)
            model, log = MemoryLog([event]), await self.open([event])
            for step in range(120):
                where = f"seed {seed}, step {step}"
                chance = rng.random()
                found = await random_step(log, event, Random(chance))
                self.assertEqual(found, await random_step(model, event, Random(chance)), where)
                if rng.random() < 0.05:
                    await self.close(log)
                    log = await self.open([event])
                for stopped in (False, True):
                    told = [
                        [one._replace(at="") for one in await some.held(event, 100, stopped=stopped)]
                        for some in (log, model)
                    ]
                    self.assertEqual(*told, where)
            changes = [(await some.read(event, 0, 10_000)).changes for some in (log, model)]
            ours, theirs = ([(c.seq, c.type, c.id, c.version) for c in some] for some in changes)
            self.assertEqual(ours, theirs, f"seed {seed}")

    async def test_a_restart_keeps_what_is_held(self) -> None:
        log = await self.open()
        await self.append(log, post(1))
        await self.hold(log, held(2, until=SOON), held(1, "2", "edited"), held(3))
        await self.stop_held(log, 3)
        before = [await log.held("e", 10), await log.held("e", 10, stopped=True)]
        data = log.check().data
        await self.close(log)
        log = await self.open()
        self.assertEqual([await log.held("e", 10), await log.held("e", 10, stopped=True)], before)
        self.assertEqual(log.check().data["bytes"], data["bytes"])
        self.assertEqual(log.check().data["held"], {"e": 3})
        self.assertEqual(await self.hold(log, held(2), held(3)), [False, False])
        self.assertEqual(await self.due(log), ["push:2"])
        self.assertEqual(await self.release(log, 1, 2), new(2, 3))
        await self.close(log)
        log = await self.open()
        self.assertEqual(await self.types(log), ["item.posted", "item.edited", "item.posted"])
        self.assertEqual(await self.waiting(log), [])
        self.assertEqual(await self.release(log, 3), new(4))

    async def test_since_when_it_waits_is_the_time_of_the_first_version(self) -> None:
        log = await self.open()
        await self.hold(log, held(1, "1"))
        self.now += 60
        await self.hold(log, held(1, "2"), held(2))
        self.assertEqual([one.at for one in await log.held("e", 10)], [AT, timestamp(NOW + 60)])
        self.now += 60
        await self.release(log, 1)
        self.assertEqual((await self.changes(log))[0]["at"], timestamp(NOW + 120))

    async def test_a_log_that_holds_nothing_any_more_is_as_before(self) -> None:
        log = await self.open()
        await self.append(log, post(0))
        size = log.check().data["bytes"]["e"]
        await self.hold(log, held(1), held(2), held(2, "2"))
        self.assertGreater(log.check().data["bytes"]["e"], size)
        await self.append(log, Removed("push:1"))
        await self.release(log, 2)
        await self.close(log)
        log = await self.open()
        bodies = sum(len(change.stored) for change in (await log.read("e", 0, 10)).changes)
        self.assertEqual(log.check().data["bytes"]["e"], bodies)
        self.assertEqual(log.check().data["held"], {"e": 0})

    async def test_many_are_held_and_told_of_whole(self) -> None:
        log = await self.open()
        drafts = [held(number, text=f"{number} " + "x" * 20_000) for number in range(450)]
        self.assertEqual(await self.hold(log, *drafts[:300]), [True] * 300)
        self.assertEqual(await self.hold(log, *drafts[200:]), [False] * 100 + [True] * 150)
        found = await log.held("e", 1000)
        self.assertEqual([one.item for one in found], [draft.item for draft in drafts])
        recorded = await log.release("e", [draft.item.id for draft in drafts])
        self.assertEqual(recorded, new(*range(1, 451)))
        self.assertEqual(await self.waiting(log), [])

    async def test_what_is_held_counts_towards_the_limit(self) -> None:
        self.max_log_bytes = 5000
        log = await self.open()
        await self.hold(log, held(1, text="x" * 800))
        await self.append(log, post(2, text="x" * 800))
        before = log.check().data["bytes"]["e"]
        for refused in (
            self.hold(log, held(3, text="x" * 800)),
            self.hold(log, held(1, "2", text="x" * 1700)),
            self.append(log, post(3, text="x" * 800)),
        ):
            with self.assertRaises(LogFull):
                await refused
        self.assertEqual((before, log.check().state), (log.check().data["bytes"]["e"], "failed"))
        self.assertEqual(await self.waiting(log), ["push:1"])
        self.assertEqual(await self.hold(log, held(1, text="x" * 800)), [False])

    async def test_what_is_held_can_be_released_when_there_is_no_room(self) -> None:
        log = await self.open()
        await self.append(log, post(9))
        await self.hold(log, *(held(number, text="x" * 800) for number in range(2)))
        await self.hold(log, held(0, "2", text="y" * 800))
        self.max_log_bytes = log.check().data["bytes"]["e"]
        await self.close(log)
        log = await self.open()
        self.assertIn("held back", log.check().detail)
        self.assertEqual(await self.append(log, post(1, "1", text="x" * 800)), new(2))
        self.assertEqual(await self.release(log, 0), new(3))
        self.assertEqual(log.check().state, "ok")

    async def test_only_the_holder_of_the_lease_holds_and_releases_with_one(self) -> None:
        log = await self.open()
        for refused in (self.hold(log, held(1), lease="mine"), self.release(log, 1, lease="mine")):
            with self.assertRaises(LeaseLost):
                await refused
        await log.lease.take("mine", 60, None, False)
        self.assertEqual(await self.hold(log, held(1), held(2), lease="mine"), [True, True])
        self.assertEqual(await self.release(log, 1, lease="mine"), new(1))
        await log.lease.release("mine")
        await log.lease.take("theirs", 60, None, False)
        for refused in (self.hold(log, held(3), lease="mine"), self.release(log, 2, lease="mine")):
            with self.assertRaises(LeaseLost):
                await refused
        self.assertEqual(await self.waiting(log), ["push:2"])
        self.assertEqual(await self.release(log, 2), new(2))

    async def test_a_log_that_is_not_open_refuses(self) -> None:
        log = await self.open()
        await self.close(log)
        for refused in (
            self.hold(log, held(1)),
            self.release(log, 1),
            self.stop_held(log, 1),
            self.waiting(log),
            self.due(log),
        ):
            with self.assertRaises(LogUnavailable):
                await refused

    async def test_a_new_epoch_keeps_what_is_held(self) -> None:
        log = await self.open()
        await self.append(log, *(post(n) for n in range(1, 4)), position=Position("x", "1"))
        await self.hold(log, held("a"), held(2, "2"), held("b"))
        await self.stop_held(log, "b")
        epoch = (await log.head("e")).epoch
        await self.close(log)
        log = await self.open(witnesses=[MemoryWitness(epoch, [posted(n) for n in range(1, 7)])])
        self.assertEqual((await log.lineage("e")).ancestors, (Ancestor(epoch, 6),))
        self.assertEqual(await self.waiting(log), ["push:a", "push:2"])
        self.assertEqual(await self.waiting(log, stopped=True), ["push:b"])
        self.assertEqual(await self.release(log, "a", 2), new(7, 8))

    async def test_a_log_that_is_numbered_anew_keeps_what_is_held(self) -> None:
        log = await self.open()
        await self.append(log, post("a"), post("b"))
        await self.hold(log, held("c"), held("a", "2"), held("d"))
        await self.stop_held(log, "d")
        await self.close(log)
        log = await self.open(witnesses=[MemoryWitness("old", [posted(n) for n in range(1, 4)])])
        self.assertEqual((await log.head("e")).seq, 5)
        self.assertEqual(await self.waiting(log), ["push:c", "push:a"])
        self.assertEqual(await self.release(log, "a", "c", "d"), new(6, 7, 8))
        types = ["item.posted"] * 5 + ["item.edited"] + ["item.posted"] * 2
        self.assertEqual(await self.types(log), types)

    async def test_what_witnesses_know_to_be_public_or_removed_is_not_held_any_more(self) -> None:
        log = await self.open()
        await self.append(log, post(1))
        await self.hold(log, held(2), held(3), held(4, "2"), held(5))
        await self.stop_held(log, 3)
        epoch = (await log.head("e")).epoch
        size = log.check().data["bytes"]["e"]
        await self.close(log)
        removal = Change.decode(4, compose(prepare(Removed("push:3")), "item.removed", AT))
        seen = [posted(1), posted(2), posted(3, 3), removal, posted(5, 4)]
        seen[2] = seen[2].redacted()
        log = await self.open(witnesses=[MemoryWitness(epoch, seen)])
        self.assertEqual(await self.waiting(log), ["push:4", "push:5"])
        self.assertEqual(await self.waiting(log, stopped=True), [])
        self.assertEqual(log.check().data["held"], {"e": 2})
        self.assertLess(log.check().data["bytes"]["e"], size + sum(len(c.stored) for c in seen[1:]))
        self.assertEqual(await self.release(log, 2, 3, 4), [(0, False), (0, False), (6, True)])
        self.assertEqual((await self.types(log))[-1], "item.edited")

    async def test_what_is_held_does_not_keep_a_trim_from_making_room(self) -> None:
        self.window = 1
        log = await self.open()
        await self.append(log, *(post(n) for n in range(5)))
        await self.hold(log, held(9))
        await log.trim("e", 5)
        (kept,) = (await log.read("e", 0, 10)).changes
        self.assertEqual(kept.type, POSTED)
        self.assertGreater(log.check().data["bytes"]["e"], len(kept.stored))
        self.assertEqual(await self.release(log, 9), new(6))


class HeldKillContract(Helpers):
    """What a process that is killed at any moment leaves of what it held and released."""

    timeout = 400

    def where(self) -> str:
        """The log, for :mod:`tests.livelog.holder`."""
        raise NotImplementedError

    async def test_what_is_held_or_released_outlives_kills_once(self) -> None:
        told = self.where_to_note()
        for round_ in range(4):
            with told.open("ab") as output:
                child = subprocess.Popen(
                    [sys.executable, "-m", "tests.livelog.holder", self.where(), str(round_ * 10**6)],
                    stdout=output,
                    cwd=Path(__file__).parents[2],
                )
            try:
                enough = 200 * (round_ + 1)
                await eventually(lambda n=enough: len(self.told(told)) > n, "200 answers")
            finally:
                child.kill()
                child.wait()
        self.window = 10**6
        log = await self.open()
        public = {c.id: c.seq for c in (await log.read("e", 0, 10**6)).changes}
        self.assertEqual(len(public), (await log.head("e")).seq, "an item twice, or a hole")
        waiting = [one.item.id for one in await log.held("e", 10**6)]
        self.assertEqual(len(waiting), len(set(waiting)))
        self.assertEqual(public.keys() & set(waiting), set(), "both public and held")
        for what, number, *seq in self.told(told):
            item_id = f"push:{number}"
            if what == "released":
                self.assertEqual(public.get(item_id), int(seq[0]))
            else:
                self.assertTrue(item_id in public or item_id in waiting, f"{item_id} was lost")
        self.assertEqual({item_id for item_id in public if int(item_id[5:]) % 2 == 0}, set(), "never released")
        count = log.check().data["held"]["e"]
        self.assertEqual(count, len(waiting))

    def where_to_note(self) -> Path:
        return Path(self.mktemp())  # type: ignore[attr-defined]

    @staticmethod
    def told(path: Path) -> list[list[str]]:
        whole = path.read_text().rpartition("\n")[0]
        return [line.split() for line in whole.splitlines()]
