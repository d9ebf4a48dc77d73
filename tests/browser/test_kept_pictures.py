"""With ``keep_media`` no viewer's browser talks to anybody but afeed."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import blockingCallFromThread, deferToThread
from twisted.trial.unittest import TestCase

from tests.browser.chromium import Watched, chromium, watched_page
from tests.media.faulty import PictureHost
from tests.servers.afeed import AfeedServer
from tests.servers.process import wait_until

TWISTD = (sys.executable, str(Path(__file__).parents[1] / "media" / "nearby_twistd.py"))


def png(width: int, height: int) -> bytes:
    """A grey picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = b"".join(b"\0" + b"\x80" * width for _ in range(height))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


class KeptPictureTests(TestCase):
    timeout = 400

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor = reactor
        self.host = PictureHost(reactor)
        self.host.pictures = {"/ann.png": png(48, 48), "/large.png": png(600, 400), "/small.png": png(150, 100)}
        self.pictures = self.host.listen()
        self.addCleanup(self.host.close)

    def make(self, keeps: bool) -> AfeedServer:
        server = AfeedServer(twistd=TWISTD)
        self.addCleanup(server.close)
        text = server.config_path.read_text()
        server.config_path.write_text(
            text.replace('timezone = "UTC"', f'timezone = "UTC"\nkeep_media = {str(keeps).lower()}')
        )
        return server

    def post(self, number: int) -> dict[str, Any]:
        photo = {
            "type": "photo",
            "url": f"{self.pictures}/large.png",
            "thumb_url": f"{self.pictures}/small.png",
        }
        return {
            "id": str(number),
            "text": f"look {number}",
            "author": {"name": "Ann", "handle": "ann", "avatar": f"{self.pictures}/ann.png"},
            "media": [photo],
        }

    def browse(self, server: AfeedServer, scenario: Callable[[Watched, list[str]], None]) -> Deferred[None]:
        def run() -> None:
            server.start()
            with chromium() as browser, watched_page(browser, server.url) as watched:
                asked: list[str] = []
                watched.page.on("request", lambda request: asked.append(request.url))
                scenario(watched, asked)
                self.assertEqual(watched.complaints, [])

        return deferToThread(run)

    def sizes(self, watched: Watched, number: int) -> list[int]:
        """The widths of the avatar and the photo of a post, as they have arrived."""
        found: list[int] = watched.page.eval_on_selector_all(
            f'[id="item-push:{number}"] img', "all => all.map(image => image.naturalWidth)"
        )
        return found

    def test_pictures_come_from_afeed_alone_also_those_that_are_fetched_while_one_watches(
        self,
    ) -> Deferred[None]:
        server = self.make(True)

        def scenario(watched: Watched, asked: list[str]) -> None:
            page = watched.page
            blockingCallFromThread(self.reactor, setattr, self.host, "busy", True)
            page.goto(f"{server.url}/{server.slug}")
            watched.wait_live("websocket")
            server.push(self.post(1))
            watched.wait_for_item("push:1")
            # What stands in for them until they are there.
            page.locator('[id="item-push:1"]').scroll_into_view_if_needed()
            watched.until(lambda: self.sizes(watched, 1) == [37, 37], "the places of the pictures")
            blockingCallFromThread(self.reactor, setattr, self.host, "busy", False)
            # The page asks again, the longer it has waited the less often, and so does the server its host.
            watched.until(
                lambda: self.sizes(watched, 1) == [48, 150], "the pictures, without another load", 120
            )
            # Large, over the page.
            page.click('[id="item-push:1"] .photo')
            page.wait_for_selector("#lightbox img")
            watched.until(
                lambda: page.eval_on_selector("#lightbox img", "image => image.naturalWidth") == 600,
                "the large picture",
            )
            # The first page load has the same, and so has the projector view.
            for path in ("", "/wall"):
                page.goto(f"{server.url}/{server.slug}{path}")
                watched.until(lambda: self.sizes(watched, 1) == [48, 150], "the pictures of a page that loads")
            self.assertEqual([url for url in asked if not url.startswith((server.url, "ws://127.0.0.1"))], [])

        return self.browse(server, scenario)

    def test_the_policy_of_the_pages_allows_nothing_else(self) -> Deferred[None]:
        server = self.make(True)

        def scenario(watched: Watched, asked: list[str]) -> None:
            answer = watched.page.goto(f"{server.url}/{server.slug}")
            assert answer is not None
            policy = answer.headers["content-security-policy"]
            self.assertIn("img-src 'self';", policy)
            self.assertIn("media-src 'self';", policy)
            front = watched.page.goto(f"{server.url}/")
            assert front is not None
            self.assertIn("img-src 'self' https:", front.headers["content-security-policy"])

        return self.browse(server, scenario)

    def test_without_keep_media_they_come_from_where_they_are(self) -> Deferred[None]:
        server = self.make(False)

        def scenario(watched: Watched, asked: list[str]) -> None:
            server.push(self.post(1))
            watched.page.goto(f"{server.url}/{server.slug}")
            watched.until(
                lambda: f"{self.pictures}/small.png" in asked, "the picture to be asked for at its source"
            )
            self.assertEqual(dict(self.host.asked), {})

        return self.browse(server, scenario)

    def test_a_picture_is_sent_as_what_it_is_and_for_good_and_goes_with_its_post(self) -> Deferred[None]:
        server = self.make(True)

        def run() -> None:
            server.start()
            server.push(self.post(1))
            status, _, page = server.request(f"/{server.slug}")
            self.assertEqual(status, 200)
            path = page.decode().partition('<img src="')[2].partition('"')[0]
            self.assertTrue(path.startswith("/media/by/"), path)
            self.assertNotIn(self.pictures.encode(), page)
            wait_until(lambda: server.request(path)[0] == 200, "the picture to be kept", 60)
            _, headers, body = server.request(path)
            self.assertEqual(body, self.host.pictures["/ann.png"])
            for name, value in (
                ("Content-Type", "image/png"),
                ("X-Content-Type-Options", "nosniff"),
                ("Cache-Control", "private, max-age=31536000, immutable"),
            ):
                self.assertEqual(headers[name], value)
            self.assertIn("sandbox", headers["Content-Security-Policy"])
            tag = headers["ETag"]
            self.assertEqual(server.request(path, headers={"If-None-Match": tag})[0], 304)
            status, headers, body = server.request(path, method="HEAD")
            self.assertEqual((status, headers["Content-Type"], body), (200, "image/png", b""))
            by_content = f"/media/{tag.strip(chr(34))}.png"
            self.assertEqual(server.request(by_content)[2], self.host.pictures["/ann.png"])
            for odd in (
                "/media/",
                "/media/by/",
                "/media/by/xyz",
                "/media/../afeed.toml",
                f"{by_content}x",
                path[:-1],
            ):
                status, headers, body = server.request(odd)
                self.assertEqual(status, 404, odd)
            self.assertEqual(server.request(path, method="POST", body=b"")[0], 405)
            checks = server.request("/healthz")[2].decode()
            self.assertIn('"media"', checks)
            self.assertIn(b"afeed_media_bytes", server.request("/metrics")[2])
            done = self.forget(server)
            self.assertEqual(done.status, 0, done)
            wait_until(lambda: server.request(path)[0] == 404, "the picture to be gone", 60)
            wait_until(lambda: server.request(by_content)[0] == 404, "its file to be gone", 60)
            folder = server.directory / "var" / "media"
            wait_until(lambda: not any(one.is_file() for one in folder.rglob("*")), "all files to be gone", 60)

        return deferToThread(run)

    def forget(self, server: AfeedServer) -> Any:
        from tests.command.support import afeed

        return afeed("forget", "--config", server.config_path, "--yes", "--json", "push:@ann")
