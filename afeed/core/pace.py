"""When to write to everybody again: at once, unless there is a flood."""

from __future__ import annotations

#: In a flood, writing to everybody is followed by a rest twice as long as the writing was, up to so many
#: seconds: what comes meanwhile is written together, at a fraction of what one write for each would cost.
MAX_REST_S = 0.01
#: It is a flood from when several changes were waiting until none were for so many seconds; a change that comes
#: alone is never held up.
FLOOD_S = 0.1
#: Writing that takes less than so many seconds needs no rest.
QUICK_S = 0.0005


class Pace:
    """The rests of one channel."""

    def __init__(self) -> None:
        self._flood_until: float | None = None

    def rest(self, began: float, ended: float, several: bool) -> float:
        """How long to rest after a writing from ``began`` to ``ended``, all in seconds; ``several`` says
        whether more than one change was there to be written."""
        if several:
            self._flood_until = began + FLOOD_S
        took = ended - began
        flood = self._flood_until is not None and began < self._flood_until
        return min(2 * took, MAX_REST_S) if flood and took > QUICK_S else 0.0
