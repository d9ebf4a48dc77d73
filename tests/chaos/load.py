"""What goes into an event while viewers are watched: pushes and edits of pushes, a recording with removals."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from random import Random

from tests.chaos.ways import FAULTS, TIMEOUT_S
from tests.servers.afeed import PUSH_TOKEN, AfeedServer


class Load(threading.Thread):
    """Pushes ``rate`` items a second to ``servers``, in batches, each until one of them accepted it; a
    twentieth are edits of items pushed before.

    :ivar accepted: the seq that every item was first answered with.
    """

    def __init__(self, servers: Sequence[AfeedServer], rate: float, batch: int, seed: int) -> None:
        super().__init__(name="load", daemon=True)
        self.accepted: dict[str, int] = {}
        self._servers = servers
        self._batch = batch
        self._pause = batch / rate
        self._rng = Random(f"load/{seed}")
        self._next = 0
        self._connections: dict[int, HTTPConnection] = {}
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Push nothing more; returns when it has ended."""
        self._stopping.set()
        self.join(3 * TIMEOUT_S)
        assert not self.is_alive(), "the load did not end"

    def run(self) -> None:
        due = time.monotonic()
        while not self._stopping.is_set():
            body = json.dumps([self._item() for _ in range(self._batch)])
            while not self._stopping.is_set() and not self._push(self._rng.choice(self._servers), body):
                self._stopping.wait(0.05)
            due = max(due + self._pause, time.monotonic() - 1)
            self._stopping.wait(max(0.0, due - time.monotonic()))
        for connection in self._connections.values():
            connection.close()

    def _item(self) -> dict[str, str]:
        if self._next and self._rng.random() < 0.05:
            number = self._rng.randrange(max(0, self._next - 500), self._next)
            return {"id": str(number), "text": f"Item {number}, corrected {self._rng.random()} \N{SNOWMAN}"}
        self._next += 1
        return {"id": str(self._next - 1), "text": f"Item {self._next - 1} \N{SNOWMAN}"}

    def _push(self, server: AfeedServer, body: str) -> bool:
        headers = {"Authorization": f"Bearer {PUSH_TOKEN}", "Content-Type": "application/json"}
        try:
            connection = self._connections.get(server.port)
            if connection is None:
                connection = HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT_S)
                self._connections[server.port] = connection
            connection.request("POST", f"/{server.slug}/items", body, headers)
            answer = connection.getresponse()
            found = json.loads(answer.read())
        except FAULTS:
            self._connections.pop(server.port).close()
            return False
        if answer.status != 201:
            return False
        for result in found["results"]:
            self.accepted.setdefault(result["id"], result["seq"])
        return True


def write_recording(path: Path, seconds: float, rate: float, seed: int) -> None:
    """A recording in which ``rate`` items a second are posted, for so long; some are edited, and a third are
    removed, all within some seconds."""
    rng = Random(f"recording/{seed}")
    start = datetime(2026, 1, 1, tzinfo=UTC)
    lines: list[tuple[float, dict[str, object]]] = []
    for number in range(int(seconds * rate)):
        at = number / rate
        item = _recorded(number, f"Recorded {number}", start)
        lines.append((at, {"type": "item.posted", "item": item}))
        edited = rng.random() < 0.2
        if edited:
            at += rng.expovariate(0.5)
            item = _recorded(number, f"Recorded {number}, corrected", start)
            lines.append((at, {"type": "item.edited", "item": item}))
        if rng.random() < 0.33:
            lines.append((at + rng.expovariate(0.2), {"type": "item.removed", "id": item["id"]}))
    with path.open("w", encoding="utf-8") as file:
        for at, change in sorted(lines, key=lambda line: line[0]):
            file.write(json.dumps({"at": _rfc3339(start, at), **change}) + "\n")


def _recorded(number: int, text: str, start: datetime) -> dict[str, object]:
    return {
        "id": f"replay:{number}",
        "source": "replay",
        "kind": "post",
        "author": {"name": "Ann", "handle": "ann", "url": None, "avatar": None},
        "text": text,
        "html": f"<p>{text}</p>",
        "created_at": _rfc3339(start, 0),
        "url": None,
        "lang": "en",
        "media": [],
        "reply_to": None,
        "sensitive": False,
        "talk": None,
        "shared_by": None,
        "quote": None,
    }


def _rfc3339(start: datetime, seconds: float) -> str:
    return (start + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
