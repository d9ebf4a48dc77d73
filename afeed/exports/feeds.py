"""What both kinds of web feeds say of an item."""

from __future__ import annotations

import re
from html import escape
from mimetypes import guess_type
from urllib.parse import urljoin, urlsplit

from afeed.core.item import Item, Media
from afeed.exports.subject import Subject
from afeed.media.addresses import kept_url

#: A post has no title; feed readers show the beginning of it in their lists.
_TITLE_CHARS = 80
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8}){0,3}\Z")
#: What XML 1.0 cannot hold, in whatever form (section 2.2).
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def storable(text: str) -> str:
    """``text`` without the characters that XML and UTF-8 have no form for."""
    return _NO_XML.sub("\ufffd", text)


def is_language(tag: str) -> bool:
    """Whether ``tag`` is a language as feeds name them (BCP 47)."""
    return _LANGUAGE.match(tag) is not None


def title(item: Item) -> str:
    """The beginning of its text, to the end of a word; who it is by where it has none."""
    text = " ".join(item.text.split())
    if not text:
        return item.author.name
    if len(text) <= _TITLE_CHARS:
        return text
    cut = text[: _TITLE_CHARS - 1]
    return (cut.rpartition(" ")[0] or cut) + "…"


def content(item: Item, subject: Subject) -> str:
    """The item as HTML that stands for itself: with what it quotes, and its pictures."""
    parts = [item.html]
    if item.quote is not None:
        who = escape(item.quote.author.name)
        parts.append(f"<blockquote><p>{who}:</p>{item.quote.html}</blockquote>")
    if not item.sensitive:
        parts += [_picture(medium, subject) for medium in item.media]
    return "".join(parts)


def _picture(medium: Media, subject: Subject) -> str:
    still = medium.type == "photo"
    url = medium_url(medium, subject)
    alt = escape(medium.alt or "")
    shown = picture(medium.thumb_url, subject) if medium.thumb_url else url if still else None
    inner = f'<img src="{escape(shown)}" alt="{alt}">' if shown else alt or escape(url)
    return f'<p><a href="{escape(url)}">{inner}</a></p>'


def absolute(url: str, subject: Subject) -> str:
    """An address that is good everywhere: the pictures of a rehearsal are on this server."""
    return urljoin(subject.public_url + "/", url)


def picture(url: str, subject: Subject) -> str:
    """Where the picture at ``url`` is shown: at this server's own address, if that keeps it."""
    kept = kept_url(url) if subject.keeps_media else None
    return absolute(kept or url, subject)


def medium_url(medium: Media, subject: Subject) -> str:
    """Where a photo or film is."""
    return (picture if medium.type == "photo" else absolute)(medium.url, subject)


def media_type(medium: Media) -> str:
    """The type that feeds have to name, guessed from the address."""
    guessed = guess_type(urlsplit(medium.url).path)[0]
    return guessed or ("image/jpeg" if medium.type == "photo" else "video/mp4")
