"""One suite for SQLite and PostgreSQL: sessions and failed attempts."""

from __future__ import annotations

from twisted.internet.defer import gatherResults

from afeed.archive.sign_ins import CLEAN_S, SignIns
from afeed.core.sessions import Session
from afeed.core.throttle import FREE, LEAST_S
from tests.archive.support import ArchiveTestCase, PostgreSQLDatabase, SQLiteDatabase

NOW = 1_800_000_000
ANN = Session(b"h" * 32, "ann", b"c" * 32, NOW, NOW)


class SignInSuite:
    """Mixed into a test case per database below."""

    async def test_a_session_is_found_by_every_node_and_after_a_restart(self) -> None:
        archive = await self.open()
        await SignIns(archive).begin(ANN, None, b"key", 0)
        beside = await self.open()
        self.assertEqual(await SignIns(beside).session(ANN.id_hash), ANN)
        await archive.stop()
        again = await self.open()
        self.assertEqual(await SignIns(again).session(ANN.id_hash), ANN)
        await SignIns(again).touch(ANN.id_hash, NOW + 60)
        found = await SignIns(beside).session(ANN.id_hash)
        self.assertEqual(found, ANN._replace(used_at=NOW + 60))
        await SignIns(again).end(ANN.id_hash)
        self.assertIsNone(await SignIns(beside).session(ANN.id_hash))

    async def test_a_new_session_replaces_the_browsers_own_and_those_long_unused(self) -> None:
        kept = SignIns(await self.open())
        old = ANN._replace(id_hash=b"o" * 32, used_at=NOW - 1000)
        mine = ANN._replace(id_hash=b"m" * 32)
        other = ANN._replace(id_hash=b"p" * 32, account="ben")
        for session in (old, mine, other):
            await kept.begin(session, None, b"key", 0)
        await kept.begin(ANN, mine.id_hash, b"key", NOW - 999)
        found = [await kept.session(one.id_hash) for one in (old, mine, other, ANN)]
        self.assertEqual(found, [None, None, other, ANN])

    async def test_attempts_add_up_at_all_nodes_until_one_succeeds(self) -> None:
        nodes = [SignIns(await self.open()), SignIns(await self.open())]
        waits = [await nodes[n % 2].attempt(b"k", NOW, 0) for n in range(FREE + 1)]
        self.assertEqual(waits, [0] * FREE + [LEAST_S])
        self.assertEqual(await nodes[0].attempt(b"other", NOW, 0), 0)
        await nodes[0].begin(ANN, None, b"k", 0)
        self.assertEqual(await nodes[1].attempt(b"k", NOW, 0), 0)

    async def test_many_at_once_are_no_way_around(self) -> None:
        nodes = [SignIns(await self.open()), SignIns(await self.open())]
        waits = await gatherResults([nodes[n % 2].attempt(b"k", NOW, 0) for n in range(20)])
        self.assertEqual(waits.count(0), FREE)

    async def test_what_is_forgotten_leaves_no_row(self) -> None:
        kept = SignIns(await self.open())
        count = "SELECT COUNT(*) FROM sign_in_attempts"
        await kept.attempt(b"old", NOW - CLEAN_S, 0)
        # Nobody who guesses has the table searched each time.
        await kept.attempt(b"new", NOW - 1, NOW - 1)
        self.assertEqual(self.database.query(count), [(2,)])
        await kept.attempt(b"new", NOW, NOW - 1)
        self.assertEqual(self.database.query(count), [(1,)])


class SQLiteSignInTests(SignInSuite, ArchiveTestCase):
    database_class = SQLiteDatabase


class PostgreSQLSignInTests(SignInSuite, ArchiveTestCase):
    database_class = PostgreSQLDatabase
