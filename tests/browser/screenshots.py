"""``python -m tests.browser.screenshots DIRECTORY``: how the pages look, as PNG files.

Every page at three widths in both themes: the demo's invented conference; the same event before its first post
and after it; posts with the longest words, the largest pictures and the other direction; five hundred posts;
and what organisers see.
They are to be looked at.  With ``--docs`` only those that the documentation shows are taken, into ``docs/``."""

from __future__ import annotations

import argparse
import json
import re
import sys
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from afeed.demo import DEMO_NAME, PHOTOS, PROGRAMME, RECORDING
from afeed.demo.programme import DOORS, played
from tests.browser.chromium import Watched, chromium, watched_page
from tests.browser.programme import SCHEDULE, posts, programme
from tests.servers.afeed import PROJECT, AfeedServer
from tests.servers.process import wait_until
from tests.test_organisers import ACCOUNT, PASSWORD, Organiser

WIDTHS = ((390, 844), (1280, 800), (1920, 1080))
THEMES = ("light", "dark")
PAGES = ("/", "/rehearsal", "/rehearsal/wall", "/nothing")
#: Those of an event that has a programme.
CONVERSATION = (
    "/rehearsal",
    "/rehearsal/wall",
    "/rehearsal/schedule",
    "/rehearsal/talks/d0h2r0",
    "/rehearsal/archive",
    "/rehearsal/archive?q=lighthouse&kind=photo",
    "/rehearsal/items/20",
    "/rehearsal?room=lighthouse",
)

#: What follows ``/admin`` in the addresses of the organisers' pages.
ADMIN = (
    "",
    *(f"/events/rehearsal{page}" for page in ("", "/held", "/hidden", "/filters", "/live", "/reports")),
    "/trail",
    "/nothing",
)

#: The demo's morning, at once.
DEMO = """
[[events.sources]]
type = "replay"
file = "morning.jsonl"
speed = 3000.0
"""
#: What it ends with: a photo, and a few words after it.
LAST, AND_THEN = "coffee.svg", 1

#: A laptop and a phone side by side.
DESK = """<style>
body { margin: 0; height: 800px; background: linear-gradient(160deg, #dfeeea, #f5e9d4) }
img { position: absolute; box-shadow: 0 12px 48px #1c212640 }
.wide { left: 40px; top: 48px; width: 1000px; border-radius: 12px }
.narrow { right: 40px; bottom: 40px; width: 300px; border-radius: 28px; border: 8px solid #1c2126 }
</style>"""

OTHERS = """
[[events]]
slug = "next"
name = "A Meeting about Rather Long Names of Conferences and Other Events, Spring Edition"
timezone = "Europe/Berlin"
starts = 2030-01-30
ends = 2030-02-02
hashtags = ["#longname"]

[[events]]
slug = "past"
name = "Tidelamp, the first"
timezone = "Europe/Lisbon"
starts = 2025-03-01
ends = 2025-03-01
"""


def picture(name: str, width: int, height: int, alt: str = "a drawing") -> dict[str, Any]:
    """One of the demo's drawings, said to be of any size."""
    return {
        "type": "photo",
        "url": f"https://pics.example/{name}.svg",
        "width": width,
        "height": height,
        "alt": alt,
    }


def post(id: str, text: str, name: str, *media: dict[str, Any], handle: str = "someone") -> dict[str, Any]:
    """What a program pushes."""
    return {"id": id, "text": text, "author": {"name": name, "handle": handle}, "media": list(media)}


FIRST = post("first", "Doors are open. Come in, there is coffee! #tidelamp", "Mirela", handle="mirela")

