"""What X's stream brings, on its way to the events: bytes to lines, lines to drafts, drafts to their events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from twisted.logger import Logger

from afeed.core.draft import Draft, Removed
from afeed.core.lines import LineReader
from afeed.core.normalise.x import Control, Message
from afeed.core.rules import slugs_of
from afeed.interfaces import ISink, Position
from afeed.sources.delivery import Delivery

_Batches = dict[str, tuple[list[Draft], int]]


class MessageIntake:
    """Reads one stream after another.

    ``useful`` says whether anything of use (a message or a keep-alive) has come on the present one, ``goodbye``
    with which words X ended it, ``last_item_at`` (Unix time) when something came for an event, and
    ``dropped`` counts what could not be used, by reason.  ``position(slug, newest_id)`` gives what is stored
    with what comes.
    """

    log = Logger()

    def __init__(
        self,
        name: str,
        wanted: Callable[[], Mapping[str, str]],
        now: Callable[[], float],
        read_message: Callable[[bytes], Message],
        sink: ISink,
        delivery: Delivery,
        dropped: Counter[str],
        position: Callable[[str, str | None], Position | None],
    ) -> None:
        self.last_item_at: float | None = None
        self.dropped = dropped
        self._name = name
        self._wanted = wanted
        self._now = now
        self._read_message = read_message
        self._sink = sink
        self._delivery = delivery
        self._position = position
        self._newest: dict[str, int] = {}
        self.begin()

    def begin(self) -> None:
        """A new stream is open."""
        self.useful = False
        self.goodbye: str | None = None
        self._reader = LineReader()
        self._reported: set[str] = set()

    def received(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        reader = self._reader
        keepalives, oversize, malformed = reader.keepalives, reader.oversize, reader.malformed
        wanted = self._wanted()
        batches: _Batches = {}
        for line in reader.feed(data):
            self._message(line, wanted, batches)
        unknown = list(wanted) if len(wanted) == 1 else [""]
        self._drop(unknown, "oversize", reader.oversize - oversize)
        self._drop(unknown, "malformed", reader.malformed - malformed)
        self.useful = self.useful or reader.keepalives > keepalives
        now = self._now()
        for slug, (drafts, size) in batches.items():
            self.last_item_at = now
            newest = self._newest.get(slug)
            position = self._position(slug, None if newest is None else str(newest))
            self._delivery.offer(slug, drafts, position, size)

    def _message(self, line: bytes, wanted: Mapping[str, str], batches: _Batches) -> None:
        message = self._read_message(line)
        slugs = slugs_of(message.tags, wanted)
        if not message.tags and (len(wanted) == 1 or _removes(message)):
            # An emulator without tags; and a removal is for whoever has the post.
            slugs = list(wanted)
        for reason in message.dropped:
            self._drop(slugs or [""], reason, 1)
        if message.control is not None:
            self._controlled(message.control)
        if message.drafts or (message.control is None and "malformed" not in message.dropped):
            self.useful = True
        if not message.drafts:
            return
        if not slugs:
            self.dropped["foreign"] += len(message.drafts)
        for slug in slugs:
            drafts, size = batches.get(slug, ([], 0))
            drafts.extend(message.drafts)
            batches[slug] = (drafts, size + len(line))
            if message.newest_id is not None and message.newest_id.isdigit():
                self._newest[slug] = max(self._newest.get(slug, 0), int(message.newest_id))

    def _controlled(self, control: Control) -> None:
        if control.kind == "disconnect":
            self.goodbye = f"X ended the stream ({control.reason})"
            return
        if control.kind != "info":
            self.dropped[control.kind] += 1
        if control.kind not in self._reported:  # v1.1 repeats a limit many times a second
            self._reported.add(control.kind)
            self.log.warn(
                "X reports a {kind}: {reason}. The stream goes on; more of this kind are counted, not logged",
                kind=control.kind,
                reason=control.reason,
            )

    def _drop(self, slugs: list[str], reason: str, count: int) -> None:
        """Count what could not be used; a slug is "" where nothing tells which event it was for."""
        if count > 0:
            self.dropped[reason] += count
            for slug in slugs:
                self._sink.dropped(slug, self._name, reason, count)


def _removes(message: Message) -> bool:
    return bool(message.drafts) and all(isinstance(draft, Removed) for draft in message.drafts)
