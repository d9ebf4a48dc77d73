"""An X stream in memory: the simulator, a clock that is moved by hand, and a sink that remembers."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from treq.testing import StubTreq
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from afeed.core.draft import Draft, Posted
from afeed.core.health import Check
from afeed.interfaces import ISink, Position, Recorded
from afeed.settings import Secret, XAccount
from afeed.sources.x import SETTLE_S, XStream
from tests.simulators.x import XSimulator
from tests.simulators.xhttp import Root

NOW = 1_772_355_600.0
TOKEN = "t0ken-that-nobody-may-see"


@implementer(ISink)
class RecordingSink:
    """Takes everything at once, or with ``holding`` keeps the offers open in ``held``.  ``positions`` has the
    last position stored per event; an offer of nothing but a position is in no list."""

    def __init__(self) -> None:
        self.offers: list[tuple[str, list[Draft], Position | None]] = []
        self.positions: dict[str, str] = {}
        self.drops: list[tuple[str, str, str, int]] = []
        self.holding = False
        self.held: list[Deferred[list[Recorded]]] = []

    def offer(
        self, event: str, drafts: Sequence[Draft], position: Position | None = None
    ) -> Deferred[list[Recorded]]:
        if position is not None:
            self.positions[event] = position.value
        if not drafts:
            return succeed([])
        self.offers.append((event, list(drafts), position))
        done: Deferred[list[Recorded]] = Deferred()
        if self.holding:
            self.held.append(done)
        else:
            done.callback([Recorded(1, True) for _ in drafts])
        return done

    def dropped(self, event: str, source: str, reason: str, count: int = 1) -> None:
        self.drops.append((event, source, reason, count))

    def release(self) -> None:
        """Accept what is held, and go on accepting."""
        self.holding = False
        while self.held:
            self.held.pop(0).callback([])

    def texts(self, event: str | None = None) -> list[str]:
        """The texts of the items offered (to ``event``), in order."""
        return [
            draft.item.text
            for slug, drafts, _ in self.offers
            for draft in drafts
            if isinstance(draft, Posted) and event in (None, slug)
        ]


class XCase(SynchronousTestCase):
    """``self.stream`` runs against ``self.x`` since :meth:`start`; time passes in :meth:`advance` alone."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.x = XSimulator(self.clock, self.now, token=TOKEN)
        self.http = StubTreq(Root(self.x))
        self.wanted: dict[str, str] = {"aea": "#aea"}
        self.sink = RecordingSink()
        self.stream = self.make(self.http)

    def make(self, http: Any) -> XStream:
        """A stream that asks through ``http``."""
        account = XAccount(bearer_token=Secret(TOKEN), api_url="http://api.example/")
        return XStream(account, lambda: self.wanted, http, self.clock, self.now, Random(1))

    def now(self) -> float:
        return NOW + self.clock.seconds()

    def start(self) -> None:
        """Run the stream until it has nothing to do but wait."""
        self.running = Deferred.fromCoroutine(self.stream.run(self.sink))
        self.addCleanup(self.stop)
        self.flush()

    def stop(self) -> None:
        """Cancel it; nothing may be left behind."""
        self.running.addErrback(lambda _: None)
        self.running.cancel()
        self.flush()

    def flush(self) -> None:
        for _ in range(5):
            self.http.flush()

    def advance(self, seconds: float, step: float = 0.25) -> None:
        """Let time pass in steps of at most ``step``."""
        target = self.clock.seconds() + seconds
        while (left := target - self.clock.seconds()) > 1e-9:
            self.clock.advance(min(step, left))
            self.flush()

    def post(self, text: str, **options: Any) -> str:
        """Publish a post and let it arrive."""
        id_ = self.x.post(text, **options)
        self.flush()
        return id_

    def fault(self, name: str, **options: Any) -> None:
        """Let something go wrong, and what follows at once happen."""
        self.x.fault(name, **options)
        self.flush()
        self.advance(SETTLE_S)

    def connects(self) -> int:
        """How often the stream was asked for."""
        return sum(path == "/2/tweets/search/stream" for _, path in self.x.requests)

    def state(self) -> str:
        check = self.stream.check()
        self.assertNotIn(TOKEN, repr(check))
        return check.state

    def check(self) -> Check:
        return self.stream.check()
