"""At most so many connections of one address, so that nobody alone takes all that there are.

A venue is one address, so there is room for thousands; what is kept out is a single machine that opens
connections until nobody else gets any.  Whoever is one too many is told so and leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

from twisted.logger import Logger

from afeed.core.http import first_header, is_among
from afeed.core.request import Refused
from afeed.core.throttle import network_of
from afeed.settings import Server
from afeed.web.exchange import Exchange

#: So many of one address may wait at the same time to be told; whoever comes beyond that is cut off unheard.
MOST_STANDING = 100
#: Seconds in which one of those has to say what it wants.
STANDING_S = 5
#: When who was sent away may come again, in seconds.
RETRY_S = 30
#: One address is warned of once in so many seconds.
WARN_S = 60
#: So many addresses are remembered for that.
_MOST_WARNED = 1000

_log = Logger()


class Place(Protocol):
    """What a connection has from its beginning to its end, or a request through a proxy while it is answered.
    Who has it calls :meth:`leave` once."""

    @property
    def full(self) -> bool:
        """Whether this is no place but the way out: there were too many already."""

    def leave(self) -> None:
        """Give it back."""


class _Free:
    """The place of whoever is not counted."""

    __slots__ = ()
    full = False

    def leave(self) -> None:
        """Nobody noticed."""


FREE: Place = _Free()


class _Address:
    """The place of everybody who comes from one address; there while anybody is."""

    __slots__ = ("_among", "_name", "open", "standing")
    full = False

    def __init__(self, among: dict[str, _Address], name: str) -> None:
        self._among = among
        self._name = name
        self.open = 0
        self.standing = 0

    def leave(self) -> None:
        self.open -= 1
        self.forget()

    def forget(self) -> None:
        if not self.open and not self.standing:
            del self._among[self._name]


class _Standing:
    """The way out for one who came from ``address``."""

    __slots__ = ("_address",)
    full = True

    def __init__(self, address: _Address) -> None:
        self._address = address
        address.standing += 1

    def leave(self) -> None:
        self._address.standing -= 1
        self._address.forget()


class Crowd:
    """Who is here, by address; an IPv6 customer, who has at least a /64 to choose from, is one.

    Not counted are the addresses that ``server`` calls internal, and trusted proxies: behind those it is what
    they say of the client that counts, request by request.  ``seconds`` tells the time, ``turned_away`` hears
    of everybody who was too many, ``page`` says it to people by their ``Accept-Language``.
    """

    def __init__(
        self,
        server: Server,
        seconds: Callable[[], float],
        turned_away: Callable[[], object],
        page: Callable[[str], bytes],
    ) -> None:
        self._most = server.max_connections_per_address
        self._seconds = seconds
        self._turned_away = turned_away
        self._page = page
        self._addresses: dict[str, _Address] = {}
        self._warned: dict[str, float] = {}
        uncounted = (*server.internal, *server.trusted_proxies)
        # The same few addresses come again and again, and parsing one takes longer than all the rest.
        self._name = lru_cache(4096)(lambda peer: None if is_among(peer, uncounted) else network_of(peer))
        self.is_proxy = lru_cache(4096)(lambda peer: is_among(peer, server.trusted_proxies))

    def __len__(self) -> int:
        """From how many addresses somebody is here, or on the way out."""
        return len(self._addresses)

    def largest(self) -> int:
        """How many connections the address with the most of them has."""
        return max((address.open for address in self._addresses.values()), default=0)

    def admit(self, peer: str) -> Place | None:
        """A place for one more from ``peer``: one that is ``full`` for who is too many, None for whom nothing
        more can be done."""
        name = self._name(peer)
        if name is None:
            return FREE
        address = self._addresses.get(name)
        if address is None:
            address = self._addresses[name] = _Address(self._addresses, name)
        if address.open < self._most:
            address.open += 1
            return address
        self._turned_away()
        self._warn(name)
        return _Standing(address) if address.standing < MOST_STANDING else None

    def refusal(self, exchange: Exchange) -> Refused:
        """What one who is too many is told: as a page where that is asked for."""
        refused = Refused(
            429,
            "too_many_connections",
            "your address has more connections open than this server allows; close some, or try again shortly",
            ((b"Retry-After", b"%d" % RETRY_S),),
        )
        if b"text/html" in (exchange.header(b"accept") or b""):
            accepted = first_header(exchange.headers, b"accept-language") or b""
            refused.page = self._page(accepted.decode("latin-1"))
        return refused

    def _warn(self, name: str) -> None:
        now = self._seconds()
        if now - self._warned.get(name, -WARN_S) < WARN_S:
            return
        if len(self._warned) >= _MOST_WARNED:
            self._warned = {name: at for name, at in self._warned.items() if now - at < WARN_S}
            if len(self._warned) >= _MOST_WARNED:
                return  # whoever comes from so many has been noticed
        self._warned[name] = now
        _log.warn(
            "{address} has {most} connections open; whatever else comes from there is answered 429 until some "
            "of them end. If that is a venue or a proxy and not one client, raise max_connections_per_address "
            "or name it in trusted_proxies",
            address=f"{name}/64" if ":" in name else name,
            most=self._most,
        )
