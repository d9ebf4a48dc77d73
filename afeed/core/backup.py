"""The format of a backup: lines of JSON, read and written without any I/O.

The first line says what the file is (:class:`Opening`).  Then, for every event, one line says where it stands
(:class:`Beginning`) and one line for each change follows, as clients see it and in order; numbers jump only
over the event's holes.  Then comes what its log holds back, a line for each item (:class:`HeldBack`).  The last
line (:class:`Closing`) counts the changes and has the SHA-256 of all lines before it.  ``docs/operations.rst``
shows the lines; the file is compressed by whoever writes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256

import msgspec

from afeed.core.change import STORED_AT_LENGTH, Change, milliseconds
from afeed.core.cursor import MAX_SEQ, Ancestor
from afeed.core.errors import BadBackup
from afeed.core.item import Item

FORMAT = "afeed-backup"
#: Format 1 had nothing that is held back, and no rows.
VERSION = 2

#: No line of a sound backup comes near this: a change has at most some 100 KB.
LONGEST_LINE = 16 * 1024 * 1024

_SLUG = re.compile(r"[a-z0-9-]{1,64}\Z")
_EPOCH = re.compile(r"[a-z0-9]{1,16}\Z")
_SEQ = re.compile(rb'\{"seq":([1-9][0-9]{0,15}),')


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """``created`` is an RFC 3339 time, ``afeed`` the version that wrote it, ``events`` the slugs in the order
    in which they follow."""

    format: str = FORMAT
    version: int = VERSION
    created: str
    afeed: str
    events: tuple[str, ...]


class Hole(msgspec.Struct, frozen=True):
    """A range of seqs, inclusive, that neither log nor archive has any more: noticed ``at`` that time, in
    ``epoch``."""

    first: int
    last: int
    epoch: str
    at: str


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """Where an event stands: changes 1 to ``head`` of ``epoch`` follow, without those of ``holes``.
    ``positions`` are how far its sources have read upstream."""

    event: str
    epoch: str
    head: int
    ancestors: tuple[Ancestor, ...]
    holes: tuple[Hole, ...]
    positions: dict[str, str]


class HeldBack(msgspec.Struct, frozen=True, kw_only=True):
    """An item that is not to be shown before somebody says so: ``held`` is its id, the others are as in
    :class:`~afeed.core.draft.Held`; held since ``at``, and ``stopped`` when an organiser said no."""

    held: str
    version: str
    reason: str
    until: str | None
    at: str
    stopped: bool
    item: Item


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row of what is kept beside the log: ``table`` and ``values`` are named as in the archive's database;
    bytes are base64."""

    table: str
    values: dict[str, str | int | float | bool | None]


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """``changes`` counts those of each event, ``rows`` those of each table that has any; ``sha256`` is that of
    all lines before this one, line feeds included, in hexadecimal."""

    end: str = FORMAT
    changes: dict[str, int]
    rows: dict[str, int] = {}
    sha256: str


#: What msgspec raises; it does not translate what it says of bytes that are not UTF-8, or nested too deep.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_encode = msgspec.json.Encoder().encode
_opening = msgspec.json.Decoder(Opening)
_beginning = msgspec.json.Decoder(Beginning)
_held = msgspec.json.Decoder(HeldBack)
_row = msgspec.json.Decoder(Row)
_closing = msgspec.json.Decoder(Closing)


class Composer:
    """Hands the lines of a backup to ``write``, in the order in which its methods are called."""

    def __init__(self, write: Callable[[bytes], object], opening: Opening) -> None:
        self._write = write
        self._digest = sha256()
        self._counts: dict[str, int] = {}
        self._rows: dict[str, int] = {}
        self._event = ""
        self._put(_encode(opening) + b"\n")

    def begin(self, beginning: Beginning) -> None:
        """The changes of this event follow."""
        self._event = beginning.event
        self._counts[self._event] = 0
        self._put(_encode(beginning) + b"\n")

    def add(self, changes: Iterable[Change]) -> None:
        """The next changes of the event that was begun last."""
        lines = [change.json + b"\n" for change in changes]
        self._counts[self._event] += len(lines)
        self._put(b"".join(lines))

    def hold(self, held: HeldBack) -> None:
        """The next of what that event holds back, behind its changes."""
        self._put(_encode(held) + b"\n")

    def row(self, row: Row) -> None:
        """What is kept beside the log, once all events are there."""
        self._rows[row.table] = self._rows.get(row.table, 0) + 1
        self._put(_encode(row) + b"\n")

    def close(self) -> Closing:
        """The end; nothing may follow."""
        closing = Closing(changes=self._counts, rows=self._rows, sha256=self._digest.hexdigest())
        self._write(_encode(closing) + b"\n")
        return closing

    def _put(self, lines: bytes) -> None:
        self._digest.update(lines)
        self._write(lines)


