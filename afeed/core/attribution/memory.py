"""What is remembered of an event's newest items, so that each is filed with what is known of the others.

A reply belongs to its parent's talk, and an author who was at one talk is likely to speak of it again.  Both
may become known later than the item itself: then those that can gain by it are looked at once more, and only
those, so that nothing wanders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import attrs

from afeed.core.attribution.filing import Context, file
from afeed.core.attribution.index import Index
from afeed.core.item import Item
from afeed.core.moderation import author_key

#: So many items are remembered with their talk; of so many of these, the newest, all that they say.
MOST, MOST_WHOLE = 20_000, 3_000
#: An item is looked at again so often at most, and so many of an author's, or of the replies to one, at a time.
MOST_LOOKS, MOST_OTHERS = 3, 20


class Move(NamedTuple):
    """The item ``id`` belongs under ``talk`` now, none for None."""

    id: str
    talk: str | None


@attrs.define
class _Known:
    """What is remembered of one item; ``item`` is None once it is among the older ones."""

    item: Item | None
    talk: str | None
    firm: bool
    author: str | None
    reply_to: str | None
    looks: int = 0
    #: Whether those that may gain by it were looked at.
    told: bool = False


class Memory:
    """Of one event.  ``index`` is its schedule, None while there is none; ``fixed`` holds what organisers
    decided, by item."""

    def __init__(self, most: int = MOST, most_whole: int = MOST_WHOLE) -> None:
        self.index: Index | None = None
        self.fixed: dict[str, str | None] = {}
        self._most = most
        self._most_whole = most_whole
        self._known: dict[str, _Known] = {}
        #: The same without the older ones.
        self._whole: dict[str, _Known] = {}
        self._by_author: dict[str, dict[str, None]] = {}
        self._seen: dict[str, Counter[str]] = {}
        self._replies: dict[str, dict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def talk(self, item_id: str) -> str | None:
        """Where this item is, as far as is remembered."""
        known = self._known.get(item_id)
        return known.talk if known is not None else None

    def knows(self, item_id: str) -> bool:
        return item_id in self._known

    def follow(self, talk: str | None) -> str | None:
        """The id that the talk which had this one, in an earlier version of the schedule, has now."""
        return talk if self.index is None or talk is None else self.index.schedule.aliases.get(talk, talk)

    def file(self, item: Item) -> str | None:
        """The talk that ``item``, which is new or was edited, is about.  Without a schedule that is what the
        item says.  Nothing but an organiser takes an item that is filed out of all talks because it was
        edited."""
        known = self._known.get(item.id)
        if known is not None and known.item is not None and _same(known.item, item):
            return known.talk
        talk, firm = self._weighed(item, known)
        if talk is None and known is not None and item.id not in self.fixed:
            talk = known.talk
        self._remember(item, talk, firm)
        return talk

    def came(self, item: Item) -> list[Move]:
        """``item`` was recorded, under the talk that it says: what is to be filed elsewhere because of that.
        An item that was recorded by somebody who knew less may be among these."""
        known = self._known.get(item.id)
        moves: list[Move] = []
        if known is None or known.item is None or not _same(known.item, item):
            known = self._noted(item, known, moves)
        elif item.talk is not None and known.talk != item.talk:
            self._move(item.id, known, item.talk, False)
        return moves + self.gains(item.id)

    def _noted(self, item: Item, known: _Known | None, moves: list[Move]) -> _Known:
        """Remember an item that was filed elsewhere, by another node or before an edit."""
        talk, firm = self._weighed(item, known)
        present = item.talk
        if present is None and known is not None:
            present = known.talk
        lost = self.index is not None and present is not None and present not in self.index.numbers
        if talk != present and (item.id in self.fixed or (talk is not None and (present is None or lost))):
            moves.append(Move(item.id, talk))
        else:
            firm = firm and talk == present
            talk = present
        return self._remember(item, talk, firm)

    def recall(self, item: Item) -> None:
        """``item`` was recorded a while ago, and is where it says; nothing follows from it."""
        talk, firm = self._weighed(item, self._known.get(item.id))
        self._remember(item, item.talk, firm and talk == item.talk).told = True

    def reweigh(self) -> Iterator[None]:
        """After the schedule has changed, find out anew which items say where their author was; one for each
        step.  Where they are filed stays."""
        for item_id, known in tuple(self._whole.items()):
            if known.item is not None and self._known.get(item_id) is known:
                talk, firm = self._weighed(known.item, known)
                self._move(item_id, known, known.talk, firm and talk == known.talk)
            yield

    def gains(self, item_id: str) -> list[Move]:
        """What is to be filed elsewhere because this item is known now; nothing the second time."""
        known = self._known.get(item_id)
        if known is None or known.told:
            return []
        known.told = True
        return list(self._gains(item_id, known))

    def filed(self, item_id: str, talk: str | None) -> list[Move]:
        """The item is under ``talk`` now; what is to be filed elsewhere because of that."""
        known = self._known.get(item_id)
        if known is None:
            return []
        moved = known.talk != talk
        if moved:
            self._move(item_id, known, talk, talk is not None and item_id in self.fixed)
        return list(self._of_replies(item_id)) if moved else []

    def gone(self, item_id: str) -> None:
        """The item was removed: nothing of it is remembered."""
        known = self._known.pop(item_id, None)
        if known is not None:
            self._drop(item_id, known)

    # -- what an item says, with what is known beside it

    def _weighed(self, item: Item, known: _Known | None) -> tuple[str | None, bool]:
        if item.id in self.fixed:
            talk = self.follow(self.fixed[item.id])
            return talk, talk is not None
        if self.index is None:
            return item.talk, False
        filing = file(self.index, item, self._context(item, known))
        return filing.talk, filing.firm

    def _context(self, item: Item, known: _Known | None) -> Context:
        parent = None
        if item.reply_to is not None:
            above = self._known.get(item.reply_to)
            parent = above.talk if above is not None else self.fixed.get(item.reply_to)
        seen: Mapping[str, int] = {}
        author = author_key(item.source, item.author)
        if author is not None and author in self._seen:
            seen = self._seen[author]
            if known is not None and known.firm and known.talk is not None:
                # What it says itself is no news to it.
                seen = +(Counter(seen) - Counter([known.talk]))
        return Context(parent, seen)

    # -- who gains by what has become known

    def _gains(self, item_id: str, known: _Known) -> Iterator[Move]:
        yield from self._of_replies(item_id)
        if not known.firm or known.talk is None or known.author is None:
            return
        if self._seen[known.author][known.talk] == 1:  # else the others know it already
            others = self._by_author.get(known.author, {})
            yield from self._again(one for one in reversed(others) if one != item_id and self.talk(one) is None)

    def _of_replies(self, item_id: str) -> Iterator[Move]:
        if self.talk(item_id) is not None:
            yield from self._again(self._replies.get(item_id, ()))

    def _again(self, ids: Iterable[str]) -> Iterator[Move]:
        """Look at items again.  They are moved to where they belong, and never out of all talks."""
        todo = [id_ for id_, _ in zip(ids, range(MOST_OTHERS), strict=False)]
        while todo:
            item_id = todo.pop()
            known = self._whole.get(item_id)
            if known is None or known.item is None or item_id in self.fixed or known.looks >= MOST_LOOKS:
                continue
            known.looks += 1
            talk, firm = self._weighed(known.item, known)
            if talk is not None and talk != known.talk:
                self._move(item_id, known, talk, firm)
                yield Move(item_id, talk)
                todo.extend(list(self._replies.get(item_id, ()))[:MOST_OTHERS])

    # -- the books

    def _remember(self, item: Item, talk: str | None, firm: bool) -> _Known:
        before = self._known.pop(item.id, None)
        known = _Known(item, talk, firm, author_key(item.source, item.author), item.reply_to)
        if before is not None:
            known.looks = before.looks
            self._drop(item.id, before)
        self._known[item.id] = self._whole[item.id] = known
        if known.author is not None:
            self._by_author.setdefault(known.author, {})[item.id] = None
        if known.reply_to is not None:
            self._replies.setdefault(known.reply_to, {})[item.id] = None
        self._count(known, 1)
        if len(self._whole) > self._most_whole:
            older = next(iter(self._whole))
            self._whole.pop(older).item = None
        if len(self._known) > self._most:
            self.gone(next(iter(self._known)))
        return known

    def _move(self, item_id: str, known: _Known, talk: str | None, firm: bool) -> None:
        self._count(known, -1)
        known.talk, known.firm = talk, firm
        self._count(known, 1)

    def _drop(self, item_id: str, known: _Known) -> None:
        self._whole.pop(item_id, None)
        self._count(known, -1)
        for books, key in ((self._by_author, known.author), (self._replies, known.reply_to)):
            ids = books.get(key) if key is not None else None
            if ids is not None and key is not None:
                ids.pop(item_id, None)
                if not ids:
                    del books[key]

    def _count(self, known: _Known, by: int) -> None:
        if not known.firm or known.talk is None or known.author is None:
            return
        seen = self._seen.setdefault(known.author, Counter())
        seen[known.talk] += by
        if seen[known.talk] <= 0:
            del seen[known.talk]
        if not seen:
            del self._seen[known.author]


def _same(one: Item, other: Item) -> bool:
    """Whether they say the same, wherever they are filed."""
    return (
        one.text == other.text
        and one.created_at == other.created_at
        and one.reply_to == other.reply_to
        and one.media == other.media
    )
