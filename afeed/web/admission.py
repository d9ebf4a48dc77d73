"""Whom a request is for, who asks, and what may come with it: decided once its head is complete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from afeed.core.http import Header, Names, client_address, is_internal
from afeed.core.request import Refused, check_body, read_target, split_path
from afeed.settings import Server
from afeed.web.exchange import Exchange

if TYPE_CHECKING:
    from afeed.web.connection import HttpConnection
    from afeed.web.front import Router


class Gate(Protocol):
    """What a :class:`~afeed.web.reading.RequestReader` asks as soon as a head is complete."""

    def admit(self, method: bytes, version: bytes, url: bytes, headers: list[Header]) -> tuple[Exchange, int]:
        """Decide from the head whether the request is for us: the exchange, and the most bytes of body it may
        have.  Raises :class:`~afeed.core.request.Refused`."""

    def admit_again(self, before: Exchange, url: bytes) -> Exchange | None:
        """The same for a GET of ``url``, a path, with the very headers of ``before``, which had no body either;
        None when it has to be looked at like any other."""


class Admission:
    """The rules, the same for all connections."""

    def __init__(self, server: Server, names: Names, router: Router) -> None:
        self._server = server
        self._names = names
        self._router = router

    def admit(
        self, connection: HttpConnection, method: bytes, version: bytes, url: bytes, headers: list[Header]
    ) -> tuple[Exchange, int]:
        """See :meth:`Gate.admit`."""
        authority, path, query = read_target(method, version, url, headers)
        ours = self._names.is_ours(authority)
        if not ours and not self._router.any_host(path, self.internal(connection.peer, headers)):
            raise Refused(421, "wrong_host", "this server is known under another name")
        limit = self._router.max_body(method, path)
        check_body(version, headers, limit)
        client = client_address(connection.peer, headers, self._server.trusted_proxies)
        return Exchange(connection, method, version, path, query, headers, client, ours), limit

    def admit_again(self, before: Exchange, url: bytes) -> Exchange | None:
        """See :meth:`Gate.admit_again`."""
        if not before.ours:
            return None
        path, query = split_path(url)
        return Exchange(before.connection, b"GET", b"1.1", path, query, before.headers, before.client, True)

    def internal(self, peer: str, headers: list[Header]) -> bool:
        """Whether health details and metrics may be shown to who asks so."""
        return is_internal(peer, headers, self._server.trusted_proxies, self._server.internal)
