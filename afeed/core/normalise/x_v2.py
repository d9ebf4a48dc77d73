"""Posts as X's API v2 delivers them, in both spellings of the member names.

The stream still says ``edit_history_tweet_ids``, ``referenced_tweets``, ``note_tweet`` and ``includes.tweets``;
the schema that search follows now says ``post`` in each of them.
"""

from __future__ import annotations

from typing import Any

from afeed.core.item import Author, Media
from afeed.core.normalise.characters import label
from afeed.core.normalise.limits import MAX_ALT_CHARS, MAX_ENTITIES, MAX_MEDIA
from afeed.core.normalise.urls import media_url
from afeed.core.normalise.values import (
    identifier,
    integer,
    language,
    listing,
    mapping,
    mappings,
    name,
    size,
    string,
    time,
)
from afeed.core.normalise.x_post import Entity, Post, profile_url

_HISTORY = ("edit_history_tweet_ids", "edit_history_post_ids")
_REFERENCED = ("referenced_tweets", "referenced_posts")
_NOTE = ("note_tweet", "note_post")
_POSTS = ("tweets", "posts")

#: The list of entities, the kind they are, and the member with their value.
_ENTITIES = (
    ("urls", "url", "expanded_url"),
    ("hashtags", "hashtag", "tag"),
    ("cashtags", "cashtag", "tag"),
    ("mentions", "mention", "username"),
)

#: A repost's original and the post that original quotes.
_DEPTH = 2


def _either(data: dict[str, Any], names: tuple[str, ...]) -> Any:
    """The first of ``names`` that has a value."""
    return next((data[spelling] for spelling in names if data.get(spelling)), None)


class Includes:
    """The users, media and posts that came along with a message or page, by their keys."""

    def __init__(self, data: object) -> None:
        includes = mapping(data)
        posts = mappings(includes.get("tweets")) + mappings(includes.get("posts"))
        self.users = _by(mappings(includes.get("users")), "id")
        self.media = _by(mappings(includes.get("media")), "media_key")
        self.posts = _by(posts, "id")


def _by(entries: list[dict[str, Any]], key: str) -> dict[str, dict[str, Any]]:
    return {name: entry for entry in entries if (name := identifier(entry.get(key))) is not None}


def is_post(data: dict[str, Any]) -> bool:
    """Whether ``data`` is a post at all and not, for example, a user or a list."""
    return isinstance(data.get("text"), str) or isinstance(_either(data, _NOTE), dict)


def read_post(data: dict[str, Any], includes: Includes, depth: int = _DEPTH) -> Post:
    """The post in ``data``, with what ``includes`` holds about it."""
    note = mapping(_either(data, _NOTE))
    words = note if isinstance(note.get("text"), str) else data
    own_id, first_id, version = _ids(data)
    references = _references(data)
    quoted_id, shared_id = references.get("quoted"), references.get("retweeted")
    return Post(
        first_id=first_id,
        version=version,
        raw=string(words.get("text")) or "",
        author=_author(includes.users.get(identifier(data.get("author_id")) or "")),
        entities=_entities(words["entities"]) if isinstance(words.get("entities"), dict) else None,
        media=_media(data, includes),
        created_at=time(data.get("created_at")),
        lang=language(data.get("lang")),
        sensitive=data.get("possibly_sensitive") is True,
        reply_to=references.get("replied_to"),
        shared_id=shared_id,
        shared=_included(shared_id, own_id, includes, depth),
        quoted_id=quoted_id,
        quoted=_included(quoted_id, own_id, includes, depth),
    )


def _included(post_id: str | None, own_id: str | None, includes: Includes, depth: int) -> Post | None:
    """The included post with this id; nobody refers to themselves, and nothing goes on for ever."""
    data = includes.posts.get(post_id) if post_id is not None and post_id != own_id and depth > 0 else None
    return read_post(data, includes, depth - 1) if data is not None and is_post(data) else None


def _ids(data: dict[str, Any]) -> tuple[str | None, str | None, str | None]:
    """The post's own id, the first of its history, and the id of the version that ``data`` holds.

    That is its own one as long as the history has it, otherwise the history's last.
    """
    own = identifier(data.get("id"))
    history = [entry for value in listing(_either(data, _HISTORY)) if (entry := identifier(value)) is not None]
    if not history:
        return own, own, own
    return own, history[0], own if own in history else history[-1]


def _references(data: dict[str, Any]) -> dict[str, str]:
    """The ids of the posts that ``data`` refers to, by how."""
    return {
        kind: post_id
        for entry in mappings(_either(data, _REFERENCED))
        if isinstance(kind := entry.get("type"), str) and (post_id := identifier(entry.get("id"))) is not None
    }


def _author(user: dict[str, Any] | None) -> Author | None:
    if user is None:
        return None
    handle = name(user.get("username"))
    called = name(user.get("name")) or handle
    if called is None:
        return None
    return Author(
        name=called,
        handle=handle,
        url=profile_url(handle) if handle is not None else None,
        avatar=media_url(user.get("profile_image_url")),
    )


def _entities(data: dict[str, Any]) -> tuple[Entity, ...]:
    found = []
    for member, kind, value_member in _ENTITIES:
        for entry in mappings(data.get(member))[:MAX_ENTITIES]:
            start, end = integer(entry.get("start")), integer(entry.get("end"))
            value = string(entry.get(value_member)) or string(entry.get("url"))
            if start is None or end is None or value is None:
                continue
            media = kind == "url" and bool(entry.get("media_key"))
            found.append(Entity(start, end, kind, value, name(entry.get("display_url")), media))  # type: ignore[arg-type]
    return tuple(found)


def _media(data: dict[str, Any], includes: Includes) -> tuple[Media, ...]:
    keys = listing(mapping(data.get("attachments")).get("media_keys"))[:MAX_MEDIA]
    found = (includes.media.get(identifier(key) or "") for key in keys)
    return tuple(media for entry in found if entry is not None and (media := _medium(entry)) is not None)


def _medium(data: dict[str, Any]) -> Media | None:
    preview = media_url(data.get("preview_image_url"))
    moving = best_variant(mappings(data.get("variants")), "bit_rate")
    alt = data.get("alt_text")
    return compose_medium(
        data.get("type"),
        media_url(data.get("url")),
        preview,
        moving,
        data.get("width"),
        data.get("height"),
        alt,
    )


def best_variant(variants: list[dict[str, Any]], rate: str) -> str | None:
    """The MP4 with the highest bit rate, which browsers play without help (they do not all play HLS)."""
    playable = [
        (integer(variant.get(rate)) or 0, url)
        for variant in variants
        if variant.get("content_type") == "video/mp4" and (url := media_url(variant.get("url"))) is not None
    ]
    return max(playable, key=lambda candidate: candidate[0])[1] if playable else None


def compose_medium(
    kind: object,
    still: str | None,
    preview: str | None,
    moving: str | None,
    width: object,
    height: object,
    alt: object,
) -> Media | None:
    """A photo, or a video or GIF with its still picture as thumbnail; a video that has no playable file is its
    still picture."""
    words = (label(alt, MAX_ALT_CHARS) or None) if isinstance(alt, str) else None
    pixels = size(width), size(height)
    if moving is not None and kind in ("video", "animated_gif"):
        return Media(
            type="gif" if kind == "animated_gif" else "video",
            url=moving,
            thumb_url=preview or still,
            width=pixels[0],
            height=pixels[1],
            alt=words,
        )
    picture = still or preview
    if picture is None:
        return None
    return Media(type="photo", url=picture, width=pixels[0], height=pixels[1], alt=words)
