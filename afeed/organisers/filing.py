"""What organisers decide of filing: under which talk an item belongs, and that everything is filed again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from afeed.archive.filings import Correction, FilingStore
from afeed.archive.moderation import FILED_UNDER
from afeed.core.attribution.filing import Context, Filing, file
from afeed.core.change import timestamp
from afeed.core.errors import BadInput
from afeed.core.item import Item
from afeed.core.schedule.model import Schedule, Talk
from afeed.filing.register import Register
from afeed.organisers.moderation import Actor, Moderation
from afeed.schedules.programme import Programme


class Case(NamedTuple):
    """One item and what there is to know for deciding where it belongs: ``now`` is its talk, None for none;
    ``found`` what filing it alone says, and why; ``decided`` whether an organiser has put it there."""

    item: Item
    schedule: Schedule
    now: Talk | None
    found: Filing
    decided: bool


class Filers:
    """``programmes`` has the events whose items are filed; ``now`` gives seconds since 1970.

    Methods may raise :class:`~afeed.organisers.moderation.NotThere`, :class:`BadInput`,
    :class:`~afeed.core.errors.ArchiveUnavailable` and :class:`~afeed.core.errors.LogUnavailable`.
    """

    def __init__(
        self,
        programmes: Mapping[str, Programme],
        store: FilingStore,
        register: Register,
        moderation: Moderation,
        now: Callable[[], float],
    ) -> None:
        self._programmes = programmes
        self._store = store
        self._register = register
        self._moderation = moderation
        self._now = now

    def files(self, event: str) -> bool:
        """Whether the event has a schedule by which its items are filed, here and now."""
        programme = self._programmes.get(event)
        return programme is not None and programme.schedule is not None

    async def case(self, event: str, seq: int, item_id: str) -> Case:
        """What there is to know of the item that was first posted as ``seq``."""
        schedule, index = self._schedule(event), self._programmes[event].index
        assert index is not None
        item = await self._moderation.find(event, seq, item_id)
        return Case(
            item=item,
            schedule=schedule,
            now=schedule.talk(item.talk) if item.talk is not None else None,
            found=file(index, item, Context()),
            decided=self._register.decided(event, item_id) is not None,
        )

    async def correct(self, event: str, seq: int, item_id: str, talk: str | None, actor: Actor) -> Item:
        """Put an item under ``talk``, or under none, for good; returns it."""
        schedule = self._schedule(event)
        found = schedule.talk(talk) if talk is not None else None
        if talk is not None and (found is None or found.is_break):
            raise BadInput("there is no such talk")
        item = await self._moderation.find(event, seq, item_id)
        chosen = found.id if found is not None else None
        subject = f"{item_id}{FILED_UNDER}{chosen or 'none'}"
        action = actor.does("file", event, subject, self._now())
        number = await self._store.correct(event, item_id, chosen, action)
        await self._register.decide(Correction(number, event, item_id, chosen))
        return item

    async def again(self, event: str, actor: Actor) -> None:
        """Have everything filed again, in the background."""
        self._schedule(event)
        now = self._now()
        await self._store.ask(event, timestamp(now), actor.does("refile", event, event, now))

    def _schedule(self, event: str) -> Schedule:
        programme = self._programmes.get(event)
        if programme is None or programme.schedule is None:
            raise BadInput("the event has no schedule")
        return programme.schedule
