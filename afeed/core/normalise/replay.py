"""Recordings of a feed, to be played again: for rehearsals and for the demo."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from afeed.core.change import EDITED, GAP, POSTED, REDACTED, REMOVED
from afeed.core.draft import Draft, Posted, Removed
from afeed.core.errors import BadInput
from afeed.core.item import Author, Item, Media, Quote, encode_item
from afeed.core.normalise.characters import label, scrub
from afeed.core.normalise.limits import MAX_ALT_CHARS, MAX_ITEM_BYTES, MAX_LINE_BYTES, MAX_NAME_CHARS
from afeed.core.normalise.text import plain, sanitise
from afeed.core.normalise.urls import media_url, web_url
from afeed.core.normalise.values import decode_json, epoch_time, instant, mapping, rfc3339, string, taken


class Entry(msgspec.Struct, frozen=True):
    """Something that happens ``at`` seconds after the first entry.  ``created`` says, on the same scale, when
    its post was written (0 or less than ``at``, possibly negative)."""

    at: float
    draft: Draft
    created: float = 0.0


class Recording(msgspec.Struct, frozen=True):
    """A recording in the order of its times.  ``duration`` is the last entry's ``at``, in seconds; ``dropped``
    has the number of each line (from 1) that was not used, and why."""

    entries: tuple[Entry, ...]
    duration: float
    dropped: tuple[tuple[int, str], ...]


class _Line(msgspec.Struct, frozen=True):
    number: int
    moment: datetime
    created: datetime
    item: Item | None
    removed: str | None


def read_recording(lines: Iterable[bytes]) -> Recording:
    """A recording from its lines, each an item or a change in the form of ``docs/protocol.rst``.

    A change plays at its ``at``, an item at its ``created_at``.  An item that comes again with other content
    is an edit; versions are counted from 1.  Blank lines and gaps are passed over; what cannot be used is
    reported in ``dropped``: ``malformed``, ``oversize``, ``no-date``, ``redacted``, ``duplicate`` or
    ``unsupported``.
    """
    dropped: list[tuple[int, str]] = []
    read: list[_Line] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            read.append(_line(number, line))
        except BadInput as problem:
            dropped.append((number, str(problem)))
    # Python's sort is stable: what has the same time stays in the order of the file.
    read.sort(key=lambda entry: entry.moment)
    entries: list[Entry] = []
    versions: dict[str, int] = {}
    latest: dict[str, bytes] = {}
    for entry in read:
        draft: Draft
        if entry.item is not None:
            body = encode_item(entry.item)
            if latest.get(entry.item.id) == body:
                dropped.append((entry.number, "duplicate"))
                continue
            latest[entry.item.id] = body
            versions[entry.item.id] = versions.get(entry.item.id, 0) + 1
            draft = Posted(entry.item, str(versions[entry.item.id]))
        else:
            draft = Removed(entry.removed or "")
        start = read[0].moment
        entries.append(
            Entry((entry.moment - start).total_seconds(), draft, (entry.created - start).total_seconds())
        )
    return Recording(tuple(entries), entries[-1].at if entries else 0.0, tuple(sorted(dropped)))


def shifted(draft: Draft, start: float, lap: int) -> Draft:
    """``draft`` for the replay's present.

    ``start`` is the time (Unix seconds) that the post is now said to have been written; for an entry it is
    the time at which the recording's first entry plays plus ``entry.created / speed``, so that an edit agrees
    with its post.  Lap 0 keeps the recorded ids; each later lap has its own, so that the same posts are new.
    """
    match draft:
        case Posted(item, version):
            return Posted(
                msgspec.structs.replace(
                    item,
                    id=_of_lap(item.id, lap),
                    created_at=epoch_time(start) or item.created_at,
                    reply_to=_of_lap(item.reply_to, lap) if item.reply_to is not None else None,
                ),
                version,
            )
        case Removed(id_):
            return Removed(_of_lap(id_, lap))
    return draft


def _of_lap(item_id: str, lap: int) -> str:
    return item_id if lap <= 0 else f"{item_id}~{lap}"


def _line(number: int, line: bytes) -> _Line:
    """One line; raises BadInput with the one word that says why it cannot be used."""
    if len(line) > MAX_LINE_BYTES:
        raise BadInput("oversize")
    try:
        value = decode_json(line.strip())
    except BadInput:
        raise BadInput("malformed") from None
    if not isinstance(value, dict):
        raise BadInput("malformed")
    kind = value.get("type") if "item" in value or "at" in value else None
    if kind == REDACTED:
        raise BadInput("redacted")
    if kind == GAP:
        raise BadInput("unsupported")
    moment = instant(value.get("at"))
    if kind == REMOVED:
        removed = string(value.get("id"))
        if removed is None or moment is None:
            raise BadInput("malformed" if removed is None else "no-date")
        return _Line(number, moment, moment, None, removed)
    if kind not in (None, POSTED, EDITED):
        raise BadInput("unsupported")
    item = _item(mapping(value["item"]) if "item" in value else value)
    created = instant(item.created_at)
    if created is None or (moment or created) is None:
        raise BadInput("no-date")
    # One way to write a time, of the several that can be read.
    item = msgspec.structs.replace(item, created_at=rfc3339(created))
    return _Line(number, moment or created, created, item, None)


def _item(value: dict[str, object]) -> Item:
    """The item in a recording, checked like everything that comes from outside."""
    try:
        item = msgspec.convert(value, Item)
    except msgspec.ValidationError:
        raise BadInput("malformed") from None
    item = msgspec.structs.replace(
        item,
        id=label(item.id, MAX_NAME_CHARS),
        author=_author(item.author),
        text=plain(item.text),
        html=sanitise(item.html),
        url=web_url(item.url),
        media=tuple(medium for entry in item.media if (medium := _medium(entry)) is not None),
        shared_by=_author(item.shared_by) if item.shared_by is not None else None,
        quote=_quote(item.quote) if item.quote is not None else None,
    )
    if ":" not in item.id:
        raise BadInput("malformed")
    if len(encode_item(item)) > MAX_ITEM_BYTES:
        raise BadInput("oversize")
    return item


def _local_or(url: str | None) -> str | None:
    """A picture's URL, or a path on this very site: a rehearsal may bring its own pictures."""
    if url is not None and url.startswith("/") and not url.startswith("//") and "\\" not in url:
        return scrub(url)
    return media_url(url)


def _author(author: Author) -> Author:
    return Author(
        name=label(author.name, MAX_NAME_CHARS) or "unknown",
        handle=label(author.handle, MAX_NAME_CHARS) if author.handle is not None else None,
        url=web_url(author.url),
        avatar=_local_or(author.avatar),
    )


def _medium(medium: Media) -> Media | None:
    url = _local_or(medium.url)
    if url is None:
        return None
    alt = label(medium.alt, MAX_ALT_CHARS) if medium.alt is not None else None
    return msgspec.structs.replace(
        medium, url=url, thumb_url=_local_or(medium.thumb_url), alt=alt, taken_at=taken(medium.taken_at)
    )


def _quote(quote: Quote) -> Quote:
    return Quote(
        author=_author(quote.author), text=plain(quote.text), html=sanitise(quote.html), url=web_url(quote.url)
    )
