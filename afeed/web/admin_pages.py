"""What organisers see, as bytes; nothing about HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import ClassVar

import attrs
from markupsafe import Markup

from afeed.archive.moderation import Action, Blocked, Hidden
from afeed.channel import Channel
from afeed.core.change import EDITED, POSTED, seconds
from afeed.core.health import Check
from afeed.core.item import Item
from afeed.core.moderation import author_key
from afeed.interfaces import FeedPage
from afeed.organisers.desk import Guest
from afeed.settings import Event
from afeed.web import words
from afeed.web.admin_forget import Entry
from afeed.web.admin_refusals import Refusal
from afeed.web.assets import Assets
from afeed.web.fragments import Fragments
from afeed.web.languages import Language
from afeed.web.marks import BLANKS
from afeed.web.pages import Reader, Renderer
from afeed.web.schedule import status
from afeed.web.timetable import on_now


def _(text: str) -> str:
    """Mark ``text`` for the catalogues."""
    return text


#: Among so many of an event's newest changes the last item of each source is looked for.
LOOKED_AT = 1000
#: Where the kinds of a check stand among others, the worst first, and what they are called.
_STATES = {"failed": (0, _("Failed")), "degraded": (1, _("Degraded")), "ok": (2, _("OK"))}
_TRANSPORTS = {"websocket": "WebSocket", "sse": _("Server-sent events"), "poll": _("Polling")}
_ALL = _("All")
#: Which times of a check are told, and how.
_AGES = {"last_item_at": _("last post %(ago)s"), "last_byte_at": _("last sign of life %(ago)s")}
#: What the trail says of each action.
_ACTIONS = {
    "hide": _("%(who)s hid %(what)s"),
    "restore": _("%(who)s restored %(what)s"),
    "block": _("%(who)s blocked %(what)s"),
    "unblock": _("%(who)s unblocked %(what)s"),
    "make-report-link": _("%(who)s made a link to the report of %(what)s"),
    "revoke-report-link": _("%(who)s revoked the link to the report of %(what)s"),
    "show": _("%(who)s showed %(what)s, which was held"),
    "refuse": _("%(who)s kept %(what)s from being shown"),
    "filters": _("%(who)s changed the filters (%(what)s)"),
    "unfilter": _("%(who)s had the filters of the configuration apply again (%(what)s)"),
    "forget": _("%(who)s had an author forgotten (%(what)s)"),
}


@attrs.frozen(kw_only=True)
class Overview:
    """How everything is: ``checks`` of all components, ``sources`` the names of those that are sources,
    ``viewers`` by (event, transport), when the last item of (event, source) came, in seconds since 1970, and
    how many posts are held and ``waiting`` at each event."""

    checks: Sequence[Check]
    sources: frozenset[str]
    viewers: Mapping[tuple[str, str], int]
    last_items: Mapping[tuple[str, str], float]
    waiting: Mapping[str, str] = attrs.Factory(dict)


@attrs.frozen(kw_only=True)
class Line:
    """One component: ``facts`` are what there is to know beside the sentence."""

    name: str
    state: str
    word: str
    detail: str
    facts: Sequence[str] = ()


@attrs.frozen(kw_only=True)
class HiddenPage:
    """What is hidden: one by one, and on the first page also what is ``theirs``, the blocked authors'.
    ``before`` is the place behind which it begins, ``older`` that of the next page."""

    hidden: Sequence[Hidden]
    theirs: Sequence[Hidden]
    before: str | None
    older: str | None


@attrs.frozen
class Done:
    """What was just done to ``subject``, an item's id or an author's key."""

    UNDO: ClassVar[Mapping[str, str]] = {
        "hide": "restore",
        "block": "unblock",
        "restore": "",
        "unblock": "",
        "show": "",
        "refuse": "",
        "block-held": "unblock",
        "filters": "",
        "unfilter": "",
        "forget": "",
        "file": "",
        "refile": "",
    }
    act: str
    subject: str

    @property
    def undo(self) -> str:
        """The act that takes it back; empty for those that take something back themselves."""
        return self.UNDO[self.act]

    @property
    def sentence(self) -> str:
        """In English, for the catalogues."""
        return {
            "hide": _("The post is gone from every screen."),
            "block": _("The author is blocked, and their posts are gone from every screen."),
            "block-held": _("The author is blocked, and their posts are gone from every screen."),
            "restore": _("The post is shown again."),
            "unblock": _("The author may post again, and their posts are shown."),
            "show": _("It is on every screen now."),
            "refuse": _("It is not shown. You find it under Stopped."),
            "filters": _("Saved: this applies to what comes from now on."),
            "unfilter": _("What the configuration says applies again."),
            "forget": _("The author is being forgotten. Below you see how far it is."),
            "file": _("The post is filed as you say, on every screen, and stays there."),
            "refile": _("Everything is being filed again, in the background."),
        }[self.act]


def verdict(checks: Iterable[Check], language: Language) -> tuple[str, str]:
    """The worst state, and the sentence that stands above all."""
    bad = [check.name for check in checks if check.state != "ok"]
    if not bad:
        return "ok", language.text(_("All is well."))
    names = ", ".join(bad)
    if any(check.state == "failed" for check in checks):
        return "failed", language.text(_("Needs attention: %(names)s."), names=names)
    return "degraded", language.text(_("Works, with limits: %(names)s."), names=names)


def last_items(channels: Mapping[str, Channel]) -> dict[tuple[str, str], float]:
    """When the last item of each (event, source) came, as far as the newest changes tell."""
    found: dict[tuple[str, str], float] = {}
    for event, channel in channels.items():
        for change in islice(channel.newest_first(), LOOKED_AT):
            if change.type in (POSTED, EDITED) and change.id is not None:
                found.setdefault((event, change.id.partition(":")[0]), seconds(change.at))
    return found


def component(check: Check, now: float, language: Language) -> Line:
    """One check as a line."""
    facts = []
    for key, text in _AGES.items():
        at = check.data.get(key)
        if isinstance(at, str):
            facts.append(language.text(text, ago=language.ago(now - seconds(at))))
    return Line(
        name=check.name,
        state=check.state,
        word=language.text(_STATES[check.state][1]),
        detail=check.detail,
        facts=facts,
    )


def audience(viewers: Mapping[tuple[str, str], int], slug: str, language: Language) -> list[tuple[str, int]]:
    """Who watches an event, by transport, and all together."""
    found = [
        (language.text(_TRANSPORTS.get(transport, transport)), count)
        for (event, transport), count in sorted(viewers.items())
        if event == slug
    ]
    return [*found, (language.text(_ALL), sum(count for _, count in found))]


class AdminRenderer(Renderer):
    """Makes the pages, each for a ``reader``; ``guest`` is whoever is signed in.  ``files(slug)`` says whether
    the items of an event are filed."""

    def __init__(
        self,
        assets: Assets,
        events: Sequence[Event],
        now: Callable[[], float],
        fragments: Callable[[Event], Fragments],
        files: Callable[[str], bool] = lambda slug: False,
    ) -> None:
        super().__init__(assets, fragments)
        self._files = files
        self._events = events
        self._now = now

    def sign_in(self, reader: Reader, problem: Refusal | None = None) -> bytes:
        """The form with which one signs in, and why it did not work the last time."""
        sentence = "" if problem is None else _told(problem, reader.language)
        return self._page("admin_sign_in.html", reader, problem=sentence)

    def overview(self, reader: Reader, guest: Guest, found: Overview) -> bytes:
        """How everything is."""
        now, language = self._now(), reader.language
        checks = sorted(found.checks, key=lambda check: _STATES[check.state][0])
        state, sentence = verdict(checks, language)
        return self._page(
            "admin_overview.html",
            reader,
            guest=guest,
            state=state,
            sentence=sentence,
            sources=[component(check, now, language) for check in checks if check.name in found.sources],
            components=[component(check, now, language) for check in checks if check.name not in found.sources],
            events=[
                {
                    "event": event,
                    "viewers": audience(found.viewers, event.slug, language),
                    "waiting": found.waiting.get(event.slug),
                    "last": [
                        (source, language.ago(now - at))
                        for (slug, source), at in sorted(found.last_items.items())
                        if slug == event.slug
                    ],
                }
                for event in self._events
            ],
        )

    def newest(
        self,
        reader: Reader,
        guest: Guest,
        event: Event,
        page: FeedPage,
        before: int | None,
        done: Done | None,
    ) -> bytes:
        """A page of items, each with its buttons."""
        return self._page(
            "admin_newest.html",
            reader,
            guest=guest,
            event=event,
            entries=[
                {
                    "seq": one.seq,
                    "id": one.item.id,
                    "html": self._shown(event, one.item),
                    "author": one.item.author.name,
                    "blockable": author_key(one.item.source, one.item.author) is not None,
                }
                for one in page.items
            ],
            before=before,
            older=page.older,
            done=done,
            files=self._files(event.slug),
        )

    def live(
        self, reader: Reader, guest: Guest, event: Event, page: FeedPage, waiting: str | None = None
    ) -> bytes:
        """The live page as everybody has it, and a script that adds a button at each post; so many posts are
        held and ``waiting``."""
        moment = datetime.fromtimestamp(self._now(), UTC)
        return self._page(
            "admin_live.html",
            reader,
            guest=guest,
            event=event,
            # The programme is on the page of everybody.
            scheduled=False,
            now=on_now(None, moment),
            day=moment.astimezone(event.timezone).date(),
            followed=None,
            member={},
            status=status(event, self._now()),
            entries=self._entries(event, page),
            cursor=page.cursor,
            older=page.older,
            before=None,
            stalled=page.stalled,
            blanks=BLANKS,
            organiser_words=words.for_organisers(reader.language),
            waiting=waiting,
            files=self._files(event.slug),
        )

    def hidden(
        self,
        reader: Reader,
        guest: Guest,
        event: Event,
        page: HiddenPage,
        blocked: Sequence[Blocked],
        done: Done | None,
    ) -> bytes:
        """What is hidden and who is blocked, each with a button that takes it back."""
        return self._page(
            "admin_hidden.html",
            reader,
            guest=guest,
            event=event,
            entries=self._hidden_entries(event, page.hidden, reader.language),
            theirs=self._hidden_entries(event, page.theirs, reader.language),
            before=page.before,
            older=page.older,
            blocked=blocked,
            done=done,
        )

    def _hidden_entries(
        self, event: Event, hidden: Sequence[Hidden], language: Language
    ) -> list[dict[str, object]]:
        return [
            {
                "id": one.item.id,
                "html": self._shown(event, one.item),
                "at": one.at,
                "ago": language.ago(self._now() - seconds(one.at)),
            }
            for one in hidden
        ]

    def held(self, reader: Reader, values: Mapping[str, object], done: Done | None) -> bytes:
        """What is held back; see :meth:`afeed.web.admin_held.HeldPages.held_values`."""
        return self._page("admin_held.html", reader, done=done, **values)

    def filters(self, reader: Reader, values: Mapping[str, object], done: Done | None) -> bytes:
        """The form of what is kept back; see :meth:`afeed.web.admin_held.HeldPages.filter_values`."""
        return self._page("admin_filters.html", reader, done=done, **values)

    def file(self, reader: Reader, guest: Guest, values: Mapping[str, object]) -> bytes:
        """One item and all talks; see :meth:`afeed.web.admin_filing.FilePages.values`."""
        return self._page("admin_file.html", reader, guest=guest, **values)

    def forget(
        self, reader: Reader, guest: Guest, event: Event, requests: Sequence[Entry], done: Done | None
    ) -> bytes:
        """Who is forgotten."""
        return self._page("admin_forget.html", reader, guest=guest, event=event, requests=requests, done=done)

    def trail(self, reader: Reader, guest: Guest, actions: Sequence[Action]) -> bytes:
        """Who did what."""
        names = {event.slug: event.name for event in self._events}
        return self._page("admin_trail.html", reader, guest=guest, actions=actions, did=_ACTIONS, names=names)

    def refusal(self, reader: Reader, refusal: Refusal) -> bytes:
        """Why something was not done."""
        title = reader.language.text(refusal.title)
        return self._page("admin_refusal.html", reader, title=title, text=_told(refusal, reader.language))

    def _page(self, name: str, reader: Reader, **values: object) -> bytes:
        return self._render(name, reader, **values).encode()

    def _shown(self, event: Event, item: Item) -> Markup:
        return Markup(self._fragments(event).render(item))  # noqa: S704 - from item.html


def _told(refusal: Refusal, language: Language) -> str:
    values = {name: language.text(str(value)) for name, value in refusal.values.items()}
    return language.text(refusal.text, **values)
