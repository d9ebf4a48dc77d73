"""What an event keeps from the screen until somebody has looked at it, and why.

:func:`judge` looks in this order, and the first that applies is the reason:

1. Who brought it (its author, or who shared it) is trusted: it is shown, whatever else it is.  That an author
   is trusted does not help whoever shares them.
2. It holds a muted word (``muted``, with the word as the organisers wrote it).
3. It is marked as ``sensitive``, is a ``reply``, or a ``repost``, and these are hidden.
4. The mode: everything waits for some seconds (``hold``), for an organiser (``approve``), or for an organiser
   unless it is by somebody trusted (``untrusted``).

What is kept back for its content waits for an organiser, also where everything else waits for some seconds
only.  Blocked authors are not judged here: what is theirs is turned away before
(:mod:`afeed.core.moderation`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from html import unescape
from typing import Literal, NamedTuple

import attrs

from afeed.core.item import Author, Item
from afeed.core.moderation import author_key
from afeed.core.words import Phrases, words

Mode = Literal["everything", "hold", "approve", "trusted"]
MODES: tuple[Mode, ...] = ("everything", "hold", "approve", "trusted")

#: Bounds of what organisers may set; the form with all of it has to fit into a request.
MOST_MUTED = MOST_TRUSTED = MOST_BLOCKED = 500
LONGEST_MUTED = 100
LONGEST_TRUSTED = 200
LEAST_HOLD_S, MOST_HOLD_S = 1.0, 86_400.0
MOST_PER_MINUTE = 1000

#: In these modes time does not release what waits, also not what was to wait for some seconds only.
WAITING_FOR_SOMEBODY: frozenset[Mode] = frozenset({"approve", "trusted"})


@attrs.frozen(kw_only=True)
class Filters:
    """What one event keeps back.

    ``muted`` are words, phrases and hashtags; ``trusted`` are authors as :func:`named_author` writes them.
    ``hold_s`` counts seconds.  ``per_author_per_minute`` is for the projector view alone: nothing is kept back
    for it.
    """

    mode: Mode = "everything"
    hold_s: float = 60.0
    muted: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()
    hide_sensitive: bool = False
    hide_replies: bool = False
    hide_reposts: bool = False
    per_author_per_minute: int | None = None


class Verdict(NamedTuple):
    """Why an item is kept back: a short ``code``, for some of them with a ``detail``, and after how many
    seconds it is shown if nobody says no, None for never."""

    code: str
    detail: str = ""
    wait_s: float | None = None

    @property
    def reason(self) -> str:
        """Both in one, as it is kept with the item."""
        return f"{self.code}:{self.detail}" if self.detail else self.code


def understood(reason: str) -> tuple[str, str]:
    """The code and the detail of a :attr:`Verdict.reason`."""
    code, _, detail = reason.partition(":")
    return code, detail


def judge(filters: Filters, item: Item) -> Verdict | None:
    """Why ``item`` is kept back; None where it may be shown."""
    if filters.trusted and is_among(filters.trusted, item.source, item.shared_by or item.author):
        return None
    if filters.muted:
        phrases = _phrases(filters.muted)
        for text in texts(item):
            word = phrases.find(text)
            if word is not None:
                return Verdict("muted", word)
    if filters.hide_sensitive and item.sensitive:
        return Verdict("sensitive")
    if filters.hide_replies and item.reply_to is not None:
        return Verdict("reply")
    if filters.hide_reposts and item.shared_by is not None:
        return Verdict("repost")
    return _by_mode(filters)


def _by_mode(filters: Filters) -> Verdict | None:
    match filters.mode:
        case "hold":
            return Verdict("hold", wait_s=filters.hold_s)
        case "approve":
            return Verdict("approve")
        case "trusted":
            return Verdict("untrusted")
        case _:
            return None


@lru_cache(maxsize=64)
def _phrases(muted: tuple[str, ...]) -> Phrases:
    return Phrases(muted)


def texts(item: Item) -> Iterator[str]:
    """Everything in ``item`` that people can read on a page.  Hashtags and warnings that its author put before
    it are part of the text."""
    yield item.text
    yield _plain(item.html)
    for author in (item.author, item.shared_by):
        if author is not None:
            yield from _names(author)
    for media in item.media:
        yield from filter(None, (media.alt, media.owner))
    if item.quote is not None:
        yield item.quote.text
        yield _plain(item.quote.html)
        yield from _names(item.quote.author)


def _names(author: Author) -> Iterator[str]:
    yield author.name
    if author.handle:
        yield f"@{author.handle}"


#: Where words end though no space is there.
_BETWEEN = re.compile(r"</?(?:p|br|li|ul|ol|div|blockquote|pre|h[1-6]|td|th|tr)\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")


def _plain(html: str) -> str:
    """The text of sanitised HTML, as a page shows it."""
    return unescape(_TAG.sub("", _BETWEEN.sub(" ", html)))


# -- who is trusted, or blocked by the configuration


def named_author(text: str) -> str | None:
    """Somebody to be trusted or blocked in the form that is compared, None for what names nobody: ``@ann`` is
    whoever has that handle, at every source, ``x:@ann`` at one; ``flickr:<address of their page>`` and
    ``push:<name>`` are for authors without a handle."""
    name = " ".join(text.split())
    if ":" not in name:
        handle = name.removeprefix("@").casefold()
        return f"@{handle}" if handle and " " not in handle else None
    source, _, who = name.partition(":")
    if not re.fullmatch(r"[a-z0-9_-]{1,32}", source) or not who.strip(" @"):
        return None
    who = who.strip()
    return f"{source}:{who}" if "://" in who else f"{source}:{who.casefold()}"


def is_among(named: tuple[str, ...], source: str, author: Author) -> bool:
    """Whether ``author`` of ``source`` is one of ``named``, who are written as for :func:`named_author`."""
    known = _known(named)
    if author.handle and f"@{author.handle.casefold()}" in known:
        return True
    key = author_key(source, author)
    return key is not None and key in known


@lru_cache(maxsize=64)
def _known(named: tuple[str, ...]) -> frozenset[str]:
    return frozenset(filter(None, map(named_author, named)))


# -- what organisers may set


def muted_flaw(word: str) -> str | None:
    """What is wrong with a muted word, None for nothing."""
    if len(word) > LONGEST_MUTED:
        return "is too long"
    return None if words(word) else "has no letter, digit or symbol"


def same_twice(muted: tuple[str, ...]) -> str | None:
    """A muted word that says the same as one before it."""
    seen: set[tuple[tuple[str, str], ...]] = set()
    for word in muted:
        found = tuple(words(word))
        if found in seen:
            return word
        seen.add(found)
    return None
