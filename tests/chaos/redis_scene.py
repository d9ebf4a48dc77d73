"""A node on a Redis that can be made to misbehave, with load, with somebody watching on every transport, and
with an operator who looks at health and pages all the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.chaos.followers import Follower
from tests.chaos.kills import Witnesses
from tests.chaos.promises import HEALTH_S, TOLD_S, within
from tests.chaos.publisher import Publisher
from tests.chaos.verdict import Verdict
from tests.chaos.watch import Sight, Watch
from tests.servers.afeed import AfeedServer, Refused
from tests.servers.process import wait_until
from tests.servers.proxy import Proxy
from tests.servers.redis import Redis

#: How long something may take in the end before the run is given up, in seconds.
PATIENCE_S = 60.0

#: Items a second: enough that something is on its way at any moment.
RATE = 100.0

#: So few changes are held in memory, so that whoever wants older ones needs the log or the archive.
WINDOW = 200


class Told:
    """When a viewer that streams was told that new posts are delayed, or are no longer."""

    def __init__(self, follower: Follower) -> None:
        self._moments: list[tuple[float, bool]] = []
        self._take = follower.take
        follower.take = self.take  # type: ignore[method-assign]

    def take(self, message: dict[str, Any]) -> None:
        if "stalled" in message:
            self._moments.append((time.monotonic(), message["stalled"]))
        self._take(message)

    def delayed_at(self, since: float) -> float | None:
        """When it was first told after ``since`` that they are delayed."""
        return next((at for at, stalled in list(self._moments) if stalled and at >= since), None)


class Times(NamedTuple):
    """Seconds, None for what did not happen in time.  From the beginning of a fault: ``red`` until health told
    it, ``told`` until all viewers that stream were told, ``polled`` until a poll was.  From its end: ``served``
    until an item was accepted and everybody had it, ``green`` until health told that and polls did.  ``detail``
    is what the check said."""

    red: float | None
    told: float | None
    polled: float | None
    served: float
    green: float | None
    detail: str


def _well(sight: Sight) -> bool:
    return sight.state("live_log") == "ok" and not sight.stalled


class Scene:
    """``redis`` is the server; the node reaches it as ``live_log`` says, or through ``proxy``, or straight.  It
    holds ``window`` changes in memory.  ``long`` has everything judged by the promises themselves.

    A context manager: everything runs inside it, and has ended behind it.
    """

    def __init__(
        self,
        long: bool,
        *,
        through_proxy: bool = False,
        live_log: str | None = None,
        redis: Redis | None = None,
        archive: str = "sqlite:///var/archive.sqlite3",
        window: int = WINDOW,
    ) -> None:
        self.long = long
        self.redis = redis or Redis()
        if not self.redis.running:
            self.redis.start()
        self.proxy = Proxy(self.redis.port)
        through = f"redis://127.0.0.1:{self.proxy.port}/0" if through_proxy else self.redis.url
        self.server = AfeedServer(live_log=live_log or through, archive=archive, store=f"window = {window}")
        self._probes = 0
        self.problems: list[str] = []

    def __enter__(self) -> Scene:
        try:
            self.server.start()
        except BaseException:
            self._end()
            raise
        self.witnesses = Witnesses(self.server, RATE)
        self.watch = Watch(self.server, self.long)
        self.told = [Told(follower) for follower in self.witnesses.followers if follower.transport != "poll"]
        self.witnesses.__enter__()
        self.watch.start()
        wait_until(lambda: len(self.publisher.accepted) >= 1.5 * WINDOW, "the first items to be accepted")
        wait_until(lambda: bool(self.watch.sights), "the first look at health")
        return self

    def __exit__(self, *_: object) -> None:
        self.watch.stop()
        self.witnesses.__exit__()
        self._end()

    def _end(self) -> None:
        self.proxy.mode = "cut"
        self.server.close()
        self.proxy.close()
        self.redis.close()

    @property
    def publisher(self) -> Publisher:
        return self.witnesses.publisher

    def epoch(self) -> str:
        """The epoch that a viewer is in."""
        epoch: str = self.server.updates(limit=1)["epoch"]
        return epoch

    def endure(
        self,
        begin: Callable[[], object],
        end: Callable[[], object],
        seconds: float,
        *,
        turns: str | None,
    ) -> Times:
        """Have a fault for at least ``seconds``, and until health has told it (``turns`` is the state it has to
        show, None when the fault is over before anybody can see it); then see everything come back."""
        since = time.monotonic()
        begin()
        patience, told_s = within(HEALTH_S, self.long), within(TOLD_S, self.long)
        red = polled = told = None
        if turns is not None:
            red = self.watch.first(since, lambda sight: sight.state("live_log") == turns, patience)
            if turns == "failed":
                told = self._told(since, told_s)
                polled = self.watch.first(since, lambda sight: sight.stalled, told_s)
        time.sleep(max(0.0, since + seconds - time.monotonic()))
        end()
        over = time.monotonic()
        self._serve()
        served = time.monotonic() - over
        green = self.watch.first(over, _well, patience)
        return Times(
            red.at - since if red else None,
            told,
            polled.at - since if polled else None,
            served,
            green.at - over if green else None,
            red.detail("live_log") if red else "",
        )

    def _told(self, since: float, seconds: float) -> float | None:
        """How long after ``since`` the last of the viewers that stream was told; None where that is more than
        ``seconds``."""
        while True:
            moments = [told.delayed_at(since) for told in self.told]
            if all(moments):
                found = max(moment for moment in moments if moment) - since
                return found if found <= seconds else None
            if time.monotonic() > since + seconds:
                return None
            time.sleep(0.02)

    def _serve(self) -> None:
        """Have an item accepted, and wait until everybody has it."""
        self._probes += 1
        item_id = f"probe-{self._probes}"
        item = {"id": item_id, "text": Publisher.text_of(f"push:{item_id}")}
        found: list[dict[str, Any]] = []

        def accepted() -> bool:
            try:
                found[:] = self.server.push(item)
            except (Refused, OSError):
                return False
            return True

        wait_until(accepted, "an item to be accepted", PATIENCE_S)
        seq = found[0]["seq"]
        self.publisher.accepted[found[0]["id"]] = seq
        wait_until(
            lambda: all(follower.seq >= seq for follower in self.witnesses.followers),
            f"everybody to have change {seq}",
            PATIENCE_S,
        )

    def judge(self) -> Verdict:
        """What was lost, came twice, was told as a gap..., once everybody has caught up."""
        return self.witnesses.verdict()
