"""Which path goes where: the hot paths to their transports, the rest to the pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from afeed.core.errors import BadCursor, BadInput
from afeed.core.http import Header, Names
from afeed.core.websocket import is_key
from afeed.sources.push import MAX_BODY, Push
from afeed.transports.asking import Asking, asked
from afeed.transports.longpoll import RETRY
from afeed.transports.sse import open_stream
from afeed.transports.stage import SSE, WEBSOCKET, Stage
from afeed.transports.websocket import FeedSocket, NewSocket
from afeed.web.exchange import Exchange

MAX_PAGE_BODY = 64 * 1024

#: What answers one of the hot paths of an event.
_Hot = Callable[[Exchange, Stage], None]


class Routes:
    """Implements :class:`afeed.web.front.Router`.

    ``pages`` answers whatever is none of the hot paths; ``new_socket`` makes the protocol of a WebSocket
    client.
    """

    def __init__(
        self,
        stages: Mapping[str, Stage],
        push: Push,
        pages: Callable[[Exchange], None],
        new_socket: NewSocket,
        names: Names,
    ) -> None:
        self._push = push
        self._plain: dict[bytes, Callable[[Exchange], None]] = {}
        self._pages = pages
        self._new_socket = new_socket
        self._names = names
        self._hot: dict[bytes, _Hot] = {
            b"updates": self._updates,
            b"stream": self._stream,
            b"ws": self._no_socket,
            b"items": self._items,
        }
        self._routes: dict[bytes, tuple[Stage, _Hot]] = {
            b"/%b/%b" % (slug.encode("ascii"), name): (stage, hot)
            for slug, stage in stages.items()
            for name, hot in self._hot.items()
        }
        self._stopping = False

    def answer(self, paths: Mapping[bytes, Callable[[Exchange], None]]) -> None:
        """Let these paths, which belong to no event, be answered by these functions."""
        self._plain.update(paths)

    def stop(self) -> None:
        """Who comes now is sent away: the others have been told goodbye already."""
        self._stopping = True

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

    def _find(self, path: bytes) -> tuple[Stage | None, _Hot | None]:
        found = self._routes.get(path)
        if found is not None:
            return found
        parts = path.split(b"/")
        return None, self._hot.get(parts[2]) if len(parts) == 3 else None

    def upgrade(self, exchange: Exchange) -> FeedSocket | None:
        """See :class:`afeed.web.front.Router`."""
        stage, hot = self._find(exchange.path)
        if stage is None or hot != self._no_socket:
            exchange.error(404, "not_found", "there is no WebSocket here")
            return None
        if not self._names.may_connect(exchange.header(b"origin")):
            exchange.error(403, "wrong_origin", "pages of other sites may not open WebSockets here")
            return None
        key = exchange.header(b"sec-websocket-key")
        known = exchange.version == b"1.1" and exchange.header(b"sec-websocket-version") == b"13"
        if key is None or not is_key(key) or not known:
            version = ((b"Sec-WebSocket-Version", b"13"),)
            exchange.error(400, "bad_handshake", "this is no handshake of WebSocket version 13", version)
            return None
        try:
            found = asked(exchange.query)
        except BadCursor:
            return self._new_socket(key, None, None)
        except BadInput as error:
            exchange.error(400, "bad_request", str(error))
            return None
        if not self._ready(exchange, stage):
            return None
        return self._new_socket(key, stage.audiences[WEBSOCKET, found.rich], found.cursor)

    # -- hot paths

    def _asked(self, exchange: Exchange, stage: Stage, last_event_id: bytes | None = None) -> Asking | None:
        """What is asked for; None once that was answered with a refusal."""
        if exchange.method == b"POST":
            exchange.error(405, "method_not_allowed", "this is only read", ((b"Allow", b"GET, HEAD"),))
            return None
        try:
            found = asked(exchange.query, last_event_id)
        except BadCursor as error:
            exchange.error(400, "bad_cursor", str(error), self._shared(exchange))
        except BadInput as error:
            exchange.error(400, "bad_request", str(error), self._shared(exchange))
        else:
            return found if self._ready(exchange, stage) else None
        return None

    def _ready(self, exchange: Exchange, stage: Stage) -> bool:
        if self._stopping:
            headers = (RETRY, *self._shared(exchange))
            exchange.error(503, "stopping", "afeed is being stopped or restarted", headers)
            return False
        if not stage.channel.ready:
            headers = (RETRY, *self._shared(exchange))
            exchange.error(503, "log_unavailable", "the live log has not been read yet", headers)
            return False
        return True

    def _updates(self, exchange: Exchange, stage: Stage) -> None:
        found = self._asked(exchange, stage)
        if found is not None:
            stage.polls.handle(exchange, found, self._shared(exchange))

    def _stream(self, exchange: Exchange, stage: Stage) -> None:
        found = self._asked(exchange, stage, exchange.header(b"last-event-id"))
        if found is not None:
            open_stream(exchange, stage.audiences[SSE, found.rich], found.cursor, self._shared(exchange))

    def _items(self, exchange: Exchange, stage: Stage) -> None:
        self._push.handle(exchange, stage.channel.event)

    def _no_socket(self, exchange: Exchange, stage: Stage) -> None:
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
