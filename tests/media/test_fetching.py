"""Fetching a picture from a host with faults."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from afeed.core.networks import is_public
from afeed.media.fetching import Fetcher, NotNow, Unfit
from afeed.sources.http import USER_AGENT
from tests.media.faulty import JPEG, PNG, PictureHost


def nearby(address: str) -> bool:
    """The one address on this machine that tests allow: others, such as ``::1`` or ``127.0.0.2``, stay out."""
    return address == "127.0.0.1" or is_public(address)


class FetchCase(TestCase):
    timeout = 180

    def setUp(self) -> None:
        self.host = PictureHost(reactor)
        self.url = self.host.listen()
        self.addCleanup(self.host.close)

    def fetcher(self, **options: Any) -> Fetcher:
        return Fetcher(
            reactor, **{"allowed": nearby, "limit": 100_000, "timeout_s": 60.0, "head_s": 60.0, **options}
        )

    async def failing(self, kind: type[Exception], url: str, **options: Any) -> Any:
        path = url if "://" in url or not url.startswith("/") else self.url + url
        return await self.assertFailure(self.fetcher(**options).fetch(path), kind)


class FetchTests(FetchCase):
    async def test_a_picture_is_what_it_begins_with_whatever_the_host_says(self) -> None:
        found = await self.fetcher().fetch(f"{self.url}/ann.png")
        self.assertEqual((found.kind, found.body), ("png", PNG))
        found = await self.fetcher().fetch(f"{self.url}/photo.jpg")
        self.assertEqual((found.kind, found.body), ("jpg", JPEG))

    async def test_a_host_learns_nothing_of_who_looks(self) -> None:
        await self.fetcher().fetch(f"{self.url}/ann.png#part")
        sent = {name.lower(): values for name, values in self.host.headers.items()}
        self.assertEqual(sent[b"user-agent"], [USER_AGENT.encode()])
        self.assertEqual(
            set(sent) - {b"user-agent", b"host", b"accept", b"accept-encoding", b"connection"}, set()
        )

    async def test_what_is_no_picture_is_never_asked_for_again(self) -> None:
        for path in ("/html", "/svg", "/empty", "/unpacks", "/nothing", "/nowhere", "/round"):
            await self.failing(Unfit, path)
        self.assertEqual(self.host.asked["/round"], 6)

    async def test_faults_that_pass_are_told_from_those_that_do_not(self) -> None:
        self.assertIsNone((await self.failing(NotNow, "/broken")).wait_s)
        self.assertEqual((await self.failing(NotNow, "/busy")).wait_s, 7.0)
        await self.failing(NotNow, "/truncated")
        await self.failing(NotNow, "http://127.0.0.1:1081/nobody-listens.png")

    async def test_one_that_is_too_large_is_left_as_soon_as_that_is_known(self) -> None:
        self.assertIn("larger", str(await self.failing(Unfit, "/huge")))
        self.assertIn("larger", str(await self.failing(Unfit, "/endless")))
        for gone in self.host.gone:
            await gone
        found = await self.fetcher(limit=len(PNG)).fetch(f"{self.url}/ann.png")
        self.assertEqual(len(found.body), len(PNG))
        await self.failing(Unfit, "/ann.png", limit=len(PNG) - 1)

    async def test_a_slow_host_costs_a_bounded_time(self) -> None:
        self.assertIn("within 0.2 s", str(await self.failing(NotNow, "/silent", head_s=0.2)))
        self.assertIn("within 0.3 s", str(await self.failing(NotNow, "/slow", timeout_s=0.3)))
        for gone in self.host.gone:
            await gone

    async def test_cancelling_closes_the_connection(self) -> None:
        for path in ("/silent", "/slow"):
            fetching = self.fetcher().fetch(self.url + path)
            while self.host.asked[path] == 0:
                await deferLater(reactor, 0.01)
            fetching.cancel()
            await self.assertFailure(fetching, CancelledError)
        for gone in self.host.gone:
            await gone

    async def test_only_http_without_passwords_on_ports_of_the_web(self) -> None:
        for url in (
            "ftp://pics.example/a.png",
            "file:///etc/passwd",
            "data:image/png;base64,AAAA",
            "http:///a.png",
            "http://user:secret@pics.example/a.png",
            "http://user@pics.example/a.png",
            "http://pics.example:25/a.png",
            "http://pics.example:99999/a.png",
            "http://[::1/a.png",
            "gopher://pics.example:6379/_FLUSHALL",
            "http://a b/a.png",
            "http://pics..example/a.png",
            f"http://{'a' * 64}.example/a.png",
            f"http://{'a.' * 130}example/a.png",
            "",
        ):
            error = await self.failing(Unfit, url)
            self.assertNotIn("secret", str(error))


class GuardTests(FetchCase):
    """Nothing on this machine or its network is reached."""

    async def test_addresses_that_are_not_public_are_not_connected_to(self) -> None:
        for host in (
            "127.0.0.1",
            "localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0x7f000001",
            "2130706433",
            "127.1",
            "0",
            "[::]",
            "169.254.169.254",
        ):
            error = await self.failing(Unfit, f"http://{host}:{self.host.port}/ann.png", allowed=is_public)
            self.assertIn("public", str(error), host)
        self.assertEqual(self.host.asked, {})

    async def test_a_redirect_is_looked_at_as_closely(self) -> None:
        found = await self.fetcher().fetch(f"{self.url}/to//ann.png")
        self.assertEqual(found.body, PNG)
        for target in (
            f"http://127.0.0.2:{self.host.port}/ann.png",
            f"http://[::1]:{self.host.port}/ann.png",
            f"http://[::ffff:7f00:2]:{self.host.port}/ann.png",
            "http://169.254.169.254/latest/meta-data",
            f"http://user:word@127.0.0.1:{self.host.port}/ann.png",
            "http://127.0.0.1:22/",
            "file:///etc/passwd",
            "ftp://127.0.0.1/a.png",
        ):
            await self.failing(Unfit, f"/to/{target}")
        self.assertEqual(self.host.asked["/ann.png"], 1)

    async def test_a_name_is_looked_up_once_and_the_address_that_was_looked_at_is_used(self) -> None:
        asked: list[str] = []

        class Rebinding:
            """A resolver that answers something else each time."""

            answers = ["127.0.0.2", "127.0.0.1", "127.0.0.2"]  # noqa: RUF012

            def resolveHostName(self, receiver: Any, name: str, port: int = 0, *others: Any) -> Any:
                from twisted.internet.address import IPv4Address

                asked.append(name)
                receiver.resolutionBegan(self)
                receiver.addressResolved(IPv4Address("TCP", self.answers.pop(0), port))
                receiver.resolutionComplete()
                return self

        class Reactor:
            nameResolver = Rebinding()

            def __getattr__(self, name: str) -> Any:
                return getattr(reactor, name)

        fetcher = Fetcher(Reactor(), allowed=nearby)
        url = f"http://pics.example:{self.host.port}/ann.png"
        await self.assertFailure(fetcher.fetch(url), Unfit)
        self.assertEqual((asked, self.host.asked), (["pics.example"], {}))
        self.assertEqual((await fetcher.fetch(url)).body, PNG)
        self.assertEqual(asked, ["pics.example"] * 2)

    async def test_of_several_addresses_only_those_that_may_be_are_tried(self) -> None:
        tried: list[str] = []

        def allowed(address: str) -> bool:
            tried.append(address)
            return address == "127.0.0.1"

        found: Deferred[Any] = Fetcher(reactor, allowed=allowed).fetch(
            f"http://localhost:{self.host.port}/ann.png"
        )
        self.assertEqual((await found).body, PNG)
        self.assertIn("127.0.0.1", tried)
