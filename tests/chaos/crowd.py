"""Hundreds of viewers in one thread: each connects, reads, stops reading, is cut, comes back over another
transport or to another node, and shows every message to its model.

Everything a viewer does is drawn from a random generator of its own, so a seed repeats the schedule; what the
machine makes of it differs from run to run.
"""

from __future__ import annotations

import heapq
import selectors
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import NamedTuple

from tests.chaos.model import Library, Node, Reader, Tally
from tests.chaos.wire import LONG_POLL, PARSERS, POLL, SSE, TRANSPORTS, WEBSOCKET, Parser, Refused, request

RECEIVE = 1 << 18
#: Closing with this option set sends a reset instead of an end: the node learns of it the hard way.
_RESET = struct.pack("ii", 1, 0)
#: A connection or poll that has been silent for so long is given up (seconds); pings come every 15.
SILENCE_S = 40.0


class Habits(NamedTuple):
    """How viewers behave.  Shares are between 0 and 1, ranges are ``(least, most)`` of a choice that makes each
    order of magnitude equally likely."""

    #: Seconds that a connection is kept.
    stay_s: tuple[float, float] = (0.3, 40.0)
    #: Share of connections that are cut after so many bytes, wherever in a message that is.
    cut: float = 0.4
    cut_bytes: tuple[float, float] = (1.0, 400_000.0)
    #: Share of connections on which the viewer stops reading, how soon and for how long (seconds).
    pause: float = 0.2
    pause_after_s: tuple[float, float] = (0.1, 5.0)
    pause_s: tuple[float, float] = (0.2, 20.0)
    #: Share of connections that hold little (:func:`narrow`), so that to stop reading is felt soon.
    narrow: float = 0.3
    #: Seconds between two connections.
    away_s: tuple[float, float] = (0.01, 5.0)
    #: Share of returns as somebody new: at the head, so many changes before the cursor, or at the beginning.
    at_head: float = 0.05
    rewind: float = 0.05
    rewind_by: tuple[float, float] = (1.0, 3000.0)
    from_start: float = 0.0
    #: Seconds between two plain polls.
    poll_s: tuple[float, float] = (0.2, 5.0)
    #: Share of connections that ask for fragments.
    rich: float = 0.3


#: Who only wants to have everything.
STEADY = Habits(
    stay_s=(1000.0, 1000.0),
    cut=0,
    pause=0,
    narrow=0,
    away_s=(0.01, 0.2),
    at_head=0,
    rewind=0,
    poll_s=(0.2, 0.2),
)


def between(rng: Random, bounds: tuple[float, float]) -> float:
    """A number in ``bounds``, each order of magnitude equally likely."""
    least, most = bounds
    return float(least * (most / least) ** rng.random())


