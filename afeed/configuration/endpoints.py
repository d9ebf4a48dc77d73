"""Twisted endpoint strings, checked before anything is opened.

Twisted's own parser is private and the public ``serverFromString`` builds sockets' factories from whatever it
gets, so the grammar (``type:argument:name=value``, a backslash takes the next character literally) is read
here.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path

import attrs

from afeed.configuration.problems import Wrong, quoted

EXAMPLE = "tcp:8080:interface=127.0.0.1"


@attrs.frozen
class Endpoint:
    """The parts of an endpoint string, unescaped."""

    type: str
    arguments: tuple[str, ...]
    options: Mapping[str, str]

    def __str__(self) -> str:
        options = [f"{name}={_escaped(value)}" for name, value in self.options.items()]
        return ":".join([self.type, *map(_escaped, self.arguments), *options])

    def argument(self, name: str) -> str | None:
        """The one positional argument, which may also be given by ``name``."""
        return self.arguments[0] if self.arguments else self.options.get(name)


def parse(value: str) -> Endpoint:
    """Split an endpoint string; it may still make no sense."""
    parts: list[tuple[str | None, str]] = []
    name: str | None = None
    text = ""
    characters = iter(value)
    for character in characters:
        if character == ":":
            parts.append((name, text))
            name, text = None, ""
        elif character == "=" and name is None:
            name, text = text, ""
        elif character == "\\":
            text += next(characters, "")
        else:
            text += character
    parts.append((name, text))
    (_, kind), *rest = parts if parts[0][0] is None else [(None, ""), *parts]
    arguments = tuple(text for name, text in rest if name is None)
    return Endpoint(kind, arguments, {name: text for name, text in rest if name is not None})


def endpoint(folder: Path) -> Callable[[str], str]:
    """Check an endpoint string and make its paths absolute; relative ones start at ``folder``."""

    def check(value: str) -> str:
        parsed = parse(value)
        rule = _RULES.get(parsed.type)
        if rule is None:
            raise Wrong(
                f"{quoted(value)} is not a Twisted endpoint that afeed can listen on; use tcp:, ssl:, unix: or "
                f"systemd:, such as {EXAMPLE}"
            )
        if len(parsed.arguments) + (rule.positional in parsed.options) > 1:
            raise Wrong(
                f"{quoted(value)} has too many parts; write it like {EXAMPLE} (and : in a value as \\:)"
            )
        unknown = sorted(set(parsed.options) - set(rule.options))
        if unknown:
            raise Wrong(
                f"{parsed.type} endpoints know no {quoted(unknown[0])}; they know {', '.join(rule.options)}"
            )
        if not _is_number(parsed.options.get("backlog", "50"), 1, 1_000_000):
            raise Wrong(f"the backlog must be a positive number, not {quoted(parsed.options['backlog'])}")
        paths = {
            name: str(folder / text) for name, text in parsed.options.items() if name in rule.paths and text
        }
        resolved = attrs.evolve(parsed, options={**parsed.options, **paths})
        if rule.positional in rule.paths and any(parsed.arguments):
            resolved = attrs.evolve(resolved, arguments=(str(folder / parsed.arguments[0]),))
        rule.check(resolved)
        return value if resolved == parsed else str(resolved)

    return check


def public_url(listen: str) -> str | None:
    """The address under which a browser on this machine finds the endpoint ``listen``; None where only the
    operator can know."""
    parsed = parse(listen)
    scheme = {"tcp": "http", "ssl": "https"}.get(parsed.type)
    return None if scheme is None else f"{scheme}://127.0.0.1:{parsed.argument('port')}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(":", "\\:").replace("=", "\\=")


def _is_number(text: str, least: int, most: int, base: int = 10) -> bool:
    """Whether ``text`` is plain digits (no sign, no space, no underscore) within the limits."""
    try:
        return text.isascii() and text.isdigit() and least <= int(text[:10], base) <= most
    except ValueError:
        return False


def _check_tcp(parsed: Endpoint) -> None:
    port = parsed.argument("port") or ""
    if not _is_number(port, 1, 65535):
        raise Wrong(f"the port must be a number from 1 to 65535, not {quoted(port)}, as in {EXAMPLE}")
    interface = parsed.options.get("interface", "127.0.0.1")
    try:
        ip_address(interface)
    except ValueError:
        raise Wrong(
            f"the interface must be an IP address (0.0.0.0 for all; write each : of IPv6 as \\:), "
            f"not {quoted(interface)}"
        ) from None


def _check_ssl(parsed: Endpoint) -> None:
    _check_tcp(parsed)
    if not parsed.options.get("privateKey"):
        raise Wrong("an ssl endpoint needs privateKey=FILE, and certKey=FILE unless one file holds both")
    for name in _SSL_PATHS:
        path = parsed.options.get(name)
        try:
            if path is not None:
                Path(path).open("rb").close()
        except OSError as error:
            raise Wrong(f"cannot read {name} {quoted(path)} ({error.strerror})") from None
    key = parsed.options["privateKey"]
    certificate = parsed.options.get("certKey", key)
    try:
        # Without a password given here, OpenSSL would ask for that of an encrypted key on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or "not PEM, or an encrypted key"
        raise Wrong(f"privateKey {quoted(key)} cannot be used with its certificate ({reason})") from None


def _check_unix(parsed: Endpoint) -> None:
    address = parsed.argument("address")
    if not address:
        raise Wrong("a unix endpoint needs a path, such as unix:/run/afeed/http.sock")
    if len(address.encode()) > _LONGEST_SOCKET_PATH:
        raise Wrong(f"the path of a unix socket may have at most {_LONGEST_SOCKET_PATH} bytes")
    if os.path.isdir(address):
        raise Wrong(f"{quoted(address)} is a folder; name a file in it")
    if not os.path.isdir(Path(address).parent):
        raise Wrong(f"there is no folder {quoted(str(Path(address).parent))} for the socket")
    mode = parsed.options.get("mode", "660")
    if not _is_number(mode, 0, 0o777, base=8):
        raise Wrong(f"the mode must be octal, such as 660, not {quoted(mode)}")
    if parsed.options.get("lockfile", "1") not in ("0", "1"):
        raise Wrong("lockfile must be 0 or 1")


def _check_systemd(parsed: Endpoint) -> None:
    index, name = parsed.options.get("index"), parsed.options.get("name")
    if (index is None) == (name is None):
        raise Wrong("a systemd endpoint needs either index or name, such as systemd:domain=INET:index=0")
    if index is not None and not _is_number(index, 0, 1000):
        raise Wrong(f"the index must be a number, such as 0, not {quoted(index)}")
    domain = parsed.argument("domain") or ""
    if domain not in ("INET", "INET6", "UNIX"):
        raise Wrong(f"the domain must be INET, INET6 or UNIX, not {quoted(domain)}")


@attrs.frozen
class _Rule:
    """What one type of endpoint takes: the name of its positional argument, all names, those of paths."""

    positional: str
    options: Sequence[str]
    paths: Sequence[str]
    check: Callable[[Endpoint], None]


_TCP_OPTIONS = ("port", "interface", "backlog")
_SSL_PATHS = ("privateKey", "certKey", "extraCertChain", "dhParameters")
_LONGEST_SOCKET_PATH = 107

_RULES = {
    "tcp": _Rule("port", _TCP_OPTIONS, (), _check_tcp),
    "tcp6": _Rule("port", _TCP_OPTIONS, (), _check_tcp),
    "ssl": _Rule("port", (*_TCP_OPTIONS, *_SSL_PATHS), _SSL_PATHS, _check_ssl),
    "unix": _Rule("address", ("address", "mode", "backlog", "lockfile"), ("address",), _check_unix),
    "systemd": _Rule("domain", ("domain", "index", "name"), (), _check_systemd),
}
