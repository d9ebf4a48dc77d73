"""Hiding and restoring items, blocking and unblocking authors.

What is hidden is first put where only organisers see it, and then removed from the log like anything that is
gone upstream: so every screen, cache and archive forgets it by the way that is proven.  Each step may be
repeated, so whatever ends half-way (a database or a log that is away) is finished by doing it once more.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from afeed.archive.moderation import Action, Blocked, Hidden, ModerationStore
from afeed.channel import Channel
from afeed.core.change import EDITED, POSTED, timestamp
from afeed.core.draft import RESTORED, Posted, Removed
from afeed.core.errors import ArchiveUnavailable, BadInput, LogUnavailable
from afeed.core.item import Item
from afeed.core.moderation import author_key
from afeed.interfaces import IFeed, ILiveLog, ISubscriber
from afeed.organisers.blocks import Blocks

#: How often a node looks for what was done at another, and does what could not be done before, in seconds.
LOOK_S = 2.0
#: The start waits so long at most to learn who is blocked, in seconds.
LEARN_S = 2.0
#: Items of a blocked author are looked for in pages of so many, and restored in batches of as many.
BATCH = 200
#: So many items that are gone upstream are remembered while the database is away.
MOST_GONE = 10_000

_log = Logger()


class Actor(NamedTuple):
    """Who does something, and from where."""

    account: str
    address: str

    def does(self, action: str, event: str, subject: str, now: float) -> Action:
        """What is to go on record of this, done ``now``, in seconds since 1970; afeed's log has it at once."""
        _log.info(
            "{account}, from {address}: {action} {subject} at {event}",
            account=self.account,
            address=self.address,
            action=action,
            subject=subject,
            event=event,
        )
        return Action(timestamp(now), self.account, self.address, action, event, subject)


class NotThere(Exception):
    """The item is not shown, or not hidden, any more."""


