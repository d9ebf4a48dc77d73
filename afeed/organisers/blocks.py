"""Who is blocked, at hand for every draft before it is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from afeed.archive.moderation import Blocked
from afeed.core.draft import Draft, Posted, Removed
from afeed.core.filters import is_among
from afeed.core.item import Item
from afeed.core.moderation import author_keys


class Blocks:
    """The blocked authors of all events, as this node knows them.  ``gone(event, id)`` hears of items that are
    removed upstream, for a hidden one must go, too.

    ``in_file`` has for each event those whom the configuration blocks: nothing new of theirs comes in, and what
    is there already stays.
    """

    def __init__(self, in_file: Mapping[str, tuple[str, ...]] = MappingProxyType({})) -> None:
        self._in_file = in_file
        self._keys: dict[str, frozenset[str]] = {}
        self.gone: Callable[[str, str], None] = lambda event, id_: None

    def know(self, blocked: Iterable[Blocked]) -> None:
        """These are blocked, and nobody else."""
        found: dict[str, set[str]] = {}
        for one in blocked:
            found.setdefault(one.event, set()).add(one.key)
        self._keys = {event: frozenset(keys) for event, keys in found.items()}

    def at(self, event: str) -> frozenset[str]:
        """The keys of those who are blocked there."""
        return self._keys.get(event, frozenset())

    def because(self, event: str, item: Item) -> str | None:
        """The key of the blocked author for whom ``item`` is not to be shown, None where it may be."""
        keys = self._keys.get(event)
        return min(keys & author_keys(item), default=None) if keys else None

    def admits(self, event: str, draft: Draft) -> bool:
        """Whether ``draft`` may be recorded."""
        if isinstance(draft, Posted):
            return self.because(event, draft.item) is None and not self._named(event, draft.item)
        if isinstance(draft, Removed):
            self.gone(event, draft.id)
        return True

    def _named(self, event: str, item: Item) -> bool:
        named = self._in_file.get(event, ())
        authors = (item.author, item.shared_by)
        return any(one is not None and is_among(named, item.source, one) for one in authors) if named else False
