"""A post on X as afeed sees it, and the item that becomes of it.

The readers of API v2 and v1.1 both end in :class:`Post`; whatever does not depend on the version of the API is
decided here, once.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Literal

import msgspec

from afeed.core.draft import Posted
from afeed.core.item import UNKNOWN_AUTHOR, Author, Item, Media, Quote, encode_item
from afeed.core.normalise.finder import find
from afeed.core.normalise.limits import MAX_ENTITIES, MAX_ITEM_BYTES, MAX_TEXT_CHARS
from afeed.core.normalise.text import Markup, Span, render, shortened, unescape_x
from afeed.core.normalise.urls import link_url, path_part
from afeed.core.normalise.values import epoch_time

#: ``ms = (id >> 22) + this``: every post since November 2010 carries its time in its id.
_SNOWFLAKE_EPOCH_MS = 1288834974657

#: The version of an item made from nothing but somebody's "RT @...": lower than any id, so that the original,
#: when it comes, is an edit, and a fallback after the original is a late arrival.
_FALLBACK_VERSION = "1"

_RETWEET_PREFIX = re.compile(r"RT @([A-Za-z0-9_]{1,20}): ?")
#: How X displays a link that stands for the post's own photo or video.
_PICTURE_LINKS = ("pic.x.com/", "pic.twitter.com/")
_STATUS = re.compile(
    r"https?://(?:mobile\.|www\.)?(?:x|twitter)\.com/[^?#]+/status(?:es)?/([0-9]+)(?:[/?#].*)?\Z", re.IGNORECASE
)


class Entity(msgspec.Struct, frozen=True):
    """Part of the text, by code points of the escaped text.

    ``value`` is the expanded URL, the tag or the user name; ``media`` says that the link stands for an
    attachment of the post itself.
    """

    start: int
    end: int
    kind: Literal["url", "hashtag", "cashtag", "mention"]
    value: str
    shown: str | None = None
    media: bool = False


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """One post in one version.

    ``first_id`` is the first of its edit history and ``version`` the id of this version of it; ``raw`` is
    still escaped.  ``entities`` None means that the API told nothing about them.  ``shared_id`` is the
    post that this one reposts, ``quoted_id`` the one it comments on; ``shared`` and ``quoted`` are those posts
    as far as they were delivered.
    """

    first_id: str | None
    version: str | None
    raw: str
    author: Author | None = None
    entities: tuple[Entity, ...] | None = None
    media: tuple[Media, ...] = ()
    created_at: str | None = None
    lang: str | None = None
    sensitive: bool = False
    reply_to: str | None = None
    shared_id: str | None = None
    shared: Post | None = None
    quoted_id: str | None = None
    quoted: Post | None = None


class Made(msgspec.Struct, frozen=True):
    """What became of one post: a draft and how it was mended, or the reason why there is none."""

    draft: Posted | None = None
    dropped: str | None = None
    warnings: tuple[str, ...] = ()
    newest_id: str | None = None


def hashtag_url(tag: str) -> str:
    return "https://x.com/hashtag/" + path_part(tag)


def profile_url(handle: str) -> str:
    return "https://x.com/" + path_part(handle)


def _cashtag_url(tag: str) -> str:
    return "https://x.com/search?q=%24" + path_part(tag)


_TARGETS = {"hashtag": hashtag_url, "mention": profile_url, "cashtag": _cashtag_url}


def snowflake_time(post_id: str) -> str | None:
    """The time that an id carries."""
    if not post_id.isdigit() or len(post_id) > 19:
        return None
    return epoch_time(((int(post_id) >> 22) + _SNOWFLAKE_EPOCH_MS) / 1000)


def permalink(post_id: str | None, author: Author | None) -> str | None:
    """The page of a post, with the author's name in it where that is known."""
    if post_id is None or not post_id.isdigit():
        return None
    if author is None or author.handle is None:
        return f"https://x.com/i/web/status/{post_id}"
    return f"{profile_url(author.handle)}/status/{post_id}"


def make(post: Post) -> Made:
    """The draft for ``post``.

    A repost becomes the original, with ``shared_by``: it has the original's id, so that it is in the feed
    once, however often it is shared.
    """
    newest_id = post.version if post.version is not None and post.version.isdigit() else None
    warnings: tuple[str, ...] = ()
    shared_by = None
    version = post.version
    if post.shared is not None:
        shared_by, post = post.author or UNKNOWN_AUTHOR, post.shared
        version = post.version
    elif post.shared_id is not None:
        shared_by, post = post.author or UNKNOWN_AUTHOR, _without_original(post, post.shared_id)
        version, warnings = _FALLBACK_VERSION, ("no-original",)
    if len(post.raw) > MAX_TEXT_CHARS:
        return Made(None, "oversize", newest_id=newest_id)
    if post.author is None:
        warnings += ("no-author",)
    if post.first_id is None:
        warnings += ("no-id",)
    item = _item(post, shared_by)
    if item is None:
        return Made(None, "malformed", newest_id=newest_id)
    if len(encode_item(item)) > MAX_ITEM_BYTES:
        return Made(None, "oversize", newest_id=newest_id)
    return Made(Posted(item, version or "0"), None, warnings, newest_id)


