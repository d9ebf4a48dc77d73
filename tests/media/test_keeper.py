"""Pictures of archived items are fetched, and go when nothing shows them any more."""

from __future__ import annotations

import contextlib
import time
from random import Random
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase

from afeed.archive.media import FAILED, KEPT, WAITING, MediaTable
from afeed.archive.store import SqlArchive
from afeed.core.draft import Draft, Posted, Removed, key
from afeed.core.hosts import AT_ONCE, SPACING_S, Hosts
from afeed.core.item import Author, Media
from afeed.media import keeper
from afeed.media.addresses import media_key
from afeed.media.fetching import Fetcher
from afeed.media.keeper import Keeper
from afeed.media.shelf import Shelf
from afeed.media.store import MediaStore
from tests.archive.support import EVENT, LINEAGE, ArchiveTestCase, PostgreSQLDatabase, logged
from tests.media.faulty import JPEG, PNG, PictureHost
from tests.media.test_fetching import nearby
from tests.web.samples import make_item


class HostTests(SynchronousTestCase):
    def test_a_host_is_asked_with_pauses_and_not_too_often_at_once(self) -> None:
        hosts = Hosts()
        self.assertEqual(hosts.wait("a", 0.0), 0.0)
        hosts.begin("a", 0.0)
        self.assertEqual(hosts.wait("a", 0.0), SPACING_S)
        self.assertEqual(hosts.wait("b", 0.0), 0.0)
        for _ in range(AT_ONCE - 1):
            hosts.begin("a", 10.0)
        self.assertGreater(hosts.wait("a", 20.0), 0.0)
        hosts.end("a")
        self.assertEqual(hosts.wait("a", 20.0), 0.0)

    def test_one_that_wants_to_be_left_alone_is(self) -> None:
        hosts = Hosts()
        hosts.begin("a", 0.0)
        hosts.pause("a", 60.0)
        hosts.pause("a", 5.0)
        hosts.end("a")
        self.assertEqual((hosts.wait("a", 1.0), hosts.wait("a", 60.0)), (59.0, 0.0))

    def test_hosts_that_were_asked_long_ago_are_not_remembered(self) -> None:
        hosts = Hosts()
        for number in range(25_000):
            hosts.begin(str(number), float(number))
            hosts.end(str(number))
        self.assertLess(len(hosts._hosts), 10_001)


