"""Some of the photos: of many people rather than many of one."""

from __future__ import annotations

from afeed.core.item import Item
from afeed.core.report.model import Picture

#: So many authors' photos are kept, and so many of each; so many are shown.
_AUTHORS, _EACH, SHOWN = 200, 3, 12


class Gallery:
    """Counts photos and keeps a few.  Those behind a warning are counted only."""

    def __init__(self) -> None:
        #: How many there were.
        self.count = 0
        self._kept: dict[str, list[Picture]] = {}

    def add(self, item: Item, author: str) -> None:
        """The photos of ``item``, whose ``author`` has this key."""
        photos = [medium for medium in item.media if medium.type == "photo"]
        self.count += len(photos)
        if item.sensitive or not photos:
            return
        kept = self._kept.get(author)
        if kept is None:
            if len(self._kept) >= _AUTHORS:
                return
            kept = self._kept[author] = []
        for photo in photos[: _EACH - len(kept)]:
            kept.append(
                Picture(
                    item=item.id,
                    author=item.author.name,
                    url=photo.url,
                    thumb=photo.thumb_url,
                    width=photo.width,
                    height=photo.height,
                    alt=photo.alt,
                    credit=" · ".join(filter(None, (photo.owner, photo.licence))) or None,
                    post=item.url,
                    at=item.created_at,
                )
            )

    def chosen(self, most: int = SHOWN) -> tuple[Picture, ...]:
        """One of each author, then a second, and so on; in the order of time."""
        rounds = [kept[place] for place in range(_EACH) for kept in self._kept.values() if place < len(kept)]
        return tuple(sorted(rounds[:most], key=lambda picture: picture.at))
