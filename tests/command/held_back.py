"""A process that holds items back in a log, or says what is held there: ``WHERE hold`` or ``WHERE list``, where
the first is a folder or the URL of a Redis.  No node may work with the log in a folder."""

from __future__ import annotations

import json
import sys
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from afeed.core.draft import Held, Removed
from tests.livelog.holder import open_log
from tests.livelog.samples import post
from tests.servers.afeed import SLUG

UNTIL = "2126-11-21T18:00:06.120+01:00"


async def main(where: str, what: str) -> None:
    log: Any = open_log(where)
    await log.start([SLUG], [])
    try:
        if what == "hold":
            drafts = [post(name, text="a secret") for name in ("a", "b", "c", "gone")]
            await log.hold(SLUG, [Held(draft.item, "1", "word", UNTIL) for draft in drafts])
            await log.stop_held(SLUG, ["push:b"])
            # As if it had gone while a backup was made, after what is held had been read.
            await log.append(SLUG, None, [Removed("push:gone"), post("c", "2")])
        waiting = [(one.item.id, one.until, False) for one in await log.held(SLUG, 10)]
        stopped = [(one.item.id, one.until, True) for one in await log.held(SLUG, 10, stopped=True)]
        print(json.dumps(waiting + stopped))
    finally:
        await log.stop()


def end(result: object) -> None:
    if isinstance(result, Failure):
        result.printTraceback(sys.stderr)
    reactor.stop()


if __name__ == "__main__":
    Deferred.fromCoroutine(main(sys.argv[1], sys.argv[2])).addBoth(end)
    reactor.run()
