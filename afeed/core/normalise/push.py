"""What other programs publish with ``POST /<slug>/items``, as drafts."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any

import msgspec

from afeed.core.draft import Posted
from afeed.core.errors import BadInput
from afeed.core.item import UNKNOWN_AUTHOR, Author, Item, Media, encode_item
from afeed.core.normalise.characters import label
from afeed.core.normalise.limits import MAX_ALT_CHARS, MAX_ITEM_BYTES, MAX_MEDIA, MAX_NAME_CHARS
from afeed.core.normalise.text import plain, plain_to_html, sanitise
from afeed.core.normalise.urls import media_url, web_url
from afeed.core.normalise.values import decode_json, language, name, size, time

MAX_ITEMS = 500
MAX_ID_CHARS = 200
MAX_TEXT_CHARS = 20_000

_NDJSON = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"}
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ufffd]")
_FULL_ID = re.compile(r"(?:x|flickr|push|mastodon|bluesky|chat):.")
_MEDIA_TYPES = ("photo", "video", "gif")

#: What an item is made of; anything else in it is ignored.
_MEMBERS = ("id", "text", "html", "author", "created_at", "url", "lang", "media", "reply_to", "sensitive")

_canonical = msgspec.json.Encoder(order="deterministic").encode


def read_push(body: bytes, content_type: str, now: str) -> list[Posted]:
    """The items in a request.

    ``body`` is one JSON object, an array of them, or one object a line (NDJSON).  ``now`` (RFC 3339) is the
    ``created_at`` of items that have none.  Raises :class:`~afeed.core.errors.BadInput` naming the item,
    counted from 0, and the member that is wrong; then none of them is to be recorded.
    """
    entries = _entries(body, content_type)
    if not entries:
        raise BadInput("the request holds no item")
    if len(entries) > MAX_ITEMS:
        raise BadInput(f"the request holds {len(entries)} items: send at most {MAX_ITEMS} at once")
    return [_Reader(index, entry).read(now) for index, entry in enumerate(entries)]


def _entries(body: bytes, content_type: str) -> list[Any]:
    kind, _, parameters = content_type.partition(";")
    charset = re.search(r"charset\s*=\s*\"?([^\s\";]+)", parameters, re.IGNORECASE)
    if charset is not None and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise BadInput("the request must be in UTF-8")
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"the request is not valid UTF-8: byte {error.start} is 0x{body[error.start]:02x}"
        ) from None
    if kind.strip().lower() in _NDJSON:
        return _lines(body)
    try:
        value = decode_json(body)
    except BadInput:
        # Items one a line are welcome under any name, but a plain mistake is better explained as JSON.
        if b"\n" not in body.strip() or not body.lstrip().startswith(b"{"):
            raise
        return _lines(body)
    return value if isinstance(value, list) else [value]


def _lines(body: bytes) -> list[Any]:
    lines = [line for line in body.splitlines() if line.strip()]
    if len(lines) > MAX_ITEMS:
        raise BadInput(f"the request holds {len(lines)} items: send at most {MAX_ITEMS} at once")
    entries = []
    for index, line in enumerate(lines):
        try:
            entries.append(decode_json(line.strip()))
        except BadInput as error:
            raise BadInput(f"item {index}: {error}") from None
    return entries


class _Reader:
    """Reads one item strictly: its sender can mend it, unlike an upstream."""

    def __init__(self, index: int, entry: object) -> None:
        self._index = index
        if not isinstance(entry, dict):
            raise self._wrong(None, "must be a JSON object")
        self._members: dict[str, Any] = {
            member: entry[member] for member in _MEMBERS if entry.get(member) is not None
        }

    def _wrong(self, member: str | None, what: str) -> BadInput:
        place = f"item {self._index}" if member is None else f"item {self._index}, {member}"
        return BadInput(f"{place}: {what}")

    def read(self, now: str) -> Posted:
        upstream_id = self._id("id")
        media = self._media()
        text = self._text(required=not media)
        item = Item(
            id=f"push:{upstream_id}",
            source="push",
            author=self._author(),
            text=text,
            html=self._html(text),
            created_at=self._created_at() or now,
            url=self._url("url", self._members.get("url")),
            lang=self._lang(),
            media=media,
            reply_to=self._reply_to(),
            sensitive=self._flag("sensitive"),
        )
        if len(encode_item(item)) > MAX_ITEM_BYTES:
            raise self._wrong(None, f"is larger than {MAX_ITEM_BYTES} bytes")
        return Posted(item, self._version())

    def _version(self) -> str:
        """The same content has the same version, whatever the order of its members and the time it came."""
        return "b" + blake2b(_canonical(self._members), digest_size=16).hexdigest()

    def _string(self, member: str, most: int) -> str | None:
        value = self._members.get(member)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self._wrong(member, "must be a string")
        if len(value) > most:
            raise self._wrong(member, f"is longer than {most} characters")
        return value

    def _id(self, member: str) -> str:
        value = self._string(member, MAX_ID_CHARS)
        if not value:
            raise self._wrong(member, f"must be a string of 1 to {MAX_ID_CHARS} characters")
        if _CONTROL.search(value):
            raise self._wrong(member, "must not contain control characters")
        return value

    def _text(self, required: bool) -> str:
        value = self._string("text", MAX_TEXT_CHARS)
        if value is None:
            raise self._wrong("text", "is required")
        text = plain(value)
        if required and not text:
            raise self._wrong("text", "must not be empty when there is no media")
        return text

    def _html(self, text: str) -> str:
        given = self._string("html", 2 * MAX_TEXT_CHARS)
        return sanitise(given) if given is not None else plain_to_html(text)

    def _author(self) -> Author:
        value = self._members.get("author")
        if value is None:
            return UNKNOWN_AUTHOR
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, dict):
            raise self._wrong("author", "must be a name or an object with name, handle, url and avatar")
        parts = {part: self._author_part(value, part) for part in ("name", "handle")}
        called = parts["name"] or parts["handle"]
        if called is None:
            raise self._wrong("author.name", "must not be empty")
        return Author(
            name=called,
            handle=parts["handle"],
            # As in `html`: what must not be followed or loaded is left out, and the item goes on without it.
            url=web_url(self._link("author.url", value.get("url"))),
            avatar=media_url(self._link("author.avatar", value.get("avatar"))),
        )

    def _author_part(self, author: dict[str, Any], part: str) -> str | None:
        value = author.get(part)
        if value is not None and (not isinstance(value, str) or len(value) > MAX_NAME_CHARS):
            raise self._wrong(f"author.{part}", f"must be a string of at most {MAX_NAME_CHARS} characters")
        return name(value)

    def _created_at(self) -> str | None:
        value = self._string("created_at", 40)
        if value is None:
            return None
        moment = time(value)
        if moment is None:
            raise self._wrong(
                "created_at",
                "must be an RFC 3339 time with a zone, such as 2026-11-21T17:00:05Z, from 1970 to 2199",
            )
        return moment

    def _lang(self) -> str | None:
        value = self._string("lang", 35)
        if value is None:
            return None
        if language(value) is None and language(value.split("-")[0]) is None and value not in ("und", "zxx"):
            raise self._wrong("lang", "must be a language tag such as en or pt-BR")
        return language(value)

    def _flag(self, member: str) -> bool:
        value = self._members.get(member, False)
        if not isinstance(value, bool):
            raise self._wrong(member, "must be true or false")
        return value

    def _reply_to(self) -> str | None:
        if "reply_to" not in self._members:
            return None
        value = self._id("reply_to")
        return value if _FULL_ID.match(value) else f"push:{value}"

    def _link(self, member: str, value: object) -> str | None:
        if value is not None and not isinstance(value, str):
            raise self._wrong(member, "must be a string")
        return value

    def _url(self, member: str, value: object) -> str | None:
        if value is None:
            return None
        url = web_url(value)
        if url is None:
            raise self._wrong(member, "must be an http or https URL")
        return url

    def _picture(self, member: str, value: object) -> str | None:
        if value is None:
            return None
        url = media_url(value)
        if url is None:
            raise self._wrong(member, "must be an http or https URL, not of an address in a private network")
        return url

    def _media(self) -> tuple[Media, ...]:
        value = self._members.get("media", [])
        if not isinstance(value, list):
            raise self._wrong("media", "must be an array")
        if len(value) > MAX_MEDIA:
            raise self._wrong("media", f"must not have more than {MAX_MEDIA} entries")
        return tuple(self._medium(f"media[{at}]", entry) for at, entry in enumerate(value))

    def _medium(self, place: str, entry: object) -> Media:
        if isinstance(entry, str):
            entry = {"url": entry}
        if not isinstance(entry, dict):
            raise self._wrong(place, "must be a URL or an object with url and optionally type, thumb_url, ...")
        kind = entry.get("type", "photo")
        if kind not in _MEDIA_TYPES:
            raise self._wrong(f"{place}.type", "must be photo, video or gif")
        url = self._picture(f"{place}.url", entry.get("url"))
        if url is None:
            raise self._wrong(f"{place}.url", "is required")
        words: dict[str, str | None] = {}
        for part, most in (("alt", MAX_ALT_CHARS), ("owner", MAX_NAME_CHARS), ("licence", MAX_NAME_CHARS)):
            value = entry.get(part)
            if value is not None and not isinstance(value, str):
                raise self._wrong(f"{place}.{part}", "must be a string")
            words[part] = (label(value, most) or None) if value is not None else None
        return Media(
            type=kind,
            url=url,
            thumb_url=self._picture(f"{place}.thumb_url", entry.get("thumb_url")),
            width=self._size(f"{place}.width", entry.get("width")),
            height=self._size(f"{place}.height", entry.get("height")),
            **words,
        )

    def _size(self, member: str, value: object) -> int | None:
        if value is None:
            return None
        pixels = size(value)
        if pixels is None:
            raise self._wrong(member, "must be a number of pixels")
        return pixels
