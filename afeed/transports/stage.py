"""Every event with all who follow it, and the one sweep that serves them every second."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from afeed.channel import Channel
from afeed.core.change import seconds
from afeed.core.framing import server_sent_event, websocket_frame
from afeed.core.websocket import PING
from afeed.metrics import Metrics
from afeed.transports.audience import Audience
from afeed.transports.longpoll import Polls

WEBSOCKET, SSE, POLL = "websocket", "sse", "poll"
_ENCODINGS = {WEBSOCKET: websocket_frame, SSE: server_sent_event}
#: What makes a client that is there answer.
_PROBES = {WEBSOCKET: PING, SSE: b""}

_log = Logger()


class Stage:
    """One event: its channel, its polls, and an audience for each transport, with fragments (True) and
    without."""

    def __init__(
        self, channel: Channel, clock: IReactorTime, metrics: Metrics, spread: Callable[[int], int]
    ) -> None:
        def delivered(transport: str) -> Callable[[int, int], None]:
            def count(changes: int, viewers: int) -> None:
                newest = next(channel.newest_first())
                metrics.delivered(transport, changes, viewers, seconds(newest.at))

            return count

        self.channel = channel
        self.polls = Polls(channel, clock, spread, delivered(POLL))
        self.audiences = {
            (transport, rich): Audience(
                channel, encode, rich, clock, spread, delivered(transport), _PROBES[transport]
            )
            for transport, encode in _ENCODINGS.items()
            for rich in (False, True)
        }

    def viewers(self) -> dict[str, int]:
        """The viewers by transport; for polls those who wait."""
        counts = {POLL: len(self.polls)}
        for (transport, _), audience in self.audiences.items():
            counts[transport] = counts.get(transport, 0) + len(audience)
        return counts

    def tick(self) -> None:
        """Once a second: ping, answer polls whose time is over, cut off who stopped reading."""
        for tick in (self.polls.tick, *(audience.tick for audience in self.audiences.values())):
            try:
                tick()
            except Exception:  # the others are still due
                _log.failure("{event}: pinging viewers failed", event=self.channel.event)


class Stages:
    """The stages of all events.  ``spread`` chooses a moment within the milliseconds given."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        clock: IReactorTime,
        metrics: Metrics,
        spread: Callable[[int], int],
    ) -> None:
        self.of = {slug: Stage(channel, clock, metrics, spread) for slug, channel in channels.items()}
        self._metrics = metrics
        self._sweep = LoopingCall(self._swept)
        self._sweep.clock = clock
        metrics.watch_viewers(self.viewers)

    def start(self) -> None:
        """Begin the sweep."""
        self._sweep.start(1.0, now=False)

    def stop(self) -> None:
        """Nothing more is due."""
        if self._sweep.running:
            self._sweep.stop()

    def viewers(self) -> dict[tuple[str, str], int]:
        """The viewers by (event, transport)."""
        return {
            (slug, transport): count
            for slug, stage in self.of.items()
            for transport, count in stage.viewers().items()
        }

    def _swept(self) -> None:
        self._metrics.note_viewers(self.viewers())
        for stage in self.of.values():
            stage.tick()
