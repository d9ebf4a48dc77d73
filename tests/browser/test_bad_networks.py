"""Bad networks, in a real browser before a real afeed: whatever is cut, frozen, refused or swallowed, the page
ends with exactly what the log holds, in order, once each."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.browser.chromium import Watched, chromium, watched_page
from tests.browser.test_live import item
from tests.servers.afeed import AfeedServer
from tests.servers.cutting import CuttingProxy
from tests.servers.process import wait_until

#: Posts per second that come in all the time.
RATE = 10
#: How many posts a live page holds at most.
KEPT = 500


class ProxiedServer(AfeedServer):
    """A node that browsers reach through a :class:`CuttingProxy`, and publishers directly."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.proxy = CuttingProxy(self.port)
        text = self.config_path.read_text("utf-8")
        self.config_path.write_text(text.replace(f'"{self.url}"', f'"{self.proxy.url}"'), "utf-8")

    def request(self, path: str, *, headers: Mapping[str, str] | None = None, **other: Any) -> Any:
        known_as = {"Host": f"127.0.0.1:{self.proxy.port}"}
        return super().request(path, headers={**known_as, **(headers or {})}, **other)


class Publisher:
    """Pushes posts one after the other until it is stopped; ``number`` is the last that is in the log."""

    def __init__(self, server: AfeedServer) -> None:
        self.number = 0
        self._server = server
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(1 / RATE):
            try:
                self._server.push(item(self.number + 1))
            except (OSError, HTTPException, AssertionError):
                continue  # a server that restarts; the same post again is the same item
            self.number += 1

    def wait_for(self, more: int) -> None:
        """Return once ``more`` posts than now are in the log."""
        last = self.number + more
        wait_until(lambda: self.number >= last, f"{more} posts to be published", 60)

    def stop(self) -> None:
        self._end.set()
        self._thread.join(60)


class BadNetworkCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = ProxiedServer()
        self.addCleanup(self.server.close)
        self.proxy = self.server.proxy
        # First of all: its port is free only until somebody else takes it.
        self.proxy.start()
        self.addCleanup(self.proxy.close)
        self.server.start()

    @contextmanager
    def page(self, query: str = "", transport: str = "websocket", clock: bool = False) -> Iterator[Watched]:
        """The live page while posts come in all the time.  At the end, with the network whole again and no more
        posts, it must hold what the log holds, and nothing may have been complained about."""
        with chromium() as browser, watched_page(browser, self.proxy.url) as watched:
            if clock:
                watched.page.clock.install()
            self.publisher = publisher = Publisher(self.server)
            self.addCleanup(publisher.stop)
            publisher.wait_for(3)
            watched.page.goto(f"{self.proxy.url}/{self.server.slug}{query}")
            watched.wait_live(transport)
            yield watched
            publisher.stop()
            self.check_exact(watched)

    def check_exact(self, watched: Watched) -> None:
        ids = [change["item"]["id"] for change in reversed(self.server.changes())]
        self.assertEqual(len(ids), self.publisher.number)
        watched.until(lambda: watched.ids() == ids[:KEPT], "the page to have caught up")
        self.assertEqual(watched.ids(), ids[:KEPT])
        self.assertEqual(watched.page.locator("#stream .gap").count(), 0)
        self.assertEqual((watched.complaints, watched.dialogs), ([], []))

    def let_pass(self, watched: Watched, seconds: int) -> None:
        """So much time passes for the page; real connections get a little of it in every second."""
        for _ in range(seconds):
            watched.page.clock.run_for(1_000)
            watched.page.wait_for_timeout(15)


class OfflineTests(BadNetworkCase):
    def test_offline_for_a_minute(self) -> None:
        with self.page(clock=True) as watched:
            watched.page.context.set_offline(True)
            self.proxy.away = True
            self.proxy.cut()
            self.let_pass(watched, 60)
            watched.wait_state("You are offline")
            # Whatever is in the log by now; one more may be on its way there.
            last = self.publisher.number + 1
            self.publisher.wait_for(10)
            self.assertLessEqual(self.newest(watched), last)
            self.proxy.away = False
            watched.page.context.set_offline(False)
            # The browser says that it is online again, and nobody waits for any delay to pass.
            watched.page.wait_for_selector('#connection[data-state="live"]')
            watched.until(lambda: self.newest(watched) > last + 8, "what was missed")

    def newest(self, watched: Watched) -> int:
        """The number of the newest post on the page."""
        return int(watched.ids_now()[0].removeprefix("push:"))


