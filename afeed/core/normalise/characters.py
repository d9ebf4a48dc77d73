"""Characters that must not reach a page or a database as they are.

:func:`scrub` replaces what no store takes, one for one, so that offsets into the text stay true.
:func:`calm` is for text on a page: it keeps direction controls from leaking out of the post and caps what is
piled up to hide or to cover things.  :func:`label` makes one harmless line.
"""

from __future__ import annotations

import re
import unicodedata

REPLACEMENT = "\ufffd"

#: Line ends of every kind.
_LINE_END = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")

#: NUL (PostgreSQL refuses it), other controls that mean nothing in a post, and halves of surrogate pairs
#: (UTF-8 has no form for them).
_UNSTORABLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")

_EMBEDDINGS = re.compile("[\u202a-\u202e]")
_ISOLATES = re.compile("[\u2066-\u2069]")
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_POP = "\u2069"

_SPACE = re.compile(r"\s+")

#: More of these in a row than any script, flag or emoji sequence needs.
_MAX_INVISIBLE = 2
_MAX_MARKS = 8
_MAX_TAGS = 8


def _mark_ranges() -> str:
    """Every combining mark, as the inside of a regular expression's set."""
    marks = [
        code
        for first, end in ((0x300, 0x20000), (0xE0100, 0xE01F0))
        for code in range(first, end)
        if unicodedata.category(chr(code)).startswith("M")
    ]
    ranges: list[list[int]] = []
    for code in marks:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


#: ``re`` has no ``\\p{M}``: the inside of a set of all combining marks.
MARKS = _mark_ranges()

_MARK_RUN = re.compile(f"([{MARKS}]{{{_MAX_MARKS}}})[{MARKS}]+")
_INVISIBLE = "\u00ad\u034f\u180e\u200b-\u200d\u2060-\u2064\ufeff"
_INVISIBLE_RUN = re.compile(f"([{_INVISIBLE}]{{{_MAX_INVISIBLE}}})[{_INVISIBLE}]+")
_TAG_RUN = re.compile(f"([\U000e0000-\U000e007f]{{{_MAX_TAGS}}})[\U000e0000-\U000e007f]+")

#: What :func:`calm` looks for beside piles of marks.  Of these only the joiner is printable.
_RESTLESS = re.compile(f"[{_INVISIBLE}\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
_JOINER = "\u034f"
_PILE = re.compile(f"[{MARKS}]{{{_MAX_MARKS + 1}}}")


def _is_calm(text: str) -> bool:
    """Whether :func:`calm` would change nothing: two looks instead of five replacements, for hardly any post
    has anything of that."""
    if text.isascii():
        return True
    if (not text.isprintable() or _JOINER in text) and _RESTLESS.search(text) is not None:
        return False
    return _PILE.search(text) is None


def scrub(text: str) -> str:
    """``text`` that any store and any encoding takes; as many characters as before."""
    # Whatever is unstorable is not printable either, and asking for that is much quicker.
    return text if text.isprintable() else _UNSTORABLE.sub(REPLACEMENT, text)


def line_ends(text: str) -> str:
    """``text`` with ``\\n`` for every kind of line end."""
    return text if text.isprintable() else _LINE_END.sub("\n", text)


def cap_runs(text: str) -> str:
    """``text`` without piles of combining marks or of invisible characters."""
    if _is_calm(text):
        return text
    return _TAG_RUN.sub(r"\1", _INVISIBLE_RUN.sub(r"\1", _MARK_RUN.sub(r"\1", text)))


def calm(text: str) -> str:
    """``text`` for a page.

    Overrides and embeddings (U+202A to U+202E) go: their only use that isolates do not have is to deceive.
    Isolates (U+2066 to U+2069) are closed at the end of each line and surplus ends dropped, so that what
    follows the post keeps its direction.
    """
    if _is_calm(text):
        return text
    text = _EMBEDDINGS.sub("", cap_runs(text))
    if _ISOLATES.search(text) is None:
        return text
    return "\n".join(_balanced(line) for line in text.split("\n"))


def _balanced(line: str) -> str:
    open_isolates = 0
    out: list[str] = []
    for character in line:
        if character == _POP:
            if open_isolates == 0:
                continue
            open_isolates -= 1
        elif "\u2066" <= character <= "\u2068":
            open_isolates += 1
        out.append(character)
    return "".join(out) + _POP * open_isolates


def label(text: str, limit: int) -> str:
    """``text`` as one line of at most ``limit`` characters without direction controls."""
    # The only space that is printable is the plain one, and no control of directions is.
    if "  " in text or not text.isprintable():
        text = _SPACE.sub(" ", _DIRECTIONS.sub("", scrub(text)))
    text = cap_runs(text.strip())
    return text if len(text) <= limit else text[: limit - 1] + "…"