def narrow(connection: socket.socket) -> None:
    """Have as little as possible kept between us and the node once we stop reading; before it is connected.

    The small receive buffer alone does nothing on this machine's own network: by its segments of 64 KB the
    kernel reckons that it may take almost 3 MB from whoever sends.  With those of a real network it is some
    50 KB."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)


class Viewer:
    """One person: a position that outlives every connection."""

    def __init__(self, crowd: Crowd, number: int, rng: Random) -> None:
        self.reader = Reader(f"viewer {number}", crowd.tally)
        self.transport = rng.choice(TRANSPORTS)
        self.receives = True
        self._crowd = crowd
        self._rng = rng
        self._socket: socket.socket | None = None
        self._parser: Parser = PARSERS[POLL]()
        self._node = crowd.nodes[0]
        self._asked = crowd.tally.asked(self._node, None)
        self._outgoing = b""
        self._query = ""
        self._left = 0
        self._life = 0
        self._heard = 0.0

    @property
    def connected(self) -> bool:
        return self._socket is not None

    # -- coming and going

    def arrive(self, seq: int | None) -> None:
        """Come for the first time, with this position."""
        self.reader.seq = seq
        self._connect()

    def _connect(self) -> None:
        crowd, rng, habits = self._crowd, self._rng, self._crowd.habits
        self._newcomer()
        self.transport = rng.choice(TRANSPORTS)
        self._node = rng.choice(crowd.nodes)
        self._parser = PARSERS[self.transport]()
        limit = "" if self.transport in (WEBSOCKET, SSE) else f"&limit={rng.randint(20, 200)}"
        wait = {POLL: "&wait=0", LONG_POLL: f"&wait={rng.randint(1, 25)}"}.get(self.transport, "")
        self._query = limit + wait + ("&render=html" if rng.random() < habits.rich else "")
        self._left = int(between(rng, habits.cut_bytes)) if rng.random() < habits.cut else 1 << 60
        self._life += 1
        life = self._life
        self._socket = socket.socket()
        if rng.random() < habits.narrow:
            narrow(self._socket)
        self._socket.setblocking(False)
        self._socket.connect_ex(("127.0.0.1", crowd.ports[self._node.number]))
        self._heard = crowd.now
        self._outgoing = b""
        crowd.connections[self.transport] += 1
        crowd.selector.register(self._socket, selectors.EVENT_WRITE, self)
        self._ask()
        crowd.later(between(rng, habits.stay_s), lambda: self._leave(life))
        if rng.random() < habits.pause:
            crowd.later(between(rng, habits.pause_after_s), lambda: self._pause(life))

    def disconnect(self, back_in: float | None = None) -> None:
        """Close, and come back after so many seconds (None: after some time)."""
        crowd, rng = self._crowd, self._rng
        if self._socket is not None:
            if self.receives:
                crowd.selector.unregister(self._socket)
            if rng.random() < 0.3:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._socket.close()
            self._socket = None
        self.receives = True
        self._life += 1
        life = self._life
        crowd.later(
            between(rng, crowd.habits.away_s) if back_in is None else back_in, lambda: self._return(life)
        )

    def close(self) -> None:
        """Go for good."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _newcomer(self) -> None:
        """Sometimes somebody else sits down here."""
        rng, habits, reader = self._rng, self._crowd.habits, self.reader
        draw = rng.random()
        seq: int | None
        if draw < habits.at_head:
            seq = None
        elif draw < habits.at_head + habits.rewind and reader.seq is not None:
            seq = max(0, reader.seq - int(between(rng, habits.rewind_by)))
        elif draw < habits.at_head + habits.rewind + habits.from_start:
            seq = 0
        else:
            return
        self.reader = Reader(reader.name, self._crowd.tally, seq)
        self.reader.epoch = reader.epoch if seq is not None else ""

    def _return(self, life: int) -> None:
        if life == self._life:
            self._connect()

    def _leave(self, life: int) -> None:
        if life == self._life:
            self.disconnect()

    def _pause(self, life: int) -> None:
        if life == self._life:
            self.stop_reading(between(self._rng, self._crowd.habits.pause_s))

    def stop_reading(self, seconds: float) -> None:
        """Leave what comes where it is for so long."""
        if self._socket is not None and self.receives:
            life = self._life
            self._crowd.selector.unregister(self._socket)
            self.receives = False
            self._crowd.pauses += 1
            self._crowd.later(seconds, lambda: self._resume(life))

    def read_on(self) -> None:
        """Whoever has stopped reading goes on now."""
        self._resume(self._life)

    def _resume(self, life: int) -> None:
        if life == self._life and self._socket is not None and not self.receives:
            self._heard = self._crowd.now
            self.receives = True
            self._crowd.selector.register(
                self._socket, selectors.EVENT_WRITE if self._outgoing else selectors.EVENT_READ, self
            )

    @property
    def state(self) -> str:
        """Where and how the viewer is, for whoever has to find out why it got nothing."""
        if self._socket is None:
            return "away"
        reading = "reads" if self.receives else "does not read"
        sent = f", {len(self._outgoing)} bytes not sent" if self._outgoing else ""
        silence = self._crowd.now - self._heard
        return f"{self.transport} at node {self._node.number}, {reading}, silent for {silence:.0f} s{sent}"

    def check(self) -> None:
        """Give up a connection that has been silent for too long."""
        if self._socket is not None and self.receives and self._crowd.now - self._heard > SILENCE_S:
            self._crowd.silences += 1
            self.disconnect()

    # -- talking

    def _ask(self) -> None:
        crowd, reader = self._crowd, self.reader
        since = "" if reader.cursor is None else f"&since={reader.cursor}"
        self._asked = crowd.tally.asked(self._node, reader.seq)
        host = f"127.0.0.1:{crowd.ports[self._node.number]}"
        self._outgoing += request(self.transport, host, crowd.slug, (since + self._query)[1:])

    def ready(self, mask: int) -> None:
        """The socket can be read, or written."""
        try:
            if mask & selectors.EVENT_WRITE:
                self._send()
            else:
                self._receive()
        except BlockingIOError:
            pass
        except (OSError, EOFError):
            self._crowd.breaks += 1
            self.disconnect()
        except Refused as refusal:
            self._crowd.refusals[str(refusal)] += 1
            self.disconnect()

    def _send(self) -> None:
        assert self._socket is not None
        sent = self._socket.send(self._outgoing)
        self._outgoing = self._outgoing[sent:]
        if not self._outgoing:
            self._crowd.selector.modify(self._socket, selectors.EVENT_READ, self)

    def _receive(self) -> None:
        assert self._socket is not None
        crowd = self._crowd
        data = self._socket.recv(min(RECEIVE, self._left))
        if not data:
            raise EOFError
        self._heard = crowd.now
        self._left -= len(data)
        parser, asked = self._parser, self._asked
        bodies = parser.feed(data)
        for body in bodies:
            self.reader.take(crowd.library.message(body), asked)
        pongs = parser.to_send()
        if pongs:
            self._socket.send(pongs)  # so little fits into the buffer, or the connection is as good as cut
        if self._left <= 0:
            crowd.cuts += 1
            self.disconnect()
        elif parser.ended:
            raise EOFError
        elif bodies and self.transport in (LONG_POLL, POLL):
            self._answered(crowd.library.message(bodies[-1]).more)

    def _answered(self, more: bool) -> None:
        if more or self.transport == LONG_POLL:
            self._ask_again(self._life)
        else:
            life = self._life
            self._crowd.later(between(self._rng, self._crowd.habits.poll_s), lambda: self._ask_again(life))

    def _ask_again(self, life: int) -> None:
        if life == self._life and self._socket is not None:
            self._heard = self._crowd.now
            self._ask()
            if self.receives:
                self._crowd.selector.modify(self._socket, selectors.EVENT_WRITE, self)


