"""What an outage leaves to be fetched: which stretch of time, when to search for it, when that is complete.

A stream is unordered, its end may be noticed late, and a search hides what is newest.  So a search begins a
safe distance before the last moment at which the stream was known to be live, and it is repeated until it has
been asked a safe distance after the moment at which the stream was live again.  Times are Unix seconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from afeed.core.change import timestamp
from afeed.core.draft import SourceGap
from afeed.core.ledger import OUTAGE, GapLedger, Stored, moment, read_stored

#: A search begins this long before the stream was last known to be live: X delivers late and out of order, and
#: a dead connection is noticed after 30 s.
OVERLAP_S = 60.0
#: A search covers this much after the stream was live again: a rule takes up to 20 s to work everywhere.
MARGIN_S = 20.0
#: Recent search ends 30 s ago (X API docs: *Search Posts*, ``end_time``); its index is given a little more.
HIDDEN_S = 35.0
#: How far recent search goes back: seven days, less a little for clocks that differ.
DEPTH_S = 7 * 86400.0 - 120.0
#: Where nothing is stored, the search begins this long before the first start.
FIRST_S = 900.0
#: An outage shorter than this is filled in without a word, unless that fails.
TOLD_S = 5.0
#: Stretches that are kept apart; a further one is joined to the last.  They are stored with the position, which
#: has room for 1 KB.
MAX_SPANS = 8

#: Stream rules know these operators and recent search does not (X API docs: *Build a rule*, *Build a query*).
_NOT_SEARCHABLE = re.compile(r'"[^"]*"|(?<![\w:])-?((?:sample|bio|bio_name|bio_location):)', re.IGNORECASE)


def unsearchable(rule: str) -> str | None:
    """Why a stream rule cannot be searched for; None when it can, as far as is known."""
    for match in _NOT_SEARCHABLE.finditer(rule):
        if match[1] is not None:
            return f"X's search does not know `{match[1].lower()}`, which the rule uses"
    return None


class Span(msgspec.Struct):
    """A stretch of time in which posts were missed.

    ``start`` is where the next search begins and ``due`` when it is to be made; ``down`` is for how much of the
    stretch there was no stream; ``fetched`` counts what was new.  ``problem`` says why it is not complete,
    ``told`` whether it is in the record; ``first`` marks the time before the first start, of
    which nothing was promised.
    """

    from_: float
    to: float
    start: float
    due: float
    down: float
    fetched: int = 0
    problem: str = ""
    told: bool = False
    first: bool = False

    @property
    def complete_at(self) -> float:
        """A search made now or later shows all of it."""
        return self.to + MARGIN_S + HIDDEN_S


class Search(NamedTuple):
    """Search from ``start`` on, up to ``end`` (None: up to the newest that X shows), for ``span``; ``cut`` says
    that it should begin earlier, where no search reaches."""

    span: Span
    start: float
    end: float | None
    cut: bool


class _Stored(Stored, omit_defaults=True):
    open: list[tuple[str, str, bool]] = msgspec.field(default_factory=list)


_decode = msgspec.json.Decoder(_Stored)


class Ledger(GapLedger):
    """What one event has and lacks from ``source``, which has a stream and a search.

    ``live_at`` is when the stream was last known to be live.  It counts as down until :meth:`regained`; the
    search then begins ``reach`` before ``live_at``.
    """

    def __init__(
        self, source: str, live_at: float, spans: Sequence[Span] = (), reach: float = OVERLAP_S
    ) -> None:
        super().__init__(source, live_at, TOLD_S)
        self.down = True
        self.spans = list(spans)
        self._reach = reach
        self._opening = False
        self._extends = self._extended()

    @classmethod
    def restored(cls, source: str, stored: str | None, now: float) -> Ledger:
        """From what :meth:`position` gave before the last stop; what cannot be read counts as a first start."""
        found = read_stored(_decode, stored)
        if found is None or found.live_at is None:
            return cls(source, now, reach=FIRST_S)
        try:
            live_at = min(moment(found.live_at), now)
            spans = [_again(moment(from_), moment(to), told, now) for from_, to, told in found.open[:MAX_SPANS]]
        except ValueError:
            return cls(source, now, reach=FIRST_S)
        ledger = cls(source, live_at, spans)
        ledger.told = found.told
        return ledger

    def position(self, newest_id: str | None) -> str:
        """What to store: if afeed stopped now, it would know what to fetch."""
        spans = [(timestamp(span.from_), timestamp(span.to), span.told) for span in self.spans]
        stored = _Stored(newest_id, timestamp(self.live_at), self.told, spans)
        return msgspec.json.encode(stored).decode("ascii")

    # -- the stream

    def opened(self) -> None:
        """The stream is open; whether it brings something, a keep-alive at least, is seen within seconds."""
        self._opening = True

    def alive(self, now: float) -> None:
        """The stream is open and brings something."""
        if not self.down:
            self.live_at = max(self.live_at, now)

    def lost(self, at: float) -> None:
        """The stream is not open any more; if it was live, then until ``at``."""
        self._opening = False
        if self.down:
            return
        self.live_at = max(self.live_at, at)
        self.down, self.told = True, False
        self._reach = OVERLAP_S
        self._extends = self._extended()

    def regained(self, to: float, now: float) -> SourceGap | None:
        """The stream is live, and was since ``to``; what the record has to say about that."""
        if not self.down:
            return None
        to = max(to, self.live_at)
        start, down = self.live_at - self._reach, to - self.live_at
        span, self._extends = self._extends, None
        if span is None:
            span = Span(self.live_at, to, start, now, 0.0, first=self._reach > OVERLAP_S)
            self.spans.append(span)
        else:
            span.first = False
        span.to, span.start = to, min(span.start, start)
        span.down += down
        # After a short outage there is nothing to be seen yet.
        span.due = now if down > HIDDEN_S or span.first else span.complete_at
        span.told = span.told or self.told
        self.down, self.told = False, False
        self.live_at = max(to, now)
        if span.told or span.down <= TOLD_S:
            return None
        span.told = True
        return self._record(span.from_, span.to, "open", 0, OUTAGE)

    def _extended(self) -> Span | None:
        """The span that the present outage goes on with, if it follows so closely, or there are so many."""
        if not self.spans:
            return None
        last = self.spans[-1]
        near = self.live_at - OVERLAP_S <= last.to + MARGIN_S
        return last if near or len(self.spans) >= MAX_SPANS else None

    # -- the record

    def tells_at(self) -> float:
        """See :class:`~afeed.core.ledger.GapLedger`; a stream that is open may well be live."""
        return super().tells_at() if self.down and not self._opening else math.inf

    def _began(self) -> float:
        return self.live_at if self._extends is None else self._extends.from_

    # -- filling

    def search(self, now: float) -> Search | None:
        """The search that is due, None while there is none.  Forgets what no search can show any more."""
        self.spans = [span for span in self.spans if now - span.to < DEPTH_S or span is self._extends]
        due = [span for span in self.spans if span.due <= now and span is not self._extends]
        if not due:
            return None
        span = min(due, key=lambda span: span.due)
        end = span.to + MARGIN_S
        earliest = now - DEPTH_S
        return Search(
            span, max(span.start, earliest), end if end <= now - HIDDEN_S else None, span.start < earliest
        )

    def next_at(self) -> float:
        """When there is something to do if nothing happens until then; infinity for never."""
        return min([self.tells_at(), *(span.due for span in self.spans if span is not self._extends)])

    def searched(self, search: Search, began: float) -> SourceGap | None:
        """All that ``search`` could show at ``began`` is in the log; what to record.  The span is closed unless
        more has to follow."""
        span = search.span
        if search.cut:
            return self.failed(span, "too-old", "X's search goes back no further than seven days", math.inf)
        span.problem = ""
        if began < span.complete_at or span is self._extends:
            span.start = max(span.start, began - HIDDEN_S - OVERLAP_S)
            span.due = span.complete_at
            return None
        if span in self.spans:
            self.spans.remove(span)
        if not span.told:
            return None
        return self._record(span.from_, span.to, "closed", span.fetched, OUTAGE)

    def failed(self, span: Span, reason: str, problem: str, due: float) -> SourceGap | None:
        """A search came to nothing, or not to the end; the next attempt is ``due`` (infinity: none before the
        next start).  ``reason`` is the word for the record, ``problem`` a sentence for the operator.  What to
        record."""
        span.problem, span.due = problem, due
        if span is self._extends:
            return None
        if span.first and not span.told:
            if math.isinf(due):
                self.spans.remove(span)
            return None
        span.told = True
        return self._record(span.from_, span.to, "open", span.fetched, reason)

    def problems(self) -> list[str]:
        """What could not be fetched so far, a sentence each without a full stop."""
        return [
            f"posts from {timestamp(span.from_)} to {timestamp(span.to)} are missing: {span.problem}"
            for span in self.spans
            if span.problem and span.told
        ]


def _again(from_: float, to: float, told: bool, now: float) -> Span:
    """A span that was not complete when afeed stopped."""
    return Span(from_, to, from_ - OVERLAP_S, now, to - from_, told=told)
