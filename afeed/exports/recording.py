"""JSON Lines: each item as it is in the protocol.  A source of the type ``replay`` plays such a file."""

from __future__ import annotations

from afeed.core.item import encode_item
from afeed.interfaces import PageItem


class Recording:
    """Writes one line for each item."""

    def begin(self) -> bytes:
        return b""

    def item(self, found: PageItem) -> bytes:
        """The item as compact JSON, and a line feed."""
        return encode_item(found.item) + b"\n"

    def end(self) -> bytes:
        return b""
