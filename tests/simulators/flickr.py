"""A Flickr that runs on this machine: ``flickr.photos.search`` with its faults on demand, and the pictures.

``docs/simulators.rst`` says how to start it by hand.  In tests::

    flickr = FlickrSimulator(reactor, now)
    flickr.listen(0)
    flickr.library.add(invented(1, uploaded))
    flickr.faults.append("502")              # the next request gets that instead of photos
"""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser, Namespace
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.protocols.policies import WrappingFactory
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from tests.simulators.photos import Library, drawing, failure, invented

SORRY = "Sorry, the Flickr API service is not currently available."
HTML = b"<!DOCTYPE html><html><head><title>Bad Gateway</title></head><body><h1>:(</h1></body></html>"

Fault = Callable[[Any, Any, bytes], Any]


def _fail(code: int, message: str) -> Fault:
    def answer(reactor: Any, request: Any, body: bytes) -> bytes:
        return json.dumps(failure(code, message)).encode()

    return answer


def _status(status: int, body: bytes, content_type: str = "text/html", **headers: str) -> Fault:
    def answer(reactor: Any, request: Any, _: bytes) -> bytes:
        request.setResponseCode(status)
        request.setHeader("Content-Type", content_type)
        for name, value in headers.items():
            request.setHeader(name.replace("_", "-"), value)
        return body

    return answer


def _wrapped(reactor: Any, request: Any, body: bytes) -> bytes:
    return b"jsonFlickrApi(" + body + b")"


def _truncated(reactor: Any, request: Any, body: bytes) -> bytes:
    return body[: len(body) * 2 // 3]


def _closed(reactor: Any, request: Any, body: bytes) -> int:
    request.transport.abortConnection()
    return NOT_DONE_YET


def _silent(reactor: Any, request: Any, body: bytes) -> int:
    return NOT_DONE_YET


def _dribbled(reactor: Any, request: Any, body: bytes) -> int:
    """Twenty bytes a second, all of them valid so far."""

    def write() -> None:
        request.write(b" ")

    _repeat(reactor, request, write, 0.05)
    return NOT_DONE_YET


def _endless(reactor: Any, request: Any, body: bytes) -> int:
    """As much as the line takes, without end."""
    _repeat(reactor, request, lambda: request.write(b'{"photos":' + b" " * 256 * 1024), 0.001)
    return NOT_DONE_YET


def _repeat(reactor: Any, request: Any, call: Callable[[], None], seconds: float) -> None:
    loop = LoopingCall(call)
    loop.clock = reactor
    request.notifyFinish().addErrback(lambda _: loop.running and loop.stop())
    loop.start(seconds)


FAULTS: dict[str, Fault] = {
    "100": _fail(100, "Invalid API Key (Key has invalid format)"),
    "105": _fail(105, "Service currently unavailable"),
    "201": _fail(201, SORRY),
    "0": _fail(0, SORRY),
    "1": _fail(1, "Too many tags in ALL query"),
    "xml": _status(200, b'<?xml version="1.0" ?><rsp stat="fail"><err code="105" msg="x"/></rsp>', "text/xml"),
    "html": _status(200, HTML),
    "502": _status(502, HTML),
    "429": _status(429, b"Too Many Requests", "text/plain", Retry_After="120"),
    "403": _status(403, b"Forbidden", "text/plain"),
    "redirect": _status(302, b"", Location="https://example.org/login"),
    "jsonp": _wrapped,
    "truncated": _truncated,
    "close": _closed,
    "silent": _silent,
    "dribble": _dribbled,
    "endless": _endless,
}
"""What may go into :attr:`FlickrSimulator.faults`."""

#: Those that no operator has to do anything about.
PASSING = sorted(FAULTS.keys() - {"1", "100", "403", "redirect"})


class FlickrSimulator:
    """The server.  ``now()`` gives Unix seconds.

    ``requests`` are the parameters of all searches so far.  Each of ``faults`` is used up by one search;
    ``lasting`` answers every one while it is set.  ``key`` is the only API key that is accepted, None accepts
    any.
    """

    def __init__(self, reactor: Any, now: Callable[[], float], *, key: str | None = None) -> None:
        self.library = Library()
        self.requests: list[dict[str, str]] = []
        self.faults: deque[str] = deque()
        self.lasting: str | None = None
        self.port = 0
        self._reactor = reactor
        self._now = now
        self._key = key
        self._listener: Any = None
        self._connections: WrappingFactory | None = None

    @property
    def url(self) -> str:
        """What ``accounts.flickr.api_url`` should say."""
        return f"http://127.0.0.1:{self.port}/services/rest/"

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections.protocols) if self._connections is not None else 0

    def root(self) -> Resource:
        """The resource tree, for a site of one's own."""
        root, services = Resource(), Resource()
        root.putChild(b"services", services)
        services.putChild(b"rest", _Rest(self))
        root.putChild(b"photos", _Drawings())
        return root

    def listen(self, port: int = 0) -> None:
        """Accept connections on 127.0.0.1; ``port`` 0 takes a free one."""
        self._connections = WrappingFactory(Site(self.root()))
        self._listener = self._reactor.listenTCP(port, self._connections, interface="127.0.0.1")
        self.port = self._listener.getHost().port
        self.library.image_url = f"http://127.0.0.1:{self.port}/photos"

    async def stop(self) -> None:
        """Close the port and all connections."""
        if self._listener is not None:
            listener, self._listener = self._listener, None
            await listener.stopListening()
        if self._connections is not None:
            for connection in list(self._connections.protocols):
                connection.abortConnection()

    def answer(self, request: Any) -> Any:
        """The body for a search, or NOT_DONE_YET."""
        query = {name.decode(): values[-1].decode("utf-8", "replace") for name, values in request.args.items()}
        self.requests.append(query)
        request.setHeader("Content-Type", "application/json")
        body = json.dumps(self._result(query)).encode()
        if query.get("nojsoncallback") != "1":
            body = b"jsonFlickrApi(" + body + b")"
        fault = self.faults.popleft() if self.faults else self.lasting
        return body if fault is None else FAULTS[fault](self._reactor, request, body)

    def _result(self, query: dict[str, str]) -> dict[str, Any]:
        if not query.get("api_key") or self._key not in (None, query["api_key"]):
            return failure(100, "Invalid API Key (Key not found)")
        if query.get("format") != "json":
            return failure(111, f'Format "{query.get("format")}" not found')
        if query.get("method") != "flickr.photos.search":
            return failure(112, f'Method "{query.get("method")}" not found')
        return self.library.search(query, self._now())


