"""The words of a text, and how they are folded."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.search.words import MAX_WORD, fold, handles, spans, tags, words


class FoldingTests(SynchronousTestCase):
    def test_case_and_accents_make_no_difference(self) -> None:
        for text, plain in (
            ("Crème BRÛLÉE", "creme brulee"),
            ("Cre\u0300me", "creme"),
            ("Straße STRASSE", "strasse strasse"),
            ("Ærøskøbing Łódź", "aeroskobing lodz"),
            ("ΑΘΉΝΑ", "αθηνα"),
            ("Ｆｕｌｌ", "full"),
            ("한국어", "한국어"),
        ):
            self.assertEqual(fold(text), plain)

    def test_words_are_letters_and_digits(self) -> None:
        self.assertEqual(words(fold("Don't panic: it's 42!")), ["don", "t", "panic", "it", "s", "42"])

    def test_scripts_without_blanks_are_taken_letter_by_letter(self) -> None:
        self.assertEqual(words("会議室 b2 です"), ["会", "議", "室", "b2", "で", "す"])

    def test_long_words_are_cut(self) -> None:
        self.assertEqual(words("a" * 500), ["a" * MAX_WORD])

    def test_tags_and_handles_are_words_of_their_own(self) -> None:
        text = fold("Hi @Ann, see @bob@social.example. #TalkOne#two mail me@example.org")
        self.assertEqual(tags(text), ["#talkone", "#two"])
        self.assertEqual(handles(text), ["@ann", "@bob@social.example", "@bob"])

    def test_spans_are_the_text_again(self) -> None:
        for text in ("", "  a,b  ", "Crème brûlée!", "会議 room", "\ud800 x", "e\u0301a"):
            self.assertEqual("".join(span.text for span in spans(text)), text)
