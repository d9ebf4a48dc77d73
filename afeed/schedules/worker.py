"""Parses one schedule, as a process: bytes on standard input, an answer on standard output.

``python -m afeed.schedules.worker FORMAT ZONE``.  Whatever a file is made to do, it is done to a process that
has a limit on its time and memory, no secrets in its environment, and nobody who waits for it.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from typing import BinaryIO
from zoneinfo import ZoneInfo

import msgspec

from afeed.core.schedule.limits import MAX_BYTES
from afeed.core.schedule.model import Reading
from afeed.core.schedule.problems import BadSchedule
from afeed.core.schedule.reading import read

#: Seconds of processor time, and bytes of memory: the largest file that is allowed needs a tenth of either.
CPU_S = 30
MEMORY = 2 * 1024**3


class Answer(msgspec.Struct, frozen=True):
    """A reading, or the sentences that say why there is none."""

    reading: Reading | None = None
    problems: tuple[str, ...] = ()


def answer(data: bytes, format: str, zone: str) -> Answer:
    """What to say about ``data``."""
    try:
        return Answer(reading=read(data, ZoneInfo(zone), format))
    except BadSchedule as error:
        return Answer(problems=error.problems)


def main(arguments: Sequence[str], source: BinaryIO, target: BinaryIO) -> None:
    """Read ``source`` to its end, write one :class:`Answer` as JSON to ``target``."""
    format, zone = arguments
    target.write(msgspec.json.encode(answer(source.read(MAX_BYTES + 1), format, zone)))
    target.flush()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main(sys.argv[1:], sys.stdin.buffer, sys.stdout.buffer)
