"""Posts for reports."""

from __future__ import annotations

from typing import Any

from afeed.core.change import timestamp
from afeed.core.item import Author, Item

#: 2026-11-21 at noon, UTC.
NOON = 1_795_262_400


def post(number: int, text: str, *, at: float = 0, by: str | None = None, **other: Any) -> Item:
    """Number ``number``, written ``at`` minutes after noon ``by`` a handle."""
    handle = by or f"author{number}"
    values: dict[str, Any] = {
        "source": "push",
        "author": Author(name=handle.capitalize(), handle=handle),
        "html": f"<p>{text}</p>",
        "created_at": timestamp(NOON + 60 * at),
    }
    return Item(id=f"push:{number}", text=text, **values | other)
