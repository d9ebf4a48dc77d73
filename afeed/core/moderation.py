"""Whose an item is: what blocking an author goes by."""

from __future__ import annotations

from afeed.core.item import UNKNOWN_AUTHOR, Author, Item


def author_key(source: str, author: Author) -> str | None:
    """The name under which an author is blocked: ``x:@ann``; None for one of whom nothing is known, for that
    would be everybody of whom nothing is known."""
    if author.handle:
        return f"{source}:@{author.handle.casefold()}"
    if author.url:
        return f"{source}:{author.url}"
    if author.name == UNKNOWN_AUTHOR.name:
        return None
    return f"{source}:{' '.join(author.name.casefold().split())}"


def author_keys(item: Item) -> frozenset[str]:
    """Those who brought ``item``: its author, and who shared it."""
    authors = [item.author] if item.shared_by is None else [item.author, item.shared_by]
    return frozenset(key for one in authors if (key := author_key(item.source, one)) is not None)
