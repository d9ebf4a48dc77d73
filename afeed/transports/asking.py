"""What a client asks for, the same on every transport: since when, how much, with fragments or without."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from afeed.core.cursor import Cursor, parse_cursor
from afeed.core.errors import BadInput
from afeed.core.framing import MAX_CHANGES
from afeed.core.http import bounded_number, query_members

MAX_WAIT_S, DEFAULT_WAIT_S = 30, 25
#: Ten thousand viewers at the same position ask the same.  So many questions are remembered, none of them
#: longer than this.
_REMEMBERED, _MEMORABLE = 1024, 256


class Asking(msgspec.Struct, frozen=True):
    """``cursor`` None asks from the head (poll: for the newest ``limit`` changes); ``wait`` is in seconds."""

    cursor: Cursor | None
    rich: bool
    wait: int
    limit: int


def asking(members: dict[str, str], last_event_id: bytes | None = None) -> Asking:
    """Read the members of a query; a ``Last-Event-ID`` header wins over ``since``.

    Raises :class:`~afeed.core.errors.BadCursor` or :class:`~afeed.core.errors.BadInput`.  ``wait`` and
    ``limit`` are clamped into their ranges.
    """
    since = members.get("since")
    if last_event_id is not None:
        since = last_event_id.decode("latin-1")
    render = members.get("render")
    if render not in (None, "html"):
        raise BadInput("render is html, or left out")
    return Asking(
        None if since is None else parse_cursor(since),
        render == "html",
        bounded_number(members, "wait", DEFAULT_WAIT_S, 0, MAX_WAIT_S),
        bounded_number(members, "limit", MAX_CHANGES, 1, MAX_CHANGES),
    )


def asked(query: bytes, last_event_id: bytes | None = None) -> Asking:
    """What a query string asks for; see :func:`asking`."""
    if len(query) + len(last_event_id or b"") > _MEMORABLE:
        return asking(query_members(query, texts=False), last_event_id)
    return _remembered(query, last_event_id)


@lru_cache(maxsize=_REMEMBERED)
def _remembered(query: bytes, last_event_id: bytes | None) -> Asking:
    return asking(query_members(query, texts=False), last_event_id)
