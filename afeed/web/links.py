"""Which addresses from an item may stand in a page.  Pure.

Sources have cleaned them already; this is the second look, at the place where an oversight would hurt.
"""

from __future__ import annotations

import re

#: A scheme and a host, nothing a browser would silently repair (it drops control characters and turns
#: backslashes into slashes).
_ABSOLUTE = re.compile(r"https?://[^\s/\\?#\x00-\x20][^\s\\\x00-\x20\x7f]*\Z", re.IGNORECASE)

#: A path on this server, such as the demo's photos; ``//host`` would lead elsewhere.
_ROOTED = re.compile(r"/(?![/\\])[^\s\\\x00-\x20\x7f]*\Z")

_LOOPBACK = re.compile(r"http://127\.0\.0\.1(?:[:/]|\Z)", re.IGNORECASE)

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8}){0,3}\Z")

#: What upstreams say when there is no language to tell: undetermined, no linguistic content, multiple, and
#: X's own codes for posts of hashtags, links, media and so on.
_NO_LANGUAGE = frozenset(
    {"und", "zxx", "mul", "mis", "art", "qam", "qct", "qht", "qme", "qst", "qid", "qmm", "qmi", "qxx"}
)


def page_url(url: str | None) -> str | None:
    """``url`` if it may be linked to: http, https, or a path on this server; else None."""
    if url is None or not (_ABSOLUTE.match(url) or _ROOTED.match(url)):
        return None
    return url


def image_url(url: str | None) -> str | None:
    """``url`` if an image may come from there, over TLS even where it says http, as the pages' policy demands;
    a simulator on this machine has none."""
    allowed = page_url(url)
    if allowed is None or allowed[:7].lower() != "http://" or _LOOPBACK.match(allowed):
        return allowed
    return "https://" + allowed[7:]


def language(tag: str | None) -> str | None:
    """``tag`` if it is a language that a browser understands, else None."""
    if tag is None or tag.lower() in _NO_LANGUAGE or not _LANGUAGE.match(tag):
        return None
    return tag
