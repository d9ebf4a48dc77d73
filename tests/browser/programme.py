"""An invented programme around the present hour, and what people say about it, for pictures and tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

#: What goes after the push source of an event that has this programme.
SCHEDULE = '[events.schedule]\nfile = "programme.toml"\ninterval_s = 10\n'

ROOMS = ("Great Hall", "Lighthouse", "Boat Shed")
PEOPLE = (("Mirela Sandu", "mirela"), ("Tomé Duarte", "tome"), ("Ana-Lucía Ferreira Gómez", "analucia"))
TITLES = (
    "What the tide left us",
    "Accessible maps for everybody",
    "Style sheets that read like a book",
    "The harbour that went online",
    "Typography on bad screens",
    "Small servers, large crowds",
    "Forms that people finish",
    "Testing in the dark",
    "Notes on colour",
    "A year without analytics",
    "Letters from the lighthouse",
)
ABSTRACT = (
    "<p>What happens when a small town puts everything it knows about the sea online, and what the sea had to "
    "say about it.</p><p>With maps, tides and a <b>lighthouse keeper</b>.</p>"
)
HOURS, LUNCH = 7, 3

SAID = (
    "I did not expect to care about this, and now I do. #tidelamp",
    "Slide of the day: a crab that explains caching. #tidelamp",
    "Question from the back: what about the people who cannot see the map at all?",
    "“Every form is a conversation, and most of them are rude.” Writing that down. #tidelamp",
    "The lighthouse keeper is on stage now and he is a delight.",
    "Does anybody have a link to the tide data?",
)


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def programme(now: datetime) -> str:
    """As TOML: two days, the first of them begun two hours ago; the third hour's talks are on."""
    start = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    lines: list[str] = ['title = "Tidelamp"']
    number = 0
    for day in range(2):
        for hour in range(HOURS):
            begins = start + timedelta(days=day, hours=hour)
            if hour == LUNCH:
                lines += _talk(f"lunch{day}", "Lunch", begins, 60, room=None, **{"break": True})
                continue
            for place, room in enumerate(ROOMS):
                if place and hour in (0, HOURS - 1):
                    continue
                name, handle = PEOPLE[number % len(PEOPLE)]
                lines += _talk(
                    f"d{day}h{hour}r{place}",
                    TITLES[number % len(TITLES)],
                    begins,
                    55 if place == 0 else 45,
                    room=room,
                    speakers=[{"name": name, "handle": handle}],
                    abstract=ABSTRACT,
                    cancelled=number == 5,
                )
                number += 1
    return "\n".join(lines) + "\n"


def _talk(id: str, title: str, begins: datetime, minutes: int, *, room: str | None, **other: Any) -> list[str]:
    values: dict[str, Any] = {"id": id, "title": title, "minutes": minutes, "room": room, **other}
    lines = ["", "[[talks]]", f"start = {_moment(begins)}"]
    return lines + [f"{name} = {_toml(value)}" for name, value in values.items() if value not in (None, False)]


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(one)}" for name, one in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def posts(now: datetime, count: int = 160) -> Iterator[dict[str, Any]]:
    """What programs push: posts of the last two and a half hours, about one talk or the other."""
    for number in range(count):
        written = now - timedelta(minutes=150 - 149 * number / count)
        hour = max(0, min(2, int((written - now).total_seconds() // 3600) + 3))
        name, handle = PEOPLE[(number + 1) % len(PEOPLE)]
        tag = ("Great Hall", "#lighthouse", "#boatshed")[number % 3]
        title = TITLES[(hour * 3 + number) % len(TITLES)]
        yield {
            "id": f"said-{number}",
            "text": f"{SAID[number % len(SAID)]} {title if number % 4 == 0 else ''} {tag}".replace("  ", " "),
            "author": {"name": f"{name.partition(' ')[0]} {number % 23}", "handle": f"{handle}{number % 23}"},
            "created_at": _moment(written),
            "media": []
            if number % 7
            else [
                {
                    "type": "photo",
                    "url": f"https://pics.example/{('stage', 'crowd', 'map', 'gull')[number // 7 % 4]}.svg",
                    "width": 1200,
                    "height": 800,
                    "alt": "a drawing",
                }
            ],
        }
