"""The words, hashtags and handles of a text, as they are counted.

Each counts once for a post, however often the post says it, so that what one person repeats does not look like
what everybody said.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from stop_words import get_stop_words

from afeed.core.attribution.tokens import pairs

#: Addresses, hashtags, mentions (also of the Fediverse and Bluesky), words with the apostrophes within them.
_TOKEN = re.compile(r"https?://\S+|www\.\S+|[#＃]\w+|[@＠][\w.-]+(?:@[\w.-]+)?|\w+(?:['’]\w+)*")
_APOSTROPHE = re.compile("['’]")
_LANGUAGES = ("en", "de", "fr")
_SHORTEST = 3
#: Longer words are no words.
_LONGEST = 40
#: Words of two letters in the three languages, as they are when somebody shouts.
_SHOUTED = """
    AB AH AM AN AS AT AU BE BY CE DA DE DO DU EN ER ES ET GO HE HI IF IL IM IN IS IT JA JE LA LE MA ME MY NE NI
    NO OB OF OH OK ON OR OU RT SA SE SI SO TA TE TO TU UM UN UP US VU WE WO ZU
    """
#: What posts are full of beside the words of the languages.
_OF_POSTS = {
    "amp",
    "fav",
    "htm",
    "html",
    "http",
    "https",
    "link",
    "lol",
    "pic",
    "thx",
    "via",
    "www",
    "yeah",
    "yes",
}


#: What the library calls too common, and what talks are about all the same.
_TALKED_ABOUT = """
    allow amount aside begin beginning bill biol bottom caption case cases cause causes computer copy course
    date describe detail effect empty face faces fact facts fill fire full fully group grouping groups home
    homepage immediate important index inner interest interests invention join keys line member members
    microsoft mill mine move netscape network novel null number numbers open opened opening opens order ordering
    page pages parts past place places present presenting presents problem problems proud ring research
    right room rooms section self sense serious side sides similar site small specify state states
    sub system test text thick thin thought thoughts turn value welcome webpage website whim width word
    words work worked working works world young zero
    """


@cache
def stop_words() -> frozenset[str]:
    """What says nothing in English, German or French, in lower case."""
    words = {word.casefold() for language in _LANGUAGES for word in get_stop_words(language)}
    words -= set(_TALKED_ABOUT.split())
    # Contractions are written with both kinds of apostrophes, and often with none.
    words |= {word.replace("'", "") for word in words}
    return frozenset(words | {word.replace("'", "’") for word in words} | _OF_POSTS)


def terms(text: str) -> set[str]:
    """The terms of ``text`` in lower case: hashtags with ``#`` in front, handles with ``@``, and words that
    mean something.  Two letters make a word where they are capitals (``AI``, ``UX``)."""
    found: set[str] = set()
    stop = stop_words()
    for token in _TOKEN.findall(unicodedata.normalize("NFC", text)):
        first = token[0]
        if first in "#＃":
            found.add("#" + token[1:].casefold()[:_LONGEST])
        elif first in "@＠":
            if handle := token[1:].casefold().strip(".-"):
                found.add("@" + handle[:_LONGEST])
        elif token.startswith(("http://", "https://", "www.")):
            continue
        elif not token.isascii() and (syllables := set(pairs(token))):
            found |= syllables
        else:
            word = _word(token, stop)
            if word is not None:
                found.add(word)
    return found


def _word(token: str, stop: frozenset[str]) -> str | None:
    """The part of ``token`` that means something: ``l'amour`` is about love, and ``don't`` about nothing."""
    if len(token) == 2 and token.isupper() and token.isalpha():
        # The library's lists have "ai", which is a verb in French, and most others as well.
        return None if token in _SHOUTED.split() else token.casefold()
    if token.casefold() in stop:
        return None
    longest = max(_APOSTROPHE.split(token), key=len)
    word = longest.casefold()
    if not _SHORTEST <= len(longest) <= _LONGEST or word in stop or word.isdigit() or "_" in word:
        return None
    return word
