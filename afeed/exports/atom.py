"""Atom (RFC 4287)."""

from __future__ import annotations

import io
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

import afeed
from afeed.core.item import Author
from afeed.exports.feeds import absolute, content, is_language, media_type, medium_url, storable, title
from afeed.exports.subject import Subject
from afeed.interfaces import PageItem

_NAMESPACE = "http://www.w3.org/2005/Atom"
_PATH = "/atom.xml"


class Atom:
    """Writes a feed and an entry for each item.  ``updated`` is an RFC 3339 time."""

    def __init__(self, subject: Subject, updated: str) -> None:
        self._subject = subject
        self._updated = updated
        self._out = io.BytesIO()
        self._xml = XMLGenerator(self._out, "utf-8", short_empty_elements=True)

    def begin(self) -> bytes:
        self._xml.startDocument()
        self._start("feed", xmlns=_NAMESPACE)
        self._text("id", self._subject.feed_id)
        self._text("title", self._subject.title)
        self._text("updated", self._updated)
        self._link("self", self._subject.home + _PATH, type="application/atom+xml")
        self._link("alternate", self._subject.home, type="text/html")
        self._text("generator", "afeed", version=afeed.__version__)
        return self._written()

    def item(self, found: PageItem) -> bytes:
        """An entry.  It was updated when it was written: sources do not tell when it was edited."""
        subject, item = self._subject, found.item
        attributes = {"xml:lang": item.lang} if item.lang and is_language(item.lang) else {}
        self._start("entry", **attributes)
        self._text("id", subject.item_id(item.id))
        self._text("title", title(item))
        self._text("published", item.created_at)
        self._text("updated", item.created_at)
        self._author(item.author)
        if item.shared_by is not None:
            self._author(item.shared_by, "contributor")
        self._link("alternate", subject.permalink(found.seq), type="text/html")
        if item.url is not None:
            self._link("via", absolute(item.url, subject))
        for medium in item.media:
            self._link("enclosure", medium_url(medium, subject), type=media_type(medium))
        if item.talk is not None:
            self._empty("category", term=item.talk)
        self._text("content", content(item, subject), type="html")
        self._xml.endElement("entry")
        return self._written()

    def end(self) -> bytes:
        self._xml.endElement("feed")
        self._xml.endDocument()
        return self._written() + b"\n"

    def _author(self, author: Author, role: str = "author") -> None:
        self._start(role)
        self._text("name", f"{author.name} (@{author.handle})" if author.handle else author.name)
        if author.url is not None:
            self._text("uri", absolute(author.url, self._subject))
        self._xml.endElement(role)

    def _text(self, name: str, text: str, **attributes: str) -> None:
        self._start(name, **attributes)
        self._xml.characters(storable(text))
        self._xml.endElement(name)

    def _link(self, rel: str, href: str, **attributes: str) -> None:
        self._empty("link", rel=rel, href=href, **attributes)

    def _empty(self, name: str, **attributes: str) -> None:
        self._start(name, **attributes)
        self._xml.endElement(name)

    def _start(self, name: str, **attributes: str) -> None:
        given = AttributesImpl({key: storable(value) for key, value in attributes.items()})
        self._xml.startElement(name, given)

    def _written(self) -> bytes:
        found = self._out.getvalue()
        self._out.seek(0)
        self._out.truncate()
        return found
