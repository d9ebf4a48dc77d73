"""Writes the copy, page by page."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, date, datetime, time
from pathlib import Path

import attrs
from markupsafe import Markup

from afeed.archive.searching import Found, TalkItems
from afeed.archive.walk import ItemReader
from afeed.core.change import timestamp
from afeed.core.report.activity import moment
from afeed.core.report.keyness import Reference
from afeed.core.report.model import Report
from afeed.core.report.tally import Tally
from afeed.core.schedule.model import Schedule, Talk
from afeed.core.search.facets import photo
from afeed.exports.ics import calendar
from afeed.exports.subject import Subject
from afeed.exports.writing import FORMATS
from afeed.interfaces import Head, PageItem
from afeed.reports.maker import Made, event_window, talk_window
from afeed.settings import Event
from afeed.site.addresses import SiteReader, day_file, talk_file, talk_report_file
from afeed.site.days import Days
from afeed.site.rendering import SiteRenderer
from afeed.web.assets import Assets
from afeed.web.conversation_pages import ConversationRenderer, Link
from afeed.web.languages import Language
from afeed.web.pages import PAGE_ITEMS
from afeed.web.report_pages import Context, context, report_values

#: Posts in a web feed.
FEED_ITEMS = 50
#: Photos among which those at the top of a talk's page are chosen.
PHOTOS = 40
#: Files of ours that pages refer to through style sheets.
_ALWAYS = ("icon.svg",)

#: Hears what is being written, and how many items of how many.
Progress = Callable[[str, int, int | None], object]


@attrs.frozen(kw_only=True)
class Place:
    """An item on a page of the copy."""

    seq: int
    fragment: Markup
    talk: Talk | None


@attrs.define
class Written:
    """What came of it."""

    posts: int = 0
    talks: int = 0
    pages: int = 0


class Builder:
    """Writes the copy of ``event`` into ``folder``.  ``public_url`` is the live server's: feeds name it.
    ``now`` is the time of the copy in Unix seconds."""

    def __init__(
        self,
        folder: Path,
        event: Event,
        schedule: Schedule | None,
        reader: ItemReader,
        renderer: SiteRenderer,
        assets: Assets,
        language: Language,
        public_url: str,
        now: float,
        progress: Progress,
    ) -> None:
        self._folder = folder
        self._event = event
        self._schedule = schedule
        self._items = reader
        self._renderer = renderer
        self._conversation = ConversationRenderer(renderer)
        self._assets = assets
        self._language = language
        self._public_url = public_url.rstrip("/")
        self._now = now
        self._progress = progress
        self._talks = {} if schedule is None else {talk.id: talk for talk in schedule.talks}
        self._days = Days(event.timezone, self._write_day)
        self.written = Written()

    def build(self) -> Written:
        """Write everything."""
        position = self._items.position(self._event.slug) or Head("", 0)
        whole, reference = self._write_archive(position)
        posts = self._write_talks(position, reference)
        self._write_report("report.html", Context(event=self._event), whole)
        if self._schedule is not None:
            page = self._conversation.schedule(
                self._event, self._schedule, posts, frozenset(), self._now, self._reader("schedule.html")
            )
            self._write("schedule.html", page.body)
            made_at = datetime.fromtimestamp(self._now, UTC).replace(microsecond=0)
            self._write("schedule.ics", calendar(self._subject(None), self._schedule, made_at))
        self._page("archive.html", "site_archive.html", days=self._counts, day_file=day_file)
        self._page(
            "index.html",
            "site_index.html",
            days=self._counts,
            day_file=day_file,
            report=whole.report,
            talks=sorted(
                ((talk, posts[talk.id]) for talk in self._talks.values() if posts.get(talk.id)),
                key=lambda one: (-one[1], one[0].start, one[0].id),
            )[:10],
            as_of=self._language.moment(timestamp(self._now), self._event.timezone),
            address=f"{self._public_url}/{self._event.slug}",
        )
        self._write_assets()
        return self.written

    # -- the archive

    def _write_archive(self, position: Head) -> tuple[Made, Reference]:
        """Days, full exports and feeds, and the report of the event: one walk through everything."""
        event = self._event
        total = self._items.count(event.slug)
        tally = Tally(event_window(event))
        newest: deque[PageItem] = deque(maxlen=FEED_ITEMS)
        with ExitStack() as stack:
            files = {
                name: stack.enter_context((self._folder / f"posts.{name}").open("wb"))
                for name in ("jsonl", "csv")
            }
            writers = {name: FORMATS[name].make(self._subject(None), "") for name in files}
            for name, file in files.items():
                file.write(writers[name].begin())
            for one in self._walk(None, total):
                tally.add(one.item)
                newest.append(one)
                self._days.add(one)
                for name, file in files.items():
                    file.write(writers[name].item(one))
            for name, file in files.items():
                file.write(writers[name].end())
        self._days.close()
        self._write_feeds("", self._subject(None), newest)
        return self._made(tally.report(), position), tally.reference

    def _walk(self, talk: str | None, total: int | None) -> Iterator[PageItem]:
        what = self._event.name if talk is None else self._talks[talk].title
        count = 0
        for page in self._items.pages(self._event.slug, talk):
            yield from page
            count += len(page)
            self._progress(what, count, total)
            if talk is None:
                self.written.posts = count

    def _write_day(self, day: str, number: int, items: list[PageItem], more: bool) -> None:
        file = day_file(day, number)
        self._page(
            file,
            "site_day.html",
            day=datetime.fromisoformat(day).date(),
            number=number,
            entries=[self._entry(one) for one in items],
            newer=day_file(day, number + 1) if more else None,
            older=day_file(day, number - 1) if number > 1 else None,
        )

    @property
    def _counts(self) -> dict[date, int]:
        return {date.fromisoformat(day): count for day, count in self._days.counts.items()}

    def _entry(self, one: PageItem) -> Place:
        html = self._renderer.fragments(self._event).render(one.item)
        return Place(
            seq=one.seq,
            fragment=Markup(html),  # noqa: S704 - from item.html
            talk=self._talks.get(one.item.talk or ""),
        )

    # -- talks

    def _write_talks(self, position: Head, reference: Reference) -> dict[str, int]:
        """The pages, feeds and reports of all talks; how many posts each has."""
        posts: dict[str, int] = {}
        for talk in self._talks.values():
            tally = Tally(talk_window(talk))
            minutes: dict[str, int] = {}
            newest: deque[PageItem] = deque(maxlen=FEED_ITEMS)
            photos: deque[PageItem] = deque(maxlen=PHOTOS)
            count = 0
            for one in self._walk(talk.id, None):
                tally.add(one.item)
                newest.append(one)
                if photo(one.item):
                    photos.append(one)
                count += 1
                at = moment(one.item.created_at)
                if at is not None:
                    minute = timestamp(at)[:16]
                    minutes[minute] = minutes.get(minute, 0) + 1
            posts[talk.id] = count
            self._write_talk(talk, count, minutes, list(reversed(photos)))
            made = self._made(tally.report(reference), position)
            self._write_report(talk_report_file(talk.id), context(self._event, self._schedule, talk), made)
            subject = self._subject(talk)
            self._write_feeds(f"talks/{talk.id}-", subject, newest)
            self.written.talks += 1
        return posts

    def _write_talk(self, talk: Talk, count: int, minutes: dict[str, int], photos: list[PageItem]) -> None:
        """The pages of one talk, the newest posts first."""
        assert self._schedule is not None
        before: int | None = None
        number = 1
        while True:
            found = self._items.newest(self._event.slug, talk.id, PAGE_ITEMS, before)
            file, following = talk_file(talk.id, number), talk_file(talk.id, number + 1)
            places = {one.seq: self._days.file_of(one) for one in [*found.items, *photos]}
            reader = SiteReader(self._language, file=file, item=places.get, older=following)
            document = self._conversation.talk(
                self._event,
                self._schedule,
                talk,
                TalkItems(found, Found(photos, None, None), count, minutes),
                before,
                frozenset(),
                self._links(talk, reader),
                self._now,
                reader,
            )
            self._write(file, document.body)
            if found.next is None:
                return
            before, number = found.next, number + 1

    def _links(self, talk: Talk, reader: SiteReader) -> list[Link]:
        return [
            Link(_("Report"), reader.to(talk_report_file(talk.id))),
            Link("Atom", reader.to(f"talks/{talk.id}-atom.xml"), "application/atom+xml"),
            Link("JSON Feed", reader.to(f"talks/{talk.id}-feed.json"), "application/feed+json"),
        ]

    # -- what they share

    def _made(self, report: Report, position: Head) -> Made:
        return Made(report=report, position=position, at=self._now)

    def _write_report(self, file: str, found: Context, made: Made) -> None:
        reader = self._reader(file)
        values = report_values(self._language, found, made)
        scheduled = self._schedule is not None
        page = self._renderer.document("site_report.html", reader, scheduled=scheduled, **values)
        self._write(file, page.body)

    def _write_feeds(self, prefix: str, subject: Subject, newest: Sequence[PageItem]) -> None:
        times = [at for one in newest if (at := moment(one.item.created_at)) is not None]
        starts = datetime.combine(self._event.starts, time(), self._event.timezone).timestamp()
        updated = timestamp(max(times, default=starts))
        for name, format in (("atom.xml", "atom"), ("feed.json", "json")):
            writer = FORMATS[format].make(subject, updated)
            body = [writer.begin(), *(writer.item(one) for one in reversed(newest)), writer.end()]
            self._write(prefix + name, b"".join(body))

    def _subject(self, talk: Talk | None) -> Subject:
        return Subject(
            public_url=self._public_url,
            slug=self._event.slug,
            name=self._event.name,
            starts=self._event.starts,
            talk=None if talk is None else talk.id,
            talk_title=None if talk is None else talk.title,
        )

    def _reader(self, file: str) -> SiteReader:
        return SiteReader(self._language, file=file)

    def _page(self, file: str, template: str, **values: object) -> None:
        values = {"event": self._event, "scheduled": self._schedule is not None, **values}
        document = self._renderer.document(template, self._reader(file), **values)
        self._write(file, document.body)

    def _write(self, file: str, body: bytes) -> None:
        path = self._folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        self.written.pages += file.endswith(".html")

    def _write_assets(self) -> None:
        for name in sorted({*self._renderer.used, *_ALWAYS}):
            if name.endswith(".js"):  # asked for by what is taken out of the pages again
                continue
            found = self._assets.find(name)
            assert found is not None
            self._write(f"static/{name}", found[0].body)


def _(text: str) -> str:
    """Mark ``text`` for the catalogues."""
    return text
