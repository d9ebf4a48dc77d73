"""A Redis in memory which answers when a test says so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred, fail

from afeed.core.change import Change
from afeed.core.errors import LogUnavailable
from afeed.livelog import redis_lua
from afeed.livelog.redis_commands import Keys
from tests.livelog.samples import posted

INFO = b"run_id:r\r\naof_enabled:1\r\nrole:master\r\nmaxmemory_policy:noeviction\r\n"


@attrs.define
class Log:
    """What the server has of one event."""

    epoch: str = "old"
    run: str = "r"
    changes: list[Change] = attrs.Factory(list)
    positions: dict[str, str] = attrs.Factory(dict)

    def append(self, count: int = 1) -> None:
        for _ in range(count):
            self.changes.append(posted(len(self.changes) + 1))


class SlowRedis:
    """One connection, which can read.  Commands are carried out as they come and answered in order, at once
    while ``prompt``, else when :meth:`answer` is called.

    :ivar logs: by event; what is missing here is missing there
    """

    def __init__(self, *events: str) -> None:
        self.logs = {event: Log() for event in events}
        self.prompt = True
        self.aborted = False
        self.asked: list[str] = []
        self._unanswered: deque[tuple[Deferred[Any], Any]] = deque()
        self._scripts: dict[str, tuple[str, Callable[..., bytes]]] = {
            redis_lua.STATE.sha: ("STATE", self._state),
            redis_lua.READ.sha: ("READ", self._read),
        }

    def send(self, *command: str | bytes | int) -> Deferred[Any]:
        if self.aborted:
            return fail(LogUnavailable("the connection was lost"))
        name, result = self._carry_out(*command)
        self.asked.append(name)
        answer: Deferred[Any] = Deferred()
        self._unanswered.append((answer, result))
        if self.prompt:
            self.answer()
        return answer

    def answer(self, count: int | None = None) -> None:
        """Answer the oldest ``count`` commands, or all."""
        while self._unanswered and count != 0:
            answer, result = self._unanswered.popleft()
            if not answer.called:
                answer.callback(result)
            count = None if count is None else count - 1

    def abort(self) -> None:
        self.aborted = True
        while self._unanswered:
            answer, _ = self._unanswered.popleft()
            if not answer.called:
                answer.errback(LogUnavailable("the connection was lost"))

    def _carry_out(self, name: Any, *arguments: Any) -> tuple[str, Any]:
        if name == "EVALSHA":
            script, work = self._scripts[arguments[0]]
            return script, work(*arguments[2:])
        if name == "INFO":
            return name, INFO
        if name == "HGETALL":
            return name, [word.encode() for pair in self._of(arguments[0]).positions.items() for word in pair]
        if name == "HSETNX":
            positions = self._of(arguments[0]).positions
            return name, int(positions.setdefault(arguments[1], arguments[2]) == arguments[2])
        return name, 0

    def _of(self, key: str) -> Log:
        return next((log for event, log in self.logs.items() if key.startswith(Keys(event).prefix)), Log())

    def _state(self, *metas: str) -> bytes:
        known = {Keys(event).meta: log for event, log in self.logs.items()}
        return b"\n".join(
            f"{log.epoch} 0 {len(log.changes)} 1 0 0 {log.run} []".encode() if (log := known.get(meta)) else b""
            for meta in metas
        )

    def _read(self, meta: str, after: int, limit: int, room: int) -> bytes:
        log = {Keys(event).meta: log for event, log in self.logs.items()}.get(meta)
        if log is None:
            return b""
        bodies = [change.stored for change in log.changes[after : after + limit]]
        header = [log.epoch, 0, len(log.changes), after + 1, *map(len, bodies)]
        return " ".join(map(str, header)).encode() + b"\n" + b"".join(bodies)
