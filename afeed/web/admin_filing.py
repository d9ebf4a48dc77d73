"""Where organisers say under which talk a post belongs.

::

    GET  /admin/events/<slug>/file?subject=<item>&seq=<n>   the post, why it is where it is, and all talks
    POST /admin/events/<slug>/file                          it belongs under ``talk``, or under none
    POST /admin/events/<slug>/refile                        file everything again
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

import attrs
from markupsafe import Markup

from afeed.core.cursor import MAX_SEQ
from afeed.core.errors import BadInput
from afeed.core.http import bounded_number
from afeed.core.schedule.model import Schedule, Talk
from afeed.organisers.filing import Case, Filers
from afeed.organisers.moderation import Actor
from afeed.settings import Event
from afeed.web.fragments import Fragments
from afeed.web.languages import Language

#: Talks within this time of the post are offered first.
NEAR = timedelta(hours=2)


def _(text: str) -> str:
    """Mark ``text`` for the catalogues."""
    return text


#: Why, in words: by the codes of :mod:`afeed.core.attribution.filing`, up to the colon.
_REASONS: Mapping[str, str] = {
    "during": _("posted while it was on"),
    "during taken": _("the photo was taken while it was on"),
    "after": _("posted soon after it"),
    "after taken": _("the photo was taken soon after it"),
    "before": _("posted just before it"),
    "before taken": _("the photo was taken just before it"),
    "hashtag": _("has its hashtag %(what)s"),
    "room": _("has the hashtag of the room, %(what)s"),
    "track": _("has the hashtag of the track, %(what)s"),
    "link": _("links to its page"),
    "speaker": _("mentions the speaker, %(what)s"),
    "by": _("was posted by the speaker, %(what)s"),
    "name": _("names the speaker: %(what)s"),
    "title": _("has words of the title: %(what)s"),
    "words": _("has words of the description: %(what)s"),
    "kind": _("has a word for this kind of talk: %(what)s"),
    "chatter": _("sounds like the break: %(what)s"),
    "nothing": _("nothing points to a talk"),
    "weak": _("too little points to a talk"),
    "pause": _("posted during a break: %(what)s"),
    "between": _("points to several talks"),
}


@attrs.frozen
class Choice:
    """One talk to choose; ``label`` has its time and room."""

    id: str
    label: str


@attrs.frozen
class Group:
    """Talks under one heading."""

    heading: str
    choices: Sequence[Choice]


class FilePages:
    """``fragments`` gives each event's renderer of items."""

    def __init__(self, filers: Filers, fragments: Callable[[Event], Fragments]) -> None:
        self._filers = filers
        self._fragments = fragments
        #: What the buttons do; each returns what it was done to.
        self.acts = {"file": self._file, "refile": self._refile}
        self.files = filers.files

    async def values(self, event: Event, query: Mapping[str, str], language: Language) -> dict[str, Any]:
        """What the page shows of one item."""
        seq = bounded_number(dict(query), "seq", 0, 1, MAX_SEQ)
        case = await self._filers.case(event.slug, seq, query.get("subject", ""))
        zone = event.timezone
        return {
            "event": event,
            "id": case.item.id,
            "seq": seq,
            "html": Markup(self._fragments(event).render(case.item)),  # noqa: S704 - from item.html
            "now": case.now,
            "decided": case.decided,
            "reasons": _reasons(case, language),
            "groups": groups(case, zone, language),
        }

    async def _file(self, event: str, form: Mapping[str, str], actor: Actor) -> str:
        if "talk" not in form:
            raise BadInput("no talk was chosen")
        seq = bounded_number(dict(form), "seq", 0, 1, MAX_SEQ)
        talk = form["talk"] or None
        return (await self._filers.correct(event, seq, form.get("subject", ""), talk, actor)).id

    async def _refile(self, event: str, form: Mapping[str, str], actor: Actor) -> str:
        await self._filers.again(event, actor)
        return event


def _reasons(case: Case, language: Language) -> list[str]:
    found = []
    for code in case.found.reasons:
        name, _colon, what = code.partition(":")
        text = _REASONS.get(name)
        if text is not None:
            found.append(language.text(text, what=what.replace("+", ", ")))
    return found


def groups(case: Case, zone: ZoneInfo, language: Language) -> list[Group]:
    """All talks by day, after those that were near when the item was posted."""
    talks = [talk for talk in case.schedule.talks if not talk.is_break]
    near = [talk for talk in talks if _is_near(talk, case.item.created_at)]
    by_day = groupby(talks, key=lambda talk: talk.start.astimezone(zone).date())
    days = [Group(f"{day:%Y-%m-%d}", _choices(list(those), case.schedule, zone)) for day, those in by_day]
    first = [Group(language.text(_("At that time")), _choices(near, case.schedule, zone))] if near else []
    return [*first, *days]


def _is_near(talk: Talk, created_at: str) -> bool:
    try:
        moment = datetime.fromisoformat(created_at)
        return talk.start - NEAR < moment < talk.end + NEAR
    except (ValueError, TypeError):
        return False


def _choices(talks: Sequence[Talk], schedule: Schedule, zone: ZoneInfo) -> list[Choice]:
    rooms = {room.id: room.name for room in schedule.rooms}
    return [
        Choice(
            talk.id,
            " · ".join(
                filter(None, (f"{talk.start.astimezone(zone):%H:%M}", rooms.get(talk.room or ""), talk.title))
            ),
        )
        for talk in talks
    ]
