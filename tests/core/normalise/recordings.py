"""Sends every recording through its reader and tells what came out: ``python -m
tests.core.normalise.recordings``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from afeed.core.draft import Draft, Posted, prepare
from afeed.core.errors import BadInput
from afeed.core.normalise import flickr, x
from tests.core.normalise import corpus


class Outcome(NamedTuple):
    """What one file became: what was read, the drafts, and why others are missing or were mended."""

    file: str
    read: int
    drafts: list[Draft]
    reasons: Counter[str]

    def row(self) -> str:
        posted = [draft for draft in self.drafts if isinstance(draft, Posted)]
        items = len({draft.item.id for draft in posted})
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(self.reasons.items()))
        removals = len(self.drafts) - len(posted)
        return f"{self.file:<52} {self.read:>6} {len(posted):>6} {items:>6} {removals:>3}  {why}"


HEADING = f"{'file':<52} {'read':>6} {'posted':>6} {'items':>6} {'del':>3}  why not, or how mended"


def collect(file: str, found: Iterable[tuple[Iterable[Draft], Iterable[str]]]) -> Outcome:
    """What ``found``, the (drafts, reasons) of each piece, amounts to."""
    drafts: list[Draft] = []
    reasons: Counter[str] = Counter()
    read = 0
    for some, why in found:
        read += 1
        drafts.extend(some)
        reasons.update(why)
    for draft in drafts:
        prepare(draft)
    return Outcome(file, read, drafts, reasons)


def read_line(line: bytes) -> tuple[Iterable[Draft], list[str]]:
    """The drafts of a line of X's stream, and why there are no more or how they were mended."""
    message = x.read_message(line)
    control = [f"control:{message.control.kind}"] if message.control is not None else []
    return message.drafts, [*message.dropped, *message.warnings, *control]


def _x_page(body: bytes) -> tuple[Iterable[Draft], list[str]]:
    try:
        page = x.read_page(body)
    except BadInput:
        return (), ["not posts"]
    return page.drafts, [*page.dropped, *page.warnings, *(f"error:{error[:20]}" for error in page.errors)]


def _flickr_page(body: bytes) -> tuple[Iterable[Draft], list[str]]:
    try:
        page = flickr.read_page(body)
    except flickr.Failure as failure:
        return (), [f"failure {failure.code}{' (retry)' if failure.retry else ''}"]
    except BadInput:
        return (), ["not photos"]
    return page.drafts, list(page.dropped)


def _stream(path: Path) -> Iterator[bytes]:
    """Lines; a file that is one tweet laid out over many lines is one."""
    return corpus.lines(path)


def _whole(path: Path) -> Iterator[bytes]:
    yield path.read_bytes()


def _bodies(path: Path) -> Iterator[bytes]:
    return (body for _, body in corpus.exchanges(path))


def _rtweet(path: Path) -> Iterator[bytes]:
    return (corpus.from_rtweet(json.loads(line)) for line in corpus.lines(path))


#: Patterns of files, how to cut them, and what reads a piece.
PLAN: tuple[
    tuple[str, Callable[[Path], Iterator[bytes]], Callable[[bytes], tuple[Iterable[Draft], list[str]]]], ...
] = (
    ("twitter-conference/*.jsonl.gz", _rtweet, read_line),
    ("twitter-v1/stream-*", _stream, read_line),
    ("twitter-v1/*search*.json", _whole, _x_page),
    ("twitter-v1/single/*.json", _whole, _x_page),
    ("twitter-v1/*.jsonl.gz", _bodies, _x_page),
    ("twitter-v2/search-page.json", _whole, _x_page),
    ("twitter-v2/*.jsonl.gz", _bodies, _x_page),
    ("flickr/search-*.json", _whole, _flickr_page),
    ("flickr/*.jsonl.gz", _bodies, _flickr_page),
)


def outcomes() -> Iterator[Outcome]:
    """One outcome for each recording there is."""
    for pattern, cut, read in PLAN:
        for path in sorted(corpus.FOLDER.glob(pattern)):
            yield collect(path.relative_to(corpus.FOLDER).as_posix(), (read(piece) for piece in cut(path)))


def main() -> None:
    print(HEADING)
    for outcome in outcomes():
        print(outcome.row())


if __name__ == "__main__":
    main()
