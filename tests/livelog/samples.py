"""Drafts and witnesses for the tests of the live logs."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from afeed.core.change import POSTED, Change, compose
from afeed.core.cursor import Ancestor
from afeed.core.draft import Posted, SourceGap, prepare
from afeed.core.errors import ArchiveUnavailable
from afeed.core.item import Author, Item
from afeed.interfaces import IWitness, Testimony

AT = "2026-11-21T17:00:06.120Z"


def post(number: int | str, version: str = "1", text: str = "hello") -> Posted:
    """The item ``push:<number>`` in ``version``."""
    return Posted(
        Item(
            id=f"push:{number}",
            source="push",
            author=Author(name="Ann"),
            text=text,
            html=f"<p>{text}</p>",
            created_at="2026-11-21T17:00:05Z",
        ),
        version,
    )


def gap(state: str = "open", fetched: int = 0) -> SourceGap:
    return SourceGap(
        source="x",
        from_="2026-11-21T17:00:00Z",
        to=None if state == "open" else "2026-11-21T17:05:00Z",
        state="open" if state == "open" else "closed",
        fetched=fetched,
        reason="the connection was lost",
    )


def posted(seq: int, number: int | str | None = None, version: str = "1", text: str = "hello") -> Change:
    """Change ``seq``, which posts item ``number`` (``seq`` when not given)."""
    draft = post(seq if number is None else number, version, text)
    return Change.decode(seq, compose(prepare(draft), POSTED, AT))


@implementer(IWitness)
class MemoryWitness:
    """Remembers ``changes`` of ``epoch`` for every event; ``away`` makes it fail, ``asked`` counts."""

    def __init__(
        self, epoch: str, changes: Sequence[Change], ancestors: tuple[Ancestor, ...] = (), *, away: bool = False
    ) -> None:
        self.epoch = epoch
        self.changes = list(changes)
        self.ancestors = ancestors
        self.away = away
        self.asked = 0

    def testimony(self, event: str) -> Deferred[Testimony | None]:
        self.asked += 1
        if self.away:
            return fail(ArchiveUnavailable("the archive is away"))
        if not self.changes:
            return succeed(None)
        return succeed(
            Testimony(self.epoch, self.ancestors, self.changes[0].seq, self.changes[-1].seq, self.read)
        )

    def read(self, after: int, limit: int) -> Deferred[list[Change]]:
        return succeed([change for change in self.changes if change.seq > after][:limit])


@implementer(IWitness)
class HesitantWitness:
    """Remembers two changes of ``e`` and nothing else; ``away`` makes it fail, and nothing is handed over
    before :meth:`give`."""

    def __init__(self, *, away: bool = False) -> None:
        self.away = away
        self.asked: list[Deferred[list[Change]]] = []

    def testimony(self, event: str) -> Deferred[Testimony | None]:
        if self.away:
            return fail(ArchiveUnavailable("the archive is away"))
        return succeed(Testimony("old", (), 1, 2, self.read) if event == "e" else None)

    def read(self, after: int, limit: int) -> Deferred[list[Change]]:
        self.asked.append(Deferred())
        return self.asked[-1]

    def give(self) -> None:
        self.asked.pop().callback([posted(1), posted(2)])
