"""The Flickr poller and the simulator on a real socket; only the waiting is done by a clock in hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from afeed.sources.flickr import FlickrPoller
from afeed.sources.http import make_client
from tests.servers.process import PATIENCE_S, free_port
from tests.simulators.flickr import FlickrSimulator
from tests.simulators.flickrfaults import FAULTS
from tests.simulators.photos import invented
from tests.sources.flickrcase import KEY, NOW, Sink, make_poller


class SocketTests(TestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.flickr = FlickrSimulator(reactor, lambda: NOW + self.clock.seconds(), key=KEY)
        self.flickr.listen()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.flickr.stop()))
        self.sink = Sink()
        self.photo = invented(1, NOW - 60)
        self.flickr.library.add(self.photo)

    def start(self) -> FlickrPoller:
        poller = make_poller(make_client(reactor), self.flickr.url, self.clock)
        running = Deferred.fromCoroutine(poller.run(self.sink))
        running.addErrback(lambda failure: failure.trap(CancelledError))

        def stop() -> Deferred[Any]:
            running.cancel()
            return running

        self.addCleanup(stop)
        return poller

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Real time passes until ``condition()`` holds, at most a minute."""
        deadline = reactor.seconds() + PATIENCE_S
        while not condition():
            self.assertLess(reactor.seconds(), deadline, f"waited in vain for {what}")
            await deferLater(reactor, 0.01)

    async def _survives(self, fault: str) -> None:
        """The next search meets ``fault``; the photo arrives all the same."""
        self.flickr.faults.append(fault)
        poller = self.start()
        await self.until(lambda: self.flickr.requests, "the first search")
        if fault in ("silent", "dribble"):
            self.assertEqual(self.sink.ids, [])
            self.clock.advance(21.0)
        await self.until(lambda: poller.check().data["failures"] == 1, "the fault to be noticed")
        self.assertEqual(self.sink.ids, [])
        self.clock.advance(901.0)
        await self.until(lambda: self.sink.ids, "the photo")
        self.assertEqual(self.sink.ids, [self.photo.id])
        await self.until(lambda: poller.check().state == "ok", "a good check")

    async def test_photos_arrive(self) -> None:
        self.start()
        await self.until(lambda: self.sink.ids, "the photo")
        (post,) = self.sink.offers[0][0]
        self.assertEqual(
            post.item.media[0].url, f"http://127.0.0.1:{self.flickr.port}/photos/{self.photo.id}_l.svg"
        )

    async def test_the_pictures_are_there(self) -> None:
        self.start()
        await self.until(lambda: self.sink.ids, "the photo")
        response = await make_client(reactor).get(self.sink.offers[0][0][0].item.media[0].url)
        self.assertEqual(response.headers.getRawHeaders("Content-Type"), ["image/svg+xml"])
        self.assertTrue((await response.content()).startswith(b"<svg "))

    async def test_a_wrapped_answer_is_understood(self) -> None:
        self.flickr.faults.append("jsonp")
        self.start()
        await self.until(lambda: self.sink.ids, "the photo")

    async def test_a_server_that_is_away_is_found_when_it_is_back(self) -> None:
        await self.flickr.stop()
        self.flickr.port = port = free_port()  # nobody else takes that meanwhile
        poller = self.start()
        await self.until(lambda: poller.check().data["failures"] == 1, "the fault to be noticed")
        self.assertIn(f"127.0.0.1:{port}", poller.check().detail)
        self.assertNotIn(KEY, poller.check().detail)
        self.flickr.listen(port)
        self.clock.advance(20.0)
        await self.until(lambda: self.sink.ids, "the photo")

    async def test_an_answer_that_is_too_large_is_asked_for_in_smaller_pages(self) -> None:
        await self._survives("endless")
        self.assertEqual([asked["per_page"] for asked in self.flickr.requests], ["500", "250"])

    async def test_cancelling_during_a_search_closes_the_connection(self) -> None:
        self.flickr.lasting = "dribble"
        poller = make_poller(make_client(reactor), self.flickr.url, self.clock)
        running = Deferred.fromCoroutine(poller.run(self.sink))
        await self.until(lambda: self.flickr.requests, "the search")
        running.cancel()
        with self.assertRaises(CancelledError):
            await running
        await self.until(lambda: self.flickr.connections == 0, "the connection's end")


def _fault_test(fault: str) -> Callable[[SocketTests], Any]:
    async def test(self: SocketTests) -> None:
        await self._survives(fault)

    return test


for _fault in sorted(FAULTS.keys() - {"jsonp"}):
    setattr(SocketTests, f"test_fault_{_fault}_costs_time_but_no_photo", _fault_test(_fault))
