"""A real Chromium for tests, which notes whatever goes wrong on a page."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Locator, Page, sync_playwright

from tests.servers.process import program

#: Chromium talks to nobody but the page's server, and needs neither a display nor a sandbox of its own.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]

#: How long tests wait for something to appear, in milliseconds.  A page whose server is away waits up to half
#: of it between two tries.
PATIENCE = 60_000
#: How long a browser may take to start on a machine that is busy, in milliseconds.
START = 120_000

#: The ids of the items on the page, newest first, and whether all are there: of many that come together the
#: last go in frame by frame, and a comment keeps their place (view.js).
SHOWN = """() => {
    const list = document.getElementById("stream");
    return [
        [...list.querySelectorAll(".item")].map((item) => item.id.slice(5)),
        [...list.childNodes].every((node) => node.nodeType !== 8),
    ];
}"""

#: Notes when a page opens WebSockets, in milliseconds of its own clock.
DIALS = """
    window.dials = [];
    window.WebSocket = new Proxy(WebSocket, {
        construct(target, members) {
            dials.push(Date.now());
            return new target(...members);
        },
    });
"""

#: Every image that comes from elsewhere is this one, so that no test depends on a network.
PIXEL = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 3 2" width="600" height="400">'
    b'<path fill="#9ab" d="M0 0h3v2H0z"/></svg>'
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser for one test.  Playwright's blocking interface needs a thread without a running asyncio
    loop."""
    path = program("chromium", "chromium-browser", "google-chrome")
    # The browser's own notices are of no use here.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=ARGUMENTS,
            headless=True,
            timeout=START,
            env={**os.environ, "CHROME_LOG_FILE": os.devnull},
        )
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page whose ``complaints`` are everything the console calls an error and every exception in a script.

    Failed requests to the server are told apart (``refusals``): a test that stops the server causes them.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.refusals: list[str] = []
        self.dialogs: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self._dialog)

    def _console(self, message: Any) -> None:
        if message.type != "error":
            return
        network = "Failed to load resource" in message.text or "WebSocket connection to" in message.text
        network = network or "net::ERR_" in message.text
        (self.refusals if network else self.complaints).append(message.text)

    def _dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def ids(self) -> list[str]:
        """The ids of the items on the page, newest first, once all are there and stay as they are."""
        found: list[Any] = [None, False]

        def settled() -> bool:
            nonlocal found
            before, found = found, self.page.evaluate(SHOWN)
            return found == before and found[1]

        self.until(settled, "the posts to stay as they are", pause_ms=150)
        ids: list[str] = found[0]
        return ids

    def ids_now(self) -> list[str]:
        """The same as it is, also while more is on its way onto the page."""
        ids: list[str] = self.page.evaluate(SHOWN)[0]
        return ids

    def until(
        self, condition: Callable[[], bool], what: str, seconds: float = PATIENCE / 1000, pause_ms: float = 20
    ) -> None:
        """Return once ``condition()`` holds, as :func:`~tests.servers.process.wait_until` does; meanwhile the
        page's requests and events are served, which need this thread."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {seconds:g} s in vain for {what}")
            self.page.wait_for_timeout(pause_ms)

    def follow(self, place: str | Locator) -> None:
        """Click on what leads to another page, and return once all of that is there."""
        with self.page.expect_navigation():
            (self.page.locator(place) if isinstance(place, str) else place).click()

    def wait_for_item(self, id: str) -> None:
        """Return once the item is on the page."""
        self.page.wait_for_function("id => document.getElementById(`item-${id}`)", arg=id)

    def wait_live(self, transport: str, timeout_ms: int = PATIENCE) -> None:
        """Return once the page says that it is live, on ``transport``."""
        found = f'#connection[data-state="live"][data-transport="{transport}"]'
        self.page.wait_for_selector(found, state="attached", timeout=timeout_ms)

    def wait_state(self, *texts: str) -> None:
        """Return once :meth:`state` is one of ``texts``."""
        found = "texts => texts.includes(document.getElementById('connection').innerText)"
        self.page.wait_for_function(found, arg=texts)

    def wait_count(self, selector: str, count: int) -> None:
        """Return once so many elements are on the page."""
        found = "([selector, count]) => document.querySelectorAll(selector).length === count"
        self.page.wait_for_function(found, arg=[selector, count])

    def state(self) -> str:
        """What the page says about its connection."""
        return self.page.inner_text("#connection")


def only_this_server(context: BrowserContext, url: str) -> None:
    """Answer every request to somewhere else: an image for images, nothing for the rest."""

    def elsewhere(route: Any) -> None:
        if route.request.resource_type == "image":
            route.fulfill(status=200, content_type="image/svg+xml", body=PIXEL)
        else:
            route.abort()

    # A pattern, not a function: the driver decides by itself then, also while the test's thread waits.
    context.route(re.compile(rf"^(?!{re.escape(url)}/)https?:"), elsewhere)


@contextmanager
def watched_page(browser: Browser, url: str, **options: Any) -> Iterator[Watched]:
    """A fresh page (cookies, cache and all) that talks to the server at ``url`` only."""
    context = browser.new_context(**options)
    try:
        only_this_server(context, url)
        yield Watched(context.new_page())
    finally:
        context.close()