class Moderation:
    """``channels`` has every event, ``now`` gives seconds since 1970.

    Methods that take an :class:`Actor` may raise :class:`NotThere`,
    :class:`~afeed.core.errors.ArchiveUnavailable` and :class:`~afeed.core.errors.LogUnavailable`.
    """

    def __init__(
        self,
        store: ModerationStore,
        blocks: Blocks,
        live_log: ILiveLog,
        feed: IFeed,
        channels: Mapping[str, Channel],
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        self.store = store
        self._blocks = blocks
        self._live_log = live_log
        self._feed = feed
        self._channels = channels
        self._now = now
        #: How much was done when everything that follows from it was done here, too; None while it is not.
        self._seen: int | None = None
        #: The blocked authors whose items were looked for and hidden, by event.
        self._swept: dict[str, frozenset[str]] = {}
        self._told = False
        #: By event, what is still to be forgotten by the database.
        self._gone: dict[str, set[str]] = {}
        self._looking = LoopingCall(self._look)
        self._clock = self._looking.clock = clock
        blocks.gone = self._is_gone

    async def learn(self) -> None:
        """Find out who is blocked, before anything comes in.  The feed does not wait long for it: what comes
        while it is not known is hidden later."""
        try:
            await Deferred.fromCoroutine(self._know()).addTimeout(LEARN_S, self._clock)
        except (ArchiveUnavailable, TimeoutError) as error:
            _log.warn("It is not known yet who is blocked: {why}", why=str(error) or "the database is slow")

    def start(self) -> None:
        """Begin to look at what comes, and at what is done at other nodes."""
        for event, channel in self._channels.items():
            channel.subscribers.append(_Watch(self, event, channel))
        self._looking.start(LOOK_S)

    def stop(self) -> None:
        """Look no more."""
        if self._looking.running:
            self._looking.stop()

    # -- items

    async def hide(self, event: str, seq: int, item_id: str, actor: Actor) -> Item:
        """Take the item that was first posted as ``seq`` from every screen."""
        item = await self.find(event, seq, item_id)
        await self._hide(event, [(item, None)], actor.does("hide", event, item_id, self._now()))
        return item

    async def find(self, event: str, seq: int, item_id: str) -> Item:
        """The item that was first posted as ``seq``."""
        page = await self._feed.page(event, 1, seq + 1)
        for found in page.items:
            if found.item.id == item_id:
                return found.item
        raise NotThere

    async def restore(self, event: str, item_id: str, actor: Actor) -> Item:
        """Post it again, as it was when it was hidden."""
        item = await self.store.find(event, item_id)
        if item is None:
            raise NotThere
        if self._blocks.because(event, item) is not None:
            raise BadInput("its author is blocked")
        again = await self.store.restoring(event, [item_id], RESTORED + secrets.token_hex(8))
        if not again:
            raise NotThere
        await self._post(event, again, actor.does("restore", event, item_id, self._now()))
        return item

    async def _post(self, event: str, again: Sequence[tuple[Item, str]], action: Action | None) -> None:
        """Show items again, under versions of their own.  Only then they are dropped where they were hidden,
        unless they have been hidden once more by then."""
        oldest_first = sorted(again, key=lambda one: one[0].created_at)
        await self._live_log.append(event, None, [Posted(*one) for one in oldest_first])
        await self.store.restored(event, again, action)

    async def _hide(self, event: str, items: Sequence[tuple[Item, str | None]], action: Action | None) -> None:
        """Hide ``items``, each because of a blocked author or for its own sake."""
        at = timestamp(self._now())
        await self.store.hide(event, [Hidden(item, at, because) for item, because in items], action)
        await self._remove(event, [item.id for item, _ in items])

    async def _remove(self, event: str, ids: Sequence[str]) -> None:
        """Take hidden items from the log.  If it is away it is done later, by this process or the next: the
        database knows which are left."""
        try:
            await self._live_log.append(event, None, [Removed(id_) for id_ in ids])
            await self.store.removed(event, ids)
        except Exception:
            self._seen = None
            raise

    # -- authors

    async def block(self, event: str, seq: int, item_id: str, actor: Actor) -> Blocked:
        """Hide everything by the author of an item, and let nothing more of theirs in."""
        return await self.block_author(event, await self.find(event, seq, item_id), actor)

    async def block_author(self, event: str, item: Item, actor: Actor) -> Blocked:
        """The same with an ``item`` that need not be shown."""
        key = author_key(item.source, item.author)
        if key is None:
            raise BadInput("nothing is known of its author")
        name = f"@{item.author.handle}" if item.author.handle else item.author.name
        blocked = Blocked(event, key, f"{item.author.name} ({name})", timestamp(self._now()))
        await self.store.block(blocked, actor.does("block", event, key, self._now()))
        await self._know()
        await self._sweep_for_new(event)
        return blocked

    async def unblock(self, event: str, key: str, actor: Actor) -> None:
        """Let an author in again, and show what was hidden because of them."""
        await self.store.unblock(event, key, actor.does("unblock", event, key, self._now()))
        await self._know()
        await self._let_in(event, key)

    async def _let_in(self, event: str, key: str) -> None:
        """Show what was hidden because of an author who is blocked no more (and not again by now).  What
        somebody else brought as well, who is still blocked, stays hidden because of them."""
        while key not in self._blocks.at(event):
            found = await self.store.hidden_because(event, BATCH, key)
            if not found:
                return
            ids = []
            for item in (one.item for one in found):
                because = self._blocks.because(event, item)
                if because is None:
                    ids.append(item.id)
                else:
                    await self.store.blame(event, [item.id], because)
            if ids:
                again = await self.store.restoring(event, ids, RESTORED + secrets.token_hex(8))
                await self._post(event, again, None)

    async def _sweep(self, event: str) -> None:
        """Hide what blocked authors have on the pages."""
        before: int | None = None
        while True:
            page = await self._feed.page(event, BATCH, before)
            theirs = [
                (found.item, because)
                for found in page.items
                if (because := self._blocks.because(event, found.item)) is not None
            ]
            if theirs:
                await self._hide(event, theirs, None)
            if page.older is None:
                return
            before = page.older

    def came(self, event: str, item: Item) -> None:
        """Something was recorded, perhaps by a node that did not know yet."""
        if self._blocks.because(event, item) is not None:
            work = Deferred.fromCoroutine(self._hide_if_blocked(event, item))
            work.addErrback(self._not_hidden, event, item)

    def _not_hidden(self, failure: Failure, event: str, item: Item) -> None:
        self._failed(failure, f"{item.id} of a blocked author could not be hidden")
        self._swept.pop(event, None)  # so that it is looked for

    async def _hide_if_blocked(self, event: str, item: Item) -> None:
        # It may be here because another node has just let its author in again.
        await self._know()
        because = self._blocks.because(event, item)
        if because is not None:
            await self._hide(event, [(item, because)], None)

    def interested(self, event: str) -> bool:
        """Whether anything that comes may have to be hidden."""
        return bool(self._blocks.at(event))

    # -- keeping up

    def _is_gone(self, event: str, item_id: str) -> None:
        gone = self._gone.setdefault(event, set())
        if len(gone) < MOST_GONE:
            gone.add(item_id)

    def _look(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._catch_up()).addErrback(self._failed, "moderation could not go on")

    async def _catch_up(self) -> None:
        """Do what is still to be done.  What fails at one event keeps no other waiting."""
        troubles = []
        try:
            count = await self.store.count()
            if news := count != self._seen:
                await self._know()
        except ArchiveUnavailable as error:
            troubles.append(str(error))
        else:
            # Noted first: what fails from here on is to be seen again.
            self._seen = count
            for event in self._channels:
                try:
                    await self._tend(event, news)
                except (ArchiveUnavailable, LogUnavailable) as error:
                    self._seen = None
                    troubles.append(str(error))
                except Exception:  # a defect, which is told and not to spread
                    self._seen = None
                    self._failed(Failure(), f"moderation could not go on at {event}")
        if troubles and not self._told:
            why = "; ".join(dict.fromkeys(troubles))
            _log.warn("What organisers hide and block has to wait: {why}", why=why)
        self._told = bool(troubles)

    async def _tend(self, event: str, news: bool) -> None:
        """Do what is still to be done at one event; much of it only if there are ``news`` in the database."""
        if news:
            # Each time as the database has it now: another node may have restored some of these.
            while ids := await self.store.to_remove(event, BATCH):
                await self._remove(event, ids)
        await self._sweep_for_new(event)
        await self._forget_gone(event)
        if news:
            # Authors go from the database first: what shows their items may have ended before it was done.
            for key in await self.store.unblocked(event):
                await self._let_in(event, key)

    async def _sweep_for_new(self, event: str) -> None:
        keys = self._blocks.at(event)
        new = keys - self._swept.get(event, frozenset())
        self._swept[event] = keys
        if new:
            try:
                await self._sweep(event)
            except Exception:
                self._swept.pop(event, None)
                raise

    async def _forget_gone(self, event: str) -> None:
        gone = self._gone.pop(event, set())
        if gone:
            try:
                await self.store.forget(event, sorted(gone))
            except ArchiveUnavailable:
                self._gone.setdefault(event, set()).update(gone)
                raise

    async def _know(self) -> None:
        self._blocks.know(await self.store.blocked())

    def _failed(self, failure: Failure, what: str) -> None:
        _log.failure("{what}; it is tried again", failure, what=what)


@implementer(ISubscriber)
class _Watch:
    """Looks at every new item of one event."""

    def __init__(self, moderation: Moderation, event: str, channel: Channel) -> None:
        self._moderation = moderation
        self._event = event
        self._channel = channel

    def changed(self, first: int, last: int) -> None:
        """See :class:`~afeed.interfaces.ISubscriber`."""
        if not self._moderation.interested(self._event):
            return
        for change in self._channel.window(first - 1, last - first + 1):
            item = change.item() if change.type in (POSTED, EDITED) else None
            if item is not None:
                self._moderation.came(self._event, item)

    def stalled(self) -> None:
        """Nothing to do: what could not be removed is tried again anyway."""

    def ended(self, retry_ms: int) -> None:
        """It stays, and goes on with the new epoch."""
