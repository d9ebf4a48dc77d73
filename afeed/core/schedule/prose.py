"""Descriptions: plain text, Markdown or HTML as the export has it, and safe HTML for a page."""

from __future__ import annotations

import re

import nh3

from afeed.core.normalise.characters import calm, line_ends, scrub
from afeed.core.normalise.text import REL, SCHEMES, plain_to_html
from afeed.core.normalise.urls import link_url
from afeed.core.schedule.limits import MAX_PROSE_CHARS

#: What a description may consist of.  No headings: the page has its own.
TAGS = {"p", "br", "a", "em", "strong", "i", "b", "code", "pre", "blockquote", "ul", "ol", "li"}

_MARKUP = re.compile(
    r"<(?:p|br|a|em|strong|i|b|code|pre|blockquote|ul|ol|li|div|span|h[1-6])\b[^<>]*>", re.IGNORECASE
)
_SEPARATED = re.compile(r"</(?:div|h[1-6]|tr)>", re.IGNORECASE)


def prose(text: str) -> str:
    """``text`` as sanitised HTML; "" for nothing.  Relative links are dropped: they would lead here."""
    text = text[:MAX_PROSE_CHARS].strip()
    if not text:
        return ""
    if _MARKUP.search(text) is None:
        return plain_to_html(text)
    body = text if "<p" in text.lower() or "<br" in text.lower() else line_ends(text).replace("\n", "<br>")
    clean = nh3.clean(
        scrub(_SEPARATED.sub("<br>", body)),
        tags=TAGS,
        attributes={"a": {"href"}},
        attribute_filter=lambda tag, attribute, value: link_url(value) if attribute == "href" else value,
        url_schemes=SCHEMES,
        link_rel=REL,
    )
    return calm(scrub(clean)).strip()
