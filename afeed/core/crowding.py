"""At most so many posts of one author in a minute on the projector view, so that nobody has it to themselves.

The first ones of each minute, by the times at which they were written, are shown, and the others are not: what
an eager author adds changes nothing on the wall.  The wall's script (``pace.js``) follows the same rule for
what comes while it is open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TypeVar

from afeed.core.item import Item
from afeed.core.moderation import author_key

T = TypeVar("T")

#: ``2026-11-21T17:00``: the part of an RFC 3339 time in UTC that names its minute.
_MINUTE = 16


def brought_by(item: Item) -> str | None:
    """Whose turn an item takes: who shared it, or else its author; None where nobody is known."""
    return author_key(item.source, item.author if item.shared_by is None else item.shared_by)


def uncrowded(posts: Iterable[tuple[T, Item]], most: int) -> list[T]:
    """Of ``posts``, each with its item and the oldest first, those that are shown where ``most`` of one author
    are in a minute.  Items of whom nothing is known are all shown."""
    counts: Counter[tuple[str, str]] = Counter()
    shown: list[T] = []
    for post, item in posts:
        author = brought_by(item)
        if author is not None:
            turn = (author, item.created_at[:_MINUTE])
            counts[turn] += 1
            if counts[turn] > most:
                continue
        shown.append(post)
    return shown
