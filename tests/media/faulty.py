"""A host of pictures on this machine with every fault that one can have."""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from afeed.core.pictures import START

PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + b"p" * 500
JPEG = b"\xff\xd8\xff\xe0" + b"j" * 700


class PictureHost(Resource):
    """Answers by path; ``pictures`` has those that are all right.  ``asked`` counts, ``headers`` has those of
    the last request, ``at`` the times of all."""

    isLeaf = True

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self.pictures: dict[str, bytes] = {"/ann.png": PNG, "/photo.jpg": JPEG}
        self.asked: Counter[str] = Counter()
        self.at: list[tuple[float, str]] = []
        self.headers: dict[bytes, list[bytes]] = {}
        self.gone: list[Deferred[Any]] = []
        self.busy = False
        self.retry_after = b"7"
        self._reactor = reactor
        self._port: Any = None

    def listen(self) -> str:
        """Its address."""
        site = Site(self)
        site.noisy = False  # type: ignore[assignment]
        self._port = self._reactor.listenTCP(0, site, interface="127.0.0.1")
        return f"http://127.0.0.1:{self._port.getHost().port}"

    @property
    def port(self) -> int:
        return int(self._port.getHost().port)

    def close(self) -> Any:
        return self._port.stopListening()

    def render(self, request: Request) -> Any:
        path = request.path.decode()
        self.asked[path] += 1
        self.at.append((self._reactor.seconds(), path))
        self.headers = dict(request.requestHeaders.getAllRawHeaders())
        if self.busy:
            request.setResponseCode(429)
            request.setHeader(b"retry-after", self.retry_after)
            return b"later"
        body = self.pictures.get(path)
        if body is not None:
            # A lie, which nobody is to believe.
            request.setHeader(b"content-type", b"text/html")
            return body
        fault = getattr(self, "do_" + path.strip("/").partition("/")[0].replace("-", "_"), None)
        if fault is None:
            request.setResponseCode(404)
            return b"nothing here"
        return fault(request)

    def _held(self, request: Request) -> int:
        self.gone.append(request.notifyFinish().addErrback(lambda _: None))
        return NOT_DONE_YET

    def do_silent(self, request: Request) -> int:
        return self._held(request)

    def do_slow(self, request: Request) -> int:
        """A picture that begins and never ends."""
        request.setHeader(b"content-length", b"50000")
        request.write(PNG)
        return self._held(request)

    def do_endless(self, request: Request) -> int:
        """One that grows for ever."""

        def more() -> None:
            if not request._disconnected and not request.finished:
                request.write(b"x" * 65536)
                self._reactor.callLater(0, more)

        request.write(PNG)
        more()
        return self._held(request)

    def do_huge(self, request: Request) -> int:
        """One that says how large it is."""
        request.setHeader(b"content-length", b"%d" % (1 << 40))
        request.write(PNG)
        return self._held(request)

    def do_truncated(self, request: Request) -> int:
        request.setHeader(b"content-length", b"%d" % (len(PNG) + 1))
        request.write(PNG)
        self._reactor.callLater(0.05, request.transport.loseConnection)
        return self._held(request)

    def do_html(self, request: Request) -> bytes:
        request.setHeader(b"content-type", b"image/png")
        return b"<!doctype html><script>alert(1)</script>" + b" " * START

    def do_svg(self, request: Request) -> bytes:
        request.setHeader(b"content-type", b"image/svg+xml")
        return b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"

    def do_empty(self, request: Request) -> bytes:
        return b""

    def do_unpacks(self, request: Request) -> bytes:
        request.setHeader(b"content-encoding", b"gzip")
        return b"\x1f\x8b" + b"\0" * 100

    def do_broken(self, request: Request) -> bytes:
        request.setResponseCode(500)
        return b"oh"

    def do_busy(self, request: Request) -> bytes:
        request.setResponseCode(429)
        request.setHeader(b"retry-after", self.retry_after)
        return b"later"

    def do_to(self, request: Request) -> bytes:
        """``/to/<address>``: a redirect."""
        request.setResponseCode(302)
        request.setHeader(b"location", request.uri.partition(b"/to/")[2])
        return b""

    def do_round(self, request: Request) -> bytes:
        request.setResponseCode(301)
        request.setHeader(b"location", b"/round")
        return b""

    def do_nowhere(self, request: Request) -> bytes:
        request.setResponseCode(302)
        return b""