class _Rest(Resource):
    isLeaf = True

    def __init__(self, simulator: FlickrSimulator) -> None:
        super().__init__()
        self._simulator = simulator

    def render_GET(self, request: Request) -> Any:
        return self._simulator.answer(request)


class _Drawings(Resource):
    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        request.setHeader("Content-Type", "image/svg+xml")
        name = (request.postpath or [b""])[-1].decode("ascii", "replace")
        return drawing(name.partition("_")[0])


# -- by hand ------------------------------------------------------------------------------------------------


def add_arguments(parser: ArgumentParser) -> None:
    """The options of ``python -m tests.simulators flickr``."""
    parser.add_argument("--tag", default="aneventapart", help="the tag that the photos carry (%(default)s)")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two photos (%(default)g)")
    parser.add_argument(
        "--late", type=float, default=0.1, help="share of photos that are found minutes late (%(default)g)"
    )
    parser.add_argument(
        "--fault-rate", type=float, default=0.0, help="share of time in which requests fail (%(default)g)"
    )
    parser.add_argument("--fault", choices=sorted(FAULTS), help="fail always, and in this way")


def serve(reactor: Any, options: Namespace) -> str:
    """Listen, and add a new photo every few seconds; what to tell the person who started it."""
    simulator = FlickrSimulator(reactor, time.time)
    simulator.listen(options.port)
    loop = LoopingCall(_Uploads(simulator, options, time.time, Random()).add)
    loop.clock = reactor
    loop.start(options.every)
    return (
        f"Flickr answers at {simulator.url} with photos tagged {options.tag}\n\n  [accounts.flickr]\n"
        f'  api_key_env = "AFEED_FLICKR_API_KEY"  # any key will do\n  api_url = "{simulator.url}"'
    )


class _Uploads:
    """People who upload photos."""

    def __init__(
        self, simulator: FlickrSimulator, options: Namespace, now: Callable[[], float], rng: Random
    ) -> None:
        self._simulator = simulator
        self._options = options
        self._now = now
        self._rng = rng
        self._count = int(now())  # ids go on from those of an earlier run

    def add(self) -> None:
        """One more photo, and perhaps trouble until the next one."""
        options, rng, simulator = self._options, self._rng, self._simulator
        self._count += 1
        uploaded = int(self._now())
        photo = invented(self._count, uploaded, (options.tag,))
        if rng.random() < options.late:
            photo.indexed = uploaded + rng.randrange(60, 300)
        simulator.library.add(photo)
        if options.fault is not None:
            simulator.lasting = options.fault
        else:
            simulator.lasting = rng.choice(PASSING) if rng.random() < options.fault_rate else None
