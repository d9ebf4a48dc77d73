"""An operator who looks at health, at a poll's answer and at the page of a node, again and again."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any, NamedTuple

from tests.chaos.account import SOON_S
from tests.chaos.followers import FAULTS
from tests.chaos.promises import ANSWER_S, within
from tests.servers.afeed import AfeedServer

#: One of the first changes.
OLD = 20
#: An older page needs the archive, which may be asked twice, for five seconds each time.
OLDER_S = 10.0
#: An answer that takes longer is given up, in seconds.
TIMEOUT_S = 20.0
#: How long a sight that is late is waited for, in seconds, so that one that comes in time is never missed.
_LATE_S = 5.0


class Sight(NamedTuple):
    """What was seen at ``at``: state and detail of each named check, and whether a poll said that posts are
    delayed."""

    at: float
    checks: Mapping[str, tuple[str, str]]
    stalled: bool

    def state(self, check: str) -> str:
        return self.checks[check][0]

    def detail(self, check: str) -> str:
        return self.checks[check][1]


def unsaid(server: AfeedServer, words: Iterable[str], after: int = 0) -> list[str]:
    """What the log of ``server`` does not say behind ``after``, although it was given some time for it, a
    sentence each: a check tells a thing in one moment and the log in the next."""
    deadline = time.monotonic() + SOON_S
    while missing := [one for one in words if one not in server.output()[after:]]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return [f"the log does not say {one!r}" for one in missing]


def complaint(output: str) -> list[str]:
    """What a log must not have, in a sentence: the first traceback in it."""
    _, found, rest = output.partition("Traceback")
    return [f"there is a traceback in the log: {found}{rest.partition(chr(10))[0][-500:]}"] if found else []


class Watch(threading.Thread):
    """Asks ``/healthz``, ``/updates`` for the newest and for the oldest, the page and an older one.

    ``long`` has answers judged by the promise itself; where the ``archive`` does not stay, the older page may
    take its time and be answered 503.

    :ivar sights: what it saw; :ivar trouble: every answer that was none, or that took seconds; :ivar slowest:
    the longest that any took, in seconds.
    """

    def __init__(self, server: AfeedServer, long: bool, *, archive: bool = True) -> None:
        super().__init__(name="watch", daemon=True)
        self._server = server
        self._limit_s = within(ANSWER_S, long)
        self._older = ((200,), self._limit_s) if archive else ((200, 503), within(OLDER_S, long))
        self.sights: list[Sight] = []
        self.trouble: list[str] = []
        self.slowest = 0.0
        self._stopping = threading.Event()
        self._awake = threading.Event()
        self._awake.set()
        self._resting = threading.Event()

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @contextmanager
    def looks_away(self) -> Iterator[None]:
        """While the node is stopped and started as it should be, nobody is there to answer."""
        self._resting.clear()
        self._awake.clear()
        assert self._resting.wait(5 * TIMEOUT_S), "the watch does not rest"
        yield
        self._awake.set()

    def stop(self) -> None:
        self._stopping.set()
        self._awake.set()
        self.join(6 * TIMEOUT_S)
        assert not self.is_alive(), "the watch did not end"

    def run(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._server.port, timeout=TIMEOUT_S)
        page, updates = f"/{self._server.slug}", f"/{self._server.slug}/updates?wait=0&limit=1"
        while not self._stopping.is_set():
            if not self._awake.is_set():
                connection.close()
                self._resting.set()
                self._awake.wait()
                continue
            try:
                checks: dict[str, Any] = json.loads(self._get(connection, "/healthz", (200, 503)))["checks"]
                stalled = json.loads(self._get(connection, updates, (200,))).get("stalled", False)
                states = {name: (check["state"], check["detail"]) for name, check in checks.items()}
                self._note(states, stalled)
                self._get(connection, page, (200,))
                # What memory may not hold any more.
                self._get(connection, f"{updates}&since=0", (200,))
                self._get(connection, f"{page}?before={OLD}", *self._older)
            except FAULTS as error:
                self.trouble.append(repr(error))
                connection.close()
            self._stopping.wait(0.03)
        connection.close()

    def _note(self, checks: Mapping[str, tuple[str, str]], stalled: bool) -> None:
        if self.sights and self.sights[-1].checks == checks:
            checks = self.sights[-1].checks  # an hour of looks takes little memory
        self.sights.append(Sight(time.monotonic(), checks, stalled))

    def _get(
        self, connection: HTTPConnection, path: str, wanted: tuple[int, ...], limit_s: float | None = None
    ) -> bytes:
        limit_s = self._limit_s if limit_s is None else limit_s
        began = time.monotonic()
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        seconds = time.monotonic() - began
        if limit_s == self._limit_s:
            self.slowest = max(self.slowest, seconds)
        if answer.status not in wanted:
            self.trouble.append(f"{path} was answered {answer.status}")
        if seconds > limit_s:
            self.trouble.append(f"{path} was answered after {seconds:.1f} s")
        return body

    def first(self, since: float, seen: Callable[[Sight], bool], seconds: float) -> Sight | None:
        """The first sight after ``since`` that is as wanted; waits for it, and is None when there was none
        within ``seconds``."""
        looked = 0
        while True:
            for sight in self.sights[looked:]:
                looked += 1
                if sight.at - since > seconds:
                    return None
                if sight.at >= since and seen(sight):
                    return sight
            if time.monotonic() - since > seconds + _LATE_S:
                return None
            time.sleep(0.02)
