"""Stores in memory, for tests of those who use them."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from twisted.internet.defer import Deferred, fail, succeed

from afeed.archive.filters import Changed
from afeed.archive.moderation import Action, Blocked, Hidden
from afeed.core.item import Item


@attrs.define(slots=False)
class MemoryModerationStore:
    """Does what :class:`afeed.archive.moderation.ModerationStore` does; ``fault`` is an exception with which
    everything fails while it is set."""

    items: dict[tuple[str, str], Hidden] = attrs.Factory(dict)
    versions: dict[tuple[str, str], str] = attrs.Factory(dict)
    #: What the log was told of.
    told: set[tuple[str, str]] = attrs.Factory(set)
    authors: dict[tuple[str, str], Blocked] = attrs.Factory(dict)
    noted: list[Action] = attrs.Factory(list)
    fault: Exception | None = None

    def hide(self, event: str, items: Sequence[Hidden], action: Action | None) -> Deferred[None]:
        if self.fault is None:
            for one in items:
                self.items[event, one.item.id] = one
                self.versions.pop((event, one.item.id), None)
                self.told.discard((event, one.item.id))
        return self._done(None, action)

    def to_remove(self, event: str, limit: int) -> Deferred[list[str]]:
        pending = self.items.keys() - self.told - self.versions.keys()
        return self._done(sorted(item_id for slug, item_id in pending if slug == event)[:limit])

    def removed(self, event: str, item_ids: Sequence[str]) -> Deferred[None]:
        if self.fault is None:
            self.told.update((event, item_id) for item_id in item_ids)
        return self._done(None)

    def find(self, event: str, item_id: str) -> Deferred[Item | None]:
        found = self.items.get((event, item_id))
        return self._done(None if found is None else found.item)

    def hidden(self, event: str, limit: int, before: str | None = None) -> Deferred[list[Hidden]]:
        found = [one for one in self._newest_first(event) if one.because is None]
        return self._done([one for one in found if before is None or one.place < before][:limit])

    def hidden_because(self, event: str, limit: int, author: str | None = None) -> Deferred[list[Hidden]]:
        found = [one for one in self._newest_first(event) if one.because is not None]
        return self._done([one for one in found if author in (None, one.because)][:limit])

    def _newest_first(self, event: str) -> list[Hidden]:
        here = [hidden for (slug, _), hidden in self.items.items() if slug == event]
        return sorted(here, key=lambda one: one.place, reverse=True)

    def restoring(self, event: str, item_ids: Sequence[str], version: str) -> Deferred[list[tuple[Item, str]]]:
        found = [(event, item_id) for item_id in item_ids if (event, item_id) in self.items]
        return self._done([(self.items[one].item, self.versions.setdefault(one, version)) for one in found])

    def restored(
        self, event: str, posted: Sequence[tuple[Item, str]], action: Action | None = None
    ) -> Deferred[None]:
        these = [item.id for item, version in posted if self.versions.get((event, item.id)) == version]
        return self._drop(event, these, action)

    def blame(self, event: str, item_ids: Sequence[str], because: str) -> Deferred[None]:
        if self.fault is None:
            for one in {(event, item_id) for item_id in item_ids} & set(self.items):
                self.items[one] = self.items[one]._replace(because=because)
        return self._done(None)

    def forget(self, event: str, item_ids: Sequence[str]) -> Deferred[None]:
        return self._drop(event, item_ids, None)

    def _drop(self, event: str, item_ids: Sequence[str], action: Action | None) -> Deferred[None]:
        if self.fault is None:
            for item_id in item_ids:
                self.items.pop((event, item_id), None)
                self.versions.pop((event, item_id), None)
        return self._done(None, action)

    def block(self, blocked: Blocked, action: Action) -> Deferred[None]:
        if self.fault is None:
            self.authors.setdefault((blocked.event, blocked.key), blocked)
        return self._done(None, action)

    def unblock(self, event: str, author: str, action: Action) -> Deferred[None]:
        if self.fault is None:
            self.authors.pop((event, author), None)
        return self._done(None, action)

    def blocked(self) -> Deferred[list[Blocked]]:
        return self._done(list(reversed(self.authors.values())))

    def unblocked(self, event: str) -> Deferred[list[str]]:
        because = {one.because for (slug, _), one in self.items.items() if slug == event and one.because}
        return self._done(sorted(key for key in because if (event, key) not in self.authors))

    def actions(self, limit: int) -> Deferred[list[Action]]:
        return self._done(self.noted[: -limit - 1 : -1])

    def count(self) -> Deferred[int]:
        return self._done(len(self.noted))

    def _done(self, result: object, action: Action | None = None) -> Deferred:  # type: ignore[type-arg]
        if self.fault is not None:
            return fail(self.fault)
        if action is not None:
            self.noted.append(action)
        return succeed(result)


@attrs.define(slots=False)
class MemoryFilterStore:
    """Does what :class:`afeed.archive.filters.FilterStore` does, and fails as ``moderation`` does, which notes
    the actions."""

    moderation: MemoryModerationStore
    kept: dict[str, Changed] = attrs.Factory(dict)

    def changed(self) -> Deferred[dict[str, Changed]]:
        return self._done(dict(self.kept))

    def change(self, event: str, changed: Changed, action: Action) -> Deferred[None]:
        if self.moderation.fault is None:
            self.kept[event] = changed
        return self._done(None, action)

    def forget(self, event: str, action: Action) -> Deferred[None]:
        if self.moderation.fault is None:
            self.kept.pop(event, None)
        return self._done(None, action)

    def note(self, actions: Sequence[Action]) -> Deferred[None]:
        if self.moderation.fault is None:
            self.moderation.noted.extend(actions)
        return self._done(None)

    def _done(self, result: object, action: Action | None = None) -> Deferred:  # type: ignore[type-arg]
        return self.moderation._done(result, action)
