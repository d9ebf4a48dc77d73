"""An item as HTML: the one place that knows how, for first page loads and live changes alike.

A fragment is the same for every viewer.  It holds no word of any language (marks such as "shared by" are
added by the stylesheet), no button that depends on who looks, and no URL that is not http, https or on this
server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from functools import cache, lru_cache
from typing import Any, NamedTuple
from zlib import crc32

import attrs
from jinja2 import Template
from markupsafe import Markup
from msgspec import structs
from twisted.logger import Logger

from afeed.core.crowding import brought_by
from afeed.core.item import Author, Item, Media, Quote
from afeed.core.search.wish import Marker
from afeed.media.addresses import shown_url
from afeed.web.highlight import marked
from afeed.web.links import language, page_url
from afeed.web.templating import environment

#: Where a picture is shown (:func:`afeed.media.addresses.shown_url`).
Shown = Callable[[str | None], str | None]

#: How many fragments are kept: some screens full of the newest items, which every page load shows again.
KEPT = 1024

#: How many colours the stylesheet has for the initial that stands in for an avatar (``tint-0`` ...).
TINTS = 8

#: Up to how many characters a text counts as short, and above how many as long.
SHORT, LONG = 90, 280

#: How sources are called where that is not their own name with a capital letter.
_BADGES = {"x": "X", "push": "Web"}


@attrs.frozen(kw_only=True)
class _Person:
    name: str
    handle: str | None
    url: str | None
    avatar: str | None
    initial: str
    tint: int


@attrs.frozen(kw_only=True)
class _Picture:
    """``image`` is what to show (None: nothing can be shown), ``url`` what a click leads to."""

    type: str
    image: str | None
    url: str | None
    width: int | None
    height: int | None
    alt: str
    credit: str


class TalkLabel(NamedTuple):
    """What a talk is called, and the page that is about it."""

    title: str
    url: str


#: What is left of an item that the template fails on: its id and its escaped text.
_PLAIN = Markup('<article class="item" id="item-{}"><div class="body" dir="auto"><p>{}</p></div></article>')


class Fragments:
    """Renders the items of one event, whose ``timezone`` gives the times their first, plain form; one that
    ``keeps_media`` shows pictures from here alone."""

    _log = Logger()

    def __init__(self, timezone: tzinfo = UTC, *, keeps_media: bool = False) -> None:
        self._timezone = timezone
        self._shown = shown_url(keeps_media)
        #: By id; None where the event has no schedule, so that no post leaves a place for a talk.
        self._talks: Mapping[str, TalkLabel] | None = None
        self._template = _template()
        self._kept: Callable[[Item], str] = lru_cache(maxsize=KEPT)(self._render)

    def render(self, item: Item) -> str:
        """The item's ``<article id="item-<id>">``; never raises, because one odd item must not cost anybody
        the others."""
        try:
            return self._kept(item)
        except Exception:
            self._log.failure("{id} cannot be shown as it should be; its text is shown alone", id=item.id)
            return str(_PLAIN.format(item.id, item.text))

    def know(self, talks: Mapping[str, TalkLabel]) -> None:
        """These are the talks from now on.  Everything is rendered anew."""
        self._talks = talks
        self._kept = lru_cache(maxsize=KEPT)(self._render)

    def clear(self) -> None:
        """Keep nothing that was rendered."""
        self._kept = lru_cache(maxsize=KEPT)(self._render)

    def label(self, talk: str | None) -> str:
        """What an item says of the talk it is under: a ``<p class="filed">``, empty where there is nothing to
        say, and nothing at all where the event has no schedule."""
        return str(_labels().label(self._label(talk))) if self._talks is not None else ""

    def _label(self, talk: str | None) -> TalkLabel | None:
        return self._talks.get(talk) if self._talks is not None and talk is not None else None

    def render_marked(self, item: Item, marker: Marker) -> str:
        """The same with what ``marker`` looks for marked in the text."""
        return self.render(structs.replace(item, html=marked(item.html, marker)))

    def _render(self, item: Item) -> str:
        return self._template.render(
            item=item,
            filed=self._talks is not None,
            talk=self._label(item.talk),
            author=_person(item.author, self._shown),
            shared_by=None if item.shared_by is None else _person(item.shared_by, self._shown),
            by=_by(item),
            badge=badge(item.source),
            url=page_url(item.url),
            time=plain_time(item.created_at, self._timezone),
            lang=language(item.lang),
            length=_length(item.text),
            html=Markup(item.html),  # noqa: S704 - sanitised where the item was made
            pictures=[_picture(media, item, self._shown) for media in item.media],
            quote=None if item.quote is None else _quoted(item.quote, self._shown),
        )


def badge(source: str) -> str:
    """How a source is called."""
    return _BADGES.get(source) or source.capitalize()


@cache
def _template() -> Template:
    """Compiled once, for all events."""
    return environment().get_template("item.html")


@cache
def _labels() -> Any:
    """The macros of the label, compiled once as well."""
    return environment().get_template("talk_label.html").module


def _by(item: Item) -> str | None:
    """A short name of whoever brought it, for the wall's script, which counts how often they come up."""
    author = brought_by(item)
    return None if author is None else f"{crc32(author.encode('utf-8', 'replace')):08x}"


def _person(author: Author, shown: Shown) -> _Person:
    name = author.name.strip() or author.handle or "?"
    initial = next((character for character in name if character.isalnum()), name[0])
    return _Person(
        name=name,
        handle=author.handle,
        url=page_url(author.url),
        avatar=shown(author.avatar),
        initial=initial.upper()[:1],
        tint=crc32((author.handle or name).encode("utf-8", "replace")) % TINTS,
    )


def _picture(media: Media, item: Item, shown: Shown) -> _Picture:
    still = media.type == "photo"
    image = shown(media.thumb_url) or (shown(media.url) if still else None)
    sized = media.width and media.height and media.width > 0 and media.height > 0
    return _Picture(
        type=media.type,
        image=image,
        url=shown(media.url) if still else page_url(item.url) or page_url(media.url),
        width=media.width if sized else None,
        height=media.height if sized else None,
        alt=media.alt or item.author.name,
        credit=" · ".join(filter(None, (media.owner, media.licence))) if media.licence else "",
    )


def _length(text: str) -> str:
    """A class for very short and long texts: the projector view sets them larger and smaller."""
    return " short" if len(text) <= SHORT else " long" if len(text) > LONG else ""


def _quoted(quote: Quote, shown: Shown) -> dict[str, object]:
    return {
        "author": _person(quote.author, shown),
        "url": page_url(quote.url),
        "html": Markup(quote.html),  # noqa: S704 - sanitised where the item was made
    }


def plain_time(created_at: str, timezone: tzinfo) -> str:
    """``2026-11-21 09:00`` at the event; what is no time, or none there, stays as it is."""
    try:
        return datetime.fromisoformat(created_at).astimezone(timezone).strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError):
        return created_at
