"""Texts as comparable words, without knowing their language."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

#: Addresses, mentions (also of the Fediverse and Bluesky), hashtags, words.
TOKEN = re.compile(r"https?://\S+|@[\w.-]+(?:@[\w.-]+)?|#\w+|\w+")

_MARK = re.compile("[\u0300-\u036f]")
#: Scripts without spaces between words: Thai, Kana, Han, Hangul's syllables are separated but inflected.
_UNSPACED = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
_STEM_CHARS = 6
_SHORTEST = 3


def plain(text: str) -> str:
    """``text`` in lower case and without accents."""
    text = text.casefold()
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", _MARK.sub("", unicodedata.normalize("NFKD", text)))


def stem(word: str) -> str:
    """What forms of a word have in common: the first letters, without an ``s`` at the end.  Crude, but the same
    for posts and titles, and for all languages that inflect at the end."""
    return word[:-1][:_STEM_CHARS] if word[-1] == "s" and len(word) > _SHORTEST else word[:_STEM_CHARS]


def pairs(word: str) -> Iterable[str]:
    """Of a run of characters of a script without spaces, each two neighbours; of other words, nothing."""
    for run in _UNSPACED.findall(word):
        yield from (run[at : at + 2] for at in range(len(run) - 1))


def stems(text: str) -> set[str]:
    """The stems of all words in ``text`` that are long enough to mean something."""
    found: set[str] = set()
    for word in TOKEN.findall(plain(text)):
        if word[0] in "@#" or word.startswith("http"):
            continue
        if not word.isascii() and _UNSPACED.search(word):
            found.update(pairs(word))
        elif len(word) >= _SHORTEST:
            found.add(stem(word))
    return found
