"""A viewer without a network: what it was sent, and how much it cares to read."""

from __future__ import annotations

import json
from typing import Any

from afeed.core import framing


def line(message: framing.Message) -> bytes:
    """The plainest encoding: one message a line."""
    return message.body + b"\n"


class Pipe:
    """A transport that pauses its producer once it holds more than ``room`` bytes, and is drained by hand."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.room = room
        self.held = b""
        self.read = b""
        self.open = True
        self.producer: Any = None
        self._paused = False

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        assert self.producer is None
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None
        self._paused = False

    def write(self, data: bytes) -> None:
        assert self.open, "something was written to a closed connection"
        self.held += data
        if len(self.held) > self.room and self.producer is not None and not self._paused:
            self._paused = True
            self.producer.pauseProducing()

    def drain(self) -> None:
        """The client reads what is there."""
        self.read += self.held
        self.held = b""
        if self._paused and self.producer is not None:
            self._paused = False
            self.producer.resumeProducing()

    def loseConnection(self) -> None:
        self.open = False

    def abortConnection(self) -> None:
        self.open = False
        self.held = b""

    def messages(self) -> list[dict[str, Any]]:
        """Everything it was sent, read or not."""
        return [json.loads(text) for text in (self.read + self.held).splitlines()]

    def types(self) -> list[str]:
        return [message["type"] for message in self.messages()]

    def changes(self) -> list[dict[str, Any]]:
        """The changes it was sent, message boundaries forgotten."""
        return [change for message in self.messages() for change in message.get("changes", ())]

    def seqs(self) -> list[int]:
        return [change["seq"] for change in self.changes()]
