"""Forgetting an author: what is theirs goes from everything that afeed keeps, and does not come back.

Whoever asks for it, a command or an organiser, writes a request into the archive's database.  From then on
every node turns away what is theirs, two seconds later at most, and the node that leads does the rest: it reads
all changes of the event, in the archive and what only the live log has yet, and offers the log removals, so
that every screen, cache, archive and search forgets by the way that is proven.  Each step may be repeated, so
whatever ends half-way is finished by the next who leads.

What others wrote stays.  An item of theirs that the author shared, or that quotes the author, is removed, which
takes all its earlier versions from the record, and posted again in the same step without the author.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

import attrs
import msgspec
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from afeed.archive.forgetting import DONE, ForgettingStore, Purge, Request
from afeed.archive.moderation import Action
from afeed.core.change import REMOVED, WITH_ITEM, Change, timestamp
from afeed.core.draft import RESTORED, Draft, Held, Posted, Removed
from afeed.core.errors import ArchiveUnavailable, LogUnavailable
from afeed.core.forgetting import EVERYWHERE, Forgotten, Part, author_hash, label
from afeed.core.item import Item
from afeed.interfaces import HeldItem, IArchive, ILiveLog

#: How often a node looks for who is forgotten, and what is to be done, in seconds.
LOOK_S = 2.0
#: The start waits so long at most to learn who is forgotten, in seconds.
LEARN_S = 2.0
#: After so many seconds every node turns away what is theirs: what came until then is looked for again.
SETTLE_S = 2 * LOOK_S + 1.0
#: Changes are read in pages of so many, and removals offered in batches of so many.
PAGE, BATCH = 500, 200
#: After each page there is a rest, so that the feed does not notice: as long as looking at it took, and more.
REST_S = 0.002
#: How often it is looked whether the archive has followed, in seconds.
FOLLOW_S = 0.25

_log = Logger()


class Files(Protocol):
    """What sees to it that removed content is gone from the files of a store, too."""

    def scrub(self) -> Deferred[bool]:
        """Fires with whether it is; False where somebody was in the way: try again."""


@attrs.define
class _Found:
    """What a reading of the changes has found: ids of items that are theirs, and the last state of those that
    are somebody else's and have to do with them."""

    own: set[str] = attrs.Factory(set)
    beside: dict[str, Item] = attrs.Factory(dict)
    removed: set[str] = attrs.Factory(set)
    talks: dict[str, str | None] = attrs.Factory(dict)
    upto: int = 0
    looked_at: int = 0

    def filed(self, item: Item) -> Item:
        """``item`` under the talk where it was filed last."""
        return msgspec.structs.replace(item, talk=self.talks.get(item.id, item.talk))


