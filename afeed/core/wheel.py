"""Many deadlines, one sweep: no timer per connection."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Wheel(Generic[Key]):
    """Deadlines kept in slots of one second; :meth:`expired` is called about once a second.

    A key has at most one deadline.  Times are seconds on any monotonic clock; a deadline is noticed up to one
    second late and never early.
    """

    def __init__(self) -> None:
        self._slots: dict[int, dict[Key, None]] = {}
        self._slot_of: dict[Key, int] = {}
        self._swept = 0

    def __len__(self) -> int:
        return len(self._slot_of)

    def set(self, key: Key, at: float) -> None:
        """``key`` is due at ``at``, whatever was said before."""
        slot = max(int(at) + 1, self._swept + 1)
        known = self._slot_of.get(key)
        if known == slot:
            return
        if known is not None:
            self.discard(key)
        self._slot_of[key] = slot
        self._slots.setdefault(slot, {})[key] = None

    def discard(self, key: Key) -> None:
        """``key`` is not due any more; harmless when it never was."""
        slot = self._slot_of.pop(key, None)
        if slot is not None:
            keys = self._slots[slot]
            del keys[key]
            if not keys:
                del self._slots[slot]

    def expired(self, now: float) -> list[Key]:
        """Take out and return every key whose deadline has passed."""
        upto = int(now)
        if upto - self._swept > len(self._slots):
            due = sorted(slot for slot in self._slots if slot <= upto)
        else:
            due = [slot for slot in range(self._swept + 1, upto + 1) if slot in self._slots]
        self._swept = max(self._swept, upto)
        keys: list[Key] = []
        for slot in due:
            for key in self._slots.pop(slot):
                del self._slot_of[key]
                keys.append(key)
        return keys
