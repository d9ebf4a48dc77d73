"""All clients of one event that are to get the same bytes: hello, what they missed, and then every change at
once.

A viewer is either *live* (it has everything up to the head, and a new message is written to it at once) or
*behind* (its own position says what it has, and it reads page after page as fast as it can take them).  It
begins behind, goes live in the very turn in which it has caught up, and falls back when its connection does
not take a message whole.  So no change falls between history and the live stream, none comes twice, and
nothing is queued for it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from afeed.channel import Channel, Encode
from afeed.core import framing
from afeed.core.cursor import Cursor, Resume
from afeed.core.errors import ArchiveUnavailable, LogUnavailable
from afeed.interfaces import ISubscriber
from afeed.transports.outlet import DirectOutlet, Outlet, outlet_for

#: Every viewer hears from us this often, in seconds, even if only a ping.
PING_S = 15
#: A viewer that has not taken one message in this time is cut off; it comes back with its cursor.
STALL_S = 15
#: A viewer of whom nothing was heard at this many pings is asked for an answer, and is cut off when it has sent
#: nothing two pings later: it is not there any more.
PROBED_AT, LOST_AT = 2, 4
#: How long a client is asked to wait when only the archive could serve it and does not answer.
ARCHIVE_RETRY_MS = 5000

_log = Logger()
Found = TypeVar("Found")


class Viewer:
    """One client.  ``hang_up`` closes its connection the way its transport does that."""

    __slots__ = (
        "_audience",
        "_behind_since",
        "_fetch_result",
        "_fetching",
        "_hang_up",
        "_transport",
        "bucket",
        "outlet",
        "position",
        "shared",
        "silent",
        "told",
    )

    def __init__(self, audience: Audience, transport: Any, hang_up: Callable[[], None]) -> None:
        self._audience = audience
        self._transport = transport
        self._hang_up = hang_up
        self.outlet: Outlet = outlet_for(transport, self._drained)
        self._behind_since: float | None = None
        self._fetching = False
        self._fetch_result: Deferred[None] | None = None
        self.position = 0
        self.bucket = 0
        #: Whether others write to its transport, too.
        self.shared = False
        #: How many pings it was sent since it was last heard of.
        self.silent = 0
        #: What this client knows of the channel's ``stalled``; None where that is uncertain.
        self.told: bool | None = None

    def start(self, cursor: Cursor | None, answer: bytes = b"") -> None:
        """Say hello, tell of a gap if there is one, and go on from ``cursor``, from the head without one.
        ``answer`` is written before anything else."""
        channel = self._audience.channel
        self._audience.enter(self)
        if not channel.ready:
            self._transport.write(answer)
            self.dismiss(ARCHIVE_RETRY_MS)
            return
        found = Resume(channel.head, None) if cursor is None else channel.locate(cursor)
        if found is not None:
            self._greet(found, answer)
            return
        assert cursor is not None
        self._transport.write(answer)
        self._fetch(channel.seek(cursor), self._greet)

    def _greet(self, found: Resume, answer: bytes = b"") -> None:
        audience = self._audience
        channel = audience.channel
        assert channel.epoch is not None
        self.position = found.seq
        self.told = channel.stalled
        greeting = answer + audience.encode(framing.hello(channel.epoch, found.seq, channel.stalled))
        if found.gap is not None:
            greeting += audience.encode(framing.gap(found.gap, channel.cursor_at(found.seq)))
        if self._write(greeting):
            self._advance()

    def leave(self) -> None:
        """The connection is gone, or will be."""
        if self._fetch_result is not None:
            self._fetch_result.cancel()
        self._audience.exit(self)
        self.outlet.release()

    def dismiss(self, retry_ms: int) -> None:
        """Say goodbye and hang up; the client may come back after ``retry_ms``."""
        farewell = self._audience.encode(framing.bye(retry_ms))
        self.leave()
        self._transport.write(farewell)
        self._hang_up()

    def fall_behind(self, position: int) -> None:
        """The transport holds something for this viewer, who will have all up to ``position`` with it."""
        self.position = position
        self._behind_since = self._audience.clock.seconds()
        if isinstance(self.outlet, DirectOutlet):
            self.outlet.wait()

    def share(self) -> None:
        """From now on others write to the transport, too."""
        self._audience.share(self)

    def cut_if_stalled(self, now: float) -> None:
        """End the connection of a client that has stopped reading."""
        if self._behind_since is not None and now - self._behind_since > STALL_S:
            _log.debug("cut off a viewer of {event} that stopped reading", event=self._audience.channel.event)
            self.cut()

    def cut(self) -> None:
        """End the connection of a client that is of no use any more."""
        self.leave()
        self._transport.abortConnection()

    def write_live(self, data: bytes, after: int) -> bool:
        """Write what takes a live viewer to the position ``after``; False when that put it behind."""
        taken = self.outlet.write(data)
        if not taken:
            self.position = after
            self._behind_since = self._audience.clock.seconds()
        return taken

    def _write(self, data: bytes) -> bool:
        taken = self.outlet.write(data)
        self._behind_since = None if taken else self._audience.clock.seconds()
        return taken

    def _drained(self) -> None:
        self._behind_since = None
        if not self._fetching:
            self._advance()

    def _advance(self) -> None:
        """Write pages until the client is full or live."""
        audience = self._audience
        channel = audience.channel
        while self.position < channel.head:
            page = channel.page(self.position, audience.encode, audience.rich)
            if page is None:
                self._fetch(self._write_history(), self._wrote_history)
                return
            self.position = page.last
            if not self._write(page.data):
                return
        if self.told != channel.stalled:  # that came about while it was reading
            self.told = channel.stalled
            if not self._write(audience.encode(framing.ping(channel.cursor, channel.stalled))):
                return
        audience.live(self)

    async def _write_history(self) -> bool:
        """Write what is older than the window, page by page; True as long as the client takes it."""
        audience = self._audience
        channel = audience.channel
        taken = True
        while taken and self.position < channel.first - 1:
            bodies = await channel.history(self.position, framing.MAX_CHANGES, audience.rich)
            self.position += len(bodies)
            message = framing.changes(channel.cursor_at(self.position), bodies)
            taken = self._write(audience.encode(message))
        return taken

    def _wrote_history(self, taken: bool) -> None:
        if taken:
            self._advance()

    def _fetch(self, work: Coroutine[Deferred[Any], Any, Found], then: Callable[[Found], None]) -> None:
        """Do ``work`` that has to wait for the log or the archive, and go on with ``then``; this viewer is
        dismissed if that fails."""
        self._fetching = True
        result: Deferred[Any] = Deferred.fromCoroutine(work)
        result.addCallback(self._fetched, then)
        result.addErrback(self._fetch_failed)
        if self._fetching:
            self._fetch_result = result

    def _fetched(self, found: Found, then: Callable[[Found], None]) -> None:
        self._fetching = False
        self._fetch_result = None
        then(found)

    def _fetch_failed(self, failure: Failure) -> None:
        self._fetching = False
        self._fetch_result = None
        if failure.check(CancelledError):
            return  # the client has left, or was sent away
        if not failure.check(ArchiveUnavailable, LogUnavailable):
            _log.failure("serving the history of {event} failed", failure, event=self._audience.channel.event)
        self.dismiss(ARCHIVE_RETRY_MS)


@implementer(ISubscriber)
class Audience:
    """The viewers of ``channel`` that share an encoding; ``rich`` ones get fragments with every item.

    ``spread`` gives each viewer who is sent away its own time to come back, in milliseconds, out of the most
    that is allowed.  ``delivered(changes, viewers)`` is told after every message.  ``probe`` is what makes a
    client answer that is still there; empty where clients cannot.
    """

    def __init__(
        self,
        channel: Channel,
        encode: Encode,
        rich: bool,
        clock: IReactorTime,
        spread: Callable[[int], int],
        delivered: Callable[[int, int], None],
        probe: bytes = b"",
    ) -> None:
        self.channel = channel
        self.encode = encode
        self.rich = rich
        self.clock = clock
        self._spread = spread
        self._delivered = delivered
        self._probe = probe
        self._buckets: list[dict[Viewer, None]] = [{} for _ in range(PING_S)]
        self._next_bucket = self._ticks = self._count = 0
        # Live viewers have no position of their own: they are at the head.  To the first of these nobody but
        # the audience writes, and their transports hold nothing, or they were not here.
        self._direct: dict[Viewer, Callable[[bytes], int]] = {}
        self._careful: dict[Viewer, None] = {}
        channel.subscribers.append(self)

    def __len__(self) -> int:
        return self._count

    def enter(self, viewer: Viewer) -> None:
        """Count ``viewer`` in."""
        viewer.bucket = self._next_bucket
        self._next_bucket = (self._next_bucket + 1) % PING_S
        self._buckets[viewer.bucket][viewer] = None
        self._count += 1

    def exit(self, viewer: Viewer) -> None:
        """Forget ``viewer``; harmless when it is gone already."""
        if self._buckets[viewer.bucket].pop(viewer, self) is None:
            self._count -= 1
            self._direct.pop(viewer, None)
            self._careful.pop(viewer, None)

    def live(self, viewer: Viewer) -> None:
        """``viewer`` has everything up to the head."""
        outlet = viewer.outlet
        if isinstance(outlet, DirectOutlet) and not viewer.shared:
            self._direct[viewer] = outlet.transport.socket.send
        else:
            self._careful[viewer] = None

    def share(self, viewer: Viewer) -> None:
        """From now on others write to the transport of ``viewer``, too."""
        viewer.shared = True
        if self._direct.pop(viewer, None) is not None:
            self._careful[viewer] = None

    def changed(self, first: int, last: int) -> None:
        """See :class:`~afeed.interfaces.ISubscriber`."""
        if not (self._direct or self._careful):
            return
        parts = []
        ends: list[tuple[int, int]] = []
        size, position = 0, first - 1
        while position < last:
            page = self.channel.page(position, self.encode, self.rich)
            if page is None:  # more than a window at once: everybody has to read
                self._all_behind(first - 1)
                return
            parts.append(page.data)
            size, position = size + len(page.data), page.last
            ends.append((size, position))
        self._write_to_all(b"".join(parts), ends)
        self._delivered(last - first + 1, len(self._direct) + len(self._careful))

    def _write_to_all(self, data: bytes, ends: Sequence[tuple[int, int]]) -> None:
        """Write messages to everybody who is live.  ``ends`` has for each message where it ends in ``data`` and
        the position of who has it."""
        size = ends[-1][0]
        short: dict[Callable[[bytes], int], int] = {}
        # The loop that ten thousand viewers wait for.  It looks at nothing but the sockets and what ``send``
        # returns: whatever else it touched would have to come from memory, ten thousand times.
        for send in self._direct.values():
            try:
                sent = send(data)
            except OSError:  # full, or broken: the transport meets the same error, and ends the connection
                sent = 0
            if sent != size:
                short[send] = sent
        for viewer in [viewer for viewer, send in self._direct.items() if send in short] if short else ():
            sent = short[self._direct.pop(viewer)]
            # The message it is in has to be completed; those after it are not held for this viewer.
            end, position = next(found for found in ends if found[0] > sent)
            viewer.outlet.transport.write(data[sent:end])
            viewer.fall_behind(position)
        for viewer in tuple(self._careful):
            self._write_each(viewer, data, ends)

    def _write_each(self, viewer: Viewer, data: bytes, ends: Sequence[tuple[int, int]]) -> None:
        """Write messages to a viewer one by one, so that its transport holds no more than the message that
        filled it."""
        start = 0
        for end, position in ends:
            if not viewer.write_live(data[start:end], position):
                self._careful.pop(viewer, None)
                return
            start = end

    def _all_behind(self, position: int) -> None:
        viewers = [*self._direct, *self._careful]
        self._direct.clear()
        self._careful.clear()
        for viewer in viewers:
            viewer.position = position
            viewer._drained()

    def stalled(self) -> None:
        """See :class:`~afeed.interfaces.ISubscriber`.  Who is behind is not disturbed, but told once it
        has caught up."""
        live = [*self._direct, *self._careful]
        if not live:
            return
        stalled, head = self.channel.stalled, self.channel.head
        ping = self.encode(framing.ping(self.channel.cursor, stalled))
        self._write_to_all(ping, [(len(ping), head)])
        for viewer in live:
            viewer.told = stalled if viewer in self._direct or viewer in self._careful else None

    def tick(self) -> None:
        """Once a second: ping a fifteenth of the viewers, cut off those of them that stopped reading or do not
        answer."""
        bucket = self._buckets[self._ticks % PING_S]
        self._ticks += 1
        now = self.clock.seconds()
        if not bucket:
            return
        ping = self.encode(framing.ping(self.channel.cursor, self.channel.stalled or None))
        head = self.channel.head
        for viewer in tuple(bucket):
            if viewer not in self._direct and viewer not in self._careful:
                viewer.cut_if_stalled(now)
                continue
            viewer.silent += 1
            if self._probe and viewer.silent >= LOST_AT:
                viewer.cut()
            elif not viewer.write_live(ping + self._probe if viewer.silent == PROBED_AT else ping, head):
                self._direct.pop(viewer, None)
                self._careful.pop(viewer, None)

    def ended(self, retry_ms: int) -> None:
        """See :class:`~afeed.interfaces.ISubscriber`."""
        for bucket in self._buckets:
            for viewer in tuple(bucket):
                viewer.dismiss(self._spread(retry_ms))
