"""One suite for SQLite and PostgreSQL: what is hidden, who is blocked, and who did what."""

from __future__ import annotations

from msgspec import structs

from afeed.archive.moderation import Action, Blocked, Hidden, ModerationStore, is_place
from afeed.core.item import Author
from tests.archive.support import ArchiveTestCase, PostgreSQLDatabase, SQLiteDatabase
from tests.web.samples import make_item

AT, LATER = "2026-11-22T12:00:00.000Z", "2026-11-22T12:00:01.000Z"
CANARY = "KANARIENVOGEL"


def did(action: str, subject: str | None = "push:1") -> Action:
    return Action(AT, "ann", "192.0.2.7", action, "e", subject)


class ModerationSuite:
    """Mixed into a test case per database below."""

    async def test_what_is_hidden_is_kept_as_it_was(self) -> None:
        store = ModerationStore(await self.open())
        odd = make_item(2, text="\0 \U0001f600", author=Author(name="\0", handle="o'x"))
        await store.hide("e", [Hidden(make_item(1), AT, None)], did("hide"))
        await store.hide("e", [Hidden(odd, LATER, "push:@o'x")], None)
        await store.hide("other", [Hidden(make_item(3), AT, None)], did("hide"))
        again = ModerationStore(await self.open())
        self.assertEqual(await again.hidden("e", 10), [Hidden(make_item(1), AT, None)])
        theirs = [Hidden(odd, LATER, "push:@o'x")]
        self.assertEqual(await again.hidden_because("e", 10), theirs)
        self.assertEqual(await again.hidden_because("e", 10, "push:@o'x"), theirs)
        self.assertEqual(await again.hidden_because("e", 10, "push:@else"), [])

    async def test_what_is_hidden_is_found_page_by_page_also_where_times_are_the_same(self) -> None:
        store = ModerationStore(await self.open())
        hidden = [Hidden(make_item(number), LATER if number > 5 else AT, None) for number in range(1, 8)]
        await store.hide("e", hidden, did("hide"))
        await store.hide("e", [Hidden(make_item(9), LATER, "push:@ann")], None)
        found: list[Hidden] = []
        while page := await store.hidden("e", 2, found[-1].place if found else None):
            self.assertTrue(is_place(page[-1].place))
            found += page
        self.assertEqual([one.at for one in found], [LATER] * 2 + [AT] * 5)
        self.assertEqual(sorted(one.item.id for one in found), [one.item.id for one in hidden])
        for text in ("", "1", AT, f"{AT}_", f"{AT}_{'g' * 32}", f"{AT}_{'0' * 32}\n", f"'_{'0' * 32}"):
            self.assertFalse(is_place(text), text)

    async def test_restoring_is_begun_once_and_with_one_version(self) -> None:
        store = ModerationStore(await self.open())
        self.assertEqual(await store.restoring("e", ["push:1"], "v1"), [])
        await store.hide("e", [Hidden(make_item(1), AT, None)], did("hide"))
        self.assertEqual(await store.restoring("e", ["push:1", "push:2"], "v1"), [(make_item(1), "v1")])
        self.assertEqual(await store.restoring("e", ["push:1"], "v2"), [(make_item(1), "v1")])
        # Hidden anew it is another matter.
        await store.hide("e", [Hidden(make_item(1, text="edited"), LATER, None)], did("hide"))
        self.assertEqual(await store.restoring("e", ["push:1"], "v3"), [(make_item(1, text="edited"), "v3")])

    async def test_what_the_log_was_not_told_yet_is_found_after_a_restart(self) -> None:
        store = ModerationStore(await self.open())
        odd = structs.replace(make_item(2), id="push:\0\\0")
        await store.hide("e", [Hidden(make_item(1), AT, None), Hidden(odd, AT, "push:@ann")], did("hide"))
        await store.hide("other", [Hidden(make_item(3), AT, None)], did("hide"))
        again = ModerationStore(await self.open())
        self.assertEqual(set(await again.to_remove("e", 10)), {"push:1", odd.id})
        self.assertEqual(len(await again.to_remove("e", 1)), 1)
        await again.removed("e", ["push:1"])
        self.assertEqual(await store.to_remove("e", 10), [odd.id])
        self.assertEqual(await store.to_remove("other", 10), ["push:3"])
        # What is being restored is not to be removed any more; what is hidden anew is.
        await store.restoring("e", [odd.id], "v1")
        self.assertEqual(await store.to_remove("e", 10), [])
        await store.hide("e", [Hidden(make_item(1), LATER, None)], None)
        self.assertEqual(await store.to_remove("e", 10), ["push:1"])

    async def test_a_hidden_item_is_found_by_its_id(self) -> None:
        store = ModerationStore(await self.open())
        await store.hide("e", [Hidden(make_item(1), AT, None)], did("hide"))
        self.assertEqual(await store.find("e", "push:1"), make_item(1))
        self.assertIsNone(await store.find("e", "push:2"))
        self.assertIsNone(await store.find("other", "push:1"))

    async def test_what_was_restored_is_dropped_unless_it_was_hidden_anew(self) -> None:
        archive = await self.open()
        store = ModerationStore(archive)
        items = [make_item(number, text=f"{CANARY} {number}") for number in (1, 2, 3)]
        await store.hide("e", [Hidden(item, AT, None) for item in items], did("hide"))
        posted = await store.restoring("e", [item.id for item in items], "v1")
        # Of these three one is hidden again, and one is hidden again and on its way back once more.
        await store.hide("e", [Hidden(item, LATER, None) for item in items[1:]], did("hide"))
        self.assertEqual(await store.restoring("e", ["push:3"], "v2"), [(items[2], "v2")])
        await store.restored("e", posted, did("restore"))
        self.assertEqual({one.item.id for one in await store.hidden("e", 10)}, {"push:2", "push:3"})
        await store.restored("e", [(items[2], "v2")])
        self.assertEqual([one.item for one in await store.hidden("e", 10)], [items[1]])
        await store.forget("e", ["push:2"])
        self.assertEqual(await store.hidden("e", 10), [])
        await archive.stop()
        self.assertNotIn(CANARY.encode(), self.database.everything())

    async def test_the_author_for_whom_something_is_hidden_may_change(self) -> None:
        store = ModerationStore(await self.open())
        kept = [Hidden(make_item(number), AT, "push:@ann") for number in (1, 2)]
        await store.hide("e", kept, None)
        await store.hide("other", kept, None)
        await store.blame("e", ["push:2", "push:9"], "push:@ben")
        for event, author, expected in (
            ("e", "push:@ann", kept[:1]),
            ("e", "push:@ben", [kept[1]._replace(because="push:@ben")]),
            ("other", "push:@ben", []),
        ):
            self.assertEqual(await store.hidden_because(event, 10, author), expected)

    async def test_what_is_forgotten_is_in_no_file(self) -> None:
        archive = await self.open()
        store = ModerationStore(archive)
        await store.hide("e", [Hidden(make_item(1, text=CANARY), AT, None)], did("hide"))
        await store.hide("other", [Hidden(make_item(1, text="kept"), AT, None)], did("hide"))
        self.assertIn(CANARY.encode(), self.database.everything())
        await store.forget("e", ["push:1", "push:2"])
        self.assertEqual(await store.hidden("e", 10), [])
        self.assertEqual(len(await store.hidden("other", 10)), 1)
        await archive.stop()
        self.assertNotIn(CANARY.encode(), self.database.everything())

    async def test_who_is_blocked_is_remembered_until_it_is_taken_back(self) -> None:
        store = ModerationStore(await self.open())
        ann, ben = Blocked("e", "x:@ann", "Ann", AT), Blocked("f", "x:@ben", "Ben", LATER)
        await store.block(ann, did("block", "x:@ann"))
        await store.block(ben, did("block", "x:@ben"))
        await store.block(ann._replace(at=LATER), did("block", "x:@ann"))
        again = ModerationStore(await self.open())
        self.assertEqual(await again.blocked(), [ben, ann])
        await again.unblock("e", "x:@ann", did("unblock", "x:@ann"))
        await again.unblock("e", "x:@ben", did("unblock", "x:@ben"))
        self.assertEqual(await store.blocked(), [ben])

    async def test_authors_who_are_let_in_and_whose_items_are_still_hidden_are_found(self) -> None:
        store = ModerationStore(await self.open())
        for number, because in enumerate(("x:@ann", "x:@ben", None, "x:@ben", "x:@cleo"), start=1):
            await store.hide("e", [Hidden(make_item(number), AT, because)], None)
        await store.block(Blocked("e", "x:@ann", "Ann", AT), did("block", "x:@ann"))
        await store.block(Blocked("other", "x:@ben", "Ben", AT), did("block", "x:@ben"))
        self.assertEqual(await store.unblocked("e"), ["x:@ben", "x:@cleo"])
        self.assertEqual(await store.unblocked("other"), [])

    async def test_every_act_is_on_record(self) -> None:
        store = ModerationStore(await self.open())
        self.assertEqual(await store.count(), 0)
        acts = [
            did("hide", "push:\0"),
            did("block", "x:@ann"),
            did("unblock", "x:@ann"),
            did("restore", "push:1"),
        ]
        await store.hide("e", [Hidden(make_item(1), AT, None)], acts[0])
        await store.block(Blocked("e", "x:@ann", "Ann", AT), acts[1])
        await store.unblock("e", "x:@ann", acts[2])
        await store.hide("e", [Hidden(make_item(2), AT, "x:@ann")], None)
        count = await store.count()
        await store.restored("e", [(make_item(1), "v1")], acts[3])
        self.assertGreater(await store.count(), count)
        expected = [acts[3], acts[2], acts[1], acts[0]._replace(subject="push:\\0")]
        self.assertEqual(await store.actions(10), expected)
        self.assertEqual(await store.actions(2), expected[:2])


class SQLiteModerationTests(ModerationSuite, ArchiveTestCase):
    database_class = SQLiteDatabase


class PostgreSQLModerationTests(ModerationSuite, ArchiveTestCase):
    database_class = PostgreSQLDatabase