def _item(post: Post, shared_by: Author | None) -> Item | None:
    upstream_id = post.first_id or _substitute_id(post)
    created_at = post.created_at or (snowflake_time(post.first_id) if post.first_id is not None else None)
    if created_at is None:
        return None
    markup = _markup(post)
    return Item(
        id=f"x:{upstream_id}",
        source="x",
        author=post.author or UNKNOWN_AUTHOR,
        text=markup.text,
        html=markup.html,
        created_at=created_at,
        url=permalink(post.version, post.author),
        lang=post.lang,
        media=post.media,
        reply_to=f"x:{post.reply_to}" if post.reply_to is not None else None,
        sensitive=post.sensitive,
        shared_by=shared_by,
        quote=_quote(post.quoted) if post.quoted is not None else None,
    )


def _substitute_id(post: Post) -> str:
    """A stable id for a post that came without one: the same post again is still the same item."""
    parts = f"{post.created_at}\0{post.author}\0{post.raw}".encode("utf-8", "replace")
    return "h" + blake2b(parts, digest_size=12).hexdigest()


def _quote(quoted: Post) -> Quote | None:
    if len(quoted.raw) > MAX_TEXT_CHARS:
        return None
    markup = _markup(quoted)
    url = permalink(quoted.version, quoted.author)
    return Quote(author=quoted.author or UNKNOWN_AUTHOR, text=markup.text, html=markup.html, url=url)


def _without_original(post: Post, original_id: str) -> Post:
    """What a repost tells about an original that was not delivered: ``RT @name: `` and the text's beginning.

    Media and quote were reported for the repost but belong to the original.
    """
    prefix = _RETWEET_PREFIX.match(post.raw)
    author, cut = None, 0
    if prefix is not None:
        author = Author(name=prefix[1], handle=prefix[1], url=profile_url(prefix[1]))
        cut = prefix.end()
    entities = post.entities
    if entities is not None:
        entities = tuple(
            msgspec.structs.replace(entity, start=entity.start - cut, end=entity.end - cut)
            for entity in entities
            if entity.start >= cut
        )
    return msgspec.structs.replace(
        post,
        first_id=original_id,
        version=original_id,
        author=author,
        raw=post.raw[cut:],
        entities=entities,
        created_at=snowflake_time(original_id) or post.created_at,
        shared_id=None,
    )


def _markup(post: Post) -> Markup:
    if post.entities is None:
        text = unescape_x(post.raw)
        return render(
            text, [_found_span(found.start, found.end, found.kind, found.value) for found in find(text)]
        )
    entities = [entity for entity in post.entities[:MAX_ENTITIES] if _is_true(entity, post.raw)]
    gone = _vanishing(post, entities)
    spans = [
        Span(entity.start, entity.end, None, "", "") if entity in gone else _span(entity, post.raw)
        for entity in entities
    ]
    return render(post.raw, spans, unescape_x)


def _is_true(entity: Entity, raw: str) -> bool:
    """Whether the text really has at those offsets what the entity says."""
    here = raw[entity.start : entity.end] if 0 <= entity.start < entity.end <= len(raw) else ""
    match entity.kind:
        case "url":
            return here != "" and not any(character.isspace() for character in here)
        case "hashtag":
            return here[:1] in ("#", "＃") and here[1:].casefold() == entity.value.casefold()
        case "mention":
            return here[:1] in ("@", "＠") and here[1:].casefold() == entity.value.casefold()
        case "cashtag":
            return here[:1] == "$" and here[1:].casefold() == entity.value.casefold()


def _vanishing(post: Post, entities: list[Entity]) -> set[Entity]:
    """The links that only say what the item shows anyway: those for its own media, wherever they stand, and at
    the end of the text the one that leads to the quoted post."""
    gone = {entity for entity in entities if post.media and _is_own_media(entity)}
    if post.quoted is None:
        return gone
    end = len(post.raw)
    for entity in sorted(entities, key=lambda entity: entity.end, reverse=True):
        if post.raw[entity.end : end].strip():
            break
        if entity not in gone:
            status = _STATUS.match(entity.value) if entity.kind == "url" else None
            if status is not None and status[1] in (post.quoted_id, post.quoted.first_id, post.quoted.version):
                gone.add(entity)
            break
        end = entity.start
    return gone


def _is_own_media(entity: Entity) -> bool:
    return entity.kind == "url" and (entity.media or (entity.shown or "").startswith(_PICTURE_LINKS))


def _span(entity: Entity, raw: str) -> Span:
    if entity.kind != "url":
        return Span(entity.start, entity.end, _TARGETS[entity.kind](entity.value))
    target = link_url(entity.value)
    if target is None:
        return Span(entity.start, entity.end, None, None, entity.shown)
    return Span(entity.start, entity.end, target, target, entity.shown or shortened(target))


def _found_span(start: int, end: int, kind: str, value: str) -> Span:
    if kind == "url":
        href = value if value.lower().startswith("http") else "https://" + value
        return Span(start, end, href, None, shortened(value))
    return Span(start, end, _TARGETS[kind](value))