class Crowd:
    """``count`` viewers of the event ``slug`` at the nodes on ``ports``, who come to the position ``first``, to
    the head when that is None.

    :ivar cuts: connections that viewers cut within or after a message; :ivar pauses: times one stopped reading;
    :ivar breaks: connections that broke or were closed by a node; :ivar silences: connections given up;
    :ivar refusals: answers other than the hoped for, by status; :ivar connections: by transport.
    """

    def __init__(
        self,
        ports: Sequence[int],
        slug: str,
        count: int,
        seed: int,
        habits: Habits,
        first: int | None = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ports = list(ports)
        self.slug = slug
        self.habits = habits
        self.tally = Tally()
        self.library = Library(self.tally)
        self.nodes = [Node(number) for number in range(len(self.ports))]
        self.selector = selectors.DefaultSelector()
        self.connections: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.cuts = self.pauses = self.breaks = self.silences = 0
        self._clock = clock
        self.now = clock()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._entries = 0
        self.viewers = [Viewer(self, number, Random(f"{seed}/{number}")) for number in range(count)]
        rng = Random(seed)
        for viewer in self.viewers:
            self.later(rng.random() * 2, partial(viewer.arrive, first))
        self.later(SILENCE_S, self._look_round)

    @property
    def connected(self) -> int:
        """How many have a connection now."""
        return sum(viewer.connected for viewer in self.viewers)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call ``call`` in so many seconds."""
        self._entries += 1
        heapq.heappush(self._due, (self.now + seconds, self._entries, call))

    def run(self, seconds: float, done: Callable[[], bool] = lambda: False) -> None:
        """Let everybody live for so long, or until ``done()``, which is asked a few times a second."""
        end = self._clock() + seconds
        asked = 0.0
        while True:
            self.now = self._clock()
            if self.now >= end:
                return
            if self.now - asked > 0.25:
                asked = self.now
                if done():
                    return
            while self._due and self._due[0][0] <= self.now:
                heapq.heappop(self._due)[2]()
            wait = min(0.25, end - self.now, self._due[0][0] - self.now if self._due else 1.0)
            for key, mask in self.selector.select(max(0.0, wait)):
                if key.data.receives and key.fileobj.fileno() >= 0:  # type: ignore[union-attr]
                    key.data.ready(mask)

    def catch_up(self, head: int, seconds: float) -> None:
        """From now on nobody dawdles, until all have everything up to ``head``.  What they do not have when
        nobody has got any further for ``seconds`` is lost."""
        self.habits = STEADY
        refused, breaks = Counter(self.refusals), self.breaks
        for viewer in self.viewers:
            viewer.disconnect(back_in=0.0)

        def there() -> bool:
            return all(viewer.reader.seq == head for viewer in self.viewers)

        before = -1
        while not there() and self.tally.deliveries > before:
            before = self.tally.deliveries
            self.run(seconds, there)
        for viewer in self.viewers:
            has = viewer.reader.seq or 0
            if has < head:
                self.tally.fault(
                    "lost",
                    f"{viewer.reader.name} ({viewer.state}) did not get beyond {has} of {head}; meanwhile "
                    f"{dict(self.refusals - refused)} of all were refused, {self.breaks - breaks} broke",
                    head - has,
                )

    def close(self) -> None:
        """Everybody goes."""
        for viewer in self.viewers:
            viewer.close()
        self.selector.close()

    def _look_round(self) -> None:
        for viewer in self.viewers:
            viewer.check()
        self.later(SILENCE_S / 4, self._look_round)
