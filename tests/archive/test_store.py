"""One suite for SQLite and PostgreSQL: what the archive keeps, and what it refuses."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import msgspec
from sqlalchemy import text
from sqlalchemy.dialects import sqlite
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from zope.interface.verify import verifyObject

from afeed.archive import queries
from afeed.archive.backends import SQLITE
from afeed.archive.engine import Transaction
from afeed.core.change import POSTED, REMOVED, Change, compose, timestamp
from afeed.core.cursor import Ancestor
from afeed.core.draft import RESTORED, Posted, Removed, SourceGap, prepare
from afeed.core.errors import ArchiveConflict, ArchiveUnavailable
from afeed.core.present import is_late
from afeed.interfaces import Head, IArchive, IWitness, Lineage
from tests.archive.support import EVENT, LINEAGE, ArchiveTestCase, PostgreSQLDatabase, SQLiteDatabase, logged
from tests.fakes import a_post, an_item

CANARY = "KANARIENVOGEL"
TABLES = ("changes", "items", "positions", "epochs", "holes", "source_gaps")


class StoreSuite:
    """Mixed into a test case per database below."""

    async def snapshot(self) -> list[object]:
        return [self.database.query(f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES]

    async def test_it_keeps_the_interfaces(self) -> None:
        archive = await self.open()
        verifyObject(IArchive, archive)
        verifyObject(IWitness, archive)

    async def test_an_empty_archive_says_so(self) -> None:
        archive = await self.open()
        self.assertIsNone(await archive.position(EVENT))
        self.assertEqual(await archive.extent(EVENT), (1, 0))
        self.assertEqual(await archive.read(EVENT, 0, 10), [])
        self.assertEqual(await archive.items(EVENT, 10), [])
        self.assertIsNone(await archive.testimony(EVENT))

    async def test_whole_changes_come_back_byte_for_byte(self) -> None:
        archive = await self.open()
        gap = SourceGap(source="x", from_="a", to=None, state="open", fetched=0, reason="silence")
        changes = await self.fill(archive, [a_post(1), gap, a_post(1, "again", "2"), a_post(2)], batch=3)
        self.assertEqual(await archive.read(EVENT, 0, 10), changes)
        self.assertEqual(await archive.read(EVENT, 1, 2), changes[1:3])
        self.assertEqual(await archive.position(EVENT), Head("e1", 4))
        self.assertEqual(await archive.extent(EVENT), (1, 4))

    async def test_events_are_apart(self) -> None:
        archive = await self.open()
        await self.fill(archive, [a_post(1)])
        self.assertIsNone(await archive.position("other"))
        await archive.store("other", LINEAGE, 0, logged([a_post(9)]))
        self.assertEqual([item.item.id for item in await archive.items(EVENT, 10)], ["push:1"])
        self.assertEqual([item.item.id for item in await archive.items("other", 10)], ["push:9"])

    async def test_it_survives_being_closed(self) -> None:
        archive = await self.open()
        changes = await self.fill(archive, [a_post(1), a_post(2)])
        await archive.stop()
        again = await self.open()
        self.assertEqual(await again.read(EVENT, 0, 10), changes)

    async def test_pages_may_leave_out_what_was_fetched_late(self) -> None:
        archive = await self.open()
        # Recorded from 2027-01-15T08:00:01.000Z on, a second apart.
        written = {
            1: "2027-01-15T07:45:01Z",  # a quarter of an hour is not late
            2: "2027-01-15T07:45:01.999Z",
            3: "2027-01-15T07:45:03.001Z",
            4: "2027-01-15T08:45:04+01:00",
            5: "2026-12-31T23:59:59Z",
            6: "2027-01-15T09:00:00Z",
            7: "yesterday",
            8: "2026-99-99T99:99:99Z",
            9: "2027-02-31T00:00:00Z",
        }
        drafts = [Posted(msgspec.structs.replace(an_item(n), created_at=at), "1") for n, at in written.items()]
        drafts.append(Posted(msgspec.structs.replace(an_item(6, "again"), created_at=written[6]), "2"))
        changes = await self.fill(archive, drafts)
        posted = [change for change in changes if change.type == POSTED]
        prompt = [change.id for change in reversed(posted) if not is_late(change)]
        self.assertEqual(prompt, ["push:9", "push:8", "push:7", "push:6", "push:4", "push:3", "push:1"])
        found = await archive.items(EVENT, 10, prompt=True)
        self.assertEqual([one.item.id for one in found], prompt)
        found = await archive.items(EVENT, 3, before=8, prompt=True)
        self.assertEqual([one.item.id for one in found], prompt[2:5])
        self.assertEqual(found[1].item.text, "again")
        self.assertEqual(len(await archive.items(EVENT, 10)), 9)

    # Outages

    async def test_the_ledger_has_the_last_state_of_every_outage(self) -> None:
        archive = await self.open()
        lasting = SourceGap(source="x", from_="10:00", to=None, state="open", fetched=0, reason="outage")
        over = SourceGap(source="x", from_="10:00", to="10:20", state="closed", fetched=7, reason="outage")
        other = SourceGap(
            source="flickr:conf", from_="09:00", to="09:30", state="open", fetched=0, reason="search-failed"
        )
        await self.fill(archive, [lasting, a_post(1), other, over], batch=1)
        self.assertEqual(await archive.gaps(EVENT), [(3, other), (4, over)])
        self.assertEqual(await archive.gaps("elsewhere"), [])
        await archive.stop()
        again = await self.open()
        self.assertEqual(len(await again.gaps(EVENT)), 2)

    async def test_an_outage_that_opens_and_closes_in_one_batch_is_closed(self) -> None:
        archive = await self.open()
        lasting = SourceGap(source="x", from_="10:00", to=None, state="open", fetched=0, reason="outage")
        over = SourceGap(source="x", from_="10:00", to="10:20", state="closed", fetched=7, reason="a\0b")
        await self.fill(archive, [lasting, over])
        ((seq, gap),) = await archive.gaps(EVENT)
        self.assertEqual((seq, gap.state, gap.fetched), (2, "closed", 7))

    async def test_an_outage_whose_rows_are_not_written_is_not_in_the_ledger(self) -> None:
        archive = await self.open()
        await self.fill(archive, [a_post(1)])
        lasting = SourceGap(source="x", from_="10:00", to=None, state="open", fetched=0, reason="outage")
        (change,) = logged([lasting])
        await self.assertFailure(archive.store(EVENT, LINEAGE, 0, [change]), ArchiveConflict)
        self.assertEqual(await archive.gaps(EVENT), [])

    # Items

    async def test_pages_show_the_newest_items_in_their_present_state_at_their_first_place(self) -> None:
        archive = await self.open()
        await self.fill(archive, [a_post(n) for n in range(1, 6)] + [a_post(2, "edited", "2")], batch=4)
        page = await archive.items(EVENT, 3)
        self.assertEqual(
            [(item.seq, item.item.id) for item in page], [(5, "push:5"), (4, "push:4"), (3, "push:3")]
        )
        page = await archive.items(EVENT, 3, before=3)
        self.assertEqual([(item.seq, item.item.text) for item in page], [(2, "edited"), (1, "hello")])
        self.assertEqual(await archive.items(EVENT, 3, before=1), [])

    async def test_a_removed_item_is_on_no_page(self) -> None:
        archive = await self.open()
        await self.fill(archive, [a_post(1), a_post(2), Removed("push:1")])
        self.assertEqual([item.item.id for item in await archive.items(EVENT, 10)], ["push:2"])

    async def test_a_removal_redacts_what_was_archived_long_before(self) -> None:
        archive = await self.open()
        drafts = [a_post(1, CANARY), a_post(2), a_post(1, CANARY, "2"), Removed("push:1"), a_post(3)]
        changes = await self.fill(archive, drafts, batch=1)
        found = await archive.read(EVENT, 0, 10)
        self.assertEqual(
            [change.type for change in found],
            ["redacted", "item.posted", "redacted", "item.removed", "item.posted"],
        )
        self.assertEqual(found[0], changes[0].redacted())
        self.assertEqual(found[2], changes[2].redacted())

    async def test_a_removal_of_an_unknown_item_leaves_a_tombstone(self) -> None:
        archive = await self.open()
        await self.fill(archive, [Removed("push:7")])
        self.assertEqual(self.database.query("SELECT item_id, removed_seq FROM items"), [("push:7", 1)])
        # A log would not record the post any more; if one does, the item stays removed all the same.
        late = Change.decode(2, compose(prepare(a_post(7)), POSTED, timestamp(1)))
        await archive.store(EVENT, LINEAGE, 1, [late])
        self.assertEqual(await archive.items(EVENT, 10), [])

    async def test_what_was_restored_is_on_the_pages_again_where_it_was_posted_again(self) -> None:
        drafts = [
            a_post(1, CANARY),
            a_post(2),
            Removed("push:1"),
            a_post(3),
            a_post(1, "again", RESTORED + "a"),
            a_post(1, "edited", "9"),
        ]
        for batch in (1, 2, 3, 6):
            folder = self.directory / str(batch)
            folder.mkdir()
            self.database = self.database_class(str(folder))
            archive = await self.open()
            await self.fill(archive, drafts, batch=batch)
            page = [(found.seq, found.item.text) for found in await archive.items(EVENT, 10)]
            self.assertEqual(page, [(5, "edited"), (4, "hello"), (2, "hello")])
            self.assertNotIn(CANARY.encode(), self.database.everything())
            removal = logged([*drafts, Removed("push:1")])[-1]
            await archive.store(EVENT, LINEAGE, 6, [removal])
            self.assertEqual([found.seq for found in await archive.items(EVENT, 10)], [4, 2])
            types = [change.type for change in await archive.read(EVENT, 0, 10)]
            self.assertEqual(types, [*("redacted", POSTED, REMOVED, POSTED, "redacted", "redacted"), REMOVED])

    async def test_removed_content_is_in_no_table(self) -> None:
        archive = await self.open()
        secrets = [Posted(an_item(n, f"{CANARY} {n} " * 40, handle=f"{CANARY}{n}"), "1") for n in range(60)]
        others = [a_post(1000 + n, "bystander " * 30) for n in range(60)]
        mixed = [draft for pair in zip(secrets, others, strict=True) for draft in pair]
        edits = [Posted(an_item(n, f"{CANARY} again " * 300), "2") for n in range(0, 60, 7)]
        removals = [Removed(f"push:{n}") for n in range(60)]
        await self.fill(archive, [*mixed, *edits], batch=13)
        self.assertIn(CANARY.encode(), self.database.everything())
        changes = logged([*mixed, *edits, *removals])
        after = len(mixed) + len(edits)
        for first in range(after, len(changes), 7):
            await archive.store(EVENT, LINEAGE, first, changes[first : first + 7])
        await archive._database.scrub()
        remains = self.database.everything()
        self.assertIn(b"bystander", remains)
        self.assertNotIn(CANARY.encode(), remains)

    # Exactly once

    async def test_a_batch_that_was_stored_is_refused_the_second_time_and_changes_nothing(self) -> None:
        archive = await self.open()
        changes = await self.fill(archive, [a_post(1), a_post(2)])
        before = await self.snapshot()
        await self.assertFailure(archive.store(EVENT, LINEAGE, 0, changes), ArchiveConflict)
        self.assertEqual(await self.snapshot(), before)

    async def test_a_batch_that_leaves_a_hole_is_refused(self) -> None:
        archive = await self.open()
        changes = logged([a_post(n) for n in range(1, 6)])
        await self.assertFailure(archive.store(EVENT, LINEAGE, 3, changes[3:]), ArchiveConflict)
        await archive.store(EVENT, LINEAGE, 0, changes[:2])
        await self.assertFailure(archive.store(EVENT, LINEAGE, 3, changes[3:]), ArchiveConflict)
        self.assertEqual(await archive.extent(EVENT), (1, 2))

    async def test_changes_that_are_not_numbered_in_order_are_a_defect(self) -> None:
        archive = await self.open()
        changes = logged([a_post(n) for n in range(1, 4)])
        self.assertRaises(ValueError, archive.store, EVENT, LINEAGE, 0, [changes[0], changes[2]])

    async def test_of_two_writers_one_wins_every_time(self) -> None:
        first, second = await self.open(), await self.open()
        changes = logged([a_post(n) for n in range(1, 41)])
        refused = 0
        for after in range(0, 40, 4):
            batch = changes[after : after + 4]
            stores = [archive.store(EVENT, LINEAGE, after, batch) for archive in (first, second)]
            for store in stores:
                store.addErrback(lambda failure: failure.trap(ArchiveConflict))
            refused += (await gatherResults(stores)).count(ArchiveConflict)
        self.assertEqual(refused, 10)
        self.assertEqual(await first.read(EVENT, 0, 100), changes)

    async def test_a_batch_that_fails_half_way_leaves_nothing(self) -> None:
        archive = await self.open()
        changes = await self.fill(archive, [a_post(1)])
        self.database.query("INSERT INTO changes SELECT event, 3, type, at, item_key, stored FROM changes")
        before = await self.snapshot()
        more = logged([a_post(1), a_post(2), a_post(3)])[1:]
        await self.assertFailure(archive.store(EVENT, LINEAGE, 1, more), ArchiveUnavailable)
        self.assertEqual(await self.snapshot(), before)
        self.assertEqual(archive.check().state, "degraded")
        self.database.query("DELETE FROM changes WHERE seq = 3")
        await archive.store(EVENT, LINEAGE, 1, more)
        self.assertEqual(await archive.read(EVENT, 0, 9), changes + more)
        self.assertEqual(archive.check().state, "ok")

    # Epochs and holes

    async def test_an_epoch_that_shares_everything_archived_goes_on(self) -> None:
        archive = await self.open()
        changes = logged([a_post(n) for n in range(1, 6)])
        await archive.store(EVENT, LINEAGE, 0, changes[:2])
        lineage = Lineage("e3", (Ancestor("e2", 3), Ancestor("e1", 2)))
        await archive.store(EVENT, lineage, 2, changes[2:])
        self.assertEqual(await archive.position(EVENT), Head("e3", 5))
        testimony = await archive.testimony(EVENT)
        self.assertEqual(testimony[:4], ("e3", lineage.ancestors, 1, 5))
        self.assertEqual(await testimony.read(3, 9), changes[3:])

    async def test_an_epoch_that_shares_less_is_refused(self) -> None:
        archive = await self.open()
        changes = await self.fill(archive, [a_post(1), a_post(2), a_post(3)])
        for lineage in (Lineage("e2", (Ancestor("e1", 2),)), Lineage("e2", ())):
            store = archive.store(EVENT, lineage, 3, logged([a_post(n) for n in range(1, 5)])[3:])
            await self.assertFailure(store, ArchiveConflict)
        self.assertEqual(await archive.read(EVENT, 0, 9), changes)
        self.assertEqual(await archive.position(EVENT), Head("e1", 3))

    async def test_a_hole_is_on_record_and_what_is_served_begins_after_it(self) -> None:
        archive = await self.open()
        changes = logged([a_post(n) for n in range(1, 10)])
        await archive.store(EVENT, LINEAGE, 0, changes[:2])
        await archive.skip(EVENT, LINEAGE, 2, 6)
        await self.assertFailure(archive.skip(EVENT, LINEAGE, 2, 6), ArchiveConflict)
        self.assertEqual(await archive.extent(EVENT), (1, 0))
        self.assertEqual((await archive.testimony(EVENT))[:4], ("e1", (), 7, 6))
        await archive.store(EVENT, LINEAGE, 6, changes[6:])
        self.assertEqual(await archive.extent(EVENT), (7, 9))
        self.assertEqual((await archive.testimony(EVENT))[:4], ("e1", (), 7, 9))
        self.assertEqual([change.seq for change in await archive.read(EVENT, 0, 99)], [1, 2, 7, 8, 9])
        self.assertEqual(self.database.query("SELECT first_seq, last_seq, epoch FROM holes"), [(3, 6, "e1")])

    # Odd input

    async def test_text_that_databases_dislike_is_kept_as_it_is(self) -> None:
        archive = await self.open()
        odd = "NUL \0, quote ' \" \\, %s :name, \u202e rtl, 👩‍👩‍👧, \ufeff\uffff, é vs e\u0301"
        item = an_item(1, odd, handle="nul\0handle")
        nul_id = Posted(msgspec.structs.replace(item, id="push:a\0b"), "v\0")
        await self.fill(archive, [Posted(item, "1"), nul_id, Removed("push:\0")])
        found = await archive.items(EVENT, 9)
        self.assertEqual([page.item.text for page in found], [odd, odd])
        self.assertEqual(found[0].item.id, "push:a\0b")
        self.assertEqual([change.id for change in await archive.read(EVENT, 1, 9)], ["push:a\0b", "push:\0"])

    # Use

    async def test_many_readers_at_once_are_all_served(self) -> None:
        archive = await self.open(readers=2)
        changes = await self.fill(archive, [a_post(n) for n in range(1, 21)])
        reads = [archive.read(EVENT, n % 20, 5) for n in range(50)]
        for n, found in enumerate(await gatherResults(reads)):
            self.assertEqual(found, changes[n % 20 : n % 20 + 5])

    async def test_a_reader_that_leaves_does_not_disturb_the_others(self) -> None:
        archive = await self.open(readers=1)
        changes = await self.fill(archive, [a_post(n) for n in range(1, 21)])
        leaving, staying = [archive.read(EVENT, 0, 20) for _ in range(2)]
        leaving.addErrback(lambda failure: None)
        leaving.cancel()
        self.assertEqual(await staying, changes)

    async def test_a_write_that_nobody_waits_for_is_done_as_a_whole(self) -> None:
        archive = await self.open()
        changes = logged([a_post(n) for n in range(1, 21)])
        storing = archive.store(EVENT, LINEAGE, 0, changes)
        storing.addErrback(lambda failure: None)
        storing.cancel()
        # The next write waits its turn behind the abandoned one, so the position is known after it.
        await self.assertFailure(archive.store(EVENT, LINEAGE, 0, changes), ArchiveConflict)
        self.assertEqual(await archive.read(EVENT, 0, 100), changes)

    async def test_starting_twice_and_at_once_is_one_start(self) -> None:
        archive = self.make()
        await gatherResults([archive.start(), archive.start()])
        await archive.start()
        self.assertEqual(archive.check().state, "ok")

    async def test_before_its_start_and_after_its_end_it_is_unavailable(self) -> None:
        archive = self.make()
        await self.assertFailure(archive.position(EVENT), ArchiveUnavailable)
        await archive.start()
        await archive.stop()
        for use in (archive.position(EVENT), archive.store(EVENT, LINEAGE, 0, logged([a_post(1)]))):
            await self.assertFailure(use, ArchiveUnavailable)


class SQLiteStoreTests(StoreSuite, ArchiveTestCase):
    database_class = SQLiteDatabase

    async def test_a_removal_empties_the_write_ahead_log_by_itself(self) -> None:
        archive = await self.open()
        await self.fill(archive, [a_post(1, CANARY * 100), Removed("push:1")], batch=1)
        wal = self.database.path.with_name(self.database.path.name + "-wal")
        while wal.stat().st_size:
            await archive.position(EVENT)
        self.assertNotIn(CANARY.encode(), self.database.everything())

    async def test_the_write_ahead_log_is_emptied_even_when_nobody_waits_for_the_removal(self) -> None:
        archive = await self.open()
        changes = logged([a_post(1, CANARY * 100), Removed("push:1")])
        await archive.store(EVENT, LINEAGE, 0, changes[:1])
        removing = archive.store(EVENT, LINEAGE, 1, changes[1:])
        removing.addErrback(lambda failure: None)
        removing.cancel()
        while CANARY.encode() in self.database.everything():
            await archive.position(EVENT)

    async def test_content_that_a_killed_process_left_in_the_write_ahead_log_is_gone_after_the_next_start(
        self,
    ) -> None:
        archive = await self.open()
        archive._scrub = lambda: None  # type: ignore[method-assign]
        await self.fill(archive, [a_post(1, CANARY * 100), Removed("push:1")], batch=1)
        copies = self.directory / "killed"
        copies.mkdir()
        for file in self.directory.glob("archive.sqlite3*"):
            shutil.copy(file, copies)
        await archive.stop()
        self.database = SQLiteDatabase(str(copies))
        self.assertIn(CANARY.encode(), self.database.everything())
        again = await self.open()
        while CANARY.encode() in self.database.everything():
            await again.position(EVENT)

    async def test_who_reads_the_file_for_long_keeps_neither_the_writer_waiting_nor_removed_text_for_ever(
        self,
    ) -> None:
        archive = await self.open()
        changes = logged([a_post(1, CANARY * 100), Removed("push:1"), a_post(2)])
        await archive.store(EVENT, LINEAGE, 0, changes[:1])
        with closing(sqlite3.connect(self.database.path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM changes").fetchone()
            began = reactor.seconds()
            await archive.store(EVENT, LINEAGE, 1, changes[1:2])  # and the write-ahead log is to be emptied
            await archive.store(EVENT, LINEAGE, 2, changes[2:])
            self.assertLess(reactor.seconds() - began, 4.5)  # it takes five where a write waits for a reader
            self.assertIn(CANARY.encode(), self.database.everything())
        while CANARY.encode() in self.database.everything():
            await archive.position(EVENT)

        async def work(sql: Transaction) -> int:
            return int((await sql.rows(text("PRAGMA busy_timeout")))[0][0])

        self.assertEqual(await archive._database.write(work), 5000)

    async def test_pages_come_from_an_index_however_far_back(self) -> None:
        await self.open()
        for statement in (
            queries.visible_items(EVENT, 50, 70_000),
            queries.visible_items(EVENT, 12, 70_000, SQLITE.late),
            queries.read(EVENT, 70_000, 200),
            queries.content_of(EVENT, [b"k" * 16]),
            queries.extent(EVENT),
        ):
            compiled = statement.compile(dialect=sqlite.dialect(), compile_kwargs={"render_postcompile": True})
            sql, values = str(compiled), compiled.params
            for name in compiled.positiontup or ():
                value = values[name]
                sql = sql.replace("?", f"x'{value.hex()}'" if isinstance(value, bytes) else repr(value), 1)
            plan = " ".join(row[-1] for row in self.database.query(f"EXPLAIN QUERY PLAN {sql}"))
            self.assertIn("INDEX", plan)
            self.assertNotIn("TEMP B-TREE", plan)
            self.assertNotIn("SCAN changes", plan)
            self.assertNotIn("SCAN items", plan)

    async def test_commits_are_durable_before_the_log_may_forget(self) -> None:
        archive = await self.open()
        settings = ("synchronous", "journal_mode", "secure_delete", "foreign_keys")

        async def work(sql: Transaction) -> list[object]:
            return [(await sql.rows(text(f"PRAGMA {name}")))[0][0] for name in settings]

        full = 2
        self.assertEqual(await archive._database.write(work), [full, "wal", 1, 1])


class PostgreSQLStoreTests(StoreSuite, ArchiveTestCase):
    database_class = PostgreSQLDatabase
