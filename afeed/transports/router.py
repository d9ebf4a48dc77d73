"""Which path goes where: the hot paths to their transports, the rest to the pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from afeed.channel import Channel
from afeed.core.change import seconds
from afeed.core.errors import BadCursor, BadInput
from afeed.core.framing import server_sent_event, websocket_frame
from afeed.core.http import Header, Names
from afeed.metrics import Metrics
from afeed.sources.push import MAX_BODY, Push
from afeed.transports.asking import Asking, asking
from afeed.transports.audience import Audience
from afeed.transports.longpoll import RETRY, Polls
from afeed.transports.sse import open_stream
from afeed.transports.websocket import FeedSocket
from afeed.web.exchange import Exchange

MAX_PAGE_BODY = 64 * 1024
WEBSOCKET, SSE, POLL = "websocket", "sse", "poll"
_ENCODINGS = {WEBSOCKET: websocket_frame, SSE: server_sent_event}

_log = Logger()


class _Stage:
    """One event with all who follow it."""

    def __init__(self, channel: Channel, polls: Polls, audiences: Mapping[tuple[str, bool], Audience]) -> None:
        self.channel = channel
        self.polls = polls
        self.audiences = audiences

    def viewers(self) -> dict[str, int]:
        counts = {POLL: len(self.polls)}
        for (transport, _), audience in self.audiences.items():
            counts[transport] = counts.get(transport, 0) + len(audience)
        return counts


class Routes:
    """Implements :class:`afeed.web.front.Router`.

    ``pages`` answers whatever is none of the hot paths; ``new_socket`` makes the protocol of a WebSocket
    client; ``spread`` chooses a moment within the milliseconds given.
    """

    def __init__(
        self,
        channels: Mapping[str, Channel],
        push: Push,
        pages: Callable[[Exchange], None],
        new_socket: Callable[[], FeedSocket],
        names: Names,
        clock: IReactorTime,
        metrics: Metrics,
        spread: Callable[[int], int],
    ) -> None:
        self._push = push
        self._plain: dict[bytes, Callable[[Exchange], None]] = {}
        self._pages = pages
        self._new_socket = new_socket
        self._names = names
        self._metrics = metrics
        self._stages = {
            slug.encode("ascii"): self._stage(channel, clock, spread) for slug, channel in channels.items()
        }
        self._hot: dict[bytes, Callable[[Exchange, _Stage], None]] = {
            b"updates": self._updates,
            b"stream": self._stream,
            b"ws": self._no_socket,
            b"items": self._items,
        }
        self._stopping = False
        self._sweep = LoopingCall(self._swept)
        self._sweep.clock = clock
        metrics.watch_viewers(self.viewers)

    def _stage(self, channel: Channel, clock: IReactorTime, spread: Callable[[int], int]) -> _Stage:
        def delivered(transport: str) -> Callable[[int, int], None]:
            def count(changes: int, viewers: int) -> None:
                newest = next(channel.newest_first())
                self._metrics.delivered(transport, changes, viewers, seconds(newest.at))

            return count

        audiences = {
            (transport, rich): Audience(channel, encode, rich, clock, spread, delivered(transport))
            for transport, encode in _ENCODINGS.items()
            for rich in (False, True)
        }
        return _Stage(channel, Polls(channel, clock, spread, delivered(POLL)), audiences)

    def answer(self, paths: Mapping[bytes, Callable[[Exchange], None]]) -> None:
        """Let these paths, which belong to no event, be answered by these functions."""
        self._plain.update(paths)

    def start(self) -> None:
        """Begin to ping, and to answer polls whose time is over."""
        self._sweep.start(1.0, now=False)

    def stop(self) -> None:
        """Nothing more is due, and who comes now is sent away: the others have been told goodbye already."""
        self._stopping = True
        if self._sweep.running:
            self._sweep.stop()

    def viewers(self) -> dict[tuple[str, str], int]:
        """The viewers by (event, transport)."""
        return {
            (stage.channel.event, transport): count
            for stage in self._stages.values()
            for transport, count in stage.viewers().items()
        }

    def _swept(self) -> None:
        self._metrics.note_viewers(self.viewers())
        for stage in self._stages.values():
            for tick in (stage.polls.tick, *(audience.tick for audience in stage.audiences.values())):
                try:
                    tick()
                except Exception:  # the sweep serves everybody and must go on
                    _log.failure("{event}: pinging viewers failed", event=stage.channel.event)

    # -- Router

    def max_body(self, method: bytes, path: bytes) -> int:
        """See :class:`afeed.web.front.Router`."""
        return MAX_BODY if method == b"POST" and path.endswith(b"/items") else MAX_PAGE_BODY

    def any_host(self, path: bytes, internal: bool) -> bool:
        """Health checks from inside ask under whatever name they like."""
        return internal and path in self._plain

    def handle(self, exchange: Exchange) -> None:
        """See :class:`afeed.web.front.Router`."""
        plain = self._plain.get(exchange.path)
        if plain is not None:
            if exchange.method == b"POST":
                exchange.error(405, "method_not_allowed", "this is only read", ((b"Allow", b"GET, HEAD"),))
                return
            plain(exchange)
            return
        stage, hot = self._find(exchange.path)
        if hot is None:
            self._pages(exchange)
        elif stage is None:
            exchange.error(404, "no_event", "there is no event of this name")
        else:
            hot(exchange, stage)

    def _find(self, path: bytes) -> tuple[_Stage | None, Callable[[Exchange, _Stage], None] | None]:
        parts = path.split(b"/")
        if len(parts) != 3:
            return None, None
        return self._stages.get(parts[1]), self._hot.get(parts[2])

    def upgrade(self, exchange: Exchange) -> Protocol | None:
        """See :class:`afeed.web.front.Router`."""
        stage, hot = self._find(exchange.path)
        if stage is None or hot != self._no_socket:
            exchange.error(404, "not_found", "there is no WebSocket here")
            return None
        if not self._names.may_connect(exchange.header(b"origin")):
            exchange.error(403, "wrong_origin", "pages of other sites may not open WebSockets here")
            return None
        if not exchange.header(b"sec-websocket-key") or exchange.header(b"sec-websocket-version") != b"13":
            version = ((b"Sec-WebSocket-Version", b"13"),)
            exchange.error(400, "bad_handshake", "this is no handshake of WebSocket version 13", version)
            return None
        protocol = self._new_socket()
        try:
            asked = asking(exchange.members())
        except BadCursor:
            protocol.attend(None, None)
            return protocol
        except BadInput as error:
            exchange.error(400, "bad_request", str(error))
            return None
        if not self._ready(exchange, stage):
            return None
        protocol.attend(stage.audiences[WEBSOCKET, asked.rich], asked.cursor)
        return protocol

    # -- hot paths

    def _asked(self, exchange: Exchange, stage: _Stage, last_event_id: bytes | None = None) -> Asking | None:
        """What is asked for; None once that was answered with a refusal."""
        if exchange.method == b"POST":
            exchange.error(405, "method_not_allowed", "this is only read", ((b"Allow", b"GET, HEAD"),))
            return None
        try:
            asked = asking(exchange.members(), last_event_id)
        except BadCursor as error:
            exchange.error(400, "bad_cursor", str(error), self._shared(exchange))
        except BadInput as error:
            exchange.error(400, "bad_request", str(error), self._shared(exchange))
        else:
            return asked if self._ready(exchange, stage) else None
        return None

    def _ready(self, exchange: Exchange, stage: _Stage) -> bool:
        if self._stopping:
            headers = (RETRY, *self._shared(exchange))
            exchange.error(503, "stopping", "afeed is being stopped or restarted", headers)
            return False
        if not stage.channel.ready:
            headers = (RETRY, *self._shared(exchange))
            exchange.error(503, "log_unavailable", "the live log has not been read yet", headers)
            return False
        return True

    def _updates(self, exchange: Exchange, stage: _Stage) -> None:
        asked = self._asked(exchange, stage)
        if asked is not None:
            stage.polls.handle(exchange, asked, self._shared(exchange))

    def _stream(self, exchange: Exchange, stage: _Stage) -> None:
        asked = self._asked(exchange, stage, exchange.header(b"last-event-id"))
        if asked is not None:
            open_stream(exchange, stage.audiences[SSE, asked.rich], asked.cursor, self._shared(exchange))

    def _items(self, exchange: Exchange, stage: _Stage) -> None:
        self._push.handle(exchange, stage.channel.event)

    def _no_socket(self, exchange: Exchange, stage: _Stage) -> None:
        exchange.error(400, "not_a_websocket", "this path speaks WebSocket; /updates and /stream need none")

    def _shared(self, exchange: Exchange) -> tuple[Header, ...]:
        """What lets scripts of the configured sites read the answer."""
        if not self._names.cors:
            return ()
        origin = exchange.header(b"origin")
        allowed: tuple[Header, ...] = ()
        if origin is not None and origin.lower() in self._names.cors:
            allowed = ((b"Access-Control-Allow-Origin", origin),)
        return ((b"Vary", b"Origin"), *allowed)
