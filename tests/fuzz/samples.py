"""What the cases are made of: sound input in all its forms.  Everybody in it is invented."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from afeed.core.item import Author, Item, Media, Quote, encode_item
from tests.core.normalise import fixtures as made
from tests.simulators import photos, xposts
from tests.simulators.xfaults import DISCONNECT

_CREATED = 1795280405.0


def _dumped(*values: object) -> tuple[bytes, ...]:
    return tuple(json.dumps(value).encode() for value in values)


def _posts() -> list[dict[str, Any]]:
    """Messages of API v2 with everything a post may have."""
    messages: list[dict[str, Any]] = []
    for at, (lang, text) in enumerate(xposts.TEXTS):
        author = xposts.AUTHORS[at % len(xposts.AUTHORS)]
        media = [
            {"media_key": "3_1", "type": "photo", "url": "https://pbs.twimg.com/media/a.jpg", "width": 900,
             "height": 600, "alt_text": "stage"},
            {"media_key": "13_2", "type": "video", "preview_image_url": "https://pbs.twimg.com/b.jpg",
             "variants": [{"bit_rate": 832000, "content_type": "video/mp4",
             "url": "https://video.twimg.com/b.mp4"},
                          {"content_type": "application/x-mpegURL", "url": "https://video.twimg.com/b.m3u8"}]},
        ]  # fmt: skip
        kind = ("quoted", "retweeted", "replied_to")[at % 3]
        message = xposts.post_v2(
            str(1900000000000000001 + at),
            text.format(tag="#aea @ann https://t.co/abc"),
            author=author,
            created_at=_CREATED + at,
            lang=lang,
            history=("1899999999999999999",) if at % 4 == 1 else (),
            media=media if at % 5 == 2 else (),
            original=messages[-1] if messages and at % 2 else None,
            kind=kind,
        )
        message["matching_rules"] = [{"id": "1", "tag": "afeed:e"}, {"id": "2", "tag": "other"}]
        if at == 3:
            message["data"]["note_tweet"] = {"text": "long " * 80, "entities": {}}
        if at == 4:
            message["errors"] = [
                {"title": "Not Found", "type": "https://api.x.com/2/problems/x", "detail": "d"}
            ]
        messages.append(message)
    return messages


@cache
def x_lines() -> tuple[bytes, ...]:
    """Lines of X's streams."""
    posts = _posts()
    author = xposts.AUTHORS[0]
    v1 = [xposts.post_v1(post, author) for post in posts[:4]]
    entities = {
        "urls": [{"url": "https://t.co/a", "expanded_url": "https://e.org/a", "indices": [0, 14]}],
        "media": [{"type": "photo", "media_url_https": "https://pbs.twimg.com/a.jpg", "indices": [15, 30],
                   "url": "https://t.co/b", "sizes": {"large": {"w": 9, "h": 9}}}],
    }  # fmt: skip
    full = made.post_v1(
        "RT @bo: hello",
        extended_tweet={"full_text": "https://t.co/a x", "entities": entities, "display_text_range": [0, 16]},
        extended_entities=entities,
        retweeted_status=v1[1],
        quoted_status=v1[2],
        timestamp_ms="1795280405123",
    )
    return _dumped(
        *posts,
        *v1,
        full,
        {"errors": [DISCONNECT]},
        {**posts[0], "errors": [DISCONNECT]},
        {"data": {"delete": {"tweet": {"id": "1900000000000000001", "author_id": "7"}, "event_at": "x"}}},
        {"data": {"tweet_edit": {"tweet": {"id": "1"}}}},
        {"delete": {"status": {"id": 1234, "id_str": "1234", "user_id": 3}, "timestamp_ms": "1"}},
        {"status_withheld": {"id": 1234, "user_id": 3, "withheld_in_countries": ["DE"]}},
        {"limit": {"track": 1234, "timestamp_ms": "1"}},
        {"warning": {"code": "FALLING_BEHIND", "message": "Your connection is falling behind",
        "percent_full": 60}},
        {"disconnect": {"code": 4, "stream_name": "", "reason": "duplicate stream"}},
        {"title": "ConnectionException", "detail": "too many", "connection_issue": "TooManyConnections",
         "type": "https://api.x.com/2/problems/streaming-connection"},
        {"friends": [1, 2]}, {"event": "follow"}, {"error": {"message": "m"}}, {"code": 32},
    )  # fmt: skip


