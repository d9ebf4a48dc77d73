"""What all pages share on their way in and out, whoever they are for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.web.iweb import IRequest
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request
from zope.interface import implementer

from afeed.web.languages import choose
from afeed.web.pages import Reader


@implementer(IResource)
class Entrance(Resource):
    """Stands before ``router``, which would answer some things in its own words, or with a traceback.

    ``before`` sees every request first: it sets the headers of all answers, and may give the answer itself.
    ``unknown`` answers what cannot be an address of ours."""

    isLeaf = True

    def __init__(
        self,
        router: IResource,
        before: Callable[[Request], bytes | None],
        unknown: Callable[[Request], bytes],
    ) -> None:
        super().__init__()
        self._router = router
        self._before = before
        self._unknown = unknown

    def render(self, request: Request) -> Any:
        answered = self._before(request)
        if answered is not None:
            return answered
        try:
            b"/".join(request.postpath or ()).decode("utf-8")
        except UnicodeDecodeError:
            return self._unknown(request)
        return self._router.render(request)


def reader_of(request: IRequest) -> Reader:
    """Who asks: the language they want."""
    asked = request.args.get(b"lang", [b""])[0].decode("ascii", "replace")
    return Reader(*choose(asked, (request.getHeader(b"accept-language") or b"").decode("latin-1")))


def send(request: IRequest, code: int, content_type: bytes, body: bytes) -> bytes:
    """Set the headers for ``body``, which is for this request alone, and return it."""
    request.setResponseCode(code)
    request.setHeader(b"content-type", content_type)
    request.setHeader(b"cache-control", b"no-store")
    request.setHeader(b"content-length", b"%d" % len(body))
    return body
