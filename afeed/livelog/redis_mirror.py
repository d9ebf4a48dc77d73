"""What one node has seen of the events in Redis: the newest changes, kept up to date by hints."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from afeed.core.change import Change
from afeed.core.cursor import Ancestor
from afeed.core.errors import LogUnavailable
from afeed.interfaces import IWitness, Testimony
from afeed.livelog.redis_commands import Commands
from afeed.window import Window

#: How many changes per event are read into memory at first.
PRELOAD = 500

#: How many are asked for at a time when others have appended.
PAGE = 500


@implementer(IWitness)
class Mirror:
    """The windows of all events, as far as this node has seen them.

    It is a witness, too: a Redis that comes back with less than this node has seen is filled from here.
    """

    _log = Logger()

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._looking: set[str] = set()
        #: Who waits for the next look, with the commands of each.
        self._turns: dict[str, list[tuple[Commands, Deferred[None]]]] = {}
        self.windows: dict[str, Window] = {}
        self.ancestors: dict[str, tuple[Ancestor, ...]] = {}
        #: How large the events are; how many items each holds back, and what of the bytes is theirs.
        self.bytes: dict[str, int] = {}
        self.held: dict[str, int] = {}
        self.held_bytes: dict[str, int] = {}
        #: How far sources have read upstream, event by event, at a moment not long ago.
        self.positions: dict[str, dict[str, str]] = {}
        #: Events of which Redis was found to have less than was seen.
        self.suspect: set[str] = set()
        self.watchers: list[Callable[[str], None]] = []

    def window(self, event: str) -> Window:
        """Raises :class:`~afeed.core.errors.LogUnavailable` while nothing has been seen of ``event``."""
        try:
            return self.windows[event]
        except KeyError:
            raise LogUnavailable(f"nothing is known yet of the live log of {event}") from None

    def note(self, event: str, size: int, held: int, held_bytes: int) -> None:
        """Redis tells how much there is of ``event``."""
        self.bytes[event], self.held[event], self.held_bytes[event] = size, held, held_bytes

    def add(self, event: str, epoch: str, first: int, changes: Sequence[Change]) -> bool:
        """Add changes ``first + 1`` on; False when some before them have not been seen yet."""
        window = self.windows.get(event)
        if window is None or window.epoch != epoch or window.head < first:
            return False
        fresh = [change for change in changes if change.seq > window.head]
        if fresh:
            window.extend(fresh)
            self._tell(event)
        return True

    def follow(self, commands: Commands, event: str) -> Deferred[None]:
        """See everything that Redis has of ``event`` at the time of the call; fires when that is done.

        There is one look at a time, which belongs to nobody: all that come meanwhile share the next, by the
        commands of the last of them.  Fails with :class:`~afeed.core.errors.LogUnavailable` when the look does.
        Cancelling ends the wait and nothing else.
        """
        turn: Deferred[None] = Deferred()
        self._turns.setdefault(event, []).append((commands, turn))
        if event not in self._looking:
            self._looking.add(event)
            Deferred.fromCoroutine(self._look(event))
        return turn

    async def _look(self, event: str) -> None:
        while turns := self._turns.pop(event, None):
            trouble: LogUnavailable | None = None
            try:
                await self._catch_up(turns[-1][0], event)
            except LogUnavailable as error:
                trouble = error
            except Exception:
                self._log.failure("Reading the live log of {event} failed in an unexpected way", event=event)
                trouble = LogUnavailable(f"the live log of {event} could not be read")
            for _, turn in turns:
                if not turn.called:
                    turn.callback(None if trouble is None else Failure(trouble))
        self._looking.discard(event)

    async def _catch_up(self, commands: Commands, event: str) -> None:
        while True:
            window = self.windows.get(event)
            if window is None:
                await self._load(commands, event)
                continue
            before = window.head
            page = await commands.page(event, before, PAGE)
            if page.epoch != window.epoch or page.head < before:
                await self._load(commands, event)
            elif page.head > before + self._limit or (page.changes and page.first > before + 1):
                # So far behind that most of it would be dropped again.
                await self._load(commands, event)
            else:
                self.add(event, page.epoch, page.first - 1, page.changes)
                if self.windows[event] is window and window.head >= page.head:
                    return

    async def _load(self, commands: Commands, event: str) -> None:
        """Read the newest changes anew."""
        newest = min(PRELOAD, self._limit)
        (state,) = await commands.states([event])
        if state is None:
            raise LogUnavailable(f"Redis does not hold the live log of {event}")
        page = await commands.read(event, max(state.base, state.head - newest), newest)
        if page.epoch != state.epoch or (page.changes and page.first <= state.base):
            raise LogUnavailable(f"the live log of {event} changed while it was read")
        window = Window(state.epoch, page.first - 1, self._limit)
        window.extend(page.changes)
        self.windows[event] = window
        self.ancestors[event] = state.ancestors
        self.note(event, state.bytes, state.held, state.held_bytes)
        self._tell(event)

    def _tell(self, event: str) -> None:
        for watcher in self.watchers:
            try:
                watcher(event)
            except Exception:
                self._log.failure("A listener failed on a change of {event}; the others are told", event=event)

    def testimony(self, event: str) -> Deferred[Testimony | None]:
        window = self.windows.get(event)
        if window is None or window.base == window.head:
            return succeed(None)

        def read(after: int, limit: int) -> Deferred[list[Change]]:
            found = window.slice(max(after, window.base), limit)
            return succeed([] if found is None else found.changes)

        return succeed(Testimony(window.epoch, self.ancestors[event], window.base + 1, window.head, read))
