"""What Flickr's REST API answers, as drafts: pages of ``flickr.photos.search``.

Flickr reports failures with HTTP 200 and ``stat: fail``, and its numbers are strings in one reply and numbers
in the next.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import msgspec

from afeed.core.draft import Posted
from afeed.core.errors import AfeedError, BadInput
from afeed.core.item import Author, Item, Media, encode_item
from afeed.core.normalise.characters import label
from afeed.core.normalise.limits import MAX_ALT_CHARS, MAX_ITEM_BYTES, MAX_REASON_CHARS
from afeed.core.normalise.text import Network, html_to_text, mixed_to_html, plain, plain_to_html
from afeed.core.normalise.urls import media_url, path_part
from afeed.core.normalise.values import (
    decode_json,
    epoch_time,
    integer,
    listing,
    mapping,
    name,
    size,
    string,
    taken,
)

#: Beyond this many results Flickr repeats itself, whatever the number of pages it names.
MAX_RESULTS = 4000
_MAX_PAGES = 100
_DEFAULT_PER_PAGE = 100
_MAX_PER_PAGE = 500

_MAX_DESCRIPTION_CHARS = 4000
_EXCERPT_CHARS = 1000

#: The suffixes of ``url_*`` that are not cropped to squares.
_SIZES = ("o", "k", "h", "l", "b", "c", "z", "w", "m", "n", "s", "t")

#: A thumbnail is the largest of these at or below the width of a column.
_THUMBS = ("z", "w", "m", "n", "s", "t")
_THUMB_PIXELS = 640

#: Flickr API docs, ``flickr.photos.licenses.getInfo``.
LICENCES = {
    0: "All rights reserved",
    1: "CC BY-NC-SA 2.0",
    2: "CC BY-NC 2.0",
    3: "CC BY-NC-ND 2.0",
    4: "CC BY 2.0",
    5: "CC BY-SA 2.0",
    6: "CC BY-ND 2.0",
    7: "No known copyright restrictions",
    8: "United States government work",
    9: "CC0 1.0",
    10: "Public Domain Mark 1.0",
    11: "CC BY 4.0",
    12: "CC BY-SA 4.0",
    13: "CC BY-ND 4.0",
    14: "CC BY-NC 4.0",
    15: "CC BY-NC-SA 4.0",
    16: "CC BY-NC-ND 4.0",
}

#: Failures that pass: search or service not available, write failed.  201 and 0 were seen with the words below.
_PASSING_CODES = frozenset({10, 105, 106, 201})
_PASSING_WORDS = "not currently available"

_WRAPPER = b"jsonFlickrApi("
_XML_REPLY = re.compile(rb"\s*(?:<\?xml[^>]{0,200}\?>\s*)?<rsp\s+stat=[\"'](ok|fail)[\"']")
_XML_ERROR = re.compile(rb"<err\s+([^>]{0,2000}?)/?>")
_XML_ATTRIBUTE = re.compile(r"(code|msg)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")

_DIGITS = re.compile(r"[0-9]{1,19}\Z")
_OWNER = re.compile(r"[A-Za-z0-9@_-]{1,64}\Z")
_SECRET = re.compile(r"[A-Za-z0-9]{1,32}\Z")
_TAKEN = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{2}:[0-9]{2}:[0-9]{2})\Z")

#: How many characters of a date the granularity vouches for: to the second, month, year, "circa" (none).
_TAKEN_CHARS = {0: 19, 4: 7, 6: 4}


class Failure(AfeedError):
    """Flickr refused: its code and its words; ``retry`` when the same request may succeed later."""

    def __init__(self, code: int, message: str, retry: bool) -> None:
        super().__init__(f"Flickr says {code}: {message}")
        self.code = code
        self.message = message
        self.retry = retry


class Page(msgspec.Struct, frozen=True):
    """One page of a search.

    ``pages`` and ``total`` are Flickr's, bounded by what a search can really deliver; ``count`` is the number
    of photos on this page, usable or not.  ``newest_upload`` (Unix seconds) is the latest upload among them.
    ``dropped`` has one word for each photo that could not be used: ``malformed`` (no usable id, owner or
    picture), ``no-date`` (the ``date_upload`` extra was not delivered) or ``oversize``.
    """

    drafts: tuple[Posted, ...] = ()
    page: int = 1
    pages: int = 0
    total: int = 0
    count: int = 0
    newest_upload: int | None = None
    dropped: tuple[str, ...] = ()


def read_page(body: bytes) -> Page:
    """The reply to a search.

    Raises :class:`Failure` for Flickr's own errors (JSON, ``jsonFlickrApi(...)`` or XML) and
    :class:`~afeed.core.errors.BadInput` for anything else that is not a page of photos.
    """
    xml = _XML_REPLY.match(body)
    if xml is not None:
        raise (
            _xml_failure(body) if xml[1] == b"fail" else BadInput("Flickr answered in XML: ask for format=json")
        )
    value = mapping(decode_json(_unwrapped(body.strip())))
    if value.get("stat") == "fail":
        raise _failure(integer(value.get("code")) or 0, string(value.get("message")) or "no reason given")
    photos = value.get("photos")
    if not isinstance(photos, dict) or not isinstance(photos.get("photo"), list):
        raise BadInput("the reply has no list of photos")
    return _page(photos)


def _unwrapped(body: bytes) -> bytes:
    if not body.startswith(_WRAPPER):
        return body
    return body.removeprefix(_WRAPPER).removesuffix(b";").rstrip().removesuffix(b")")


def _failure(code: int, message: str) -> Failure:
    passing = code in _PASSING_CODES or _PASSING_WORDS in message.lower()
    return Failure(code, label(message, MAX_REASON_CHARS), passing)


def _xml_failure(body: bytes) -> Failure:
    error = _XML_ERROR.search(body)
    words = error[1].decode("utf-8", "replace") if error is not None else ""
    found = {match[1]: unescape(match[2] or match[3] or "") for match in _XML_ATTRIBUTE.finditer(words)}
    return _failure(integer(found.get("code")) or 0, found.get("msg") or "no reason given")


def _page(photos: dict[str, Any]) -> Page:
    entries = listing(photos["photo"])
    per_page = integer(photos.get("perpage")) or integer(photos.get("per_page")) or _DEFAULT_PER_PAGE
    per_page = min(max(per_page, 1), _MAX_PER_PAGE)
    drafts: list[Posted] = []
    dropped: list[str] = []
    for entry in entries:
        made = _draft(entry) if isinstance(entry, dict) else "malformed"
        if isinstance(made, Posted):
            drafts.append(made)
        else:
            dropped.append(made)
    uploads = [upload for entry in entries if (upload := integer(mapping(entry).get("dateupload"))) is not None]
    return Page(
        drafts=tuple(drafts),
        page=max(integer(photos.get("page")) or 1, 1),
        pages=_bounded(integer(photos.get("pages")), min(-(-MAX_RESULTS // per_page), _MAX_PAGES)),
        total=_bounded(integer(photos.get("total")), MAX_RESULTS),
        count=len(entries),
        newest_upload=max(uploads, default=None),
        dropped=tuple(dropped),
    )


def _bounded(number: int | None, most: int) -> int:
    return min(max(number or 0, 0), most)


def _draft(photo: dict[str, Any]) -> Posted | str:
    """The draft for one photo, or the reason why there is none."""
    photo_id, owner = _id(photo.get("id")), _matching(_OWNER, photo.get("owner"))
    if photo_id is None or owner is None:
        return "malformed"
    uploaded = integer(photo.get("dateupload"))
    created_at = epoch_time(uploaded) if uploaded is not None else None
    if created_at is None:
        return "no-date"
    author = _author(photo, owner)
    title = name(_content(photo.get("title")))
    medium = _medium(photo, photo_id, title, author.name)
    if medium is None:
        return "malformed"
    text, html = _words(title, _content(photo.get("description")))
    item = Item(
        id=f"flickr:{photo_id}",
        source="flickr",
        kind="photo",
        author=author,
        text=text,
        html=html,
        created_at=created_at,
        url=f"https://www.flickr.com/photos/{path_part(author.handle or owner)}/{photo_id}/",
        media=(medium,),
    )
    if len(encode_item(item)) > MAX_ITEM_BYTES:
        return "oversize"
    updated = integer(photo.get("lastupdate"))
    return Posted(item, str(uploaded if updated is None or updated < 0 else updated))


def _id(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return _matching(_DIGITS, value)


def _matching(pattern: re.Pattern[str], value: object) -> str | None:
    return value if isinstance(value, str) and pattern.match(value) else None


def _content(value: object) -> str | None:
    """A text, which some methods wrap as ``{"_content": text}``."""
    return string(value.get("_content") if isinstance(value, dict) else value)


def _author(photo: dict[str, Any], owner: str) -> Author:
    alias = _matching(_OWNER, photo.get("pathalias"))
    icon_server = integer(photo.get("iconserver")) or 0
    avatar = (
        f"https://live.staticflickr.com/{icon_server}/buddyicons/{owner}.jpg"
        if icon_server > 0
        else "https://www.flickr.com/images/buddyicon.gif"
    )
    return Author(
        name=name(photo.get("ownername")) or alias or owner,
        handle=alias,
        url=f"https://www.flickr.com/people/{path_part(alias or owner)}/",
        avatar=avatar,
    )


def _words(title: str | None, description: str | None) -> tuple[str, str]:
    """Title and description as plain text and as HTML; a very long description only as an excerpt."""
    heading = plain_to_html(title, _FLICKR) if title is not None else ""
    if description is None:
        return title or "", heading
    words = html_to_text(description)
    if len(description) > _MAX_DESCRIPTION_CHARS:
        words = words if len(words) <= _EXCERPT_CHARS else words[: _EXCERPT_CHARS - 1] + "…"
        html = plain_to_html(words, _FLICKR)
    else:
        html = mixed_to_html(description)
    return plain("\n\n".join(part for part in (title, words) if part)), heading + html


def _hashtag_url(tag: str) -> str:
    return f"https://www.flickr.com/photos/tags/{path_part(tag.lower())}/"


_FLICKR = Network(hashtag=_hashtag_url)


class _Rendition(msgspec.Struct, frozen=True):
    suffix: str
    url: str
    width: int | None
    height: int | None

    @property
    def pixels(self) -> int:
        return (self.width or 0) * (self.height or 0)


def _medium(photo: dict[str, Any], photo_id: str, title: str | None, owner_name: str) -> Media | None:
    """The picture; of a video its still, since a search does not deliver the video."""
    renditions = [
        _Rendition(suffix, url, size(photo.get(f"width_{suffix}")), size(photo.get(f"height_{suffix}")))
        for suffix in _SIZES
        if (url := media_url(photo.get(f"url_{suffix}"))) is not None
    ]
    # The first of equals is the one whose name promises more.
    best = max(renditions, key=lambda rendition: rendition.pixels, default=None)
    urls = _assembled(photo, photo_id) if best is None else (best.url, _thumb(renditions))
    if urls is None:
        return None
    url, thumb = urls
    licence = integer(photo.get("license"))
    return Media(
        type="photo",
        url=url,
        thumb_url=thumb,
        width=best.width if best is not None else None,
        height=best.height if best is not None else None,
        alt=label(title, MAX_ALT_CHARS) if title is not None else None,
        owner=owner_name,
        licence=LICENCES.get(licence) if licence is not None else None,
        taken_at=_taken_at(photo),
    )


def _thumb(renditions: list[_Rendition]) -> str | None:
    small = [one for one in renditions if one.suffix in _THUMBS and (one.width or 0) <= _THUMB_PIXELS]
    return max(small, key=lambda rendition: rendition.pixels).url if small else None


def _assembled(photo: dict[str, Any], photo_id: str) -> tuple[str, str | None] | None:
    """Flickr API docs, "photo image URLs": the 500-pixel picture and the 240-pixel one, which every photo
    has."""
    server, secret = _id(photo.get("server")), _matching(_SECRET, photo.get("secret"))
    if server is None or secret is None:
        return None
    stem = f"https://live.staticflickr.com/{server}/{photo_id}_{secret}"
    return f"{stem}.jpg", f"{stem}_m.jpg"


def _taken_at(photo: dict[str, Any]) -> str | None:
    """When the picture was taken, by the photographer's clock.

    ``2026-03-01T10:00:00`` without a zone, because Flickr knows none; ``2026-03`` or ``2026`` where the
    photographer knew no more.
    """
    match = _TAKEN.match(photo["datetaken"]) if isinstance(photo.get("datetaken"), str) else None
    if match is None or integer(photo.get("datetakenunknown")) == 1:
        return None
    known = _TAKEN_CHARS.get(integer(photo.get("datetakengranularity")) or 0)
    return taken(f"{match[1]}T{match[2]}"[:known]) if known is not None else None
