"""The pages as bytes: what is in them, nothing about HTTP.

A :class:`Document` is the same bytes as long as what it shows is the same, so that its entity tag changes
exactly when the page does: with each new post, edit and removal, and when an event begins or ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from urllib.parse import urlencode

import attrs
from jinja2 import Environment
from markupsafe import Markup

from afeed.core.crowding import uncrowded
from afeed.core.schedule.model import Schedule
from afeed.interfaces import FeedPage
from afeed.settings import Event
from afeed.web import words
from afeed.web.assets import Assets, compressed, tag_of
from afeed.web.fragments import Fragments
from afeed.web.languages import NAMES, Language
from afeed.web.marks import BLANKS, GapMark, mark
from afeed.web.schedule import calendar, progress, status
from afeed.web.templating import environment
from afeed.web.timetable import Divider, dividers, on_now

#: Items on the live page and on each older one, and on the projector view.
PAGE_ITEMS = 50
WALL_ITEMS = 12
#: So many are looked at for it where not all of one author are shown.
WALL_SEARCHED = 100
#: Marks of outages on the projector view, which is for posts.
WALL_MARKS = 2


@attrs.frozen(kw_only=True)
class Document:
    """A page ready to be sent."""

    body: bytes
    gzipped: bytes | None
    tag: str


@attrs.frozen
class Reader:
    """Who a page is for: their language, and whether they asked for it in the address."""

    language: Language
    asked: bool = False

    def address(self, path: str, **query: object) -> str:
        """``path`` with ``query``, in the same language."""
        if self.asked:
            query["lang"] = self.language.tag
        return f"{path}?{urlencode(query)}" if query else path


def _(text: str) -> str:
    """Mark ``text`` for the catalogues."""
    return text


@attrs.frozen(kw_only=True)
class Trouble:
    """What an error page says: two short sentences for people, ``name`` for programs."""

    code: int
    name: str
    title: str
    text: str


TROUBLES = {
    trouble.code: trouble
    for trouble in (
        Trouble(
            code=400,
            name="bad_request",
            title=_("This address is not right"),
            text=_("Something in it could not be understood."),
        ),
        Trouble(
            code=404,
            name="not_found",
            title=_("There is nothing here"),
            text=_("The address may be misspelt, or the event is not on this server."),
        ),
        Trouble(
            code=405,
            name="method_not_allowed",
            title=_("This page can only be read"),
            text=_("It does not take what was sent to it."),
        ),
        Trouble(
            code=410,
            name="gone",
            title=_("This post is gone"),
            text=_("It was removed, and nothing of it is kept."),
        ),
        Trouble(
            code=429,
            name="too_many_connections",
            title=_("Too many connections"),
            text=_("Your address has too many open. Please close some pages, or try again shortly."),
        ),
        Trouble(
            code=500,
            name="internal_error",
            title=_("Something went wrong"),
            text=_("It has been noted, and trying again may help."),
        ),
        Trouble(
            code=503,
            name="unavailable",
            title=_("This page is not available right now"),
            text=_("Older posts cannot be reached for the moment. Nothing is lost: please try again shortly."),
        ),
    )
}


@attrs.frozen(kw_only=True)
class Entry:
    """One entry of a page: an item as HTML, written at ``moment``, the mark of an outage, or where talks
    begin."""

    seq: int
    fragment: Markup | None = None
    mark: GapMark | None = None
    divider: Divider | None = None
    moment: datetime | None = None


@attrs.frozen
class Followed:
    """What a live page is about where it is not about everything: the talks, what they are called together, and
    the member of the address that says so."""

    name: str
    talks: tuple[str, ...]
    member: tuple[str, str]


@attrs.define
class _Kept:
    page: FeedPage
    state: object
    document: Document


class Renderer:
    """Makes the pages.  ``fragments`` gives each event's :class:`Fragments`."""

    def __init__(
        self,
        assets: Assets,
        fragments: Callable[[Event], Fragments],
    ) -> None:
        self._asset = assets.url
        self._fragments = fragments
        self._templates = cache(self._environment)
        self._kept: dict[tuple[str, str, Reader], _Kept] = {}

    def events(self, events: tuple[Event, ...], now: float, reader: Reader) -> Document:
        """The list of events."""
        listed = calendar(events, now)
        return _document(
            self._render("events.html", reader, calendar=listed, progress=lambda event: progress(event, now))
        )

    def event(
        self,
        event: Event,
        page: FeedPage,
        now: float,
        reader: Reader,
        before: int | None = None,
        *,
        schedule: Schedule | None = None,
        followed: Followed | None = None,
    ) -> Document:
        """The live page, or (with ``before``) one of the older pages behind it."""
        moment = datetime.fromtimestamp(now, UTC)
        running = on_now(schedule, moment)

        def render() -> str:
            return self._render(
                "event.html",
                reader,
                event=event,
                status=status(event, now),
                entries=self._divided(self._entries(event, page), schedule, moment, before is None, followed),
                cursor=page.cursor,
                older=page.older,
                before=before,
                stalled=page.stalled,
                blanks=BLANKS,
                scheduled=schedule is not None,
                now=running,
                day=moment.astimezone(event.timezone).date(),
                followed=followed,
                member=dict([followed.member]) if followed is not None else {},
            )

        if before is not None or followed is not None:
            return _document(render())
        state = (status(event, now), running, schedule)
        return self._keep(("event", event.slug, reader), page, state, render)

    def wall(
        self,
        event: Event,
        page: FeedPage,
        now: float,
        reader: Reader,
        address: str,
        most: int | None = None,
        *,
        schedule: Schedule | None = None,
    ) -> Document:
        """The projector view; ``address`` is where people find the live page, ``most`` how many posts of one
        author in a minute are shown."""
        page = _uncrowded(page, most)
        moment = datetime.fromtimestamp(now, UTC)
        running = on_now(schedule, moment)

        def render() -> str:
            return self._render(
                "wall.html",
                reader,
                event=event,
                entries=self._entries(event, page._replace(gaps=page.gaps[:WALL_MARKS])),
                cursor=page.cursor,
                limit=WALL_ITEMS,
                marks=WALL_MARKS,
                most=most,
                address=address,
                blanks=BLANKS,
                now=running,
                day=moment.astimezone(event.timezone).date(),
            )

        state = (status(event, now), running, most)
        return self._keep(("wall", event.slug, reader), page, state, render)

    def fragments(self, event: Event) -> Fragments:
        """What renders the items of ``event``."""
        return self._fragments(event)

    def document(self, name: str, reader: Reader, **values: object) -> Document:
        """The page that the template ``name`` makes of ``values``."""
        return _document(self._render(name, reader, **values))

    def trouble(self, trouble: Trouble, reader: Reader) -> bytes:
        """An error page."""
        return self._render("trouble.html", reader, trouble=trouble).encode()

    def _environment(self, language: Language) -> Environment:
        return environment(language, asset=self._asset, languages=NAMES, words=words.for_scripts(language))

    def _render(self, name: str, reader: Reader, **values: object) -> str:
        template = self._templates(reader.language).get_template(name)
        return template.render(address_of=reader.address, **values)

    def _entries(self, event: Event, page: FeedPage) -> list[Entry]:
        """Items and marks, newest first; a mark with the seq of an item stands above it."""
        render = self._fragments(event).render
        items = [
            Entry(
                seq=one.seq,
                fragment=Markup(render(one.item)),  # noqa: S704 - from item.html
                moment=_written(one.item.created_at),
            )
            for one in page.items
        ]
        marks = [Entry(seq=one.seq, mark=mark(one.gap, event.timezone)) for one in page.gaps]
        return sorted([*marks, *items], key=lambda entry: -entry.seq)

    def _divided(
        self,
        entries: list[Entry],
        schedule: Schedule | None,
        now: datetime,
        newest: bool,
        followed: Followed | None,
    ) -> list[Entry]:
        """``entries`` with the marks of the talks that began between them, of those that are followed."""
        only = None if followed is None else followed.talks
        items = [entry for entry in entries if entry.fragment is not None]
        above = dividers(schedule, [entry.moment for entry in items], now, newest, only)
        found: list[Entry] = []
        number = 0
        for entry in entries:
            if entry.fragment is not None:
                found += [Entry(seq=entry.seq, divider=one) for one in above.get(number, ())]
                number += 1
            found.append(entry)
        return found

    def _keep(
        self, key: tuple[str, str, Reader], page: FeedPage, state: object, render: Callable[[], str]
    ) -> Document:
        """The document made last time, as long as it would come out the same: a hall full of people asks for
        the same page."""
        kept = self._kept.get(key)
        if kept is None or kept.page != page or kept.state != state:
            kept = self._kept[key] = _Kept(page, state, _document(render()))
        return kept.document


def _written(created_at: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(created_at)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _uncrowded(page: FeedPage, most: int | None) -> FeedPage:
    """``page`` for the projector view: with at most so many posts of one author in a minute."""
    if most is None:
        return page
    shown = uncrowded([(one, one.item) for one in reversed(page.items)], most)[::-1][:WALL_ITEMS]
    # Marks of outages that stand among older posts stay there.
    oldest = shown[-1].seq if len(shown) == WALL_ITEMS else 0
    return page._replace(items=shown, gaps=[one for one in page.gaps if one.seq >= oldest])


def _document(text: str) -> Document:
    body = text.encode("utf-8")
    return Document(body=body, gzipped=compressed(body), tag=tag_of(body))
