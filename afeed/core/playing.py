"""Playing a recording: which entries are due, and what is said about their time."""

from __future__ import annotations

from typing import NamedTuple

from afeed.core.draft import Draft
from afeed.core.normalise.replay import Recording, shifted

#: Entries in one offer.
MAX_BATCH = 200
#: A player that is later than this (machine asleep, log away) goes on from where it stopped instead of
#: playing everything missed at once (seconds of the player's own time).
MAX_LATE_S = 5.0
#: Between two rounds (seconds of the player's own time); also what keeps a recording of one moment from
#: being played in a tight loop.
PAUSE_S = 5.0


class Place(NamedTuple):
    """How far a recording was played: ``played`` entries of round ``lap`` (from 0) are done."""

    lap: int
    played: int

    def __str__(self) -> str:
        return f"{self.lap}:{self.played}"


START = Place(0, 0)


def parse_place(text: str | None) -> Place:
    """The inverse of ``str(place)``; the start for None and for what is not one."""
    parts = (text or "").split(":")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) <= 9 for part in parts):
        return START
    return Place(int(parts[0]), int(parts[1]))


class Player:
    """A recording on its way, ``speed`` times as fast as it happened; round after round when ``loop``.

    Times given to its methods: ``seconds`` of a monotonic clock paces it, ``now`` (Unix seconds) is what posts
    are dated by.  The first entries, as far as they share their time, are due at once.
    """

    def __init__(self, recording: Recording, speed: float, loop: bool, place: Place) -> None:
        if not recording.entries:
            raise ValueError("a recording without entries cannot be played")
        self.place = place
        self._entries = recording.entries
        self._speed = speed
        self._loop = loop
        self._origin: float | None = None  # the monotonic time at which the recording's first entry was due
        self._turn()

    @property
    def done(self) -> bool:
        """Whether the end was reached; never when it loops."""
        return self.place.played >= len(self._entries)

    def wait(self, seconds: float) -> float:
        """Seconds until the next entry is due; 0 when it is.  Must not be asked when :attr:`done`."""
        at = self._entries[self.place.played].at / self._speed
        if self._origin is None or seconds - (self._origin + at) > MAX_LATE_S:
            self._origin = seconds - at
        return max(self._origin + at - seconds, 0.0)

    def due(self, seconds: float, now: float) -> list[Draft]:
        """The drafts that are due, after :meth:`wait` said that there are some; at most :data:`MAX_BATCH`."""
        assert self._origin is not None
        lap, played = self.place
        start = now - (seconds - self._origin)
        drafts: list[Draft] = []
        for entry in self._entries[played : played + MAX_BATCH]:
            if self._origin + entry.at / self._speed > seconds:
                break
            written = min(entry.created, entry.at)  # nothing is posted before it was written
            drafts.append(shifted(entry.draft, start + written / self._speed, lap))
        return drafts

    def advance(self, count: int) -> Place:
        """``count`` entries are about to be recorded; the place to store with them."""
        self.place = Place(self.place.lap, self.place.played + count)
        self._turn()
        return self.place

    def _turn(self) -> None:
        """Begin the next round where one has ended."""
        if self._loop and self.done:
            self.place = Place(self.place.lap + 1, 0)
            if self._origin is not None:
                self._origin += self._entries[-1].at / self._speed + PAUSE_S
