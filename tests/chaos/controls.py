"""Protections of afeed that can be taken away from a process, to see that these tests would notice.

Each function here takes one away, before afeed is started; it raises :class:`AssertionError` when it does not
find what it wants to change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha1
from typing import Any


def without_dedupe() -> None:
    """Every item that is offered is new, to both logs."""
    from afeed.core.change import POSTED
    from afeed.livelog.database import Database

    decide = Database._decide

    def careless(self: Database, adding: Any, record: Any) -> tuple[int, str | None]:
        if record.kind == "post":
            return adding.head + 1, POSTED
        return decide(self, adding, record)

    Database._decide = careless  # type: ignore[method-assign]
    beginning = "local function decide(o, kind, id, version, order)\n"
    _change_append(beginning, f"{beginning}  if kind == 'post' then return nil, 'p' end\n")


def without_epochs() -> None:
    """A position of any epoch counts as one of the present epoch."""
    from afeed.core import cursor

    resume = cursor.resume

    def careless(where: cursor.Cursor, *arguments: Any) -> cursor.Resume:
        return resume(cursor.Cursor(None, where.seq), *arguments)

    cursor.resume = careless


def without_fencing() -> None:
    """Redis takes what sources bring, whatever the term under which they do."""
    _change_append("elseif lease ~= '' and not (holder and lease == '=' .. holder) then", "elseif false then")


def _change_append(old: str, new: str) -> None:
    """Put ``new`` in the place of ``old`` in the script that appends."""
    from afeed.livelog import redis_lua
    from afeed.livelog.redis_lua_parts import Script

    source = redis_lua.APPEND.source.decode("ascii")
    if source.count(old) != 1:
        raise AssertionError(f"the script does not say {old!r}")
    changed = source.replace(old, new).encode("ascii")
    script = Script(changed, sha1(changed, usedforsecurity=False).hexdigest())
    redis_lua.ALL = tuple(script if one is redis_lua.APPEND else one for one in redis_lua.ALL)  # type: ignore
    redis_lua.APPEND = script


CONTROLS: Mapping[str, Callable[[], None]] = {
    "dedupe": without_dedupe,
    "epochs": without_epochs,
    "fencing": without_fencing,
}