class KeeperSuite:
    """Mixed into a test case per database below."""

    def setUp(self) -> None:
        super().setUp()  # type: ignore[misc]
        self.host = PictureHost(reactor)
        self.url = self.host.listen()
        self.addCleanup(self.host.close)
        self.folder = self.directory / "media"
        self.moment = 1_800_000_000.0
        self.counted: list[str] = []
        self.drafts: list[Draft] = []
        # A test has no time to be polite.
        self.patch(keeper, "IDLE_S", 0.02)
        self.patch(keeper, "BUSY_S", 0.02)
        self.patch(keeper, "COUNT_S", 0.0)

    def keeper(
        self, archive: SqlArchive, *, keeps: bool = True, most: int = 10**9, leads: bool = True
    ) -> Keeper:
        made = Keeper(
            archive,
            MediaTable(archive),
            MediaStore(self.folder),
            Fetcher(reactor, allowed=nearby, timeout_s=60.0, head_s=60.0),
            {EVENT: keeps},
            most,
            reactor,
            lambda: self.moment,
            Random(1),
            deferToThread,
            self.counted.append,
        )
        made.lead(leads)
        return made

    def run_keeper(self, archive: SqlArchive, **options: Any) -> Keeper:
        made = self.keeper(archive, **options)
        self.start(made)
        return made

    def start(self, made: Keeper) -> Deferred[None]:
        running = Deferred.fromCoroutine(made.run())
        running.addErrback(lambda _: None)

        def stop() -> Deferred[None]:
            running.cancel()
            return running

        self.addCleanup(stop)
        return running

    async def add(self, archive: SqlArchive, *drafts: Draft) -> None:
        before = len(self.drafts)
        self.drafts += drafts
        await archive.store(EVENT, LINEAGE, before, logged(self.drafts)[before:])

    def item(self, number: int, avatar: str | None = None, *photos: str, version: str = "1") -> Posted:
        item = make_item(
            number,
            author=Author(name="Ann", handle="ann", avatar=avatar and self.url + avatar),
            media=tuple(Media(type="photo", url=self.url + photo) for photo in photos),
        )
        return Posted(item, version)

    async def until(self, what: Any) -> None:
        """Return once ``what()`` is true, now or when it has been awaited."""
        deadline = time.monotonic() + 60
        while True:
            found = what()
            if hasattr(found, "__await__"):
                found = await found
            if found:
                return
            if time.monotonic() > deadline:
                raise AssertionError("it did not come to be")
            await deferLater(reactor, 0.01)

    def files(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for path in self.folder.rglob("*") if self.folder.exists() else ():
            # A folder; or one that the keeper has just deleted or given its name.
            with contextlib.suppress(IsADirectoryError, FileNotFoundError):
                found[path.suffix] = path.read_bytes()
        return found

    def states(self) -> dict[str, int]:
        return dict(self.database.query("SELECT state, count(*) FROM media GROUP BY state"))

    async def test_pictures_of_what_is_archived_are_fetched_once(self) -> None:
        archive = await self.open()
        await self.add(archive, self.item(1, "/ann.png", "/photo.jpg"), self.item(2, "/ann.png"))
        self.run_keeper(archive)
        await self.until(lambda: self.states() == {KEPT: 2})
        self.assertEqual(self.files(), {".png": PNG, ".jpg": JPEG})
        self.assertEqual(self.host.asked, {"/ann.png": 1, "/photo.jpg": 1})
        await self.add(archive, self.item(3, "/ann.png"))
        await self.until(lambda: self.database.query("SELECT count(*) FROM media_uses") == [(4,)])
        self.assertEqual(self.host.asked["/ann.png"], 1)

    async def test_without_keep_media_nothing_is_fetched(self) -> None:
        archive = await self.open()
        await self.add(archive, self.item(1, "/ann.png"))
        made = self.run_keeper(archive, keeps=False)
        await self.until(lambda: made._idle)
        await deferLater(reactor, 0.2)
        self.assertEqual((self.host.asked, self.states()), ({}, {}))
        self.assertTrue(await made.scrub())

    async def test_who_is_told_how_far_the_archive_is_does_not_ask_all_the_time(self) -> None:
        archive = await self.open()
        await self.add(archive, self.item(1, "/ann.png"))
        made = self.run_keeper(archive)
        await self.until(lambda: self.states() == {KEPT: 1})
        made.copied(EVENT, 1)
        read, asked = archive.read, []
        self.patch(archive, "read", lambda *place: asked.append(place) or read(*place))
        await deferLater(reactor, 0.3)
        self.assertEqual(asked, [])
        await self.add(archive, self.item(2, "/photo.jpg"))
        made.copied(EVENT, 2)
        await self.until(lambda: self.states() == {KEPT: 2})

    async def test_what_came_last_is_fetched_first(self) -> None:
        archive = await self.open()
        await self.add(archive, *(self.item(number, f"/nothing/{number}") for number in range(20)))
        table = MediaTable(archive)
        for first in range(0, 20, 10):
            shown = {key(f"push:{number}"): [f"{self.url}/n{number}"] for number in range(first, first + 10)}
            await table.note(EVENT, first or None, first + 10, shown, self.moment + first)
        found = await table.due(self.moment + 60, 20)
        self.assertEqual({int(one.url.rpartition("n")[2]) >= 10 for one in found[:10]}, {True})

    async def test_a_removed_item_takes_its_pictures_along_unless_another_shows_them(self) -> None:
        archive = await self.open()
        await self.add(archive, self.item(1, "/ann.png", "/photo.jpg"), self.item(2, "/ann.png"))
        made = self.run_keeper(archive)
        await self.until(lambda: self.states() == {KEPT: 2})
        await self.add(archive, Removed("push:1"))
        await self.until(lambda: self.files() == {".png": PNG})
        await self.add(archive, Removed("push:2"))
        await self.until(lambda: self.files() == {})
        await self.until(made.scrub)
        self.assertEqual(self.states(), {})
        # Whoever reads the files of the database finds no address of hers either.
        await self.until(lambda: self.url.encode() not in self.database.everything())

    async def test_an_event_whose_pictures_are_kept_no_more_lets_them_go_all_the_same(self) -> None:
        archive = await self.open()
        await self.add(archive, self.item(1, "/ann.png"))
        running = self.start(first := self.keeper(archive))
        await self.until(lambda: self.states() == {KEPT: 1})
        running.cancel()
        await running
        first.lead(False)
        await self.add(archive, Removed("push:1"), self.item(2, "/photo.jpg"))
        self.run_keeper(archive, keeps=False)
        await self.until(lambda: self.files() == {})
        self.assertEqual(self.host.asked, {"/ann.png": 1})

    async def test_an_edit_lets_go_of_what_it_shows_no_more(self) -> None:
        archive = await self.open()
        await self.add(archive, self.item(1, "/ann.png"))
        self.run_keeper(archive)
        await self.until(lambda: self.states() == {KEPT: 1})
        await self.add(archive, self.item(1, "/photo.jpg", version="2"))
        await self.until(lambda: self.files() == {".jpg": JPEG} and self.states() == {KEPT: 1})

    async def test_the_same_picture_from_two_places_is_one_file_and_goes_with_the_last(self) -> None:
        self.host.pictures["/copy.png"] = PNG
        archive = await self.open()
        await self.add(archive, self.item(1, "/ann.png"), self.item(2, "/copy.png"))
        made = self.run_keeper(archive)
        await self.until(lambda: self.states() == {KEPT: 2})
        await self.until(lambda: made.standing.size == len(PNG))
        await self.add(archive, Removed("push:1"))
        await self.until(made.scrub)
        self.assertEqual(self.files(), {".png": PNG})
        await self.add(archive, Removed("push:2"))
        await self.until(lambda: self.files() == {})

    async def test_one_removed_while_it_is_fetched_leaves_nothing(self) -> None:
        archive = await self.open()
        await self.add(archive, self.item(1, "/slow"))
        self.run_keeper(archive)
        await self.until(lambda: self.host.asked["/slow"] == 1)
        await self.add(archive, Removed("push:1"))
        await self.until(lambda: self.states() == {})
        table = MediaTable(archive)
        kept = MediaStore(self.folder).put(PNG, "png")
        self.assertFalse(await table.keep(media_key(f"{self.url}/slow"), kept, self.moment))
        await self.until(lambda: self.files() == {})

    async def test_what_is_no_picture_is_given_up_and_what_may_be_later_is_asked_again_later(self) -> None:
        archive = await self.open()
        await self.add(archive, self.item(1, None, "/html", "/nothing", "/broken", "/ann.png"))
        made = self.run_keeper(archive)
        await self.until(lambda: self.states() == {FAILED: 2, KEPT: 1, WAITING: 1})
        tried = f"SELECT attempts FROM media WHERE state = '{WAITING}'"
        await self.until(lambda: self.database.query(tried) == [(1,)])
        await deferLater(reactor, 0.3)
        self.assertEqual(self.host.asked["/broken"], 1)
        self.host.pictures["/broken"] = JPEG
        self.moment += keeper.FIRST_RETRY_S + 1
        await self.until(lambda: self.states() == {FAILED: 2, KEPT: 2})
        self.assertEqual(self.host.asked["/html"], 1)
        await self.until(lambda: (made.standing.kept, made.standing.failed) == (2, 2))
        check = made.check()
        self.assertEqual((check.state, check.data["kept"], check.data["failed"]), ("ok", 2, 2))
        self.assertIn("127.0.0.1", check.data["last_error"])

    async def test_a_picture_that_never_comes_is_given_up_after_some_attempts(self) -> None:
        archive = await self.open()
        await self.add(archive, self.item(1, "/broken"))
        self.run_keeper(archive)
        for attempt in range(1, keeper.ATTEMPTS + 1):
            await self.until(lambda attempt=attempt: self.host.asked["/broken"] >= attempt)
            await self.until(
                lambda attempt=attempt: (
                    self.database.query("SELECT attempts, state FROM media")
                    in ([(attempt, WAITING)], [(attempt - 1, FAILED)])
                )
            )
            self.moment += keeper.LAST_RETRY_S + 1
        await self.until(lambda: self.states() == {FAILED: 1})
        self.assertEqual(self.host.asked["/broken"], keeper.ATTEMPTS)

    async def test_a_host_that_is_asked_too_often_is_left_alone_as_long_as_it_wants(self) -> None:
        self.host.busy, self.host.retry_after = True, b"600"
        archive = await self.open()
        await self.add(archive, self.item(1, "/ann.png"), self.item(2, "/photo.jpg"))
        made = self.run_keeper(archive)
        await self.until(lambda: sum(self.host.asked.values()) >= 1)
        await self.until(
            lambda: not made._running and made._hosts._hosts["127.0.0.1"].free_at > reactor.seconds() + 5
        )
        asked = sum(self.host.asked.values())
        self.moment += 3600
        await deferLater(reactor, 0.5)
        self.assertEqual(sum(self.host.asked.values()), asked)
        self.host.busy = False
        made._hosts._hosts["127.0.0.1"].free_at = 0.0
        await self.until(lambda: self.states() == {KEPT: 2})

    async def test_another_process_goes_on_with_what_one_left(self) -> None:
        archive = await self.open()
        await self.add(archive, self.item(1, "/slow", "/ann.png"))
        running = self.start(first := self.keeper(archive))
        await self.until(lambda: self.states() == {KEPT: 1, WAITING: 1} and self.host.asked["/slow"] == 1)
        running.cancel()
        await running
        self.assertEqual(first._running, {})
        self.host.pictures["/slow"] = JPEG
        self.run_keeper(archive)
        await self.until(lambda: self.states() == {KEPT: 2})
        self.assertEqual(self.host.asked["/ann.png"], 1)

    async def test_what_a_dead_process_left_behind_is_deleted_at_the_start(self) -> None:
        archive = await self.open()
        await self.add(archive, self.item(1, "/ann.png"))
        running = self.start(self.keeper(archive))
        await self.until(lambda: self.states() == {KEPT: 1})
        running.cancel()
        await running
        MediaStore(self.folder).put(JPEG, "jpg")
        made = self.run_keeper(archive, leads=False)
        await self.until(lambda: made._gone is not None)
        self.assertEqual(self.files(), {".png": PNG})

    async def test_beyond_the_limit_of_the_disk_pictures_wait_and_health_says_so(self) -> None:
        archive = await self.open()
        await self.add(archive, self.item(1, "/photo.jpg"))
        made = self.run_keeper(archive, most=len(JPEG))
        await self.until(lambda: self.states() == {KEPT: 1})
        await self.add(archive, self.item(2, "/ann.png"))
        await self.until(lambda: made.check().state == "degraded")
        self.assertIn("max_media_bytes", made.check().detail)
        self.assertEqual(self.host.asked, {"/photo.jpg": 1})

    async def test_a_disk_that_takes_nothing_costs_no_picture(self) -> None:
        self.folder.write_text("in the way")
        archive = await self.open()
        await self.add(archive, self.item(1, "/ann.png"))
        made = self.run_keeper(archive)
        await self.until(lambda: made.check().state == "degraded")
        self.assertEqual(self.states(), {WAITING: 1})
        self.folder.unlink()
        self.moment += keeper.DISK_RETRY_S + 1
        await self.until(lambda: self.states() == {KEPT: 1})
        await self.until(lambda: made.check().state == "ok")

    async def test_every_node_deletes_its_own_files(self) -> None:
        archive = await self.open()
        await self.add(archive, self.item(1, "/ann.png"))
        self.run_keeper(archive)
        await self.until(lambda: self.states() == {KEPT: 1})
        shared, self.folder = self.folder, self.directory / "elsewhere"
        follower = self.run_keeper(archive, leads=False)
        MediaStore(self.folder).put(PNG, "png")
        await self.until(lambda: follower._gone is not None)
        await self.add(archive, Removed("push:1"))
        await self.until(lambda: self.files() == {})
        self.folder = shared
        await self.until(lambda: self.files() == {})

    async def test_a_node_fetches_what_only_another_has(self) -> None:
        archive = await self.open()
        await self.add(archive, self.item(1, "/ann.png", "/photo.jpg"))
        self.run_keeper(archive)
        await self.until(lambda: self.states() == {KEPT: 2})
        table, store = MediaTable(archive), MediaStore(self.directory / "elsewhere")
        shelf = Shelf(table, store, Fetcher(reactor, allowed=nearby), reactor, deferToThread)
        key = media_key(f"{self.url}/ann.png")
        self.assertIsNone(await shelf.by_key(key))
        found: list[Any] = []

        async def look() -> bool:
            found[:] = [await shelf.by_key(key)]
            return found[0] is not None

        await self.until(lambda: Deferred.fromCoroutine(look()))
        kept, file = found[0]
        with file:
            self.assertEqual((file.seek(0), file.read(), kept.kind, kept.size), (0, PNG, "png", len(PNG)))
        self.assertEqual(self.host.asked["/ann.png"], 2)
        # What is another picture by now is not shown in its place.
        self.host.pictures["/photo.jpg"] = JPEG + b"!"
        self.assertIsNone(await shelf.by_key(media_key(f"{self.url}/photo.jpg")))
        await self.until(lambda: self.host.asked["/photo.jpg"] == 2)
        await deferLater(reactor, 0.1)
        self.assertIsNone(await shelf.by_key(media_key(f"{self.url}/photo.jpg")))
        self.assertEqual(self.host.asked["/photo.jpg"], 2)


class SQLiteKeeperTests(KeeperSuite, ArchiveTestCase):
    pass


class PostgreSQLKeeperTests(KeeperSuite, ArchiveTestCase):
    database_class = PostgreSQLDatabase
