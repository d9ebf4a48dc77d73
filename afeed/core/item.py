"""The item: one post or photo, in the same shape whatever its source.

These classes are the JSON of ``docs/protocol.rst``: members keep their order, and a member without a value is
``null``, never absent.  Times are RFC 3339 in UTC, such as ``2026-11-21T17:00:05Z``; sizes are pixels.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Author(msgspec.Struct, frozen=True, kw_only=True):
    """Who wrote or photographed it.  ``name`` is never empty; an unknown author is called ``unknown``."""

    name: str
    handle: str | None = None
    url: str | None = None
    avatar: str | None = None


UNKNOWN_AUTHOR = Author(name="unknown")


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """A photo or video that belongs to an item.

    ``url`` is the largest usable rendition and ``thumb_url`` one of some hundred pixels; ``owner``,
    ``licence`` (a short name such as ``CC BY 4.0``) and ``taken_at`` are filled in where the source knows
    them.
    """

    type: Literal["photo", "video", "gif"]
    url: str
    thumb_url: str | None = None
    width: int | None = None
    height: int | None = None
    alt: str | None = None
    owner: str | None = None
    licence: str | None = None
    taken_at: str | None = None


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """The post that an item quotes, as far as the source delivered it."""

    author: Author
    text: str
    html: str
    url: str | None = None


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One post or photo.

    ``id`` is ``<source>:<upstream id>``.  ``text`` is plain and unescaped, ``html`` is sanitised and safe to
    put into a page as it stands.  ``reply_to`` is the id of the item it answers.  ``shared_by`` is who brought
    the original into the feed by reposting it; ``quote`` is the post it comments on.
    """

    id: str
    source: str
    kind: Literal["post", "photo"] = "post"
    author: Author = UNKNOWN_AUTHOR
    text: str
    html: str
    created_at: str
    url: str | None = None
    lang: str | None = None
    media: tuple[Media, ...] = ()
    reply_to: str | None = None
    sensitive: bool = False
    talk: str | None = None
    shared_by: Author | None = None
    quote: Quote | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Item)


def encode_item(item: Item) -> bytes:
    """The item as compact UTF-8 JSON."""
    return _encoder.encode(item)


def decode_item(data: bytes) -> Item:
    """The inverse of :func:`encode_item`; raises :class:`msgspec.ValidationError` or ``DecodeError`` on
    anything else."""
    return _decoder.decode(data)
