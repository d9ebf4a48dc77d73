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
from twisted.web.server import Site

from tests.simulators.flickrfaults import FAULTS, PASSING
from tests.simulators.photos import Library, Photo, drawing, failure, invented


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
        self._count = 0
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
        root, services, control = Resource(), Resource(), Resource()
        root.putChild(b"services", services)
        services.putChild(b"rest", _Rest(self))
        root.putChild(b"control", control)
        control.putChild(b"fault", _ControlFault(self))
        control.putChild(b"upload", _ControlUpload(self))
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

    def upload(self, tags: tuple[str, ...], title: str = "", late: int = 0) -> Photo:
        """A new photo, found by searches ``late`` seconds from now."""
        uploaded = int(self._now())
        # Ids go on from those of an earlier run.
        self._count = max(self._count + 1, uploaded)
        photo = invented(self._count, uploaded, tags)
        photo.title = title or photo.title
        photo.indexed = uploaded + late
        self.library.add(photo)
        return photo

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


def _arguments(request: Request) -> dict[str, str]:
    return {name.decode(): values[-1].decode("utf-8", "replace") for name, values in request.args.items()}


class _ControlFault(_Rest):
    """``POST /control/fault``: ``name``, and ``times`` for how many searches (0: until ``name=none``)."""

    def render_POST(self, request: Request) -> bytes:
        options = _arguments(request)
        name, times = options.get("name", ""), options.get("times", "1")
        if name == "none":
            self._simulator.faults.clear()
            self._simulator.lasting = None
        elif name not in FAULTS or not times.isdigit():
            request.setResponseCode(400)
            return ("name one of: none, " + ", ".join(sorted(FAULTS)) + "; times is a number\n").encode()
        elif times == "0":
            self._simulator.lasting = name
        else:
            self._simulator.faults.extend([name] * int(times))
        return b"done\n"


class _ControlUpload(_Rest):
    """``POST /control/upload``: ``tags`` with commas between, optionally ``title`` and ``late`` (seconds)."""

    def render_POST(self, request: Request) -> bytes:
        options = _arguments(request)
        tags, late = tuple(filter(None, options.get("tags", "").split(","))), options.get("late", "0")
        if not tags or not late.isdigit():
            request.setResponseCode(400)
            return b"tags are needed; title and late (seconds) are possible\n"
        return self._simulator.upload(tags, options.get("title", ""), int(late)).id.encode() + b"\n"


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
    simulator.lasting = options.fault
    control = f"http://127.0.0.1:{simulator.port}/control"
    loop = LoopingCall(Uploads(simulator, options, Random()).add)
    loop.clock = reactor
    loop.start(options.every)
    return (
        f"Flickr answers at {simulator.url} with photos tagged {options.tag}\n\n  [accounts.flickr]\n"
        f'  api_key_env = "AFEED_FLICKR_API_KEY"  # any key will do\n  api_url = "{simulator.url}"\n\n'
        f"Upload something: curl -d tags={options.tag} -d title=Hello {control}/upload\n"
        f"Break something:  curl -d name=502 {control}/fault"
    )


class Uploads:
    """People who upload photos, with the options of :func:`add_arguments`."""

    def __init__(self, simulator: FlickrSimulator, options: Namespace, rng: Random) -> None:
        self._simulator = simulator
        self._options = options
        self._rng = rng

    def add(self) -> None:
        """One more photo, and perhaps trouble until the next one."""
        options, rng, simulator = self._options, self._rng, self._simulator
        late = rng.randrange(60, 300) if rng.random() < options.late else 0
        simulator.upload((options.tag,), late=late)
        if options.fault_rate:
            simulator.lasting = rng.choice(PASSING) if rng.random() < options.fault_rate else None
