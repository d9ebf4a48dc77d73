"""Pictures that are kept, from our own address.

::

    GET /media/by/<key>          a picture that an item shows (:mod:`afeed.media.addresses`)
    GET /media/<sha256>.<kind>   a file

A picture that is not here yet is answered with 404 and a transparent one in its place, by whose size the page's
script knows to ask again.  What is here never changes, so browsers keep it for good; caches that many people
share do not, for what is removed is to be gone from them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from twisted.web.static import NoRangeStaticProducer

from afeed.core.errors import ArchiveUnavailable
from afeed.core.http import Header
from afeed.media.addresses import BY_CONTENT, BY_KEY, KEY_BYTES
from afeed.media.shelf import Shelf
from afeed.media.store import Kept, parse_name
from afeed.web.bridge import hand_over
from afeed.web.exchange import Exchange

#: The size of what stands in for a picture is known to ``static/pictures.js``.
PLACEHOLDER = b'<svg xmlns="http://www.w3.org/2000/svg" width="37" height="23"/>'

_KEEP = b"private, max-age=31536000, immutable"
#: A picture is nothing but a picture, also for somebody who opens it alone.
_POLICY = b"default-src 'none'; sandbox; frame-ancestors 'none'"

_log = Logger()


class MediaSite:
    """Answers what is below ``/media/``; ``headers`` are those that every answer carries."""

    def __init__(self, shelf: Shelf, headers: list[Header], reactor: Any) -> None:
        self._site = Site(_Files(shelf, headers), reactor=reactor)

    def beside(self, others: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
        """What answers these addresses, and leaves all else to ``others``."""

        def show(exchange: Exchange) -> None:
            if exchange.path.startswith(BY_CONTENT.encode()):
                hand_over(exchange, self._site)
            else:
                others(exchange)

        return show


class _Files(Resource):
    isLeaf = True

    def __init__(self, shelf: Shelf, headers: list[Header]) -> None:
        super().__init__()
        self._shelf = shelf
        self._headers = [(name, value) for name, value in headers if name != b"Content-Security-Policy"]

    def render(self, request: Request) -> Any:
        for name, value in self._headers:
            request.setHeader(name, value)
        request.setHeader(b"content-security-policy", _POLICY)
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"allow", b"GET, HEAD")
            return _nothing(request, 405)
        answering = Deferred.fromCoroutine(self._answer(request))
        request.notifyFinish().addErrback(lambda _: answering.cancel())
        answering.addErrback(_failed, request)
        return NOT_DONE_YET

    async def _answer(self, request: Request) -> None:
        path = request.path.decode("ascii", "replace")
        try:
            found = await self._find(path)
        except ArchiveUnavailable:
            request.setHeader(b"retry-after", b"5")
            _finish(request, _nothing(request, 503))
            return
        if found is None:
            _finish(request, _nothing(request, 404))
        else:
            _send(request, *found)

    async def _find(self, path: str) -> tuple[Kept, BinaryIO] | None:
        if path.startswith(BY_KEY):
            key = _key(path.removeprefix(BY_KEY))
            return None if key is None else await self._shelf.by_key(key)
        name = parse_name(path.removeprefix(BY_CONTENT))
        return None if name is None else await self._shelf.by_content(*name)


def _key(text: str) -> bytes | None:
    """What is known by ``text``; None for what is no key of ours."""
    if len(text) != 2 * KEY_BYTES:
        return None
    with suppress(ValueError):
        key = bytes.fromhex(text)
        return key if key.hex() == text else None
    return None


def _nothing(request: Request, code: int) -> bytes:
    """What stands in for a picture."""
    request.setResponseCode(code)
    request.setHeader(b"content-type", b"image/svg+xml")
    request.setHeader(b"cache-control", b"no-store")
    request.setHeader(b"content-length", b"%d" % len(PLACEHOLDER))
    return b"" if request.method == b"HEAD" else PLACEHOLDER


def _send(request: Request, kept: Kept, file: BinaryIO) -> None:
    etag = b'"%s"' % kept.sha256.hex().encode()
    request.setHeader(b"etag", etag)
    request.setHeader(b"cache-control", _KEEP)
    if request.setETag(etag) is not None:
        file.close()
        _finish(request, b"")
        return
    request.setHeader(b"content-type", kept.media_type.encode())
    request.setHeader(b"content-length", b"%d" % kept.size)
    if request.method == b"HEAD":
        file.close()
        _finish(request, b"")
        return
    file.seek(0)
    request.notifyFinish().addBoth(lambda _: file.close())
    NoRangeStaticProducer(request, file).start()


def _finish(request: Request, body: bytes) -> None:
    request.write(body)
    request.finish()


def _failed(failure: Failure, request: Request) -> None:
    if request._disconnected:
        return
    _log.failure("The picture {path} could not be sent", failure, path=request.path.decode("ascii", "replace"))
    _finish(request, _nothing(request, 500))
