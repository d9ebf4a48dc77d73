"""Whole words and phrases, in any script and whatever is done to hide them."""

from __future__ import annotations

import os
import sys
import time
from random import Random, SystemRandom

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.words import Phrases, folded, words

SEED = int(os.environ.get("AFEED_SEED", SystemRandom().randrange(10**6)))


def found(phrase: str, text: str) -> bool:
    return Phrases([phrase]).find(text) is not None


class WholeWordTests(SynchronousTestCase):
    def assert_found(self, phrase: str, *texts: str) -> None:
        for text in texts:
            self.assertTrue(found(phrase, text), f"{phrase!r} in {text!r}")

    def assert_not_found(self, phrase: str, *texts: str) -> None:
        for text in texts:
            self.assertFalse(found(phrase, text), f"{phrase!r} in {text!r}")

    def test_a_word_is_found_whole_and_nowhere_within_another(self) -> None:
        self.assert_found(
            "ass", "ass", "An ASS.", "(ass)", "ass!", "kick-ass", "ass’s", "“ass”", "a/ass/b", "_ass_"
        )
        self.assert_not_found("ass", "class", "assess", "ass1", "my_ass", "áss", "", "a s s")

    def test_capitals_width_and_ligatures_make_no_difference(self) -> None:
        self.assert_found("straße", "STRASSE", "Straße", "ＳＴＲＡＳＳＥ")
        self.assert_found("Office", "oﬃce")
        self.assert_found("ΣΊΣΥΦΟΣ", "σίσυφος")
        self.assert_found("İstanbul", "istanbul", "ISTANBUL", "İSTANBUL")
        self.assert_found("istanbul", "İstanbul")
        self.assert_found("café", "CAFE\u0301", "cafe\u0301", "Café")
        self.assert_not_found("cafe", "café")

    def test_what_nobody_sees_hides_nothing(self) -> None:
        unseen = (
            "\u200b",
            "\u200d",
            "\u2060",
            "\ufeff",
            "\u00ad",
            "\u202e",
            "\u200f",
            "\u2066",
            "\u034f",
            "\ufe0f",
        )
        for character in (*unseen, "\u180e", "\U000e0001", "\U000e0101", "\u3164", "\u061c"):
            self.assert_found(
                "spam", f"sp{character}am", f"{character}spam", f"s{character * 50}pam{character}"
            )
            self.assertTrue(found(f"sp{character}am", "spam"), repr(character))
        self.assert_found("سلام", "ســـلام")

    def test_a_phrase_is_found_whatever_stands_between_its_words(self) -> None:
        self.assert_found(
            "buy now", "Buy   NOW!", "buy, now", "buy\nnow", "… buy-now …", "#buy now", "to buy now or later"
        )
        self.assert_not_found("buy now", "buynow", "now buy", "buy it now", "buys now", "buy")

    def test_a_hashtag_is_found_as_one_only_and_a_word_as_either(self) -> None:
        self.assert_found("#ad", "#ad", "so #AD.", "＃ad", "x#ad", "##ad")
        self.assert_not_found("#ad", "ad", "# ad", "#advert", "@ad")
        self.assert_found("ad", "#ad", "ad")
        self.assert_found("@troll", "hey @Troll!")
        self.assert_not_found("@troll", "troll", "#troll")
        self.assert_found("#東京", "今日は#東京で")
        self.assert_not_found("#東京", "東京")

    def test_scripts_without_spaces_are_found_within_a_sentence(self) -> None:
        self.assert_found("東京", "私は東京に行きます", "東京都", "(東京)")
        self.assert_found("くそ", "このくそったれ")
        self.assert_found("ควาย", "ไอ้ควายตัวนี้")
        self.assert_not_found("กา", "ก้า")  # another vowel sign is another word
        self.assert_found("서울", "서울은 좋다")
        self.assert_found("ខ្មែរ", "ប្រជាជនខ្មែរទាំងអស់")
        self.assert_not_found("東京", "京東", "東 北京")

    def test_words_with_vowel_signs_stay_whole(self) -> None:
        self.assert_found("हिंदी", "यह हिंदी है", "#हिंदी")
        self.assert_not_found("हिंद", "हिंदी")
        self.assert_not_found("வணக்க", "வணக்கம்")

    def test_emoji_and_other_symbols_are_words(self) -> None:
        self.assert_found("🍆", "look🍆🍆", "🍆")
        self.assert_found("👩‍🚀", "one 👩‍🚀 more", "👩🚀")
        self.assert_found("❤", "❤️")
        self.assert_found("c++", "I like C++!")
        self.assert_not_found("c++", "I like C")
        self.assert_found("€", "100€")

    def test_metacharacters_mean_nothing(self) -> None:
        for phrase in (".*", "a.*b", "(a+)+$", "[a-z]", "a|b", "\\w", "{{x}}", "%s", "^x"):
            self.assert_not_found(phrase, "anything", "aaaa", "axb", "")
        self.assert_found("(a+)+$", "what about (a+)+$ here")
        self.assertEqual(words("..., ---"), [])
        self.assert_not_found("...", "...", "what...", "")

    def test_the_phrase_is_named_as_it_was_given(self) -> None:
        phrases = Phrases(["Buy NOW", "buy", "#Ad"])
        self.assertEqual(phrases.find("please buy now"), "buy")
        self.assertEqual(Phrases(["Buy NOW", "#Ad"]).find("please buy now"), "Buy NOW")
        self.assertEqual(phrases.find("an #ad"), "#Ad")
        self.assertIsNone(phrases.find("nothing of it"))
        self.assertIsNone(Phrases([]).find("anything"))


