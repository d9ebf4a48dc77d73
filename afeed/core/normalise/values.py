"""Lenient reading of JSON values.

Upstreams change the type of a member between versions (numbers become strings, objects vanish, ``null``
appears), and one odd member must not cost a post.  So replies are decoded without a schema, and each function
here gives back the value it promises or None (an empty container for containers), never an exception.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from afeed.core.errors import BadInput
from afeed.core.normalise.characters import label, scrub
from afeed.core.normalise.limits import MAX_NAME_CHARS

_BOM = b"\xef\xbb\xbf"
_DECIMAL = re.compile(r"-?[0-9]{1,19}\Z")
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}\Z")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8}){0,3}\Z")
_TAKEN = re.compile(
    r"([0-9]{4})(?:(-[0-9]{2})(-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:Z|[+-][0-9]{2}:[0-9]{2})?)?)?\Z"
)
_MAX_INTEGER = 2**63 - 1
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

#: Codes that say "no language" (``und``, ``zxx`` and X's own ``q..``) and codes that were renamed.
_NO_LANGUAGE = frozenset({"und", "zxx", "qam", "qct", "qht", "qme", "qst"})
_RENAMED_LANGUAGES = {"in": "id", "iw": "he", "ji": "yi"}

decode = msgspec.json.Decoder().decode


def decode_json(data: bytes) -> Any:
    """``data`` as Python values; raises :class:`~afeed.core.errors.BadInput` when it is not JSON.

    A byte order mark is ignored, and invalid UTF-8 and lone surrogates become U+FFFD.  Numbers keep all their
    digits.
    """
    if data.startswith(_BOM):
        data = data[len(_BOM) :]
    try:
        return decode(data)
    except (msgspec.MsgspecError, UnicodeError):
        pass
    except RecursionError:
        raise BadInput("the JSON is nested too deeply") from None
    return _decode_damaged(data)


def _decode_damaged(data: bytes) -> Any:
    """JSON with damaged text in it, which msgspec refuses as a whole and a reader would rather see mended."""
    try:
        value = json.loads(data.decode("utf-8", "replace"), parse_constant=_refuse)
        text = json.dumps(value, ensure_ascii=False)
        mended = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return decode(mended)
    except (ValueError, msgspec.MsgspecError):
        raise BadInput("this is not JSON") from None
    except RecursionError:
        raise BadInput("the JSON is nested too deeply") from None


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def mapping(value: object) -> dict[str, Any]:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else {}


def listing(value: object) -> list[Any]:
    """The array, or an empty one."""
    return value if isinstance(value, list) else []


def mappings(value: object) -> list[dict[str, Any]]:
    """The objects in an array."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def string(value: object) -> str | None:
    """A string that is not empty, with NUL, other controls and lone surrogates replaced."""
    return scrub(value) if isinstance(value, str) and value else None


def name(value: object) -> str | None:
    """A string for one line, such as a person's name; None when nothing visible is left of it."""
    return (label(value, MAX_NAME_CHARS) or None) if isinstance(value, str) else None


def identifier(value: object) -> str | None:
    """An upstream id as text, exactly as it was sent.

    An integer keeps every digit.  A floating-point number never becomes an id, because it may have lost some.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        value = str(value) if value <= _MAX_INTEGER else ""
    return value if isinstance(value, str) and _IDENTIFIER.match(value) else None


def integer(value: object) -> int | None:
    """An integer of at most 64 bits, also when it is written as a string (``"234"``)."""
    if isinstance(value, str) and _DECIMAL.match(value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _MAX_INTEGER:
        return None
    return value


def size(value: object) -> int | None:
    """A width or height in pixels."""
    pixels = integer(value)
    return pixels if pixels is not None and 0 < pixels <= 100_000 else None


def language(value: object) -> str | None:
    """A BCP 47 language tag, None for "undetermined"."""
    if not isinstance(value, str) or not _LANGUAGE.match(value):
        return None
    return None if value.lower() in _NO_LANGUAGE else _RENAMED_LANGUAGES.get(value, value)


def rfc3339(moment: datetime) -> str:
    """``moment``, which has a zone, as ``2026-11-21T17:00:05Z``."""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def plausible(moment: datetime) -> bool:
    """Whether something may have happened at ``moment``, which has a zone: from 1970 to 2199.

    The calendar goes on for longer, but at its ends the arithmetic of time zones and periods overflows.
    """
    return _EARLIEST <= moment < _LATEST


def epoch_time(seconds: float) -> str | None:
    """Unix seconds as RFC 3339; None when that time is not :func:`plausible`."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return rfc3339(moment) if plausible(moment) else None


def instant(value: object) -> datetime | None:
    """An RFC 3339 time with a zone; None when it is not :func:`plausible`."""
    if not isinstance(value, str) or len(value) > 40 or "T" not in value.upper():
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo is not None and plausible(moment) else None
    except (ValueError, OverflowError):
        return None


def taken(value: object) -> str | None:
    """When a picture was taken, as exactly as that is known: ``2026``, ``2026-03``, ``2026-03-01T10:00:00`` by
    the photographer's clock, or with a zone."""
    match = _TAKEN.match(value) if isinstance(value, str) else None
    if match is None or not _EARLIEST.year <= int(match[1]) < _LATEST.year:
        return None
    try:
        datetime.fromisoformat(match[1] + (match[2] or "-01") + (match[3] or "-01T00:00:00"))
    except ValueError:
        return None
    return match[0]


def time(value: object) -> str | None:
    """An RFC 3339 time with a zone, in UTC and whole seconds."""
    moment = instant(value)
    return rfc3339(moment) if moment is not None else None
