"""A server whose every message the test decides: the real pages, and a feed protocol that does as it is told.

For what a healthy server never does: fall silent, close without a word, refuse a transport, announce gaps.
It runs in trial's reactor; a test in another thread calls its methods through ``blockingCallFromThread``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from afeed.core.item import Item
from afeed.settings import Event, Server
from afeed.web.app import Pages
from afeed.web.fragments import Fragments
from tests.web.samples import NOW, FakeFeed, make_event


class ScriptedServer:
    """``refused`` are transports that get no connection (``websocket``, ``sse``, ``poll``), ``mute`` those
    whose connections are never spoken to.  ``asked`` lists what was asked for, as (transport, since)."""

    def __init__(self, reactor: Any, *items: Item, event: Event | None = None) -> None:
        self._event = make_event() if event is None else event
        self._reactor = reactor
        self.feed = FakeFeed(*items)
        self.fragments = Fragments()
        self.epoch = self.feed.epoch
        self.changes: list[dict[str, Any]] = [self._posted(item) for item in items]
        for seq, change in enumerate(self.changes, 1):
            change["seq"] = seq
        self.refused: set[str] = set()
        self.mute: set[str] = set()
        self.asked: list[tuple[str, str | None]] = []
        self.gap: dict[str, Any] | None = None
        self.stalled = False
        self.recovering = False
        self._viewers: list[_Viewer] = []
        self._port: IListeningPort | None = None
        self._connections = _Connections(Site(_Root(self)), reactor)

    def listen(self) -> str:
        """Start, and return the address."""
        self._port = self._reactor.listenTCP(0, self._connections, interface="127.0.0.1")
        self.serve((self._event,))
        return self.url

    def serve(self, events: tuple[Event, ...]) -> None:
        """Let the pages be those of ``events``."""
        self._pages = Pages(events, self.feed, Server(public_url=self.url), lambda: NOW).resource()

    @property
    def url(self) -> str:
        assert self._port is not None
        return f"http://127.0.0.1:{self._port.getHost().port}"

    async def stop(self) -> None:
        """Fires once nobody listens and every connection has ended: a browser that is closed takes its time to
        close its own."""
        self.drop()
        assert self._port is not None
        await self._port.stopListening()
        await self._connections.end()

    # -- what tests do

    def post(self, item: Item) -> None:
        """Append and show an item; an id that was there before makes it an edit."""
        self.append(self._posted(item))

    def post_together(self, items: Sequence[Item]) -> None:
        """The same for several, in one message."""
        first = len(self.changes)
        for item in items:
            change = {"seq": len(self.changes) + 1, "at": "2026-11-22T12:00:00.000Z", **self._posted(item)}
            self.changes.append(change)
        self.send({"type": "changes", "cursor": self.head, "changes": self.changes[first:]})

    def remove(self, id: str) -> None:
        self.append({"type": "item.removed", "id": id})

    def append(self, change: dict[str, Any]) -> None:
        """Append a change, and send it to everyone."""
        change = {"seq": len(self.changes) + 1, "at": "2026-11-22T12:00:00.000Z", **change}
        self.changes.append(change)
        self.send({"type": "changes", "cursor": self.head, "changes": [change]})

    def send(self, message: dict[str, Any]) -> None:
        """Send any message to everyone."""
        for viewer in list(self._viewers):
            viewer.send(message)

    def stall(self, stalled: bool) -> None:
        """Tell everyone, and whoever comes, that posts are delayed, or no longer."""
        self.stalled = self.feed.stalled = stalled
        self.send({"type": "ping", "cursor": self.head, "stalled": stalled})

    def recover(self) -> None:
        """Refuse nothing any more after the next poll.  At any other moment a page may have failed on one
        transport and be asking whether another would do."""
        self.recovering = True

    def drop(self) -> None:
        """Close every connection without a word."""
        for viewer in list(self._viewers):
            viewer.drop()
        self._viewers.clear()

    @property
    def viewers(self) -> list[str]:
        """The transports of who is connected."""
        return [viewer.transport_name for viewer in self._viewers]

    @property
    def head(self) -> str:
        return f"{self.epoch}:{len(self.changes)}"

    # -- what connections do

    def joined(self, viewer: _Viewer, since: str | None) -> None:
        self._viewers.append(viewer)
        self.asked.append((viewer.transport_name, since))
        if viewer.transport_name in self.mute:
            return
        missed = self.since(since)
        hello = {"type": "hello", "epoch": self.epoch, "cursor": since or self.head}
        viewer.send(hello | ({"stalled": True} if self.stalled else {}))
        if self.gap is not None:
            viewer.send({"type": "gap", **self.gap})
        if missed:
            viewer.send({"type": "changes", "cursor": self.head, "changes": missed})

    def left(self, viewer: _Viewer) -> None:
        if viewer in self._viewers:
            self._viewers.remove(viewer)

    def since(self, cursor: str | None) -> list[dict[str, Any]]:
        """The changes above ``cursor``; none for who has no cursor."""
        return [] if cursor is None else self.changes[int(cursor.rpartition(":")[2]) :]

    def render_page(self, request: Request) -> Any:
        return self._pages.render(request)

    def _posted(self, item: Item) -> dict[str, Any]:
        return {
            "type": "item.posted",
            "item": {"id": item.id, "created_at": item.created_at},
            "fragment": self.fragments.render(item),
        }


class _Viewer:
    transport_name = ""

    def send(self, message: dict[str, Any]) -> None:
        raise NotImplementedError

    def drop(self) -> None:
        raise NotImplementedError


class _WebSocket(WebSocketServerProtocol, _Viewer):
    transport_name = "websocket"
    script: ScriptedServer

    def onConnect(self, request: Any) -> None:
        self._since = request.params.get("since", [None])[0]

    def onOpen(self) -> None:
        self.script.joined(self, self._since)

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        self.script.left(self)

    def send(self, message: dict[str, Any]) -> None:
        self.sendMessage(json.dumps(message).encode())

    def drop(self) -> None:
        self.dropConnection(abort=True)


class _Stream(_Viewer):
    transport_name = "sse"

    def __init__(self, request: Request) -> None:
        self._request = request

    def send(self, message: dict[str, Any]) -> None:
        self._request.write(
            b"event: %b\ndata: %b\n\n" % (message["type"].encode(), json.dumps(message).encode())
        )

    def drop(self) -> None:
        self._request.transport.abortConnection()


class _Connections(WrappingFactory):
    """Every connection there is."""

    noisy = False

    def __init__(self, site: Site, reactor: Any) -> None:
        super().__init__(site)
        self._reactor = reactor
        self._ending: Deferred[None] | None = None

    def end(self) -> Deferred[None]:
        """End all; fires once they have, when nobody listens any more."""
        if not self.protocols:
            return succeed(None)
        self._ending = Deferred()
        for connection in list(self.protocols):
            connection.abortConnection()
        return self._ending

    def unregisterProtocol(self, connection: ProtocolWrapper) -> None:
        super().unregisterProtocol(connection)
        if self._ending is not None and not self.protocols:
            # Who answered on this connection is told of its end after this.
            self._reactor.callLater(0, self._ending.callback, None)


class _Root(Resource):
    isLeaf = True

    def __init__(self, script: ScriptedServer) -> None:
        super().__init__()
        self._script = script
        factory = WebSocketServerFactory()
        factory.protocol = type("Bound", (_WebSocket,), {"script": script})
        self._websocket = WebSocketResource(factory)

    def render(self, request: Request) -> Any:
        answers = {b"ws": self._ws, b"stream": self._stream, b"updates": self._updates}
        return answers.get(request.path.rpartition(b"/")[2], self._script.render_page)(request)

    def _ws(self, request: Request) -> Any:
        if "websocket" in self._script.refused:
            self._script.asked.append(("websocket", None))
            return self._refuse(request)
        return self._websocket.render(request)

    def _stream(self, request: Request) -> Any:
        since = _argument(request, b"since")
        if "sse" in self._script.refused:
            self._script.asked.append(("sse", None))
            return self._refuse(request)
        request.setHeader(b"content-type", b"text/event-stream")
        request.write(b": \n\n")
        viewer = _Stream(request)
        request.notifyFinish().addBoth(lambda _: self._script.left(viewer))
        self._script.joined(viewer, since)
        return NOT_DONE_YET

    def _updates(self, request: Request) -> Any:
        since = _argument(request, b"since")
        self._script.asked.append(("poll", since))
        if "poll" in self._script.refused:
            if self._script.recovering:
                self._script.refused, self._script.recovering = set(), False
            return self._refuse(request)
        request.setHeader(b"content-type", b"application/json")
        return json.dumps(
            {
                "epoch": self._script.epoch,
                "cursor": self._script.head,
                "changes": self._script.since(since),
                "gap": self._script.gap,
                "more": False,
            }
            | ({"stalled": True} if self._script.stalled else {})
        ).encode()

    def _refuse(self, request: Request) -> bytes:
        request.setResponseCode(503)
        return b"{}"


def _argument(request: Request, name: bytes) -> str | None:
    values = request.args.get(name)
    return values[0].decode() if values else None
