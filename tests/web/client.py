"""Requests to a resource without a network: bytes in, bytes out, through ``twisted.web``'s own channel."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from twisted.web.server import Site


class NoAnswer(Exception):
    """The resource was still busy when the client left."""


@attrs.frozen
class Answer:
    """``headers`` have lower-case names; a header that came twice is joined by a line feed, to be noticed."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")


def ask(
    resource: IResource,
    path: str | bytes,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """What ``resource`` answers in the same turn; the client leaves then, and without an answer it raises
    :class:`NoAnswer`."""
    channel = Site(resource).buildProtocol(None)
    transport = StringTransport()
    channel.makeConnection(transport)
    target = path if isinstance(path, bytes) else path.encode("ascii")
    lines = [method.encode() + b" " + target + b" HTTP/1.1", b"Host: feed.example"]
    lines += [f"{name}: {value}".encode() for name, value in (headers or {}).items()]
    channel.dataReceived(b"\r\n".join(lines) + b"\r\n\r\n")
    channel.connectionLost(Failure(ConnectionDone()))
    if not transport.value():
        raise NoAnswer(path)
    head, _, body = transport.value().partition(b"\r\n\r\n")
    status, *fields = head.split(b"\r\n")
    found: dict[str, str] = {}
    for field in fields:
        name, _, value = field.decode("latin-1").partition(": ")
        name = name.lower()
        found[name] = f"{found[name]}\n{value}" if name in found else value
    return Answer(int(status.split()[1]), found, body)