class Forgetting:
    """``events`` has those that this process can change; ``now`` gives seconds since 1970; ``forgotten`` is
    what sources and pushes ask.  ``files`` are the stores whose files have to forget; ``cleared()`` is called
    when what was made from items is to be made anew."""

    name = "forgetting"

    def __init__(
        self,
        store: ForgettingStore,
        forgotten: Forgotten,
        live_log: ILiveLog,
        archive: IArchive,
        events: Sequence[str],
        files: Sequence[Files],
        clock: IReactorTime,
        now: Callable[[], float],
        cleared: Callable[[], object] = lambda: None,
    ) -> None:
        self.store = store
        self.forgotten = forgotten
        self._live_log = live_log
        self._archive = archive
        self._events = events
        self._files = files
        self._clock = clock
        self._now = now
        self._cleared = cleared
        self._leads = False
        self._known: frozenset[tuple[str, bytes]] = frozenset()
        self._secret = b""
        #: When that was read last, and whether something may have come in before it could be read at all.
        self._looked_at: float | None = None
        self._blind = False

    def lead(self, leads: bool) -> None:
        """Whether this node carries out what is asked for."""
        self._leads = leads

    async def learn(self) -> None:
        """Find out who is forgotten, before anything comes in.  The feed does not wait long for it: what comes
        while it is not known is removed later."""
        try:
            await Deferred.fromCoroutine(self._know()).addTimeout(LEARN_S, self._clock)
        except (ArchiveUnavailable, TimeoutError) as error:
            self._blind = True
            _log.warn("It is not known yet who is forgotten: {why}", why=str(error) or "the database is slow")

    async def run(self) -> None:
        """Until cancelled."""
        told = False
        while True:
            try:
                await self._turn()
                told = False
            except (ArchiveUnavailable, LogUnavailable) as error:
                if not told:
                    _log.warn("Forgetting authors has to wait: {why}", why=str(error))
                told = True
            await deferLater(self._clock, LOOK_S)

    async def ask(self, scope: str, key: str, account: str, address: str) -> list[Request]:
        """Have an author forgotten, see :func:`ask`, at all events of this process or at one."""
        events = self._events if scope == EVERYWHERE else [scope]
        by = Action(timestamp(self._now()), account, address, "forget")
        requests = await ask(self.store, scope, events, key, by)
        await self._know()
        return requests

    # -- doing

    async def _know(self) -> None:
        looked_at = self._clock.seconds()
        known = frozenset(await self.store.forgotten())
        if known != self._known:
            self._secret = await self.store.secret()
            self.forgotten.know(self._secret, known)
            if self._blind or (self._looked_at is not None and looked_at - self._looked_at >= SETTLE_S):
                await self._again(known - self._known)
            self._known = known
            self._cleared()
        self._looked_at, self._blind = looked_at, False

    async def _again(self, late: frozenset[tuple[str, bytes]]) -> None:
        """Nobody has waited for this node to hear of these: what it let in of theirs is looked for again."""
        for scope, hash_ in sorted(late):
            events = [event for event in self._events if scope in (EVERYWHERE, event)]
            if events:
                await self.store.ask(scope, events, hash_, timestamp(self._now()), "afeed", None)

    async def _turn(self) -> None:
        await self._know()
        if not self._leads:
            return
        for request in await self.store.open():
            if request.event in self._events and self._leads:
                await self.carry_out(request)

    async def carry_out(self, request: Request, *, settle: bool = True) -> None:
        """Do what was asked for, from the beginning; do not ``settle`` where there is no other node.  Returns
        when it is done everywhere; raises :class:`~afeed.core.errors.ArchiveUnavailable` and
        :class:`~afeed.core.errors.LogUnavailable`, to be called again."""
        event = request.event
        _log.info("{event}: {who} is being forgotten", event=event, who=label(request.author_hash))
        only = Forgotten()
        only.know(self._secret or await self.store.secret(), [(event, request.author_hash)])
        await self._progress(request, detail=None)
        removed, cleaned = request.removed, request.cleaned
        looked_at = after = 0
        settled = not settle
        while True:
            found = await self._read(event, after, only, request, looked_at)
            looked_at += found.looked_at
            # Before they go from the log: whoever goes on after this process has died finds no ids any more.
            held = {one.item.id async for one in self._held(event) if only.part(event, one.item) is Part.AUTHOR}
            await self._purge(event, only, found.own | held, label(request.author_hash))
            gone, kept = await self._remove(event, only, found)
            gone_held, kept_held = await self._remove_held(event, only)
            removed += gone + gone_held
            cleaned += kept + kept_held
            await self._progress(request, looked_at=looked_at, removed=removed, cleaned=cleaned)
            # Nothing of theirs is between here and the next reading but what is newer.
            after = found.upto
            if settled and not found.own and not found.beside:
                break
            if not settled:
                await self._settle(request)
                settled = True
        await self._follow(request, after)
        await self._scrub(request)
        self._cleared()
        await self.store.progress(
            request.number, self._now(), state=DONE, done_at=timestamp(self._now()), detail=None
        )
        _log.info(
            "{event}: {who} is forgotten; {removed} items were removed, {cleaned} of others changed",
            event=event,
            who=label(request.author_hash),
            removed=removed,
            cleaned=cleaned,
        )

    async def _progress(self, request: Request, **values: object) -> None:
        await self.store.progress(request.number, self._now(), **values)

    async def _settle(self, request: Request) -> None:
        """Wait until every node knows."""
        until = self._clock.seconds() + SETTLE_S
        while (left := until - self._clock.seconds()) > 0:
            await deferLater(self._clock, min(left, 1.0))
            await self._progress(request)

    async def _read(self, event: str, after: int, only: Forgotten, request: Request, looked_at: int) -> _Found:
        """All changes above ``after``: those that are archived, then those that only the log has."""
        found = _Found(upto=after)
        beat = self._clock.seconds()
        archived = True
        while True:
            if archived:
                changes: Sequence[Change] = await self._archive.read(event, found.upto, PAGE)
                archived = bool(changes)
                if not archived:
                    continue
            else:
                changes = (await self._live_log.read(event, found.upto, PAGE)).changes
                if not changes:
                    return found
            began = self._clock.seconds()
            for change in changes:
                _sort(change, event, only, found)
            found.upto = changes[-1].seq
            found.looked_at += len(changes)
            now = self._clock.seconds()
            took = now - began
            if now - beat > 1.0:
                beat = now
                await self._progress(request, looked_at=looked_at + found.looked_at)
            await deferLater(self._clock, REST_S + min(took, 1.0))

    async def _remove(self, event: str, only: Forgotten, found: _Found) -> tuple[int, int]:
        """Take from the log what was found.  How many items were removed, and how many of others cleaned."""
        own = sorted(found.own - found.removed)
        for first in range(0, len(own), BATCH):
            await self._live_log.append(event, None, [Removed(id_) for id_ in own[first : first + BATCH]])
        others = sorted(found.beside.values(), key=lambda item: item.created_at)
        for first in range(0, len(others), BATCH):
            drafts: list[Draft] = []
            for item in others[first : first + BATCH]:
                # Removed and posted in one step: there is no moment at which it is lost.
                again = only.cleaned(event, found.filed(item))
                drafts += [Removed(item.id), Posted(again, RESTORED + secrets.token_hex(8))]
            await self._live_log.append(event, None, drafts)
        return len(own), len(others)

    async def _remove_held(self, event: str, only: Forgotten) -> tuple[int, int]:
        """The same for what is held back."""
        gone: list[Draft] = []
        kept: list[Held] = []
        stopped_ids: list[str] = []
        async for one in self._held(event):
            part = only.part(event, one.item)
            if part is Part.AUTHOR:
                gone.append(Removed(one.item.id))
            elif part is Part.BESIDE:
                item = only.cleaned(event, one.item)
                # Another version takes the place of the one that is held.
                version = f"{one.version} {secrets.token_hex(4)}"
                kept.append(Held(item, version, one.reason, one.until))
                stopped_ids += [item.id] if one.stopped else []
        if gone:
            await self._live_log.append(event, None, gone)
        if kept:
            await self._live_log.hold(event, kept)
        if stopped_ids:
            await self._live_log.stop_held(event, stopped_ids)
        return len(gone), len(kept)

    async def _held(self, event: str) -> AsyncIterator[HeldItem]:
        """Everything that is held back."""
        for stopped in (False, True):
            after: str | None = None
            while page := await self._live_log.held(event, BATCH, after, stopped):
                for one in page:
                    yield one
                after = page[-1].item.id

    async def _purge(self, event: str, only: Forgotten, ids: set[str], name: str) -> None:
        def rest(item: Item) -> Item | None:
            part = only.part(event, item)
            return None if part is Part.AUTHOR else item if part is None else only.cleaned(event, item)

        await self.store.purge(event, Purge(rest, lambda key: only.is_author(event, key), ids, name))

    async def _follow(self, request: Request, upto: int) -> None:
        """Wait until the archive has all that the log had."""
        head = await self._live_log.head(request.event)
        beat = self._clock.seconds()
        while True:
            position = await self._archive.position(request.event)
            if (position is not None and position.seq >= max(head.seq, upto)) or not head.seq:
                return
            if self._clock.seconds() - beat > 1.0:
                beat = self._clock.seconds()
                await self._progress(request, detail="the archive is behind the live log")
            await deferLater(self._clock, FOLLOW_S)

    async def _scrub(self, request: Request) -> None:
        """Have the files of the stores forget what their tables have forgotten."""
        for store in self._files:
            while not await store.scrub():
                await self._progress(request, detail="another program reads the files of the stores")
                await deferLater(self._clock, 1.0)


