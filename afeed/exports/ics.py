"""The schedule as iCalendar (RFC 5545)."""

from __future__ import annotations

import re
from datetime import datetime
from html import unescape

from icalendar import Calendar, Event
from icalendar.prop import vDuration, vText

import afeed
from afeed.core.schedule.model import Schedule, Talk
from afeed.exports.feeds import storable
from afeed.exports.subject import Subject, talk_path

_BREAK = re.compile(r"<br\s*/?>|</(?:p|li|h[1-6])>")
_TAG = re.compile(r"<[^>]*>")


def calendar(subject: Subject, schedule: Schedule, made_at: datetime) -> bytes:
    """The talks of ``schedule``, or the one that ``subject`` is about, each with the address of its page.

    ``made_at`` is when this version of the schedule was read: calendars take an entry that has a later one.
    Cancelled talks stay, and say so."""
    found = Calendar()
    found.add("prodid", f"-//afeed//afeed {afeed.__version__}//EN")
    found.add("version", "2.0")
    found.add("method", "PUBLISH")
    found.add("name", storable(subject.title))
    found.add("x-wr-calname", storable(subject.title))
    found.add("url", subject.home)
    # RFC 7986: how often a calendar may look again.
    refresh = vDuration.from_ical("PT30M")
    found.add("refresh-interval", vDuration(refresh), parameters={"value": "DURATION"})
    rooms = {room.id: room.name for room in schedule.rooms}
    tracks = {track.id: track.name for track in schedule.tracks}
    for talk in schedule.talks:
        if subject.talk in (None, talk.id):
            found.add_component(_entry(subject, talk, rooms, tracks, made_at))
    return found.to_ical()


def _entry(
    subject: Subject, talk: Talk, rooms: dict[str, str], tracks: dict[str, str], made_at: datetime
) -> Event:
    entry = Event()
    entry.add("uid", storable(f"{talk.guid}@{subject.slug}"))
    entry.add("dtstamp", made_at)
    entry.add("dtstart", talk.start)
    entry.add("dtend", talk.end)
    entry.add("summary", storable(f"{talk.title}: {talk.subtitle}" if talk.subtitle else talk.title))
    address = subject.public_url + talk_path(subject.slug, talk.id)
    entry.add("url", address)
    speakers = ", ".join(speaker.name for speaker in talk.speakers)
    text = "\n\n".join(filter(None, (speakers, plain(talk.abstract), address)))
    entry.add("description", storable(text))
    if talk.room in rooms:
        entry.add("location", storable(rooms[talk.room]))
    if talk.track in tracks:
        entry.add("categories", [vText(storable(tracks[talk.track]))])
    entry.add("status", "CANCELLED" if talk.cancelled else "CONFIRMED")
    if talk.is_break:
        entry.add("transp", "TRANSPARENT")
    return entry


def plain(html: str) -> str:
    """Sanitised HTML as text."""
    text = unescape(_TAG.sub("", _BREAK.sub("\n", html)))
    return re.sub(r"\n{3,}", "\n\n", text).strip()
