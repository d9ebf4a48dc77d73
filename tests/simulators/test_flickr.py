"""The Flickr simulator behaves as the documentation of Flickr says, and fails only when it is told to."""

from __future__ import annotations

from argparse import ArgumentParser
from random import Random
from typing import Any
from urllib.parse import urlencode

import msgspec
from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.simulators.flickr import FlickrSimulator, Uploads, add_arguments
from tests.simulators.photos import Library, invented

NOW = 1_772_355_600
QUERY = {
    "method": "flickr.photos.search",
    "api_key": "k",
    "format": "json",
    "nojsoncallback": "1",
    "tags": "conf",
}


class LibraryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.library = Library()
        for number in range(7):
            self.library.add(invented(number, NOW + number, ("conf", "tag")))

    def ids(self, **query: str) -> list[int]:
        page = self.library.search({"tags": "conf", **query}, NOW + 100)["photos"]
        return [int(photo["id"]) - 52_980_000_000 for photo in page["photo"]]

    def test_newest_first_unless_asked_otherwise(self) -> None:
        self.assertEqual(self.ids(), [6, 5, 4, 3, 2, 1, 0])
        self.assertEqual(self.ids(sort="date-posted-asc"), [0, 1, 2, 3, 4, 5, 6])

    def test_pages(self) -> None:
        self.assertEqual(self.ids(sort="date-posted-asc", per_page="3", page="2"), [3, 4, 5])
        self.assertEqual(self.ids(per_page="3", page="9"), [])

    def test_uploads_since_inclusive(self) -> None:
        self.assertEqual(self.ids(min_upload_date=str(NOW + 5)), [6, 5])

    def test_only_with_one_of_the_tags(self) -> None:
        self.assertEqual(len(self.ids(tags="other,tag")), 7)
        self.assertEqual(self.ids(tags="other"), [])

    def test_a_search_for_nothing_is_refused(self) -> None:
        self.assertEqual(self.library.search({}, NOW)["code"], 3)

    def test_extras_are_there_only_when_asked_for(self) -> None:
        (bare,) = self.library.search({"tags": "conf", "per_page": "1"}, NOW)["photos"]["photo"]
        self.assertEqual({"dateupload", "url_m", "ownername"} & set(bare), set())
        (full,) = self.library.search({"tags": "conf", "extras": "date_upload,url_m"}, NOW)["photos"]["photo"]
        self.assertEqual({"dateupload", "url_m", "ownername"} & set(full), {"dateupload", "url_m"})


class SimulatorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.flickr = FlickrSimulator(self.clock, lambda: NOW + self.clock.seconds())
        self.http = HTTPClient(RequestTraversalAgent(self.flickr.root()))

    def request(self, method: str, path: str, parameters: dict[str, str]) -> tuple[int, bytes]:
        url = f"http://flickr.example{path}?{urlencode(parameters)}"
        sent = self.http.request(method, url, reactor=self.clock)
        response = self.successResultOf(sent)
        return response.code, self.successResultOf(response.content())

    def search(self, **changes: str) -> Any:
        status, body = self.request("GET", "/services/rest/", {**QUERY, **changes})
        self.assertEqual(status, 200)
        return msgspec.json.decode(body)

    def test_requests_are_checked_as_flickr_does(self) -> None:
        for changes, code in (
            ({"api_key": ""}, 100),
            ({"format": "xml"}, 111),
            ({"method": "flickr.test"}, 112),
        ):
            self.assertEqual(self.search(**changes)["code"], code)

    def test_an_upload_is_found_at_once_or_late(self) -> None:
        self.request("POST", "/control/upload", {"tags": "conf", "title": "Hello"})
        self.request("POST", "/control/upload", {"tags": "conf", "title": "Late", "late": "60"})
        self.assertEqual([photo["title"] for photo in self.search()["photos"]["photo"]], ["Hello"])
        self.clock.advance(60)
        self.assertEqual([photo["title"] for photo in self.search()["photos"]["photo"]], ["Late", "Hello"])

    def test_a_fault_lasts_as_long_as_asked(self) -> None:
        self.request("POST", "/control/fault", {"name": "105", "times": "2"})
        self.assertEqual([self.search()["stat"] for _ in range(3)], ["fail", "fail", "ok"])
        self.request("POST", "/control/fault", {"name": "201", "times": "0"})
        self.assertEqual([self.search()["stat"] for _ in range(3)], ["fail"] * 3)
        self.request("POST", "/control/fault", {"name": "none"})
        self.assertEqual(self.search()["stat"], "ok")

    def test_controls_say_what_they_need(self) -> None:
        status, body = self.request("POST", "/control/fault", {})
        self.assertEqual(status, 400)
        self.assertIn(b"jsonp", body)
        self.assertEqual(self.request("POST", "/control/upload", {})[0], 400)
        self.assertEqual(self.request("POST", "/control/upload", {"tags": "a", "late": "x"})[0], 400)

    def test_drawings_differ_and_stay_the_same(self) -> None:
        first, again, other = (
            self.request("GET", f"/photos/{name}.svg", {})[1] for name in ("1_m", "1_l", "2_m")
        )
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)

    def test_people_upload_and_trouble_comes_and_goes(self) -> None:
        parser = ArgumentParser()
        add_arguments(parser)
        options = parser.parse_args(["--tag", "conf", "--late", "0.5", "--fault-rate", "0.5"])
        uploads, troubled = Uploads(self.flickr, options, Random(1)), 0
        for _ in range(100):
            uploads.add()
            troubled += self.flickr.lasting is not None
        self.flickr.lasting = None
        found = len(self.search()["photos"]["photo"])
        self.assertEqual(len(self.flickr.library.photos), 100)
        self.assertTrue(30 < found < 70, found)
        self.assertTrue(30 < troubled < 70, troubled)