async def ask(store: ForgettingStore, scope: str, events: Sequence[str], key: str, by: Action) -> list[Request]:
    """Have the author with the key ``key`` forgotten in ``scope``, a slug or
    :data:`~afeed.core.forgetting.EVERYWHERE`, which has ``events``; ``by`` says who asks for it, and when.
    Returns the requests, which a node carries out soon; raises
    :class:`~afeed.core.errors.ArchiveUnavailable`."""
    hash_ = author_hash(await store.secret(), key)
    event = None if scope == EVERYWHERE else scope
    action = by._replace(event=event, subject=label(hash_))
    numbers = await store.ask(scope, events, hash_, by.at, by.account, action)
    _log.info(
        "{account}, from {address}, has {who} forgotten",
        account=by.account,
        address=by.address,
        who=label(hash_),
    )
    return await store.requests(numbers)


def _sort(change: Change, event: str, only: Forgotten, found: _Found) -> None:
    """Note what ``change`` has to do with them.  Every version counts: who was quoted once is in the record."""
    if change.id is None:
        return
    if change.type == REMOVED:
        found.beside.pop(change.id, None)
        if change.id in found.own:
            found.removed.add(change.id)
    elif change.type in WITH_ITEM:
        try:
            item = change.item()
        except msgspec.DecodeError:  # told of by the archive already
            return
        if item is not None:
            _sort_item(item, only.part(event, item), found)
    elif change.id in found.beside:
        filing = change.filing()
        if filing is not None:
            found.talks[filing.id] = filing.talk


def _sort_item(item: Item, part: Part | None, found: _Found) -> None:
    if part is Part.AUTHOR:
        found.own.add(item.id)
    if item.id in found.own:
        found.beside.pop(item.id, None)
        found.removed.discard(item.id)
    elif part is Part.BESIDE or item.id in found.beside:
        found.beside[item.id] = item
        if item.talk is not None:
            found.talks.pop(item.id, None)
