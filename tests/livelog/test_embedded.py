"""The live log in one SQLite file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from afeed.core.draft import Removed
from afeed.core.errors import LogDefect, LogUnavailable, LogUnusable
from afeed.interfaces import Position
from afeed.livelog import chores, embedded, writer
from afeed.livelog.database import Database
from afeed.livelog.embedded import FILE, EmbeddedLog
from afeed.livelog.entries import entry
from tests.livelog.contract import LiveLogContract, LiveLogFixture, eventually, new
from tests.livelog.held_contract import FiledStorageContract, HeldKillContract, HeldStorageContract, held
from tests.livelog.samples import AT, HesitantWitness, MemoryWitness, post, posted


class EmbeddedFixture(LiveLogFixture):
    """Every log of one test works in the same directory."""

    def setUp(self) -> None:
        super().setUp()
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.file = self.directory / FILE

    def make(self, window: int, max_log_bytes: int, rng: Random, now: Callable[[], float]) -> EmbeddedLog:
        return EmbeddedLog(self.directory, reactor, now, rng, window=window, max_log_bytes=max_log_bytes)

    async def lose(self, log: EmbeddedLog) -> None:
        self.file.unlink()


class EmbeddedContractTests(EmbeddedFixture, LiveLogContract, TestCase):
    """The contract."""


class EmbeddedHeldTests(EmbeddedFixture, HeldStorageContract, TestCase):
    """What is held."""


class EmbeddedHeldKillTests(EmbeddedFixture, HeldKillContract, TestCase):
    """Kills."""

    def where(self) -> str:
        return str(self.directory.absolute())


class EmbeddedFiledTests(EmbeddedFixture, FiledStorageContract, TestCase):
    """Filings, and changes of the programme."""


class EmbeddedTests(EmbeddedFixture, TestCase):
    """What is the embedded log's own."""

    async def test_after_stop_there_is_one_file_with_everything_in_it(self) -> None:
        log = await self.open()
        waiting = [log.append("e", None, [post(n)]) for n in range(50)]
        await self.close(log)
        self.assertEqual([(await d)[0].seq for d in waiting], list(range(1, 51)))
        self.assertEqual([path.name for path in self.directory.iterdir()], [FILE])
        with sqlite3.connect(self.file) as connection:
            self.assertEqual(connection.execute("SELECT count(*) FROM entry").fetchone(), (50,))
        connection.close()

    async def test_a_log_whose_start_failed_half_way_can_be_started_again(self) -> None:
        log = self.make(1000, 10**9, Random(1), time.time)
        settle, log._settle = log._settle, lambda *args: 1 / 0  # type: ignore[method-assign]
        with self.assertRaises(ZeroDivisionError):
            await log.start(["e"], [])
        log._settle = settle  # type: ignore[method-assign]
        await log.start(["e"], [])
        self.addCleanup(log.stop)
        self.assertEqual((await log.append("e", None, [post(1)]))[0].seq, 1)

    async def test_nothing_is_accepted_into_a_file_that_was_removed(self) -> None:
        log = await self.open()
        self.assertEqual((await log.append("e", None, [post(1)]))[0].seq, 1)
        for path in self.directory.iterdir():
            path.unlink()
        await eventually(lambda: log.check().state == "failed", "health to turn red")
        self.assertIn("removed", log.check().detail)
        with self.assertRaises(LogUnavailable) as refusal:
            await log.append("e", None, [post(2)])
        self.assertIn("removed or replaced", str(refusal.exception))

    async def test_a_stopped_log_refuses(self) -> None:
        log = await self.open()
        await self.close(log)
        with self.assertRaises(LogUnavailable):
            await self.append(log, post(1))

    async def test_appends_that_come_together_share_a_commit(self) -> None:
        log = await self.open()
        commits: list[str] = []
        await log._writer.read(lambda db: db.connection.set_trace_callback(commits.append))
        await self.gather(log, 200)
        self.assertLess(commits.count("COMMIT"), 20)

    async def test_a_post_costs_no_statement_more_while_nothing_is_held(self) -> None:
        log = await self.open()
        await self.append(log, post(0))
        plain = await self.statements(log, 1)
        await log.hold("e", [held("a")])
        self.assertGreater(len(await self.statements(log, 2)), len(plain))
        await log.release("e", ["push:a"])
        again = await self.statements(log, 3)
        self.assertEqual(len(again), len(plain))
        self.assertFalse([statement for statement in again if "held" in statement])

    async def statements(self, log: Any, number: int) -> list[str]:
        """What the append of a post has SQLite do."""
        found: list[str] = []
        await log._writer.read(lambda db: db.connection.set_trace_callback(found.append))
        await self.append(log, post(number))
        await log._writer.read(lambda db: db.connection.set_trace_callback(None))
        return found

    async def test_held_content_that_is_removed_is_in_no_file(self) -> None:
        log = await self.open()
        await log.hold("e", [held(1, "1", "a secret"), held(1, "2", "a secret"), held(2, "1", "a secret")])
        await self.append(log, Removed("push:1"), Removed("push:2"))
        await eventually(lambda: not self.found("a secret"), "the text to be gone")
        self.assertEqual((await log.held("e", 9)), [])

    async def test_held_content_that_was_replaced_is_in_no_file(self) -> None:
        log = await self.open()
        await log.hold("e", [held(1, "1", "a secret")])
        self.assertTrue(self.found("a secret"))
        await log.hold("e", [held(1, "2", "nothing")])
        await eventually(lambda: not self.found("a secret"), "the text to be gone")

    def found(self, text: str) -> list[str]:
        """The files in which ``text`` stands."""
        return [path.name for path in self.directory.iterdir() if text.encode() in path.read_bytes()]

    async def test_a_write_that_fails_leaves_what_is_held_as_it_was(self) -> None:
        log = await self.open()
        await log.hold("e", [held(1)])
        before = log.check().data["bytes"]

        def broken(database: Database, *arguments: Any) -> Any:
            database.hold("e", [entry(held(2))], AT)
            database.release("e", ["push:1"], AT)
            raise ZeroDivisionError

        alone = log._change("e", None, broken)
        with self.assertRaises(LogDefect):
            await alone
        together = [log._change("e", None, broken), log.hold("e", [held(3)])]
        with self.assertRaises(LogDefect):
            await together[0]
        self.assertEqual(await together[1], [True])
        self.flushLoggedErrors(ZeroDivisionError)
        self.assertEqual([one.item.id for one in await log.held("e", 9)], ["push:1", "push:3"])
        self.assertEqual(log.check().data["held"], {"e": 2})
        await log.release("e", ["push:3"])
        await self.append(log, Removed("push:3"))
        self.assertEqual((await log.held("e", 9))[0].item.id, "push:1")
        self.assertGreater(log.check().data["bytes"]["e"], before["e"])

    async def gather(self, log: Any, count: int) -> None:
        waiting = [log.append("e", None, [post(n)]) for n in range(count)]
        for deferred in waiting:
            await deferred

    async def test_a_watcher_hears_before_the_append_fires(self) -> None:
        log = await self.open()
        order: list[str] = []
        log.watch(order.append)
        waiting = log.append("e", None, [post(1)])
        waiting.addCallback(lambda recorded: order.append("fired"))
        await waiting
        self.assertEqual(order, ["e", "fired"])

    async def test_what_was_accepted_survives_kill_at_any_moment(self) -> None:
        accepted: dict[str, int] = {}
        for round_ in range(3):
            with self.output(round_).open("wb") as output:
                child = subprocess.Popen(
                    [
                        sys.executable,
                        "-m",
                        "tests.livelog.appender",
                        str(self.directory.absolute()),
                        str(round_ * 10**6),
                    ],
                    stdout=output,
                    cwd=Path(__file__).parents[2],
                )
            try:
                await eventually(lambda r=round_: len(self.lines(r)) > 200, "200 accepted items")
            finally:
                child.kill()
                child.wait()
            accepted |= {number: int(seq) for number, seq in self.lines(round_)}
        self.window = 10**6
        log = await self.open()
        head = await log.head("e")
        found = {c.id: c.seq for c in (await log.read("e", 0, 10**6)).changes}
        self.assertEqual(len(found), head.seq, "an item twice, or a hole")
        self.assertEqual(
            {f"push:{number}": seq for number, seq in accepted.items()}.items() - found.items(), set()
        )
        stored = int(await log.position("e", "push") or 0)
        self.assertIn(f"push:{stored}", found)

    test_what_was_accepted_survives_kill_at_any_moment.timeout = 400  # type: ignore[attr-defined]

    def output(self, round_: int) -> Path:
        return self.directory / f"accepted-{round_}"

    def lines(self, round_: int) -> list[list[str]]:
        whole = self.output(round_).read_text().rpartition("\n")[0]
        return [line.split() for line in whole.splitlines()]

    # While it is being filled

    async def filling(self) -> tuple[EmbeddedLog, HesitantWitness]:
        """A log whose archive was away at the start and hands over what it has only when told to."""
        archive = HesitantWitness(away=True)
        log = await self.open(["e", "f"], [archive])
        self.assertEqual(log.check().state, "ok")
        archive.away = False
        await eventually(lambda: archive.asked, "the log to be filled")
        return log, archive

    async def test_health_says_that_a_log_is_being_filled(self) -> None:
        log, archive = await self.filling()
        check = log.check()
        self.assertEqual(check.state, "failed")
        self.assertIn("The live log of e is being filled", check.detail)
        archive.give()
        await eventually(lambda: log.check().state == "ok", "health to turn green")

    async def test_an_append_waits_for_a_log_that_is_filled_and_others_go_on(self) -> None:
        log, archive = await self.filling()
        waiting = log.append("e", None, [post(3)])
        self.assertEqual(await log.append("f", None, [post(1)]), new(1))
        self.assertNoResult(waiting)
        archive.give()
        self.assertEqual(await waiting, new(3))

    async def test_what_is_held_and_released_waits_for_a_log_that_is_filled(self) -> None:
        log, archive = await self.filling()
        holding = log.hold("e", [held("a"), held(2)])
        releasing = log.release("e", ["push:a", "push:2"])
        stopping = log.stop_held("e", ["push:a"])
        self.assertEqual(await log.hold("f", [held(1)]), [True])
        for waiting in (holding, releasing, stopping):
            self.assertNoResult(waiting)
        archive.give()
        # What the archive brought is public already.
        self.assertEqual(await holding, [True, False])
        self.assertEqual(await releasing, [(3, True), (0, False)])
        await stopping

    async def test_an_append_waits_for_a_log_that_is_filled_no_longer_than_for_a_disk_that_hangs(self) -> None:
        log, archive = await self.filling()
        self.patch(embedded, "PATIENCE_SECONDS", 0.05)
        late = log.append("e", None, [post(3)])
        with self.assertRaises(LogUnavailable) as refusal:
            await late
        self.assertIn("being filled", str(refusal.exception))
        archive.give()
        await eventually(lambda: log.check().state == "ok", "health to turn green")
        self.assertEqual((await log.head("e")).seq, 2, "what was refused was not recorded")

    # Removed text

    def holding(self, canary: str, directory: Path) -> list[str]:
        """The files in ``directory`` that hold ``canary``."""
        return [path.name for path in directory.iterdir() if canary.encode() in path.read_bytes()]

    async def with_canaries(self, log: Any) -> None:
        for n in range(0, 120, 20):
            await self.append(log, *(post(n + k, text=f"canary{n + k:04} " * (n + k)) for k in range(20)))
        await self.append(
            log, post("long", text="canary-long" + "x" * 50_000), post("edited", text="canary-old")
        )
        await self.append(log, post("edited", "2", text="canary-new"))

    async def test_removed_text_is_in_no_file_soon(self) -> None:
        self.window = 1000
        log = await self.open()
        await self.with_canaries(log)
        self.assertTrue(self.holding("canary-long", self.directory))
        await self.append(log, *(Removed(f"push:{n}") for n in (*range(0, 120, 7), "long", "edited")))
        for canary in ("canary-long", "canary-old", "canary-new", *(f"canary{n:04}" for n in range(0, 120, 7))):
            await eventually(lambda c=canary: not self.holding(c, self.directory), f"{canary} to be in no file")
        self.assertTrue(self.holding("canary0001", self.directory))
        self.assertEqual(log.check().state, "ok")

    async def test_removed_text_is_in_no_file_after_a_kill_and_a_start(self) -> None:
        self.window = 1000
        log = await self.open()
        await self.with_canaries(log)
        await self.append(log, Removed("push:long"))
        killed = Path(self.mktemp())
        killed.mkdir()
        for path in self.directory.iterdir():
            (killed / path.name).write_bytes(path.read_bytes())
        await self.close(log)
        self.assertTrue(self.holding("canary-long", killed))
        self.directory, self.file = killed, killed / FILE
        await self.open()
        await eventually(lambda: not self.holding("canary-long", killed), "the canary to be in no file")

    async def test_removed_text_goes_as_soon_as_nobody_else_reads_the_file(self) -> None:
        log = await self.open()
        await self.append(log, post("long", text="canary-long" + "x" * 50_000))
        reader = sqlite3.connect(self.file)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM entry").fetchone()
        await self.append(log, Removed("push:long"))
        self.assertFalse(await log._writer.read(Database.tidy))
        self.assertEqual(log.check().state, "ok")
        self.assertTrue(self.holding("canary-long", self.directory))
        reader.close()
        await eventually(lambda: not self.holding("canary-long", self.directory), "the canary to be gone")

    async def test_many_removals_share_a_tidying_up(self) -> None:
        log = await self.open()
        statements: list[str] = []
        await log._writer.read(lambda db: db.connection.set_trace_callback(statements.append))
        await gatherResults([log.append("e", None, [post(n), Removed(f"push:{n}")]) for n in range(50)])
        await eventually(lambda: any("checkpoint" in s for s in statements), "the tidying up")
        self.assertLessEqual(sum("checkpoint" in s for s in statements), 2)

    # Faults of the disk

    async def fill_disk(self, log: Any, pages: int) -> None:
        """Make SQLite say that the disk is full once the file has ``pages`` pages more; 0 ends it."""

        def limit(db: Any) -> None:
            (size,) = db.connection.execute("PRAGMA page_count").fetchone()
            db.connection.execute(f"PRAGMA max_page_count={size + pages if pages else 2**30}")

        await log._writer.read(limit)

    async def test_a_full_disk_refuses_the_batch_and_recovers_by_itself(self) -> None:
        log = await self.open()
        await self.append(log, post(1))
        await self.fill_disk(log, 3)
        with self.assertRaises(LogUnavailable):
            await self.append(
                log, *(post(n, text="x" * 4000) for n in range(2, 30)), position=Position("x", "1")
            )
        self.assertEqual(log.check().state, "failed")
        self.assertIn("full", log.check().detail)
        self.assertEqual((await log.head("e")).seq, 1)
        self.assertIsNone(await log.position("e", "x"))
        self.assertEqual(log.check().state, "failed")
        await self.fill_disk(log, 0)
        self.assertEqual(await self.append(log, post(1), post(2)), [(1, False), (2, True)])
        self.assertEqual(log.check().state, "ok")

    async def test_health_notices_the_end_of_trouble_without_an_append(self) -> None:
        log = await self.open()
        await log._writer.read(lambda db: db.connection.execute("PRAGMA query_only=ON"))
        with self.assertRaises(LogUnavailable):
            await self.append(log, post(1))
        self.assertEqual(log.check().state, "failed")
        await log._writer.read(lambda db: db.connection.execute("PRAGMA query_only=OFF"))
        await eventually(lambda: log.check().state == "ok", "health to turn green")
        self.assertEqual(await self.append(log, post(1)), new(1))

    async def test_a_defect_in_one_write_is_undone_alone(self) -> None:
        log = await self.open()

        def broken(db: Any) -> None:
            db.append("e", None, [], "", Position("x", "1"))
            raise ZeroDivisionError

        first, bad, last = (
            log.append("e", None, [post(1)]),
            log._writer.write(broken),
            log.append("e", None, [post(2)]),
        )
        self.assertEqual(await first, new(1))
        with self.assertRaises(LogDefect):
            await bad
        self.assertEqual(await last, new(2))
        self.assertIsNone(await log.position("e", "x"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_health_is_told_without_a_look_at_the_disk(self) -> None:
        log = await self.open()
        await self.append(log, post(1))
        hanging = AssertionError("the reactor would wait for a disk that hangs")
        with mock.patch.object(Path, "exists", side_effect=hanging), mock.patch("os.stat", side_effect=hanging):
            self.assertEqual(log.check().state, "ok")

    async def hang(self, log: EmbeddedLog) -> tuple[threading.Event, Deferred[Any]]:
        """Have the disk hang until the event is set, and nobody wait for it longer than a moment until then;
        the other is what hangs."""
        await eventually(lambda: not log._writer.waiting, "the log to be idle")
        impatience = self.patch(writer, "PATIENCE_SECONDS", 0.05)
        if log._writer._watch is not None:  # it would look when the patience of before is at its end
            log._writer._watch.cancel()
            log._writer._watch = None
        hanging = threading.Event()

        def hang(database: Database) -> None:
            hanging.wait(60)
            impatience.restore()

        return hanging, log._writer.read(hang)

    async def test_a_disk_that_hangs_is_looked_at_once_and_no_more(self) -> None:
        self.patch(chores, "LOOK_SECONDS", 0.01)
        log = await self.open()
        hanging, stuck = await self.hang(log)
        with self.assertRaises(LogUnavailable):
            await stuck
        await deferLater(reactor, 0.3)
        self.assertLessEqual(log._writer.waiting, 2)
        hanging.set()
        await eventually(lambda: log.check().state == "ok", "health to turn green")

    async def test_a_disk_that_hangs_is_noticed_and_waited_for_no_longer_than_that(self) -> None:
        log = await self.open()
        hanging, stuck = await self.hang(log)
        with self.assertRaises(LogUnavailable):
            await self.append(log, post(1))
        with self.assertRaises(LogUnavailable):
            await stuck
        self.assertEqual(log.check().state, "failed")
        self.assertIn("does not answer", log.check().detail)
        hanging.set()
        await eventually(lambda: log.check().state == "ok", "health to turn green")
        self.assertEqual(await self.append(log, post(1), post(2)), [(1, False), (2, True)])

    # Files that cannot be used

    async def refuse(self, words: str) -> None:
        before = self.file.read_bytes()
        with self.assertRaises(LogUnusable) as caught:
            await self.open()
        self.assertIn(words, str(caught.exception))
        self.assertIn(str(self.file), str(caught.exception))
        self.assertEqual(self.file.read_bytes(), before)

    async def filled(self) -> None:
        log = await self.open()
        await self.append(log, *(post(n, text="x" * 500) for n in range(200)))
        await self.close(log)

    async def test_a_file_that_is_no_database_is_refused(self) -> None:
        self.file.write_bytes(b"Dear diary, " * 100)
        await self.refuse("not a live log")

    async def test_an_empty_file_is_refused(self) -> None:
        self.file.write_bytes(b"")
        await self.refuse("not a live log")

    async def test_a_file_of_another_program_is_refused(self) -> None:
        connection = sqlite3.connect(self.file)
        connection.execute("CREATE TABLE event (slug)")
        connection.close()
        await self.refuse("another program")

    async def test_a_file_of_a_newer_version_is_refused(self) -> None:
        await self.filled()
        connection = sqlite3.connect(self.file)
        connection.execute("PRAGMA user_version=999")
        connection.close()
        await self.refuse("newer afeed")

    async def test_a_truncated_file_is_refused(self) -> None:
        await self.filled()
        data = self.file.read_bytes()
        self.file.write_bytes(data[: len(data) // 2])
        await self.refuse("damaged")

    async def test_a_damaged_file_is_refused(self) -> None:
        await self.filled()
        data = bytearray(self.file.read_bytes())
        middle = len(data) // 2 // 4096 * 4096
        data[middle : middle + 4096] = b"\x55" * 4096
        self.file.write_bytes(data)
        await self.refuse("damaged")

    async def test_what_is_left_beside_a_deleted_file_does_not_come_back(self) -> None:
        log = await self.open()
        await self.append(log, post(1))
        wal = self.file.with_name(FILE + "-wal").read_bytes()
        await self.close(log)
        self.file.unlink()
        self.file.with_name(FILE + "-wal").write_bytes(wal)
        log = await self.open(witnesses=[MemoryWitness("old", [posted(1, "other")])])
        self.assertEqual([c["item"]["id"] for c in await self.changes(log)], ["push:other"])

    async def test_an_interrupted_recovery_leaves_nothing_behind(self) -> None:
        log = await self.open()
        await log._writer.write(lambda db: db.restore(db.create(None, "x", ()), [posted(1)], 0))
        await self.close(log)
        log = await self.open()
        self.assertEqual(await log._writer.read(lambda db: len(db._events)), 1)
        rows = await log._writer.read(lambda db: db.connection.execute("SELECT count(*) FROM entry").fetchone())
        self.assertEqual(rows, (0,))
