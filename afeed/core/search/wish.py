"""What people type into the search box, and what they mean by it.

``word`` finds it in any case and accent; ``"two words"`` finds them side by side; ``-word`` leaves out;
``#tag`` and ``@handle`` find those and not the bare word.  Everything must be there; the last word may go on.
Whatever else is typed is harmless: marks are blanks, and a quotation mark that is not closed closes at the end.
"""

from __future__ import annotations

import re

import attrs

from afeed.core.search.words import fold, handles, spans, tags, words

#: Of what is typed, so many characters and so many parts are looked at.
MAX_CHARS = 200
MAX_TERMS = 12

#: A last word of fewer letters does not go on: it is a word of its own (``AI``, ``web``), and so many others
#: begin like it that finding them all would take long.
MIN_PREFIX = 4

_PART = re.compile(r'(-?)(?:"([^"]*)"?|([^\s"]+))')


@attrs.frozen
class Term:
    """``words`` side by side; ``open`` when the last of them may go on."""

    words: tuple[str, ...]
    open: bool = False


@attrs.frozen
class Wish:
    """All of ``wanted`` and none of ``unwanted``; empty when nothing was asked for."""

    wanted: tuple[Term, ...] = ()
    unwanted: tuple[Term, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.wanted or self.unwanted)


def read(text: str) -> Wish:
    """What ``text`` asks for; never raises."""
    wanted: list[Term] = []
    unwanted: list[Term] = []
    parts = _PART.findall(text[:MAX_CHARS])[:MAX_TERMS]
    for number, (minus, quoted, bare) in enumerate(parts):
        last = number == len(parts) - 1
        found = [_phrase(quoted)] if quoted else list(_bare(bare, goes_on=last and not minus))
        (unwanted if minus else wanted).extend(term for term in found if term is not None)
    return Wish(tuple(dict.fromkeys(wanted)), tuple(dict.fromkeys(unwanted)))


def _phrase(text: str) -> Term | None:
    found = words(fold(text))
    return Term(tuple(found)) if found else None


def _bare(text: str, goes_on: bool) -> list[Term | None]:
    """The terms of a part without blanks: several for ``#one#two``."""
    folded = fold(text)
    named = [*tags(folded), *(handle for handle in handles(folded)[:1])]
    if named:
        *others, last = named
        return [*(Term((name,)) for name in others), Term((last,), goes_on and len(last) > MIN_PREFIX)]
    found = words(folded)
    if not found:
        return [None]
    return [Term(tuple(found), goes_on and len(found[-1]) >= MIN_PREFIX)]


class Marker:
    """Finds the places for which something was found."""

    def __init__(self, wish: Wish) -> None:
        whole: set[str] = set()
        prefixes: list[str] = []
        for term in wish.wanted:
            plain = [word.lstrip("#@") for word in term.words]
            whole.update(plain)
            if term.open:
                prefixes.append(plain[-1])
        self._whole = whole
        self._prefixes = tuple(prefixes)

    def __bool__(self) -> bool:
        return bool(self._whole)

    def pieces(self, text: str) -> list[tuple[str, bool]]:
        """``text`` in pieces, each with whether it was asked for."""
        joined: list[tuple[str, bool]] = []
        for piece, word in spans(text):
            hit = word is not None and (
                word in self._whole or (bool(self._prefixes) and word.startswith(self._prefixes))
            )
            if joined and joined[-1][1] is hit:
                joined[-1] = (joined[-1][0] + piece, hit)
            else:
                joined.append((piece, hit))
        return joined
