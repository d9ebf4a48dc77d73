"""Invented posts, in the JSON of X's API v2 and v1.1."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any, NamedTuple

_SNOWFLAKE_EPOCH_MS = 1288834974657
_HASHTAG = re.compile(r"(?<!\w)#(\w+)")
_MENTION = re.compile(r"(?<!\w)@(\w{1,15})")
_URL = re.compile(r"https?://\S+")


class Author(NamedTuple):
    """Who posts."""

    id: str
    name: str
    username: str


AUTHORS = (
    Author("1001", "Ada Okonkwo", "ada_okonkwo"),
    Author("1002", "Žofie Dvořáková", "zofie_d"),
    Author("1003", "山本 みどり", "midori_y"),
    Author("1004", "Ünal Çelik", "unal_celik"),
    Author("1005", "ليلى حداد", "layla_h"),
    Author("1006", "Mateus 🌻 Rocha", "mateus_rocha"),
    Author("1007", "Олена Коваль", "olena_k"),
    Author("1008", "Ngọc Trần", "ngoc_tran"),
)

#: Language and text; ``{tag}`` is replaced by what the rules want to see.
TEXTS = (
    ("en", "The opening keynote starts in five minutes, and every seat is taken {tag}"),
    ("de", "Großartiger Vortrag über kaputte Zeitzonen – 25 Stunden hat der Tag {tag}"),
    ("fr", "Très belle démonstration en direct… et rien n’a planté ! {tag}"),
    ("ja", "このセッションは本当に分かりやすい。スライドはどこで見られますか？ {tag}"),
    ("ar", "محاضرة رائعة عن التصميم للجميع، شكراً للمنظمين {tag}"),
    ("he", "ההרצאה הכי טובה היום, בלי ספק {tag}"),
    ("es", "¿Alguien más se ha perdido buscando la sala 3? 😅 {tag}"),
    ("pt", "Café acabou, mas a conversa no corredor está ótima ☕️➡️🥲 {tag}"),
    ("uk", "Питання до спікерки: а як це працює без інтернету? {tag}"),
    ("hi", "अगला सत्र शुरू होने वाला है, जल्दी आइए 🎤 {tag}"),
    ("ko", "라이브 코딩인데 한 번에 성공했다 👏👏 {tag}"),
    ("zh", "今天最喜欢的一句话：先把它写下来，再把它写好。 {tag}"),
    ("en", "Rule of the day: a < b && b > c is not a layout strategy {tag}"),
    ("en", "Team photo! 👩🏽‍🚀👨‍👩‍👧‍👦🏳️‍🌈 {tag}"),
    ("vi", "Bài nói rất hay, mình đã ghi lại mọi thứ {tag}"),
    ("tr", "İkinci gün başladı; ışıklar söndü, sahne hazır {tag}"),
)


def snowflake(ms: int, sequence: int) -> int:
    """An id of the millisecond ``ms`` (Unix time)."""
    return ((ms - _SNOWFLAKE_EPOCH_MS) << 22) | (sequence & 0x3FFFFF)


def iso(seconds: float) -> str:
    """Unix time as the API v2 writes it."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def post_v2(
    id: str,
    text: str,
    *,
    author: Author,
    created_at: float,
    lang: str = "en",
    history: Sequence[str] = (),
    media: Sequence[Mapping[str, Any]] = (),
    original: Mapping[str, Any] | None = None,
    kind: str = "quoted",
) -> dict[str, Any]:
    """A message without ``matching_rules``: ``data`` and ``includes``.

    ``history`` holds the ids of earlier versions, oldest first; ``original`` is the message of the post that
    this one refers to as ``kind`` (``quoted``, ``retweeted``, ``replied_to``).
    """
    escaped = escape(text, quote=False)
    data: dict[str, Any] = {
        "id": id,
        "text": escaped,
        "author_id": author.id,
        "created_at": iso(created_at),
        "edit_history_tweet_ids": [*history, id],
        "lang": lang,
        "possibly_sensitive": False,
        "conversation_id": id,
        "entities": _entities(escaped),
    }
    includes: dict[str, Any] = {"users": [_user(author)]}
    if media:
        data["attachments"] = {"media_keys": [one["media_key"] for one in media]}
        includes["media"] = [dict(one) for one in media]
    if original is not None:
        data["referenced_tweets"] = [{"type": kind, "id": original["data"]["id"]}]
        includes["tweets"] = [original["data"]]
        known = {author.id}
        includes["users"] += [u for u in original["includes"]["users"] if u["id"] not in known]
        if "media" in original["includes"]:
            includes["media"] = [*includes.get("media", []), *original["includes"]["media"]]
    return {"data": data, "includes": includes}


def _entities(text: str) -> dict[str, Any]:
    """Offsets are code points of the escaped text."""

    def spans(pattern: re.Pattern[str], name: str, group: int) -> list[dict[str, Any]]:
        return [{"start": m.start(), "end": m.end(), name: m[group]} for m in pattern.finditer(text)]

    entities = {"hashtags": spans(_HASHTAG, "tag", 1), "mentions": spans(_MENTION, "username", 1)}
    urls = spans(_URL, "url", 0)
    entities["urls"] = [url | {"expanded_url": url["url"], "display_url": url["url"][8:]} for url in urls]
    return {name: found for name, found in entities.items() if found}


def _user(author: Author) -> dict[str, Any]:
    return {"id": author.id, "name": author.name, "username": author.username, "verified": False}


def post_v1(message: Mapping[str, Any], author: Author) -> dict[str, Any]:
    """The same post as API v1.1 sends it."""
    data = message["data"]
    moment = datetime.fromisoformat(data["created_at"])
    return {
        "created_at": moment.strftime("%a %b %d %H:%M:%S +0000 %Y"),
        "id": int(data["id"]),
        "id_str": data["id"],
        "text": data["text"],
        "truncated": False,
        "source": '<a href="https://example.org" rel="nofollow">Simulator</a>',
        "user": {
            "id": int(author.id),
            "id_str": author.id,
            "name": author.name,
            "screen_name": author.username,
        },
        "entities": {
            "hashtags": [
                {"text": tag["tag"], "indices": [tag["start"], tag["end"]]}
                for tag in data["entities"].get("hashtags", [])
            ],
            "urls": [],
            "user_mentions": [],
        },
        "lang": data["lang"],
        "timestamp_ms": str(int(moment.timestamp() * 1000)),
    }


def facts(message: Mapping[str, Any], author: Author) -> dict[str, Any]:
    """What :class:`tests.simulators.xmatch.Matcher` asks about a post."""
    data = message["data"]
    entities = data["entities"]
    kinds = {"retweeted": "retweet", "quoted": "quote", "replied_to": "reply"}
    has = {"hashtags": "hashtags", "mentions": "mentions", "urls": "links"}
    return {
        "text": data["text"],
        "hashtags": {tag["tag"].lower() for tag in entities.get("hashtags", [])},
        "mentions": {user["username"].lower() for user in entities.get("mentions", [])},
        "username": author.username,
        "lang": data["lang"],
        "is": {kinds[ref["type"]] for ref in data.get("referenced_tweets", [])},
        "has": {has[name] for name in entities} | ({"media", "images"} if "attachments" in data else set()),
    }
