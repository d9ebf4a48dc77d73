"""The projector view as the server makes it: at most so many posts of one author in a minute."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.draft import SourceGap
from afeed.core.item import Author
from afeed.core.outages import Outage
from afeed.interfaces import FeedPage, PageItem
from afeed.web import languages
from afeed.web.assets import packaged
from afeed.web.fragments import Fragments
from afeed.web.pages import WALL_ITEMS, Reader, Renderer
from tests.web.samples import NOW, make_event, make_item

EAGER = Author(name="Eager", handle="eager")


class WallTests(SynchronousTestCase):
    def setUp(self) -> None:
        fragments = Fragments()
        self.renderer = Renderer(packaged(), lambda event: fragments)

    def wall(self, page: FeedPage, most: int | None) -> str:
        reader = Reader(languages.default())
        return self.renderer.wall(make_event(), page, NOW, reader, "x.example", most).body.decode()

    def shown(self, page: FeedPage, most: int | None) -> list[int]:
        return [int(seq) for seq in re.findall(r'<div class="entry" data-seq="(\d+)"', self.wall(page, most))]

    def page(self, *numbers: int, gaps: tuple[Outage, ...] = ()) -> FeedPage:
        """Posts of one minute, newest first; those with an odd number are an eager author's."""
        items = [
            PageItem(n, make_item(n, author=EAGER) if n % 2 else make_item(n, author=Author(name=f"A {n}")))
            for n in numbers
        ]
        return FeedPage(items, "k3f9:99", None, gaps)

    def test_the_first_of_an_author_are_shown_and_others_take_the_places_of_the_rest(self) -> None:
        page = self.page(*range(40, 0, -1))
        few = self.page(*range(WALL_ITEMS, 0, -1))
        self.assertEqual(self.shown(few, None), list(range(WALL_ITEMS, 0, -1)))
        self.assertEqual(self.shown(page, 2), list(range(40, 40 - 2 * WALL_ITEMS, -2)))
        self.assertEqual(self.shown(self.page(9, 7, 5, 4, 3), 2), [5, 4, 3])

    def test_a_change_of_the_limit_makes_another_page_and_tells_the_script(self) -> None:
        page = self.page(3, 1)
        self.assertIn('data-most="1"', self.wall(page, 1))
        self.assertEqual((self.shown(page, 1), self.shown(page, 2)), ([1], [3, 1]))
        self.assertNotIn("data-most", self.wall(page, None))

    def test_marks_between_posts_that_are_not_shown_go_with_them(self) -> None:
        gap = SourceGap(
            source="x", from_="2026-11-22T10:00:00Z", to=None, state="open", fetched=0, reason="stall"
        )
        marks = (Outage(39, gap), Outage(3, gap))
        wall = self.wall(self.page(*range(40, 0, -1), gaps=marks), 2)
        body = wall.partition('id="stream"')[2].partition("</section>")[0]
        self.assertEqual(body.count('class="gap'), 1)