ODD = (
    post("unbroken", "a" * 400, "N" * 120, handle="h" * 80),
    post(
        "compound", "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbau " * 4, "Freifrau von und zu Tal"
    ),
    post("huge", "A huge picture", "Bea", picture("stage", 12000, 9000)),
    post("tower", "A tower", "Bea", picture("lighthouse", 300, 6000)),
    post("panorama", "A panorama", "Bea", picture("harbour", 9000, 300)),
    post("four", "Four", "Cy", *(picture(name, 1200, 800) for name in ("crowd", "gull", "cake", "map"))),
    post("three", "Three", "Cy", *(picture(name, 800, 1200) for name in ("crowd", "gull", "cake"))),
    post(
        "lost",
        "One is lost",
        "Cy",
        picture("none", 1200, 800, "what cannot be seen"),
        picture("gull", 800, 1200),
    ),
    post("hebrew", "שלום לכולם, איזה כנס נפלא! #tidelamp", "דנה"),
    post("arabic", "مرحبا بالجميع، شاهدوا https://example.org/a/long/link/that/goes/on #tidelamp", "ليلى"),
    post("japanese", "とても長い投稿です。" * 20, "太郎"),
)


def show(watched: Watched, address: str) -> None:
    """Open a page, drawings and all, and let it come to rest."""
    page = watched.page

    def draw(route: Any) -> None:
        path = PHOTOS / route.request.url.rpartition("/")[2]
        if path.exists():
            route.fulfill(status=200, content_type="image/svg+xml", body=path.read_bytes())
        else:
            route.fulfill(status=404)

    page.route("https://pics.example/**", draw)
    page.goto(address)
    if page.query_selector("#connection"):
        page.wait_for_selector('#connection[data-state="live"]', state="attached")
    page.wait_for_load_state("networkidle") if page.query_selector("img") else None
    page.wait_for_function("() => document.getAnimations().length === 0")


class Studio:
    """Takes pictures of a server's pages into a directory."""

    def __init__(self, browser: Browser, directory: Path) -> None:
        self._browser = browser
        self._directory = directory

    def shoot(
        self,
        server: AfeedServer,
        name: str,
        pages: Sequence[str] = PAGES,
        before: Callable[[Watched], None] = lambda watched: None,
    ) -> None:
        """Every one of ``pages`` at every width, in both themes; ``before`` does something first."""
        for path in pages:
            label = re.sub("[^a-z0-9]+", "-", path.strip("/")) or "events"
            for width, height in WIDTHS:
                for theme in THEMES:
                    data = self.take(server, path, width, height, theme, before=before)
                    (self._directory / f"{name}-{label}-{width}-{theme}.png").write_bytes(data)

    def take(
        self,
        server: AfeedServer,
        path: str,
        width: int,
        height: int,
        theme: str,
        act: Callable[[Watched], None] = lambda watched: None,
        before: Callable[[Watched], None] = lambda watched: None,
    ) -> bytes:
        """One picture; ``before`` does something before the page is opened, ``act`` with it."""
        size = {"width": width, "height": height}
        with watched_page(
            self._browser, server.url, viewport=size, color_scheme=theme, locale="en-GB"
        ) as watched:
            before(watched)
            show(watched, server.url + path)
            act(watched)
            return watched.page.screenshot()

    def together(self, wide: bytes, narrow: bytes) -> bytes:
        """A laptop's screen and a phone's in one picture."""
        pictures = [b64encode(data).decode("ascii") for data in (wide, narrow)]
        page = self._browser.new_page(viewport={"width": 1240, "height": 800})
        page.set_content(
            DESK
            + "".join(
                f'<img class="{name}" src="data:image/png;base64,{data}">'
                for name, data in zip(("wide", "narrow"), pictures, strict=True)
            )
        )
        page.wait_for_function("() => [...document.images].every(one => one.complete)")
        data = page.screenshot()
        page.close()
        return data


def demo(started: Callable[[AfeedServer], None]) -> None:
    """Play the invented conference until its first break, and call ``started`` with its server."""
    server = AfeedServer(name=DEMO_NAME, hashtags=["#tidelamp"], sources=DEMO + SCHEDULE, extra=OTHERS)
    lines = RECORDING.read_text("utf-8").splitlines(keepends=True)
    end = next(number for number, line in enumerate(lines) if LAST in line) + 1 + AND_THEN
    (server.directory / "morning.jsonl").write_text("".join(lines[:end]), "utf-8")
    # It is that break now, so that the page says what is on and what is next.
    doors = datetime.now(UTC) - (datetime.fromisoformat(json.loads(lines[end - 1])["at"]) - DOORS)
    (server.directory / "programme.toml").write_bytes(played(PROGRAMME.read_bytes(), doors, 1.0))
    try:
        server.start()
        wait_until(lambda: len(server.changes()) >= end, "the first break")
        started(server)
    finally:
        server.close()


