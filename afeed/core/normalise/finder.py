"""Finding URLs, hashtags and mentions in plain text.

The rules are those of X's text conformance suite as far as they help a reader.  Known differences: a URL with
a scheme needs no registered top-level domain, a URL without one needs a well-known domain
(:data:`WELL_KNOWN`) and a host in Latin letters, and a name that is too long is no name instead of being
cut to somebody else's.  Each pattern is applied once from left to right and none can match the same
characters in two ways, so the time is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

import msgspec

from afeed.core.normalise.characters import MARKS
from afeed.core.normalise.domains import WELL_KNOWN

_LATIN = "A-Za-zÀ-ÖØ-öø-ɏ"
_CYRILLIC = "Ѐ-ӿ"

_SCHEME = r"(?<![A-Za-z0-9@＠$#＃])https?://"
#: A host of any script: everything that is not space, control or punctuation.
_ANY_HOST = re.compile(
    "[^\\s\x00-\x2c/:-@\\[-^`{-\u00bf\u2000-\u206f\u3000-\u3004\u3008-\u3020\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40"
    "\uff5b-\uff65]+"
)
_LATIN_HOST = re.compile(f"[{_LATIN}0-9._-]+")
_START = re.compile(
    f"(?i:{_SCHEME})|(?<![{_LATIN}0-9@＠$#＃._/-])[{_LATIN}0-9][{_LATIN}0-9._-]*[.][{_LATIN}._-]*"
)
#: What every URL has in it: the dot before the last part of its host.
_NAME = re.compile(rf"\.(?:[{_LATIN}]|[^\x00-\xbf])")
_PORT = re.compile(r":[0-9]{1,5}(?![0-9])")
_PATH = re.compile(rf"/[{_LATIN}{_CYRILLIC}0-9!*';:=+,.$/%#\[\]()~@|&_\u2013-]*")
_QUERY = re.compile(r"\?[A-Za-z0-9!?*'@();:&=+$/%#\[\]_.,~|-]*")
_T_CO = re.compile(r"/[A-Za-z0-9]+")
_T_CO_SLUG = 40

_PATH_END = re.compile(rf"[{_LATIN}{_CYRILLIC}0-9=_#/+)-]")
_QUERY_END = re.compile(r"[A-Za-z0-9_&=#/-]")

_TAG_CHARACTERS = (
    rf"\w{MARKS}\u200c\u200d\u05be\u05f3\u05f4\uff5e\u301c\u309b\u309c\u30a0\u30fb\u3003\u0f0b\u0f0c\u00b7"
)
# Each begins with the sign, which is found quickly, and asks afterwards for what may not stand before it.
_HASHTAG = re.compile(
    rf"[#＃](?:(?<![&{_TAG_CHARACTERS}].)|(?<=[\ufe0e\ufe0f].))(?![\ufe0f\u20e3])"
    rf"(?=[{_TAG_CHARACTERS}]*[^\W\d_])([{_TAG_CHARACTERS}]++)(?!://|[#＃])"
)
_MENTION = re.compile(
    rf"[@＠](?:(?<![A-Za-z0-9_!#$%&*@＠].)|(?<=\b[Rr][Tt].))([A-Za-z0-9_]{{1,20}}+)(?![A-Za-z0-9_@＠{_LATIN}]|://)"
)


class Found(msgspec.Struct, frozen=True):
    """What stands at code points ``start`` to ``end`` (exclusive).

    ``value`` is the URL as written, the hashtag without its ``#``, or the name without its ``@``.
    """

    start: int
    end: int
    kind: Literal["url", "hashtag", "mention"]
    value: str


def find(text: str) -> list[Found]:
    """Everything found in ``text``, in order and without overlaps; a URL wins over what stands in it."""
    found = list(_urls(text)) if "." in text else []
    for pattern, kind in ((_HASHTAG, "hashtag"), (_MENTION, "mention")):
        for match in pattern.finditer(text):
            found.append(Found(match.start(), match.end(), kind, match[1]))  # type: ignore[arg-type]
    found.sort(key=lambda one: (one.start, one.kind != "url"))
    out: list[Found] = []
    for one in found:
        if not out or one.start >= out[-1].end:
            out.append(one)
    return out


def _urls(text: str) -> Iterator[Found]:
    at, dot = 0, -1
    while True:
        if dot < at:
            # There is no space in a URL before the dot of its host: what is left of that need not be looked at.
            name = _NAME.search(text, at)
            if name is None:
                return
            dot = name.start()
            at = max(at, text.rfind(" ", at, dot) + 1)
        match = _START.search(text, at)
        if match is None:
            return
        start = match.start()
        scheme = match[0].endswith("://")
        end = _host_with_scheme(text, match.end()) if scheme else _host_alone(text, start, match.end())
        if end is None:
            at = match.end()
            continue
        end = _tail(text, start, end)
        if end is not None:
            yield Found(start, end, "url", text[start:end])
        at = match.end() if end is None else end


def _host_with_scheme(text: str, start: int) -> int | None:
    """The end of the host at ``start``, in any script if its top-level domain is known, else in Latin."""
    match = _ANY_HOST.match(text, start)
    if match is None:
        return None
    host = match[0].rstrip(".-_")
    tld = host.rpartition(".")[2]
    if tld.lower() in WELL_KNOWN and _is_host(host):
        return start + len(host)
    match = _LATIN_HOST.match(text, start)
    if match is None:
        return None
    host = match[0].rstrip(".")
    tld = host.rpartition(".")[2]
    known = tld.isascii() and (re.fullmatch("[A-Za-z]{2,24}|[Xx][Nn]--[A-Za-z0-9-]{1,59}", tld) is not None)
    return start + len(host) if known and _is_host(host) else None


def _host_alone(text: str, start: int, end: int) -> int | None:
    """The end of a host without scheme, which only a well-known top-level domain shows to be one."""
    match = _LATIN_HOST.match(text, start)
    if match is None:
        return None
    host = match[0].rstrip(".")
    end = start + len(host)
    tld = host.rpartition(".")[2]
    # "the end.In the morning": one form of carelessness is more frequent than such a domain.
    if not (tld.islower() or tld.isupper()) or tld.lower() not in WELL_KNOWN or not _is_host(host):
        return None
    return None if text[end : end + 1] in ("@", "＠", "+") and end < len(text) else end


def _is_host(host: str) -> bool:
    labels = host.split(".")
    if len(labels) < 2 or len(host) > 253:
        return False
    for label in labels:
        if not label or len(label) > 63 or label[0] in "-_" or label[-1] in "-_":
            return False
        if label[:4].lower() == "xn--" and not label.isascii():
            return False
    return "_" not in labels[-1] and "_" not in labels[-2]


def _tail(text: str, start: int, end: int) -> int | None:
    """The end of the URL whose host ends at ``end``."""
    host = text[start:end].lower().rpartition("//")[2]
    port = _PORT.match(text, end)
    if port is not None:
        end = port.end()
    if host == "t.co":
        return _t_co_tail(text, end)
    path = _PATH.match(text, end)
    if path is not None:
        end = _trim(text, end, _closed(text, end, path.end()), _PATH_END)
    query = _QUERY.match(text, end)
    if query is not None:
        end = _trim(text, end, query.end(), _QUERY_END)
    return end


def _t_co_tail(text: str, end: int) -> int | None:
    """X's own short links hold letters and digits only, whatever is glued to them."""
    slug = _T_CO.match(text, end)
    if slug is None:
        return end
    if len(slug[0]) > _T_CO_SLUG + 1:
        return None
    query = _QUERY.match(text, slug.end())
    return slug.end() if query is None else _trim(text, slug.end(), query.end(), _QUERY_END)


def _closed(text: str, start: int, end: int) -> int:
    """``end`` or, if earlier, the first parenthesis between ``start`` and it that has no partner."""
    opened: list[int] = []
    for at in range(start, end):
        if text[at] == "(":
            opened.append(at)
        elif text[at] == ")":
            if not opened:
                return at
            opened.pop()
    return opened[0] if opened else end


def _trim(text: str, start: int, end: int, last: re.Pattern[str]) -> int:
    """``end`` moved back to just after a character that may be the last one."""
    while end > start and last.match(text, end - 1, end) is None:
        end -= 1
    return end
