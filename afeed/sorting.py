"""What becomes of drafts before they are recorded: they are let in, turned away, or held back.

Most often all are let in, in one step.  Those that are held back go beside the log
(:meth:`ILiveLog.hold <afeed.interfaces.ILiveLog.hold>`), the rest into it; a removal is never held back, and
takes what is held of its item with it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from afeed.core.draft import Draft, Held, Posted
from afeed.interfaces import Recorded

#: Whether a draft may come in at an event at all.
Admits = Callable[[str, Draft], bool]
#: A draft as it is to be recorded at an event: under its talk.
Prepare = Callable[[str, Draft], Draft]
#: What is to be held back of a draft at an event, None where it may be recorded at once.
Holds = Callable[[str, Draft], Held | None]

#: What an offer brought for a draft that was not recorded: no change has this number.
NOT_RECORDED = Recorded(0, False)


class Outcome(NamedTuple):
    """What became of a draft: ``recorded`` has seq 0 for one that was turned away or is ``held``, and whether
    that is new."""

    recorded: Recorded
    held: bool = False


def everything(event: str, draft: Draft) -> bool:
    """Where nobody is blocked."""
    return True


def nothing(event: str, draft: Draft) -> Held | None:
    """Where nothing is held back."""
    return None


def as_it_is(event: str, draft: Draft) -> Draft:
    """Where nothing is filed."""
    return draft


async def sorted_out(
    event: str,
    drafts: Sequence[Draft],
    admits: Admits,
    holds: Holds,
    turned_away: Callable[[Draft], None],
    keep: Callable[[Sequence[Held]], Awaitable[Sequence[bool]]],
    record: Callable[[Sequence[Draft], bool], Awaitable[Sequence[Recorded]]],
    prepare: Prepare = as_it_is,
) -> list[Outcome]:
    """Deal with ``drafts`` in order: one outcome for each.  What is let in goes through ``prepare`` first.

    ``keep`` holds some back and returns which are new; ``record(drafts, last)`` records some, and is the
    ``last`` step in any case, with no drafts where none are left.
    """
    outcomes = [Outcome(NOT_RECORDED)] * len(drafts)
    held: dict[int, Held] = {}
    open_: list[int] = []
    drafts = list(drafts)
    for place, draft in enumerate(drafts):
        if not admits(event, draft):
            turned_away(draft)
            continue
        open_.append(place)
        drafts[place] = draft = prepare(event, draft)
        kept = holds(event, draft)
        if kept is not None:
            held[place] = kept
    *steps, rest = _steps(drafts, open_, held)
    for step in steps:
        if step[0] in held:
            news = await keep([held[place] for place in step])
            results = [Outcome(Recorded(0, new), held=True) for new in news]
        else:
            results = [Outcome(one) for one in await record([drafts[place] for place in step], False)]
        for place, result in zip(step, results, strict=True):
            outcomes[place] = result
    last = await record([drafts[place] for place in rest], True)
    for place, one in zip(rest, last, strict=True):
        outcomes[place] = Outcome(one)
    return outcomes


def _steps(drafts: Sequence[Draft], open_: Sequence[int], held: Mapping[int, Held]) -> list[list[int]]:
    """The places of those that go together, each step either held or recorded; the last is recorded, and may be
    empty."""
    rest = [place for place in open_ if place not in held]
    if not held:
        return [rest]
    both = {one.item.id for one in held.values()} & {
        draft.item.id for place in rest if isinstance(draft := drafts[place], Posted)
    }
    if not both:
        return [list(held), rest]
    # An item in two versions, of which one is held: posting the other may take away what is held of it, so
    # neither may overtake the other.
    steps = list(_runs(open_, held))
    return steps if steps[-1][0] not in held else [*steps, []]


def _runs(open_: Sequence[int], held: Mapping[int, Held]) -> Iterator[list[int]]:
    run: list[int] = []
    for place in open_:
        if run and (place in held) != (run[0] in held):
            yield run
            run = []
        run.append(place)
    yield run