@cache
def x_pages() -> tuple[bytes, ...]:
    """Replies to searches and look-ups."""
    posts = _posts()[:2]
    includes: dict[str, list[Any]] = {}
    for post in posts:
        for name, entries in post["includes"].items():
            includes.setdefault(name, []).extend(entries)
    meta = {"newest_id": posts[1]["data"]["id"], "oldest_id": posts[0]["data"]["id"], "result_count": 2,
            "next_token": "b26v89c19zqg8o3f"}  # fmt: skip
    v1 = [xposts.post_v1(post, xposts.AUTHORS[0]) for post in posts]
    return _dumped(
        {"data": [post["data"] for post in posts], "includes": includes, "meta": meta},
        {"meta": {"result_count": 0}},
        {"data": posts[0]["data"], "errors": [{"title": "Not Found", "detail": "no such post", "value": "1"}]},
        {"errors": [{"message": "Rate limit exceeded", "code": 88}]},
        {"title": "Invalid Request", "detail": "d", "type": "https://api.x.com/2/problems/invalid-request"},
        v1,
        {"statuses": v1, "search_metadata": {"next_results": "?max_id=1&q=x"}},
        {"results": v1[:1], "next": "token"},
        v1[0],
    )


@cache
def stream() -> tuple[bytes, ...]:
    """Stretches of streams, with line ends and with lengths."""
    short = (b'{"id":1}', '{"t":"日本"}'.encode(), b'{"a":"b\\nc"}', b"[]")
    by_line = b"\r\n".join(short) + b"\r\n"
    by_length = b"".join(b"%d\r\n%b\r\n" % (len(part) + 2, part) for part in short)
    return (
        by_line, by_length, b"\r\n\r\n" + by_line, b"\xef\xbb\xbf" + by_line, by_length + b"\r\n" + by_length,
        b"\n".join(short), b"x" * 90 + b"\r\n" + by_line, b"90\r\n" + b"y" * 90 + by_length,
    )  # fmt: skip


@cache
def flickr_pages() -> tuple[bytes, ...]:
    """Replies of Flickr."""
    store = photos.Library()
    store.add(*(photos.invented(number, int(_CREATED) + number) for number in range(3)))
    extras = (
        "description,license,date_upload,date_taken,owner_name,icon_server,last_update,tags,media,path_alias,"
        "url_m,url_l"
    )
    page = store.search({"tags": "aneventapart", "extras": extras}, _CREATED + 99)
    whole = made.photos(
        made.photo(), made.photo(title={"_content": "T"}, description={"_content": "<b>d</b>\n\nx"})
    )
    return (
        *_dumped(page, photos.failure(100, "Invalid API Key"), photos.failure(105, "not currently available")),
        whole,
        b"jsonFlickrApi(" + whole + b")",
        b'<?xml version="1.0"?><rsp stat="fail"><err code="105" msg="Not &quot;available&quot;" /></rsp>',
        b'<rsp stat="ok"></rsp>',
    )


@cache
def pushes() -> tuple[bytes, ...]:
    """What programs publish."""
    full = {
        "id": "42", "text": "Hello https://e.org/a #aea",
        "html": '<p>Hello <a href="https://e.org/a">a</a></p>',
        "author": {"name": "Ann", "handle": "ann", "url": "https://e.org/ann", "avatar": "https://e.org/a.png"},
        "created_at": "2026-11-21T17:00:05+01:00", "url": "https://e.org/1", "lang": "pt-BR",
        "media": [{"type": "video", "url": "https://e.org/v.mp4", "thumb_url": "https://e.org/v.jpg",
                   "width": 1200, "height": 800, "alt": "a", "owner": "Bo", "licence": "CC BY 4.0"},
                  "https://e.org/b.jpg"],
        "reply_to": "x:1", "sensitive": True,
    }  # fmt: skip
    small = {"id": "1", "text": "hi", "author": "Bo"}
    (one,) = _dumped(small)
    return (*_dumped(full, small, [full, small]), one + b"\n" + one.replace(b"1", b"2") + b"\r\n\r\n" + one)


