"""Whether the live log still has room, so that health says what sources and pushes get to hear."""

from __future__ import annotations

from collections.abc import Mapping


class Room:
    """Judges by ``sizes``, the bytes kept per event, which somebody else keeps up to date.

    An event is full when it has reached ``limit``, or when an append was refused and its size is what it was
    then: growth means that another append found room, shrinking that a trim or a removal made some.
    """

    def __init__(self, sizes: Mapping[str, int], limit: int) -> None:
        self._sizes = sizes
        self._limit = limit
        self._refused: dict[str, int] = {}

    def refused(self, event: str, size: int) -> None:
        """An append to ``event`` was refused when it held ``size`` bytes."""
        self._refused[event] = size

    def trouble(self) -> str | None:
        """A sentence for the operator while an event is full, else None."""
        full = [
            event
            for event, size in self._sizes.items()
            if size >= self._limit or self._refused.get(event) == size
        ]
        if not full:
            return None
        return (
            f"The live log of {', '.join(sorted(full))} has reached max_log_bytes ({self._limit}) because the "
            "archive does not follow: bring the archive back, or raise max_log_bytes. Pushes get 503, sources "
            "hold what they have and try again."
        )
