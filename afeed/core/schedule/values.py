"""Single values of a schedule, made uniform; :class:`~afeed.core.schedule.problems.Wrong` says why one cannot
be."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime, time, timedelta
from hashlib import blake2b
from zoneinfo import ZoneInfo

from afeed.core.normalise.characters import label
from afeed.core.normalise.urls import web_url
from afeed.core.normalise.values import plausible
from afeed.core.schedule.limits import MAX_HASHTAG_CHARS
from afeed.core.schedule.problems import Wrong, quoted

_PLAIN_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_NOT_SLUG = re.compile(r"[^a-z0-9]+")
_CLOCK = re.compile(r"([0-9]{1,2})[:.h]?([0-9]{2})(?::([0-9]{2})(?:\.[0-9]+)?)?")
_DURATION = re.compile(r"([0-9]{1,4}):([0-9]{2})(?::([0-9]{2}))?")
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?"
_HANDLE = re.compile(rf"@?({_NAME})(?:@({_NAME}))?")
_X_HOSTS = frozenset(("x.com", "twitter.com"))
_X_PAGES = frozenset(("home", "search", "hashtag", "intent", "share", "i", "explore", "settings", "login"))
_PROFILE = re.compile(
    r"(?:https?://)?(?:www\.|mobile\.|m\.)?(?P<host>[a-z0-9.-]+\.[a-z]{2,24})/(?P<path>[^?#]*)(?:[?#].*)?",
    re.IGNORECASE,
)


def line(value: object, longest: int, what: str) -> str:
    """``value`` as one line of text; "" for nothing."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Wrong(f"{what} is not text but {quoted(value)}")
    if "\0" in value:
        raise Wrong(f"{what} holds a NUL character")
    if len(value.strip()) > longest:
        raise Wrong(f"{what} has {len(value):,} characters; {longest:,} are allowed")
    return label(value, longest)


def slug(name: str, fallback: str) -> str:
    """``name`` for a URL: at most 32 of ``a-z``, ``0-9`` and ``-``.  A name of which nothing would be left
    (emoji, other scripts) becomes ``fallback`` and a short hash."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = _NOT_SLUG.sub("-", plain).strip("-")[:32].strip("-")
    return words or f"{fallback}-{short_hash(name, 6)}"


def short_hash(text: str, length: int) -> str:
    """``length`` hexadecimal digits that stand for ``text``."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()[:length]


def talk_id(guid: str) -> str:
    """The id of the talk with this guid: the guid itself where it is short and safe in a URL, else a hash."""
    return guid if _PLAIN_ID.fullmatch(guid) else short_hash(guid, 12)


def folded(name: str) -> str:
    """What two names have in common that differ only in case, spacing or Unicode form."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def hashtag(value: object) -> str:
    """``#`` and a word; the ``#`` may be missing."""
    word = value.strip() if isinstance(value, str) else ""
    bare = word.removeprefix("#")
    fits = all(letter in "_\u200c\u200d" or unicodedata.category(letter)[0] in "LMN" for letter in bare)
    if not fits or not any(unicodedata.category(letter)[0] in "LN" for letter in bare):
        raise Wrong(f"{quoted(value)} is not a hashtag; write # and then letters, digits or _")
    if len(bare) > MAX_HASHTAG_CHARS:
        raise Wrong(f"the hashtag {quoted(value)} has {len(bare)} characters; {MAX_HASHTAG_CHARS} are allowed")
    return f"#{bare}"


def handle(value: object) -> str:
    """An account's name, from ``@ann``, ``ann@social.example`` or the address of a profile: lower case, without
    ``@`` in front."""
    if isinstance(value, str):
        text = value.strip()
        match = _HANDLE.fullmatch(text)
        if match is not None:
            return "@".join(part for part in match.groups() if part).lower()
        found = profile(text)
        if found is not None:
            return found
    raise Wrong(f"{quoted(value)} is not a handle; write @ann, ann@social.example or the address of a profile")


