"""Items that are hard to export, and what they are about."""

from __future__ import annotations

from datetime import UTC, date, datetime

from afeed.core.item import Author, Item, Media, Quote
from afeed.core.schedule.model import Room, Schedule, Speaker, Talk, Track
from afeed.exports.subject import Subject
from afeed.interfaces import PageItem

SUBJECT = Subject(
    public_url="https://feed.example", slug="exconf-2026", name="Exconf & Friends", starts=date(2026, 11, 21)
)
OF_TALK = Subject(
    public_url="https://feed.example",
    slug="exconf-2026",
    name="Exconf & Friends",
    starts=date(2026, 11, 21),
    talk="seams",
    talk_title="Seams <everywhere>",
)

PLAIN = Item(
    id="push:1",
    source="push",
    author=Author(name="Ann", handle="ann", url="https://example.org/ann"),
    text='Hello, "world"\nsecond line',
    html='<p>Hello, "world"<br>second line</p>',
    created_at="2026-11-21T12:00:00Z",
    url="https://example.org/1",
    lang="en",
    talk="seams",
)
RICH = Item(
    id="x:19/å ü",
    source="x",
    kind="photo",
    author=Author(name="Bø ]]> <b>", handle=None, avatar="/static/demo/avatar.svg"),
    text="",
    html="",
    created_at="2026-11-21T12:01:00Z",
    lang="not a language",
    media=(
        Media(type="photo", url="/static/demo/stage.svg", thumb_url="https://p.example/t.jpg", alt='a "stage"'),
        Media(type="video", url="https://p.example/v"),
    ),
    reply_to="push:1",
    shared_by=Author(name="Di", handle="di"),
    quote=Quote(author=Author(name="Ed"), text="quoted", html="<p>quoted</p>", url="https://x.com/ed/1"),
)
ODD = Item(
    id="push:\x0b2",
    source="push",
    author=Author(name="=cmd|' /C calc'!A0"),
    text="\ufffe\x00 ctrl",
    html="<p>\ufffe\x00 ctrl</p>",
    created_at="2026-11-21T12:02:00Z",
    sensitive=True,
)
ITEMS = [PageItem(seq, item) for seq, item in enumerate((PLAIN, RICH, ODD), 7)]

SCHEDULE = Schedule(
    timezone="Europe/Amsterdam",
    rooms=(Room(id="a", name="Hall; A, left"),),
    tracks=(Track(id="css", name="CSS"),),
    talks=(
        Talk(
            guid="g-1",
            id="seams",
            title="Seams, everywhere",
            subtitle="and why",
            start=datetime(2026, 11, 21, 9, tzinfo=UTC),
            end=datetime(2026, 11, 21, 9, 45, tzinfo=UTC),
            room="a",
            track="css",
            abstract="<p>About &amp; around</p><p>them.</p>",
            speakers=(Speaker(name="Ann"), Speaker(name="Bo")),
        ),
        Talk(
            guid="g-2",
            id="lunch",
            title="Lunch",
            start=datetime(2026, 11, 21, 11, tzinfo=UTC),
            end=datetime(2026, 11, 21, 12, tzinfo=UTC),
            is_break=True,
        ),
        Talk(
            guid="g-3",
            id="off",
            title="Not to be",
            start=datetime(2026, 11, 21, 13, tzinfo=UTC),
            end=datetime(2026, 11, 21, 14, tzinfo=UTC),
            cancelled=True,
        ),
    ),
)


def whole(writer: object, items: list[PageItem] = ITEMS) -> bytes:
    """Everything that ``writer`` writes."""
    made = [writer.begin(), *(writer.item(one) for one in items), writer.end()]  # type: ignore[attr-defined]
    return b"".join(made)
