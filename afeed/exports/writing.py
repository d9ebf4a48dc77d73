"""The formats by name, and what they have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import attrs

from afeed.exports.atom import Atom
from afeed.exports.jsonfeed import JsonFeed
from afeed.exports.recording import Recording
from afeed.exports.sheet import Sheet
from afeed.exports.subject import Subject
from afeed.interfaces import PageItem


class Writer(Protocol):
    """Writes items one after the other."""

    def begin(self) -> bytes:
        """What comes before the first item."""

    def item(self, found: PageItem) -> bytes:
        """One item in its present state."""

    def end(self) -> bytes:
        """What comes after the last."""


@attrs.frozen
class Format:
    """``make(subject, updated)`` gives a writer; ``updated`` is the time (RFC 3339) of the newest that is in
    the export."""

    content_type: str
    make: Callable[[Subject, str], Writer]


#: By the names that ``afeed export --format`` knows.
FORMATS: Mapping[str, Format] = {
    "jsonl": Format("application/x-ndjson", lambda subject, updated: Recording()),
    "csv": Format("text/csv; charset=utf-8; header=present", lambda subject, updated: Sheet(subject)),
    "atom": Format("application/atom+xml; charset=utf-8", Atom),
    "json": Format("application/feed+json", JsonFeed),
}
