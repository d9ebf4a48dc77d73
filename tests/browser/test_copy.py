"""A copy of an event, opened from a disk, and reports on paper, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from msgspec import structs
from pypdf import PdfReader
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from afeed.core.draft import Draft, Posted
from afeed.core.item import Media
from tests.browser.chromium import PIXEL, Watched, chromium
from tests.browser.test_accessibility import violations
from tests.command.test_export import ExportCase
from tests.fakes import an_item
from tests.reports.archives import EVENT, day

WIDTHS = (390, 1280, 1920)
PAGES = (
    "index.html",
    "archive.html",
    "days/2026-11-21.html",
    "talks/css.html",
    "reports/css.html",
    "report.html",
)
#: What must not be the last line of a page.
HEADINGS = ("Words that stand out", "Photos", "Links", "People")


class CopyTests(TestCase):
    timeout = 300

    def setUp(self) -> None:
        # What the command does, without its process.
        case: Any = ExportCase("run_afeed")
        case.mktemp = self.mktemp
        case.setUp()
        _, drafts = day()
        photos = tuple(Media(type="photo", url=f"https://p.example/{n}.jpg", alt="the stage") for n in range(2))
        html = '<p>Slides: <a href="https://example.org/slides" rel="nofollow">All of the slides</a></p>'
        rich: list[Draft] = [
            Posted(
                structs.replace(
                    an_item(9000 + n, "Slides and a photo"),
                    html=html,
                    media=photos,
                    talk="css",
                    lang="en",
                    created_at="2026-11-21T12:45:00Z",
                ),
                "1",
            )
            for n in range(3)
        ]
        case.fill([*drafts, *rich])
        case.run_afeed("export-site", EVENT, case.folder / "site")
        self.site: Path = case.folder / "site"

    def open(self, browser: Any, **options: Any) -> Watched:
        context = browser.new_context(**options)

        def elsewhere(route: Any) -> None:
            if route.request.resource_type == "image":
                route.fulfill(status=200, content_type="image/svg+xml", body=PIXEL)
            else:
                self.asked.append(route.request.url)
                route.abort()

        self.asked: list[str] = []
        context.route(re.compile("^https?:"), elsewhere)
        return Watched(context.new_page())

    def visit(self, watched: Watched, name: str) -> Any:
        watched.page.goto((self.site / name).as_uri())
        return watched.page

    def browse(self, scenario: Any) -> Deferred[None]:
        def run() -> None:
            with chromium() as browser:
                scenario(browser)

        return deferToThread(run)

    def test_one_reads_it_from_a_disk_without_scripts(self) -> Deferred[None]:
        def scenario(browser: Any) -> None:
            watched = self.open(browser, java_script_enabled=False)
            page = self.visit(watched, "index.html")
            watched.follow("nav >> text=Schedule")
            watched.follow("text=Container Queries in Anger")
            self.assertEqual(page.locator(".stream .item").count(), 36)
            watched.follow("text=Report >> nth=1")
            self.assertIn("Container Queries in Anger", page.inner_text("h1"))
            watched.follow("nav >> text=Archive")
            watched.follow("text=/21 November/")
            watched.follow("text=Later posts")
            watched.follow("text=Permalink >> nth=3")
            self.assertRegex(page.url, r"days/2026-11-21-2\.html#post-\d+$")
            self.assertEqual((watched.complaints, watched.refusals, self.asked), ([], [], []))

        return self.browse(scenario)

    def test_it_fits_every_screen_and_is_accessible_in_both_themes(self) -> Deferred[None]:
        def scenario(browser: Any) -> None:
            for scheme in ("light", "dark"):
                watched = self.open(browser, color_scheme=scheme)
                for name in PAGES:
                    page = self.visit(watched, name)
                    for width in WIDTHS:
                        page.set_viewport_size({"width": width, "height": 900})
                        self.assertLessEqual(
                            page.evaluate("document.documentElement.scrollWidth"), width, (name, width)
                        )
                    self.assertEqual(violations(watched), [], (name, scheme))
                # axe-core itself asks for the style sheets, which a page on a disk may not.
                self.assertEqual([one for one in watched.complaints if "XMLHttpRequest" not in one], [])

        return self.browse(scenario)

    def test_a_chart_is_as_high_as_its_figures_and_stands_out_from_its_ground(self) -> Deferred[None]:
        def scenario(browser: Any) -> None:
            for scheme, colour in (("light", "rgb(11, 107, 99)"), ("dark", "rgb(98, 205, 191)")):
                page = self.visit(self.open(browser, color_scheme=scheme), "reports/css.html")
                box = page.locator(".drawing-course").bounding_box()
                self.assertLess(box["height"], box["width"] / 2)
                bar = page.locator(".drawing-course .bar rect:not(.peak)").first
                self.assertEqual(bar.evaluate("one => getComputedStyle(one).fill"), colour)
                self.assertGreater(page.locator(".drawing-course .bar rect.peak").count(), 0)

        return self.browse(scenario)

    def test_a_report_on_paper_is_whole_and_has_nothing_to_press(self) -> Deferred[None]:
        def scenario(browser: Any) -> None:
            for number, (name, least) in enumerate((("reports/css.html", 2), ("report.html", 3))):
                watched = self.open(browser)
                page = self.visit(watched, name)
                path = Path(self.mktemp())
                page.pdf(path=str(path), format="A4")
                paper = PdfReader(path)
                texts = [one.extract_text() for one in paper.pages]
                text = "\n".join(texts)
                self.assertTrue(least <= len(texts) <= 6, len(texts))
                for part in ("Posts", "When people posted", "Reach", "Languages and sources"):
                    self.assertIn(part, text)
                for part in ("Overview", "Archive", "The same as a table", "Skip to"):
                    self.assertNotIn(part, text)
                if number == 0:
                    self.assertIn("All of the slides <https://example.org/slides>", " ".join(text.split()))
                # No page begins with nothing or ends with a heading that has lost its section.
                for one in texts:
                    self.assertGreater(len(one.split()), 8, texts)
                    self.assertNotIn(one.strip().splitlines()[-1], HEADINGS)
                for one in paper.pages:
                    self.assertIn(round(float(one.mediabox.width)), (595, 596))

        return self.browse(scenario)
