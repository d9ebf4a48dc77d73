"""What is wrong with a schedule, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from afeed.core.errors import AfeedError
from afeed.core.normalise.characters import label

#: Of many problems so many are told; the rest is counted.
SHOWN = 8
_LONGEST_QUOTE = 80


class Wrong(Exception):
    """Raised by a check: what is wrong with one value.  The text follows the place where it stands."""


class BadSchedule(AfeedError):
    """A file that is no schedule, or one with mistakes.  ``problems`` holds a sentence for each; ``str`` is the
    first few of them on one line."""

    def __init__(self, problems: Sequence[str]) -> None:
        more = len(problems) - SHOWN
        tail = f"; and {more} more" if more > 0 else ""
        super().__init__("; ".join(problems[:SHOWN]) + tail)
        self.problems = tuple(problems)


def quoted(value: object) -> str:
    """``value`` on one line, not too long, for a message."""
    text = label(value if isinstance(value, str) else repr(value), _LONGEST_QUOTE)
    return f"“{text}”"
