"""What was searched for, marked in posts."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.search.wish import Marker, read
from afeed.web.highlight import LOOKED_AT, marked


class MarkedTests(SynchronousTestCase):
    def mark(self, html: str, wish: str) -> str:
        return marked(html, Marker(read(wish)))

    def test_words_are_marked_and_tags_are_not(self) -> None:
        self.assertEqual(
            self.mark('<p>Rust &amp; <a href="https://rust.example/?rust=%22">rust</a></p>', "rust"),
            '<p><mark>Rust</mark> &amp; <a href="https://rust.example/?rust=%22"><mark>rust</mark></a></p>',
        )

    def test_nothing_becomes_a_tag(self) -> None:
        html = "<p>&lt;script&gt; amp &amp;lt; lt</p>"
        for wish in ("script", "amp", "lt", "gt", "p"):
            found = self.mark(html, wish)
            self.assertEqual(found.replace("<mark>", "").replace("</mark>", ""), html)

    def test_of_a_very_long_post_only_the_beginning_is_looked_at_and_all_of_it_is_there(self) -> None:
        for html in ("<p>" + "word &lt; " * 5000 + "</p>", "<p>word &lt; </p>" * 5000):
            found = self.mark(html, "word")
            self.assertEqual(found.replace("<mark>", "").replace("</mark>", ""), html)
            self.assertEqual(found.count("<mark>"), LOOKED_AT // len("word < "))
