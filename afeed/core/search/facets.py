"""What an item is filed under beside its words, and the words by which an index finds all of it at once.

A *facet* is a way to divide an event's items: by talk, day, hour, author, source, kind.  Each value is one word
in the index that no text can hold, so that filters and words combine in one look-up, however they are combined.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from hashlib import blake2b
from typing import Literal, NamedTuple

from afeed.core.item import Item
from afeed.core.moderation import author_key
from afeed.core.search.words import MAX_WORDS, fold, handles, tags, words

Facet = Literal["talk", "day", "hour", "author", "source", "kind"]

#: Every item has it: what is asked for may be only what is not wanted.
ALL = "~"

#: Longer names of authors are counted by their hash.
MAX_VALUE = 200

_INITIALS = {"talk": "t", "day": "d", "hour": "h", "author": "a", "source": "s", "kind": "k"}
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


class Filed(NamedTuple):
    """``words`` are what the item is found by; ``values`` what it counts for, as (facet, value, label).  Beside
    the facets there is ``minute:<talk>``, the minutes of a talk: nobody looks for one, they are drawn."""

    words: list[str]
    values: list[tuple[str, str, str | None]]


@lru_cache(maxsize=4096)
def word(facet: str, value: str) -> str:
    """The word that stands for a value."""
    lower = value.lower()
    plain = lower if len(lower) <= 40 and _PLAIN.issuperset(lower) else "." + _hash(value)
    return ALL + _INITIALS[facet] + plain


def author_value(item: Item) -> str | None:
    """Under which name an author's items are counted; None where nobody knows who it is."""
    key = author_key(item.source, item.author)
    return key if key is None or len(key) <= MAX_VALUE else _hash(key)


def moment(created_at: str, zone: tzinfo) -> tuple[str, str, str] | None:
    """The day and the hour at the event, and the minute in UTC: ``2026-11-21``, ``2026-11-21T09`` and
    ``2026-11-21T17:05``; None for what is no time."""
    try:
        there = datetime.fromisoformat(created_at).astimezone(zone)
        hour = there.isoformat(timespec="hours")[:13]
        return hour[:10], hour, there.astimezone(UTC).isoformat(timespec="minutes")[:16]
    except (ValueError, OverflowError):
        return None


def photo(item: Item) -> bool:
    """Whether there is a photo to look at."""
    return item.kind == "photo" or any(media.type == "photo" for media in item.media)


def filed(item: Item, talk: str | None, zone: tzinfo) -> Filed:
    """What ``item``, which is under ``talk``, is found by and counts for."""
    values: list[tuple[str, str, str | None]] = [("source", item.source, None)]
    author = author_value(item)
    if author is not None:
        handle = item.author.handle
        values.append(("author", author, f"{item.author.name}\n{handle or ''}"))
    if photo(item):
        values.append(("kind", "photo", None))
    when = moment(item.created_at, zone)
    if when is not None:
        values += [("day", when[0], None), ("hour", when[1], None)]
    if talk is not None:
        values.append(("talk", talk, None))
    found = _words(item)
    found.append(ALL)
    found += [word(facet, value) for facet, value, _ in values]
    if talk is not None and when is not None:
        values.append((f"minute:{talk}", when[2], None))
    return Filed(found, values)


def _words(item: Item) -> list[str]:
    alts = [media.alt for media in item.media if media.alt]
    text = fold("\n".join([item.text, *alts]))
    name = fold(item.author.name)
    found = words(text)[:MAX_WORDS]
    found += words(name)
    marked = tags(text) + handles(text)
    if item.author.handle:
        account = fold(item.author.handle)
        found += words(account)
        marked += handles("@" + account)
    return found + list(dict.fromkeys(marked))[:MAX_WORDS]


def _hash(value: str) -> str:
    return blake2b(value.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()
