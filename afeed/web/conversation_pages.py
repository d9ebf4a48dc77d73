"""The pages of the conversation as bytes: schedule, talk, archive, one item.  Nothing about HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import attrs
from markupsafe import Markup

from afeed.archive.searching import Found, Query, TalkItems, Tallies
from afeed.core.item import Item
from afeed.core.schedule.model import Schedule, Talk
from afeed.core.search.facets import author_value, photo
from afeed.core.search.wish import Marker
from afeed.interfaces import PageItem
from afeed.media.addresses import shown_url
from afeed.settings import Event
from afeed.web.activity import activity
from afeed.web.facet_lists import chips, facet_lists, filters
from afeed.web.fragments import Fragments, Shown
from afeed.web.links import page_url
from afeed.web.marks import BLANKS
from afeed.web.pages import Document, Reader, Renderer
from afeed.web.schedule import status
from afeed.web.timetable import AHEAD, TAIL, day_of, days, dividers, on_now, slot

#: Photos at the top of a talk's page.
PHOTOS = 12
#: How old the numbers of posts on the programme may be, in seconds.
POSTS_AGE_S = 15.0


@attrs.frozen(kw_only=True)
class Result:
    """An item on a page."""

    seq: int
    fragment: Markup


@attrs.frozen(kw_only=True)
class Photo:
    """A photo of the item ``seq``."""

    seq: int
    image: str
    alt: str


@attrs.frozen
class Link:
    """A way to somewhere else; ``name`` is in the catalogues, ``type`` that of a feed."""

    name: str
    address: str
    type: str = ""


@attrs.frozen
class _Kept:
    """A programme as it was rendered."""

    schedule: Schedule | None
    state: object
    posts: Mapping[str, int]
    made_at: float
    document: Document


class ConversationRenderer:
    """Makes the pages, with ``renderer``'s templates.  ``links`` gives the ways from a talk to its report and
    the like, ``moved`` the ids of the talks that were moved lately."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._programmes: dict[tuple[str, Reader], _Kept] = {}

    def schedule(
        self,
        event: Event,
        schedule: Schedule | None,
        posts: Mapping[str, int],
        moved: frozenset[str],
        now: float,
        reader: Reader,
    ) -> Document:
        """All days of the programme.  One of a thousand talks takes a tenth of a second, so what was made last
        is given again as long as it is right, for numbers of posts may be some seconds old."""
        moment = _moment(now)
        running = on_now(schedule, moment)
        marked = (
            {talk.id for talk in schedule.talks if talk.id in moved and moment < talk.end}
            if schedule
            else set()
        )
        today = moment.astimezone(event.timezone).date()
        current = schedule and day_of(schedule, moment, event.timezone)
        state = (running, marked, today, current, status(event, now))
        kept = self._programmes.get((event.slug, reader))
        same = kept is not None and kept.schedule is schedule and kept.state == state
        if kept is not None and same and (kept.posts == posts or 0 <= now - kept.made_at < POSTS_AGE_S):
            return kept.document
        table = [] if schedule is None else days(schedule, event.timezone, moment, posts)
        document = self._renderer.document(
            "schedule.html",
            reader,
            event=event,
            days=table,
            now=running,
            day=today,
            moved=marked,
            following=status(event, now) == "live",
            zone=event.timezone.key.replace("_", " "),
        )
        self._programmes[event.slug, reader] = _Kept(schedule, state, dict(posts), now, document)
        return document

    def now(self, event: Event, schedule: Schedule | None, now: float, reader: Reader) -> Document:
        """What is on now and next, by itself, with the mark of what began last."""
        moment = _moment(now)
        running = on_now(schedule, moment)
        latest = dividers(schedule, [datetime.min.replace(tzinfo=UTC)], moment, True).get(0, [])
        return self._renderer.document(
            "now_alone.html",
            reader,
            event=event,
            now=running,
            day=moment.astimezone(event.timezone).date(),
            divider=latest[0] if latest else None,
        )

    def talk(
        self,
        event: Event,
        schedule: Schedule,
        talk: Talk,
        page: TalkItems,
        before: int | None,
        moved: frozenset[str],
        links: Sequence[Link],
        now: float,
        reader: Reader,
    ) -> Document:
        """Everything about one talk."""
        moment = _moment(now)
        position = page.found.position
        near = talk.start - AHEAD <= moment < talk.end + TAIL
        live = near and before is None and not talk.cancelled
        fragments = self._renderer.fragments(event)
        photos = _photos(page.photos.items, shown_url(event.keep_media)) if before is None else []
        return self._renderer.document(
            "talk.html",
            reader,
            event=event,
            slot=slot(schedule, talk, moment, {talk.id: page.posts}),
            speakers=[(one, next(filter(None, map(page_url, one.urls)), None)) for one in talk.speakers],
            track=next((track.name for track in schedule.tracks if track.id == talk.track), ""),
            date=talk.start.astimezone(event.timezone).date(),
            day_of=day_of(schedule, talk.start, event.timezone),
            abstract=Markup(talk.abstract),  # noqa: S704 - sanitised where the schedule was read
            moved=talk.id in moved and moment < talk.end,
            live=live and position is not None,
            following=near,
            cursor="" if position is None else f"{position.epoch}:{position.seq}",
            entries=[_result(one, fragments) for one in page.found.items],
            older=page.found.next,
            before=before,
            photos=photos[:PHOTOS],
            more_photos=len(photos) > PHOTOS or page.photos.next is not None,
            activity=activity(page.minutes, talk, event.timezone) if before is None else None,
            links=[link for link in links if not link.type],
            feeds=[link for link in links if link.type],
            blanks=BLANKS,
        )

    def archive(
        self,
        event: Event,
        schedule: Schedule | None,
        query: Query,
        found: Found,
        counted: Tallies,
        before: int | None,
        reader: Reader,
    ) -> Document:
        """What was posted, by whatever was asked for."""
        path = f"/{event.slug}/archive"
        kept = filters(query)
        talks = {} if schedule is None else {talk.id: talk for talk in schedule.talks}

        def address(**changed: object) -> str:
            wanted = {**kept, **changed}
            return reader.address(path, **{name: value for name, value in wanted.items() if value})

        marker = Marker(query.wish)
        fragments = self._renderer.fragments(event)
        return self._renderer.document(
            "archive.html",
            reader,
            event=event,
            scheduled=schedule is not None,
            query=query,
            narrowed=bool(kept),
            kept=[(name, value) for name, value in _form(kept, reader) if name != "q"],
            chips=chips(query, counted, talks, reader.language, event.timezone, address),
            facets=facet_lists(query, counted, talks, reader.language, address),
            entries=[_result(one, fragments, marker) for one in found.items],
            whole=found.whole,
            before=before,
            first=address(),
            older=None if found.next is None else address(before=found.next),
        )

    def item(self, event: Event, schedule: Schedule | None, one: PageItem, reader: Reader) -> Document:
        """One item."""
        author = author_value(one.item)
        archive = f"/{event.slug}/archive"
        return self._renderer.document(
            "item_alone.html",
            reader,
            event=event,
            scheduled=schedule is not None,
            author=one.item.author.name,
            entry=_result(one, self._renderer.fragments(event)),
            around=reader.address(archive, before=one.seq),
            by_author=None if author is None else reader.address(archive, author=author),
        )


def _form(kept: Mapping[str, str], reader: Reader) -> list[tuple[str, str]]:
    """What a form has to send along so that only the words change."""
    language = [("lang", reader.language.tag)] if reader.asked else []
    return [*kept.items(), *language]


def _moment(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC)


def _result(one: PageItem, fragments: Fragments, marker: Marker | None = None) -> Result:
    html = fragments.render_marked(one.item, marker) if marker else fragments.render(one.item)
    return Result(seq=one.seq, fragment=Markup(html))  # noqa: S704 - from item.html


def _photos(items: Sequence[PageItem], shown: Shown) -> list[Photo]:
    found = []
    for one in items:
        item: Item = one.item
        if item.sensitive or not photo(item):
            continue
        media = next((each for each in item.media if each.type == "photo"), None)
        image = None if media is None else shown(media.thumb_url) or shown(media.url)
        if media is not None and image is not None:
            found.append(Photo(seq=one.seq, image=image, alt=media.alt or item.author.name))
    return found
