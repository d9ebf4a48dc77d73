"""The gap ledger of a source: until when it has everything, and what the record is told of an outage.

What a source has is known up to ``live_at``: its stream was live then, or a search was answered.  That moment
is stored with the source's position, in one step with what the source brought, so a stop of afeed itself, be it
by ``kill -9``, is an outage like any other.  Times are Unix seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, TypeVar

import msgspec

from afeed.core.change import seconds, timestamp
from afeed.core.draft import SourceGap

#: The words for an outage in the record, and for one that lasted until nobody was going to ask any more.
OUTAGE, OVER = "outage", "event-over"
#: How often the position of a source that is live is stored although it brought nothing.
STORE_S = 30.0
#: The year 2200: the calendar goes on, but not much further than this.
_END_OF_TIME = 7_258_118_400.0


class Stored(msgspec.Struct, omit_defaults=True):
    """The part of a stored position that all sources with a ledger have; members are this program's own
    business.  ``newest_id`` is how far the source has read, ``told`` whether the record speaks of an outage
    since ``live_at``."""

    newest_id: str | None = None
    live_at: str | None = None
    told: bool = False


_S = TypeVar("_S", bound=Stored)


def read_stored(decoder: msgspec.json.Decoder[_S], stored: str | None) -> _S | None:
    """What was stored; None for nothing, and for what cannot be read."""
    if not stored:
        return None
    try:
        return decoder.decode(stored)
    except msgspec.DecodeError:
        return None


def moment(text: str) -> float:
    """A time that was stored; raises :class:`ValueError` for one that could not be stored again."""
    found = seconds(text)
    if not 0 <= found < _END_OF_TIME:
        raise ValueError("this is no time of an outage")
    return found


class GapLedger:
    """What is known of ``source``.  An outage that lasts is recorded once it is ``told_s`` old."""

    def __init__(self, source: str, live_at: float, told_s: float) -> None:
        self.live_at = live_at
        self.told = False
        self._source = source
        self._told_s = told_s

    def outage(self, now: float) -> SourceGap | None:
        """What to record of an outage that goes on; once, and not for a hiccup."""
        if self.tells_at() > now:
            return None
        self.told = True
        return self._record(self._began(), None, "open", 0, OUTAGE)

    def over(self, at: float) -> SourceGap:
        """What to record of an outage that nobody is going to fill in, because the event was over ``at``."""
        self.told = False
        return self._record(self._began(), at, "open", 0, OVER)

    def tells_at(self) -> float:
        """When the present outage is to be recorded, unless it ends before; infinity for never."""
        return math.inf if self.told else self.live_at + self._told_s

    def _began(self) -> float:
        """Since when something is missing."""
        return self.live_at

    def _record(
        self, from_: float, to: float | None, state: Literal["open", "closed"], fetched: int, reason: str
    ) -> SourceGap:
        return SourceGap(
            source=self._source,
            from_=timestamp(from_),
            to=None if to is None else timestamp(to),
            state=state,
            fetched=fetched,
            reason=reason,
        )


#: No source has so many; a number that was stored by something else must stay one that can be stored again.
_MOST_FETCHED = 10**9


class _PollStored(Stored, omit_defaults=True):
    fetched: int = 0


_decode_poll = msgspec.json.Decoder(_PollStored)


class PollLedger(GapLedger):
    """The ledger of a source that asks again and again, each time for everything since it last was answered.

    ``live_at`` is when the last search began that came to its end; when none does for ``told_s`` that is an
    outage.  ``newest_id`` is what was stored as such.
    """

    def __init__(self, source: str, live_at: float, told_s: float) -> None:
        super().__init__(source, live_at, told_s)
        self.newest_id: str | None = None
        self._fetched = 0

    @classmethod
    def restored(
        cls, source: str, stored: str | None, now: float, *, starts: float, told_s: float
    ) -> PollLedger:
        """From what :meth:`position` gave before the last stop; what cannot be read counts as a first start,
        before which nothing is missing.  Nor is anything missed before the source ``starts``."""
        found = read_stored(_decode_poll, stored)
        try:
            live_at = now if found is None or found.live_at is None else min(moment(found.live_at), now)
        except ValueError:
            found, live_at = None, now
        ledger = cls(source, live_at, told_s)
        if found is not None:
            ledger.newest_id = found.newest_id
        if live_at < starts:
            ledger.live_at = min(starts, now)
        elif found is not None:
            ledger.told, ledger._fetched = found.told, min(max(found.fetched, 0), _MOST_FETCHED)
        return ledger

    def position(self, newest_id: str | None) -> str:
        """What to store: if afeed stopped now, it would know since when something is missing."""
        stored = _PollStored(newest_id, timestamp(self.live_at), self.told, self._fetched)
        return msgspec.json.encode(stored).decode("ascii")

    def found(self, moments: Iterable[float]) -> None:
        """What is from these ``moments`` was new; items from before ``live_at`` were not missed but late."""
        since = math.floor(self.live_at)  # upstream times are whole seconds
        self._fetched = min(self._fetched + sum(moment >= since for moment in moments), _MOST_FETCHED)

    def answered(self, began: float) -> SourceGap | None:
        """The search that ``began`` then has shown everything up to that moment: what to record if that ends an
        outage."""
        gap = self._record(self.live_at, began, "closed", self._fetched, OUTAGE) if self.told else None
        self.live_at, self.told, self._fetched = max(self.live_at, began), False, 0
        return gap
