"""The X simulator in a process of its own, told from here what to post and when."""

from __future__ import annotations

import json
import multiprocessing
import random
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

TOKEN = "a-bearer-token-for-measurements"
TAG = "#bench"
#: How many posts of a burst are written in one turn of the simulator's reactor.
PORTION = 200


def posts(count: int, rng: random.Random, matching: Sequence[Mapping[str, str]]) -> list[bytes]:
    """The lines of X's stream for ``count`` posts, their ids rising."""
    from tests.simulators.xposts import AUTHORS, TEXTS, post_v2, snowflake

    now = time.time()
    lines = []
    for number in range(count):
        lang, text = rng.choice(TEXTS)
        message = post_v2(
            str(snowflake(int(now * 1000) + number, rng.getrandbits(22))),
            text.format(tag=TAG),
            author=rng.choice(AUTHORS),
            created_at=now,
            lang=lang,
        )
        message["matching_rules"] = list(matching)
        lines.append(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\r\n")
    return lines


class _Feed:
    """The simulator's side: answers ``(command, arguments)`` with what the command returns."""

    def __init__(self, reactor: Any, port: int, parent: Connection) -> None:
        from tests.simulators.x import XSimulator

        self._reactor = reactor
        self._parent = parent
        self._rng = random.Random(1)
        self._simulator = XSimulator(reactor, time.time, token=TOKEN)
        reactor.listenTCP(port, self._simulator.site(), interface="127.0.0.1")

    def listen(self) -> None:
        """Take commands, in a thread, as waiting for them blocks."""
        self._reactor.callInThread(self._take)

    def _take(self) -> None:
        while True:
            try:
                command, arguments = self._parent.recv()
            except (EOFError, OSError):
                self._reactor.callFromThread(self._reactor.stop)
                return
            self._reactor.callFromThread(getattr(self, command), *arguments)

    def connected(self) -> None:
        """Say whether a client reads the stream."""
        self._parent.send(bool(self._simulator.streams))

    def steady(self, rate: float, count: int) -> None:
        """``count`` posts, ``rate`` a second; answers with the time just before each was written, by its id."""
        sent: dict[int, int] = {}
        first = self._reactor.seconds()

        def post() -> None:
            now = time.monotonic_ns()
            sent[int(self._simulator.invented(self._rng))] = now
            if len(sent) == count:
                self._parent.send(sent)
            else:
                self._reactor.callLater(max(0.0, first + len(sent) / rate - self._reactor.seconds()), post)

        post()

    def burst(self, count: int) -> None:
        """``count`` posts as fast as the connection takes them; answers with the time before the first, once
        all of them are written."""
        matching = [{"id": rule["id"], "tag": rule["tag"]} for rule in self._simulator.rules.values()]
        self._write(posts(count, self._rng, matching), time.monotonic_ns())

    def _write(self, lines: list[bytes], began: int) -> None:
        self._simulator.send(b"".join(lines[:PORTION]))
        del lines[:PORTION]
        if lines:
            self._reactor.callLater(0, self._write, lines, began)
        else:
            self._parent.send(began)


def _run(port: int, parent: Connection) -> None:
    from twisted.internet import reactor

    feed = _Feed(reactor, port, parent)
    reactor.callWhenRunning(feed.listen)
    reactor.run()


class Feeder:
    """An X on ``port``; every call returns once it is done."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(port, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def wait_until_read(self, seconds: float = 30.0) -> None:
        """Return once afeed reads the stream."""
        deadline = time.monotonic() + seconds
        while not self._ask("connected"):
            if time.monotonic() > deadline:
                raise TimeoutError("afeed did not connect to the stream")
            time.sleep(0.05)

    def steady(self, rate: float, count: int) -> dict[int, int]:
        """Publish ``count`` posts, ``rate`` a second.  The nanoseconds of the monotonic clock just before each
        was written, by its id."""
        sent: dict[int, int] = self._ask("steady", rate, count, seconds=count / rate + 30)
        return sent

    def burst(self, count: int) -> int:
        """Publish ``count`` posts at once.  The nanoseconds of the monotonic clock before the first."""
        began: int = self._ask("burst", count, seconds=120)
        return began

    def close(self) -> None:
        """End the simulator: it stops when nobody is there to give commands."""
        self._connection.close()
        self._process.join(5)
        self._process.kill()
        self._process.join()

    def _ask(self, command: str, *arguments: object, seconds: float = 30.0) -> Any:
        self._connection.send((command, arguments))
        if not self._connection.poll(seconds):
            raise TimeoutError(f"the simulator did not answer to {command} in {seconds:g} s")
        return self._connection.recv()