def conversation(started: Callable[[AfeedServer], None]) -> None:
    """An event with a programme, in its third hour, and call ``started`` with its server."""
    server = AfeedServer(name=DEMO_NAME, hashtags=["#tidelamp"], sources=SCHEDULE)
    now = datetime.now(UTC)
    (server.directory / "programme.toml").write_text(programme(now), "utf-8")
    try:
        server.start()
        wait_until(lambda: b"Great Hall" in server.request("/rehearsal/schedule")[2], "the programme")
        said = list(posts(now))
        for first in range(0, len(said), 40):
            server.push(*said[first : first + 40])
        wait_until(lambda: b"said-159" in server.request("/rehearsal/archive")[2], "the archive")
        started(server)
    finally:
        server.close()


def organisers(studio: Studio) -> None:
    """The organisers' pages: one post is hidden, one author blocked."""
    server = AfeedServer(extra=OTHERS + ACCOUNT)

    def enter(watched: Watched) -> None:
        watched.page.goto(f"{server.url}/admin")
        watched.page.fill("#name", "ann")
        watched.page.fill("#password", PASSWORD)
        watched.page.click("main button")
        watched.page.wait_for_selector(".verdict")

    try:
        server.start()
        troll = [post(f"t{n}", "You are all wrong.", "Troll", handle="troll") for n in range(3)]
        seqs = {result["id"]: str(result["seq"]) for result in server.push(FIRST, *ODD[:4], *troll)}
        ann = Organiser()
        ann.sign_in(server)
        ann.press(server, "hide", subject="push:huge", seq=seqs["push:huge"])
        ann.press(server, "block", subject="push:t0", seq=seqs["push:t0"])
        studio.shoot(server, "signed-out", ("/admin",))
        studio.shoot(server, "signed-in", [f"/admin{path}" for path in ADMIN], enter)
    finally:
        server.close()


def for_the_documentation(browser: Browser) -> None:
    """The pictures that the documentation shows."""
    docs = PROJECT / "docs"
    studio = Studio(browser, docs)

    def take(server: AfeedServer) -> None:
        wide = studio.take(server, "/rehearsal", 1280, 880, "light")
        narrow = studio.take(server, "/rehearsal", 390, 760, "dark")
        (docs / "screenshot.png").write_bytes(studio.together(wide, narrow))
        (docs / "wall.png").write_bytes(studio.take(server, "/rehearsal/wall", 1280, 720, "dark"))

    demo(take)


def everything(browser: Browser, directory: Path) -> None:
    """Every page in every state, to be looked at."""
    directory.mkdir(parents=True, exist_ok=True)
    studio = Studio(browser, directory)
    demo(lambda server: studio.shoot(server, "demo", PAGES[:3]))
    conversation(lambda server: studio.shoot(server, "talks", CONVERSATION))
    organisers(studio)
    server = AfeedServer(extra=OTHERS)
    try:
        server.start()
        studio.shoot(server, "none")
        server.push(FIRST)
        studio.shoot(server, "one", PAGES[1:3])
        for number, odd in enumerate(ODD):
            server.push(odd)
            studio.shoot(server, f"odd{number:02}", PAGES[2:3])
        studio.shoot(server, "odd", PAGES[1:2])
        for first in range(0, 500, 50):
            server.push(
                *(
                    post(f"m{n}", f"post {n} " + "and so on " * (n % 9), f"Person {n}")
                    for n in range(first, first + 50)
                )
            )
        studio.shoot(server, "many", PAGES[1:3])
    finally:
        server.close()


def main(arguments: Sequence[str]) -> None:
    """Take pictures."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.screenshots", description=__doc__)
    parser.add_argument("directory", nargs="?", type=Path, default=Path("screenshots"))
    parser.add_argument("--docs", action="store_true", help="those of the documentation, into docs/")
    options = parser.parse_args(arguments)
    with chromium() as browser:
        if options.docs:
            for_the_documentation(browser)
        else:
            everything(browser, options.directory)


if __name__ == "__main__":
    main(sys.argv[1:])
