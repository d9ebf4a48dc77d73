"""Finding the files of pictures, for thousands who ask at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.errors import ArchiveUnavailable
from afeed.media import shelf
from afeed.media.fetching import NotNow
from afeed.media.shelf import Shelf
from afeed.media.store import Kept, MediaStore

KEY, OTHER = b"k" * 16, b"o" * 16
PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 100


class Table:
    """What the database knows, and how often it was asked for what."""

    def __init__(self) -> None:
        self.known: dict[bytes, tuple[str, Kept | None]] = {}
        self.asked: list[list[bytes]] = []
        self.away = False

    def find(self, keys: list[bytes]) -> Deferred[Any]:
        self.asked.append(sorted(keys))
        if self.away:
            return fail(ArchiveUnavailable("away"))
        return succeed({key: self.known[key] for key in keys if key in self.known})


class Fetching:
    def __init__(self) -> None:
        self.urls: list[str] = []

    def fetch(self, url: str) -> Deferred[Any]:
        self.urls.append(url)
        return fail(NotNow("not now"))


def at_once(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
    return succeed(function(*arguments))


class ShelfTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.table = Table()
        self.fetching = Fetching()
        self.store = MediaStore(Path(self.mktemp()))
        table: Any = self.table
        fetching: Any = self.fetching
        self.shelf = Shelf(table, self.store, fetching, self.clock, at_once)
        self.kept = self.store.put(PNG, "png")
        self.table.known[KEY] = ("https://pics.example/a.png", self.kept)

    def ask(self, key: bytes = KEY) -> Deferred[Any]:
        found = Deferred.fromCoroutine(self.shelf.by_key(key))
        found.addCallback(lambda one: one and (one[1].close(), one[0])[1])
        return found

    def now(self, key: bytes = KEY) -> Any:
        asked = self.ask(key)
        self.clock.advance(shelf.TOGETHER_S)
        return self.successResultOf(asked)

    def test_a_file_is_found_by_what_the_item_shows(self) -> None:
        self.assertEqual(self.now(), self.kept)
        self.assertIsNone(self.now(OTHER))

    def test_many_who_ask_at_once_are_one_question(self) -> None:
        asked = [self.ask(KEY) for _ in range(100)] + [self.ask(OTHER)]
        self.clock.advance(shelf.TOGETHER_S)
        self.assertEqual([self.successResultOf(one) for one in asked], [self.kept] * 100 + [None])
        self.assertEqual(self.table.asked, [[KEY, OTHER]])

    def test_an_answer_is_good_for_a_moment_and_no_longer(self) -> None:
        self.now()
        del self.table.known[KEY]
        self.clock.advance(shelf.FRESH_S - 0.1)
        self.assertEqual(self.now(), self.kept)
        self.assertEqual(len(self.table.asked), 1)
        self.clock.advance(0.2)
        self.assertIsNone(self.now())

    def test_one_that_was_not_there_is_there_a_moment_after_it_is(self) -> None:
        self.table.known[KEY] = ("https://pics.example/a.png", None)
        self.assertIsNone(self.now())
        self.table.known[KEY] = ("https://pics.example/a.png", self.kept)
        self.clock.advance(shelf.FRESH_S)
        self.assertEqual(self.now(), self.kept)

    def test_while_the_database_is_away_what_is_known_is_shown(self) -> None:
        self.now()
        self.table.away = True
        self.clock.advance(60.0)
        self.assertEqual(self.now(), self.kept)
        asked = self.ask(OTHER)
        self.clock.advance(shelf.TOGETHER_S)
        self.failureResultOf(asked, ArchiveUnavailable)

    def test_no_more_than_so_many_answers_are_remembered(self) -> None:
        self.patch(shelf, "REMEMBERED", 10)
        for number in range(50):
            self.now(number.to_bytes(16))
        self.assertEqual((len(self.shelf._known), len(self.shelf._asked)), (10, 10))

    def test_a_file_that_only_another_node_has_is_not_asked_for_again_and_again(self) -> None:
        self.store.drop(self.kept.sha256, "png")
        for _ in range(5):
            self.assertIsNone(self.now())
        self.assertEqual(self.fetching.urls, ["https://pics.example/a.png"])
        self.clock.advance(shelf.LACKING_RETRY_S)
        self.assertIsNone(self.now())
        self.assertEqual(len(self.fetching.urls), 2)
