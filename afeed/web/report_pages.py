"""Reports as bytes: what is on the page, nothing about HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import urlsplit

import attrs
from babel.dates import format_datetime, format_time
from babel.numbers import format_decimal, format_percent
from markupsafe import Markup

from afeed.archive.report_links import Link
from afeed.core.change import seconds
from afeed.core.report.model import Course, Picture, Report, Rise
from afeed.core.schedule.model import Schedule, Talk
from afeed.media.addresses import shown_url
from afeed.organisers.desk import Guest
from afeed.reports.maker import Made
from afeed.settings import Event
from afeed.web import charts
from afeed.web.fragments import Shown
from afeed.web.languages import Language
from afeed.web.links import image_url, page_url
from afeed.web.pages import Reader, Renderer

#: Words in the chart, beside the list of all.
CHARTED = 15


@attrs.frozen(kw_only=True)
class Context:
    """Where the report belongs: ``room`` and ``speakers`` are names."""

    event: Event
    talk: Talk | None = None
    room: str | None = None


def context(event: Event, schedule: Schedule | None, talk: Talk | None) -> Context:
    """The same from a schedule."""
    rooms = {} if schedule is None else {room.id: room.name for room in schedule.rooms}
    return Context(
        event=event, talk=talk, room=None if talk is None or talk.room is None else rooms.get(talk.room)
    )


@attrs.frozen(kw_only=True)
class TalkEntry:
    """A talk in the organisers' list, and the ``link`` of its speakers if there is one."""

    talk: Talk
    room: str | None
    link: Link | None


def report_values(language: Language, found: Context, made: Made) -> dict[str, object]:
    """What ``report_body.html`` is told, for readers of ``language``."""
    report, zone = made.report, found.event.timezone
    clock = Clock(language, found.event, report.course)
    return {
        "event": found.event,
        "talk": found.talk,
        "room": found.room,
        "report": report,
        "as_of": language.moment(_rfc3339(made.at), zone),
        "clock": clock,
        "course": _course(language, clock, report.course, found.talk),
        "words": _words(language, report),
        "number": lambda value: format_decimal(value, locale=language.locale),
        "share": lambda value: format_percent(value / max(report.posts, 1), locale=language.locale),
        "language_name": lambda tag: _language_name(language, tag),
        "host": _host,
        "page_url": page_url,
        "picture": _shown,
    }


class ReportRenderer(Renderer):
    """Makes the pages."""

    def report(self, reader: Reader, found: Context, made: Made) -> bytes:
        """The report itself, for ``reader``."""
        where = shown_url(found.event.keep_media)
        values = {**report_values(reader.language, found, made), "picture": partial(_shown, where=where)}
        return self._render("report.html", reader, **values).encode()

    def waiting(self, reader: Reader, found: Context) -> bytes:
        """While it is being made."""
        return self._render("report_waiting.html", reader, event=found.event, talk=found.talk).encode()

    def listing(
        self,
        reader: Reader,
        guest: Guest,
        event: Event,
        talks: Sequence[TalkEntry],
        made: tuple[Talk, str] | None,
        revoked: Talk | None,
    ) -> bytes:
        """All talks of an event, for organisers.  ``made`` is the talk that has just got a link, and the link:
        it is shown this once."""
        language = reader.language

        def when(talk: Talk) -> str:
            start = talk.start.astimezone(event.timezone)
            return str(format_datetime(start, "EEE d MMM, HH:mm", locale=language.locale))

        return self._render(
            "admin_reports.html",
            reader,
            guest=guest,
            event=event,
            talks=talks,
            made=made,
            revoked=revoked,
            when=when,
        ).encode()


class Clock:
    """Times of a report as people read them, where the event is; with the day where there are several."""

    def __init__(self, language: Language, event: Event, course: Course) -> None:
        self._locale = language.locale
        self._zone = event.timezone
        self._days = course.bin_s * len(course.counts) > 86_400

    def at(self, at: str | datetime) -> str:
        """``14:05``, or ``Sat 14:05``."""
        found = (datetime.fromisoformat(at) if isinstance(at, str) else at).astimezone(self._zone)
        return str(
            format_datetime(found, "EEE HH:mm", locale=self._locale)
            if self._days
            else format_time(found, "HH:mm", locale=self._locale)
        )

    def span(self, start: str | datetime, end: str | datetime) -> str:
        """``14:05–14:10``."""
        return f"{self.at(start)}–{self.at(end)}"

    def slot(self, talk: Talk) -> str:
        """``Saturday, 21 November 2026, 14:00–14:45``."""
        start, end = talk.start.astimezone(self._zone), talk.end.astimezone(self._zone)
        day = format_datetime(start, "EEEE, d MMMM y", locale=self._locale)
        return f"{day}, {start:%H:%M}–{end:%H:%M}"


def _course(language: Language, clock: Clock, course: Course, talk: Talk | None) -> dict[str, object] | None:
    """The chart of the posts by time, and the same as a table; None where there are none.  What is empty before
    the first and after the last of them is left out, but never a part of the ``talk``."""
    filled = [place for place, count in enumerate(course.counts) if count]
    if not filled:
        return None
    start = datetime.fromisoformat(course.start)
    if talk is not None:
        filled += [int((at - start).total_seconds() // course.bin_s) for at in (talk.start, talk.end)]
    first, last = max(min(filled) - 1, 0), min(max(filled) + 2, len(course.counts))
    times = [start + timedelta(seconds=place * course.bin_s) for place in range(first, last)]
    counts = course.counts[first:last]
    marks = {_place(course, rise) - first: str(number) for number, rise in enumerate(course.peaks, 1)}
    minutes = course.bin_s // 60
    unit = (
        language.text(_("Posts per minute"))
        if minutes == 1
        else language.text(_("Posts every %(minutes)s minutes"), minutes=minutes)
    )
    summary = language.text(
        _("From %(start)s to %(end)s, at most %(most)s at a time."),
        start=clock.at(times[0]),
        end=clock.at(times[-1] + timedelta(seconds=course.bin_s)),
        most=max(counts),
    )
    return {
        "unit": unit,
        "chart": Markup(  # noqa: S704 - made and cleaned by charts.py
            charts.columns(unit, summary, [clock.at(at) for at in times], counts, marks)
        ),
        "rows": [(clock.at(at), count) for at, count in zip(times, counts, strict=True) if count],
    }


def _place(course: Course, rise: Rise) -> int:
    return round((seconds(rise.top) - seconds(course.start)) / course.bin_s)


def _words(language: Language, report: Report) -> Markup | None:
    """The chart of the words that stand out most."""
    charted = report.words[:CHARTED]
    if not charted:
        return None
    title = language.text(_("Posts with each word"))
    summary = ", ".join(term.text for term in charted)
    return Markup(  # noqa: S704 - made and cleaned by charts.py
        charts.rows(title, summary, [(term.text, term.posts) for term in charted])
    )


def _language_name(language: Language, tag: str | None) -> str:
    if tag is None:
        return language.text(_("not known"))
    return str(language.locale.languages.get(tag, tag))


def _host(url: str) -> str:
    return urlsplit(url).netloc.removeprefix("www.")


def _shown(picture: Picture, where: Shown = image_url) -> str | None:
    return where(picture.thumb) or where(picture.url)


def _rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, tz=UTC).isoformat(timespec="seconds")


def _(text: str) -> str:
    """Mark ``text`` for the catalogues."""
    return text
