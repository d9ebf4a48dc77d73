"""The words of the pages in each language, and whether none is missing."""

from __future__ import annotations

import json
import re
import string
from datetime import date
from zoneinfo import ZoneInfo

from twisted.trial.unittest import SynchronousTestCase

from afeed.web import catalogues, words
from afeed.web.languages import MOST_ACCEPTED, NAMES, _best, catalogue, choose, languages

FOREIGN = [name for name in NAMES if name != "en"]


def variables(text: str) -> set[str]:
    """What is filled into ``text``: ``%(name)s`` and ``{name}``, and the tags around them."""
    braces = {name for _, name, _, _ in string.Formatter().parse(text) if name}
    return braces | set(re.findall(r"%\(\w+\)s|</?\w+", text))


class CatalogueTests(SynchronousTestCase):
    def test_each_has_every_message_of_the_pages_and_no_other(self) -> None:
        present = {message.id for message in catalogues.template() if message.id}
        self.assertGreater(len(present), 60)
        for name in FOREIGN:
            self.assertEqual({message.id for message in catalogue(name) if message.id}, present, name)

    def test_each_message_is_translated(self) -> None:
        missing = [
            (name, message.id)
            for name in FOREIGN
            for message in catalogue(name)
            if message.id and (message.fuzzy or not all(_forms(message.string)))
        ]
        self.assertEqual(missing, [])

    def test_what_is_filled_in_is_the_same(self) -> None:
        for name in FOREIGN:
            for message in catalogue(name):
                for form in _forms(message.string) if message.id else ():
                    self.assertEqual(variables(form), variables(_forms(message.id)[-1]), (name, form))

    def test_they_stand_as_the_program_that_updates_them_writes_them(self) -> None:
        for path in catalogues.LOCALE.glob("*.po"):
            written = path.read_bytes()
            self.assertEqual(catalogues.updated(path.stem, written), written, path.name)

    def test_another_language_begins_with_everything_to_be_translated(self) -> None:
        begun = catalogues.updated("nl", b"")
        self.assertIn(b'msgid "Older posts"\nmsgstr ""', begun)
        self.assertIn(b"afeed's pages in Dutch", begun)


class LanguageTests(SynchronousTestCase):
    def test_of_what_a_browser_prefers_only_the_beginning_is_looked_at(self) -> None:
        filling = "xx;q=0.1," * (MOST_ACCEPTED // 9)
        self.assertEqual(choose(None, f"{filling}de")[0].tag, "de")
        self.assertEqual(choose(None, f"{filling}xx,de")[0].tag, "en")
        # What is cut off in its middle is not taken for more than it was.
        cut = "fr;q=0.5," + "x" * (MOST_ACCEPTED - 14) + ",de;q=0.1" + "," * 16_000
        self.assertEqual(choose(None, cut)[0].tag, "fr")

    def test_a_long_wish_that_varies_at_its_end_is_parsed_once(self) -> None:
        beginning = "fr," + "en;q=0.5," * 30
        choose(None, beginning)
        parsed = _best.cache_info().misses
        for number in range(5):
            self.assertEqual(choose(None, f"{beginning}x-{number}")[0].tag, "fr")
        self.assertEqual(_best.cache_info().misses, parsed)

    def test_dates_are_written_as_it_is_done_there(self) -> None:
        for tag, text in (
            ("en", "21–23 Nov 2026"),
            ("en-US", "Nov 21 – 23, 2026"),
            ("de", "21.–23. Nov. 2026"),
            ("fr", "21–23 nov. 2026"),
        ):
            found = languages()[tag].days(date(2026, 11, 21), date(2026, 11, 23))
            self.assertEqual(found.replace("\u2009", " "), text)

    def test_what_the_days_share_is_said_once(self) -> None:
        for starts, ends, text in (
            (date(2026, 11, 21), date(2026, 11, 21), "21 Nov 2026"),
            (date(2026, 11, 30), date(2026, 12, 2), "30 Nov – 2 Dec 2026"),
            (date(2026, 12, 31), date(2027, 1, 1), "31 Dec 2026 – 1 Jan 2027"),
        ):
            self.assertEqual(languages()["en"].days(starts, ends).replace("\u2009", " "), text)

    def test_ages_are_in_words(self) -> None:
        english = languages()["en"]
        for passed, text in (
            (-3, "1 second ago"),
            (59, "59 seconds ago"),
            (60, "1 minute ago"),
            (7300, "2 hours ago"),
            (3 * 86400, "3 days ago"),
        ):
            self.assertEqual(english.ago(passed), text)
        self.assertEqual(languages()["de"].ago(180), "vor 3 Minuten")
        self.assertEqual(languages()["fr"].ago(180), "il y a 3 minutes")

    def test_a_moment_says_where_it_is_that_late(self) -> None:
        at = "2026-11-21T17:00:05.120Z"
        for tag, text in (
            ("en", "21 Nov 2026, 17:00:05 UTC"),
            ("de", "21.11.2026, 17:00:05 UTC"),
            ("fr", "21 nov. 2026, 17:00:05 UTC"),
        ):
            self.assertEqual(languages()[tag].moment(at), text)
        self.assertEqual(languages()["de"].moment(at, ZoneInfo("Europe/Berlin")), "21.11.2026, 18:00:05 CET")

    def test_what_is_filled_in_may_hold_anything(self) -> None:
        german = languages()["de"]
        self.assertEqual(german.text("The reason: %(reason)s.", reason="100 % <b>"), "Der Grund: 100 % <b>.")

    def test_a_leaf_of_the_calendar_has_a_month_and_a_day(self) -> None:
        german = languages()["de"]
        self.assertEqual((german.month(date(2026, 11, 5)), german.day(date(2026, 11, 5))), ("Nov", "5"))


class WordsTests(SynchronousTestCase):
    def test_scripts_get_texts_and_plurals(self) -> None:
        found = json.loads(words.for_scripts(languages()["de"]))
        self.assertEqual(found["paused"], "Angehalten")
        self.assertEqual(found["news"], {"one": "{count} neuer Beitrag", "other": "{count} neue Beiträge"})

    def test_styles_get_strings_that_cannot_end_early(self) -> None:
        sheet = words.stylesheet(languages().values())
        self.assertTrue(sheet.startswith(':root{--word-reply:"Reply";'))
        self.assertIn(':root:lang(fr){--word-reply:"Réponse";', sheet)
        self.assertNotIn("\\", sheet)
        self.assertEqual(words._quoted('a"};b'), '"a\\22 \\7d \\3b b"')


def _forms(text: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)
