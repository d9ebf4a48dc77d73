"""Which talks were moved lately, from what the log says of new versions of the programme."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import msgspec

from afeed.channel import Channel
from afeed.core.change import RESCHEDULED


@attrs.define
class _Seen:
    """Up to ``head`` of ``epoch`` has been looked at."""

    epoch: str | None = None
    head: int = 0
    moved: frozenset[str] = frozenset()


class Moves:
    """Looks through the windows of ``channels``, at each change once: talks that were moved before the oldest
    change at hand are where they are by now."""

    def __init__(self, channels: Mapping[str, Channel]) -> None:
        self._channels = channels
        self._seen: dict[str, _Seen] = {}

    def __call__(self, event: str) -> frozenset[str]:
        """The ids of the talks of ``event`` that were moved."""
        channel = self._channels[event]
        seen = self._seen.setdefault(event, _Seen())
        if seen.epoch != channel.epoch:
            seen.epoch, seen.head = channel.epoch, 0
        moved: set[str] = set()
        for change in channel.newest_first():
            if change.seq <= seen.head:
                break
            if change.type != RESCHEDULED:
                continue
            try:
                news = change.rescheduling()
            except msgspec.DecodeError:
                continue
            if news is not None:
                moved.update(one.id for one in news.talks if "moved" in one.kinds)
        seen.head = channel.head
        seen.moved |= moved
        return seen.moved
