"""A process that holds items back and releases every other one for ever, and prints what it was told; for
killing."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from afeed.core.draft import Held
from afeed.interfaces import ILiveLog
from afeed.livelog.embedded import EmbeddedLog
from tests.livelog.samples import post


def open_log(where: str) -> ILiveLog:
    """The log in a folder, or at a URL."""
    limits = {"window": 100, "max_log_bytes": 10**9}
    if "://" not in where:
        return EmbeddedLog(Path(where), reactor, time.time, random.Random(), **limits)
    from afeed.livelog.redis import RedisLog

    return RedisLog(where, reactor, time.time, random.Random(), **limits)


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def lane(log: ILiveLog, first: int, step: int) -> None:
    number = first
    while True:
        draft = post(number, text="x" * 500)
        await log.hold("e", [Held(draft.item, "1", "word")])
        say("held", number)
        if number % 2:
            (recorded,) = await log.release("e", [draft.item.id])
            say("released", number, recorded.seq)
        number += step


async def main(where: str, first: int) -> None:
    log = open_log(where)
    await log.start(["e"], [])
    for number in range(8):
        Deferred.fromCoroutine(lane(log, first + number, 8))


if __name__ == "__main__":
    begun = Deferred.fromCoroutine(main(sys.argv[1], int(sys.argv[2])))
    reactor.run()
