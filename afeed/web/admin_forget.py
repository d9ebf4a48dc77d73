"""What organisers see of authors who are forgotten, and how they have one forgotten.

::

    GET  /admin/events/<slug>/forget  a form, and how far earlier requests are
    POST /admin/events/<slug>/forget  the author of an item, or one who is named

"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from afeed.archive.forgetting import DONE, WAITING, Request
from afeed.core.cursor import MAX_SEQ
from afeed.core.errors import BadInput
from afeed.core.forgetting import EVERYWHERE, label, read_author
from afeed.core.http import bounded_number
from afeed.core.moderation import author_key
from afeed.forgetting import Forgetting
from afeed.organisers.moderation import Actor, Moderation
from afeed.web.languages import Language

#: So many requests are shown.
SHOWN = 10


def _(text: str) -> str:
    """Mark ``text`` for the catalogues."""
    return text


@attrs.frozen(kw_only=True)
class Entry:
    """One request, in words; ``ended`` is when it was done, an RFC 3339 time."""

    name: str
    asked_at: str
    sentence: str
    done: bool


class ForgetPages:
    """``moderation`` finds the item whose author is meant."""

    def __init__(self, forgetting: Forgetting, moderation: Moderation) -> None:
        self._forgetting = forgetting
        self._moderation = moderation
        #: What the buttons do; each returns what it was done to.
        self.acts = {"forget": self._forget}

    async def requests(self, event: str, language: Language) -> Sequence[Entry]:
        """The last requests of an event, the latest first."""
        return [_entry(one, language) for one in await self._forgetting.store.last(event, SHOWN)]

    async def _forget(self, event: str, form: Mapping[str, str], actor: Actor) -> str:
        if form.get("sure") != "yes":
            raise BadInput("this cannot be undone, so it has to be confirmed")
        if "author" in form:
            key = read_author(form["author"])
        else:
            seq = bounded_number(dict(form), "seq", 0, 1, MAX_SEQ)
            item = await self._moderation.find(event, seq, form.get("subject", ""))
            found = author_key(item.source, item.author)
            if found is None:
                raise BadInput("nothing is known of its author")
            key = found
        scope = EVERYWHERE if form.get("everywhere") == "yes" else event
        requests = await self._forgetting.ask(scope, key, actor.account, actor.address)
        return label(requests[0].author_hash) if requests else ""


def _entry(one: Request, language: Language) -> Entry:
    counts = {"removed": str(one.removed), "cleaned": str(one.cleaned), "looked": str(one.looked_at)}
    if one.state == DONE:
        text = _("Done. Posts removed: %(removed)s; posts of others changed: %(cleaned)s.")
    elif one.state == WAITING:
        text = _("Begins in a few seconds.")
    else:
        text = _("Under way: %(looked)s changes looked at, %(removed)s posts removed so far.")
    return Entry(
        name=label(one.author_hash),
        asked_at=one.asked_at,
        sentence=language.text(text, **counts),
        done=one.state == DONE,
    )
