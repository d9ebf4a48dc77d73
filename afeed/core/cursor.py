"""Cursors: where a client stands in a live log, and where it may go on.

A cursor is ``epoch:seq``, "I have everything up to and including seq".  :func:`resume` is the whole rule for
what happens when a client comes back with one; every transport uses it.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from afeed.core.errors import BadCursor

#: JavaScript readers must be able to hold a seq exactly.
MAX_SEQ = 2**53 - 1

_EPOCH = re.compile(r"[a-z0-9]{1,16}\Z")
_SEQ = re.compile(r"(?:0|[1-9][0-9]{0,15})\Z", re.ASCII)


class Cursor(msgspec.Struct, frozen=True):
    """A position: ``epoch`` names the incarnation of the log, None the present one."""

    epoch: str | None
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.seq}" if self.epoch is not None else str(self.seq)


class Ancestor(msgspec.Struct, frozen=True):
    """An earlier epoch of a log: positions of ``epoch`` up to and including ``shared`` are the same in the
    present one."""

    epoch: str
    shared: int


class Gap(msgspec.Struct, frozen=True):
    """An inclusive range of seqs that a client cannot be given; None where a bound is unknown."""

    first: int | None
    last: int | None
    reason: Literal["epoch", "future", "expired"]


class Resume(msgspec.Struct, frozen=True):
    """Go on after ``seq``; when ``gap`` is not None, tell the client of it first."""

    seq: int
    gap: Gap | None


def parse_cursor(text: str) -> Cursor:
    """``epoch:seq`` or a bare ``seq``; raises :class:`~afeed.core.errors.BadCursor` on everything else."""
    epoch, colon, seq = text.rpartition(":")
    if (colon and not _EPOCH.match(epoch)) or not _SEQ.match(seq) or int(seq) > MAX_SEQ:
        raise BadCursor("a cursor is <epoch>:<number>, such as k3f9:42")
    return Cursor(epoch if colon else None, int(seq))


def resume(cursor: Cursor, epoch: str, ancestors: tuple[Ancestor, ...], oldest: int, head: int) -> Resume:
    """Where a client with ``cursor`` goes on in a log whose present epoch is ``epoch``.

    ``oldest`` is the first seq that can still be served (head + 1 when there is none), ``head`` the last one
    written.
    """
    seq, gap = cursor.seq, None
    if cursor.epoch is not None and cursor.epoch != epoch:
        shared = next((a.shared for a in ancestors if a.epoch == cursor.epoch), None)
        if shared is None and seq > 0:
            return Resume(oldest - 1, Gap(None, None, "epoch"))
        if shared is not None and seq > shared:
            seq, gap = shared, Gap(shared + 1, None, "epoch")
    elif seq > head:
        return Resume(oldest - 1, Gap(head + 1, seq, "future"))
    if seq < oldest - 1:
        first = seq + 1 if gap is None else gap.first
        return Resume(oldest - 1, Gap(first, oldest - 1, gap.reason if gap else "expired"))
    return Resume(seq, gap)
