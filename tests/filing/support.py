"""A node's filing in memory: a log, a hub, programmes that are told what they are, and decisions in a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from afeed.archive.filings import Correction
from afeed.core.attribution.index import Index, prepare
from afeed.core.attribution.weights import Weights
from afeed.core.change import FILED, RESCHEDULED
from afeed.core.item import Author, Item
from afeed.core.schedule.announcing import edition
from afeed.core.schedule.difference import succeed as succession
from afeed.core.schedule.model import Room, Schedule, Speaker, Talk
from afeed.filing.clerk import Clerk
from afeed.filing.register import Register
from afeed.hub import Hub
from tests.fakes import FakeLead, MemoryArchive, MemoryLog

EVENT = "e"
ADA = Speaker(name="Ada Quill", handles=("ada",))


def talk(id: str, title: str, hour: int, room: str = "main", **more: Any) -> Talk:
    start = datetime(2026, 11, 21, hour, tzinfo=UTC)
    end = datetime(2026, 11, 21, hour, 45, tzinfo=UTC)
    return Talk(guid=id, id=id, title=title, start=start, end=end, room=room, **more)


LAMPS = talk("lamps", "Lighthouses and their keepers", 9, speakers=(ADA,))
BOATS = talk("boats", "Folding paper boats", 9, "side")
GULLS = talk("gulls", "What gulls want", 11)


def programme_of(*talks: Talk) -> Schedule:
    rooms = (Room(id="main", name="Main"), Room(id="side", name="Side"))
    return Schedule(timezone="UTC", rooms=rooms, talks=talks)


#: Two tracks at nine: the time alone tells nothing.
SCHEDULE = programme_of(LAMPS, BOATS, GULLS)
#: Says which talk it is about; says nothing.
CLEAR, VAGUE = "The lighthouses talk by @ada is great, keepers everywhere", "wonderful"


def item(number: int, text: str, minute: int = 10, author: str = "bo", **more: Any) -> Item:
    return Item(
        id=f"x:{number}",
        source="x",
        author=Author(name=author, handle=author),
        text=text,
        html=f"<p>{text}</p>",
        created_at=f"2026-11-21T09:{minute:02}:00Z",
        **more,
    )


class FakeProgramme:
    """A programme that is what :meth:`use` says."""

    def __init__(self, slug: str = EVENT, schedule: Schedule | None = None) -> None:
        self.slug = slug
        self.name = f"schedule:{slug}"
        self.weights = Weights()
        self.schedule: Schedule | None = None
        self.index: Index | None = None
        self.edition = ""
        self.sure = True
        self.hints: list[str] = []
        self._callbacks: list[Callable[[str], object]] = []
        if schedule is not None:
            self.use(schedule)

    def on_change(self, callback: Callable[[str], object]) -> None:
        self._callbacks.append(callback)

    def hint(self, edition: str) -> None:
        self.hints.append(edition)

    def use(self, new: Schedule) -> None:
        """As the keeper does it: with what the version before had."""
        self.schedule = succession(self.schedule, new).schedule
        self.index, self.edition = prepare(self.schedule, self.weights), edition(self.schedule)
        for callback in self._callbacks:
            callback(self.slug)


class FakeStore:
    """Decisions in a list, which fails with ``fault``; ``before`` is called before each look at them."""

    def __init__(self) -> None:
        self.decisions: list[Correction] = []
        self.misplaced: list[Correction] = []
        self.fault: Exception | None = None
        self.before: Callable[[], object] = lambda: None

    def corrections(self, after: int) -> Deferred[list[Correction]]:
        self.before()
        if self.fault is not None:
            return fail(self.fault)
        return succeed([one for one in self.decisions if one.number > after])

    def displaced(self, after: int, limit: int) -> Deferred[list[Correction]]:
        return succeed([one for one in self.misplaced if one.number > after][:limit])


class Office:
    """One node: what it records goes into ``log``, which several may share."""

    def __init__(
        self, log: MemoryLog, schedule: Schedule | None = None, store: FakeStore | None = None
    ) -> None:
        self.clock = Clock()
        self.log = log
        self.lead = FakeLead()
        self.programme = FakeProgramme(schedule=schedule)
        programmes: Any = {EVENT: self.programme}
        self.hub = Hub({EVENT: lambda item: item.id}, log, MemoryArchive(), self.clock, 1000)
        self.clerk = Clerk(
            programmes,
            self.hub.channels,
            self.hub,
            self.clock,
            lambda event, moves: self.register.move(event, moves),
        )
        self.store = store or FakeStore()
        made: Any = self.store
        self.register = Register(log, made, programmes, self.lead, self.clock, Random(1), self.clerk.learn)
        if schedule is not None:
            self.clerk._rescheduled(EVENT)

    def start(self) -> None:
        self.hub.start()
        self.clerk.start()
        self.register.start()
        self.pass_(1.0)

    def stop(self) -> None:
        self.hub.stop()
        self.clerk.stop()
        self.register.stop()

    def pass_(self, seconds: float) -> None:
        self.clock.pump([0.05] * int(seconds / 0.05))


def filings(log: MemoryLog) -> list[tuple[str, str | None]]:
    """What the log says of where items are filed, in order."""
    found = [change.filing() for change in log.events[EVENT].changes if change.type == FILED]
    return [(one.id, one.talk) for one in found if one is not None]


def told(log: MemoryLog) -> list[dict[str, Any]]:
    """What the log says of new schedules, in order."""
    return [
        msgspec.json.decode(change.json) for change in log.events[EVENT].changes if change.type == RESCHEDULED
    ]


def posted(log: MemoryLog, items: Sequence[Item]) -> None:
    """As another node would have recorded them."""
    from afeed.core.draft import Posted

    log.append(EVENT, None, [Posted(one, "1") for one in items])
