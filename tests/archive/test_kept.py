"""One suite for SQLite and PostgreSQL: what a backup takes beside the log, and puts back."""

from __future__ import annotations

from base64 import b64encode

from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from afeed.archive import kept, tables
from afeed.archive.bulk import filling, finish, snapshot, standing
from afeed.archive.moderation import Action, Blocked, Hidden, ModerationStore
from afeed.core.backup import Row
from afeed.core.draft import key
from afeed.core.errors import BadBackup
from afeed.core.item import Author, encode_item
from tests.archive.support import ArchiveTestCase, PostgreSQLDatabase, SQLiteDatabase
from tests.web.samples import make_item

AT = "2026-11-22T12:00:00.000Z"
ITEM = structs.replace(make_item(1, text="\0 \U0001f600 hidden", author=Author(name="Ö")), id="push:\0'1")


def hidden_row(**other: object) -> Row:
    content = b64encode(encode_item(ITEM)).decode()
    values: dict[str, object] = {
        "event": "e",
        "item_key": b64encode(key(ITEM.id)).decode(),
        "item_id": "push:'1",
        "content": content,
        "hidden_at": AT,
        "because": None,
        "version": None,
        "removed": True,
        **other,
    }
    return Row(table="hidden_items", values=values)  # type: ignore[arg-type]


class TableTests(SynchronousTestCase):
    def test_of_every_table_it_is_known_whether_a_backup_has_it(self) -> None:
        from_the_log = {
            "changes", "items", "positions", "epochs", "holes", "source_gaps", "refilings",
            "search_events", "tallies",
        }  # fmt: skip
        of_one_installation = {
            "organiser_sessions", "sign_in_attempts", "afeed_restore", "forget_requests",
            "media", "media_uses", "media_positions", "media_gone",
        }  # fmt: skip
        kept_ = {table.name for table in kept.KEPT}
        self.assertFalse(kept_ & (from_the_log | of_one_installation))
        known = kept_ | from_the_log | of_one_installation
        self.assertLessEqual(set(tables.metadata.tables), known)


class ReadingTests(SynchronousTestCase):
    def test_what_fits_into_no_table_is_refused(self) -> None:
        for row in (
            Row(table="organiser_sessions", values={}),
            Row(table="hidden_items", values={}),
            Row(table="blocked_authors", values={"event": "e", "author_key": "x:@a", "name": "A", "x": 1}),
            Row(
                table="blocked_authors",
                values={"event": "e", "author_key": "x:@a", "name": None, "blocked_at": AT},
            ),
            hidden_row(item_key="???"),
            hidden_row(item_key=b64encode(key("push:2")).decode()),
            hidden_row(content=b64encode(b"{}").decode()),
            hidden_row(removed=1),
            hidden_row(event=5),
            hidden_row(version=False),
        ):
            self.assertRaises(BadBackup, kept.read, row)
            self.assertRaises(BadBackup, kept.hidden, row)

    def test_hidden_items_that_nobody_restores_are_told(self) -> None:
        self.assertEqual(kept.hidden(hidden_row()), ("e", ITEM.id))
        self.assertIsNone(kept.hidden(hidden_row(version="v1")))

    def test_the_log_is_told_once_more_of_what_is_hidden(self) -> None:
        self.assertIs(kept.read(hidden_row())[1]["removed"], False)


class KeptSuite:
    """Mixed into a test case per database below."""

    async def test_everything_comes_back(self) -> None:
        store = ModerationStore(await self.open())
        did = Action(AT, "ann", "2001:db8::1", "hide", "e", ITEM.id)
        await store.hide("e", [Hidden(ITEM, AT, None)], did)
        await store.hide("e", [Hidden(make_item(2), AT, "push:@troll")], None)
        await store.block(Blocked("e", "push:@troll", "Troll (@troll)", AT), did._replace(action="block"))
        with snapshot(self.database.url) as archive:
            rows = list(archive.rows())
        self.assertEqual([row.table for row in rows], sorted((row.table for row in rows), key=self._place))
        self.assertEqual(sum(row.table == "hidden_items" for row in rows), 2)
        self.assertEqual(
            standing(self.database.url).kept, {"blocked_authors": 1, "hidden_items": 2, "organiser_actions": 2}
        )

        folder = self.directory / "other"
        folder.mkdir()
        self.database = self.database_class(str(folder))
        with filling(self.database.url, "0" * 64, AT) as archive:
            for row in rows:
                archive.keep(row)
        finish(self.database.url)
        again = ModerationStore(await self.open())
        self.assertEqual(await again.hidden("e", 10), [Hidden(ITEM, AT, None)])
        self.assertEqual(
            await again.hidden_because("e", 10, "push:@troll"), [Hidden(make_item(2), AT, "push:@troll")]
        )
        self.assertEqual(await again.blocked(), [Blocked("e", "push:@troll", "Troll (@troll)", AT)])
        self.assertEqual(len(await again.to_remove("e", 10)), 2)
        self.assertEqual([one.action for one in await again.actions(10)], ["block", "hide"])
        # What is done next gets a number of its own.
        await again.unblock("e", "push:@troll", did._replace(action="unblock"))
        self.assertEqual([one.action for one in await again.actions(10)], ["unblock", "block", "hide"])

    @staticmethod
    def _place(name: str) -> int:
        return [table.name for table in kept.KEPT].index(name)


class SQLiteKeptTests(KeptSuite, ArchiveTestCase):
    database_class = SQLiteDatabase


class PostgreSQLKeptTests(KeptSuite, ArchiveTestCase):
    database_class = PostgreSQLDatabase
