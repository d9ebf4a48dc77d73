"""Appends on their way to Redis, joined: everything that arrived while the last script ran goes into the next
one, yet each caller's append stays whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from afeed.core.change import EDITED, FILED, GAP, POSTED, REMOVED, RESCHEDULED, Change, compose
from afeed.core.errors import EpochChanged, LeaseLost, LogDefect, LogFull, LogUnavailable
from afeed.interfaces import Recorded
from afeed.livelog.redis_commands import Appended, Batch, Commands, ServerError
from afeed.livelog.redis_mirror import Mirror
from afeed.livelog.room import Room, full

#: How long an append waits for a Redis that is away or being restored, in seconds.
PATIENCE_SECONDS = 3.0

#: How much goes into one script: it keeps Redis busy for some milliseconds.
GROUP_RECORDS = 500
GROUP_BYTES = 2 * 1024 * 1024

_TYPES = {"p": POSTED, "e": EDITED, "r": REMOVED, "g": GAP, "f": FILED, "s": RESCHEDULED}


@attrs.define(eq=False)
class _Job:
    batch: Batch
    deadline: float
    done: Deferred[list[Recorded]]

    def fail(self, error: Exception) -> None:
        if not self.done.called:
            self.done.errback(error)


class Appends:
    """The queue of one event.

    ``usable`` fires with the connection's commands as soon as appends may be sent, ``untrusted`` is called with
    the reason when the connection broke or the log has to be looked at again, ``noted`` with what went wrong
    with a write, or None after one that succeeded.
    """

    _log = Logger()

    def __init__(
        self,
        event: str,
        mirror: Mirror,
        room: Room,
        reactor: IReactorTime,
        max_bytes: int,
        *,
        usable: Callable[[float], Deferred[Commands]],
        untrusted: Callable[[str], None],
        noted: Callable[[str | None], None],
    ) -> None:
        self._event = event
        self._mirror = mirror
        self._room = room
        self._reactor = reactor
        self._max_bytes = max_bytes
        self._usable = usable
        self._untrusted = untrusted
        self._noted = noted
        self._queue: deque[_Job] = deque()
        self._sending: Deferred[None] | None = None
        self._connecting: Deferred[Commands] | None = None
        self._closing = False
        #: How many of those at the head of the queue are not to be joined with others.
        self._singly = 0

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, batch: Batch) -> Deferred[list[Recorded]]:
        """Fires when ``batch`` is in Redis; fails after ``PATIENCE_SECONDS`` when it cannot be brought there.
        Whether it got there after all is then unknown, and finding out is what repetition is for."""
        job = _Job(batch, self._reactor.seconds() + PATIENCE_SECONDS, Deferred())
        self._queue.append(job)
        if self._sending is None:
            sending = Deferred.fromCoroutine(self._send_all())
            if not sending.called:
                self._sending = sending
            sending.addErrback(self._broken)
        return job.done

    def close(self) -> Deferred[None]:
        """Fires when nothing is on its way any more; what cannot be sent at once is refused."""
        self._closing = True
        if self._connecting is not None:
            self._connecting.cancel()
        waiter: Deferred[None] = Deferred()
        if self._sending is None:
            waiter.callback(None)
        else:
            self._sending.addBoth(lambda _: waiter.callback(None))
        return waiter

    def _broken(self, failure: Failure) -> None:
        self._log.failure("Appending to {event} failed in an unexpected way", failure, event=self._event)
        self._sending = None
        while self._queue:
            self._queue.popleft().fail(LogUnavailable("the live log failed in an unexpected way"))

    async def _send_all(self) -> None:
        while self._queue:
            patience = 0 if self._closing else self._queue[0].deadline - self._reactor.seconds()
            try:
                self._connecting = self._usable(patience)
                commands = await self._connecting
            except CancelledError:
                self._give_up(LogUnavailable("the live log is closed"))
                continue
            except LogUnavailable as error:
                self._give_up(error)
                continue
            finally:
                self._connecting = None
            group = self._take()
            try:
                appended = await commands.append(self._event, [job.batch for job in group], self._max_bytes)
            except ServerError as error:
                self._refused(group, error)
            except LogUnavailable as error:
                # The connection broke or the log has to be looked at: once more, for repeating is safe.
                self._queue.extendleft(reversed(group))
                self._give_up(error)
                self._untrusted(str(error))
                # Ending the connection may take a turn, and until then it would look usable.
                await deferLater(self._reactor, 0)
            except Exception as error:
                self._defect(group, error)
            else:
                self._noted(None)
                await self._recorded(commands, group, appended)
        self._sending = None

    def _give_up(self, error: Exception) -> None:
        """Refuse those that have waited long enough; all of them at the end."""
        # A moment before the deadline counts as the deadline: sums of floats differ a little.
        late = self._reactor.seconds() + 0.01
        while self._queue and (self._closing or self._queue[0].deadline <= late):
            self._queue.popleft().fail(error)

    def _defect(self, group: Sequence[_Job], error: Exception) -> None:
        """Find out who is to blame: those that came together go once more, one at a time."""
        if len(group) > 1:
            self._queue.extendleft(reversed(group))
            self._singly = len(group)
            return
        self._log.failure("An append to {event} failed; others are not affected", event=self._event)
        group[0].fail(LogDefect(f"recording failed because of a defect: {type(error).__name__}"))

    def _take(self) -> list[_Job]:
        group = [self._queue.popleft()]
        if self._singly:
            self._singly -= 1
            return group
        records = len(group[0].batch.records)
        size = _size(group[0].batch)
        while self._queue:
            batch = self._queue[0].batch
            records, size = records + len(batch.records), size + _size(batch)
            if records > GROUP_RECORDS or size > GROUP_BYTES:
                break
            group.append(self._queue.popleft())
        return group

    def _refused(self, group: Sequence[_Job], error: ServerError) -> None:
        self._noted(str(error))
        for job in group:
            job.fail(error)

    async def _recorded(self, commands: Commands, group: Sequence[_Job], appended: Appended) -> None:
        changes = [
            Change.decode(seq, compose(record, _TYPES[kind], job.batch.at))
            for job, (_, results) in zip(group, appended.outcomes, strict=True)
            for record, (seq, kind) in zip(job.batch.records, results, strict=False)
            if kind != "-"
        ]
        self._mirror.bytes[self._event] = appended.bytes
        if _ends_full(appended):
            self._room.refused(self._event, appended.bytes)
        if not self._mirror.add(self._event, appended.epoch, appended.first, changes):
            try:
                # Another node was in between: see its changes first.
                await self._mirror.follow(commands, self._event)
            except LogUnavailable:
                pass  # What was appended is durable all the same; the next connection catches up.
        for job, (word, results) in zip(group, appended.outcomes, strict=True):
            if job.done.called:
                continue
            if word == "ok":
                if job.batch.position is not None:
                    source, value = job.batch.position
                    self._mirror.positions.setdefault(self._event, {})[source] = value
                job.done.callback([Recorded(seq, kind != "-") for seq, kind in results])
            else:
                job.done.errback(self._error(word, appended.epoch))

    def _error(self, word: str, epoch: str) -> Exception:
        if word == "epoch":
            return EpochChanged(f"the live log of {self._event} is in epoch {epoch}")
        return refusal(word, self._event, self._mirror, self._max_bytes)


def refusal(word: str, event: str, mirror: Mirror, max_bytes: int) -> Exception:
    """What is raised when a script refuses to record anything, because of ``lease`` or ``full``."""
    if word == "lease":
        return LeaseLost("another node runs the sources now")
    return LogFull(full([event], max_bytes, mirror.held_bytes.get(event, 0)))


def _ends_full(appended: Appended) -> bool:
    """Whether an append was refused for want of room and none after it in the group found some."""
    for word, results in reversed(appended.outcomes):
        if word == "full":
            return True
        if any(kind != "-" for _, kind in results):
            return False
    return False


def _size(batch: Batch) -> int:
    return sum(len(record.tail) for record in batch.records)