def parse(lines: Iterable[bytes]) -> Iterator[Opening | Beginning | Change | HeldBack | Row | Closing]:
    """What the ``lines`` of a backup say, in order, each line with its line feed.

    Raises :class:`~afeed.core.errors.BadBackup` at the first thing that is wrong.  Only who has been given the
    :class:`Closing`, and then the end, knows that the backup is whole.
    """
    numbered = enumerate(lines, 1)
    digest = sha256()
    opening = _open(next(numbered, (1, b""))[1], digest.update)
    yield opening
    event: _Event | None = None
    expected = list(opening.events)
    counts: dict[str, int] = {}
    rows: dict[str, int] = {}
    for number, line in numbered:
        if not line.endswith(b"\n"):
            raise BadBackup(f"the backup ends within line {number}: it is not whole")
        seq = _SEQ.match(line)
        try:
            if seq is not None:
                if event is None:
                    raise BadBackup(f"line {number} of the backup is a change before any event")
                change = _change(int(seq[1]), b"{" + line[seq.end() : -1])
                event.take(change.seq)
                counts[event.slug] += 1
                digest.update(line)
                yield change
                continue
            if event is not None:
                event.end()
            if line.startswith(b'{"held":'):
                held = _hold(line, event)
                digest.update(line)
                yield held
                continue
            if line.startswith(b'{"table":'):
                if expected:
                    raise BadBackup(f"{expected[0]} is missing before what belongs to no log")
                event = None
                row = _row.decode(line)
                rows[row.table] = rows.get(row.table, 0) + 1
                digest.update(line)
                yield row
                continue
            if line.startswith(b'{"end":'):
                closing = _closing.decode(line)
                _check_end(closing, expected, counts, rows, digest.hexdigest())
                yield closing
                break
            beginning = _begin(line, expected)
        except (*_UNREADABLE, BadBackup) as error:
            raise BadBackup(f"line {number} of the backup is wrong: {error}") from error
        digest.update(line)
        event = _Event(beginning)
        counts[beginning.event] = 0
        yield beginning
    else:
        raise BadBackup("the backup has no last line: it is not whole")
    if next(numbered, None) is not None:
        raise BadBackup("something follows the last line of the backup")


class _Event:
    """Checks the numbers of one event's changes."""

    def __init__(self, beginning: Beginning) -> None:
        self.slug = beginning.event
        self._head = beginning.head
        self._skips = {hole.first: hole.last for hole in beginning.holes}
        self._next = 1

    def take(self, seq: int) -> None:
        self._skip()
        if seq != self._next or seq > self._head:
            raise BadBackup(f"{self.slug} goes on with change {seq}, where {self._next} was due")
        self._next += 1

    def end(self) -> None:
        self._skip()
        if self._next != self._head + 1:
            raise BadBackup(f"{self.slug} ends before change {self._next}, though it has {self._head}")

    def _skip(self) -> None:
        while self._next in self._skips:
            self._next = self._skips.pop(self._next) + 1


def _open(line: bytes, digest: Callable[[bytes], None]) -> Opening:
    try:
        opening = _opening.decode(line)
    except _UNREADABLE:
        raise BadBackup("this is no backup of afeed") from None
    if opening.format != FORMAT:
        raise BadBackup("this is no backup of afeed")
    if not 1 <= opening.version <= VERSION:
        raise BadBackup(
            f"the backup has format {opening.version}, and this afeed knows {VERSION} at most: use "
            f"the afeed that wrote it ({opening.afeed}) or a newer one"
        )
    digest(line)
    return opening


def _begin(line: bytes, expected: list[str]) -> Beginning:
    found = _beginning.decode(line)
    if not expected or found.event != expected.pop(0) or not _SLUG.match(found.event):
        raise BadBackup("it begins another event than the first line says")
    epochs = [found.epoch, *(ancestor.epoch for ancestor in found.ancestors)]
    if not all(map(_EPOCH.match, epochs)) or not 0 <= found.head <= MAX_SEQ:
        raise BadBackup(f"{found.event} has no sound position")
    if any(not 1 <= hole.first <= hole.last <= found.head for hole in found.holes):
        raise BadBackup(f"{found.event} has a hole outside its log")
    return found


def _change(seq: int, stored: bytes) -> Change:
    # Redaction relies on what stands at the beginning.
    if not stored.startswith(b'{"at":"') or stored[STORED_AT_LENGTH - 1 : STORED_AT_LENGTH + 1] != b'",':
        raise BadBackup(f"change {seq} does not begin with its time")
    return Change.decode(seq, stored)


def _hold(line: bytes, event: _Event | None) -> HeldBack:
    found = _held.decode(line)
    if event is None or found.held != found.item.id:
        raise BadBackup("it holds back something else than it says")
    for time in filter(None, (found.at, found.until)):
        try:
            milliseconds(time)
        except ValueError as error:
            raise BadBackup(str(error)) from error
    return found


def _check_end(
    closing: Closing, expected: list[str], counts: dict[str, int], rows: dict[str, int], digest: str
) -> None:
    if expected:
        raise BadBackup(f"{expected[0]} is missing")
    if closing.end != FORMAT or closing.changes != counts or closing.rows != rows:
        raise BadBackup("the counts do not agree with what is there")
    if closing.sha256 != digest:
        raise BadBackup("the SHA-256 does not agree: the content was changed")
