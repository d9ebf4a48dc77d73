"""Scenarios in a browser beside a scripted server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import blockingCallFromThread, deferToThread
from twisted.trial.unittest import TestCase

from afeed.core.item import Item
from tests.browser.chromium import Watched, chromium, watched_page
from tests.browser.scripted import ScriptedServer
from tests.web.samples import make_item

T = TypeVar("T")


class ScriptedCase(TestCase):
    """Runs each scenario in a thread of its own, beside the reactor in which the server lives."""

    timeout = 300
    #: What the server has from the beginning.
    items: tuple[Item, ...] = tuple(map(make_item, range(1, 4)))

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor = reactor
        self.server = ScriptedServer(reactor, *self.items)
        self.url = self.server.listen()
        self.addCleanup(self.server.stop)

    def browse(self, scenario: Callable[[Watched], None], **options: Any) -> Deferred[None]:
        """Run ``scenario`` with a fresh page; nothing may have been complained about in the end."""

        def run() -> None:
            with chromium() as browser, watched_page(browser, self.url, **options) as watched:
                scenario(watched)
                self.assertEqual((watched.complaints, watched.dialogs), ([], []))

        return deferToThread(run)

    def do(self, action: Callable[..., T], *arguments: Any) -> T:
        """Call ``action`` where the server lives."""
        return blockingCallFromThread(self.reactor, action, *arguments)

    def open(self, watched: Watched, query: str = "") -> None:
        watched.page.goto(f"{self.url}/rehearsal{query}")

    def post(self, number: int, **other: Any) -> None:
        self.do(self.server.post, make_item(number, **other))
