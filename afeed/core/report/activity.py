"""When people posted, and the peaks in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

#: How long a bin may be, in minutes, and how many there are at most.
_SIZES = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440)
MOST_BINS = 300

#: Terms kept of each bin, to name a peak by.
_TERMS = 150
#: What fewer people post is no peak.
_LEAST = 3


class Peak(msgspec.Struct, frozen=True):
    """The bins ``first`` to ``last`` in which ``posts`` were written; the highest is ``top``."""

    first: int
    last: int
    top: int
    posts: int


class Window(msgspec.Struct, frozen=True):
    """From ``start`` to ``end`` (Unix seconds) in bins of ``bin_s`` seconds."""

    start: int
    end: int
    bin_s: int

    @property
    def bins(self) -> int:
        """How many there are."""
        return max(1, -(-(self.end - self.start) // self.bin_s))


def window(start: float, end: float, most: int = MOST_BINS) -> Window:
    """From ``start`` to ``end`` in bins of a round size, ``most`` of them at most; where days would not do, the
    end is cut off.  Bins begin at full minutes of their size."""
    size = next((one for one in _SIZES if (end - start) / 60 <= one * (most - 1)), _SIZES[-1]) * 60
    first = int(start // size * size)
    last = min(int(-(-end // size) * size), first + most * size)
    return Window(first, max(last, first + size), size)


class Activity:
    """Posts by bin of ``window``, with the terms in each.  What was written ``before`` and ``after`` is only
    counted."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.counts = [0] * window.bins
        self.before = self.after = self.undated = 0
        self._terms: list[dict[str, int]] = [{} for _ in self.counts]

    def add(self, at: float | None, terms: set[str]) -> None:
        """A post with ``terms``, written ``at`` Unix seconds (None: nobody knows)."""
        if at is None:
            self.undated += 1
            return
        place = int((at - self.window.start) // self.window.bin_s)
        if place < 0:
            self.before += 1
        elif place >= len(self.counts):
            self.after += 1
        else:
            self.counts[place] += 1
            self._count(self._terms[place], terms)

    def _count(self, counted: dict[str, int], terms: set[str]) -> None:
        for term in terms:
            counted[term] = counted.get(term, 0) + 1
        if len(counted) > 2 * _TERMS:
            kept = sorted(counted.items(), key=lambda one: (-one[1], one[0]))[:_TERMS]
            counted.clear()
            counted.update(kept)

    def terms_within(self, first: int, last: int) -> dict[str, int]:
        """How many posts of the bins ``first`` to ``last`` have each term."""
        found: dict[str, int] = {}
        for counted in self._terms[first : last + 1]:
            for term, count in counted.items():
                found[term] = found.get(term, 0) + count
        return found


#: The parameters of the paper: how much of a difference the mean follows, how many mean deviations make a peak,
#: and from how many bins it starts.
_ALPHA, _TAU, _FROM = 0.125, 2.0, 5


def peaks(counts: Sequence[int], most: int = 5) -> list[Peak]:
    """The ``most`` highest peaks, in the order of time.

    The algorithm is that of TwitInfo (A. Marcus et al., TwitInfo: Aggregating and Visualizing Microblogs for
    Event Exploration, CHI 2011, figure 4), which is that by which TCP notices congestion: a bin begins a peak
    when it rises more than two mean deviations above a mean that follows slowly, and the peak lasts until the
    bins are as low again as before it, or the next one begins.
    """
    beginning = counts[:_FROM]
    mean = sum(beginning) / max(len(beginning), 1)
    deviation = sum(abs(one - mean) for one in beginning) / max(len(beginning), 1)

    def before(at: int) -> int:
        return counts[at - 1] if at else 0

    def steep(at: int) -> bool:
        # A quiet hour has no deviation at all: then any post would be a peak.
        return counts[at] > before(at) and (counts[at] - mean) / max(deviation, 0.5) > _TAU

    def follow(value: int) -> None:
        nonlocal mean, deviation
        deviation = _ALPHA * abs(mean - value) + (1 - _ALPHA) * deviation
        mean = _ALPHA * value + (1 - _ALPHA) * mean

    found: list[Peak] = []
    at = 0
    while at < len(counts):
        first, low = at, before(at)
        rising = steep(at)
        follow(counts[at])
        at += 1
        if not rising:
            continue
        while at < len(counts) and counts[at] > before(at):
            follow(counts[at])
            at += 1
        while at < len(counts) and counts[at] > low and not steep(at):
            follow(counts[at])
            at += 1
        top = max(range(first, at), key=lambda place: (counts[place], -place))
        if counts[top] >= _LEAST:
            found.append(Peak(first, at - 1, top, sum(counts[first:at])))
    highest = sorted(found, key=lambda peak: (-counts[peak.top], peak.first))[:most]
    return sorted(highest, key=lambda peak: peak.first)


def moment(text: str) -> float | None:
    """An item's ``created_at`` as Unix seconds; None for what is no time."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
