"""The recorded upstream data, where it lies beside the project (``../shared/data``), in a form that the readers
take.

Nothing of it is part of the project: real people wrote it.  Where the folder is absent, the composed fixtures
of the other tests stand alone.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

#: The project's root is three folders above this one.
FOLDER = Path(__file__).resolve().parents[3].parent / "shared" / "data"


def lines(path: Path) -> Iterator[bytes]:
    """The lines of a file that are not blank, unpacked where it is compressed."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return (line for line in content.splitlines() if line.strip())


def exchanges(path: Path) -> Iterator[tuple[str, bytes]]:
    """The (URI, reply body) pairs of a file of recorded HTTP exchanges."""
    for line in lines(path):
        exchange = json.loads(line)
        body = exchange["body"]
        yield exchange["uri"], (body if isinstance(body, str) else json.dumps(body)).encode()


def from_rtweet(row: dict[str, Any]) -> bytes:
    """A line of API v2's stream from a row of the R package *rtweet*, which kept posts as columns.

    Older rows hold several values in one blank-separated string and nothing of a retweet's original but its
    id.
    """
    author = {"id": row["user_id"], "username": row["screen_name"], "name": row.get("name", row["screen_name"])}
    data: dict[str, Any] = {
        "id": row["status_id"],
        "text": row["text"],
        "author_id": row["user_id"],
        "created_at": _time(row["created_at"]),
        "lang": row["lang"],
        "edit_history_tweet_ids": [row["status_id"]],
    }
    includes: dict[str, list[Any]] = {"users": [author], "tweets": [], "media": []}
    references = []
    for kind, prefix in (("retweeted", "retweet_status_id"), ("quoted", "quoted_status_id")):
        if prefix not in row:
            continue
        references.append({"type": kind, "id": row[prefix]})
        part = prefix.split("_")[0]
        if part + "_text" in row:
            post, user = _original(row, part, row[prefix])
            includes["tweets"].append(post)
            includes["users"].append(user)
    if "reply_to_status_id" in row:
        references.append({"type": "replied_to", "id": row["reply_to_status_id"]})
    if references:
        data["referenced_tweets"] = references
    if isinstance(row.get("media_t.co"), list):
        keys = [f"3_{row['status_id']}{at}" for at in range(len(row["media_url"]))]
        data["attachments"] = {"media_keys": keys}
        includes["media"] = [
            {"media_key": key, "type": "photo", "url": url}
            for key, url in zip(keys, row["media_url"], strict=True)
        ]
    if isinstance(row.get("urls_t.co"), list) or isinstance(row.get("media_t.co"), list):
        data["entities"] = _entities(row)
    return json.dumps({"data": data, "includes": includes}).encode()


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _original(row: dict[str, Any], part: str, post_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    user_id = row[part + "_user_id"]
    post = {
        "id": post_id,
        "text": row[part + "_text"],
        "author_id": user_id,
        "created_at": _time(row[part + "_created_at"]),
    }
    return post, {"id": user_id, "username": row[part + "_screen_name"], "name": row[part + "_name"]}


def _entities(row: dict[str, Any]) -> dict[str, Any]:
    found = []
    for prefix, key in (("urls", None), ("media", "3_1")):
        shorts, longs = row.get(prefix + "_t.co") or [], row.get(prefix + "_expanded_url") or []
        for short, long in zip(shorts, longs, strict=False):
            start = row["text"].find(short) if isinstance(short, str) else -1
            if start >= 0:
                end = start + len(short)
                found.append({"start": start, "end": end, "url": short, "expanded_url": long, "media_key": key})
    return {"urls": found}
