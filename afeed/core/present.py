"""The present state of a stretch of changes: what a page shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from afeed.core.change import EDITED, FILED, POSTED, REMOVED, Change, seconds
from afeed.core.item import Item

#: A post that is older than this when it is recorded, in seconds, was fetched after an outage; the projector
#: view, which is about now, leaves it out (``LATE`` in ``static/view.js`` is the same).
LATE_S = 15 * 60


class _Written(msgspec.Struct):
    created_at: str


class _WithWritten(msgspec.Struct):
    item: _Written


class _Placed(msgspec.Struct):
    talk: str | None = None


class _WithTalk(msgspec.Struct):
    item: _Placed


_with_written = msgspec.json.Decoder(_WithWritten)
_with_talk = msgspec.json.Decoder(_WithTalk)


class Present(msgspec.Struct):
    """What the newest changes say, newest first.

    ``posted`` are the visible items that were first posted within the stretch, each as (seq of its first
    posting, the change that holds its newest version); ``edited`` is the newest version of items first posted
    before it; ``removed`` are the ids removed within it; ``talks`` are the talks, or None for none, under which
    items are filed by what the stretch says of them.
    """

    posted: list[tuple[int, Change]]
    edited: dict[str, Change]
    removed: set[str]
    talks: dict[str, str | None]

    def filed(self, item: Item) -> Item:
        """``item`` with the talk that it is filed under now."""
        talk = self.talks.get(item.id, item.talk)
        return item if talk == item.talk else msgspec.structs.replace(item, talk=talk)


def is_late(posted: Change) -> bool:
    """Whether the item that ``posted`` brought was fetched after an outage.  One that says nothing sensible of
    when it was written was not."""
    if posted.type != POSTED:
        return False
    try:
        written = seconds(_with_written.decode(posted.stored).item.created_at)
        return seconds(posted.at) - written > LATE_S
    except (msgspec.DecodeError, ValueError, OverflowError):
        return False


def present(
    newest_first: Iterable[Change],
    limit: int,
    before: int | None = None,
    leave_out: Callable[[Change], bool] | None = None,
) -> Present:
    """Read changes from the head backwards until ``limit`` items first posted below ``before`` are found, those
    not counted whose first posting is to be left out."""
    state = Present([], {}, set(), {})
    #: Of these nothing older matters: they were posted, or removed, above.
    settled: set[str] = set()
    for change in newest_first:
        if change.id is not None and change.id not in settled:
            _place(state.talks, change)
        if change.type == POSTED and change.id is not None:
            settled.add(change.id)
            latest = state.edited.pop(change.id, change)
            if (before is None or change.seq < before) and not (leave_out and leave_out(change)):
                state.posted.append((change.seq, latest))
                if len(state.posted) == limit:
                    break
        elif change.type == EDITED and change.id is not None:
            state.edited.setdefault(change.id, change)
        elif change.type == REMOVED and change.id is not None:
            settled.add(change.id)
            state.removed.add(change.id)
    return state


def _place(talks: dict[str, str | None], change: Change) -> None:
    """Note what ``change`` says of where its item is filed, unless a newer one has said it.  A posting or an
    edit without a talk says nothing of that."""
    assert change.id is not None
    if change.id in talks:
        return
    try:
        if change.type == FILED:
            filing = change.filing()
            assert filing is not None
            talks[change.id] = filing.talk
        elif change.type in (POSTED, EDITED):
            talk = _with_talk.decode(change.stored).item.talk
            if talk is not None:
                talks[change.id] = talk
    except msgspec.DecodeError:
        pass  # who shows the item says so
