"""Offers the drafts of :func:`drafts` to an embedded log and strains it into an archive, until both have all.

Run as ``python straining_child.py DIRECTORY URL``; may be killed at any moment and run again.  Prints
``opening``, ``started`` when it is at work, and how far it is after every step.  With ``stay`` as a third
argument it prints ``done`` in the end and waits to be killed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater, react

from afeed.archive.store import SqlArchive
from afeed.archive.strainer import Strainer
from afeed.core.draft import Draft, Removed
from afeed.livelog.embedded import EmbeddedLog
from tests.fakes import a_post

EVENT = "conf"
COUNT = 3000
#: Small, so that a trim that came too early would leave a hole.
WINDOW = 20


def drafts() -> Iterator[Draft]:
    """Posts, some of them edited or removed a little later: ``COUNT`` drafts, each of them new to a log."""
    for number in range(1, COUNT + 1):
        if number % 10 == 7:
            yield a_post(number - 5, "edited", "2")
        elif number % 25 == 0:
            yield Removed(f"push:{number - 9}")
        else:
            yield a_post(number)


def say(*words: object) -> None:
    print(*words, flush=True)


async def main(reactor: Any, directory: str, url: str, *more: str) -> None:
    say("opening")
    log = EmbeddedLog(
        Path(directory), reactor, time.time, Random(1), window=WINDOW, max_log_bytes=1_000_000_000
    )
    archive = SqlArchive(url, reactor, time.time)
    strainer = Strainer(log, archive, [EVENT], reactor, Random(1), batch=5, on_copied=say)
    running = Deferred.fromCoroutine(strainer.run())
    running.addErrback(lambda failure: failure.trap(CancelledError))
    await log.start([EVENT], [archive])
    say("started")
    pending = list(drafts())
    for first in range(0, len(pending), 50):
        # Offered again after every kill, as a source would: what is recorded already stays as it is.
        await log.append(EVENT, None, pending[first : first + 50])
        await deferLater(reactor, 0.005)
    while strainer.lag(EVENT).changes or strainer.check().data[EVENT]["copied"] < COUNT:
        await deferLater(reactor, 0.02)
    if "stay" in more:
        say("done")
        await Deferred()
    running.cancel()
    await log.stop()
    await archive.stop()


if __name__ == "__main__":
    react(main, sys.argv[1:])