class SleepTests(BadNetworkCase):
    """A laptop is closed: nothing of the page runs, and the world goes on."""

    @contextmanager
    def asleep(self, watched: Watched) -> Iterator[None]:
        """Stop every process of the browser, as sleep does.  (Chromium freezes no page that is visible, and
        without a screen every page is.)"""
        watched.page.evaluate(
            """() => {
                let last = Date.now();
                window.slept = 0;
                setInterval(() => {
                    window.slept = Math.max(window.slept, Date.now() - last);
                    last = Date.now();
                }, 10);
            }"""
        )
        browser = watched.page.context.browser
        assert browser is not None
        found = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")
        processes = [process["id"] for process in found["processInfo"]]
        began = time.monotonic()
        try:
            self.tell(processes, signal.SIGSTOP)
            yield
        finally:
            self.tell(processes[::-1], signal.SIGCONT)
        slept = 1000 * (time.monotonic() - began)
        watched.until(lambda: watched.page.evaluate("slept") > 0.8 * slept, "the page to have slept")

    def tell(self, processes: list[int], number: int) -> None:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):  # one of the short-lived helpers, whose work is done
                os.kill(process, number)

    def test_the_server_has_hung_up_meanwhile(self) -> None:
        with self.page() as watched:
            with self.asleep(watched):
                self.publisher.wait_for(10)
                self.proxy.cut()
                self.publisher.wait_for(30)
            self.publisher.wait_for(10)

    def test_the_connection_is_dead_and_nobody_says_so(self) -> None:
        with self.page(clock=True) as watched:
            self.proxy.forget()
            shown = len(watched.ids())
            self.publisher.wait_for(20)
            # As when a lid is closed and opened: what was due is due at once, much too late.
            watched.page.clock.fast_forward("30:00")
            watched.until(lambda: len(watched.ids_now()) >= shown + 20, "what was missed")
            watched.wait_live("websocket")


class RestartTests(BadNetworkCase):
    def test_planned_and_unplanned(self) -> None:
        with self.page() as watched:
            for end in (self.server.stop, self.server.kill):
                self.publisher.wait_for(10)
                end()
                watched.page.wait_for_selector('#connection[data-state="waiting"]')
                self.server.start()
                self.publisher.wait_for(10)
                watched.page.wait_for_selector('#connection[data-state="live"]')


class MiddleboxTests(BadNetworkCase):
    """Something on the way does not like WebSockets."""

    def test_it_refuses_them(self) -> None:
        self.proxy.refuses_upgrades = True
        with self.page(transport="sse"):
            self.publisher.wait_for(20)

    def test_it_cuts_them_again_and_again(self) -> None:
        with self.page("?transport=websocket") as watched:
            self.proxy.cut_after = 0.4
            # While no connection gets as far as its first message, the page waits longer each time.
            watched.until(lambda: self.proxy.cuts >= 12, "a dozen cuts", 240)
            self.proxy.cut_after = None

    def test_cut_twice_the_page_takes_something_else(self) -> None:
        with self.page() as watched:
            self.proxy.cut_after = 0.4
            watched.wait_live("sse")
            self.assertGreaterEqual(self.proxy.cuts, 2)
            self.publisher.wait_for(20)

    def test_it_lets_them_stand_and_passes_nothing_on(self) -> None:
        with self.page(clock=True) as watched:
            self.proxy.swallowing = True
            shown = len(watched.ids())
            self.publisher.wait_for(20)
            for _ in range(40):  # seconds; two pings that do not come
                self.let_pass(watched, 1)
                if not watched.page.query_selector('[data-state="live"][data-transport="websocket"]'):
                    break
            # From here on no faster than the network, which answers when it can.
            watched.wait_live("sse")
            watched.until(lambda: len(watched.ids_now()) >= shown + 20, "what was missed")
