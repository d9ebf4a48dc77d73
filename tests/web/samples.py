"""Events, items and a feed for the tests of the pages."""

from __future__ import annotations

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from afeed.core.item import Author, Item
from afeed.core.outages import Outage
from afeed.interfaces import FeedPage, IFeed, PageItem
from afeed.settings import Event

#: 2026-11-22 at noon, UTC.
NOW = 1_795_348_800.0


def make_event(slug: str = "rehearsal", **other: Any) -> Event:
    """An event that is on at :data:`NOW`."""
    values: dict[str, Any] = {
        "name": "The Rehearsal",
        "timezone": ZoneInfo("UTC"),
        "starts": date(2026, 11, 21),
        "ends": date(2026, 11, 23),
        "hashtags": ("#rehearsal",),
    }
    return Event(slug=slug, **values | other)


def make_item(number: int = 1, **other: Any) -> Item:
    """A small post."""
    values: dict[str, Any] = {
        "source": "push",
        "author": Author(name="Ann", handle="ann"),
        "text": f"post {number}",
        "html": f"<p>post {number}</p>",
        "created_at": "2026-11-22T11:59:00Z",
    }
    return Item(id=f"push:{number}", **values | other)


@implementer(IFeed)
class FakeFeed:
    """A feed of whatever items it is given, newest last; ``failure`` is raised instead of any answer.  ``gaps``
    and ``stalled`` are on every page, and what has a number in ``hidden`` on none."""

    def __init__(self, *items: Item, epoch: str = "k3f9") -> None:
        self.items = list(items)
        self.epoch = epoch
        self.failure: Exception | None = None
        self.gaps: list[Outage] = []
        self.stalled = False
        self.hidden: set[int] = set()
        self.prompt: list[bool] = []
        self.asked: list[tuple[str, int, int | None]] = []

    def page(
        self, event: str, limit: int, before: int | None = None, prompt: bool = False
    ) -> Deferred[FeedPage]:
        self.asked.append((event, limit, before))
        self.prompt.append(prompt)
        if self.failure is not None:
            return fail(self.failure)
        numbered = [PageItem(seq, item) for seq, item in enumerate(self.items, 1) if seq not in self.hidden]
        visible = [entry for entry in reversed(numbered) if before is None or entry.seq < before]
        older = visible[limit - 1].seq if len(visible) > limit else None
        cursor = f"{self.epoch}:{len(self.items)}"
        return succeed(FeedPage(visible[:limit], cursor, older, tuple(self.gaps), self.stalled))
