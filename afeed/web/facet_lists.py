"""The filters of the archive's page: which there are, what each would find, and how to leave one out.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, tzinfo

import attrs

from afeed.archive.searching import Count, Query, Tallies
from afeed.core.schedule.model import Talk
from afeed.web.fragments import badge
from afeed.web.languages import Language

#: Values of a filter that are listed.
LISTED = 20
#: How high an hour's bar is at most; the template draws it in a box of this height.
BAR = 30

Address = Callable[..., str]


def _(text: str) -> str:
    """Mark ``text`` for the catalogues."""
    return text


@attrs.frozen(kw_only=True)
class Hour:
    """An hour of a day, as a bar."""

    text: str
    short: str
    height: float
    address: str
    current: bool


@attrs.frozen(kw_only=True)
class Value:
    """A value to filter by; ``within`` are the hours of a day."""

    text: str
    count: str
    address: str
    current: bool
    within: tuple[Hour, ...] = ()


@attrs.frozen(kw_only=True)
class FacetList:
    """One filter; ``name`` is in the catalogues."""

    name: str
    values: tuple[Value, ...]
    open: bool


@attrs.frozen
class Chip:
    """A filter that is on; ``address`` is without it."""

    text: str
    address: str


def filters(query: Query) -> dict[str, str]:
    """What is asked for, as the members of an address."""
    found = {
        "q": query.text,
        "day": query.day,
        "hour": query.hour,
        "talk": query.talk,
        "author": query.author,
        "source": query.source,
        "kind": query.kind,
    }
    return {name: value for name, value in found.items() if value}


def facet_lists(
    query: Query, counted: Tallies, talks: Mapping[str, Talk], language: Language, address: Address
) -> list[FacetList]:
    """The filters, those that have values."""
    overview = not filters(query)
    found = [
        FacetList(
            name=_("Day and hour"),
            values=tuple(_day(one, query, counted.hours, language, address) for one in counted.days),
            open=overview or bool(query.day or query.hour),
        ),
        FacetList(
            name=_("Talk"),
            values=tuple(
                _value(talks[one.value].title, one, query.talk, language, address, "talk")
                for one in counted.talks
                if one.value in talks
            ),
            open=bool(query.talk),
        ),
        FacetList(
            name=_("Author"),
            values=tuple(
                _value(author_text(one), one, query.author, language, address, "author")
                for one in counted.authors
            ),
            open=bool(query.author),
        ),
        FacetList(
            name=_("Source"),
            values=tuple(
                _value(badge(one.value), one, query.source, language, address, "source")
                for one in counted.sources
            ),
            open=bool(query.source),
        ),
        FacetList(
            name=_("Kind"),
            values=tuple(
                _value(language.text(_("Photos")), one, query.kind, language, address, "kind")
                for one in counted.kinds
            ),
            open=bool(query.kind),
        ),
    ]
    return [one for one in found if one.values]


def chips(
    query: Query,
    counted: Tallies,
    talks: Mapping[str, Talk],
    language: Language,
    zone: tzinfo,
    address: Address,
) -> list[Chip]:
    """The filters that are on."""
    found = []
    if query.text:
        found.append(Chip(f"“{query.text}”", address(q=None)))
    if query.hour:
        found.append(Chip(_hour_text(query.hour, language), address(hour=None)))
    elif query.day:
        found.append(Chip(_day_text(query.day, language), address(day=None)))
    if query.talk:
        talk = talks.get(query.talk)
        found.append(Chip(query.talk if talk is None else talk.title, address(talk=None)))
    if query.author:
        known = next((one for one in counted.authors if one.value == query.author), None)
        text = query.author.partition(":")[2] or query.author
        found.append(Chip(text if known is None else author_text(known), address(author=None)))
    if query.source:
        found.append(Chip(badge(query.source), address(source=None)))
    if query.kind:
        found.append(Chip(language.text("Photos"), address(kind=None)))
    return found


def author_text(one: Count) -> str:
    """How an author is called: ``Ann @ann``."""
    name, _, handle = (one.label or one.value).partition("\n")
    return f"{name} @{handle}" if handle else name


def _value(text: str, one: Count, chosen: str | None, language: Language, address: Address, name: str) -> Value:
    current = one.value == chosen
    leads = address(**{name: None if current else one.value})
    return Value(text=text, count=language.number(one.items), address=leads, current=current)


def _day(one: Count, query: Query, hours: Sequence[Count], language: Language, address: Address) -> Value:
    there = [hour for hour in hours if hour.value.startswith(one.value)]
    most = max((hour.items for hour in hours), default=1)
    within = tuple(
        Hour(
            text=f"{hour.value[11:]}:00–{hour.value[11:]}:59: {language.number(hour.items)}",
            short=hour.value[11:],
            height=round(max(hour.items / most * BAR, 1.0), 1),
            address=address(day=None, hour=None if hour.value == query.hour else hour.value),
            current=hour.value == query.hour,
        )
        for hour in there
    )
    current = one.value == query.day
    return Value(
        text=_day_text(one.value, language),
        count=language.number(one.items),
        address=address(day=None if current else one.value, hour=None),
        current=current,
        within=within,
    )


def _day_text(value: str, language: Language) -> str:
    try:
        return language.weekday(date.fromisoformat(value))
    except ValueError:
        return value


def _hour_text(value: str, language: Language) -> str:
    return f"{_day_text(value[:10], language)}, {value[11:]}:00–{value[11:]}:59"
