"""What single values must look like.  Each check returns the value as the settings hold it or raises
:class:`~afeed.configuration.problems.Wrong`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from difflib import get_close_matches
from ipaddress import collapse_addresses, ip_address, ip_interface, ip_network
from unicodedata import category
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, available_timezones

import idna

from afeed.configuration.problems import Wrong, quoted
from afeed.settings import Network

#: The first path segments that afeed itself answers.
RESERVED_SLUGS = frozenset(
    ("admin", "api", "static", "healthz", "readyz", "media", "metrics", "favicon.ico", "robots.txt")
)

#: Dates beyond these are typing errors, and a few days more or less must not leave the calendar.
_FIRST_YEAR, _LAST_YEAR = 2000, 2199

_SLUG = re.compile(r"[a-z0-9-]{1,64}\Z")
_LONGEST_HASHTAG = 60
_HOST = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*\.?\Z")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def text(longest: int, what: str) -> Callable[[str], str]:
    """Any text of 1 to ``longest`` characters that is more than spaces."""

    def check(value: str) -> str:
        if not value.strip():
            raise Wrong(f"is empty; {what}")
        if len(value) > longest:
            raise Wrong(f"has {len(value):,} characters; {longest:,} are allowed")
        return value

    return check


def between(least: float, most: float, why: str) -> Callable[[float], float]:
    """A number from ``least`` to ``most``; nan is none."""

    def check(value: float) -> float:
        if not least <= value <= most:
            raise Wrong(f"must be from {least:,} to {most:,}, not {quoted(value)}: {why}")
        return value

    return check


def slug(value: str) -> str:
    """The first path segment of an event's pages."""
    if value in RESERVED_SLUGS:
        raise Wrong(f"{quoted(value)} is an address of afeed itself; choose another")
    if not _SLUG.match(value):
        raise Wrong(f"must be 1 to 64 of the characters a-z, 0-9 and -, not {quoted(value)}")
    return value


def timezone(value: str) -> ZoneInfo:
    """An IANA time zone."""
    zones = available_timezones()
    if value in zones:
        return ZoneInfo(value)
    # Only for Area/City: the nearest name to an abbreviation is another abbreviation, and a wrong one.
    near = get_close_matches(value, zones, n=1, cutoff=0.75) if "/" in value else []
    hint = f"did you mean {near[0]}?" if near else "use an IANA name such as Europe/Amsterdam"
    raise Wrong(f"{quoted(value)} is not a time zone; {hint}")


def day(value: date) -> date:
    """A date within reason."""
    if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        raise Wrong(f"must be a date from {_FIRST_YEAR} to {_LAST_YEAR}, not {value.isoformat()}")
    return value


def hashtag(value: str) -> str:
    """``#`` and a word."""
    word = value.removeprefix("#")
    # Marks are the vowels of Indian scripts; joiners belong to Persian and others.
    fits = all(letter in "_\u200c\u200d" or category(letter)[0] in "LMN" for letter in word)
    if word == value or not fits or not any(category(letter)[0] in "LN" for letter in word):
        raise Wrong(f"must be # and then letters, digits or _, such as #aea, not {quoted(value)}")
    if len(value) > _LONGEST_HASHTAG:
        raise Wrong(f"has {len(value)} characters; {_LONGEST_HASHTAG} are allowed")
    return value


def flickr_tag(value: str) -> str:
    """One Flickr tag.  A comma separates tags in the API, so it cannot be part of one."""
    if not value.strip() or "," in value or len(value) > 255:
        raise Wrong(f"must be one tag of 1 to 255 characters without commas, not {quoted(value)}")
    return value


def _split(value: str, example: str) -> SplitResult:
    """``value`` as an http or https URL with a host and without credentials."""
    wrong = Wrong(f"must be an address such as {example}, not {quoted(value)}")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or port == 0 or re.search(r"[\s\\]", value):
        raise wrong
    if parts.username is not None or parts.password is not None:
        raise Wrong("must not hold a user name or password")
    return parts


def host(value: str) -> str:
    """A host name in ASCII (international names as punycode, in lower case) or an IP address."""
    try:
        address = ip_address(value)
    except ValueError:
        pass
    else:
        return f"[{address}]" if address.version == 6 else str(address)
    try:
        ascii_name = value.lower() if value.isascii() else idna.encode(value, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise Wrong(f"{quoted(value)} is not a host name") from None
    # Browsers read 127.1 or 0x7f.1 as addresses, so a last label of digits must be a whole address.
    if len(ascii_name) > 253 or not _HOST.match(ascii_name) or re.search(r"(?:^|\.)[0-9]+\.?$", ascii_name):
        raise Wrong(f"{quoted(value)} is not a host name")
    return ascii_name


def origin(value: str) -> str:
    """``scheme://host[:port]`` as browsers write it: lower case, punycode, no default port, no slash."""
    parts = _split(value, "https://feed.example.org")
    if parts.path not in ("", "/") or "?" in value or "#" in value:
        raise Wrong(f"must be scheme and host only, such as https://feed.example.org, not {quoted(value)}")
    assert parts.hostname is not None
    shown_port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host(parts.hostname)}{shown_port}"


def api_url(value: str) -> str:
    """The address of an upstream API."""
    parts = _split(value, "https://api.example.org/rest/")
    if "?" in value or "#" in value:
        raise Wrong(f"must end with the path: no ? and no #, as in {quoted(value)}")
    assert parts.hostname is not None
    host(parts.hostname)
    return value


def network(everything: str) -> Callable[[str], Network]:
    """A block of addresses in CIDR notation, or one address.  ``everything`` says why it may not be the whole
    of IPv4 or of IPv6."""

    def check(value: str) -> Network:
        block = _network(value)
        if block.prefixlen == 0:
            raise Wrong(f"{quoted(value)} {everything}")
        return block

    return check


def _network(value: str) -> Network:
    try:
        return ip_network(value)
    except ValueError:
        pass
    try:
        # An IPv6 zone (fe80::1%eth0) belongs to one machine's interface, and networks have none.
        inside = ip_interface(value.replace("%", "/"))
    except ValueError:
        raise Wrong(
            f"must be a CIDR such as 10.0.0.0/8 or ::1/128, not {quoted(value)}; host names are not looked up"
        ) from None
    raise Wrong(f"has address bits beyond its prefix; write {inside.network} or {inside.ip}")


def covers_everything(networks: Sequence[Network]) -> bool:
    """Whether ``networks`` together are the whole of IPv4 or of IPv6."""
    for version in (4, 6):
        family = [net for net in networks if net.version == version]
        if any(net.prefixlen == 0 for net in collapse_addresses(family)):  # type: ignore[type-var]
            return True
    return False
