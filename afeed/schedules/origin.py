"""Where a schedule comes from: a file or an address, read again only when it has changed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import msgspec
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from afeed.core.errors import AfeedError
from afeed.core.schedule.limits import MAX_BYTES
from afeed.sources.http import HttpFault, fetch, header, host_of

#: Seconds for fetching the whole of it.
TIMEOUT_S = 60.0
_ACCEPT = "application/xml, application/json, text/calendar, application/toml, */*;q=0.1"


class OriginFault(AfeedError):
    """It could not be read; the message says why."""


class Mark(msgspec.Struct, frozen=True):
    """By what a version is recognised: what the server calls it, what the file system says, and a hash."""

    tag: str = ""
    modified: str = ""
    hash: str = ""


class Content(msgspec.Struct, frozen=True):
    """The bytes of one version.  ``data`` is None if it is the one already known."""

    data: bytes | None
    mark: Mark


class Origin(Protocol):
    """What a keeper reads from."""

    name: str

    async def read(self, known: Mark) -> Content:
        """The present version, compared with ``known``.  Raises :class:`OriginFault`."""


class FileOrigin:
    """A file.  ``in_thread(function)`` runs it off the reactor: the disk may be slow, or on another machine."""

    def __init__(self, path: Path, in_thread: Callable[[Callable[[], Content]], Deferred[Content]]) -> None:
        self.name = str(path)
        self._path = path
        self._in_thread = in_thread

    async def read(self, known: Mark) -> Content:
        """See :class:`Origin`."""
        try:
            return await self._in_thread(lambda: self._read(known))
        except OSError as error:
            raise OriginFault(f"{self.name} cannot be read ({error.strerror})") from None

    def _read(self, known: Mark) -> Content:
        # Opening a pipe would wait for whoever writes to it.
        descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise OriginFault(f"{self.name} is not a regular file")
            modified = f"{status.st_mtime_ns}:{status.st_size}:{status.st_ino}"
            if modified == known.modified:
                return Content(None, known)
            with os.fdopen(descriptor, "rb", closefd=False) as stream:
                data = stream.read(MAX_BYTES + 1)
        finally:
            os.close(descriptor)
        return _content(data, "", modified, known)


class UrlOrigin:
    """An address, asked for with what is known of the last answer."""

    def __init__(self, url: str, http: HTTPClient, clock: IReactorTime) -> None:
        self.name = url
        self._url = url
        self._http = http
        self._clock = clock

    async def read(self, known: Mark) -> Content:
        """See :class:`Origin`."""
        headers = {"Accept": _ACCEPT}
        if known.tag:
            headers["If-None-Match"] = known.tag
        if known.modified:
            headers["If-Modified-Since"] = known.modified
        try:
            answer = await fetch(
                self._http,
                "GET",
                self._url,
                clock=self._clock,
                headers=headers,
                timeout_s=TIMEOUT_S,
                limit=MAX_BYTES,
            )
        except HttpFault as fault:
            if fault.kind == "redirect":
                raise OriginFault(
                    f"{host_of(self._url)} redirects; put the address that it leads to into the configuration"
                ) from None
            raise OriginFault(str(fault)) from None
        if answer.status == 304:
            return Content(None, known)
        if answer.status != 200:
            raise OriginFault(f"{host_of(self._url)} answers with HTTP status {answer.status}")
        tag, modified = header(answer.headers, "ETag") or "", header(answer.headers, "Last-Modified") or ""
        return _content(answer.body, tag[:500], modified[:100], known)


def _content(data: bytes, tag: str, modified: str, known: Mark) -> Content:
    mark = Mark(tag, modified, blake2b(data, digest_size=16).hexdigest())
    return Content(None if mark.hash == known.hash else data, mark)
