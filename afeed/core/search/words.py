"""The words of a text, folded: what is written with capitals or accents is found without them, and the other
way round.

The databases get these words and nothing else to index, so that both find the same, whatever they know of
languages.  :data:`SCHEME` names how words are made: archives whose index was made otherwise are indexed anew.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

#: Grows whenever the same item would be found by other words than before.
SCHEME = 1

#: Longer words are cut; nobody types them, and indexes have limits.
MAX_WORD = 64
#: So many words of one text are indexed.
MAX_WORDS = 4000

#: Letters that look like another with a stroke, and of which Unicode does not say so.
_STROKES = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
)
_ACCENTS = re.compile("[\u0300-\u036f]")

#: Scripts that are written without blanks: each character counts as a word, several as a phrase.
_SINGLE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"(?:(?![{_SINGLE}])\w)+|(?=\w)[{_SINGLE}]")
_TAG = re.compile(r"#(\w+)")
_HANDLE = re.compile(r"(?<![\w.])@(\w[\w.-]*(?:@\w[\w.-]*)?)")


def fold(text: str) -> str:
    """``text`` without what a search does not tell apart: case, accents, widths of characters."""
    if text.isascii():
        return text.lower()
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text)).casefold().translate(_STROKES)
    return unicodedata.normalize("NFC", plain)


def words(folded: str) -> list[str]:
    """The words of a folded text, in order."""
    return [word[:MAX_WORD] for word in _WORD.findall(folded)]


def tags(folded: str) -> list[str]:
    """Its hashtags, as words: ``#tag``."""
    return ["#" + tag[:MAX_WORD] for tag in _TAG.findall(folded)] if "#" in folded else []


def handles(folded: str) -> list[str]:
    """The accounts that it names, as words: ``@ann``, and ``@ann@social.example`` also in full."""
    if "@" not in folded:
        return []
    found = []
    for name in _HANDLE.findall(folded):
        full = name.rstrip(".-")[:MAX_WORD]
        found.append("@" + full)
        local = full.partition("@")[0]
        if local != full:
            found.append("@" + local)
    return found


class Span(NamedTuple):
    """A piece of a text as it was written, and the word that it is; None for what stands between words."""

    text: str
    word: str | None


def spans(text: str) -> list[Span]:
    """``text`` in pieces which, joined, are ``text`` again."""
    found = []
    last = 0
    for match in _WORD.finditer(text):
        if match.start() > last:
            found.append(Span(text[last : match.start()], None))
        found.append(Span(match.group(), fold(match.group())[:MAX_WORD]))
        last = match.end()
    if last < len(text):
        found.append(Span(text[last:], None))
    return found
