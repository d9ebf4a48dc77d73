"""The archive from first to last, without a reactor."""

from __future__ import annotations

from pathlib import Path
from queue import Queue

from twisted.internet import threads

from afeed.archive.walk import reading_items
from afeed.core.draft import Filed, Removed
from afeed.core.errors import ArchiveUnavailable, ArchiveUnusable
from afeed.interfaces import Head
from tests.archive.support import (
    EVENT,
    LINEAGE,
    ArchiveTestCase,
    PostgreSQLDatabase,
    SQLiteDatabase,
    logged,
)
from tests.fakes import a_post


class WalkSuite:
    async def walk(self, talk: str | None = None, size: int = 2) -> list[tuple[int, str, str | None]]:
        def walk() -> list[tuple[int, str, str | None]]:
            with reading_items(self.database.url) as reader:
                return [
                    (one.seq, one.item.text, one.item.talk)
                    for page in reader.pages(EVENT, talk, size)
                    for one in page
                ]

        return await threads.deferToThread(walk)

    async def test_items_come_in_order_in_their_present_state_and_removed_ones_do_not(self) -> None:
        archive = await self.open()
        drafts = [a_post(n, f"post {n}") for n in range(1, 6)]
        drafts += [Removed("push:2"), a_post(1, "edited", "2"), Filed("push:3", "seams", "m1")]
        await self.fill(archive, drafts)
        self.assertEqual(
            await self.walk(),
            [(1, "edited", None), (3, "post 3", "seams"), (4, "post 4", None), (5, "post 5", None)],
        )

    async def test_a_talk_can_be_walked_through_alone(self) -> None:
        archive = await self.open()
        await self.fill(
            archive, [*(a_post(n) for n in range(1, 8)), *(Filed(f"push:{n}", "seams", "m") for n in (2, 5, 7))]
        )
        self.assertEqual([seq for seq, _, _ in await self.walk("seams")], [2, 5, 7])

        def look() -> tuple[int, int, Head | None, list[int], int | None]:
            with reading_items(self.database.url) as reader:
                newest = reader.newest(EVENT, "seams", 2)
                return (
                    reader.count(EVENT),
                    reader.count(EVENT, "seams"),
                    reader.position(EVENT),
                    [one.seq for one in newest.items],
                    newest.next,
                )

        self.assertEqual(await threads.deferToThread(look), (7, 3, Head("e1", 10), [7, 5], 5))

    async def test_what_is_removed_between_two_pages_is_not_in_the_second(self) -> None:
        archive = await self.open()
        drafts = [a_post(n) for n in range(1, 6)]
        await self.fill(archive, drafts)
        removal = logged([*drafts, Removed("push:4")])[-1]
        asked: Queue[None] = Queue()
        told: Queue[list[int]] = Queue()

        def read() -> None:
            with reading_items(self.database.url) as reader:
                pages = reader.pages(EVENT, None, 2)
                told.put([one.seq for one in next(pages)])
                asked.get(timeout=60)
                told.put([one.seq for page in pages for one in page])

        reading = threads.deferToThread(read)
        self.assertEqual(await threads.deferToThread(told.get, True, 60), [1, 2])
        # The writer does not wait for the reader either.
        await archive.store(EVENT, LINEAGE, 5, [removal])
        asked.put(None)
        self.assertEqual(await threads.deferToThread(told.get, True, 60), [3, 5])
        await reading

    async def test_an_event_that_nobody_knows_has_nothing(self) -> None:
        await self.open()
        self.assertEqual(await self.walk(), [])


class SQLiteWalkTests(WalkSuite, ArchiveTestCase):
    database_class = SQLiteDatabase

    def test_an_archive_that_was_never_made_has_nothing_and_is_not_made(self) -> None:
        path = Path(self.mktemp())
        with reading_items(f"sqlite:///{path}") as reader:
            self.assertEqual((list(reader.pages("e")), reader.position("e"), reader.count("e")), ([], None, 0))
            self.assertEqual(reader.newest("e", "t", 5).items, [])
            self.assertIsNone(reader.kept_picture(b"x"))
        self.assertFalse(path.exists())

    def test_what_is_no_archive_is_refused(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(b"this is no database" * 100)
        with self.assertRaises((ArchiveUnusable, ArchiveUnavailable)), reading_items(f"sqlite:///{path}"):
            pass


class PostgreSQLWalkTests(WalkSuite, ArchiveTestCase):
    database_class = PostgreSQLDatabase
