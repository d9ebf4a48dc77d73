"""Files every item of an event again, as a process of its own: what to do on standard input, what came of it,
step by step, on standard output.

``python -m afeed.filing.worker``.  The first line is an :class:`Order`; after each :class:`Step` the process
waits for a line, so that it is never far ahead of what was put on record.  The reactor has none of the work: a
million items take a processor a minute or two.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import msgspec

from afeed.archive.filings import read_before, read_items
from afeed.core.attribution.index import prepare
from afeed.core.attribution.memory import Memory
from afeed.core.attribution.weights import Weights
from afeed.core.errors import AfeedError
from afeed.core.schedule.model import Schedule
from afeed.interfaces import PageItem

#: Items that are read at a time.
PAGE = 1000
#: An item is left alone once so many pages have followed it; what its author and others say of the talk comes
#: sooner.  The memory looks at none again after that.
HORIZON = 3
#: How many items before the first one are read, to know what was known then.
WARM = 3000
#: How far others come first on a busy machine (nice(2)).
NICE = 5


class Order(msgspec.Struct, frozen=True):
    """What is to be filed: the items of ``event`` in the archive at ``url`` that were first posted above
    ``after``.  ``fixed`` is where organisers put some of them, ``weights`` those of the configuration, by
    name."""

    url: str
    event: str
    schedule: Schedule
    weights: dict[str, float]
    after: int
    fixed: dict[str, str | None]


class Step(msgspec.Struct, frozen=True):
    """``moves`` are items (id, talk) to be filed elsewhere, of ``seen`` more that were looked at; all up to the
    first_seq ``after`` is done with that.  ``end`` with the last one; ``problem`` says why it is not done."""

    after: int = 0
    seen: int = 0
    moves: list[tuple[str, str | None]] = []
    end: bool = False
    problem: str | None = None


def make_memory(order: Order) -> Memory:
    """What the items are filed with."""
    memory = Memory(most_whole=(HORIZON - 1) * PAGE)
    memory.index = prepare(order.schedule, Weights(**order.weights))
    memory.fixed = dict(order.fixed)
    return memory


def steps(
    memory: Memory, before: Iterable[PageItem], pages: Iterable[list[PageItem]], after: int
) -> Iterator[Step]:
    """What is to be put on record, page by page.  ``before`` is what came before them, ascending.

    The same items, filed where this would have them, give no move: filing twice changes nothing.
    """
    for found in before:
        memory.file(found.item)
        memory.gains(found.item.id)
    # What is not left alone yet: of each page the last seq, and where its items are; and where all are to be.
    open_: list[tuple[int, dict[str, str | None]]] = []
    wanted: dict[str, str | None] = {}
    for page in pages:
        for found in page:
            wanted[found.item.id] = memory.file(found.item)
            for move in memory.gains(found.item.id):
                if move.id in wanted:
                    wanted[move.id] = move.talk
        open_.append((page[-1].seq, {found.item.id: found.item.talk for found in page}))
        if len(open_) > HORIZON:
            after, there = open_.pop(0)
            yield Step(after, len(there), _moves(there, wanted))
    while open_:
        after, there = open_.pop(0)
        yield Step(after, len(there), _moves(there, wanted))
    yield Step(after, end=True)


def _moves(there: dict[str, str | None], wanted: dict[str, str | None]) -> list[tuple[str, str | None]]:
    pairs = [(item_id, talk, wanted.pop(item_id)) for item_id, talk in there.items()]
    return [(item_id, to) for item_id, talk, to in pairs if to != talk]


def main(source: BinaryIO, target: BinaryIO) -> None:
    """Do what the order on ``source`` says, one step for each line that follows it."""
    order = msgspec.json.decode(source.readline(), type=Order)

    def say(step: Step) -> None:
        target.write(msgspec.json.encode(step) + b"\n")
        target.flush()

    try:
        warm = read_before(order.url, order.event, order.after, WARM) if order.after else []
        pages = read_items(order.url, order.event, order.after, PAGE)
        for step in steps(make_memory(order), warm, pages, order.after):
            say(step)
            if not step.end and not source.readline():
                return  # nobody wants to know any more
    except AfeedError as error:
        say(Step(problem=str(error)))


if __name__ == "__main__":
    os.nice(NICE)
    main(sys.stdin.buffer, sys.stdout.buffer)
