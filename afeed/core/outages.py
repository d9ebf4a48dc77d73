"""The outages of an event's sources, each at the place where the feed first spoke of it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from afeed.core.change import Change
from afeed.core.draft import SourceGap

#: So many are remembered, the latest: as many as a live page has entries.
KEPT = 500

_decode = msgspec.json.Decoder(SourceGap).decode


class Outage(msgspec.Struct, frozen=True):
    """What is known of an outage by now, and the ``seq`` under which it was first told."""

    seq: int
    gap: SourceGap


class Outages:
    """What the ``source.gap`` changes of one log amount to."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Outage] = {}

    def add(self, change: Change) -> None:
        """Take in the next ``source.gap`` of the log; one that cannot be read is passed over."""
        try:
            gap = _decode(change.stored)
        except msgspec.DecodeError:
            return
        key = (gap.source, gap.from_)
        known = self._found.get(key)
        self._keep(key, Outage(change.seq if known is None else known.seq, gap))

    def recall(self, archived: Iterable[tuple[int, SourceGap]]) -> None:
        """Take in what the archive knows: with the seq that spoke last of each, so that those which are told of
        here too keep what is known here."""
        for seq, gap in archived:
            key = (gap.source, gap.from_)
            known = self._found.get(key)
            if known is None:
                self._keep(key, Outage(seq, gap))
            elif seq < known.seq:
                self._found[key] = Outage(seq, known.gap)

    def shown(self, before: int | None, after: int, head: int) -> list[Outage]:
        """Those between the posts below ``before`` (None: all) and above ``after``, latest first.

        On the newest page (``before`` None) that includes those which began further down and still last: they
        are about now, and stand at the top, at ``head``.
        """
        found = []
        for outage in self._found.values():
            if outage.seq > after:
                if before is None or outage.seq < before:
                    found.append(outage)
            elif before is None and outage.gap.to is None and outage.gap.state == "open":
                found.append(Outage(head, outage.gap))
        return sorted(found, key=lambda outage: (outage.seq, outage.gap.from_), reverse=True)

    def _keep(self, key: tuple[str, str], outage: Outage) -> None:
        self._found[key] = outage
        if len(self._found) > KEPT:
            del self._found[min(self._found, key=lambda key: self._found[key].seq)]
