"""What was searched for, marked in the text that was found."""

from __future__ import annotations

import re
from html import unescape

from markupsafe import escape

from afeed.core.search.wish import Marker

#: A tag of sanitised HTML: within one, quotation marks enclose what may be anything.
_TAG = re.compile(r'(<(?:[^>"]|"[^"]*")*>)')

#: So many characters of one item are looked at: a page of fifty posts as long as posts may be would keep
#: everybody waiting for seconds.
LOOKED_AT = 4000


def marked(html: str, marker: Marker) -> str:
    """``html``, which is sanitised, with what was asked for in ``<mark>``.  Only text between tags is
    looked at, the first :data:`LOOKED_AT` characters of it, and it is escaped anew: nothing in it can become a
    tag."""
    parts = _TAG.split(html)
    left = LOOKED_AT
    for number in range(0, len(parts), 2):
        text = unescape(parts[number])
        pieces = marker.pieces(text[:left]) if text and left else []
        if any(hit for _, hit in pieces):
            parts[number] = "".join(
                f"<mark>{escape(piece)}</mark>" if hit else str(escape(piece))
                for piece, hit in [*pieces, (text[left:], False)]
            )
        left = max(left - len(text), 0)
    return "".join(parts)
