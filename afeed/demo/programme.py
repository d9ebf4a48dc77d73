"""The demo's programme, at the times at which its recording is played."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from afeed.core.attribution.weights import Weights
from afeed.schedules.origin import Content, FileOrigin, Mark, Origin

#: When the recording begins, in its own time.
DOORS = datetime(2026, 6, 12, 9, tzinfo=UTC)

_TIME = re.compile(rb"2026-06-12T(\d\d):(\d\d):00")


def hurried(weights: Weights, speed: float) -> Weights:
    """``weights`` for a day that is over ``speed`` times as soon."""
    return Weights(
        tail_min=weights.tail_min / speed,
        lead_min=weights.lead_min / speed,
        author_min=weights.author_min / speed,
    )


def played(programme: bytes, start: datetime, speed: float) -> bytes:
    """``programme`` for a recording that is played from ``start`` on, ``speed`` times as fast as it was."""

    def moment(match: re.Match[bytes]) -> bytes:
        then = DOORS.replace(hour=int(match[1]), minute=int(match[2]))
        now = start + timedelta(seconds=(then - DOORS).total_seconds() / speed)
        return f"{now:%Y-%m-%dT%H:%M:%SZ}".encode()

    return _TIME.sub(moment, programme)


class PlayedOrigin:
    """An origin that gives the programme in ``file`` as it is played from the first look at it on; ``now``
    gives seconds since 1970."""

    def __init__(self, file: FileOrigin, speed: float, now: Callable[[], float]) -> None:
        self.name = file.name
        self._file: Origin = file
        self._speed = speed
        self._now = now
        self._start: datetime | None = None

    async def read(self, known: Mark) -> Content:
        """See :class:`~afeed.schedules.origin.Origin`."""
        if self._start is not None:
            return Content(None, known)
        found = await self._file.read(Mark())
        self._start = datetime.fromtimestamp(self._now(), UTC)
        return Content(played(found.data or b"", self._start, self._speed), Mark(tag=self._start.isoformat()))
