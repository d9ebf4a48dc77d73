"""Whole words and phrases found in what people write, in any script.

Text is folded first (Unicode's NFKC and case folding, UAX #15), so that capitals, full-width letters and
ligatures make no difference, and characters that nobody sees (zero-width spaces, marks of direction, soft
hyphens) are gone.  It is then taken apart:

* letters, digits and ``_`` that stand together are one word, with the accents that belong to them;
* scripts whose words are not set apart by spaces (Chinese, Japanese, Thai, Khmer ...), and Korean, which writes
  its endings to the word, are taken letter by letter: what is looked for is found anywhere in a sentence;
* each symbol, an emoji for example, is a word by itself;
* everything else, punctuation above all, only separates words.

``#`` and ``@`` before a word count where they are looked for: ``#ad`` is found as a hashtag only, ``ad`` as
either.

The time that it takes grows with the length of the text and not with the number of words looked for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache
from unicodedata import category, combining, normalize

#: So many accents on one letter are looked at (UAX #15, section 13: no language has more).  Putting them in
#: order takes a time that grows with the square of their number.
MOST_MARKS = 30

#: First and last character of scripts that are taken letter by letter.
_LETTER_BY_LETTER = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x109F),  # Tibetan, Myanmar
    (0x1100, 0x11FF),  # Korean, in parts
    (0x1780, 0x17FF),  # Khmer
    (0x1980, 0x19FF),  # Tai Lue, Khmer symbols
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x2E80, 0x2FDF),  # Chinese radicals
    (0x3005, 0x3007),  # repetition and zero
    (0x3040, 0x31FF),  # Japanese syllables, Bopomofo, Korean
    (0x3400, 0x4DBF),  # Chinese
    (0x4E00, 0x9FFF),
    (0xA960, 0xA9DF),  # Korean in parts, Javanese
    (0xA9E0, 0xA9FF),  # Myanmar
    (0xAA60, 0xAA7F),
    (0xAC00, 0xD7FF),  # Korean
    (0xF900, 0xFAFF),  # Chinese
    (0x1AFF0, 0x1B16F),  # Japanese syllables
    (0x20000, 0x3FFFF),  # Chinese
)
_STARTS = [first for first, _ in _LETTER_BY_LETTER]

#: Nobody sees these, though Unicode counts them among letters and accents; and the Arabic stretch, which makes
#: a word longer and not another.
_UNSEEN = frozenset("\u034f\u0640\u115f\u1160\u17b4\u17b5\u3164\uffa0") | frozenset(
    chr(code)
    for first, last in ((0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
    for code in range(first, last + 1)
)

_LETTER, _ALONE, _MARK, _SIGIL, _NOTHING, _BREAK = range(6)


@lru_cache(maxsize=8192)
def _kind(character: str) -> int:
    """What a character is to words."""
    found = category(character)
    if character in _UNSEEN or found == "Cf":
        return _NOTHING
    if found[0] == "M":
        return _MARK
    if found[0] in "LN":
        at = bisect_right(_STARTS, ord(character)) - 1
        return _ALONE if at >= 0 and ord(character) <= _LETTER_BY_LETTER[at][1] else _LETTER
    if character == "_":
        return _LETTER
    if character in "#@":
        return _SIGIL
    return _ALONE if found[0] == "S" else _BREAK


def folded(text: str) -> str:
    """``text`` as it is compared: two texts that look the same but for capitals and width are the same."""
    if text.isascii():
        return text.lower()
    kept = []
    marks = 0
    for character in text:
        if _kind(character) == _NOTHING:
            continue
        marks = marks + 1 if combining(character) else 0
        if marks <= MOST_MARKS:
            kept.append(character)
    compared = normalize("NFKC", normalize("NFKC", "".join(kept)).casefold())
    # A Turkish capital I with its dot is folded to two characters.
    return compared.replace("i\u0307", "i")


def words(text: str) -> list[tuple[str, str]]:
    """The words of ``text``, folded, each with the ``#`` or ``@`` right before it, or nothing."""
    found: list[tuple[str, str]] = []
    letters: list[str] = []
    sigil = ""
    alone = False  # whether `letters` is one that takes no more letters

    def end() -> None:
        # In _this_ the lines are emphasis.
        word = "".join(letters).strip("_")
        if word:
            found.append((sigil, word))
        letters.clear()

    for character in folded(text):
        kind = _kind(character)
        if kind == _NOTHING:
            continue
        if kind == _MARK:
            if letters:
                letters.append(character)
            continue
        if kind == _LETTER and letters and not alone:
            letters.append(character)
            continue
        if letters:
            end()
            sigil = ""
        if kind in (_LETTER, _ALONE):
            letters.append(character)
            alone = kind == _ALONE
        else:
            sigil = character if kind == _SIGIL else ""
    end()
    return found


class _Node:
    """A place in the tree of phrases: what may follow, and the phrase that ends here."""

    __slots__ = ("next", "phrase")

    def __init__(self) -> None:
        self.next: dict[str, _Node] = {}
        self.phrase: str | None = None


class Phrases:
    """Words and phrases to look for.  What has no letter, digit or symbol in it is never found."""

    def __init__(self, phrases: Iterable[str]) -> None:
        self._root = _Node()
        for phrase in phrases:
            node = self._root
            for number, (sigil, word) in enumerate(words(phrase)):
                node = node.next.setdefault(word if number else sigil + word, _Node())
            if node.phrase is None:
                node.phrase = phrase
        self._root.phrase = None

    def find(self, text: str) -> str | None:
        """The first of the phrases in ``text``, as it was given; None for none."""
        if not self._root.next:
            return None
        found = words(text)
        for start, (sigil, word) in enumerate(found):
            for first in (word, sigil + word) if sigil else (word,):
                phrase = self._from(first, found, start)
                if phrase is not None:
                    return phrase
        return None

    def _from(self, first: str, found: list[tuple[str, str]], start: int) -> str | None:
        """The shortest phrase that begins with ``first``, at ``start``."""
        node = self._root.next.get(first)
        at = start
        while node is not None and node.phrase is None:
            at += 1
            node = node.next.get(found[at][1]) if at < len(found) else None
        return None if node is None else node.phrase
