"""What an event keeps from the screen, as the configuration says it."""

from __future__ import annotations

from afeed import config
from afeed.core.filters import Filters
from afeed.organisers.passwords import hashed
from tests.configuration.files import EVENT, ConfigurationTestCase

ADMIN = f'[[admin.users]]\nname = "ann"\npassword_hash = "{hashed("four gulls on a pier")}"\n'


class FilterTests(ConfigurationTestCase):
    def filters(self, text: str, before: str = "") -> Filters:
        return self.load(f"{before}{EVENT}[events.filters]\n{text}").events[0].filters

    def wrong(self, text: str) -> str:
        return self.problem(f"{EVENT}[events.filters]\n{text}")

    def test_nothing_is_kept_back_where_nothing_is_said(self) -> None:
        self.assertEqual(self.load(EVENT).events[0].filters, Filters())
        self.assertEqual(self.filters(""), Filters())

    def test_everything(self) -> None:
        text = """
mode = "approve"
hold_s = 20
muted = ["bad word", "#ad", "🍆"]
trusted = ["@Ann", "x:@Ben"]
hide_sensitive = true
hide_replies = true
hide_reposts = true
per_author_per_minute = 3
"""
        self.assertEqual(
            self.filters(text, ADMIN),
            Filters(
                mode="approve",
                hold_s=20.0,
                muted=("bad word", "#ad", "🍆"),
                trusted=("@ann", "x:@ben"),
                hide_sensitive=True,
                hide_replies=True,
                hide_reposts=True,
                per_author_per_minute=3,
            ),
        )

    def test_who_is_blocked_is_beside_what_organisers_may_change(self) -> None:
        event = self.load(f'{EVENT}[events.filters]\nblocked = ["@Troll", "x:@Spam"]\n').events[0]
        self.assertEqual((event.blocked, event.filters), (("@troll", "x:@spam"), Filters()))
        self.assertEqual(self.load(EVENT).events[0].blocked, ())

    def test_mistakes_each_with_its_line(self) -> None:
        for text, words in (
            ('mode = "aprove"', "9: events[0].filters.mode: must be one of everything, hold, approve, trusted"),
            ('mode = "approve"', "9: events[0].filters.mode: there is nobody who could approve anything"),
            ('mode = "trusted"', "9: events[0].filters.mode: nobody is trusted"),
            ("mode = 1", "must be a string"),
            ("hold_s = 0", "9: events[0].filters.hold_s: must be from 1.0 to 86,400.0, not 0.0"),
            ("hold_s = nan", "must be from 1.0"),
            ('muted = "bad"', "must be an array, such as ['bad']"),
            ('muted = [\n"fine",\n"..."]', "11: events[0].filters.muted[1]: '...' has no letter"),
            (f'muted = ["{"x" * 101}"]', "is too long"),
            ('muted = ["Ad", "ad!"]', "names 'ad!' twice"),
            ('trusted = ["two words"]', "events[0].filters.trusted[0]: must be a handle such as @ann"),
            ('trusted = ["@ann", "ANN"]', "names somebody twice"),
            ('blocked = ["@ann", "ANN"]', "9: events[0].filters.blocked: names somebody twice"),
            ('blocked = ["a troll"]', "events[0].filters.blocked[0]: must be a handle such as @ann"),
            ('trusted = ["@ann"]\nblocked = ["@Ann"]', "blocked: '@ann' is trusted, too; nobody can be both"),
            ("hide_replies = 1", "must be"),
            ("per_author_per_minute = 0", "must be from 1 to 1,000, not 0"),
            ('mute = ["bad"]', "unknown key; did you mean muted?"),
        ):
            self.assertIn(words, self.wrong(text))
        self.assertIn("must be a table: write [events.filters]", self.problem(EVENT + "filters = 3\n"))
        many = ", ".join(f'"w{number}"' for number in range(501))
        self.assertIn("at most 500 elements, not 501", self.wrong(f"muted = [{many}]"))

    def test_what_would_run_is_said_in_words(self) -> None:
        text = 'mode = "hold"\nmuted = ["a", "b"]\nblocked = ["@c"]\nhide_replies = true\n'
        text += "per_author_per_minute = 2\n"
        shown = config.check(self.load(f"{EVENT}[events.filters]\n{text}"))
        self.assertIn(
            "filters        everything waits for 60 s; without replies; 2 muted; 1 blocked; on the wall at "
            "most 2 of one author in a minute",
            shown,
        )
        self.assertIn("filters        everything is shown at once", config.check(self.load(EVENT)))
