"""Clients that follow an event through every restart, from node to node, and keep a record of exactly what they
were given.

Each runs in a thread of its own, so that what it believes does not depend on the reactor under test.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from array import array
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, NamedTuple

from tests.chaos.verdict import digest
from tests.chaos.ways import FAULTS, TIMEOUT_S, Way, direct
from tests.chaos.wire import LONG_POLL, PARSERS, POLL, SSE, WEBSOCKET, Refused, request

RECEIVE = 1 << 16
#: How long a poll waits for something new, and how long after it the next one comes (seconds).
WAIT_S, REST_S = {POLL: 0, LONG_POLL: 10}, {POLL: 0.2, LONG_POLL: 0.0}

Message = dict[str, Any]


class Goodbye(NamedTuple):
    """One ``bye``: when (monotonic seconds), and after how many milliseconds to come back."""

    at: float
    retry_ms: int


class Follower(threading.Thread):
    """Follows ``slug`` over ``transport``, and takes the next of ``ways`` whenever it connects: after every cut
    and goodbye, and by itself after about ``hop_s`` seconds (None: never).  ``hasty`` clients come back at once
    after a goodbye, others when it says.

    :ivar seqs: the seq of every change it was given, in the order in which they came; ``digests`` what each
        said (:func:`~tests.chaos.verdict.digest`).
    :ivar gaps: the gaps it was told of; ``connections``: how often it had to connect.
    :ivar void: how many changes it was given that are not part of the record any more, because a new epoch took
        their numbers back and it was told so; ``seqs`` and ``digests`` do not have them.
    :ivar byes: the goodbyes; ``absences``: how long it took after each until something came again (seconds).
    :ivar cut_by: what ended each connection that ended otherwise, not counting its own hops; ``refused``: the
        status of each answer to an attempt to connect that was none of those hoped for.
    """

    def __init__(
        self,
        transport: str,
        ways: Sequence[Way],
        slug: str,
        *,
        seed: int = 0,
        hop_s: float | None = None,
        hasty: bool = False,
    ) -> None:
        super().__init__(name=f"follower-{transport}-{seed}", daemon=True)
        self.transport = transport
        self.ways = list(ways)
        self.slug = slug
        self.hop_s = hop_s
        self.hasty = hasty
        self.wait_s = WAIT_S.get(transport, 0)
        self.rest_s = REST_S.get(transport, 0.0)
        self.cursor = "0"
        self.seqs = array("q")
        self.digests = array("Q")
        self.gaps: list[Message] = []
        self.byes: list[Goodbye] = []
        self.absences: list[float] = []
        self.connections = self.void = 0
        self.cut_by: list[str] = []
        self.refused: list[str] = []
        self._rng = Random(seed)
        self._left_at: float | None = None
        self._stopping = threading.Event()
        self._awake = threading.Event()
        self._awake.set()
        self._asleep = threading.Event()
        self._socket: socket.socket | None = None

    @property
    def seq(self) -> int:
        """The last seq it has."""
        return int(self.cursor.rpartition(":")[2])

    @property
    def away(self) -> bool:
        """Whether it was told goodbye and nothing has come since."""
        return self._left_at is not None

    def stop(self) -> None:
        """Returns when it has ended; what it was given by then stays."""
        self._stopping.set()
        self._awake.set()
        self._cut()
        self.join(TIMEOUT_S + 5)
        assert not self.is_alive(), f"{self.name} did not end"

    def sleep(self) -> None:
        """Cut the connection and make no other before :meth:`wake`."""
        self._asleep.clear()
        self._awake.clear()
        self._cut()
        assert self._asleep.wait(TIMEOUT_S + 5), f"{self.name} does not rest"

    def wake(self) -> None:
        self._awake.set()

    def _cut(self) -> None:
        """It may be waiting for the next message, which is up to fifteen seconds away."""
        connected = self._socket
        if connected is not None:
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        number = self._rng.randrange(len(self.ways))
        while not self._stopping.is_set():
            if not self._awake.is_set():
                self._asleep.set()
                self._awake.wait()
                continue
            way = self.ways[number % len(self.ways)]
            number += 1
            pause = 0.05
            try:
                pause = self._follow(way)
            except Refused as refusal:
                self.refused.append(str(refusal))
            except FAULTS as error:
                if not self._stopping.is_set():
                    self.cut_by.append(f"{self.transport}: {error!r}")
            finally:
                if self._socket is not None:
                    self._socket.close()
            self._stopping.wait(pause)

    def _follow(self, way: Way) -> float:
        """One connection, to its end; the seconds to wait before the next."""
        self.connections += 1
        until = float("inf")
        if self.hop_s is not None:
            until = time.monotonic() + self.hop_s * self._rng.uniform(0.5, 1.5)
        self._socket = way.connect()
        for message in self._messages(self._socket, way.host):
            if message["type"] == "bye" and not self.hasty:
                self.byes.append(Goodbye(time.monotonic(), message["retry_ms"]))
                self._left_at = time.monotonic()
                return float(message["retry_ms"] / 1000)
            self.take(message)
            if self._stopping.is_set() or not self._awake.is_set() or time.monotonic() > until:
                return 0.0
        raise EOFError("the connection ended without a goodbye")

    def take(self, message: Message) -> None:
        """What any client does with a message."""
        if self._left_at is not None:
            self.absences.append(time.monotonic() - self._left_at)
            self._left_at = None
        kind = message["type"]
        if kind == "gap":
            self.gaps.append(message)
            if message["reason"] == "epoch" and message["from"] is not None:
                while self.seqs and self.seqs[-1] >= message["from"]:
                    self.seqs.pop()
                    self.digests.pop()
                    self.void += 1
        if kind == "changes":
            for change in message["changes"]:
                self.seqs.append(change["seq"])
                self.digests.append(digest(change))
        if message.get("cursor") is not None:
            self.cursor = message["cursor"]

    def _messages(self, connected: socket.socket, host: str) -> Iterator[Message]:
        """What comes over a connection, until it ends."""
        parser = PARSERS[self.transport]()

        def ask() -> None:
            wait = f"&wait={self.wait_s}" if self.transport in WAIT_S else ""
            connected.sendall(request(self.transport, host, self.slug, f"since={self.cursor}{wait}"))

        ask()
        while not parser.ended:
            data = connected.recv(RECEIVE)
            if not data:
                raise EOFError("cut")
            for body in parser.feed(data):
                message = json.loads(body)
                if "type" in message:
                    yield message
                    continue
                if message["gap"] is not None:
                    yield {"type": "gap", **message["gap"]}
                yield {"type": "changes", **message}
                self._stopping.wait(self.rest_s)
                ask()
            if pongs := parser.to_send():
                connected.sendall(pongs)


class _Plain(Follower):
    """Of one node, and without manners."""

    over = ""

    def __init__(self, port: int, slug: str) -> None:
        super().__init__(self.over, [direct(port)], slug, hasty=True)


class Poller(_Plain):
    over = POLL

    def __init__(self, port: int, slug: str) -> None:
        super().__init__(port, slug)
        self.wait_s, self.rest_s = 2, 0.0


class EventStream(_Plain):
    over = SSE


class WebSocket(_Plain):
    over = WEBSOCKET


FOLLOWERS: tuple[type[_Plain], ...] = (Poller, EventStream, WebSocket)
