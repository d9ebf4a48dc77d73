"""How to poll an upstream that answers in pages: what to ask for next, what was had before, when to come
back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from hashlib import blake2b
from random import Random

from afeed.core.draft import Posted
from afeed.core.item import encode_item

#: Flickr's terms: below 3600 requests an hour and key.  A little more than a second keeps a margin.
SPACING_S = 1.05

_RETRY_FIRST_S = 15.0
_RETRY_CAP_S = 900.0


def retry_wait(failures: int, rng: Random) -> float:
    """Seconds to wait after ``failures`` failed polls in a row (1, 2, ...): doubling from 15 s to a quarter of
    an hour, up to a quarter of it taken off at random so that many pollers do not come back together."""
    whole = min(_RETRY_FIRST_S * 2.0 ** min(failures - 1, 30), _RETRY_CAP_S)
    return whole * (1.0 - 0.25 * rng.random())


def jittered(interval_s: float, rng: Random) -> float:
    """``interval_s``, up to a tenth more or less."""
    return interval_s * (0.9 + 0.2 * rng.random())


class Spacing:
    """Keeps requests apart that count against one limit.  Pollers with the same key share one."""

    def __init__(self, seconds: float = SPACING_S) -> None:
        self._seconds = seconds
        self._free = float("-inf")

    def reserve(self, now: float) -> float:
        """Take the next slot; the seconds until it comes (0 for at once)."""
        slot = max(now, self._free)
        self._free = slot + self._seconds
        return slot - now


class Offered:
    """Remembers the ``limit`` items that were seen last, so that what overlaps is not offered for ever.

    What counts is the content: a photo has a new version whenever somebody comments on it, and nothing in the
    feed would change.  Only a saving; the log recognises repetitions by version too.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: OrderedDict[str, bytes] = OrderedDict()

    def fresh(self, drafts: Iterable[Posted]) -> list[Posted]:
        """Those of ``drafts`` whose content is not what was offered last; the others count as seen just now."""
        fresh: dict[str, Posted] = {}
        for draft in drafts:
            if self._known.get(draft.item.id) == _digest(draft):
                self._known.move_to_end(draft.item.id)
            else:
                fresh[draft.item.id] = draft
        return list(fresh.values())

    def add(self, drafts: Iterable[Posted]) -> None:
        """``drafts`` are durable."""
        for draft in drafts:
            self._known[draft.item.id] = _digest(draft)
            self._known.move_to_end(draft.item.id)
        while len(self._known) > self._limit:
            self._known.popitem(last=False)

    def __len__(self) -> int:
        return len(self._known)


def _digest(draft: Posted) -> bytes:
    return blake2b(encode_item(draft.item), digest_size=16).digest()


class Walk:
    """The pages of one poll, oldest upload first.

    Oldest first, because then what is uploaded meanwhile comes at the end and moves nothing; and because
    everything older than what was read is known, so the newest upload read is a position from which a later
    poll may go on, even when this one is cut short.

    ``since`` is the earliest upload asked for (Unix seconds), ``page`` the page to ask for, ``newest`` the
    newest upload read so far.  A walk ends at the last page, at an empty one, or after ``limit`` photos:
    beyond 4000 results of one query Flickr repeats itself.  The number of pages that an answer claims is never
    a reason to ask for more than that; ``rest`` is then where the next walk goes on, else None.
    """

    def __init__(self, since: int, per_page: int, limit: int) -> None:
        self.since = since
        self.page = 1
        self.newest = since
        self.rest: int | None = None
        self._last = max(1, limit // per_page)

    def read(self, count: int, pages: int, newest: int | None) -> bool:
        """A page with ``count`` photos was read; the upstream claims that there are ``pages`` (0 for nonsense).

        Whether to ask for the next one.  A page that is not full says nothing: Flickr hides photos after it
        has divided the results into pages."""
        if newest is not None:
            self.newest = max(self.newest, newest)
        if self.page >= self._last:
            if count > 0:
                # Even if all photos read had been uploaded in the same second, the next walk is another one.
                self.rest = max(self.newest, self.since + 1)
            return False
        more = self.page < pages if pages > 0 else count > 0
        if more:
            self.page += 1
        return more
