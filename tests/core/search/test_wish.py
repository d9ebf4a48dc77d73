"""What people mean by what they type."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.search.wish import MAX_TERMS, Marker, Term, Wish, read


class ReadingTests(SynchronousTestCase):
    def test_words_phrases_and_what_is_left_out(self) -> None:
        self.assertEqual(
            read('Crème "Brûlée recipe" -sugar teas'),
            Wish(
                (Term(("creme",)), Term(("brulee", "recipe")), Term(("teas",), open=True)), (Term(("sugar",)),)
            ),
        )

    def test_tags_and_handles(self) -> None:
        self.assertEqual(read("#Talk @Anna "), Wish((Term(("#talk",)), Term(("@anna",), open=True))))
        self.assertEqual(read("-#spam -@bot"), Wish((), (Term(("#spam",)), Term(("@bot",)))))

    def test_the_last_word_may_go_on_where_it_is_long_enough(self) -> None:
        self.assertEqual(read("acce"), Wish((Term(("acce",), open=True),)))
        self.assertEqual(read("web"), Wish((Term(("web",)),)))
        self.assertEqual(read('"acc"'), Wish((Term(("acc",)),)))
        self.assertEqual(read("-acc"), Wish((), (Term(("acc",)),)))

    def test_what_is_written_together_stays_together(self) -> None:
        self.assertEqual(read("don't tell"), Wish((Term(("don", "t")), Term(("tell",), open=True))))
        self.assertEqual(read("会議"), Wish((Term(("会", "議")),)))

    def test_marks_that_mean_nothing_are_blanks(self) -> None:
        for text in (
            "",
            "   ",
            '"',
            '""',
            "-",
            "- -",
            "*",
            "()",
            "AND^OR",
            "'; --",
            "NEAR(",
            "\0",
            '-"',
            "#",
            "@",
        ):
            wish = read(text)
            for term in (*wish.wanted, *wish.unwanted):
                self.assertTrue(all(word.strip("#@").replace("_", "a").isalnum() for word in term.words), text)
        self.assertFalse(read('"" - * ()'))
        self.assertEqual(read("title:ANDY*"), Wish((Term(("title", "andy"), open=True),)))

    def test_nobody_can_ask_for_too_much(self) -> None:
        self.assertLessEqual(len(read("a " * 500).wanted), MAX_TERMS)

    def test_anything_at_all_can_be_read(self) -> None:
        rng = Random(7)
        letters = "ab \"-#@*:()'\\\0\u0301é会\ud800\U0001f600\n%_&|!<>"
        for _ in range(3000):
            text = "".join(rng.choice(letters) for _ in range(rng.randrange(60)))
            wish = read(text)
            for term in (*wish.wanted, *wish.unwanted):
                self.assertTrue(term.words)
                self.assertTrue(all(word and not set(word) & set("\"' \0\\~") for word in term.words), text)


class MarkerTests(SynchronousTestCase):
    def test_what_was_asked_for_is_marked_as_it_was_written(self) -> None:
        marker = Marker(read("creme #talk acce"))
        self.assertEqual(
            marker.pieces("Crème, accessible #Talk."),
            [("Crème", True), (", ", False), ("accessible", True), (" #", False), ("Talk", True), (".", False)],
        )

    def test_what_was_not_wanted_is_not(self) -> None:
        self.assertFalse(Marker(read("-creme")))
        self.assertEqual(Marker(read("-creme a")).pieces("creme"), [("creme", False)])
