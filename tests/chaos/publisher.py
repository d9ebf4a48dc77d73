"""A program that publishes at a steady rate and does not give up."""

from __future__ import annotations

import json
import threading
import time
from http.client import HTTPConnection

from tests.chaos.followers import FAULTS, TIMEOUT_S
from tests.servers.afeed import PUSH_TOKEN


class Publisher(threading.Thread):
    """Pushes ``rate`` items a second in batches of five, each batch until it has been accepted.

    :ivar accepted: the id and seq of every item that was answered 201, the first time it was.
    :ivar refused: status and error of every other answer.
    """

    def __init__(self, port: int, slug: str, rate: float) -> None:
        super().__init__(name="publisher", daemon=True)
        self.port = port
        self.slug = slug
        self.pause = 5 / rate
        self.accepted: dict[str, int] = {}
        self.refused: list[tuple[int, str]] = []
        self._next = 0
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()
        self.join(3 * TIMEOUT_S)
        assert not self.is_alive(), "the publisher did not end"

    def run(self) -> None:
        connection: HTTPConnection | None = None
        due = time.monotonic()
        while not self._stopping.is_set():
            ids = [str(self._next + n) for n in range(5)]
            batch = [{"id": id_, "text": self.text_of(f"push:{id_}")} for id_ in ids]
            self._next += len(batch)
            done = False
            while not done and not self._stopping.is_set():
                try:
                    connection = connection or HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
                    done = self._push(connection, batch)
                except FAULTS:
                    if connection is not None:
                        connection.close()
                    connection = None
                if not done:
                    self._stopping.wait(0.02)
            due = max(due + self.pause, time.monotonic() - 1)
            self._stopping.wait(max(0.0, due - time.monotonic()))

    @staticmethod
    def text_of(item_id: str) -> str:
        """What it sends as the text of an item."""
        return f"Item {item_id.removeprefix('push:')} \N{SNOWMAN}"

    def _push(self, connection: HTTPConnection, batch: list[dict[str, str]]) -> bool:
        headers = {"Authorization": f"Bearer {PUSH_TOKEN}", "Content-Type": "application/json"}
        connection.request("POST", f"/{self.slug}/items", json.dumps(batch), headers)
        answer = connection.getresponse()
        body = json.loads(answer.read())
        if answer.status != 201:
            self.refused.append((answer.status, body.get("error", "")))
            return False
        for result in body["results"]:
            self.accepted.setdefault(result["id"], result["seq"])
        return True
