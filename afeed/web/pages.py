"""The pages as bytes: what is in them, nothing about HTTP.

A :class:`Document` is the same bytes as long as what it shows is the same, so that its entity tag changes
exactly when the page does: with each new post, edit and removal, and when an event begins or ends."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from markupsafe import Markup

from afeed.interfaces import FeedPage
from afeed.settings import Event
from afeed.web.assets import Assets, compressed, tag_of
from afeed.web.fragments import Fragments
from afeed.web.marks import BLANKS, GapMark, mark
from afeed.web.schedule import calendar, days, status
from afeed.web.templating import environment

#: Items on the live page and on each older one, and on the projector view.
PAGE_ITEMS = 50
WALL_ITEMS = 12
#: Marks of outages on the projector view, which is for posts.
WALL_MARKS = 2


@attrs.frozen(kw_only=True)
class Document:
    """A page ready to be sent."""

    body: bytes
    gzipped: bytes | None
    tag: str


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
            title="This address is not right",
            text="Something in it could not be understood.",
        ),
        Trouble(
            code=404,
            name="not_found",
            title="There is nothing here",
            text="The address may be misspelt, or the event is not on this server.",
        ),
        Trouble(
            code=405,
            name="method_not_allowed",
            title="This page can only be read",
            text="It does not take what was sent to it.",
        ),
        Trouble(
            code=500,
            name="internal_error",
            title="Something went wrong",
            text="It has been noted, and trying again may help.",
        ),
        Trouble(
            code=503,
            name="unavailable",
            title="This page is not available right now",
            text="Older posts cannot be reached for the moment. Nothing is lost: please try again shortly.",
        ),
    )
}


@attrs.frozen(kw_only=True)
class Entry:
    """One entry of a page: an item as HTML, or the mark of an outage."""

    seq: int
    fragment: Markup | None = None
    mark: GapMark | None = None


@attrs.define
class _Kept:
    page: FeedPage
    status: str
    document: Document


class Renderer:
    """Makes the pages.  ``fragments`` gives each event's :class:`Fragments`."""

    def __init__(
        self,
        assets: Assets,
        fragments: Callable[[Event], Fragments],
    ) -> None:
        templates = environment(asset=assets.url, days=days)
        self._fragments = fragments
        self._events = templates.get_template("events.html")
        self._event = templates.get_template("event.html")
        self._wall = templates.get_template("wall.html")
        self._trouble = templates.get_template("trouble.html")
        self._kept: dict[tuple[str, str], _Kept] = {}

    def events(self, events: tuple[Event, ...], now: float) -> Document:
        """The list of events."""
        return _document(self._events.render(calendar=calendar(events, now)))

    def event(self, event: Event, page: FeedPage, now: float, before: int | None = None) -> Document:
        """The live page, or (with ``before``) one of the older pages behind it."""

        def render() -> str:
            return self._event.render(
                event=event,
                status=status(event, now),
                entries=self._entries(event, page),
                cursor=page.cursor,
                older=page.older,
                before=before,
                stalled=page.stalled,
                blanks=BLANKS,
            )

        if before is not None:
            return _document(render())
        return self._keep(("event", event.slug), page, status(event, now), render)

    def wall(self, event: Event, page: FeedPage, now: float, address: str) -> Document:
        """The projector view; ``address`` is where people find the live page."""

        def render() -> str:
            return self._wall.render(
                event=event,
                entries=self._entries(event, page._replace(gaps=page.gaps[:WALL_MARKS])),
                cursor=page.cursor,
                limit=WALL_ITEMS,
                marks=WALL_MARKS,
                address=address,
                blanks=BLANKS,
            )

        return self._keep(("wall", event.slug), page, status(event, now), render)

    def trouble(self, trouble: Trouble) -> bytes:
        """An error page."""
        return self._trouble.render(trouble=trouble).encode()

    def _entries(self, event: Event, page: FeedPage) -> list[Entry]:
        """Items and marks, newest first; a mark with the seq of an item stands above it."""
        render = self._fragments(event).render
        items = [
            Entry(seq=one.seq, fragment=Markup(render(one.item)))  # noqa: S704 - from item.html
            for one in page.items
        ]
        marks = [Entry(seq=one.seq, mark=mark(one.gap, event.timezone)) for one in page.gaps]
        return sorted([*marks, *items], key=lambda entry: -entry.seq)

    def _keep(self, key: tuple[str, str], page: FeedPage, status: str, render: Callable[[], str]) -> Document:
        """The document made last time, as long as it would come out the same: a hall full of people asks for
        the same page."""
        kept = self._kept.get(key)
        if kept is None or kept.page != page or kept.status != status:
            kept = self._kept[key] = _Kept(page, status, _document(render()))
        return kept.document


def _document(text: str) -> Document:
    body = text.encode("utf-8")
    return Document(body=body, gzipped=compressed(body), tag=tag_of(body))
