"""Composed messages of X and Flickr, in the shapes of their APIs.  Everybody in them is invented."""

from __future__ import annotations

import json
from typing import Any

from afeed.core.draft import Draft, Posted
from afeed.core.item import Item

POST_ID = "1900000000000000001"


def line(message: object) -> bytes:
    return json.dumps(message).encode() + b"\r\n"


def post_v2(text: str = "Hello", **members: Any) -> dict[str, Any]:
    """A post of API v2 by Ann; members that are None are left out."""
    post = {
        "id": POST_ID,
        "text": text,
        "author_id": "77",
        "created_at": "2026-11-21T17:00:05.000Z",
        "edit_history_tweet_ids": [members.get("id", POST_ID)],
        "lang": "en",
        **members,
    }
    return {name: value for name, value in post.items() if value is not None}


def user_v2(user_id: str = "77", username: str = "ann", name: str = "Ann") -> dict[str, Any]:
    avatar = f"https://pbs.twimg.com/profile_images/1/{username}_normal.jpg"
    return {"id": user_id, "username": username, "name": name, "profile_image_url": avatar}


def message_v2(post: dict[str, Any], **members: Any) -> bytes:
    """A stream line with ``post``; Ann is included unless ``includes`` says otherwise."""
    return line({"data": post, "includes": {"users": [user_v2()]}, **members})


def link(text: str, short: str, expanded: str, display: str | None = None, **members: Any) -> dict[str, Any]:
    """The entity of API v2 for the first ``short`` in the escaped ``text``."""
    start = text.index(short)
    entity = {"start": start, "end": start + len(short), "url": short, "expanded_url": expanded, **members}
    return entity if display is None else {**entity, "display_url": display}


def post_v1(text: str = "Hello", **members: Any) -> dict[str, Any]:
    """A post of API 1.1 by Bo."""
    return {
        "created_at": "Sat Nov 21 17:00:05 +0000 2026",
        "id": int(POST_ID),
        "id_str": POST_ID,
        "text": text,
        "truncated": False,
        "user": user_v1(),
        "entities": {"hashtags": [], "urls": [], "user_mentions": [], "symbols": []},
        "lang": "en",
        **members,
    }


def user_v1(screen_name: str = "bo", name: str = "Bo") -> dict[str, Any]:
    avatar = f"https://pbs.twimg.com/profile_images/2/{screen_name}_normal.png"
    return {
        "id": 88,
        "id_str": "88",
        "name": name,
        "screen_name": screen_name,
        "profile_image_url_https": avatar,
    }


def photo(**members: Any) -> dict[str, Any]:
    """A photo as ``flickr.photos.search`` lists it with all extras."""
    return {
        "id": "52980000001",
        "owner": "12345678@N00",
        "secret": "ab12cd34ef",
        "server": "65535",
        "farm": 66,
        "title": "Opening",
        "ispublic": 1,
        "license": "4",
        "dateupload": "1795280405",
        "lastupdate": "1795280500",
        "datetaken": "2026-11-21 09:00:00",
        "datetakengranularity": "0",
        "datetakenunknown": "0",
        "ownername": "Ann",
        "pathalias": "ann",
        "iconserver": "7",
        "media": "photo",
        "url_m": "https://live.staticflickr.com/65535/52980000001_ab12cd34ef.jpg",
        "height_m": "333",
        "width_m": "500",
        **members,
    }


def photos(*entries: object, **members: Any) -> bytes:
    """A page of photos."""
    page = {"page": 1, "pages": 1, "perpage": 100, "total": str(len(entries)), "photo": list(entries)}
    return json.dumps({"photos": {**page, **members}, "stat": "ok"}).encode()


def item_of(drafts: tuple[Draft, ...] | list[Posted]) -> Item:
    """The item of the only draft."""
    (draft,) = drafts
    assert isinstance(draft, Posted), draft
    return draft.item
