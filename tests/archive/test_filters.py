"""One suite for SQLite and PostgreSQL: what organisers keep from the screen."""

from __future__ import annotations

from twisted.logger import formatEvent, globalLogPublisher

from afeed.archive.filters import Changed, FilterStore
from afeed.archive.moderation import Action, ModerationStore
from afeed.core.filters import Filters
from tests.archive.support import ArchiveTestCase, PostgreSQLDatabase, SQLiteDatabase

AT = "2026-11-22T12:00:00.000Z"
FILTERS = Filters(
    mode="hold",
    hold_s=2.5,
    muted=("漢字", "#ad", "'; --"),
    trusted=("@ann",),
    hide_replies=True,
    per_author_per_minute=3,
)


def did(action: str, subject: str = "hold") -> Action:
    return Action(AT, "ann", "192.0.2.7", action, "e", subject)


class FilterSuite:
    """Mixed into a test case per database below."""

    async def test_what_was_changed_is_kept_until_it_is_forgotten(self) -> None:
        archive = await self.open()
        store, trail = FilterStore(archive), ModerationStore(archive)
        self.assertEqual(await store.changed(), {})
        await store.change("e", Changed(FILTERS, AT, "ann"), did("filters"))
        await store.change("other", Changed(Filters(mode="approve"), AT, "ben"), did("filters"))
        again = FilterStore(await self.open())
        self.assertEqual((await again.changed())["e"], Changed(FILTERS, AT, "ann"))
        count = await trail.count()
        await again.change("e", Changed(Filters(), AT, "ben"), did("filters"))
        self.assertEqual((await store.changed())["e"], Changed(Filters(), AT, "ben"))
        await store.forget("e", did("unfilter"))
        self.assertEqual(list(await store.changed()), ["other"])
        # Each is an action, by which other nodes notice that they have to look.
        self.assertEqual(await trail.count(), count + 2)
        self.assertEqual([one.action for one in await trail.actions(2)], ["unfilter", "filters"])

    async def test_what_is_done_elsewhere_is_put_on_record(self) -> None:
        archive = await self.open()
        store, trail = FilterStore(archive), ModerationStore(archive)
        actions = [did("show", "push:1"), did("show", "push:\0")]
        await store.note(actions)
        self.assertEqual([one.subject for one in await trail.actions(5)], ["push:\\0", "push:1"])

    async def test_what_cannot_be_read_is_told_and_the_configuration_applies(self) -> None:
        store = FilterStore(await self.open())
        await store.change("e", Changed(FILTERS, AT, "ann"), did("filters"))
        self.database.query("UPDATE event_filters SET settings = 'nonsense'")
        told: list[str] = []
        observer = lambda event: told.append(formatEvent(event))  # noqa: E731
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.assertEqual(await store.changed(), {})
        self.assertIn("cannot be read", "\n".join(told))


class SQLiteFilterTests(FilterSuite, ArchiveTestCase):
    database_class = SQLiteDatabase


class PostgreSQLFilterTests(FilterSuite, ArchiveTestCase):
    database_class = PostgreSQLDatabase
