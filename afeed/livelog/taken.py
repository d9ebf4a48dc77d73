"""What those have in common who read a live log while others work with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from afeed.core.change import Change
from afeed.core.cursor import Ancestor
from afeed.core.errors import LogUnavailable
from afeed.interfaces import HeldItem


class Taken(NamedTuple):
    """Where a log stood at one moment: at ``head`` of ``epoch``.  ``first`` numbers the first change that was
    given (or would), ``positions`` are those of the sources, not later than that moment, and ``held`` is what
    was held back, not later either: some of it may be among the changes, or removed by them."""

    epoch: str
    ancestors: tuple[Ancestor, ...]
    first: int
    head: int
    positions: dict[str, str]
    held: tuple[HeldItem, ...] = ()


class Moved(LogUnavailable):
    """Somebody has changed the log in the meantime, so that what was read of it does not fit together: begin
    anew."""

    def __init__(self, what: str = "somebody else changed the live log in the meantime") -> None:
        super().__init__(what)


class Reader(Protocol):
    """A live log, read while others work with it.  Everything blocks, and may fail with
    :class:`~afeed.core.errors.LogUnavailable`."""

    def events(self) -> dict[str, int]:
        """The slug and the head of every event that it knows."""
        ...

    def nodes(self) -> int:
        """How many nodes work with it, as far as it can tell; for an embedded log the lock of its folder
        tells."""
        ...

    def take(self, event: str, after: int, put: Callable[[Change], object]) -> Taken | None:
        """Give ``put`` every change above ``after``, in order; one that a later one of them removes may still
        have its content.  None when the log knows nothing of the event; raises :class:`Moved` when it must be
        done anew."""
        ...
