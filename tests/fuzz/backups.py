"""Target: the lines of a backup, as ``afeed restore`` reads them."""

from __future__ import annotations

import re
from collections.abc import Hashable
from contextlib import ExitStack
from functools import cache
from hashlib import sha256

from afeed.core.backup import Beginning, Closing, Composer, Hole, Opening, parse
from afeed.core.change import Change
from afeed.core.cursor import MAX_SEQ
from afeed.core.errors import BadBackup
from tests.core.test_backup import beginning, composed
from tests.fuzz.engine import Check, Target
from tests.livelog.samples import posted

_SUM = re.compile(rb'"sha256":"[0-9a-f]{64}"')
_NUMBER = re.compile(r"[0-9]+")


def _check(stack: ExitStack) -> Check:
    def check(case: bytes) -> Hashable:
        # Without a good sum hardly anything else would ever be looked at to its end.
        lines = _summed(case).splitlines(keepends=True) if len(case) % 8 else case.splitlines(keepends=True)
        try:
            parts = list(parse(lines))
        except BadBackup as refusal:
            assert len(str(refusal).splitlines()) == 1 and len(str(refusal)) < 1000, refusal
            return _NUMBER.sub("", str(refusal))[:80]
        opening, *rest, closing = parts
        assert isinstance(opening, Opening) and isinstance(closing, Closing)
        assert [part.event for part in rest if isinstance(part, Beginning)] == list(opening.events)
        assert list(parse(_again(parts))) == [*parts[:-1], _closed(parts)]
        seqs = [part.seq for part in rest if isinstance(part, Change)]
        assert all(0 < seq <= MAX_SEQ for seq in seqs) and sum(closing.changes.values()) == len(seqs)
        return len(opening.events), min(len(seqs), 4)

    return check


def _summed(case: bytes) -> bytes:
    """``case`` with the sum of its lines in its last line, where that has one."""
    at = case.rstrip(b"\n").rfind(b"\n") + 1
    digest = sha256(case[:at]).hexdigest().encode()
    return case[:at] + _SUM.sub(b'"sha256":"' + digest + b'"', case[at:])


def _again(parts: list[Opening | Beginning | Change | Closing]) -> list[bytes]:
    """What was read, written once more."""
    lines: list[bytes] = []
    _write(parts, lines)
    return b"".join(lines).splitlines(keepends=True)


def _closed(parts: list[Opening | Beginning | Change | Closing]) -> Closing:
    return _write(parts, [])


def _write(parts: list[Opening | Beginning | Change | Closing], lines: list[bytes]) -> Closing:
    opening, *rest, _ = parts
    assert isinstance(opening, Opening)
    composer = Composer(lines.append, opening)
    for part in rest:
        if isinstance(part, Beginning):
            composer.begin(part)
        elif isinstance(part, Change):
            composer.add([part])
    return composer.close()


@cache
def _backups() -> tuple[bytes, ...]:
    holes = (Hole(1, 2, "k3f9", "2026-11-21T17:00:00.000Z"), Hole(5, 6, "k3f9", "2026-11-21T17:00:00.000Z"))
    two = (beginning("one", 2), [posted(1), posted(2)]), (beginning("two", 1), [posted(1)])
    return tuple(
        b"".join(composed(*events))
        for events in (
            two,
            ((beginning("one", 6, *holes), [posted(3), posted(4)]),),
            ((beginning("one", 0), []),),
            (),
        )
    )


_WORDS = (
    b'{"seq":1,"at":"', b'{"seq":2,', b'{"seq":9007199254740993,', b'"head":0', b'"head":3',
    b'"events":["one"]',
    b'"events":[]', b'"event":"two"', b'"epoch":"a1"',
    b'{"end":"afeed-backup","changes":{"one":2},"sha256":"',
    b'"holes":[[1,1,"a","b"]]', b'{"first":1,"last":2,"epoch":"a","at":"b"}', b'"version":2', b'"one":2',
    b"}\n{", b"\n",
    b"[" * 1500, b'"positions":{}', b'"ancestors":[]', b'"type":"item.removed"', b'"changes":{}',
)  # fmt: skip

BACKUPS = (Target("backup", "lines of a backup", _backups, _check, _WORDS, sound=0.8),)
