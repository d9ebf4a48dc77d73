"""What kind of picture some bytes are: by what they begin with, never by what somebody says of them.

Only kinds that hold nothing but a picture are known: an SVG can run scripts and ask for other files.  Nothing
is decoded, so no picture that unpacks to gigabytes does anything here.
"""

from __future__ import annotations

#: Each kind, as the end of a file's name, with its media type.
KINDS = {
    "avif": "image/avif",
    "gif": "image/gif",
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
}

#: So many bytes at the beginning tell which.
START = 64

_AVIF_BRANDS = frozenset({b"avif", b"avis"})


def kind_of(start: bytes) -> str | None:
    """The kind of what begins with ``start`` (:data:`START` bytes, or all there are), None for anything that is
    no picture."""
    if start.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if start.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "webp"
    if start[4:8] == b"ftyp":
        # ISO/IEC 14496-12, 4.3: a major brand, its version, then the brands that it is compatible with.
        size = min(int.from_bytes(start[:4]), len(start))
        brands = {start[8:12], *(start[place : place + 4] for place in range(16, size - 3, 4))}
        if brands & _AVIF_BRANDS:
            return "avif"
    return None
