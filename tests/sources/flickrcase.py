"""What the tests of the Flickr poller have in common."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from treq.client import HTTPClient
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from afeed.core.change import timestamp
from afeed.core.draft import Draft, Posted, SourceGap
from afeed.interfaces import ISink, Position, Recorded
from afeed.settings import FlickrAccount, FlickrSource, Secret
from afeed.sources.flickr import FlickrPoller

NOW = 1_772_355_600
STARTS = NOW - 86_400
KEY = "k3y-that-nobody-may-see"


def position(newest: object, live_at: float = NOW) -> str:
    """What is stored by a poller that has read up to ``newest`` and was last answered at ``live_at``."""
    return json.dumps({"newest_id": str(newest), "live_at": timestamp(live_at)})


@implementer(ISink)
class Sink:
    """Remembers the photos it was offered, each time with what the position says of the newest; with ``held``
    it answers when that fires.  ``stored`` is the last position, and ``gaps`` has the outages."""

    def __init__(self) -> None:
        self.offers: list[tuple[list[Posted], str | None]] = []
        self.gaps: list[SourceGap] = []
        self.stored: str | None = None
        self.drops: Counter[str] = Counter()
        self.held: Deferred[None] | None = None

    def offer(
        self, event: str, drafts: Sequence[Draft], position: Position | None = None
    ) -> Deferred[list[Recorded]]:
        if position is not None:
            self.stored = position.value
        self.gaps += [draft for draft in drafts if isinstance(draft, SourceGap)]
        posts = [draft for draft in drafts if isinstance(draft, Posted)]
        if not posts:
            return succeed([Recorded(1, True) for _ in drafts])
        self.offers.append((posts, json.loads(self.stored or "{}").get("newest_id")))
        result = [Recorded(seq, True) for seq, _ in enumerate(drafts, 1)]
        if self.held is None:
            return succeed(result)
        return self.held.addCallback(lambda _: result)

    def dropped(self, event: str, source: str, reason: str, count: int = 1) -> None:
        self.drops[reason] += count

    @property
    def ids(self) -> list[str]:
        return [post.item.id.removeprefix("flickr:") for posts, _ in self.offers for post in posts]


def make_poller(
    http: HTTPClient,
    url: str,
    clock: Clock,
    *,
    stored: Callable[[], Deferred[str | None]] = lambda: succeed(None),
    interval_s: float = 60.0,
    **options: Any,
) -> FlickrPoller:
    return FlickrPoller(
        "conf",
        FlickrAccount(api_key=Secret(KEY), api_url=url),
        FlickrSource(tags=("aneventapart", "aea26"), interval_s=interval_s),
        http,
        clock,
        lambda: NOW + clock.seconds(),
        Random(5),
        starts=STARTS,
        position=stored,
        **options,
    )
