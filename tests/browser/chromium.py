"""A real Chromium for tests, which notes whatever goes wrong on a page."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

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

#: How long tests wait for something to appear, in milliseconds.
PATIENCE = 20_000

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
        """The ids of the items on the page, newest first.  What comes together is put there frame by frame, so
        they are read until they stay as they are."""
        found: list[str] | None = None
        while True:
            before = found
            found = self.page.eval_on_selector_all("#stream .item", "all => all.map(item => item.id.slice(5))")
            if found == before:
                return found
            self.page.wait_for_timeout(150)

    def wait_for_item(self, id: str) -> None:
        """Return once the item is on the page."""
        self.page.wait_for_function("id => document.getElementById(`item-${id}`)", arg=id)

    def wait_live(self, transport: str) -> None:
        """Return once the page says that it is live, on ``transport``."""
        self.page.wait_for_selector(
            f'#connection[data-state="live"][data-transport="{transport}"]', state="attached"
        )

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
