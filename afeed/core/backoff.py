"""How long to wait before the next attempt.

The ladders are those of the X API docs, *Handling disconnections*: each kind of fault has its own first wait,
growth and cap, and its own count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from enum import Enum
from random import Random

#: X counts requests in windows of this length, so a reset further away than this is not one (seconds).
RATE_WINDOW_S = 900.0
#: Added to a rate limit's reset, so that clocks that differ a little do not make an attempt early; the same
#: again is the width of the jitter (seconds).
RATE_MARGIN_S = 1.0


class Fault(Enum):
    """What kind of failure a wait follows."""

    DROP = "drop"  # a stream that was delivering ended
    NETWORK = "network"  # no connection, or it broke before anything came
    HTTP = "http"  # an answer that may be better next time (5xx)
    RATE = "rate"  # too many requests or connections
    REFUSED = "refused"  # an answer that stays the same until somebody acts (401, 403)


def _doubling(first: float, cap: float) -> Callable[[int], float]:
    # The exponent is bounded because a float is: 2.0 ** 1024 raises.
    return lambda failures: min(first * 2.0 ** min(failures, 60), cap)


#: The wait in seconds after so many earlier failures of the same kind.
LADDERS: Mapping[Fault, Callable[[int], float]] = {
    # At once; but a stream that is dropped again and again is not asked for in a tight loop: 15 minutes of this
    # ladder stay below the 50 connections that X allows in that time.
    Fault.DROP: lambda failures: 0.0 if failures == 0 else _doubling(1.0, 20.0)(failures - 1),
    Fault.NETWORK: lambda failures: min(0.25 * (failures + 1), 16.0),
    Fault.HTTP: _doubling(5.0, 320.0),
    Fault.RATE: _doubling(60.0, RATE_WINDOW_S),
    Fault.REFUSED: lambda failures: 900.0,
}


class Backoff:
    """Counts failures and says how long to wait."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._failures: Counter[Fault] = Counter()

    def failures(self, fault: Fault) -> int:
        """How often ``fault`` happened since it was last forgiven."""
        return self._failures[fault]

    def wait(self, fault: Fault, until_reset: float | None = None) -> float:
        """Count a failure; the seconds to wait after it.

        ``until_reset`` is how far away a rate limit's reset is (see :func:`until_reset`): the wait ends a
        moment after it, never before.
        """
        failures = self._failures[fault]
        self._failures[fault] += 1
        if fault is Fault.RATE and until_reset is not None:
            return until_reset + RATE_MARGIN_S * (1.0 + self._rng.random())
        return LADDERS[fault](failures)

    def forgive(self, *, drops: bool) -> None:
        """Something arrived: all ladders start from the bottom again; that of drops only with ``drops``, once a
        connection has lasted."""
        kept = 0 if drops else self._failures[Fault.DROP]
        self._failures.clear()
        self._failures[Fault.DROP] = kept


def until_reset(remaining: str | None, reset: str | None, now: float) -> float | None:
    """Seconds until a rate limit resets, from the headers ``x-rate-limit-remaining`` and ``x-rate-limit-reset``
    (Unix seconds); None where they say nothing: requests are left (then it was another limit), or the reset is
    missing, malformed, past, or further away than a window is long."""
    if remaining is not None and remaining.strip() != "0":
        return None
    text = (reset or "").strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 15:
        return None
    ahead = int(text) - now
    return ahead if 0 < ahead <= RATE_WINDOW_S + RATE_MARGIN_S else None
