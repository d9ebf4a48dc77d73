"""Posts as X's API 1.1 delivered them: recordings and emulators still speak it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec

from afeed.core.item import Author, Media
from afeed.core.normalise.limits import MAX_ENTITIES, MAX_MEDIA
from afeed.core.normalise.urls import media_url
from afeed.core.normalise.values import (
    epoch_time,
    identifier,
    integer,
    language,
    listing,
    mapping,
    mappings,
    name,
    plausible,
    rfc3339,
    string,
)
from afeed.core.normalise.x_post import Entity, Post, profile_url
from afeed.core.normalise.x_v2 import best_variant, compose_medium

_ENTITIES = (
    ("urls", "url", "expanded_url"),
    ("media", "url", "expanded_url"),
    ("hashtags", "hashtag", "text"),
    ("symbols", "cashtag", "text"),
    ("user_mentions", "mention", "screen_name"),
)

_DATE = re.compile(
    r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([0-9]{1,2}) ([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r" ([+-])([0-9]{2})([0-9]{2}) ([0-9]{4})\Z"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_DEPTH = 2


def is_post(data: dict[str, Any]) -> bool:
    """Whether ``data`` is a post: it has words and an id or an author."""
    words = isinstance(data.get("text"), str) or isinstance(data.get("full_text"), str)
    return words and ("id" in data or "id_str" in data or "user" in data)


def read_post(data: dict[str, Any], depth: int = _DEPTH) -> Post:
    """The post in ``data``."""
    extended = mapping(data.get("extended_tweet"))
    words = extended if isinstance(extended.get("full_text"), str) else data
    raw = string(words.get("full_text")) or string(words.get("text")) or ""
    entities = words.get("entities")
    post_id = _id(data, "id")
    shared = _nested(data, "retweeted_status", depth)
    quoted = _nested(data, "quoted_status", depth)
    if shared is not None and shared.quoted is None and shared.quoted_id is not None and quoted is not None:
        # The quoted post of a reposted one is sometimes reported beside the repost only.
        shared = msgspec.structs.replace(shared, quoted=quoted)
    return Post(
        first_id=post_id,
        version=post_id,
        raw=raw,
        author=_author(mapping(data.get("user"))),
        entities=_entities(entities) if isinstance(entities, dict) else None,
        media=_media(data, words),
        created_at=_time(data),
        lang=language(data.get("lang")),
        sensitive=data.get("possibly_sensitive") is True,
        reply_to=_id(data, "in_reply_to_status_id"),
        shared_id=shared.first_id if shared is not None else None,
        shared=shared,
        quoted_id=_id(data, "quoted_status_id") or (quoted.first_id if quoted is not None else None),
        quoted=quoted,
    )


def _nested(data: dict[str, Any], member: str, depth: int) -> Post | None:
    inner = mapping(data.get(member))
    return read_post(inner, depth - 1) if depth > 0 and is_post(inner) else None


def _id(data: dict[str, Any], member: str) -> str | None:
    return identifier(data.get(member + "_str")) or identifier(data.get(member))


def _time(data: dict[str, Any]) -> str | None:
    milliseconds = integer(data.get("timestamp_ms"))
    return _date(data.get("created_at")) or (
        epoch_time(milliseconds / 1000) if milliseconds is not None else None
    )


def _date(value: object) -> str | None:
    """``Wed Apr 06 19:13:37 +0000 2011``; ``strptime`` would read it by the machine's language."""
    match = _DATE.match(value) if isinstance(value, str) else None
    if match is None or match[1] not in _MONTHS:
        return None
    offset = timedelta(hours=int(match[7]), minutes=int(match[8])) * (-1 if match[6] == "-" else 1)
    try:
        moment = datetime(
            int(match[9]),
            _MONTHS.index(match[1]) + 1,
            int(match[2]),
            int(match[3]),
            int(match[4]),
            min(int(match[5]), 59),
            tzinfo=timezone(offset),
        )
        return rfc3339(moment) if plausible(moment) else None
    except (ValueError, OverflowError):
        return None


def _author(user: dict[str, Any]) -> Author | None:
    handle = name(user.get("screen_name"))
    called = name(user.get("name")) or handle
    if called is None:
        return None
    return Author(
        name=called,
        handle=handle,
        url=profile_url(handle) if handle is not None else None,
        avatar=media_url(user.get("profile_image_url_https")) or media_url(user.get("profile_image_url")),
    )


def _entities(data: dict[str, Any]) -> tuple[Entity, ...]:
    found = []
    for member, kind, value_member in _ENTITIES:
        for entry in mappings(data.get(member))[:MAX_ENTITIES]:
            offsets = [integer(offset) for offset in listing(entry.get("indices"))]
            value = string(entry.get(value_member)) or string(entry.get("url"))
            if len(offsets) != 2 or offsets[0] is None or offsets[1] is None or value is None:
                continue
            shown = name(entry.get("display_url"))
            found.append(Entity(offsets[0], offsets[1], kind, value, shown, member == "media"))  # type: ignore[arg-type]
    return tuple(found)


def _media(data: dict[str, Any], words: dict[str, Any]) -> tuple[Media, ...]:
    """``extended_entities`` has all media; ``entities`` only the first, and says that it is a photo."""
    for holder in (words, data):
        for member in ("extended_entities", "entities"):
            entries = mappings(mapping(holder.get(member)).get("media"))[:MAX_MEDIA]
            if entries:
                return tuple(media for entry in entries if (media := _medium(entry)) is not None)
    return ()


def _medium(data: dict[str, Any]) -> Media | None:
    still = media_url(data.get("media_url_https")) or media_url(data.get("media_url"))
    moving = best_variant(mappings(mapping(data.get("video_info")).get("variants")), "bitrate")
    original = mapping(data.get("original_info"))
    large = mapping(mapping(data.get("sizes")).get("large"))
    width = original.get("width") or large.get("w")
    height = original.get("height") or large.get("h")
    return compose_medium(data.get("type"), still, still, moving, width, height, data.get("ext_alt_text"))
