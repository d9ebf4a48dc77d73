"""Whether the live log still has room, so that health says what sources and pushes get to hear."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def full(events: Iterable[str], limit: int, held: int) -> str:
    """What is wrong with ``events`` that have reached ``limit`` bytes, of which ``held`` are of what is held
    back, and what helps."""
    log = f"the live log of {', '.join(sorted(events))} has reached max_log_bytes ({limit})"
    if held * 2 > limit:
        return f"{log} because too much is held back: release some of it, or raise max_log_bytes"
    return f"{log} because the archive does not follow: bring the archive back, or raise max_log_bytes"


class Room:
    """Judges by ``sizes``, the bytes kept per event, and ``held``, what is held back among them, which somebody
    else keeps up to date.

    An event is full when it has reached ``limit``, or when an append was refused and its size is what it was
    then: growth means that another append found room, shrinking that a trim or a removal made some.
    """

    def __init__(self, sizes: Mapping[str, int], held: Mapping[str, int], limit: int) -> None:
        self._sizes = sizes
        self._held = held
        self._limit = limit
        self._refused: dict[str, int] = {}

    def refused(self, event: str, size: int) -> None:
        """An append to ``event`` was refused when it held ``size`` bytes."""
        self._refused[event] = size

    def trouble(self) -> str | None:
        """A sentence for the operator while an event is full, else None."""
        found = [
            event
            for event, size in self._sizes.items()
            if size >= self._limit or self._refused.get(event) == size
        ]
        if not found:
            return None
        why = full(found, self._limit, max(self._held.get(event, 0) for event in found))
        return f"{why[0].upper()}{why[1:]}. Pushes get 503, sources hold what they have and try again."
