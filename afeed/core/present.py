"""The present state of a stretch of changes: what a page shows."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from afeed.core.change import EDITED, POSTED, REMOVED, Change


class Present(msgspec.Struct):
    """What the newest changes say, newest first.

    ``posted`` are the visible items that were first posted within the stretch, each as (seq of its first
    posting, the change that holds its newest version); ``edited`` is the newest version of items first posted
    before it; ``removed`` are the ids removed within it.
    """

    posted: list[tuple[int, Change]]
    edited: dict[str, Change]
    removed: set[str]


def present(newest_first: Iterable[Change], limit: int, before: int | None = None) -> Present:
    """Read changes from the head backwards until ``limit`` items first posted below ``before`` are found."""
    state = Present([], {}, set())
    for change in newest_first:
        if change.type == POSTED and change.id is not None:
            latest = state.edited.pop(change.id, change)
            if before is None or change.seq < before:
                state.posted.append((change.seq, latest))
                if len(state.posted) == limit:
                    break
        elif change.type == EDITED and change.id is not None:
            state.edited.setdefault(change.id, change)
        elif change.type == REMOVED and change.id is not None:
            state.removed.add(change.id)
    return state