@cache
def recordings() -> tuple[bytes, ...]:
    """Lines of recordings."""
    author = Author(name="Ann", handle="ann", url="https://e.org/ann", avatar="/static/demo/avatar-fox.svg")
    medium = Media(type="photo", url="/static/demo/cake.svg", width=3, height=4, alt="x", taken_at="2026-03")
    item = Item(
        id="x:demo-1", source="x", author=author, text="hi", html="<p>hi</p>",
        created_at="2026-06-12T17:54:47Z",
        media=(medium,), shared_by=author, quote=Quote(author=author, text="q", html="<p>q</p>",
        url="https://e.org/"),
    )  # fmt: skip
    plain = json.loads(encode_item(item))
    at = "2026-06-12T17:54:47.062Z"
    lines = _dumped(
        {"at": at, "type": "item.posted", "version": "1", "item": plain},
        {"at": "2026-06-12T17:55:47.062Z", "type": "item.edited", "item": {**plain, "text": "ho"}},
        {"at": at, "type": "item.removed", "id": "x:demo-1"},
        {"at": at, "type": "redacted"},
        {"at": at, "type": "source.gap", "source": "x", "from": at, "to": None, "state": "open", "fetched": 0},
        plain,
    )
    return (*lines, b"\n".join(lines), b"\n".join(lines[:2]))


#: What markup is made of.
MARKUP = (
    b"<p>", b"</p>", b"<br>", b"<a href=", b"</a>", b"<span>", b"<script>", b"</script>", b"<style>", b"<svg>",
    b"<math>", b"<mtext>", b"<table>", b"<template>", b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<iframe srcdoc=",
    b"<img src=x onerror=alert(1)>", b"javascript:", b"JAVASCRIPT&#58;", b"&colon;", b"&Tab;", b"&NewLine;",
    b"&#x202e;", b"&#8232;", b"&#0;", b"&lt;", b"&amp;lt;", b"&quot;", b"https://", b"mailto:", b"//", b"@ann",
    b"#aea", b"www.e.org", b"t.co/x", b"\xe2\x81\xa7", b"\xe2\x81\xa9", b"\xcc\x81", b"\xe2\x80\x8d",
    b"<noscript>", b"<textarea>", b"<title>", b"<xmp>", b"<plaintext>", b"<select>", b"<form>",
    b"<annotation-xml>",
)  # fmt: skip


@cache
def texts() -> tuple[bytes, ...]:
    """Plain text and markup, sound and not."""
    return (
        *(text.format(tag="#aea").encode() for _, text in xposts.TEXTS),
        b'<p>Hello <a href="https://e.org/a?b=c&amp;d" class="x" onclick="y">e.org</a><br>two</p><p>three</p>',
        b"See https://e.org/a_(b), www.e.org and mailto:a@e.org. @ann #aea\n\nBye\r\nBo",
        b'<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=x&gt;">',
        b'<a href="JAVASCRIPT&#58;x">x</a><svg><script>1</script></svg><iframe srcdoc="<p>"></iframe>',
        ("\u202ea\u2067b\u2069\u2069 e" + "\u0301" * 10 + "\u200b" * 3).encode(),
        b"<p><span lang=en>a</span><div>b</div><ul><li>c</ul><pre>d</pre>",
    )


@cache
def positions() -> tuple[bytes, ...]:
    """Positions as sources store them."""
    moment = "2026-11-21T17:00:05.000Z"
    return (
        *_dumped(
            {"newest_id": "1900", "live_at": moment, "open": [["2026-11-21T16:00:00.000Z", moment, True]]},
            {"newest_id": None, "live_at": moment},
            {"newest_id": "1795280405", "live_at": moment, "told": True, "fetched": 3},
        ),
        b"0:17",
        b"3:0",
    )
