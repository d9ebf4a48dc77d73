"""The archive by day: pages are written as soon as it is known whether another follows."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, tzinfo

import attrs

from afeed.core.report.activity import moment
from afeed.interfaces import PageItem
from afeed.site.addresses import day_file

#: Posts on a page.
PAGE = 100


@attrs.define
class _Day:
    seqs: array[int] = attrs.Factory(lambda: array("Q"))
    waiting: list[PageItem] = attrs.Factory(list)
    pages: int = 0


#: Writes the page ``number`` of ``day``; ``more`` says whether another follows.
WritePage = Callable[[str, int, list[PageItem], bool], None]


class Days:
    """Sorts items, which come in the order of their seqs, into the days on which they were written, where the
    event is.  ``write`` is called with each page once it is complete."""

    def __init__(self, zone: tzinfo, write: WritePage) -> None:
        self._zone = zone
        self._write = write
        self._days: dict[str, _Day] = {}

    def add(self, one: PageItem) -> None:
        """The next item."""
        name = self.day_of(one)
        day = self._days.setdefault(name, _Day())
        if len(day.waiting) == PAGE:
            self._flush(name, day, True)
        day.waiting.append(one)
        day.seqs.append(one.seq)

    def close(self) -> None:
        """There are no more."""
        for name, day in self._days.items():
            if day.waiting:
                self._flush(name, day, False)

    def _flush(self, name: str, day: _Day, more: bool) -> None:
        day.pages += 1
        self._write(name, day.pages, day.waiting, more)
        day.waiting = []

    def day_of(self, one: PageItem) -> str:
        """``2026-11-21``; an item without a time that can be understood is put to the first of days."""
        at = moment(one.item.created_at)
        try:
            return datetime.fromtimestamp(at or 0, UTC).astimezone(self._zone).date().isoformat()
        except (ValueError, OverflowError):
            return date.min.isoformat()

    def file_of(self, one: PageItem) -> str | None:
        """The page on which an item stands; None for one that was not there yet when the pages were written."""
        name = self.day_of(one)
        day = self._days.get(name)
        if day is None:
            return None
        place = bisect_left(day.seqs, one.seq)
        if place == len(day.seqs) or day.seqs[place] != one.seq:
            return None
        return day_file(name, place // PAGE + 1)

    @property
    def counts(self) -> Mapping[str, int]:
        """Items by day, in order."""
        return {name: len(day.seqs) for name, day in sorted(self._days.items())}
