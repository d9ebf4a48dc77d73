"""Links to reports in the database: made, looked at, revoked, and never readable there."""

from __future__ import annotations

from afeed.archive.moderation import Action, ModerationStore
from afeed.archive.report_links import Link, ReportLinks
from afeed.core.errors import ArchiveUnavailable
from afeed.core.sessions import fingerprint, new_id
from tests.archive.support import ArchiveTestCase, PostgreSQLDatabase, SQLiteDatabase

AT = "2026-11-21T12:00:00.000Z"


def action(what: str = "make-report-link", talk: str = "seams") -> Action:
    return Action(AT, "ann", "192.0.2.7", what, "conf", talk)


class LinkSuite:
    async def test_a_key_opens_the_report_of_its_talk_and_no_other(self) -> None:
        links = ReportLinks(await self.open())
        key = new_id()
        await links.make(fingerprint(key), Link("conf", "seams", AT, "ann"), [], action())
        self.assertTrue(await links.opens("conf", "seams", fingerprint(key)))
        for event, talk, other in (("conf", "grid", key), ("other", "seams", key), ("conf", "seams", new_id())):
            self.assertFalse(await links.opens(event, talk, fingerprint(other)))

    async def test_a_new_link_revokes_the_earlier_one(self) -> None:
        links = ReportLinks(await self.open())
        keys = [new_id(), new_id()]
        await links.make(fingerprint(keys[0]), Link("conf", "old-id", AT, "ann"), [], action(talk="old-id"))
        await links.make(fingerprint(keys[1]), Link("conf", "seams", AT, "bo"), ["old-id"], action())
        self.assertFalse(await links.opens("conf", "old-id", fingerprint(keys[0])))
        self.assertTrue(await links.opens("conf", "seams", fingerprint(keys[1])))
        self.assertEqual(await links.of("conf"), {"seams": Link("conf", "seams", AT, "bo")})

    async def test_a_link_can_be_revoked_once(self) -> None:
        links = ReportLinks(await self.open())
        key = fingerprint(new_id())
        await links.make(key, Link("conf", "seams", AT, "ann"), [], action())
        self.assertTrue(await links.revoke("conf", ["seams"], action("revoke-report-link")))
        self.assertFalse(await links.opens("conf", "seams", key))
        self.assertFalse(await links.revoke("conf", ["seams"], action("revoke-report-link")))
        self.assertEqual(await links.of("conf"), {})

    async def test_who_did_it_is_on_record_once(self) -> None:
        archive = await self.open()
        links = ReportLinks(archive)
        await links.make(fingerprint(new_id()), Link("conf", "seams", AT, "ann"), [], action())
        await links.revoke("conf", ["seams"], action("revoke-report-link"))
        await links.revoke("conf", ["seams"], action("revoke-report-link"))
        done = [(one.action, one.account, one.subject) for one in await ModerationStore(archive).actions(9)]
        self.assertEqual(done, [("revoke-report-link", "ann", "seams"), ("make-report-link", "ann", "seams")])

    async def test_the_day_of_its_last_use_is_noted(self) -> None:
        links = ReportLinks(await self.open())
        await links.make(fingerprint(new_id()), Link("conf", "seams", AT, "ann"), [], action())
        for day in ("2026-11-22", "2026-11-21"):
            await links.used("conf", "seams", day)
        self.assertEqual((await links.of("conf"))["seams"].used_at, "2026-11-22")

    async def test_the_database_does_not_have_the_key(self) -> None:
        links = ReportLinks(await self.open())
        key = new_id()
        await links.make(fingerprint(key), Link("conf", "seams", AT, "ann"), [], action())
        self.assertNotIn(key.encode(), self.database.everything())

    async def test_while_it_is_away_nothing_is_opened(self) -> None:
        links = ReportLinks(self.make())
        await self.assertFailure(links.opens("conf", "seams", fingerprint(new_id())), ArchiveUnavailable)


class SQLiteLinkTests(LinkSuite, ArchiveTestCase):
    database_class = SQLiteDatabase


class PostgreSQLLinkTests(LinkSuite, ArchiveTestCase):
    database_class = PostgreSQLDatabase
