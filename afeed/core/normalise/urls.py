"""Which addresses from outside may be used, and for what.

afeed itself never requests any of them; they end up in pages, where a browser follows links and loads
images.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote

_MAX_CHARS = 2048

#: Scheme, host (no user name, no escapes), port, rest.
_WEB = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[^\s\x00-\x2c/:-@\[-^`{-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]{1,253})"
    r"(?P<port>:[0-9]{1,5})?"
    r"(?P<rest>[/?#].*)?",
    re.IGNORECASE,
)
_MAIL = re.compile(r"mailto:[A-Za-z0-9.!#$%&'*+/=?^_`{|}~@-]{3,320}", re.IGNORECASE)

#: What a URL may not contain as it is, although people write it: escaped instead of refused.
_ESCAPED = re.compile('[\\s"<>\\\\^`{|}\u200b-\u200f\u202a-\u202e\u2066-\u2069]')
#: What needs no escaping: nearly every tag and every name.
_UNRESERVED = re.compile(r"[A-Za-z0-9_.~@-]*")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")


def web_url(value: object) -> str | None:
    """An ``http`` or ``https`` URL, ready for an attribute; None for everything else.

    A user name before the host is refused: nobody needs it and it disguises the host.
    """
    return _web_url(value) if isinstance(value, str) and len(value) <= _MAX_CHARS else None


@lru_cache(maxsize=256)  # hashtags, links and portraits of an event come again and again
def _web_url(value: str) -> str | None:
    value = value.strip()
    match = _WEB.fullmatch(value)
    if match is None or _CONTROL.search(value):
        return None
    if match["port"] and int(match["port"][1:]) > 65535:
        return None
    rest = match["rest"] or ""
    escaped = _ESCAPED.sub(lambda found: quote(found[0], safe=""), rest)
    return value[: len(value) - len(rest)] + escaped if escaped != rest else value


def link_url(value: object) -> str | None:
    """What a link may lead to: a web page or a mail address."""
    if isinstance(value, str) and _MAIL.fullmatch(value):
        return value
    return web_url(value)


def media_url(value: object) -> str | None:
    """What a page may load a picture or video from.

    An upstream that names a host by its number inside somebody's own network (169.254.169.254, 10.0.0.1, and
    their octal and hexadecimal disguises) is up to something: every viewer's browser would ask it. Loopback is
    let through for simulators and rehearsals.
    """
    url = web_url(value)
    if url is None:
        return None
    match = _WEB.fullmatch(url)
    return url if match is not None and _is_public(match["host"]) else None


def _is_public(host: str) -> bool:
    address: IPv4Address | IPv6Address
    try:
        if host.startswith("["):
            address = IPv6Address(host[1:-1])
            address = address.ipv4_mapped or address
        else:
            last = host.rstrip(".").rpartition(".")[2].lower()
            # A browser reads such a host as an IPv4 address, whatever its form.
            if not (last.isdigit() or re.fullmatch("0x[0-9a-f]*", last)):
                return True
            address = IPv4Address(host)
    except ValueError:
        return False
    return address.is_global or address.is_loopback


def path_part(text: str) -> str:
    """``text`` escaped as one segment of a URL's path."""
    return text if _UNRESERVED.fullmatch(text) is not None else quote(text, safe="@")
