"""What is kept from the screen, as this node knows it, and what organisers do about it.

The configuration says what applies (``[events.filters]``), until an organiser changes it: from then on the
archive's database does, for all nodes, until somebody has the configuration apply again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from afeed.archive.filters import Changed, FilterStore
from afeed.archive.moderation import ModerationStore
from afeed.core.change import timestamp
from afeed.core.draft import Draft, Held, Posted
from afeed.core.errors import ArchiveUnavailable, LogUnavailable
from afeed.core.filters import Filters, Verdict, judge
from afeed.core.item import Item
from afeed.interfaces import HeldItem, ILiveLog
from afeed.organisers.blocks import Blocks
from afeed.organisers.moderation import LEARN_S, LOOK_S, Actor, NotThere
from afeed.settings import Event

_log = Logger()

#: What comes together is shown a millisecond apart, but the last of it no more than so many seconds late.
MOST_APART_S = 0.3

#: What is held is looked through in pages of so many.
BATCH = 200

#: What is kept back because afeed failed to judge it.
_DEFECT = Verdict("defect")


class Rules:
    """The filters of all ``events``, at hand for every draft before it is recorded.  ``now`` gives seconds
    since 1970."""

    def __init__(self, events: Iterable[Event], now: Callable[[], float]) -> None:
        self._in_file = {event.slug: event.filters for event in events}
        self._changed: Mapping[str, Changed] = {}
        self._now = now
        #: When the last of what is held for a while is to be shown, by event, in seconds since 1970.
        self._last_due: dict[str, float] = {}

    @property
    def events(self) -> tuple[str, ...]:
        """The slugs of all events."""
        return tuple(self._in_file)

    def know(self, changed: Mapping[str, Changed]) -> None:
        """These were changed, and nothing else."""
        self._changed = changed

    def at(self, event: str) -> Filters:
        """What applies there."""
        changed = self._changed.get(event)
        return self.in_file(event) if changed is None else changed.filters

    def in_file(self, event: str) -> Filters:
        """What the configuration says."""
        return self._in_file.get(event, _NONE)

    def change_of(self, event: str) -> Changed | None:
        """Since when and because of whom something else applies; None where nothing else does."""
        return self._changed.get(event)

    def holds(self, event: str, draft: Draft) -> Held | None:
        """What is to be held back of ``draft``, None where it may be shown at once.  A removal always may."""
        if not isinstance(draft, Posted):
            return None
        try:
            verdict = judge(self.at(event), draft.item)
        except Exception:  # one item must not stop its source, and nobody has seen it yet
            _log.failure(
                "{event}: {id} could not be judged, which is a defect of afeed: please report it. It waits for "
                "an organiser",
                event=event,
                id=draft.item.id,
            )
            verdict = _DEFECT
        if verdict is None:
            return None
        until = None if verdict.wait_s is None else timestamp(self._due(event, verdict.wait_s))
        return Held(draft.item, draft.version, verdict.reason, until)

    def _due(self, event: str, wait_s: float) -> float:
        """When what is held now is to be shown: a moment later than what came right before, for what is due at
        the same time is shown in no order."""
        due = self._now() + wait_s
        last = self._last_due.get(event, 0.0)
        if due - 0.001 < last < due + MOST_APART_S:
            due = last + 0.001
        self._last_due[event] = due
        return due


_NONE = Filters()


class Filtering:
    """Keeps ``rules`` as the database has them, and does what organisers ask for.

    Methods that take an :class:`~afeed.organisers.moderation.Actor` may raise
    :class:`~afeed.organisers.moderation.NotThere`, :class:`~afeed.core.errors.ArchiveUnavailable` and
    :class:`~afeed.core.errors.LogUnavailable`.
    """

    def __init__(
        self,
        rules: Rules,
        blocks: Blocks,
        store: FilterStore,
        moderation: ModerationStore,
        live_log: ILiveLog,
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        self.rules = rules
        self._blocks = blocks
        self._store = store
        self._moderation = moderation
        self._live_log = live_log
        self._now = now
        #: How much organisers had done when the filters were last read.
        self._seen: int | None = None
        #: The blocked authors whose held posts were stopped, by event.
        self._swept: dict[str, frozenset[str]] = {}
        self._told = False
        self._looking = LoopingCall(self._look)
        self._clock = self._looking.clock = clock

    async def learn(self) -> None:
        """Find out what organisers changed, before anything comes in.  The feed does not wait long for it:
        until it is known, what the configuration says applies."""
        try:
            await Deferred.fromCoroutine(self._know()).addTimeout(LEARN_S, self._clock)
        except (ArchiveUnavailable, TimeoutError) as error:
            _log.warn(
                "It is not known yet what organisers keep from the screen ({why}); what the configuration says "
                "applies meanwhile",
                why=str(error) or "the database is slow",
            )

    def start(self) -> None:
        """Begin to look at what is done at other nodes."""
        self._looking.start(LOOK_S)

    def stop(self) -> None:
        """Look no more."""
        if self._looking.running:
            self._looking.stop()

    # -- the filters

    async def change(self, event: str, filters: Filters, actor: Actor) -> None:
        """Have ``filters`` apply, at every node; what is held already stays so."""
        changed = Changed(filters, timestamp(self._now()), actor.account)
        await self._store.change(event, changed, actor.does("filters", event, filters.mode, self._now()))
        await self._know()

    async def reset(self, event: str, actor: Actor) -> None:
        """Have the configuration apply again."""
        await self._store.forget(
            event, actor.does("unfilter", event, self.rules.in_file(event).mode, self._now())
        )
        await self._know()

    # -- what is held

    def held(
        self, event: str, limit: int, after: str | None = None, *, stopped: bool = False
    ) -> Deferred[list[HeldItem]]:
        """See :meth:`~afeed.interfaces.ILiveLog.held`."""
        return self._live_log.held(event, limit, after, stopped)

    async def show(self, event: str, ids: Sequence[str], actor: Actor) -> int:
        """Show what is held of ``ids``, in that order; how many were."""
        released = [
            (item_id, recorded)
            for item_id, recorded in zip(ids, await self._live_log.release(event, ids), strict=True)
            if recorded.seq
        ]
        if not released:
            raise NotThere
        await self._store.note([actor.does("show", event, item_id, self._now()) for item_id, _ in released])
        return len(released)

    async def refuse(self, event: str, ids: Sequence[str], actor: Actor) -> None:
        """Keep ``ids`` from being shown; each may be shown all the same later on."""
        await self._live_log.stop_held(event, ids)
        await self._store.note([actor.does("refuse", event, item_id, self._now()) for item_id in ids])

    async def find(self, event: str, item_id: str) -> Item:
        """The item with this id as it is held."""
        for stopped in (False, True):
            after: str | None = None
            while True:
                page = await self._live_log.held(event, BATCH, after, stopped)
                for one in page:
                    if one.item.id == item_id:
                        return one.item
                if len(page) < BATCH:
                    break
                after = page[-1].item.id
        raise NotThere

    # -- keeping up

    def _look(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._catch_up()).addErrback(self._failed)

    async def _catch_up(self) -> None:
        try:
            if self._seen is None or await self._moderation.count() != self._seen:
                await self._know()
            for event in self.rules.events:
                await self.stop_blocked(event)
        except (ArchiveUnavailable, LogUnavailable) as error:
            if not self._told:
                _log.warn("What organisers keep from the screen cannot be looked up: {why}", why=str(error))
            self._told = True
        else:
            self._told = False

    async def _know(self) -> None:
        # Counted first: what is done meanwhile is seen the next time.
        count = await self._moderation.count()
        self.rules.know(await self._store.changed())
        self._seen = count

    async def stop_blocked(self, event: str) -> None:
        """Keep what blocked authors have waiting from being shown when its time is up."""
        keys = self._blocks.at(event)
        if keys - self._swept.get(event, frozenset()):
            after: str | None = None
            while True:
                page = await self._live_log.held(event, BATCH, after)
                theirs = [one.item.id for one in page if self._blocks.because(event, one.item) is not None]
                # Those that are stopped stand no longer where the next page begins.
                after = next((one.item.id for one in reversed(page) if one.item.id not in theirs), after)
                if theirs:
                    await self._live_log.stop_held(event, theirs)
                if len(page) < BATCH:
                    break
        self._swept[event] = keys

    def _failed(self, failure: Failure) -> None:
        _log.failure("what organisers keep from the screen could not be looked up; it is tried again", failure)
