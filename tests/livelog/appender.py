"""A process that appends to an embedded log for ever and prints every seq that was accepted; for killing."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor

from afeed.interfaces import Position
from afeed.livelog.embedded import EmbeddedLog
from tests.livelog.samples import post


def main(directory: Path, first: int) -> None:
    log = EmbeddedLog(directory, reactor, time.time, random.Random(), window=100, max_log_bytes=10**9)

    def again(number: int) -> None:
        appended = log.append("e", None, [post(number, text="x" * 500)], position=Position("push", str(number)))
        appended.addCallback(accepted, number)

    def accepted(recorded: Any, number: int) -> None:
        sys.stdout.write(f"{number} {recorded[0].seq}\n")
        sys.stdout.flush()
        again(number + 8)

    def started(_: None) -> None:
        for lane in range(8):
            again(first + lane)

    log.start(["e"], []).addCallback(started)
    reactor.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
