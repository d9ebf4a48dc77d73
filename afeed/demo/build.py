"""``python -m afeed.demo.build`` makes ``conference.jsonl``, the demo's recording, from ``day.txt``.

The same script gives the same recording, byte for byte.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from afeed.core.change import EDITED, POSTED, REMOVED, compose, timestamp
from afeed.core.draft import Draft, Posted, Removed, prepare
from afeed.core.item import Author, Item, Media, Quote
from afeed.core.normalise.finder import find
from afeed.core.normalise.text import Markup, Span, render, shortened
from afeed.core.normalise.values import rfc3339
from afeed.demo import PHOTO_PATH, PHOTOS, RECORDING
from afeed.demo.script import Entry, Script, ScriptError, read_script

SCRIPT = Path(__file__).with_name("day.txt")

_MIDNIGHT = datetime(2026, 6, 12, tzinfo=UTC).timestamp()
#: The recording starts when the doors open; what was posted before is there at once, with its own time.
_DOORS = 9 * 3600
_SITE = "https://example.org"
_MENTION = re.compile(r"@([a-z]+)\b")
_SIZE = re.compile(r'<svg [^>]*width="(\d+)" height="(\d+)"')


def _at(seconds: float) -> str:
    """Seconds since midnight as the 24-character time of a change."""
    return timestamp(_MIDNIGHT + round(seconds, 3))


def _whole(seconds: float) -> str:
    return rfc3339(datetime.fromtimestamp(_MIDNIGHT + seconds, UTC))


class _Builder:
    """Turns entries into drafts and remembers those with names."""

    def __init__(self, script: Script) -> None:
        self._people = script.people
        self._named: dict[str, Posted] = {}
        self._count = 0

    def draft(self, entry: Entry, seconds: float) -> tuple[str, Draft]:
        """The type of change that ``entry`` is, and its draft."""
        options = entry.options
        if "remove" in options:
            return REMOVED, Removed(self._named[options["remove"]].item.id)
        if "edit" in options:
            before = self._named[options["edit"]]
            markup = self._markup(entry.text)
            item = msgspec.structs.replace(before.item, text=markup.text, html=markup.html)
            after = Posted(item, str(int(before.version) + 1))
            self._named[options["edit"]] = after
            return EDITED, after
        posted = Posted(self._item(entry, seconds), "1")
        if "id" in options:
            self._named[options["id"]] = posted
        return POSTED, posted

    def _item(self, entry: Entry, seconds: float) -> Item:
        self._count += 1
        options = entry.options
        source = "flickr" if entry.flickr else "x"
        author = self._author(options.get("by", entry.who))
        # Title and description of a photo are paragraphs, as the Flickr source has them.
        markup = self._markup(entry.text.replace("\n", "\n\n", 1) if entry.flickr else entry.text)
        quoted = self._named[options["quote"]].item if "quote" in options else None
        return Item(
            id=f"{source}:demo-{self._count:03d}",
            source=source,
            kind="photo" if entry.flickr else "post",
            author=author,
            text=markup.text,
            html=markup.html,
            created_at=_whole(seconds),
            url=f"{_SITE}/posts/{self._count}",
            lang=entry.lang,
            media=self._media(entry, author, seconds),
            reply_to=self._named[options["re"]].item.id if "re" in options else None,
            shared_by=self._author(entry.who) if "by" in options else None,
            quote=Quote(author=quoted.author, text=quoted.text, html=quoted.html, url=quoted.url)
            if quoted
            else None,
        )

    def _author(self, who: str) -> Author:
        person = self._people[who]
        return Author(
            name=person.name,
            handle=f"{who}.example",
            url=f"{_SITE}/people/{who}",
            avatar=f"{PHOTO_PATH}avatar-{person.avatar}.svg" if person.avatar else None,
        )

    def _media(self, entry: Entry, author: Author, seconds: float) -> tuple[Media, ...]:
        photo = entry.photo
        if photo is None:
            return ()
        size = _SIZE.search((PHOTOS / f"{photo.file}.svg").read_text("utf-8"))
        if size is None:
            raise ScriptError(f"line {entry.line}: {photo.file}.svg does not begin with its width and height")
        url = f"{PHOTO_PATH}{photo.file}.svg"
        return (
            Media(
                type="photo",
                url=url,
                thumb_url=url,
                width=int(size[1]),
                height=int(size[2]),
                alt=photo.alt,
                owner=author.name,
                licence=photo.licence,
                taken_at=_whole(seconds - 90),
            ),
        )

    def _markup(self, text: str) -> Markup:
        """``text`` with its hashtags, people and URLs linked."""
        spans = [_span(found.kind, found.start, found.end, found.value) for found in find(text)]
        for match in _MENTION.finditer(text):
            if match[1] in self._people:
                handle = f"@{match[1]}.example"
                spans.append(Span(match.start(), match.end(), f"{_SITE}/people/{match[1]}", handle, handle))
        return render(text, (span for span in spans if span is not None))


def _span(kind: str, start: int, end: int, value: str) -> Span | None:
    if kind == "hashtag":
        return Span(start, end, f"{_SITE}/tags/{value}")
    if kind == "url":
        return Span(start, end, value, None, shortened(value))
    return None


def _times(script: Script, rng: Random) -> Iterator[tuple[float, Entry]]:
    """Each entry with its second of the day: within a section the pauses are drawn at random and so come in
    bursts and lulls."""
    for section in script.sections:
        pauses = [rng.expovariate(1.0) + 0.05 for _ in range(len(section.entries) + 1)]
        scale = (section.end - section.start) / sum(pauses)
        seconds = float(section.start)
        for pause, entry in zip(pauses, section.entries, strict=False):
            seconds += pause * scale
            yield seconds, entry


def build(script: Script, rng: Random) -> Iterator[bytes]:
    """The lines of the recording."""
    builder = _Builder(script)
    for seconds, entry in _times(script, rng):
        kind, draft = builder.draft(entry, seconds)
        yield compose(prepare(draft), kind, _at(max(seconds, _DOORS))) + b"\n"


def main(argv: list[str] = sys.argv, *, script: Path = SCRIPT, out: Path = RECORDING) -> Any:
    """Write the recording; the exit status."""
    if argv[1:]:
        return f"usage: python -m afeed.demo.build (reads {script.name}, writes {out.name})"
    with script.open(encoding="utf-8") as lines:
        recording = list(build(read_script(lines), Random(script.name)))  # noqa: S311 - no secret
    out.write_bytes(b"".join(recording))
    print(f"{out.name}: {len(recording)} changes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
