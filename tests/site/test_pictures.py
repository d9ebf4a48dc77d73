"""Pictures of a copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import structs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.item import Author, Item, Media
from afeed.media.fetching import NotNow, Picture, Unfit
from afeed.site.pictures import Gathered, PictureFolder, fetch, wanted
from tests.fakes import an_item

JPEG = b"\xff\xd8\xff" + b"0" * 100


def pictured(number: int, *urls: str) -> Item:
    media = tuple(Media(type="photo", url=url) for url in urls)
    return structs.replace(
        an_item(number), media=media, author=Author(name="Ann", avatar="https://p.example/ann.png")
    )


class FakeFetcher:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, Any] = {}

    def fetch(self, url: str) -> Deferred[Picture]:
        self.asked.append(url)
        answer = self.answers.get(url, Unfit("no picture"))
        return fail(answer) if isinstance(answer, Exception) else succeed(answer)


class PictureTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.mkdir(parents=True)
        self.folder = PictureFolder(self.path)
        self.gathered = Gathered()
        self.fetcher: Any = FakeFetcher()

    def test_what_is_there_or_kept_is_not_fetched(self) -> None:
        self.folder.put("https://p.example/1.jpg", JPEG, "jpg")
        kept = {"https://p.example/2.png": (b"\x89PNG", "png")}
        items = [
            pictured(1, "https://p.example/1.jpg", "https://p.example/2.png"),
            pictured(2, "https://p.example/3.jpg"),
        ]
        found = wanted(items, self.folder, kept.get, self.gathered)
        self.assertEqual(found, ["https://p.example/ann.png", "https://p.example/3.jpg"])
        self.assertEqual(self.gathered.there, 2)
        self.assertTrue((self.folder.place("https://p.example/2.png") or "").endswith(".png"))

    def test_what_cannot_be_had_stays_where_it_is(self) -> None:
        self.fetcher.answers = {
            "https://p.example/a": Picture(JPEG, "jpg"),
            "https://p.example/b": NotNow("later"),
        }
        done = Deferred.fromCoroutine(
            fetch([f"https://p.example/{name}" for name in "abc"], self.folder, self.fetcher, self.gathered)
        )
        self.successResultOf(done)
        self.assertEqual((self.gathered.fetched, self.gathered.missing), (1, 2))
        self.assertRegex(self.folder.place("https://p.example/a") or "", r"\Aimages/[0-9a-f]{32}\.jpg\Z")
        self.assertIsNone(self.folder.place("https://p.example/b"))

    def test_half_a_picture_that_somebody_left_is_thrown_away(self) -> None:
        self.folder.put("https://p.example/a", JPEG, "jpg")
        place = self.path / (self.folder.place("https://p.example/a") or "")
        half = place.with_name("half.part")
        half.write_bytes(b"ha")
        again = PictureFolder(self.path)
        self.assertFalse(half.exists())
        self.assertIsNotNone(again.place("https://p.example/a"))

    def test_a_defect_is_not_taken_for_a_missing_picture(self) -> None:
        self.fetcher.answers = {"https://p.example/a": ZeroDivisionError()}
        done = Deferred.fromCoroutine(fetch(["https://p.example/a"], self.folder, self.fetcher, self.gathered))
        self.failureResultOf(done)

    def test_pictures_on_this_server_are_no_business_of_the_network(self) -> None:
        self.assertIsNone(self.folder.place("/static/demo/stage.svg"))
        self.assertIsNone(self.folder.place("javascript:alert(1)"))
        item = structs.replace(an_item(1), media=(Media(type="photo", url="/static/demo/stage.svg"),))
        self.assertEqual(wanted([item], self.folder, lambda _: None, self.gathered), [])
