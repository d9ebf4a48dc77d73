"""How deep JSON and TOML may be nested."""

from __future__ import annotations

import re
from collections.abc import Iterable

from afeed.core.schedule.limits import MAX_DEPTH
from afeed.core.schedule.problems import BadSchedule

_LONG_KEY = re.compile(r"""(?<![\w"'-])(?:(?:[\w-]++|"[^"\n]*"|'[^'\n]*')[ \t]*+\.[ \t]*+){100}""")


def has_long_key(text: str) -> bool:
    """Whether there is a key of more than a hundred parts in this TOML: each is a table in a table, and for
    thousands Python's parser takes minutes and gigabytes.  Prose is not written so."""
    return _LONG_KEY.search(text) is not None


def too_deep() -> BadSchedule:
    """What to raise, also when a parser has given up before."""
    return BadSchedule(["it is nested too deep"])


def refuse_depth(document: object) -> None:
    """Raise :class:`BadSchedule` if there are more than :data:`MAX_DEPTH` lists and objects within each other:
    what deals with values, such as ``repr``, is recursive."""
    level: list[object] = [document]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for value in level for inner in _within(value)]
        if not level:
            return
    raise too_deep()


def _within(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