def profile(url: object) -> str | None:
    """The handle in the address of a profile on X, Mastodon or Bluesky; None for any other address."""
    match = _PROFILE.fullmatch(url.strip()) if isinstance(url, str) and len(url) < 500 else None
    if match is None:
        return None
    host, parts = match["host"].lower(), match["path"].strip("/").split("/")
    name = parts[0].removeprefix("@")
    if host in _X_HOSTS:
        usable = re.fullmatch(r"[A-Za-z0-9_]{1,20}", name) and name.lower() not in _X_PAGES
        return name.lower() if usable and len(parts) == 1 else None
    if host == "bsky.app":
        known = len(parts) == 2 and name == "profile" and re.fullmatch(_NAME, parts[1])
        return parts[1].lower() if known else None
    if parts[0].startswith("@") and re.fullmatch(_NAME, name) and len(parts) == 1:
        return f"{name}@{host}".lower()
    return None


def address(value: object) -> str | None:
    """A web address, or None."""
    return web_url(value)


# -- time ---------------------------------------------------------------------------------------------------


def zone(name: object) -> ZoneInfo | None:
    """The IANA time zone ``name``; None where there is none."""
    # Its look-up opens files by this name.
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,3}", name):
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def utc(moment: datetime) -> datetime:
    """``moment``, which has a zone or an offset, in UTC and whole seconds."""
    try:
        found = moment.astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        raise Wrong(f"{moment.isoformat()} is not in a year of this era") from None
    if not plausible(found):
        raise Wrong(f"{moment.isoformat()} is not in a year of this era")
    return found


def local(moment: datetime, where: ZoneInfo) -> tuple[datetime, str | None]:
    """The instant at which clocks in ``where`` show ``moment``, and what to warn of.

    A time that clocks skip is read with the offset before the change, so that it comes as much later as the
    clocks were put forward (RFC 5545, 3.3.5); of a time that comes twice, the first counts.
    """
    first = utc(moment.replace(tzinfo=where, fold=0))
    second = utc(moment.replace(tzinfo=where, fold=1))
    if first == second:
        return first, None
    if first.astimezone(where).replace(tzinfo=None) != moment.replace(microsecond=0):
        return (
            first,
            f"{moment:%Y-%m-%d %H:%M} does not exist in {where.key}: clocks skip it; taken for {first:%H:%M}Z",
        )
    return first, f"{moment:%Y-%m-%d %H:%M} comes twice in {where.key}; the first one is taken, {first:%H:%M}Z"


def iso_moment(value: object) -> datetime:
    """An ISO 8601 date and time, with or without an offset."""
    text = value.strip() if isinstance(value, str) else ""
    try:
        if len(text) > 40 or len(text) < 11:
            raise ValueError
        return datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise Wrong(f"{quoted(value)} is not a date and time, such as 2026-11-21T09:30:00+01:00") from None


def iso_day(value: object) -> date:
    """An ISO 8601 date; a time after it does not matter."""
    text = value.strip() if isinstance(value, str) else ""
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise Wrong(f"{quoted(value)} is not a date, such as 2026-11-21") from None


def clock_time(value: object) -> time:
    """``09:30``, ``9.30``, ``0930`` or ``09:30:00``."""
    match = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    try:
        if match is None:
            raise ValueError
        return time(int(match[1]), int(match[2]), int(match[3] or 0))
    except ValueError:
        raise Wrong(f"{quoted(value)} is not a time of day, such as 09:30") from None


def duration(value: object) -> timedelta:
    """``HH:MM`` or ``HH:MM:SS``; hours may go beyond 24."""
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or int(match[2]) > 59 or int(match[3] or 0) > 59:
        raise Wrong(f"{quoted(value)} is not a duration, such as 00:45")
    return timedelta(hours=int(match[1]), minutes=int(match[2]), seconds=int(match[3] or 0))
