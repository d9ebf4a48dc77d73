"""Reading schedules from files and addresses, again only when they have changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from afeed.core.schedule.limits import MAX_BYTES
from afeed.core.schedule.model import Schedule
from afeed.schedules.kept import Kept, Shelf
from afeed.schedules.origin import Content, FileOrigin, Mark, OriginFault, UrlOrigin
from afeed.sources.http import make_client
from tests.configuration.files import temporary_folder, without_privileges


def at_once(function: Callable[[], Content]) -> Deferred[Content]:
    return succeed(None).addCallback(lambda _: function())


class FileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = temporary_folder(self) / "schedule.toml"
        self.origin = FileOrigin(self.path, at_once)

    def read(self, known: Mark | None = None) -> Content:
        return self.successResultOf(Deferred.fromCoroutine(self.origin.read(known or Mark())))

    def fault(self) -> str:
        return str(self.failureResultOf(Deferred.fromCoroutine(self.origin.read(Mark())), OriginFault).value)

    def test_it_is_read_again_when_it_has_changed(self) -> None:
        self.path.write_bytes(b"one")
        first = self.read()
        self.assertEqual(first.data, b"one")
        self.assertEqual(self.read(first.mark), Content(None, first.mark))
        self.path.write_bytes(b"two")
        os.utime(self.path, ns=(1, 1))
        second = self.read(first.mark)
        self.assertEqual(second.data, b"two")
        os.utime(self.path, ns=(2, 2))
        touched = self.read(second.mark)
        self.assertIsNone(touched.data, "a new date alone is no new version")
        self.assertNotEqual(touched.mark, second.mark)

    def test_a_file_that_cannot_be_read_says_why(self) -> None:
        self.assertEqual(self.fault(), f"{self.path} cannot be read (No such file or directory)")
        self.path.mkdir()
        self.assertEqual(self.fault(), f"{self.path} is not a regular file")
        self.path.rmdir()
        os.mkfifo(self.path)
        self.assertEqual(self.fault(), f"{self.path} is not a regular file")

    def test_import_34_a_file_without_permission(self) -> None:
        self.path.write_bytes(b"x")
        self.path.chmod(0)
        with without_privileges():
            self.assertEqual(self.fault(), f"{self.path} cannot be read (Permission denied)")

    def test_no_more_is_read_than_is_allowed(self) -> None:
        with self.path.open("wb") as stream:
            stream.truncate(MAX_BYTES + 1_000_000)
        data = self.read().data
        assert data is not None
        self.assertEqual(len(data), MAX_BYTES + 1)


class Export(Resource):
    """Serves ``body`` with an ETag, and what else a test asks for."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.body = b"<schedule/>"
        self.etag: str | None = '"v1"'
        self.status = 200
        self.location: str | None = None
        self.conditions: list[dict[str, str]] = []

    def render_GET(self, request: Request) -> bytes:
        wanted = ("if-none-match", "if-modified-since", "cookie", "authorization")
        self.conditions.append(
            {name: value for name in wanted if (value := request.getHeader(name)) is not None}
        )
        request.setResponseCode(self.status)
        if self.location is not None:
            request.setHeader("Location", self.location)
        if self.status != 200:
            return b"no"
        request.setHeader("Last-Modified", "Sat, 21 Nov 2026 08:00:00 GMT")
        if self.etag is not None:
            request.setETag(self.etag.encode())
            if request.getHeader("if-none-match") == self.etag:
                request.setResponseCode(304)
                return b""
        return self.body


class UrlTests(TestCase):
    def setUp(self) -> None:
        self.export = Export()
        port: Any = reactor.listenTCP(0, Site(self.export), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.host = f"127.0.0.1:{port.getHost().port}"
        self.origin = UrlOrigin(f"http://{self.host}/schedule.xml?lang=en", make_client(reactor), reactor)

    async def fault(self) -> str:
        with self.assertRaises(OriginFault) as caught:
            await self.origin.read(Mark())
        return str(caught.exception)

    async def test_it_is_sent_again_when_it_has_changed(self) -> None:
        first = await self.origin.read(Mark())
        self.assertEqual(first.data, b"<schedule/>")
        again = await self.origin.read(first.mark)
        self.assertEqual(again, Content(None, first.mark))
        self.assertEqual(
            self.export.conditions,
            [{}, {"if-none-match": '"v1"', "if-modified-since": "Sat, 21 Nov 2026 08:00:00 GMT"}],
        )
        self.export.etag, self.export.body = '"v2"', b"<schedule>2</schedule>"
        self.assertEqual((await self.origin.read(first.mark)).data, b"<schedule>2</schedule>")

    async def test_a_server_that_knows_no_conditions_is_compared_by_content(self) -> None:
        self.export.etag = None
        first = await self.origin.read(Mark())
        self.assertIsNone((await self.origin.read(first.mark)).data)

    async def test_faults_are_sentences(self) -> None:
        self.export.status = 404
        self.assertEqual(await self.fault(), f"{self.host} answers with HTTP status 404")
        self.export.status, self.export.location = 302, "https://login.example/"
        self.assertEqual(
            await self.fault(),
            f"{self.host} redirects; put the address that it leads to into the configuration",
        )
        self.export.status, self.export.location, self.export.body = 200, None, b"x" * (MAX_BYTES + 1)
        self.assertIn("is larger than", await self.fault())


class KeptTests(SynchronousTestCase):
    """Beside what is read: what is stored of it."""

    def test_a_kill_while_storing_leaves_the_old_version(self) -> None:
        folder = Path(self.mktemp())
        shelf = Shelf(folder)
        self.assertIsNone(shelf.load("one"))
        kept = Kept(schedule=Schedule(timezone="UTC"), asked="a", format="toml", read_at=1.0, mark=Mark())
        shelf.store("one", kept)
        (folder / "one.new").write_bytes(b'{"sched')  # what a kill in the middle leaves behind
        self.assertEqual(shelf.load("one"), kept)
        shelf.store("one", kept)
        self.assertEqual([path.name for path in folder.iterdir()], ["one.json"])
