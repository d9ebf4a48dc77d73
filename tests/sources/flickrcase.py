"""What the tests of the Flickr poller have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from treq.client import HTTPClient
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from afeed.core.draft import Draft, Posted
from afeed.interfaces import ISink, Position, Recorded
from afeed.settings import FlickrAccount, FlickrSource, Secret
from afeed.sources.flickr import FlickrPoller

NOW = 1_772_355_600
STARTS = NOW - 86_400
KEY = "k3y-that-nobody-may-see"


@implementer(ISink)
class Sink:
    """Remembers what it was offered; with ``held`` it answers when that fires."""

    def __init__(self) -> None:
        self.offers: list[tuple[list[Posted], str | None]] = []
        self.drops: Counter[str] = Counter()
        self.held: Deferred[None] | None = None

    def offer(
        self, event: str, drafts: Sequence[Draft], position: Position | None = None
    ) -> Deferred[list[Recorded]]:
        posts = [draft for draft in drafts if isinstance(draft, Posted)]
        assert len(posts) == len(drafts)
        self.offers.append((posts, position.value if position is not None else None))
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
