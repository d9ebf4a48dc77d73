"""A program that publishes at a steady rate and does not give up."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection

from tests.chaos.ways import FAULTS, TIMEOUT_S, Way, ask
from tests.servers.afeed import PUSH_TOKEN

BATCH = 5


class Publisher(threading.Thread):
    """Pushes ``rate`` items a second in batches of five, each batch until it has been accepted, by one of
    ``ways`` after the other.

    :ivar accepted: the id and seq of every item that was answered 201, the first time it was.
    :ivar refused: status and error of every other answer.
    """

    def __init__(self, ways: Sequence[Way], slug: str, rate: float) -> None:
        super().__init__(name="publisher", daemon=True)
        self.slug = slug
        self.pause = BATCH / rate
        self.accepted: dict[str, int] = {}
        self.refused: list[tuple[int, str]] = []
        self._ways = list(ways)
        self._connections: dict[Way, HTTPConnection] = {}
        self._attempts = 0
        self._stopping = threading.Event()
        self._awake, self._asleep = threading.Event(), threading.Event()
        self._awake.set()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Nothing is published meanwhile, and everything before has been accepted."""
        self._asleep.clear()
        self._awake.clear()
        assert self._asleep.wait(3 * TIMEOUT_S), "the publisher does not rest"
        try:
            yield
        finally:
            self._awake.set()

    def stop(self) -> None:
        self._stopping.set()
        self._awake.set()
        self.join(3 * TIMEOUT_S)
        assert not self.is_alive(), "the publisher did not end"

    def run(self) -> None:
        due = time.monotonic()
        number = 0
        while not self._stopping.is_set():
            if not self._awake.is_set():
                self._asleep.set()
                self._awake.wait()
                continue
            ids = [str(number + n) for n in range(BATCH)]
            number += BATCH
            body = json.dumps([{"id": id_, "text": self.text_of(f"push:{id_}")} for id_ in ids]).encode()
            while not self._stopping.is_set() and not self._push(body):
                self._stopping.wait(0.02)
            due = max(due + self.pause, time.monotonic() - 1)
            self._stopping.wait(max(0.0, due - time.monotonic()))
        for connection in self._connections.values():
            connection.close()

    @staticmethod
    def text_of(item_id: str) -> str:
        """What it sends as the text of an item."""
        return f"Item {item_id.removeprefix('push:')} \N{SNOWMAN}"

    def _push(self, body: bytes) -> bool:
        way = self._ways[self._attempts % len(self._ways)]
        self._attempts += 1
        headers = {"Authorization": f"Bearer {PUSH_TOKEN}", "Content-Type": "application/json"}
        try:
            if way not in self._connections:
                self._connections[way] = way.open()
            status, answer = ask(
                self._connections[way], f"/{self.slug}/items", method="POST", body=body, headers=headers
            )
        except FAULTS:
            connection = self._connections.pop(way, None)
            if connection is not None:
                connection.close()
            return False
        if status != 201:
            self.refused.append((status, answer.get("error", "")))
            return False
        for result in answer["results"]:
            self.accepted.setdefault(result["id"], result["seq"])
        return True
