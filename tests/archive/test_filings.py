"""One suite for SQLite and PostgreSQL: under which talk items are, who decided that, and filing again."""

from __future__ import annotations

from msgspec import structs
from twisted.internet import threads

from afeed.archive.filings import Correction, FilingStore, Refiling, read_before, read_items
from afeed.archive.moderation import Action, ModerationStore
from afeed.core.draft import RESTORED, Draft, Filed, Posted, Removed
from afeed.interfaces import PageItem
from tests.archive.support import EVENT, LINEAGE, ArchiveTestCase, PostgreSQLDatabase, SQLiteDatabase, logged
from tests.fakes import an_item

AT = "2026-11-22T12:00:00.000Z"


def post(number: int, talk: str | None = None, version: str = "1", text: str = "hello") -> Posted:
    return Posted(structs.replace(an_item(number, text), talk=talk), version)


def filed(number: int, talk: str | None, mark: str) -> Filed:
    return Filed(f"push:{number}", talk, mark)


def did(action: str = "file") -> Action:
    return Action(AT, "ann", "192.0.2.7", action, EVENT, "push:1 > a")


class FilingsSuite:
    """Mixed into a test case per database below."""

    async def talks(self, drafts: list[Draft], batch: int) -> dict[str, str | None]:
        archive = await self.open()
        await self.fill(archive, drafts, batch)
        return {one.item.id: one.item.talk for one in await archive.items(EVENT, 1000)}

    async def check(self, drafts: list[Draft], expected: dict[str, str | None]) -> None:
        """However the strainer cuts the log into batches, the result is the same."""
        for batch in (1, 2, 500):
            self.database = self.database_class(str(self.directory.joinpath(str(batch))))
            self.directory.joinpath(str(batch)).mkdir()
            self.assertEqual(await self.talks(drafts, batch), expected, f"batches of {batch}")

    async def test_the_last_word_on_where_an_item_is_counts(self) -> None:
        await self.check(
            [
                post(1, "a"),
                post(2),
                post(3, "c"),
                filed(1, "b", "1"),
                filed(2, "b", "1"),
                filed(3, None, "1"),
                filed(1, "a", "2"),
                post(2, "d", "2", "edited"),
            ],
            {"push:1": "a", "push:2": "d", "push:3": None},
        )

    async def test_an_edit_that_says_nothing_of_the_talk_leaves_the_item_there(self) -> None:
        await self.check(
            [
                post(1),
                post(2, "a"),
                post(3, "a"),
                filed(1, "b", "1"),
                filed(3, None, "1"),
                post(1, None, "2", "edited"),
                post(2, None, "2", "edited"),
                post(3, None, "2", "edited"),
            ],
            {"push:1": "b", "push:2": "a", "push:3": None},
        )

    async def test_what_was_removed_is_under_no_talk_and_what_is_restored_where_it_says(self) -> None:
        await self.check(
            [
                post(1),
                post(2),
                filed(1, "a", "1"),
                filed(2, "a", "1"),
                Removed("push:1"),
                Removed("push:2"),
                post(2, "b", f"{RESTORED}1"),
            ],
            {"push:2": "b"},
        )

    async def test_many_are_filed_in_few_statements(self) -> None:
        drafts: list[Draft] = [post(number) for number in range(1, 324)]
        drafts += [filed(number, f"t{number}" if number % 3 else None, "1") for number in range(1, 324)]
        found = await self.talks(drafts, 500)
        self.assertEqual(
            found, {f"push:{number}": f"t{number}" if number % 3 else None for number in range(1, 324)}
        )

    async def test_items_are_read_in_order_as_they_are_now(self) -> None:
        await self.talks([post(1), post(2, "a"), post(3), Removed("push:3"), post(4), filed(1, "b", "1")], 500)

        def read() -> tuple[list[list[PageItem]], list[PageItem]]:
            url = self.database.url
            return list(read_items(url, EVENT, 1, 1)), read_before(url, EVENT, 2, 10)

        pages, before = await threads.deferToThread(read)
        self.assertEqual(
            [[(one.seq, one.item.id, one.item.talk) for one in page] for page in pages],
            [
                [(2, "push:2", "a")],
                [(5, "push:4", None)],
            ],
        )
        self.assertEqual([(one.seq, one.item.talk) for one in before], [(1, "b"), (2, "a")])

    async def test_decisions_are_numbered_and_noted_and_the_last_one_counts(self) -> None:
        archive = await self.open()
        store = FilingStore(archive)
        first = await store.correct(EVENT, "push:1", "a", did())
        second = await store.correct(EVENT, "push:2", None, did())
        third = await store.correct(EVENT, "push:1", "b", did())
        self.assertTrue(first < second < third)
        again = FilingStore(await self.open())
        self.assertEqual(
            await again.corrections(0),
            [Correction(second, EVENT, "push:2", None), Correction(third, EVENT, "push:1", "b")],
        )
        self.assertEqual(await again.corrections(second), [Correction(third, EVENT, "push:1", "b")])
        self.assertEqual(len(await ModerationStore(archive).actions(9)), 3)

    async def test_decisions_that_do_not_show_are_found(self) -> None:
        archive = await self.open()
        store = FilingStore(archive)
        changes = logged([post(1, "x"), post(2, "a"), post(3), filed(3, "b", "1"), post(4)])
        await archive.store(EVENT, LINEAGE, 0, changes)
        numbers = [
            await store.correct(EVENT, f"push:{number}", talk, did())
            for number, talk in ((1, "a"), (2, "a"), (3, None), (4, None), (5, "a"))
        ]
        displaced = [
            Correction(numbers[0], EVENT, "push:1", "a"),
            Correction(numbers[2], EVENT, "push:3", None),
        ]
        self.assertEqual(await store.displaced(0, 9), displaced)
        self.assertEqual(await store.displaced(0, 1), displaced[:1])
        self.assertEqual(await store.displaced(numbers[0], 9), displaced[1:])

    async def test_filing_again_goes_on_where_it_was_and_a_newer_run_ends_an_older_one(self) -> None:
        store = FilingStore(await self.open())
        self.assertIsNone(await store.refiling(EVENT))
        first = await store.begin(EVENT, "w1", AT)
        self.assertEqual(first, Refiling(0, 1, "w1", 0, 0, 0, False))
        further = first._replace(after=10, seen=9, changed=3)
        self.assertTrue(await store.advance(EVENT, further, AT))
        self.assertEqual(await FilingStore(await self.open()).refiling(EVENT), further)
        self.assertEqual(await store.ask(EVENT, AT), 1)
        self.assertEqual(await store.ask(EVENT, AT, did("refile")), 2)
        self.assertEqual(await store.refiling(EVENT), further._replace(asked=2))
        second = await store.begin(EVENT, "w2", AT)
        self.assertEqual(second, Refiling(2, 2, "w2", 0, 0, 0, False))
        self.assertFalse(await store.advance(EVENT, further._replace(after=20), AT))
        self.assertEqual(await store.refiling(EVENT), second)

    async def test_asking_comes_before_everything_else_too(self) -> None:
        store = FilingStore(await self.open())
        self.assertEqual(await store.ask(EVENT, AT), 1)
        self.assertEqual(await store.begin(EVENT, "w", AT), Refiling(1, 1, "w", 0, 0, 0, False))


class SQLiteFilingsTests(FilingsSuite, ArchiveTestCase):
    database_class = SQLiteDatabase


class PostgreSQLFilingsTests(FilingsSuite, ArchiveTestCase):
    database_class = PostgreSQLDatabase
