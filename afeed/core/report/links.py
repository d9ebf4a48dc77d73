"""The links in a post, and what it calls them."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from afeed.core.item import Item

#: As the sanitiser spells links (:mod:`afeed.core.normalise.text`).
_LINK = re.compile(r'<a href="([^"]*)"[^>]*>(.*?)</a>', re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
#: What tells one page from another to nobody but those who count visitors.
_TRACKING = re.compile(r"(?:utm_\w+|fbclid|gclid|mc_[ce]id|igsh|ref_src)\Z")
_ADDRESS = re.compile(r"(?:https?://|www\.)?[\w.-]+\.\w{2,}(?:[/?#…]|\Z)", re.IGNORECASE)
_LONGEST_TITLE = 120


def links(item: Item) -> dict[str, str | None]:
    """The pages that ``item`` links to, each with the title that it gives it or None.

    Hashtags and mentions lead to people and lists of posts and are no links here, nor is what an item quotes.
    Addresses that differ in nothing but how their visitors are counted are one."""
    found: dict[str, str | None] = {}
    for address, inner in _LINK.findall(item.html):
        shown = " ".join(unescape(_TAG.sub("", inner)).split())
        if shown[:1] in ("#", "@", "＃", "＠"):
            continue
        url = cleaned(unescape(address))
        if url is None or (item.quote is not None and url == cleaned(item.quote.url or "")):
            continue
        title = shown[:_LONGEST_TITLE] if shown and not _ADDRESS.match(shown) else None
        found[url] = found.get(url) or title
    return found


def cleaned(address: str) -> str | None:
    """``address`` without its fragment and what counts visitors; None for what is no web page."""
    try:
        parts = urlsplit(address)
        if parts.scheme.lower() not in ("http", "https") or not parts.netloc:
            return None
        query = parts.query
        if query:
            members = parse_qsl(query, keep_blank_values=True)
            kept = [(name, value) for name, value in members if not _TRACKING.match(name)]
            if len(kept) < len(members):
                query = urlencode(kept)
        return urlunsplit((parts.scheme.lower(), parts.netloc.lower(), parts.path or "/", query, ""))
    except ValueError:
        return None
