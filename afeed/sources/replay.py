"""A recorded feed, played again: for rehearsals and for the demo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from zope.interface import implementer

from afeed.core.change import timestamp
from afeed.core.errors import LogUnavailable
from afeed.core.health import Check, State
from afeed.core.normalise.replay import Recording, read_recording
from afeed.core.playing import Place, Player, parse_place
from afeed.interfaces import ISink, ISource, Position
from afeed.settings import ReplaySource

#: The largest file that is played (bytes): it is kept in memory as a whole.
MAX_FILE_BYTES = 64 * 1024 * 1024
#: How long until a file that could not be used is looked at again (seconds).
RETRY_S = 30.0
#: Dropped lines that are logged one by one.
_SHOWN_DROPS = 10

_log = Logger()


class Unusable(Exception):
    """The file cannot be played; the message says why."""


@implementer(ISource)
class Replay:
    """Plays the file of ``settings`` into the event ``slug``.

    Its position is how many entries of which round were recorded (``<round>:<entries>``), stored with them:
    after a restart it goes on where it stopped. ``position()`` fires with the stored one or None.  ``clock``
    paces it; ``now()`` (Unix seconds) dates the posts.

    The file is read once, at the start of :meth:`run`, by ``read``: :func:`read_file` in another thread
    (:func:`read_in_thread`), because a long recording takes seconds.
    """

    def __init__(
        self,
        slug: str,
        settings: ReplaySource,
        clock: IReactorTime,
        now: Callable[[], float],
        *,
        position: Callable[[], Deferred[str | None]],
        read: Callable[[Path], Deferred[Recording]],
        name: str | None = None,
    ) -> None:
        self.name = name if name is not None else f"replay:{slug}"
        self._slug = slug
        self._settings = settings
        self._clock = clock
        self._now = now
        self._position = position
        self._read = read

        self._state: State = "ok"
        self._detail = "The recording is being read."
        self._place: Place | None = None
        self._entries = 0
        self._dropped = 0
        self._last_item: float | None = None
        self._next: float | None = None

    async def run(self, sink: ISink) -> None:
        """Play until cancelled; at the end of a recording that does not loop there is silence."""
        recording = await self._loaded(sink)
        place = parse_place(await self._stored())
        if self._settings.rewind and place.played:
            place = Place(place.lap + 1, 0)
        player = Player(recording, self._settings.speed, self._settings.loop, place)
        while not player.done:
            wait = player.wait(self._clock.seconds())
            self._say(player, wait)
            if wait > 0:
                await deferLater(self._clock, wait)
                continue
            drafts = player.due(self._clock.seconds(), self._now())
            stored = player.advance(len(drafts))
            await sink.offer(self._slug, drafts, Position(self.name, str(stored)))
            self._last_item = self._now()
        self._place, self._next = player.place, None
        self._detail = (
            f"{self._settings.file.name} was played to its end. To play it again, set loop = true or start "
            "with an empty data_dir."
        )
        _log.info("{source}: {detail}", source=self.name, detail=self._detail)
        await Deferred()  # never fires: the source is not over, it has nothing more to say

    def check(self) -> Check:
        """``failed`` when the file cannot be played."""
        data: dict[str, Any] = {
            "file": self._settings.file.name,
            "lap": self._place.lap if self._place is not None else None,
            "played": self._place.played if self._place is not None else None,
            "entries": self._entries,
            "dropped": self._dropped,
            "last_item_at": _time(self._last_item),
            "next_item_at": _time(self._next),
        }
        return Check(name=self.name, state=self._state, detail=self._detail, data=data)

    def _say(self, player: Player, wait: float) -> None:
        self._place = player.place
        self._next = self._now() + wait
        self._state = "ok"
        self._detail = (
            f"Playing {self._settings.file.name}, {self._settings.speed:g} times as fast as it happened."
        )

    # -- the beginning --------------------------------------------------------------------------------------

    async def _loaded(self, sink: ISink) -> Recording:
        """The recording, once the file can be used."""
        while True:
            try:
                recording = await self._read(self._settings.file)
            except Unusable as error:
                self._state = "failed"
                self._detail = f"{self._settings.file} cannot be played: {error}."
                _log.error(
                    "{source}: {detail} Looking again every {wait:.0f} s",
                    source=self.name,
                    detail=self._detail,
                    wait=RETRY_S,
                )
                await deferLater(self._clock, RETRY_S)
            else:
                self._entries = len(recording.entries)
                self._report(recording, sink)
                return recording

    def _report(self, recording: Recording, sink: ISink) -> None:
        """Say which lines are of no use."""
        self._dropped = len(recording.dropped)
        for number, reason in recording.dropped[:_SHOWN_DROPS]:
            _log.warn(
                "{source}: line {line} of {file} is left out: {reason}",
                source=self.name,
                line=number,
                file=self._settings.file.name,
                reason=reason,
            )
        if self._dropped > _SHOWN_DROPS:
            _log.warn(
                "{source}: {count} lines of {file} are left out in all",
                source=self.name,
                count=self._dropped,
                file=self._settings.file.name,
            )
        for reason, count in Counter(reason for _, reason in recording.dropped).items():
            sink.dropped(self._slug, self.name, reason, count)

    async def _stored(self) -> str | None:
        """The stored position; the log may have to come back first."""
        while True:
            try:
                return await self._position()
            except LogUnavailable as error:
                self._state = "degraded"
                self._detail = f"The stored position cannot be read: {error}."
                await deferLater(self._clock, 5.0)


def read_file(path: Path) -> Recording:
    """The recording in ``path``; raises :class:`Unusable`."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise Unusable(error.strerror or type(error).__name__) from None
    if len(content) > MAX_FILE_BYTES:
        raise Unusable(f"it is larger than {MAX_FILE_BYTES // 2**20} MB")
    recording = read_recording(content.splitlines())
    if not recording.entries:
        raise Unusable("it has no usable line")
    return recording


def read_in_thread(reactor: Any, path: Path) -> Deferred[Recording]:
    """The same in a thread of ``reactor``'s pool."""
    return deferToThreadPool(reactor, reactor.getThreadPool(), read_file, path)


def _time(seconds: float | None) -> str | None:
    return timestamp(seconds) if seconds is not None else None
