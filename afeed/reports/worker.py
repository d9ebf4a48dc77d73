"""Makes one report, as a process: a request on standard input, an answer on standard output.

``python -m afeed.reports.worker``.  Counting a million posts takes a minute of a processor; here it is not the
one that serves viewers, and the process gives way to all others.
"""

from __future__ import annotations

import os
import resource
import sys
from typing import BinaryIO

import msgspec

from afeed.archive.walk import ItemReader, reading_items
from afeed.core.errors import ArchiveUnavailable, ArchiveUnusable
from afeed.core.report.activity import Window
from afeed.core.report.keyness import Reference
from afeed.core.report.model import Report
from afeed.core.report.tally import Tally

#: Seconds of processor time, and bytes of memory.
CPU_S = 900
MEMORY = 2 * 1024**3
#: How much it gives way: 0 not at all, 19 always.
NICE = 10


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The report of an event, or of a ``talk``, whose words are then compared with ``reference``.  ``archive``
    is a URL that may hold a password; nothing of this is in arguments or the environment."""

    archive: str
    event: str
    window: Window
    talk: str | None = None
    reference: Reference | None = None


class Answer(msgspec.Struct, frozen=True):
    """A report of everything up to ``seq`` of ``epoch``, or why there is none."""

    report: Report | None = None
    epoch: str = ""
    seq: int = 0
    problem: str = ""


def answer(request: Request) -> Answer:
    """What to say to ``request``."""
    try:
        with reading_items(request.archive) as reader:
            return made(reader, request)
    except (ArchiveUnavailable, ArchiveUnusable) as error:
        return Answer(problem=str(error))


def made(reader: ItemReader, request: Request) -> Answer:
    """The report, counted from what ``reader`` has."""
    # Looked at first: what comes while it is counted may or may not be in it.
    position = reader.position(request.event)
    tally = Tally(request.window)
    for page in reader.pages(request.event, request.talk):
        for found in page:
            tally.add(found.item)
    report = tally.report(request.reference)
    if request.talk is None:
        report = msgspec.structs.replace(report, reference=tally.reference)
    return Answer(report, *(position or ("", 0)))


def main(source: BinaryIO, target: BinaryIO) -> None:
    """Read a :class:`Request` as JSON from ``source`` and write an :class:`Answer`."""
    request = msgspec.json.decode(source.read(), type=Request)
    target.write(msgspec.json.encode(answer(request)))
    target.flush()


if __name__ == "__main__":
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main(sys.stdin.buffer, sys.stdout.buffer)
