"""What organisers see of what is held back, and of why; and what they may do about it.

::

    GET  /admin/events/<slug>/held     what waits; ?after=<id> pages on; ?stopped=1: what was stopped
    GET  /admin/events/<slug>/filters  what is kept back, to be changed
    POST /admin/events/<slug>/<act>    show, refuse (one, or all that was chosen), block-held, filters, unfilter

"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
from markupsafe import Markup

from afeed.core.change import seconds
from afeed.core.errors import BadInput, LogUnavailable
from afeed.core.filters import MODES, WAITING_FOR_SOMEBODY, understood
from afeed.core.moderation import author_key
from afeed.interfaces import HeldItem
from afeed.organisers.desk import Guest
from afeed.organisers.filtering import Filtering
from afeed.organisers.moderation import Actor, Moderation
from afeed.settings import Event
from afeed.web.filter_form import FilterForm
from afeed.web.fragments import Fragments
from afeed.web.languages import Language

#: So many are on one page, and so many are counted for the overview.
HELD_ITEMS = 50
MOST_COUNTED = 99


def _(text: str) -> str:
    """Mark ``text`` for the catalogues."""
    return text


#: What is said of each reason, by its code.
_REASONS = {
    "muted": _("It has a muted word in it: “%(detail)s”."),
    "sensitive": _("It is marked as sensitive."),
    "reply": _("It is a reply."),
    "repost": _("It is a repost."),
    "hold": _("Every post waits for a while."),
    "approve": _("Every post waits for an organiser."),
    "untrusted": _("Its author is not one of those who are trusted."),
    "defect": _("It could not be judged; that is a defect, and the log says more."),
}
_OTHER = _("It was held back (%(code)s).")
_WAITS = _("It waits for you.")
_SOON = _("It is shown %(soon)s, at %(at)s, unless you say no.")
_NOW = _("It is about to be shown.")

#: The modes as the form has them.
_MODES = {
    "everything": _("Show posts at once"),
    "hold": _("Hold every post for a while, then show it unless somebody says no"),
    "approve": _("Show nothing that no organiser has approved"),
    "trusted": _("Show trusted authors at once; approve all others"),
}


class Mistaken(Exception):
    """A form that cannot be taken as it is."""

    def __init__(self, form: FilterForm) -> None:
        super().__init__("the form has mistakes")
        self.form = form


@attrs.frozen(kw_only=True)
class HeldPage:
    """One page of what is held, the oldest first, or of what was ``stopped``; ``after`` is where it begins and
    ``later`` where the next does."""

    found: Sequence[HeldItem]
    stopped: bool
    after: str | None
    later: str | None


def reason(one: HeldItem, language: Language) -> str:
    """Why it is held, in words."""
    code, detail = understood(one.reason)
    if code not in _REASONS:
        return language.text(_OTHER, code=code)
    return language.text(_REASONS[code], detail=detail)


class HeldPages:
    """``now`` gives seconds since 1970; ``fragments`` each event's renderer of items."""

    def __init__(
        self,
        filtering: Filtering,
        moderation: Moderation,
        now: Callable[[], float],
        fragments: Callable[[Event], Fragments],
    ) -> None:
        self._filtering = filtering
        self._moderation = moderation
        self._now = now
        self._fragments = fragments
        #: What buttons do; each returns what it was done to.
        self.acts = {
            "show": self._show,
            "refuse": self._refuse,
            "block-held": self._block,
            "filters": self._change,
            "unfilter": self._reset,
        }

    async def page(self, event: Event, query: Mapping[str, str]) -> HeldPage:
        """The page that ``query`` asks for."""
        after, stopped = query.get("after"), query.get("stopped") == "1"
        found = await self._filtering.held(event.slug, HELD_ITEMS + 1, after, stopped=stopped)
        return HeldPage(
            found=found[:HELD_ITEMS],
            stopped=stopped,
            after=after,
            later=found[HELD_ITEMS - 1].item.id if len(found) > HELD_ITEMS else None,
        )

    async def waiting(self, slugs: Sequence[str]) -> dict[str, str]:
        """How many posts wait at each event; nothing of an event whose log does not answer."""
        found: dict[str, str] = {}
        for slug in slugs:
            try:
                count = len(await self._filtering.held(slug, MOST_COUNTED + 1))
            except LogUnavailable:
                continue
            if count:
                found[slug] = f"{MOST_COUNTED}+" if count > MOST_COUNTED else str(count)
        return found

    def held_values(self, event: Event, page: HeldPage, guest: Guest, language: Language) -> dict[str, object]:
        """What the template of a page needs."""
        mode = self._filtering.rules.at(event.slug).mode
        render = self._fragments(event).render
        entries = []
        for one in page.found:
            entries.append(
                {
                    "id": one.item.id,
                    "version": one.version,
                    "html": Markup(render(one.item)),  # noqa: S704 - from item.html
                    "author": one.item.author.name,
                    "blockable": author_key(one.item.source, one.item.author) is not None,
                    "reason": reason(one, language),
                    "outlook": "" if page.stopped else self._outlook(one, mode, event, language),
                    "at": one.at,
                    "ago": language.ago(self._now() - seconds(one.at)),
                }
            )
        return {
            "guest": guest,
            "event": event,
            "entries": entries,
            "page": page,
            "mode": language.text(_MODES[mode]),
        }

    def _outlook(self, one: HeldItem, mode: str, event: Event, language: Language) -> str:
        if one.until is None or mode in WAITING_FOR_SOMEBODY:
            return language.text(_WAITS)
        left = seconds(one.until) - self._now()
        if left <= 0:
            return language.text(_NOW)
        return language.text(_SOON, soon=language.ahead(left), at=language.clock(one.until, event.timezone))

    def filter_values(
        self, event: Event, form: FilterForm | None, guest: Guest, language: Language
    ) -> dict[str, object]:
        """What the template of the form needs; ``form`` is one that was sent with mistakes."""
        rules = self._filtering.rules
        filled = FilterForm.of(rules.at(event.slug)) if form is None else form
        changed = rules.change_of(event.slug)
        return {
            "guest": guest,
            "event": event,
            "form": filled,
            "mistakes": {
                mistake.field: language.text(mistake.text, **mistake.values) for mistake in filled.mistakes
            },
            "modes": [(mode, language.text(_MODES[mode])) for mode in MODES],
            "changed": changed,
            "in_file": language.text(_MODES[rules.in_file(event.slug).mode]),
        }

    # What the buttons do.

    async def _show(self, slug: str, form: dict[str, str], actor: Actor) -> str:
        ids = _chosen(form)
        await self._filtering.show(slug, ids, actor)
        return ids[0]

    async def _refuse(self, slug: str, form: dict[str, str], actor: Actor) -> str:
        ids = _chosen(form)
        await self._filtering.refuse(slug, ids, actor)
        return ids[0]

    async def _block(self, slug: str, form: dict[str, str], actor: Actor) -> str:
        item = await self._filtering.find(slug, form.get("subject", ""))
        blocked = await self._moderation.block_author(slug, item, actor)
        # What else they have waiting, now and not within two seconds.
        await self._filtering.stop_blocked(slug)
        return blocked.key

    async def _change(self, slug: str, form: dict[str, str], actor: Actor) -> str:
        filters = FilterForm.sent(form).read()
        if isinstance(filters, FilterForm):
            raise Mistaken(filters)
        await self._filtering.change(slug, filters, actor)
        return filters.mode

    async def _reset(self, slug: str, form: dict[str, str], actor: Actor) -> str:
        await self._filtering.reset(slug, actor)
        return self._filtering.rules.at(slug).mode


def _chosen(form: Mapping[str, str]) -> list[str]:
    """The ids of what was pressed or chosen, in the order of the page."""
    if "subject" in form:
        return [form["subject"]]
    ids = [value for name, value in form.items() if name.startswith("pick")]
    if not ids:
        raise BadInput("nothing was chosen")
    return ids