class HostileTests(SynchronousTestCase):
    #: Characters of every kind that matters, and those that break things elsewhere.
    ALPHABET = "aB1_#@ .,\n\0\t'-+€🍆漢かก้हिंé\u0301\u200b\u202e\u0640\ud800\U000e0001\U0010ffff"

    def test_any_text_is_folded_the_same_twice_and_never_fails(self) -> None:
        print(f"AFEED_SEED={SEED}", file=sys.stderr)
        rng = Random(SEED)
        for _ in range(3000):
            text = "".join(rng.choices(self.ALPHABET, k=rng.randrange(30)))
            self.assertEqual(folded(folded(text)), folded(text), repr(text))
            parts = words(text)
            self.assertTrue(all(word for _, word in parts), repr(text))
            # Whatever has a word in it is found in itself, and between other words.
            if parts:
                self.assertTrue(found(text, text), repr(text))
                self.assertTrue(found(text, f"before {text} after"), repr(text))

    def test_a_word_within_a_longer_one_is_never_found(self) -> None:
        rng = Random(SEED)
        letters = "abcdefghijklmnopqrstuvwxyzéñßфыв"
        for _ in range(2000):
            word = "".join(rng.choices(letters, k=rng.randrange(1, 8)))
            before, after = ("".join(rng.choices(letters, k=rng.randrange(3))) for _ in range(2))
            text = f"x {before}{word}{after} y"
            whole = words(word)[0][1] in {one for _, one in words(text)}
            self.assertEqual(found(word, text), whole, (word, text))

    def test_time_grows_with_the_text_alone(self) -> None:
        many = Phrases([f"word{number} and more{number}" for number in range(20_000)] + ["a " * 40 + "b"])
        texts = (
            "word1 and " * 20_000,
            "a " * 100_000,
            "x" * 200_000,
            "#" * 200_000,
            "e" + "\u0301\u0316" * 100_000,  # accents that would have to be put in order
            "\u200b" * 200_000,
            "\ufdfa" * 20_000,  # one character that stands for eighteen
            "漢" * 100_000,
            "🍆" * 100_000,
        )
        for text in texts:
            began = time.process_time()
            self.assertIsNone(many.find(text))
            self.assertLess(time.process_time() - began, 3.0, repr(text[:20]))
