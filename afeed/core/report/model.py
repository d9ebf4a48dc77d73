"""The report as a value, which goes from the process that makes it to the pages as JSON.

Times are RFC 3339 in UTC.  Lists are short, the most important first.
"""

from __future__ import annotations

import msgspec

from afeed.core.report.keyness import Reference, Term


class Person(msgspec.Struct, frozen=True):
    """An author of so many ``posts``."""

    name: str
    handle: str | None
    url: str | None
    posts: int


class Link(msgspec.Struct, frozen=True):
    """A page that ``posts`` posts linked to; ``title`` is what one of them called it."""

    url: str
    title: str | None
    posts: int


class Picture(msgspec.Struct, frozen=True):
    """A photo: ``url`` the largest, ``thumb`` a small one, ``post`` the address of the post at its source."""

    item: str
    author: str
    url: str
    thumb: str | None
    width: int | None
    height: int | None
    alt: str | None
    credit: str | None
    post: str | None
    at: str


class Passed(msgspec.Struct, frozen=True):
    """A post that was passed on: so often quoted, answered, and (once, as sources tell it) ``shared``."""

    item: str | None
    author: str
    handle: str | None
    text: str
    url: str | None
    at: str | None
    quotes: int
    replies: int
    shared: bool


class Rise(msgspec.Struct, frozen=True):
    """A peak from ``start`` to ``end``, with the highest bin at ``top``, of ``high`` posts; ``terms`` are what
    was said then and not otherwise."""

    start: str
    end: str
    top: str
    high: int
    posts: int
    terms: tuple[str, ...]


class Course(msgspec.Struct, frozen=True):
    """Posts by time: ``counts`` of bins of ``bin_s`` seconds from ``start`` on; ``before``, ``after`` and
    without a time that can be understood there were more."""

    start: str
    bin_s: int
    counts: tuple[int, ...]
    before: int
    after: int
    undated: int
    peaks: tuple[Rise, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was said.

    ``people`` are the different authors, exactly unless ``people_estimated``; ``sharers`` those who brought
    posts of others.  ``compared`` is the number of other posts that ``words``, ``hashtags`` and ``handles``
    stand out against, 0 where these are simply the most frequent.  ``reference`` is for the reports of talks
    and only in that of an event.
    """

    posts: int
    people: int
    people_estimated: bool
    sharers: int
    shares: int
    replies: int
    quotes: int
    photos: int
    links: int
    first_at: str | None
    last_at: str | None
    course: Course
    sources: tuple[tuple[str, int], ...]
    languages: tuple[tuple[str | None, int], ...]
    authors: tuple[Person, ...]
    top_links: tuple[Link, ...]
    pictures: tuple[Picture, ...]
    passed: tuple[Passed, ...]
    words: tuple[Term, ...]
    hashtags: tuple[Term, ...]
    handles: tuple[Term, ...]
    compared: int
    reference: Reference | None = None
