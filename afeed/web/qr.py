"""The code by which a camera finds a page."""

from __future__ import annotations

import io
from functools import cache

import segno

from afeed.web.assets import Asset, compressed, tag_of

#: Dark on light in both themes, as cameras want it.
_DARK, _LIGHT = "#14181c", "#ffffff"


@cache
def code(address: str) -> Asset:
    """``address`` as a QR code in SVG, of no size of its own, with the margin that cameras need (ISO/IEC
    18004: four modules).  With a quarter of it hidden, by a head in the row before, it can still be read."""
    drawn = io.BytesIO()
    made = segno.make(address, error="q", micro=False)
    made.save(drawn, kind="svg", border=4, dark=_DARK, light=_LIGHT, omitsize=True, xmldecl=False)
    body = drawn.getvalue()
    return Asset(
        body=body, gzipped=compressed(body), content_type="image/svg+xml; charset=utf-8", tag=tag_of(body)
    )
