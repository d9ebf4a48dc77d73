"""What counts as a word, a hashtag, a handle; and which stand out."""

from __future__ import annotations

from math import log

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.report.keyness import SIGNIFICANT, log_likelihood, most_frequent, standing_out
from afeed.core.report.terms import stop_words, terms


class TermsTests(SynchronousTestCase):
    def test_words_hashtags_and_handles_are_told_apart(self) -> None:
        found = terms("Seams between @Ann's grids: #CSSGrid, #cssgrid and @bo@social.example. SEAMS!")
        self.assertEqual(found, {"seams", "@ann", "grids", "#cssgrid", "@bo@social.example"})

    def test_addresses_are_no_words(self) -> None:
        self.assertEqual(terms("look https://example.org/grids?x=seams www.example.org/layout"), set())

    def test_what_says_nothing_is_left_out_in_three_languages(self) -> None:
        for text in (
            "I don’t think that's what they were about",
            "Das ist nicht, was wir haben",
            "C'est ce que nous avons",
        ):
            self.assertEqual(terms(text), set(), text)

    def test_elisions_and_possessives_leave_the_word(self) -> None:
        self.assertEqual(
            terms("l'accessibilité de l’interface, the speaker's slides"),
            {
                "accessibilité",
                "interface",
                "speaker",
                "slides",
            },
        )

    def test_two_letters_are_a_word_if_they_are_capitals(self) -> None:
        self.assertEqual(terms("AI beats UX, j'ai qq, IT IS SO"), {"ai", "ux", "beats"})

    def test_numbers_and_what_is_no_language_are_no_words(self) -> None:
        self.assertEqual(terms(f"2026 12345 snake_case {'x' * 60}"), set())

    def test_scripts_without_spaces_are_cut_into_pairs(self) -> None:
        self.assertEqual(terms("日本語"), {"日本", "本語"})

    def test_each_counts_once_and_accents_are_kept(self) -> None:
        self.assertEqual(terms("Größe größe GRÖSSE cafe\u0301"), {"grösse", "café"})

    def test_what_talks_are_about_is_no_stop_word(self) -> None:
        self.assertFalse({"text", "caption", "computer", "network", "page", "system"} & stop_words())
        self.assertLessEqual({"the", "und", "avec", "isn't", "isn’t", "https"}, stop_words())


class KeynessTests(SynchronousTestCase):
    def test_the_measure_is_that_of_the_paper(self) -> None:
        # 2x2: 10 of 100 here, 20 of 900 there; G² = 2 Σ O ln(O/E).
        expected = 0.0
        for seen, row, column in ((10, 100, 30), (90, 100, 970), (20, 900, 30), (880, 900, 970)):
            expected += 2 * seen * log(seen / (row * column / 1000))
        self.assertAlmostEqual(log_likelihood(10, 100, 20, 900), expected, places=9)

    def test_the_same_share_is_no_difference(self) -> None:
        self.assertAlmostEqual(log_likelihood(10, 100, 90, 900), 0, places=9)
        self.assertEqual(log_likelihood(0, 0, 0, 0), 0)

    def test_what_is_frequent_everywhere_does_not_stand_out(self) -> None:
        here = {"#conf": 50, "seams": 12, "coffee": 3, "rare": 1}
        there = {"#conf": 500, "coffee": 60, "seams": 2}
        found = standing_out(here, 50, there, 500)
        self.assertEqual([term.text for term in found], ["seams"])
        self.assertEqual((found[0].posts, found[0].elsewhere), (12, 2))
        self.assertGreater(found[0].score, SIGNIFICANT)

    def test_what_is_rarer_here_does_not_stand_out_however_surprising(self) -> None:
        self.assertEqual(standing_out({"lunch": 2}, 1000, {"lunch": 400}, 1000), [])

    def test_without_anything_to_compare_with_the_most_frequent_are_first(self) -> None:
        found = most_frequent({"b": 3, "a": 3, "c": 5, "once": 1})
        self.assertEqual([term.text for term in found], ["c", "a", "b"])
