"""``python -m bench.page``: what the live page costs the browser that shows it.

A real server and a real Chromium on the same machine, and the figures that Lighthouse would look at: bytes and
time of the first view, shifts of the layout while posts arrive, long tasks in a burst, and whether document and
heap of a page that is left open all day stay as they are.  Two hours, a post a second, are played faster."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

import attrs
from playwright.sync_api import Browser, CDPSession

from bench.table import Table, rendered
from tests.browser.chromium import Watched, chromium, watched_page
from tests.servers.afeed import AfeedServer

#: A phone, as most readers have one.
PHONE = {"width": 390, "height": 844}
FIRST_ITEMS = 50
VIEWS = 9
SHIFT_ITEMS = 100
BURST_RATE, BURST_S, TRACED_S = 50, 20, 10
#: Two hours at one post a second.
LONG_ITEMS, LONG_STEP, LONG_RATE = 7200, 1200, 100

#: Notes shifts and long tasks from before the first paint.
OBSERVER = """
    window.shift = 0;
    window.tasks = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) shift += entry.value;
    }).observe({type: "layout-shift", buffered: true});
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) tasks.push(entry.duration);
    }).observe({type: "longtask", buffered: true});
"""

PAINT = """() => new Promise((done) => new PerformanceObserver((list) => done(
    list.getEntriesByName("first-contentful-paint")[0].startTime
)).observe({type: "paint", buffered: true}))"""


@attrs.define
class Feeder:
    """Publishes posts like those of a conference, with numbers that go on."""

    server: AfeedServer
    last: int = 0

    def push(self, count: int) -> None:
        """``count`` posts in one request."""
        numbers = range(self.last + 1, self.last + count + 1)
        self.last += count
        self.server.push(*map(self._post, numbers))

    def run(self, count: int, rate: int) -> None:
        """``count`` posts at ``rate`` a second, up to ten in a request; returns when all are recorded."""
        together = max(1, min(10, rate // 10))
        began = time.monotonic()
        for sent in range(0, count, together):
            time.sleep(max(0.0, began + sent / rate - time.monotonic()))
            self.push(min(together, count - sent))

    @staticmethod
    def _post(number: int) -> dict[str, Any]:
        words = "a stage, a gull, some cake and what was said about the web " * (1 + number % 4)
        picture = {"type": "photo", "url": f"https://pics.example/{number}.jpg", "alt": "a stage"}
        return {
            "id": str(number),
            "text": f"{number}: {words}",
            "author": {"name": f"Person {number % 97}", "handle": f"person{number % 97}"},
            "media": [{**picture, "width": 1200, "height": 800}] if number % 5 == 0 else [],
        }


@contextmanager
def viewer(browser: Browser, feeder: Feeder) -> Iterator[tuple[Watched, CDPSession]]:
    """A page with an empty cache, connected, and a line to its browser."""
    server = feeder.server
    with watched_page(browser, server.url, viewport=PHONE) as watched:
        watched.page.add_init_script(OBSERVER)
        line = watched.page.context.new_cdp_session(watched.page)
        watched.page.goto(f"{server.url}/{server.slug}")
        watched.wait_live("websocket")
        yield watched, line


def first_view(browser: Browser, feeder: Feeder) -> tuple[float, int, int]:
    """Milliseconds to the first contentful paint, bytes on the wire, and requests to others; images are counted
    in neither."""
    server = feeder.server
    sizes: dict[str, int] = {}
    kinds: dict[str, tuple[str, bool]] = {}
    with watched_page(browser, server.url, viewport=PHONE) as watched:
        line = watched.page.context.new_cdp_session(watched.page)
        line.send("Network.enable")
        line.on(
            "Network.requestWillBeSent",
            lambda said: kinds.update(
                {said["requestId"]: (said.get("type", ""), said["request"]["url"].startswith(server.url))}
            ),
        )
        line.on(
            "Network.loadingFinished",
            lambda said: sizes.update({said["requestId"]: int(said["encodedDataLength"])}),
        )
        watched.page.goto(f"{server.url}/{server.slug}")
        paint = float(watched.page.evaluate(PAINT))
        watched.wait_live("websocket")
    counted = [sizes.get(id, 0) for id, (kind, _) in kinds.items() if kind != "Image"]
    others = [id for id, (kind, own) in kinds.items() if kind != "Image" and not own]
    return paint, sum(counted), len(others)


def shift(browser: Browser, feeder: Feeder) -> float:
    """The sum of all shifts while posts arrive one by one."""
    with viewer(browser, feeder) as (watched, _):
        feeder.run(SHIFT_ITEMS, rate=10)
        watched.wait_for_item(f"push:{feeder.last}")
        watched.page.wait_for_function("() => document.getAnimations().length === 0")
        return float(watched.page.evaluate("shift"))


def burst(browser: Browser, feeder: Feeder) -> tuple[float, int, int, int]:
    """Of a burst: the longest task in milliseconds, how many took over 50 and over 100, and the posts in the
    document."""
    with viewer(browser, feeder) as (watched, _):
        watched.page.wait_for_timeout(1000)
        watched.page.evaluate("tasks.length = 0")
        publisher = threading.Thread(target=feeder.run, args=(BURST_RATE * BURST_S, BURST_RATE))
        publisher.start()
        watched.page.wait_for_timeout(1000 * BURST_S)
        publisher.join()
        watched.wait_for_item(f"push:{feeder.last}")
        tasks: list[float] = watched.page.evaluate("tasks")
        shown = int(watched.page.evaluate("document.querySelectorAll('.item').length"))
        return max(tasks, default=0.0), len(tasks), sum(task > 100 for task in tasks), shown


def processor_time(browser: Browser, feeder: Feeder) -> tuple[float, int]:
    """Of a burst: the processor time of the longest task in milliseconds, and how many took over 50.  On a busy
    machine this tells more than the time that passed, of which others had their part."""
    with viewer(browser, feeder) as (watched, _):
        watched.page.wait_for_timeout(1000)
        browser.start_tracing(page=watched.page, categories=["toplevel"])
        feeder.run(BURST_RATE * TRACED_S, BURST_RATE)
        watched.wait_for_item(f"push:{feeder.last}")
        events = json.loads(browser.stop_tracing())["traceEvents"]
    threads = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks = [
        event.get("tdur", 0) / 1000
        for event in events
        if event["name"].endswith("RunTask") and (event["pid"], event["tid"]) in threads
    ]
    return max(tasks), sum(task > 50 for task in tasks)


def long_run(browser: Browser, feeder: Feeder) -> list[tuple[int, int, int, float]]:
    """Step by step: posts so far, posts and nodes in the document, heap in MB after a collection."""
    found = []
    with viewer(browser, feeder) as (watched, line):
        line.send("Performance.enable")
        line.send("HeapProfiler.enable")
        for step in range(LONG_STEP, LONG_ITEMS + 1, LONG_STEP):
            feeder.run(LONG_STEP, LONG_RATE)
            watched.wait_for_item(f"push:{feeder.last}")
            line.send("HeapProfiler.collectGarbage")
            metrics = {one["name"]: one["value"] for one in line.send("Performance.getMetrics")["metrics"]}
            shown = int(watched.page.evaluate("document.querySelectorAll('.item').length"))
            found.append((step, shown, int(metrics["Nodes"]), metrics["JSHeapUsedSize"] / 1e6))
    return found


def measured(browser: Browser, feeder: Feeder) -> Sequence[Table]:
    """Everything, as two tables."""
    feeder.push(FIRST_ITEMS)
    views = [first_view(browser, feeder) for _ in range(VIEWS)]
    paints = sorted(paint for paint, _, _ in views)
    longest, over_50, over_100, shown = burst(browser, feeder)
    busy, busy_50 = processor_time(browser, feeder)
    rows = [
        [
            "bytes of the first view, 50 items, without images",
            f"{median(size for _, size, _ in views):,.0f}",
            "60,000",
        ],
        ["requests to other hosts, without images", f"{max(others for _, _, others in views)}", "0"],
        ["first contentful paint, ms (median; worst)", f"{median(paints):.0f}; {paints[-1]:.0f}", "500"],
        [f"shift of the layout, {SHIFT_ITEMS} items arriving", f"{shift(browser, feeder):.4f}", "0.02"],
        [f"longest task, ms, {BURST_RATE} items/s for {BURST_S} s", f"{longest:.0f}", "100"],
        ["tasks over 50 ms; over 100 ms", f"{over_50}; {over_100}", ""],
        [f"processor time of the longest, ms, {TRACED_S} s; over 50 ms", f"{busy:.0f}; {busy_50}", "100"],
        ["items in the document after that", f"{shown}", "500"],
    ]
    about = (
        f"Chromium, {PHONE['width']} x {PHONE['height']}, loopback; {VIEWS} first views with an empty cache."
    )
    first = Table("The live page", about, ("what", "measured", "at most"), rows)
    steps = [
        [f"{so_far:,}", f"{items}", f"{nodes:,}", f"{heap:.2f}"]
        for so_far, items, nodes, heap in long_run(browser, feeder)
    ]
    about = (
        f"{LONG_ITEMS:,} items (two hours at one a second) at {LONG_RATE} a second; the reader is at the top."
    )
    second = Table(
        "The live page over two hours", about, ("items", "in the document", "nodes", "heap, MB"), steps
    )
    return first, second


def main() -> int:
    """Measure and print."""
    server = AfeedServer()
    try:
        server.start()
        with chromium() as browser:
            for table in measured(browser, Feeder(server)):
                print(rendered(table))
    finally:
        server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
