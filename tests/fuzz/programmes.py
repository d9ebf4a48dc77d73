"""Targets: schedules of events, which come from other sites."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Sequence
from contextlib import ExitStack
from datetime import UTC, timedelta

import msgspec

from afeed.core.schedule import limits
from afeed.core.schedule.difference import succeed
from afeed.core.schedule.formats import FRAB, ICAL, TOML, VOC
from afeed.core.schedule.model import Reading, Room, Schedule, Talk, Track
from afeed.core.schedule.problems import BadSchedule
from afeed.core.schedule.prose import TAGS
from afeed.core.schedule.reading import read
from afeed.core.schedule.values import zone
from tests.core.schedule import test_frab, test_ical, test_table, test_voc
from tests.core.schedule.case import AMSTERDAM
from tests.core.schedule.test_difference import PROGRAMME
from tests.fuzz.engine import Check, Target
from tests.fuzz.upstream import inert

_ID = re.compile(r"[a-z0-9-]{1,39}")
_TALK_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_HANDLE = re.compile(r"[a-z0-9_][a-z0-9_.-]*(?:@[a-z0-9_.-]+)?")
_HASHTAG = re.compile(r"#\S{1,60}")
_WEB = re.compile(r"https?://\S+", re.IGNORECASE)
_UNSTORABLE = re.compile("[\0-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\u202a-\u202e]")
_TAG = re.compile(r"</?([a-z0-9]+)(?: [^<>]*)?>")
#: What a message quotes; it says nothing about the way in which the case was refused.
_VARIES = re.compile(r"[0-9]+|“[^”]*”|the .* that begins|ends .*", re.DOTALL)
#: Problems are read by people: a sentence each.
_LONGEST_PROBLEM = 2000


def _check(format: str, stack: ExitStack) -> Check:
    old = read(PROGRAMME.encode(), AMSTERDAM).schedule

    def check(case: bytes) -> Hashable:
        try:
            reading = read(case, AMSTERDAM, format)
        except BadSchedule as refusal:
            _told(refusal)
            return _VARIES.sub("", refusal.problems[0])[:30], min(len(refusal.problems), 3)
        _sound(reading, format)
        _followed(old, reading.schedule)
        talk = reading.schedule.talks[0]
        return (
            min(len(reading.schedule.talks), 3),
            min(len(reading.warnings), 3),
            len(talk.speakers) > 0,
            "<a " in talk.abstract,
            talk.cancelled,
            talk.is_break,
            talk.url is None,
        )

    return check


def _told(refusal: BadSchedule) -> None:
    assert 0 < len(refusal.problems) <= limits.MAX_PROBLEMS + 1
    for text in (*refusal.problems, str(refusal)):
        assert text and len(text.splitlines()) == 1, text
        assert not _UNSTORABLE.search(text), text
    assert max(map(len, refusal.problems)) < _LONGEST_PROBLEM, max(refusal.problems, key=len)


def _sound(reading: Reading, format: str) -> None:
    """What holds for every schedule, whatever it was read from."""
    assert reading.format == format
    assert msgspec.json.decode(msgspec.json.encode(reading), type=Reading) == reading
    assert len(reading.warnings) <= limits.MAX_WARNINGS + 1
    for text in reading.warnings:
        assert text and len(text.splitlines()) == 1 and not _UNSTORABLE.search(text), text
    schedule = reading.schedule
    assert zone(schedule.timezone) is not None
    rooms, tracks = _places(schedule.rooms), _places(schedule.tracks)
    talks = schedule.talks
    assert 0 < len(talks) <= limits.MAX_TALKS
    assert len({talk.id for talk in talks}) == len({talk.guid for talk in talks}) == len(talks)
    assert [talk.start for talk in talks] == sorted(talk.start for talk in talks)
    for talk in talks:
        _talk(talk)
        assert talk.room is None or talk.room in rooms, talk.room
        assert talk.track is None or talk.track in tracks, talk.track


def _places(places: Sequence[Room | Track]) -> set[str]:
    ids = {place.id for place in places}
    assert len(ids) == len(places) <= limits.MAX_ROOMS
    for place in places:
        assert _ID.fullmatch(place.id), place.id
        _line(place.name, limits.MAX_NAME_CHARS)
        assert place.name and all(map(_HASHTAG.fullmatch, place.hashtags)), place
    return ids


def _talk(talk: Talk) -> None:
    assert _TALK_ID.fullmatch(talk.id), talk.id
    assert timedelta() < talk.end - talk.start <= limits.MAX_LENGTH
    for moment in (talk.start, talk.end):
        assert moment.tzinfo is UTC and 1970 <= moment.year < 2200 and not moment.microsecond, moment
    assert talk.title and talk.guid
    _line(talk.title, limits.MAX_TITLE_CHARS)
    _line(talk.subtitle, 4 * limits.MAX_TITLE_CHARS)
    _line(talk.kind, limits.MAX_NAME_CHARS)
    assert len(talk.speakers) <= limits.MAX_SPEAKERS and len(talk.hashtags) <= limits.MAX_HASHTAGS
    assert all(map(_HASHTAG.fullmatch, talk.hashtags)), talk.hashtags
    for speaker in talk.speakers:
        assert speaker.name
        _line(speaker.name, limits.MAX_NAME_CHARS)
        assert all(map(_HANDLE.fullmatch, speaker.handles)), speaker.handles
        assert all(map(_WEB.fullmatch, speaker.urls)), speaker.urls
    assert talk.url is None or _WEB.fullmatch(talk.url), talk.url
    html = talk.abstract
    assert not _UNSTORABLE.search(html), html
    inert(html)
    assert {match[1] for match in _TAG.finditer(html)} <= TAGS and "<" not in _TAG.sub("", html), html


def _line(text: str, longest: int) -> None:
    assert len(text) <= longest and len(text.splitlines()) <= 1 and not _UNSTORABLE.search(text), text


def _followed(old: Schedule, new: Schedule) -> None:
    """As the next version of another one: no address that was good leads nowhere, and the same again is
    nothing."""
    after = succeed(old, new).schedule
    assert all(after.talk(talk.id) is not None for talk in (*old.talks, *new.talks))
    again = succeed(after, new)
    assert again.schedule == after and again.revisions == (), again.revisions


_OTHER_XML = """<?xml version="1.0"?><schedule><conference><title>C</title><day_change>06:00</day_change>
<track name="Web"/><time_zone_name>UTC</time_zone_name></conference><day date="2026-11-21"><event id="1">
<start>00:30</start><duration>0:25</duration><title>CANCELLED: late</title><persons><person><name>Bo</name>
<biography>https://x.com/bo</biography></person></persons><abstract>&lt;p&gt;x&lt;a href="/"&gt;</abstract>
</event></day></schedule>"""
_SERIES = (
    test_ical.series("RRULE:FREQ=DAILY;COUNT=4", "EXDATE;TZID=Europe/Amsterdam:20261123T093000\n"),
    test_ical.series(
        "RRULE:FREQ=MONTHLY;BYDAY=1MO,-1FR;UNTIL=20270101T000000Z;WKST=SU", "RDATE:20261205T090000Z\n"
    ),
    test_ical.series("RRULE:FREQ=YEARLY;INTERVAL=2;BYMONTH=11;BYMONTHDAY=21,-1;COUNT=1", "EXDATE:20261122\n"),
)
_CALENDARS = (
    test_ical.ical(head="X-WR-CALNAME:C\nX-WR-TIMEZONE:Europe/Rome\n"),
    test_ical.ical(
        test_ical.EVENT.replace("DTEND;TZID=Europe/Amsterdam:20261121T101500", "DURATION:PT1H")
        .replace("how", "how (talk by Ann and Bo)")
        .replace("LOCATION", "STATUS:CANCELLED\nCATEGORIES:web,#Feeds\nLOCATION")
        .replace("Europe/Amsterdam", "Mine"),
        "BEGIN:VTIMEZONE\nTZID:Mine\nX-LIC-LOCATION:Europe/Rome\nBEGIN:STANDARD\nTZOFFSETTO:+0100\n"
        "END:STANDARD\nEND:VTIMEZONE\n",
    ),
    test_ical.ical(
        test_ical.EVENT.replace("SUMMARY", "RRULE:FREQ=DAILY;COUNT=3\nSUMMARY")
        + test_ical.EVENT.replace("SUMMARY", "RECURRENCE-ID:20261122T083000Z\nSUMMARY")
    ),
)
_VOC = (
    test_voc.document(),
    test_voc.document(
        test_voc.event(
            guid=None, persons=[{"name": "Bo", "url": "https://social.example/@bo"}], track={"en": "T"}
        ),
        test_voc.event(date=None, room=None, duration="24:30", state="canceled", abstract="<p>a<br>b</p>"),
        rooms=[{"name": "Tan Room"}],
        tracks=[{"name": "T"}],
        day_change="06:00",
    ),
)

_HEAD = 'title = "C"\ntimezone = "Europe/Rome"\n[[rooms]]\nname = "Hall 1"\nhashtags = ["#hall1"]\n'


def _encoded(*texts: str) -> tuple[bytes, ...]:
    return tuple(text.encode() for text in texts)


_XML_WORDS = (
    b"<event>", b"</event>", b"<day date='2026-11-21'>", b"<room name='x'>", b"<title>x</title>", b"</",
    b"<start>9:00</start>", b"<duration>0:10</duration>", b"<date>2026-11-21</date>", b"<persons><person>",
    b"<!DOCTYPE x [<!ENTITY a 'b'>]>", b"<![CDATA[", b"]]>", b"<!--", b"&#0;", b"&#x202e;", b"&lt;p&gt;",
    b"<a>",
    b" xmlns:x='y'", b"<x:event>", b"<?x y?>", b"encoding='utf-16'", b"guid='1'", b"<abstract>&lt;a href=",
)  # fmt: skip
_ICAL_WORDS = (
    b"BEGIN:VEVENT\r\n", b"END:VEVENT\r\n", b"BEGIN:VCALENDAR\r\n", b"END:VCALENDAR\r\n", b"\r\n ", b"\\n",
    b"\\,",
    b"RRULE:FREQ=DAILY;COUNT=3\r\n", b"RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;UNTIL=20271101\r\n",
    b";INTERVAL=0", b";INTERVAL=999999999999", b";COUNT=1000", b";BYDAY=-1SU,53MO", b";BYHOUR=1",
    b"UNTIL=99991231",
    b"FREQ=SECONDLY", b"FREQ=WEEKLY", b"FREQ=YEARLY", b"EXDATE:20261122,20261123T083000Z\r\n",
    b"RDATE:20261205T090000Z,20261206T090000\r\n", b"TZID=a/b/c:", b"DURATION:-P1W\r\n",
    b"DURATION:P9999999D\r\n",
    b"00010101T000000", b"99991231T235959Z", b"20260329T023000", b"20261121", b"UID:1\r\n", b' - Ann',
    b"Speaker: ",
)  # fmt: skip
_TOML_WORDS = (
    b"[[talks]]\n", b"[talks]\n", b"[[rooms]]\nname = ", b'start = 2026-11-21T09:30:00\n', b"minutes = 5\n",
    b"end = 2026-11-21T10:30:00+02:00\n", b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-12:00",
    b"2026-03-29T02:30:00", b'speakers = ["A", {name = "B"}]\n', b"hashtags = []\n", b'"""', b"'''",
    b"a.b.c.d", b"nan",
    b"break = true\n", b'title = "Lunch"\n', b"2026-11-21", b"09:30:00", b'abstract = "<p>x"\n', b"{", b"= ",
)  # fmt: skip


def _json_words() -> tuple[bytes, ...]:
    words = re.findall(r"[A-Za-z_]{2,}", json.dumps(_VOC))
    return tuple(sorted({word.encode() for word in words if len(word) < 30}))


PROGRAMMES = (
    Target(
        "frab", "a schedule.xml",
        lambda: _encoded(test_frab.xml(), test_frab.xml(test_frab.EVENT * 2), _OTHER_XML),
        lambda stack: _check(FRAB, stack), _XML_WORDS, sound=0.8,
    ),
    Target(
        "voc", "a schedule.json", lambda: _encoded(*map(json.dumps, _VOC)), lambda stack: _check(VOC, stack),
        _json_words(), True,
    ),
    Target(
        "ical", "a calendar", lambda: _encoded(*_CALENDARS, *_SERIES), lambda stack: _check(ICAL, stack),
        _ICAL_WORDS, sound=0.8,
    ),
    Target(
        "programme", "the TOML form of a schedule",
        lambda: _encoded(PROGRAMME, _HEAD + test_table.TALK),
        lambda stack: _check(TOML, stack), _TOML_WORDS, sound=0.8,
    ),
)  # fmt: skip
