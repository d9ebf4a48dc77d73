"""Redis URLs: ``redis://[[user]:password@]host[:port][/db]``, ``rediss://`` for TLS, and
``redis+sentinel://[[user]:password@]sentinel[:port][,sentinel[:port]...]/service[/db]``."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import attrs

_SCHEMES = ("redis", "rediss", "redis+sentinel")


@attrs.frozen(kw_only=True)
class RedisAddress:
    """Where Redis is.  ``hosts`` has one member, or the sentinels that know the master of ``service``."""

    hosts: tuple[tuple[str, int], ...]
    tls: bool = False
    service: str | None = None
    username: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    db: int = 0

    def __str__(self) -> str:
        where = ", ".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{where} ({self.service})" if self.service is not None else where


def _host(text: str, default: int) -> tuple[str, int]:
    try:
        parts = urlsplit("//" + text)
    except ValueError:  # it quotes what it was given
        raise ValueError(
            "the host of a Redis URL is a name, an address or an IPv6 address in [brackets]"
        ) from None
    if not parts.hostname:
        raise ValueError("a Redis URL needs a host, such as redis://localhost:6379/0")
    try:
        return parts.hostname, parts.port or default
    except ValueError:
        raise ValueError("the port of a Redis URL is a number from 1 to 65535") from None


def parse_redis_url(url: str) -> RedisAddress:
    """Raises :class:`ValueError` with what is wrong; never with the URL, which may hold a password."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise ValueError("a Redis URL begins with redis://, rediss:// or redis+sentinel://")
    authority, _, path = rest.partition("/")
    credentials, _, hosts = authority.rpartition("@")
    username, _, password = credentials.partition(":")
    segments = [segment for segment in path.split("/") if segment]
    service = None
    if scheme == "redis+sentinel":
        if not segments:
            raise ValueError("a sentinel URL names the service: redis+sentinel://host:26379/service/0")
        service = unquote(segments.pop(0))
        if "@" in service:  # it is shown, and this is what a password behind a misplaced slash looks like
            raise ValueError(
                "user and password stand before the first sentinel, not in the name of the service"
            )
    if len(segments) > 1 or (segments and not (segments[0].isascii() and segments[0].isdigit())):
        raise ValueError("the database of a Redis URL is a number, such as redis://localhost:6379/0")
    default = 26379 if service is not None else 6379
    return RedisAddress(
        hosts=tuple(_host(host, default) for host in (hosts.split(",") if service is not None else [hosts])),
        tls=scheme == "rediss",
        service=service,
        username=unquote(username) or None,
        password=unquote(password) or None,
        db=int(segments[0]) if segments else 0,
    )
