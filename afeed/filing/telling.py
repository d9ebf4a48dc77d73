"""Tells everybody of a new schedule: what moved, was renamed, was cancelled or is new becomes part of the log.

Every node has the schedule; the one that runs the sources tells of it.  What was told last is stored with the
log, in the same step, so that no node tells it twice, whoever is killed when.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from afeed.core.draft import MOST_TALKS, Rescheduled
from afeed.core.errors import LogUnavailable
from afeed.core.health import Check
from afeed.core.schedule.announcing import Announced, edition, parse_announced, told
from afeed.core.schedule.model import Schedule
from afeed.interfaces import ILead, ILiveLog, Position
from afeed.schedules.kept import write_whole
from afeed.schedules.programme import InThread, Programme

#: The name under which the log keeps what was told last.
POSITION = "schedule"
#: How often it is looked whether there is something to tell, in seconds.
LOOK_S = 1.0

_decoder = msgspec.json.Decoder(Schedule)
_log = Logger()


class Telling:
    """``folder`` keeps the schedules that were told of last, as this node had them; ``in_thread(function,
    *arguments)`` runs disk I/O off the reactor."""

    name = "programmes"

    def __init__(
        self,
        programmes: Mapping[str, Programme],
        live_log: ILiveLog,
        lead: ILead,
        folder: Path,
        in_thread: InThread,
        clock: IReactorTime,
    ) -> None:
        self._programmes = programmes
        self._live_log = live_log
        self._lead = lead
        self._folder = folder
        self._in_thread = in_thread
        self._clock = clock
        #: The edition of each event that is known to have been told, and in which term.
        self._settled: dict[str, tuple[str, str]] = {}
        self._fault: str | None = None

    def settled(self, event: str) -> bool:
        """Whether the schedule in use here was told of, by this node in its present term or before."""
        programme = self._programmes[event]
        return programme.schedule is not None and self._settled.get(event) == (
            programme.edition,
            self._lead.token,
        )

    def check(self) -> Check:
        """Whether everybody knows the schedules in use here."""
        waiting = [
            event for event, programme in self._programmes.items() if programme.sure and not self.settled(event)
        ]
        if self._fault is not None and waiting:
            detail = f"A new schedule of {', '.join(waiting)} has not been told of yet: {self._fault}."
            return Check(name=self.name, state="degraded", detail=detail)
        return Check(name=self.name, state="ok", detail="Everybody is told of new schedules.")

    async def run(self) -> None:
        """Tell what there is to tell, until cancelled.  Only for the node that runs the sources."""
        while True:
            try:
                for event, programme in self._programmes.items():
                    if programme.sure and not self.settled(event):
                        await self._tell(event, programme)
                self._fault = None
            except (LogUnavailable, OSError) as error:
                if self._fault is None:
                    _log.warn("Telling of a new schedule has to wait: {why}", why=str(error))
                self._fault = str(error).rstrip(".")
            await deferLater(self._clock, LOOK_S)

    async def _tell(self, event: str, programme: Programme) -> None:
        token, present, schedule = self._lead.token, programme.edition, programme.schedule
        assert schedule is not None
        if token is None:
            return
        last = parse_announced(await self._live_log.position(event, POSITION))
        if last is None or last.edition != present:
            old = await self._in_thread(self._load, event)
            number = 1 if last is None else last.number + 1
            # What others told and this node never had cannot be compared; the pages show it all the same.
            known = old is not None and last is not None and await self._in_thread(edition, old) == last.edition
            drafts = (
                await self._in_thread(_drafts, old, schedule, f"{number}:{present}", present) if known else []
            )
            position = Position(POSITION, str(Announced(number, present)))
            await self._live_log.append(event, None, drafts, lease=token, position=position)
            if drafts:
                changed = sum(len(draft.talks) for draft in drafts)
                _log.info("{name}: everybody is told of {count} talks", name=programme.name, count=changed)
        await self._in_thread(self._store, event, schedule)
        self._settled[event] = (present, token)

    # -- in a thread

    def _load(self, event: str) -> Schedule | None:
        try:
            return _decoder.decode(self._path(event).read_bytes())
        except (OSError, msgspec.DecodeError):
            return None

    def _store(self, event: str, schedule: Schedule) -> None:
        write_whole(self._path(event), msgspec.json.encode(schedule))

    def _path(self, event: str) -> Path:
        return self._folder / f"{event}.json"


def _drafts(old: Schedule, new: Schedule, mark: str, version: str) -> list[Rescheduled]:
    changes = told(old, new)
    return [
        Rescheduled(f"{mark}:{start // MOST_TALKS}", version, changes[start : start + MOST_TALKS])
        for start in range(0, len(changes), MOST_TALKS)
    ]
