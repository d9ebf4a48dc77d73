"""JSON Feed 1.1 (https://www.jsonfeed.org/version/1.1/)."""

from __future__ import annotations

from typing import Any

import msgspec

from afeed.core.item import Author
from afeed.exports.feeds import absolute, content, is_language, media_type, medium_url, picture, storable
from afeed.exports.subject import Subject
from afeed.interfaces import PageItem

VERSION = "https://jsonfeed.org/version/1.1"
_PATH = "/feed.json"


class JsonFeed:
    """Writes a feed with an item for each item.  ``updated`` has no place in this format."""

    def __init__(self, subject: Subject, updated: str) -> None:
        self._subject = subject
        self._separator = b"\n"

    def begin(self) -> bytes:
        head = {
            "version": VERSION,
            "title": storable(self._subject.title),
            "home_page_url": self._subject.home,
            "feed_url": self._subject.home + _PATH,
        }
        # Without its closing brace: the items follow.
        return msgspec.json.encode(head)[:-1] + b',"items":['

    def item(self, found: PageItem) -> bytes:
        """One item; members without a value are absent, as this format wants it."""
        subject, item = self._subject, found.item
        authors = [_author(item.author, subject)]
        if item.shared_by is not None:
            authors.append(_author(item.shared_by, subject))
        photo = next((medium for medium in item.media if medium.type == "photo" and not item.sensitive), None)
        members = {
            "id": subject.item_id(item.id),
            "url": subject.permalink(found.seq),
            "external_url": None if item.url is None else absolute(item.url, subject),
            "content_html": storable(content(item, subject)),
            "content_text": storable(item.text) or None,
            "date_published": item.created_at,
            "authors": authors,
            "language": item.lang if item.lang and is_language(item.lang) else None,
            "tags": [item.talk] if item.talk is not None else None,
            "image": None if photo is None else picture(photo.url, subject),
            "attachments": [
                _present(
                    {"url": medium_url(medium, subject), "mime_type": media_type(medium), "title": medium.alt}
                )
                for medium in item.media
            ]
            or None,
        }
        separator, self._separator = self._separator, b",\n"
        return separator + msgspec.json.encode(_present(members))

    def end(self) -> bytes:
        return b"\n]}\n"


def _author(author: Author, subject: Subject) -> dict[str, Any]:
    name = f"{author.name} (@{author.handle})" if author.handle else author.name
    return _present(
        {
            "name": storable(name),
            "url": None if author.url is None else absolute(author.url, subject),
            "avatar": None if author.avatar is None else picture(author.avatar, subject),
        }
    )


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
